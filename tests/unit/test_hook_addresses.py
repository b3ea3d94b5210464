"""Addresses of webhooks: every spelling of what is not public is refused, and what is public is taken."""

from collections.abc import Callable
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partners.hooks.addresses import AddressRefused, Target, is_public, read_url, unfit_among


def words(of: str) -> list[str]:
    """A list that is long, and easier to read without quotes."""
    return of.split()


NOT_PUBLIC = words("""
0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.127.255.254 127.0.0.1 127.255.255.254
169.254.169.254 172.16.0.1 172.31.255.254 192.0.0.8 192.0.2.1 192.88.99.1 192.168.1.1 198.18.0.1
198.19.255.255 198.51.100.7 203.0.113.7 224.0.0.1 239.255.255.250 240.0.0.1 255.255.255.255
:: ::1 ::7f00:1 ::ffff:127.0.0.1 ::ffff:8.8.8.8 64:ff9b::7f00:1 64:ff9b::808:808 64:ff9b:1::1 100::1
2001::1 2001:db8::1 2001:10::1 2001:20::1 2002:7f00:1:: 2002:808:808::1 3fff::1 3ffe::1 5f00::1
fc00::1 fd12:3456::1 fe80::1 fe80::1%eth0 fec0::1 ff02::1 ff0e::1 4000::1
""")
PUBLIC = words("8.8.8.8 1.1.1.1 93.184.215.14 172.32.0.1 100.128.0.1 2606:4700::1111 2a00:1450:4001::1")

REFUSED = words("""
http://hooks.example.com/ ftp://hooks.example.com/ //hooks.example.com/ hooks.example.com
https:hooks.example.com https:// https:/// https://? https://user@hooks.example.com/
https://user:pass@hooks.example.com/ https://hooks.example.com:22/ https://hooks.example.com:80/
https://hooks.example.com:25/ https://hooks.example.com:0/ https://hooks.example.com:99999/
https://hooks.example.com:/ https://hooks.example.com/#part https://hooks.example.com\\@127.0.0.1/
https://127.0.0.1#@hooks.example.com/ https://hooks.example.com/a\\b https://127.1/ https://127.0.1/
https://2130706433/ https://0x7f000001/ https://0x7f.1/ https://0x7f.0x0.0x0.0x1/ https://0177.0.0.1/
https://017700000001/ https://0/ https://127.0.0.1/ https://127.0.0.1:443/ https://127.0.0.1.
https://127.000.000.001/ https://0x/ https://1.2.3/ https://1.2.3.4.5/ https://256.1.1.1/
https://8.8.8.8.0x7f/ https://[::1]/ https://[::ffff:127.0.0.1]/ https://[::ffff:7f00:1]/
https://[0:0:0:0:0:ffff:127.0.0.1]/ https://[64:ff9b::7f00:1]/ https://[2002:7f00:1::]/
https://[fe80::1%25eth0]/ https://[fe80::1%eth0]/ https://[::]/ https://[fd00::1]/ https://[1]/
https://[]/ https://::1/ https://[::1/ https://169.254.169.254/latest/meta-data/ https://224.0.0.1/
https://0.0.0.0/ https://localhost/ https://LOCALHOST/ https://localhost./ https://a.localhost/
https://intranet/ https://db.internal/ https://printer.local/ https://router.lan/
https://1.0.0.127.in-addr.arpa/ https://x.onion/ https://-a.example.com/ https://a..example.com/
https://.example.com/ https://example.com./ https://exa_mple.com/ https://%31%32%37.0.0.1/
https://127%2e0.0.1/
""")
ODD = [
    "https://hooks.example.com/ a",
    " https://hooks.example.com/",
    "https://hooks.example.com/\n",
    "https://hooks.example.com/\0",
    "https://hooks.example.com/\thi",
    "https://ⓔxample.com/",
    "https://1\uff127.0.0.1/",
    "https://127。0。0。1/",
    "https://bücher.example/",
    "https://hooks.example.com/" + "a" * 2_000,
    "https://" + "a" * 64 + ".example.com/",
    "https://" + ".".join(["abcdefgh"] * 30) + ".com/",
    "",
]
TAKEN = {
    "https://hooks.example.com": ("hooks.example.com", 443, "/"),
    "https://Hooks.Example.COM/a/b?c=d&e": ("hooks.example.com", 443, "/a/b?c=d&e"),
    "https://hooks.example.com:8443/": ("hooks.example.com", 8443, "/"),
    "https://hooks.example.com?x=1": ("hooks.example.com", 443, "/?x=1"),
    "https://xn--bcher-kva.example/": ("xn--bcher-kva.example", 443, "/"),
    "https://8.8.8.8/": ("8.8.8.8", 443, "/"),
    "https://[2606:4700::1111]/x": ("2606:4700::1111", 443, "/x"),
}


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_what_is_not_public(address: str) -> None:
    """This machine, its network, many at once, and everything that is translated to one of them."""
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_what_is_public(address: str) -> None:
    """Hosts at large, next to the ranges that are not."""
    assert is_public(ip_address(address))


