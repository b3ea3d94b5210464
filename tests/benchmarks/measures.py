"""What is asked of the server, and how fast it answered."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

import msgspec

from tests.benchmarks.load import Ask, Load, request_bytes, run_load
from tests.benchmarks.site import Site, now
from tests.coalition import OUTLET
from tests.signing import sign_request

LARGEST_FILE = 20_000
BESIDE = 4
"""Connections of the tills that go on beside a file."""
_MOST_BESIDE = 8_000
"""Earns of those tills, at most."""


def sale_of(site: Site, n: int, reference: str, at: str, cents: int = 1250) -> dict[str, Any]:
    """An earn's body: of the n-th card, round and round."""
    return {
        "reference": reference,
        "occurred_at": at,
        "outlet": OUTLET,
        "card": str(site.cards[n % len(site.cards)]),
        "amount_minor": cents,
        "currency": site.currency,
    }


def signed(site: Site, path: str, body: bytes, content_type: str = "application/json") -> bytes:
    """A whole signed request."""
    headers = sign_request(
        site.key,
        site.key_id,
        method="POST",
        authority=site.authority,
        path=path,
        body=body,
        content_type=content_type,
        created=int(now().timestamp()),
    )
    return request_bytes(path, site.authority, headers, body)


def signed_get(site: Site, path: str, query: str) -> bytes:
    """A whole signed request that reads."""
    headers = sign_request(
        site.key,
        site.key_id,
        method="GET",
        authority=site.authority,
        path=path,
        query=query,
        created=int(now().timestamp()),
    )
    named = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"GET {path}?{query} HTTP/1.1\r\nHost: {site.authority}\r\n{named}\r\n".encode()


def load(site: Site, asks: Sequence[Ask], connections: int) -> Load:
    """Send requests, and make sure that every one was answered as it had to be."""
    measured = run_load(site.address, asks, connections)
    if measured.wrong:
        raise RuntimeError(f"{len(measured.wrong)} wrong answers, the first: {measured.wrong[0]}")
    return measured


def earns(site: Site, tag: str, count: int) -> list[Ask]:
    """Each request its own member, reference and signature, made beforehand."""
    at = now().isoformat()
    return [_ask(site, "/v1/accruals", sale_of(site, n, f"{tag}-{n}", at)) for n in range(count)]


def _ask(site: Site, path: str, body: dict[str, Any], then: Callable[[bytes], Ask] | None = None) -> Ask:
    marks = b'"reference":' + msgspec.json.encode(body["reference"])
    return Ask(signed(site, path, msgspec.json.encode(body)), marks, then)


def mixed(site: Site, tag: str, count: int) -> list[Ask]:
    """Till load: 80 % accrue, 10 % redeem, 5 % hold and capture, 5 % reverse.

    A capture names its hold, a reversal its sale: these two are made and signed when the answer is there.
    """
    at = now().isoformat()
    asks = []
    for n in range(count * 10 // 11):  # of 110 requests 100 are asked at first, and 10 follow from an answer
        kind = n * 37 % 100
        reference = f"{tag}-{n}"
        body = sale_of(site, n, reference, at)
        spending = {**body, "points": 20, "amount_minor": 20}
        if kind < 11:
            asks.append(_ask(site, "/v1/redemptions", spending))
        elif kind < 16:
            holding = {**spending, "minutes": 60}
            asks.append(_ask(site, "/v1/holds", holding, _then(site, "captures", reference, at)))
        elif kind < 21:
            asks.append(_ask(site, "/v1/accruals", body, _then(site, "reversals", reference, at)))
        else:
            asks.append(_ask(site, "/v1/accruals", body))
    return asks


def _then(site: Site, what: str, reference: str, at: str) -> Callable[[bytes], Ask]:
    def request(answer: bytes) -> Ask:
        named = msgspec.json.decode(answer)["id"]
        body: dict[str, Any] = {"reference": f"{reference}-then", "occurred_at": at}
        if what == "captures":
            body |= {"hold": named, "points": 20, "amount_minor": 20}
        else:
            body["entry"] = named
        return _ask(site, f"/v1/{what}", body)

    return request


class File(msgspec.Struct, frozen=True):
    """A signed file, and the references of its lines in order."""

    request: bytes
    references: Sequence[str]


class _Answered(msgspec.Struct):
    reference: str


class _LineAnswer(msgspec.Struct):
    line: int
    status: int
    entry: _Answered


def make_files(site: Site, tag: str, count: int) -> list[File]:
    """Files of sales, as large as LARGEST_FILE, each line its own member and reference."""
    at = now().isoformat()
    made = []
    for start in range(0, count, LARGEST_FILE):
        numbers = range(start, min(start + LARGEST_FILE, count))
        sales = [sale_of(site, n, f"{tag}-f{n}", at) for n in numbers]
        body = b"".join(msgspec.json.encode({"type": "accrual", **one}) + b"\n" for one in sales)
        request = _closing(signed(site, "/v1/batches", body, "application/x-ndjson"))
        made.append(File(request, [one["reference"] for one in sales]))
    return made


def send_files(site: Site, made: Sequence[File]) -> float:
    """Lines per second of files that are sent one after another; every line's answer is checked, after."""
    started = time.perf_counter()
    answers = [asyncio.run(_send_file(site, one.request)) for one in made]
    seconds = time.perf_counter() - started
    for one, answer in zip(made, answers, strict=True):
        lines = [
            msgspec.json.decode(line, type=_LineAnswer) for line in answer.splitlines() if line[:1] == b"{"
        ]
        said = [(line.line, line.status, line.entry.reference) for line in lines]
        if said != [(place, 201, name) for place, name in enumerate(one.references, start=1)]:
            raise RuntimeError(f"a file was answered wrongly: {answer[:300]!r}")
    return sum(len(one.references) for one in made) / seconds


async def _send_file(site: Site, request: bytes) -> bytes:
    """Send a file, and wait for the answers to its lines."""
    taken = await _conversation(site, request)
    result: str = msgspec.json.decode(taken.partition(b"\r\n\r\n")[2])["result"]
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        answers = await _conversation(site, _closing(signed_get(site, result, "wait=30")))
        if answers.startswith(b"HTTP/1.1 200"):
            return answers
    raise RuntimeError("a file was not carried out in five minutes")


async def _conversation(site: Site, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(*site.address, limit=1 << 26)
    writer.write(request)
    answer = await asyncio.wait_for(reader.read(-1), 300)
    writer.close()
    return answer


def _closing(request: bytes) -> bytes:
    """A request after whose answer the connection ends."""
    return request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1)


def beside_files(site: Site, tag: str, lines: int) -> tuple[float, Load]:
    """Lines per second of files while a few tills go on, and how the tills fared."""
    rate: list[float] = []
    made = make_files(site, tag, lines)
    till_asks = iter(earns(site, f"{tag}-beside", _MOST_BESIDE))
    sender = threading.Thread(target=lambda: rate.append(send_files(site, made)))
    sender.start()
    measured = []
    while sender.is_alive() and (some := list(islice(till_asks, 200))):
        measured.append(load(site, some, BESIDE))
    sender.join()
    if not rate:
        raise RuntimeError("a file beside the tills was answered wrongly")
    together = Load(
        answered=sum(one.answered for one in measured),
        wrong=[],
        seconds=sum(one.seconds for one in measured),
        latencies=sorted(latency for one in measured for latency in one.latencies),
        own_us=measured[0].own_us,
        own_share=max(one.own_share for one in measured),
    )
    return rate[0], together
