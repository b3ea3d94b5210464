"""Files of commands: taken whole, carried out in their own time, each line answered in order."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Literal, TypeVar
from uuid import UUID

import msgspec
from fastapi import APIRouter, Query, Request, Response
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from starlette.responses import StreamingResponse

from api.files import reading, results
from api.files.spool import Spooled
from api.openapi import BATCH_DOCS, batch_read_docs, batch_result_docs
from api.problems import ProblemError
from api.service import Service, partner_of, service_of
from network import ids
from network.service import network_now
from partners import files
from partners.errors import FileReused, FilesWaiting
from partners.files import FileBatch, Format, NewFile

NDJSON, CSV = "application/x-ndjson", "text/csv"
LONGEST_WAIT_SECONDS = 30
_FORMATS: dict[str, Format] = {NDJSON: "ndjson", "application/jsonl": "ndjson", CSV: "csv"}
_MEDIA_TYPES = {"ndjson": NDJSON, "csv": f"{CSV}; charset=utf-8"}
_LONGEST_REFERENCE = 128
_PAUSE_SECONDS = 0.2
_DISK_FULL = "53100"

Wait = Annotated[
    int, Query(ge=0, le=LONGEST_WAIT_SECONDS, description="Seconds to wait until the file is done.")
]
Done = TypeVar("Done")

router = APIRouter(prefix="/v1", tags=["Files"])


class BatchBody(msgspec.Struct, frozen=True, kw_only=True):
    """A file and how far it is.

    `lines` are those of the file (a CSV file's header is none), `answered` of them are done, `accepted` and
    `refused` say how. `result` is where the answers are, from when the file is done until `result_until`.
    """

    id: str
    state: Literal["received", "processing", "done"]
    reference: str | None
    format: Format
    lines: int
    answered: int
    accepted: int
    refused: int
    received_at: datetime
    finished_at: datetime | None
    result: str
    result_until: datetime | None


@router.post("/batches", **BATCH_DOCS)
async def batch(request: Request) -> Response:
    """Send a file of commands. A line that is refused does not stop the others.

    The file is named by `Idempotency-Key`, or else by its content: the same file again is the same batch.
    What is answered 202 is carried out, whatever ends in between; look at the address in `Location`.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in _FORMATS:
        raise ProblemError("media_type_unsupported", f"send {NDJSON} or {CSV}")
    reference = request.headers.get("idempotency-key", "").strip()
    if len(reference) > _LONGEST_REFERENCE or not (reference.isascii() and reference.isprintable()):
        raise ProblemError(
            "validation_failed", f"Idempotency-Key: at most {_LONGEST_REFERENCE} ASCII characters"
        )
    service = service_of(request)
    taken = await service.spool.run(
        partial(
            _take,
            service,
            partner_of(request),
            request.state.spooled,
            reference,
            _FORMATS[media_type],
            gzipped=request.headers.get("content-encoding", "").strip().lower() == "gzip",
        )
    )
    service.watch(taken)
    shown = show_batch(taken)
    headers = {"location": f"/v1/batches/{shown.id}"}
    return Response(msgspec.json.encode(shown), 202, headers, "application/json")


def _take(
    service: Service, partner_id: int, spooled: Spooled, reference: str, format_: Format, *, gzipped: bool
) -> FileBatch:
    """Read a file through, then store it; what blocks.

    Raises:
        ProblemError: it cannot be taken.
    """
    looked = reading.look_through(spooled, format_, gzipped=gzipped)
    try:
        with service.database.begin() as connection:
            at = network_now(connection)
            new = NewFile(
                partner_id=partner_id,
                batch_id=ids.mint(at, 0),
                reference=reference,
                format=format_,
                columns=looked.columns,
                content_sha256=looked.content_sha256,
                lines=looked.lines,
            )
            taken, _ = files.accept(connection, new, reading.parts(spooled, format_, gzipped=gzipped), at)
    except FileReused as error:
        raise ProblemError("reference_reused", str(error)) from error
    except FilesWaiting as error:
        raise ProblemError("files_waiting", str(error)) from error
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) == _DISK_FULL:
            raise ProblemError("storage_full") from error
        raise
    return taken


