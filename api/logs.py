"""Logs: plain lines or JSON, each with the id of the request it is about, and none with a card's number.

Whoever handles a request sets REQUEST_ID; every line that is written meanwhile carries it, whichever library
writes it. Sixteen digits in a row are a card to us, and are blotted out of texts and tracebacks.
"""

import json
import logging
import re
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Literal

LogFormat = Literal["text", "json"]
REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")
"""The request that is being handled; "" outside of any."""

_CARD = re.compile(r"(?<![0-9])[0-9]{16}(?![0-9])")
_BLOT = "[card]"


def without_cards(said: str) -> str:
    """A text with all numbers of sixteen digits blotted out."""
    return _CARD.sub(_BLOT, said)


class TextLines(logging.Formatter):
    """Lines for people."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and the traceback where there is one."""
        about = REQUEST_ID.get()
        at = datetime.fromtimestamp(record.created, UTC).isoformat(sep=" ", timespec="milliseconds")
        head = f"{at} {record.levelname} {record.name} {about + ' ' if about else ''}"
        return without_cards(head + _message(record) + _trace(self, record, before="\n"))


class JsonLines(logging.Formatter):
    """One JSON object a line, for machines."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, whatever was said: line ends are escaped."""
        said: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": without_cards(_message(record)),
        }
        if about := REQUEST_ID.get():
            said["request_id"] = about
        said |= getattr(record, "fields", {})
        if error := _trace(self, record):
            said["error"] = without_cards(error)
        return json.dumps(said, ensure_ascii=False, default=str)


def set_up_logging(level: str, form: LogFormat) -> None:
    """Have all loggers of this process write to its standard error, in one form."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else TextLines())
    root = logging.getLogger()
    if not root.handlers:  # as basicConfig: who embeds us has logs of its own
        root.addHandler(handler)
        root.setLevel(level.upper())


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # a slip in a log call must not end what it was about
        return f"{record.msg!r} with {len(record.args or ())} arguments that do not fit"


def _trace(formatter: logging.Formatter, record: logging.LogRecord, before: str = "") -> str:
    if not record.exc_info and not record.stack_info:
        return ""
    told = formatter.formatException(record.exc_info) if record.exc_info else ""
    return before + "\n".join(part for part in (told, record.stack_info) if part)
