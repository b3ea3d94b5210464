"""`tessera-partner listen`, `logs tail`, `events resend`: what partners are told of, on this terminal."""

import argparse
import secrets
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import msgspec

from tessera_client import operations
from tessera_client.address import is_local
from tessera_client.answers import PartnerEvent
from tessera_client.cli.profile import Profile
from tessera_client.client import Client
from tessera_client.errors import Unusable
from tessera_client.webhooks import sign_webhook

_POLL_SECONDS = 1.0
_ANSWER_SECONDS = 15.0
# Events that are being written while we look may be older than what we have seen.
_OVERLAP = timedelta(seconds=30)
_PLAIN = argparse.RawDescriptionHelpFormatter
_LISTEN = """\
Have your events sent to a program on this machine, as webhooks: signed by Standard Webhooks, in order.

    tessera-partner listen --forward-to http://127.0.0.1:3000/webhooks

It prints the secret that it signs with; give it to your program, or choose one with --secret. Events are
written while an endpoint of yours wants them (POST /v1/webhook-endpoints). Ctrl-C ends it.
"""
_TAIL = """\
Print your events as they happen, one a line: when, which type, its id, and what it is about.
"""
_RESEND = """\
Send an event again to your endpoints, under the same id; --endpoint names one of several.
"""


def add_to(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", shared: argparse.ArgumentParser
) -> None:
    """Add these commands to the command line."""
    watched = argparse.ArgumentParser(add_help=False)
    watched.add_argument("--type", help="only events of this type: entry.accrual")
    watched.add_argument("--since", metavar="TIME", help="begin there, RFC 3339 with a zone; by default now")
    watched.add_argument("--count", type=int, metavar="N", help="end after so many events")

    listen = commands.add_parser(
        "listen",
        parents=[watched, shared],
        help="send your events to a program on this machine",
        description=_LISTEN,
        formatter_class=_PLAIN,
    )
    listen.add_argument("--forward-to", required=True, metavar="URL", help="a port of this machine")
    listen.add_argument("--secret", help="whsec_… to sign with; by default a new one, which is printed")
    listen.set_defaults(run=_listen)

    logs = commands.add_parser("logs", help="watch what happens").add_subparsers(
        metavar="COMMAND", required=True
    )
    tail = logs.add_parser(
        "tail",
        parents=[watched, shared],
        help="print your events as they happen",
        description=_TAIL,
        formatter_class=_PLAIN,
    )
    tail.set_defaults(run=_tail)

    events = commands.add_parser("events", help="send events again").add_subparsers(
        metavar="COMMAND", required=True
    )
    resend = events.add_parser(
        "resend",
        parents=[shared],
        help="send an event again",
        description=_RESEND,
        formatter_class=_PLAIN,
    )
    resend.add_argument("event", metavar="EVENT", help="the event's id, evt_…")
    resend.add_argument("--endpoint", metavar="ID", help="to this endpoint alone, whe_…")
    resend.set_defaults(run=_resend)


def _listen(given: argparse.Namespace, profile: Profile) -> None:
    url = _local(given.forward_to)
    secret = given.secret or f"whsec_{b64encode(secrets.token_bytes(32)).decode()}"
    sign_webhook(b"", "check", 0, secret)  # refuses what is no secret before anything is asked for
    with profile.client() as client, httpx.Client(timeout=_ANSWER_SECONDS, trust_env=False) as local:
        sys.stdout.write(f"signing with {secret}\nforwarding to {url}\n")
        sys.stdout.flush()
        for event in _events(client, given):
            sys.stdout.write(f"{_line(event)}  {_forwarded(local, url, event, secret)}\n")
            sys.stdout.flush()


def _tail(given: argparse.Namespace, profile: Profile) -> None:
    with profile.client() as client:
        for event in _events(client, given):
            sys.stdout.write(f"{_line(event)}  {bytes(event.data).decode()}\n")
            sys.stdout.flush()


def _resend(given: argparse.Namespace, profile: Profile) -> None:
    with profile.client() as client:
        queued = client.do(operations.resend_event(given.event, endpoint=given.endpoint)).queued
    sys.stdout.write(f"{queued} deliveries are on their way\n")


def _events(client: Client, given: argparse.Namespace) -> Iterator[PartnerEvent]:
    """Events from an instant on, each once, for as long as somebody listens."""
    left = given.count
    since = _instant(given.since)
    seen: set[str] = set()
    while left is None or left > 0:
        latest = since
        for event in client.events(since=since - _OVERLAP if seen else since, kind=given.type):
            latest = max(latest, event.timestamp)
            if event.id in seen:
                continue
            seen.add(event.id)
            yield event
            if left is not None:
                left -= 1
                if left == 0:
                    return
        since = latest
        time.sleep(_POLL_SECONDS)


def _instant(text: str | None) -> datetime:
    if text is None:
        return datetime.now(UTC)  # noqa: TID251 - this machine's clock
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise Unusable(f"--since {text}: write it as 2026-05-01T10:15:00Z") from error
    if at.tzinfo is None:
        raise Unusable(f"--since {text} has no zone: write it as 2026-05-01T10:15:00Z")
    return at


def _local(text: str) -> httpx.URL:
    """The address of a program on this machine: members' purchases go nowhere else."""
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise Unusable(f"--forward-to {text}: {error}") from error
    if url.scheme not in {"http", "https"} or not is_local(url.host):
        raise Unusable(f"--forward-to {text}: name a port of this machine, as http://127.0.0.1:3000/webhooks")
    return url


def _forwarded(local: httpx.Client, url: httpx.URL, event: PartnerEvent, secret: str) -> str:
    """Send an event as a webhook; what came of it, in a word."""
    body = msgspec.json.encode({"type": event.type, "timestamp": event.timestamp, "data": event.data})
    stamp = int(time.time())  # noqa: TID251 - a webhook carries real time
    headers = {
        "content-type": "application/json",
        "webhook-id": event.id,
        "webhook-timestamp": str(stamp),
        "webhook-signature": sign_webhook(body, event.id, stamp, secret),
    }
    try:
        return f"-> {local.post(url, content=body, headers=headers).status_code}"
    except httpx.RequestError as error:
        return f"-> no answer: {error}"


def _line(event: PartnerEvent) -> str:
    return f"{event.timestamp:%Y-%m-%d %H:%M:%S}  {event.type:<18}  {event.id}"
