"""What a lane does with lines of a file: lines → commands → outcomes → the bytes of answers."""

import logging
from collections.abc import Sequence

import msgspec

from api.bodies import LINE, EntryBody, read_body, show_reply
from api.files.columns import read_row
from api.files.reading import LONGEST_LINE
from api.problems import FieldError, ProblemError, failure, problem
from network.commands import Command, Showing
from network.outcomes import Reply
from partners.files import FileBatch

DONE = 201
"""The status of a line that was carried out."""

log = logging.getLogger("tessera.api")


class LineAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one line of a file: an entry, or the code of its problem.

    `line` counts from 1; a CSV file's header is not counted.
    """

    line: int
    status: int
    replayed: bool = False
    entry: EntryBody | None = None
    code: str | None = None
    detail: str | None = None
    errors: tuple[FieldError, ...] = ()


Line = Command | LineAnswer
"""A line as it was read: what it asks for, or why that cannot be said."""


def read_lines(batch: FileBatch, raw: Sequence[bytes], first: int) -> list[Line]:
    """Read lines of a file.

    Args:
        batch: The file.
        raw: The lines, without their ends.
        first: The number of the first of them.
    """
    return [_read(batch, line, number) for number, line in enumerate(raw, start=first)]


def _read(batch: FileBatch, raw: bytes, number: int) -> Line:
    try:
        return _without_pin(_command(batch, raw))
    except ProblemError as error:
        return LineAnswer(
            line=number,
            status=problem(error.code).status,
            code=error.code,
            detail=error.detail or None,
            errors=tuple(error.errors),
        )


def _command(batch: FileBatch, raw: bytes) -> Command:
    if len(raw) > LONGEST_LINE:
        raise ProblemError("body_too_large", f"a line has at most {LONGEST_LINE:,} bytes")
    if batch.format == "csv":
        return read_row(raw, batch.columns, batch.partner_id)
    command: Command = read_body(raw, LINE).command(batch.partner_id)
    return command


def _without_pin(command: Command) -> Command:
    """A PIN is typed and sent at once: none is kept, and a file is, until it is carried out."""
    if isinstance(command, Showing) and command.pin:
        raise ProblemError("validation_failed", "files take no PIN", [FieldError("/pin", "in_file")])
    return command


def limited(lines: Sequence[Line], first: int) -> list[Line]:
    """Lines of a partner whose files have named many cards that do not exist: what names a card, or a
    code on paper, waits.

    It is not carried out, whether its card exists or not, and may be sent again.
    """
    return [
        LineAnswer(line=number, status=problem("cards_limited").status, code="cards_limited")
        if not isinstance(line, LineAnswer) and (hasattr(line, "card_number") or hasattr(line, "voucher_id"))
        else line
        for number, line in enumerate(lines, start=first)
    ]


def answer(outcome: Reply | Exception, number: int, request: str) -> LineAnswer:
    """What is said of a line: of what it came to, or of why it broke.

    Args:
        outcome: Of its command.
        number: The line's.
        request: What the log calls it.
    """
    if isinstance(outcome, Reply):
        # Answers to files are kept for a month, and codes are not: who sends the line alone is told it.
        shown = show_reply(msgspec.structs.replace(outcome, code=""))
        if isinstance(shown, str):
            return LineAnswer(
                line=number, status=problem(shown).status, code=shown, replayed=outcome.replayed
            )
        return LineAnswer(line=number, status=DONE, entry=shown, replayed=outcome.replayed)
    try:
        said = failure(outcome, request)
    except Exception:
        log.exception("%s failed", request)
        said = problem("internal_error")
    return LineAnswer(line=number, status=said.status, code=said.code)


def bytes_of(answers: Sequence[LineAnswer]) -> bytes:
    """Answers as NDJSON."""
    return ENCODER.encode_lines(answers)


ENCODER = msgspec.json.Encoder()
