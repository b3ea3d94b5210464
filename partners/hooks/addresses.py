"""Which addresses webhooks may go to: public ones over TLS, whatever their spelling (pure).

A text is refused where two readers could take it for different hosts. A name is not looked up here: whoever
connects asks for each address that it resolves to, and connects to one that was asked about.
`is_global` of the standard library is not enough: it lets multicast, NAT64 and 6to4 pass.
"""

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import msgspec

MOST_CHARACTERS = 2_000
PORTS = frozenset({443, 8443})
"""Where something else than a web server listens, a request of ours is a message to that."""
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<target>/[!$&'()*+,;=:@%A-Za-z0-9._~/-]*)?(?P<query>\?[!$&'()*+,;=:@%A-Za-z0-9._~/?-]*)?"
)
"""No userinfo, no fragment, no backslash, no blank, nothing beyond ASCII: what is left has one reading."""
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")
_LOCAL = ("localhost", "local", "localdomain", "internal", "intranet", "lan", "home", "corp", "arpa", "onion")
"""Last labels of names that only some networks know, or that are of no host."""

_NOT_PUBLIC_4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",
            "240.0.0.0/4",
        ),
    )
)
_GLOBAL_6 = IPv6Network("2000::/3")
"""All that is assigned for hosts at large; what is outside (mapped, NAT64, local, multicast) is refused."""
_NOT_PUBLIC_6 = tuple(
    map(
        IPv6Network,
        ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "3ffe::/16", "2620:4f:8000::/48"),
    )
)
"""In it: Teredo and other protocols, documentation, 6to4, what was the 6bone, and a sink."""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where an endpoint is: a name to be resolved, or `literal`, an address that was checked."""

    scheme: str
    host: str
    port: int
    path: str
    literal: IPv4Address | IPv6Address | None = None

    @property
    def authority(self) -> str:
        """Host and port as the Host header has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.scheme == "https" else 80) else f"{host}:{self.port}"


class AddressRefused(msgspec.Struct, frozen=True):
    """Why nothing is sent there."""

    detail: str


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address is of a host at large, and never of this network, this machine, or many at once."""
    if isinstance(address, IPv4Address):
        return address.is_global and not any(address in network for network in _NOT_PUBLIC_4)
    inside = address in _GLOBAL_6 and not any(address in network for network in _NOT_PUBLIC_6)
    return inside and address.is_global and address.scope_id is None


def read_url(url: str, *, loopback: bool = False) -> Target | AddressRefused:
    """Read an endpoint's URL.

    Args:
        url: As the partner gave it.
        loopback: Tests and demos: this machine may be meant too, on any port, also without TLS.
    """
    found = _URL.fullmatch(url) if len(url) <= MOST_CHARACTERS else None
    if found is None:
        return AddressRefused(
            "write https://host/path: no user, no fragment, ASCII alone, at most 2,000 characters"
        )
    scheme, host = found["scheme"], found["host"].lower().removeprefix("[").removesuffix("]")
    port = int(found["port"]) if found["port"] else (443 if scheme == "https" else 80)
    literal = _literal(host, bracketed=found["host"].startswith("["))
    if isinstance(literal, AddressRefused):
        return literal
    target = Target(
        scheme=scheme,
        host=host,
        port=port,
        path=(found["target"] or "/") + (found["query"] or ""),
        literal=literal,
    )
    if (
        loopback
        and 0 < port < 65_536
        and (host == "localhost" or (literal is not None and literal.is_loopback))
    ):
        return target
    if scheme != "https":
        return AddressRefused("only https is taken")
    if port not in PORTS:
        return AddressRefused("only the ports 443 and 8443 are taken")
    if literal is not None and not is_public(literal):
        return AddressRefused("the address is not public")
    return target


def _literal(host: str, *, bracketed: bool) -> IPv4Address | IPv6Address | AddressRefused | None:
    """The address that a host is; None where it is a name.

    A host whose last label is a number is an address to browsers and resolvers (127.1, 2130706433, 0x7f.1,
    0177.0.0.1): only four plain decimals are taken for one here, and all others refused.
    """
    if bracketed:
        try:
            return IPv6Address(host)
        except ValueError:
            return AddressRefused("that is no IPv6 address")
    labels = host.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        try:
            found = ip_address(host)
        except ValueError:
            return AddressRefused("write an IPv4 address as four decimal numbers")
        return found
    if len(host) > 253 or not all(map(_LABEL.fullmatch, labels)):
        return AddressRefused("that is no name of a host")
    if host != "localhost" and (len(labels) < 2 or labels[-1] in _LOCAL):
        return AddressRefused("that is no public name")
    return None


def unfit_among(addresses: list[IPv4Address | IPv6Address], target: Target, *, loopback: bool) -> str:
    """Why none of the addresses of a name is connected to; "" where all are fit.

    All are looked at: a name with one address of ours among public ones is refused, whichever would be taken.
    """
    if not addresses:
        return "the name has no address"
    allowed = loopback and target.host == "localhost"
    unfit = [one for one in addresses if not (is_public(one) or (allowed and one.is_loopback))]
    return "the name leads to an address that is not public" if unfit else ""
