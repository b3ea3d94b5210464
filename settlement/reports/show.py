"""How figures and words are written: money, points, CSV cells, pages, files."""

import csv
import io
import os
import secrets
from collections.abc import Iterable, Sequence
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from settlement.money import EXACT, from_minor, half_up_minor

MINUS = "\N{MINUS SIGN}"
RISKY = ("=", "+", "-", "@", "\t", "\r", "\n")


def plain(amount: Decimal) -> str:
    """An exact amount for a machine, at least two decimals and no more than it needs: -1234.5025."""
    return f"{amount:.{_decimals(amount)}f}"


def money(amount: Decimal | None) -> str:
    """An exact amount for a reader: 1,234.5025, with a true minus sign; nothing for None."""
    return "" if amount is None else f"{amount:,.{_decimals(amount)}f}".replace("-", MINUS)


def cents(amount: Decimal) -> str:
    """An amount for a table whose exact figures stand elsewhere, half-up to two decimals."""
    return money(from_minor(half_up_minor(amount, 2), 2))


def whole(count: int | None) -> str:
    """A count for a reader: 1,234; nothing for None."""
    return "" if count is None else f"{count:,}".replace("-", MINUS)


def _decimals(amount: Decimal) -> int:
    return max(2, -int(amount.normalize(EXACT).as_tuple().exponent))


def sentence(text: str) -> str:
    """A label as the start of a line: first letter large, the rest as it is, no underscores."""
    return text[:1].upper() + text[1:].replace("_", " ")


def safe_cell(value: object) -> str:
    """One CSV cell. Text that a spreadsheet would run as a formula gets an apostrophe before it.

    Numbers are ours and stay numbers, the negative ones too.
    """
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, int):
        return str(value)
    text = str(value)
    # one that has apostrophes already gets one more, so that who takes one off has the text again
    return f"'{text}" if text.lstrip("'").startswith(RISKY) else text


def csv_bytes(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """A CSV file (RFC 4180, UTF-8), safe to open in a spreadsheet."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(header)
    writer.writerows([safe_cell(value) for value in row] for row in rows)
    return out.getvalue().encode()


def write_whole(path: Path, content: bytes) -> Path:
    """Write a file so that nobody ever sees half of it; one that is right already is left alone."""
    with suppress(FileNotFoundError):
        if path.read_bytes() == content:
            return path
    # a name of this writer's own: two workers may write the same night at once
    part = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def _pages() -> Environment:
    folder = Path(__file__).parent.parent / "templates"
    pages = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    pages.filters.update(money=money, cents=cents, whole=whole, sentence=sentence)
    return pages


PAGES = _pages()
"""Templates, compiled at first use and escaping whatever they are given."""
