"""Lines of the log: one object each, with the request's id, and never a card's number."""

import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from api.logs import REQUEST_ID, JsonLines, TextLines, without_cards

CARD = "6330001234567895"


@pytest.fixture
def request_id() -> Iterator[str]:
    """A request that is being handled."""
    token = REQUEST_ID.set("req_1")
    yield "req_1"
    REQUEST_ID.reset(token)


def record(said: str, *args: object, error: bool = False, **extra: Any) -> logging.LogRecord:
    """A line as a logger makes it."""
    told = None
    if error:
        try:
            int(f"card {CARD} is odd")
        except ValueError:
            told = sys.exc_info()
    made = logging.LogRecord("tessera.api", logging.WARNING, __file__, 1, said, args, told)
    made.__dict__.update(extra)
    return made


def test_a_line_is_one_object_with_the_requests_id(request_id: str) -> None:
    """Line ends, quotes and what else is said stay inside of it."""
    line = JsonLines().format(record('said "%s"\n{"level":"info"}', "a", fields={"status": 201}))
    assert "\n" not in line
    said = json.loads(line)
    assert (said["request_id"], said["level"], said["logger"]) == (request_id, "warning", "tessera.api")
    assert (said["message"], said["status"]) == ('said "a"\n{"level":"info"}', 201)


def test_outside_of_a_request_no_id_is_made_up() -> None:
    """The worker's lines have none."""
    assert "request_id" not in json.loads(JsonLines().format(record("x")))
    assert "req_" not in TextLines().format(record("x"))


@pytest.mark.parametrize("form", [JsonLines(), TextLines()])
def test_no_card_is_written(form: logging.Formatter, request_id: str) -> None:
    """In a text, an argument, or an error and its traceback; the id of the request stays."""
    line = form.format(record("card=%s {%s}", CARD, f"x{CARD}y", error=True))
    assert CARD not in line
    assert line.count("[card]") == 3
    assert request_id in line
    assert "ValueError" in line


def test_only_sixteen_digits_are_a_card() -> None:
    """Ids, amounts and times stay as they are."""
    for said in ("ent_01595c8e7c1e7a3f9c2b5d0000000001", "1250", "123456789012345", "12345678901234567"):
        assert without_cards(said) == said


def test_a_slip_in_a_log_call_ends_nothing() -> None:
    """Arguments that do not fit are told, and the line is written."""
    assert "do not fit" in TextLines().format(record("%d and %d", "a"))
