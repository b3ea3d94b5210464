"""The operator's what-if: a file of debts, netted per currency (pure).

A CSV file with the columns debtor, creditor, amount, currency, in any order. Every bad line is named, all of
them at once. Amounts are exact, to eight decimals; only the payments are rounded, by largest remainder.
"""

import csv
import io
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

import msgspec

from settlement.money import exactly, fixed_scale, from_minor, minor_digits
from settlement.netting import (
    bilateral_nets,
    gross,
    multilateral_positions,
    payments,
    round_positions,
    to_be_paid,
)

COLUMNS = ("debtor", "creditor", "amount", "currency")
DECIMALS = 8
_LONGEST_NAME = 200
_AMOUNT = re.compile(r"[0-9]{1,18}(?:\.([0-9]+))?")
_CURRENCY = re.compile(r"[A-Z]{3}")
_HEADER = ",".join(COLUMNS)


class DebtLine(msgspec.Struct, frozen=True, kw_only=True):
    """One debt of the file; `amount` is above zero, in major units."""

    line: int
    debtor: str
    creditor: str
    amount: Decimal
    currency: str


class Fault(msgspec.Struct, frozen=True):
    """What is wrong with a line, counted as an editor counts them, from 1."""

    line: int
    problem: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.problem}"


class Faults(msgspec.Struct, frozen=True):
    """A file that cannot be netted, with every reason; for the exit status 2."""

    faults: tuple[Fault, ...]


class NetPosition(msgspec.Struct, frozen=True, kw_only=True):
    """A participant against the hub: exact, and as it is paid (+ receives, - pays)."""

    participant: str
    exact: Decimal
    final: Decimal


class CurrencyNet(msgspec.Struct, frozen=True, kw_only=True):
    """The debts of one currency, netted. Amounts are in major units; all but `final` and payments are exact.

    `pay_in` and `pay_out` are the payments to and from the hub; each side sums to `paid`. `scale`: decimals
    with which exact amounts are shown, the most that any line had.
    """

    currency: str
    minor_digits: int
    scale: int
    lines: int
    gross: Decimal
    bilateral: Decimal
    multilateral: Decimal
    nets: tuple[tuple[str, str, Decimal], ...]
    positions: tuple[NetPosition, ...]
    pay_in: tuple[tuple[str, Decimal], ...]
    pay_out: tuple[tuple[str, Decimal], ...]
    paid: Decimal


def read(content: str | bytes) -> tuple[DebtLine, ...] | Faults:
    """Read a file of debts.

    Returns:
        Its debts in order, or every problem it has; never both.
    """
    if isinstance(content, bytes):
        decoded = _decode(content)
        if isinstance(decoded, Fault):
            return Faults((decoded,))
        content = decoded
    rows = _rows(content.removeprefix("\ufeff"))
    header = next(rows, None)
    if header is None:
        return Faults((Fault(1, f"the file is empty; its first line must be {_HEADER}"),))
    columns = _columns(header)
    if isinstance(columns, Faults):
        return columns
    debts: list[DebtLine] = []
    problems: list[Fault] = []
    for row in rows:
        debt = row if isinstance(row, Fault) else _debt(row, columns)
        if isinstance(debt, DebtLine):
            debts.append(debt)
        else:
            problems.extend((debt,) if isinstance(debt, Fault) else debt)
    if not debts and not problems:
        problems.append(Fault(header.line + 1, "the file has a header and no debts"))
    return Faults(tuple(problems)) if problems else tuple(debts)


class _Row(msgspec.Struct, frozen=True):
    line: int
    fields: Sequence[str]


