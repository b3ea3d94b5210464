"""One attempt: resolve the name once, check every address, connect to one that was checked, and to no other.

Between check and connection no name is resolved again, so that a name cannot be another's by then; TLS and
the Host header keep the name. A redirect is an answer like any other and is not followed.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address

import httpx
import msgspec

from partners.hooks.addresses import AddressRefused, Target, read_url, unfit_among
from partners.hooks.schedule import TIMEOUT_SECONDS

MOST_ANSWER_BYTES = 16_384
"""Of an answer that is read, so that the connection can be used again; what says more is hung up on."""
_MOST_ADDRESSES = 3
_GONE = 410

Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int], Awaitable[list[Address]]]
"""The addresses of a name, all of them."""


class Attempted(msgspec.Struct, frozen=True, kw_only=True):
    """What an attempt came to.

    `outcome`: delivered, refused, redirect, gone, timeout, unreachable, or address_refused; `said`: why.
    """

    outcome: str
    status: int | None = None
    seconds: float = 0.0
    said: str = ""

    @property
    def delivered(self) -> bool:
        """Whether it was taken: any status of 200 to 299."""
        return self.outcome == "delivered"


async def resolve(host: str, port: int) -> list[Address]:
    """The addresses of a name, as this machine resolves it."""
    with suppress(OSError):
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return [ip_address(place[0]) for *_, place in found]
    return []


def make_client(context: ssl.SSLContext | None = None) -> httpx.AsyncClient:
    """A client for one endpoint: connections are kept, and never shared between names.

    No proxy of the environment, no redirect, no cookie kept, HTTP/1.1.
    """
    return httpx.AsyncClient(
        verify=ssl.create_default_context() if context is None else context,
        trust_env=False,
        follow_redirects=False,
        timeout=httpx.Timeout(TIMEOUT_SECONDS),
        limits=httpx.Limits(max_connections=32, max_keepalive_connections=8, keepalive_expiry=30),
    )


async def attempt(
    client: httpx.AsyncClient,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    resolve: Resolve,
    loopback: bool = False,
    seconds: float = TIMEOUT_SECONDS,
) -> Attempted:
    """Send an event once, in fifteen seconds from the name's resolution to the end of the answer."""
    began = time.perf_counter()
    target = read_url(url, loopback=loopback)
    if isinstance(target, AddressRefused):
        return Attempted(outcome="address_refused", said=target.detail)
    try:
        async with asyncio.timeout(seconds):
            found = (
                [target.literal] if target.literal is not None else await resolve(target.host, target.port)
            )
            unfit = "" if target.literal is not None else unfit_among(found, target, loopback=loopback)
            if unfit:
                outcome = "unreachable" if not found else "address_refused"
                return Attempted(outcome=outcome, seconds=time.perf_counter() - began, said=unfit)
            status = await _post(client, target, found, headers, body)
    except TimeoutError:
        return Attempted(outcome="timeout", seconds=time.perf_counter() - began)
    except httpx.TimeoutException:
        return Attempted(outcome="timeout", seconds=time.perf_counter() - began)
    except (httpx.HTTPError, OSError, ssl.SSLError) as error:
        said = type(error).__name__
        return Attempted(outcome="unreachable", seconds=time.perf_counter() - began, said=said)
    return Attempted(outcome=_outcome(status), status=status, seconds=time.perf_counter() - began)


async def _post(
    client: httpx.AsyncClient,
    target: Target,
    addresses: list[Address],
    headers: Mapping[str, str],
    body: bytes,
) -> int:
    """Post to the first address that answers the knock; its status."""
    tried = sorted(set(addresses), key=lambda one: (one.version, int(one)))[:_MOST_ADDRESSES]
    for number, address in enumerate(tried, start=1):
        request = client.build_request(
            "POST",
            httpx.URL(
                scheme=target.scheme,
                host=str(address),
                port=target.port,
                raw_path=target.path.encode(),
            ),
            headers={**headers, "host": target.authority},
            content=body,
            extensions={"sni_hostname": target.host},
        )
        try:
            return await _answered(client, request)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            if number == len(tried):
                raise
    raise httpx.ConnectError("no address")


async def _answered(client: httpx.AsyncClient, request: httpx.Request) -> int:
    response = await client.send(request, stream=True)
    try:
        read = 0
        async for chunk in response.aiter_raw():  # as it came: nothing is unpacked
            read += len(chunk)
            if read > MOST_ANSWER_BYTES:
                break
    finally:
        client.cookies.clear()
        await response.aclose()
    return response.status_code


def _outcome(status: int) -> str:
    if 200 <= status < 300:
        return "delivered"
    if status == _GONE:
        return "gone"
    return "redirect" if 300 <= status < 400 else "refused"
