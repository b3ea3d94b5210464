"""The error catalogue, docs/partners/errors.md, out of the tables that the answers are made from.

`python -m api.catalogue` writes it; a test holds the file against the tables.
"""

import sys
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from pathlib import Path

from api.advice import ADVICE
from api.problems import OPERATOR_PROBLEMS, TABLES

_HEAD = """\
# Every error, and what to do about it

A refusal is a problem (RFC 9457): `code` says which of these it is, `detail` what is special to the request,
`errors` points to the fields, and `request_id` names it in our logs. Branch on `code`, never on the texts.

| status | sent again? |
|---|---|
| 400, 401, 404, 405, 413, 415, 431 | mend the request first; nothing was stored |
| 409 | later, where Retry-After says so |
| 422 | no; what the rules refuse is remembered under its reference, not so `validation_failed` |
| 429, 5xx | the same request, with the same reference, after Retry-After seconds |

This page is made from the code; `python -m api.catalogue` writes it anew.
"""


def problems_of_partners() -> Mapping[str, tuple[int, str]]:
    """Codes with status and title: all that a partner can meet."""
    return {code: held for table in TABLES if table is not OPERATOR_PROBLEMS for code, held in table.items()}


def catalogue() -> str:
    """The page: by status, then by code."""
    return "\n".join([_HEAD, *_sections()])


def write(path: Path) -> None:
    """Write the page."""
    path.write_text(catalogue(), encoding="utf-8")


def _sections() -> Iterator[str]:
    found = problems_of_partners()
    for status in sorted({its for its, _ in found.values()}):
        yield f"## {status} {HTTPStatus(status).phrase}\n"
        for code in sorted(code for code, (its, _) in found.items() if its == status):
            yield f"### {code}\n\n{found[code][1]}.\n"
            if code in ADVICE:
                cause, way_on = ADVICE[code]
                yield f"*Comes from:* {cause}\n\n*What to do:* {way_on}\n"


if __name__ == "__main__":
    from config.settings import PROJECT

    write(PROJECT / "docs" / "partners" / "errors.md")
    sys.stdout.write("written: docs/partners/errors.md\n")