def _decode(content: bytes) -> str | Fault:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return Fault(1, "the file is UTF-16; save it as CSV in UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return Fault(line, "the file is not UTF-8 from here on; save it as CSV in UTF-8")


def _rows(text: str) -> Iterator[_Row | Fault]:
    """Rows with the line they begin on; blank ones are passed over, broken quoting is told."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            unclosed = "unexpected end" in str(error)
            yield Fault(line, "a quote is opened here and never closed" if unclosed else f"not CSV: {error}")
            continue
        stripped = [unicodedata.normalize("NFC", field.strip()) for field in fields]
        if any(stripped):
            yield _Row(line, stripped)


def _columns(header: _Row | Fault) -> tuple[str, ...] | Faults:
    """Names of the columns as they stand, or what is wrong with the header."""
    if isinstance(header, Fault):
        return Faults((header,))
    names = tuple(field.lower() for field in header.fields)
    problems = [
        f"column {_shown(name)} is unknown; the columns are {_HEADER}"
        for name in names
        if name not in COLUMNS
    ]
    problems += [f"column {name} is missing" for name in COLUMNS if name not in names]
    problems += [
        f"column {name} stands there {names.count(name)} times" for name in COLUMNS if names.count(name) > 1
    ]
    if len(names) == 1 and any(separator in names[0] for separator in ";\t|"):
        problems = [f"columns must be separated by commas: {_HEADER}"]
    elif not set(names) & set(COLUMNS):
        problems = [f"the first line must be a header: {_HEADER}"]
    return Faults(tuple(Fault(header.line, problem) for problem in problems)) if problems else names


def _debt(row: _Row, columns: Sequence[str]) -> DebtLine | tuple[Fault, ...]:
    if len(row.fields) > len(columns):
        problem = (
            f"{len(row.fields)} fields, and the header has {len(columns)}; "
            "a name with a comma needs quotes, an amount has none: 1234.50"
        )
        return (Fault(row.line, problem),)
    fields = dict.fromkeys(COLUMNS, "") | dict(zip(columns, row.fields, strict=False))
    problems = [f"{name} is missing" for name in COLUMNS if not fields[name]]
    problems += [
        fault
        for name, check in (("debtor", _name_fault), ("creditor", _name_fault), ("amount", _amount_fault))
        if fields[name] and (fault := check(name, fields[name]))
    ]
    if fields["currency"] and not _CURRENCY.fullmatch(fields["currency"]):
        problems.append(
            f"currency {_shown(fields['currency'])} is no ISO 4217 code: three capital letters, such as EUR"
        )
    if fields["debtor"] and fields["debtor"] == fields["creditor"]:
        problems.append(f"debtor and creditor are both {_shown(fields['debtor'])}")
    if problems:
        return tuple(Fault(row.line, problem) for problem in problems)
    return DebtLine(
        line=row.line,
        debtor=fields["debtor"],
        creditor=fields["creditor"],
        amount=Decimal(fields["amount"]),
        currency=fields["currency"],
    )


def _name_fault(column: str, name: str) -> str | None:
    if len(name) > _LONGEST_NAME:
        return f"{column} has {len(name)} characters; at most {_LONGEST_NAME} are taken"
    if not name.isprintable():
        return f"{column} {_shown(name)} has characters that cannot be printed"
    return None


def _amount_fault(column: str, amount: str) -> str | None:
    number = _AMOUNT.fullmatch(amount)
    if number is None:
        return f"{column} {_shown(amount)} {_not_a_number(amount)}"
    if len(number[1] or "") > DECIMALS:
        return f"{column} {_shown(amount)} has {len(number[1])} decimals; at most {DECIMALS} are taken"
    if not amount.strip("0."):
        return f"{column} is zero: leave the line out"
    return None


def _not_a_number(amount: str) -> str:
    plain = amount.replace(",", "").replace(" ", "").replace("\u00a0", "")
    if amount.startswith("-") and _AMOUNT.fullmatch(amount[1:]):
        return "is below zero: turn debtor and creditor round"
    if plain != amount and _AMOUNT.fullmatch(plain):
        return f"is not a number: write {plain}, if that is meant: no separators"
    return "is not a number: write digits with a point, such as 1234.50"


def _shown(text: str) -> str:
    """Text from the file as it can be printed: short, and with nothing that a terminal would obey."""
    return ascii(text if len(text) <= 40 else text[:39] + "…")


@exactly
def report(debts: Sequence[DebtLine]) -> tuple[CurrencyNet, ...]:
    """Net debts, each currency by itself, sorted by currency."""
    by_currency: dict[str, list[DebtLine]] = {}
    for debt in debts:
        by_currency.setdefault(debt.currency, []).append(debt)
    return tuple(_net(currency, lines) for currency, lines in sorted(by_currency.items()))


def _net(currency: str, lines: Sequence[DebtLine]) -> CurrencyNet:
    digits = minor_digits(currency)
    debts = [(line.debtor, line.creditor, line.amount) for line in lines]
    nets = bilateral_nets(debts)
    exact = multilateral_positions(debts)
    finals = {party: one.final_minor for party, one in round_positions(exact, digits).items()}
    pay_in, pay_out = (
        tuple((party, from_minor(minor, digits)) for party, minor in side.items())
        for side in payments(finals)
    )
    return CurrencyNet(
        currency=currency,
        minor_digits=digits,
        scale=max(digits, *(_decimals(line.amount) for line in lines)),
        lines=len(lines),
        gross=gross(debts),
        bilateral=to_be_paid(nets.values()),
        multilateral=to_be_paid(exact.values()),
        nets=tuple((debtor, creditor, amount) for (debtor, creditor), amount in nets.items()),
        positions=tuple(
            NetPosition(participant=party, exact=amount, final=from_minor(finals[party], digits))
            for party, amount in exact.items()
        ),
        pay_in=pay_in,
        pay_out=pay_out,
        paid=to_be_paid(amount for _, amount in pay_in),
    )


def _decimals(amount: Decimal) -> int:
    exponent = amount.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def as_json(nets: Sequence[CurrencyNet]) -> Mapping[str, object]:
    """What `--json` prints: exact amounts at the file's scale, payments at the currency's, all as text."""
    return {"currencies": [_currency_as_json(net) for net in nets]}


def faults_as_json(faults: Faults) -> Mapping[str, object]:
    """What `--json` prints for a bad file."""
    return {"errors": [{"line": one.line, "problem": one.problem} for one in faults.faults]}


def _currency_as_json(net: CurrencyNet) -> Mapping[str, object]:
    exact, paid = net.scale, net.minor_digits
    return {
        "currency": net.currency,
        "minor_digits": net.minor_digits,
        "debts": net.lines,
        "gross": fixed_scale(net.gross, exact),
        "bilateral": {
            "total": fixed_scale(net.bilateral, exact),
            "nets": [
                {"debtor": debtor, "creditor": creditor, "amount": fixed_scale(amount, exact)}
                for debtor, creditor, amount in net.nets
            ],
        },
        "multilateral": {
            "total": fixed_scale(net.multilateral, exact),
            "positions": [
                {
                    "participant": one.participant,
                    "exact": fixed_scale(one.exact, exact),
                    "rounded": fixed_scale(one.final, paid),
                }
                for one in net.positions
            ],
        },
        "payments": {
            "total": fixed_scale(net.paid, paid),
            "to_hub": [
                {"participant": party, "amount": fixed_scale(amount, paid)} for party, amount in net.pay_in
            ],
            "from_hub": [
                {"participant": party, "amount": fixed_scale(amount, paid)} for party, amount in net.pay_out
            ],
        },
    }
