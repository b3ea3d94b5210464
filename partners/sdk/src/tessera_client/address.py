"""Where the service is, and what of it is signed."""

import ipaddress
import re

import httpx
import msgspec

from tessera_client.errors import Unusable

_SCHEMES = frozenset({"https", "http"})
_AUTHORITY = re.compile(r"[a-z0-9._-]+(:[0-9]+)?|\[[0-9a-f:.]+\](:[0-9]+)?")


class Address(msgspec.Struct, frozen=True):
    """Scheme, host and port. `authority` is signed; `is_local`: on this machine, where plain HTTP is fine."""

    origin: str
    authority: str
    is_local: bool


def read_address(base_url: str) -> Address:
    """Read what a client is given as the service's address.

    Raises:
        Unusable: it is none, has a path, or is plain HTTP to another machine.
    """
    try:
        url = httpx.URL(base_url)
    except (httpx.InvalidURL, TypeError) as error:
        raise Unusable(f"{base_url!r} is no address: {error}") from error
    authority = url.netloc.decode("ascii").lower()
    if (
        url.scheme not in _SCHEMES
        or not _AUTHORITY.fullmatch(authority)
        or url.raw_path != b"/"
        or url.fragment
        or url.userinfo
    ):
        raise Unusable(f"{base_url!r}: give scheme, host and port alone, as https://api.example.com")
    local = is_local(url.host)
    if url.scheme == "http" and not local:
        raise Unusable(f"{base_url!r}: plain HTTP shows members' cards to everybody on the way; use https://")
    return Address(f"{url.scheme}://{authority}", authority, local)


def is_local(host: str) -> bool:
    """Whether a host is this machine itself."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