@router.get("/batches/{batch}", **batch_read_docs())
async def state(batch: str, request: Request, wait: Wait = 0) -> Response:
    """How far one of your files is. With `wait` the answer comes when it is done, or the time is over."""
    found = await _awaited(request, batch, wait)
    return Response(msgspec.json.encode(show_batch(found)), media_type="application/json")


@router.get("/batches/{batch}/result", **batch_result_docs())
async def result(
    batch: str,
    request: Request,
    wait: Wait = 0,
    format: Annotated[  # noqa: A002 - the name of the parameter
        Format | None, Query(description="Of the answers; by default the file's own.")
    ] = None,
) -> Response:
    """The answers to a file's lines, in order; kept for a month after the last of them."""
    found = await _awaited(request, batch, wait)
    if found.finished_at is None:
        raise ProblemError("batch_not_done", f"{found.answered} of {found.lines} lines are answered")
    service = service_of(request)
    until = found.kept_until
    if until is None or until <= await _asked(service, network_now):
        raise ProblemError(
            "batch_expired", f"until {until}; send the file again under another Idempotency-Key"
        )
    shown = found.format if format is None else format
    return StreamingResponse(_answers(service, found, shown), media_type=_MEDIA_TYPES[shown])


async def _awaited(request: Request, batch: str, wait: int) -> FileBatch:
    """A file of the partner's, once it is done or the time is over.

    Raises:
        ProblemError: batch_unknown.
    """
    service, partner_id = service_of(request), partner_of(request)
    batch_id = ids.read("bat", batch)
    if batch_id is None:
        raise ProblemError("batch_unknown")
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait
    while True:
        found = await _asked(service, partial(_find, partner_id=partner_id, batch_id=batch_id))
        left = deadline - loop.time()
        if found.finished_at is not None or left <= 0:
            return found
        # not awaited itself: a caller that goes away cancels nothing that others wait for
        done, _ = await asyncio.wait({service.watch(found)}, timeout=left)
        if any(one.exception() for one in done):  # the lane has ended, and another's begins soon
            await asyncio.sleep(min(left, _PAUSE_SECONDS))


def _find(connection: Connection, *, partner_id: int, batch_id: UUID) -> FileBatch:
    found = files.find(connection, partner_id, batch_id)
    if found is None:
        raise ProblemError("batch_unknown")
    return found


async def _asked(service: Service, question: Callable[[Connection], Done]) -> Done:
    """What the database says, asked in a thread."""

    def ask() -> Done:
        with service.database.connect() as connection:
            return question(connection)

    return await service.spool.run(ask)


def _answers(service: Service, batch: FileBatch, shown: Format) -> Iterator[bytes]:
    """A file's answers, piece by piece: no connection is held while they are sent."""
    if shown == "csv":
        yield results.header()
    line = 1
    while line <= batch.lines:
        with service.database.connect() as connection:
            found = files.answers_from(connection, batch, line)
        if found is None:
            raise RuntimeError(f"the answers of file {batch.batch_id} from line {line} on have just expired")
        last, content = found
        yield results.as_csv(content) if shown == "csv" else content
        line = last + 1


def show_batch(batch: FileBatch) -> BatchBody:
    """A file's public form."""
    shown = ids.show("bat", batch.batch_id)
    done: dict[str, Any] = {"state": "processing" if batch.answered else "received"}
    if batch.finished_at is not None:
        done["state"] = "done"
    return BatchBody(
        id=shown,
        **done,
        reference=batch.reference or None,
        format=batch.format,
        lines=batch.lines,
        answered=batch.answered,
        accepted=batch.answered - batch.refused,
        refused=batch.refused,
        received_at=batch.received_at,
        finished_at=batch.finished_at,
        result=f"/v1/batches/{shown}/result",
        result_until=batch.kept_until,
    )
