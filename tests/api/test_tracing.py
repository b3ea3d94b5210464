"""Traces: one from the caller's traceparent to the statements, and nothing at all where they are off."""

import subprocess
import sys
from collections.abc import Iterator

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sqlalchemy import Engine
from starlette.testclient import TestClient

from api.app import create_app
from api.lanes.hiring import serve_on
from api.lanes.lane import Hire
from api.switched import tracing_of
from api.tracing import Tracing
from config.settings import PROJECT
from network import pipeline
from network.rules import Rules
from partners.model import PartnerKey
from partners.store import add_key
from tests.api.conftest import AUTHORITY, LONG_AGO, Till, a_sale, real_now
from tests.coalition import GROCER
from tests.traced import InWatchedThread

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def spans() -> Iterator[tuple[Tracing, InMemorySpanExporter]]:
    """What makes spans, and where they are kept."""
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    tracing = Tracing(provider)
    pipeline.observe_with(tracing.statements)
    yield tracing, kept
    pipeline.observe_with(None)
    tracing.close()


def lanes(database: Engine, tracing: Tracing) -> Hire:
    """Lanes in threads whose batches are traced."""
    return lambda name, channel: InWatchedThread(
        database, name, channel, tracing.batch, tracing.lines, serve_on
    )


def test_a_request_is_traced_from_the_door_to_its_statements(
    database: Engine, live: Rules, spans: tuple[Tracing, InMemorySpanExporter]
) -> None:
    """door → lane → batch → statements, in the caller's trace, and lines of files in one of their own; no
    value of a request is in any of them."""
    tracing, kept = spans
    app = create_app(
        database, authority=AUTHORITY, now=real_now, hire=lanes(database, tracing), around=tracing.door
    )
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes_raw()
    with database.begin() as connection:
        add_key(connection, PartnerKey(key_id="g", partner_id=GROCER, public_key=public, not_before=LONG_AGO))
    with TestClient(app, base_url=f"http://{AUTHORITY}") as client:
        grocer = Till(client, "g", key)
        card = grocer.enrol()["card"]
        kept.clear()
        client.headers["traceparent"] = CALLER
        answer = grocer.post("/v1/accruals", **a_sale(card, 500, "s1"))
        assert answer.status_code == 201
        del client.headers["traceparent"]
        sent = grocer.batch(msgspec.json.encode({"type": "accrual", **a_sale(card, 500, "f1")}))
        grocer.answers(sent)
    [lines] = [span for span in kept.get_finished_spans() if span.name == "lines of files"]
    assert dict(lines.attributes or {}) == {"tessera.batch_size": 1, "tessera.files": (sent["id"],)}
    assert _id_of(lines) in {_parent_of(span) for span in kept.get_finished_spans()}
    made = {span.name: span for span in kept.get_finished_spans() if _trace_of(span) == CALLER[3:35]}
    door, lane, batch = made["POST /v1/accruals"], made["lane /v1/accruals"], made["batch"]
    assert [_parent_of(one) for one in (door, lane, batch)] == [CALLER[36:52], _id_of(door), _id_of(lane)]
    statements = [span for name, span in made.items() if name.endswith("statements")]
    assert statements
    assert {_parent_of(one) for one in statements} == {_id_of(batch)}
    assert (door.attributes or {})["tessera.request_id"] == answer.headers["request-id"]
    assert (batch.attributes or {})["tessera.batch_size"] == 1
    everything = " ".join(span.to_json() for span in kept.get_finished_spans())
    assert "INSERT INTO entry" in everything
    for hidden in (card, "s1", "f1", "signature"):
        assert f'"{hidden}"' not in everything
    del live


def test_where_they_are_off_nothing_is_imported() -> None:
    """Neither the server nor a lane knows the library then."""
    script = (
        "import sys; import api.app, api.cli, api.lanes.__main__, api.worker\n"
        "from api.switched import tracing_of\n"
        "with tracing_of(None, 'door') as tracing: assert tracing is None\n"
        "assert not [one for one in sys.modules if one.startswith('opentelemetry.sdk')], 'imported'"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    with tracing_of(None, "door") as tracing:
        assert tracing is None
    assert pipeline._Observed.by is None


def _trace_of(span: ReadableSpan) -> str:
    return "" if span.context is None else f"{span.context.trace_id:032x}"


def _id_of(span: ReadableSpan) -> str:
    return "" if span.context is None else f"{span.context.span_id:016x}"


def _parent_of(span: ReadableSpan) -> str:
    return "" if span.parent is None else f"{span.parent.span_id:016x}"
