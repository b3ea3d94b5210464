"""What is asked of the server, and how fast it answered."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import uvloop

from partners.signature import sign_request
from tests.benchmarks.load import Ask, Load, request_bytes, run_load
from tests.benchmarks.site import KEY_ID, Site, now
from tests.coalition import OUTLET

LARGEST_FILE = 20_000
BESIDE = 4
"""Connections of the tills that go on beside a file."""


def sale_of(card: int, reference: str, at: str, cents: int = 1250) -> dict[str, Any]:
    """An earn's body."""
    return {
        "reference": reference,
        "occurred_at": at,
        "outlet": OUTLET,
        "card": str(card),
        "amount_minor": cents,
        "currency": "USD",
    }


def signed(site: Site, path: str, body: bytes, content_type: str = "application/json") -> bytes:
    """A whole signed request."""
    headers = sign_request(
        site.key,
        KEY_ID,
        method="POST",
        authority=site.authority,
        path=path,
        body=body,
        content_type=content_type,
        created=int(now().timestamp()),
    )
    return request_bytes(path, site.authority, headers, body)


def load(site: Site, asks: Sequence[Ask], connections: int) -> Load:
    """Send requests, and make sure that every one was answered as it had to be."""
    measured: Load = uvloop.run(run_load(*site.address, asks, connections))
    if measured.wrong:
        raise RuntimeError(f"{len(measured.wrong)} wrong answers, the first: {measured.wrong[0]!r}")
    return measured


def earns(site: Site, tag: str, count: int) -> list[Ask]:
    """Each request its own member, reference and signature, made beforehand."""
    at = now().isoformat()
    return [
        Ask(
            signed(
                site,
                "/v1/accruals",
                msgspec.json.encode(sale_of(site.cards[n % len(site.cards)], f"{tag}-{n}", at)),
            )
        )
        for n in range(count)
    ]


def mixed(site: Site, tag: str, count: int) -> list[Ask]:
    """Till load: 80 % accrue, 10 % redeem, 5 % hold and capture, 5 % reverse.

    A capture names its hold, a reversal its sale: these two are made and signed when the answer is there.
    """
    at = now().isoformat()
    asks = []
    for n in range(count // 2):  # of 200 requests 185 are asked at first, and 15 follow from an answer
        kind = n * 37 % 100
        card, reference = site.cards[n % len(site.cards)], f"{tag}-{n}"
        body = sale_of(card, reference, at)
        spending = {**body, "points": 20, "amount_minor": 20}
        if kind < 11:
            asks.append(Ask(signed(site, "/v1/redemptions", msgspec.json.encode(spending))))
        elif kind < 14:
            holding = msgspec.json.encode({**spending, "minutes": 60})
            asks.append(Ask(signed(site, "/v1/holds", holding), _then(site, "captures", reference, at)))
        elif kind < 20:
            earn = signed(site, "/v1/accruals", msgspec.json.encode(body))
            asks.append(Ask(earn, _then(site, "reversals", reference, at)))
        else:
            asks.append(Ask(signed(site, "/v1/accruals", msgspec.json.encode(body))))
    return asks


def _then(site: Site, what: str, reference: str, at: str) -> Callable[[bytes], bytes]:
    def request(answer: bytes) -> bytes:
        named = msgspec.json.decode(answer)["id"]
        body: dict[str, Any] = {"reference": f"{reference}-then", "occurred_at": at}
        if what == "captures":
            body |= {"hold": named, "points": 20, "amount_minor": 20}
        else:
            body["entry"] = named
        return signed(site, f"/v1/{what}", msgspec.json.encode(body))

    return request


def files(site: Site, tag: str, count: int) -> float:
    """Lines per second of files that are sent one after another, every line's answer checked."""
    at = now().isoformat()
    bodies = []
    for start in range(0, count, LARGEST_FILE):
        lines = (
            msgspec.json.encode(
                {"type": "accrual", **sale_of(site.cards[n % len(site.cards)], f"{tag}-f{n}", at)}
            )
            for n in range(start, min(start + LARGEST_FILE, count))
        )
        bodies.append(b"\n".join(lines) + b"\n")
    started = time.perf_counter()
    done = sum(asyncio.run(_send_file(site, body)) for body in bodies)
    if done != count:
        raise RuntimeError(f"{done} of {count} lines were accepted")
    return count / (time.perf_counter() - started)


async def _send_file(site: Site, body: bytes) -> int:
    reader, writer = await asyncio.open_connection(*site.address, limit=1 << 26)
    request = signed(site, "/v1/batches", body, "application/x-ndjson")
    writer.write(request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
    answer = await asyncio.wait_for(reader.read(-1), 300)
    writer.close()
    return answer.count(b'"status":201')


def beside_files(site: Site, tag: str, lines: int) -> tuple[float, Load]:
    """Lines per second of files while a few tills go on, and how the tills fared."""
    rate: list[float] = []
    sender = threading.Thread(target=lambda: rate.append(files(site, tag, lines)))
    sender.start()
    measured = []
    number = 0
    while sender.is_alive():
        measured.append(load(site, earns(site, f"{tag}-beside{number}", 200), BESIDE))
        number += 1
    sender.join()
    latencies = sorted(latency for one in measured for latency in one.latencies)
    together = Load(
        answered=len(latencies), wrong=[], seconds=sum(one.seconds for one in measured), latencies=latencies
    )
    return rate[0], together