@pytest.mark.parametrize("url", REFUSED + ODD)
def test_urls_that_are_refused(url: str) -> None:
    """Each trick is refused as it is read: no name is looked up for it."""
    assert isinstance(read_url(url), AddressRefused)


@pytest.mark.parametrize("url", TAKEN)
def test_urls_that_are_taken(url: str) -> None:
    """Public names and addresses; what is sent to and as which path."""
    read = read_url(url)
    assert isinstance(read, Target)
    assert (read.host, read.port, read.path) == TAKEN[url]


def test_the_host_header_names_a_port_that_is_not_the_schemes_own() -> None:
    """As every server expects it, brackets included."""
    said = [
        (read_url(url, loopback=True), authority)
        for url, authority in (
            ("https://hooks.example.com/", "hooks.example.com"),
            ("https://hooks.example.com:8443/", "hooks.example.com:8443"),
            ("https://[2606:4700::1111]/", "[2606:4700::1111]"),
            ("http://localhost/", "localhost"),
            ("http://127.0.0.1:8080/", "127.0.0.1:8080"),
        )
    ]
    assert [one.authority for one, _ in said if isinstance(one, Target)] == [name for _, name in said]


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9/x", "http://localhost:8080/", "https://[::1]:1/", "http://127.0.0.2/"]
)
def test_this_machine_is_taken_where_it_is_allowed(url: str) -> None:
    """For tests and demos; a private address stays refused there, too."""
    assert isinstance(read_url(url, loopback=True), Target)
    assert isinstance(read_url(url), AddressRefused)
    for other in (
        "http://10.0.0.1/",
        "http://hooks.example.com/",
        "https://169.254.169.254/",
        "http://127.1/",
    ):
        assert isinstance(read_url(other, loopback=True), AddressRefused)


def test_all_addresses_of_a_name_are_looked_at() -> None:
    """One of ours among public ones is enough to refuse it; a name without an address is refused."""
    target = read_url("https://hooks.example.com/")
    assert isinstance(target, Target)
    public = [ip_address("8.8.8.8"), ip_address("2606:4700::1111")]
    assert unfit_among(public, target, loopback=False) == ""
    for bad in NOT_PUBLIC:
        for place in range(3):
            mixed = [*public[:place], ip_address(bad), *public[place:]]
            assert "not public" in unfit_among(mixed, target, loopback=True)
    assert "no address" in unfit_among([], target, loopback=False)


@given(st.integers(0, 2**32 - 1), st.data())
def test_a_number_is_taken_for_an_address_in_one_spelling_only(number: int, data: st.DataObject) -> None:
    """Whatever the number: as an integer, in octal or hexadecimal, or in fewer parts it is refused."""
    octets = number.to_bytes(4, "big")
    spellings: list[Callable[[int], str]] = [str, hex, lambda one: "0" + oct(one)[2:]]
    spelled = data.draw(st.sampled_from(spellings))
    whole = spelled(number)
    parts = ".".join(spelled(one) for one in octets)
    short = ".".join(map(str, octets[:2])) + f".{int.from_bytes(octets[2:], 'big')}"
    for host in (whole, short, parts):
        read = read_url(f"https://{host}/")
        if isinstance(read, Target):
            assert read.literal is not None
            assert (host, is_public(read.literal)) == (".".join(map(str, octets)), True)
