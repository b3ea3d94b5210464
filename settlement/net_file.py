"""The operator's what-if files: debts, and what stands behind a debtor (pure).

Debts: debtor, creditor, amount, currency and, if you like, kind. Amounts are exact, to eight decimals. A kind
is `claim` (also where there is none), or `fee` or `vat`, which rank first when the debtor does not pay.
Deposits: participant, amount, currency and, if you like, kind: `deposit`, `guarantee` (its part of the fund),
or `carry` (what it lends until the next night). These are cash: whole minor units.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Literal, get_args

import msgspec

from settlement.money import minor_digits
from settlement.table_file import (
    Fault,
    Faults,
    Record,
    amount_fault,
    currency_fault,
    missing,
    name_fault,
    records,
    shown,
    word_fault,
)

COLUMNS = ("debtor", "creditor", "amount", "currency")
DEPOSIT_COLUMNS = ("participant", "amount", "currency")
DECIMALS = 8

DebtKind = Literal["claim", "fee", "vat"]
DEBT_KINDS: tuple[DebtKind, ...] = get_args(DebtKind)
DepositKind = Literal["deposit", "guarantee", "carry"]
DEPOSIT_KINDS: tuple[DepositKind, ...] = get_args(DepositKind)


class DebtLine(msgspec.Struct, frozen=True, kw_only=True):
    """One debt of the file; `amount` is above zero, in major units."""

    line: int
    debtor: str
    creditor: str
    amount: Decimal
    currency: str
    kind: DebtKind = "claim"


class DepositLine(msgspec.Struct, frozen=True, kw_only=True):
    """What a participant left with the hub, or lends it; `amount` is not below zero, in major units."""

    line: int
    participant: str
    amount: Decimal
    currency: str
    kind: DepositKind = "deposit"


def read(content: str | bytes) -> tuple[DebtLine, ...] | Faults:
    """Read a file of debts.

    Returns:
        Its debts in order, or every problem it has; never both.
    """
    found = records(content, COLUMNS, ("kind",), of="debts")
    if isinstance(found, Faults):
        return found
    debts: list[DebtLine] = []
    faults: list[Fault] = []
    for one in found:
        wrong = [one] if isinstance(one, Fault) else _debt_faults(one)
        faults += wrong
        if not wrong and isinstance(one, Record):
            debts.append(_debt(one))
    return Faults(tuple(faults)) if faults else tuple(debts)


def read_deposits(content: str | bytes) -> tuple[DepositLine, ...] | Faults:
    """Read a file of deposits, as `read` does debts; one line for each participant, currency and kind."""
    found = records(content, DEPOSIT_COLUMNS, ("kind",), of="deposits")
    if isinstance(found, Faults):
        return found
    deposits: dict[tuple[str, str, str], DepositLine] = {}
    faults: list[Fault] = []
    for one in found:
        wrong = [one] if isinstance(one, Fault) else _deposit_faults(one)
        faults += wrong
        if wrong or isinstance(one, Fault):
            continue
        deposit = _deposit(one)
        first = deposits.setdefault((deposit.participant, deposit.currency, deposit.kind), deposit)
        if first is not deposit:
            faults.append(
                Fault(one.line, f"line {first.line} has this participant, currency and kind", "participant")
            )
    return Faults(tuple(faults)) if faults else tuple(deposits.values())


def _debt_faults(record: Record) -> list[Fault]:
    fields = record.fields
    checks = {
        "debtor": name_fault("debtor", fields["debtor"]),
        "creditor": name_fault("creditor", fields["creditor"]),
        "amount": amount_fault(
            "amount",
            fields["amount"],
            decimals=DECIMALS,
            zero="leave the line out",
            below="turn debtor and creditor round",
        ),
        "currency": currency_fault("currency", fields["currency"]),
        "kind": word_fault("kind", fields["kind"].lower(), DEBT_KINDS),
    }
    faults = _told(record, COLUMNS, checks)
    if fields["debtor"] and fields["debtor"] == fields["creditor"]:
        problem = f"debtor and creditor are both {shown(fields['debtor'])}"
        faults.append(Fault(record.line, problem, "creditor"))
    return faults


def _deposit_faults(record: Record) -> list[Fault]:
    fields = record.fields
    currency = currency_fault("currency", fields["currency"])
    checks = {
        "participant": name_fault("participant", fields["participant"]),
        "amount": amount_fault(
            "amount",
            fields["amount"],
            decimals=DECIMALS if currency else minor_digits(fields["currency"]),
            zero=None,
            below="what is there cannot be less than nothing",
        ),
        "currency": currency,
        "kind": word_fault("kind", fields["kind"].lower(), DEPOSIT_KINDS),
    }
    return _told(record, DEPOSIT_COLUMNS, checks)


def _told(record: Record, required: Sequence[str], checks: dict[str, str | None]) -> list[Fault]:
    """What is missing, then what is wrong with what is there, in the order of the columns."""
    return missing(record, required) + [
        Fault(record.line, problem, name)
        for name, problem in checks.items()
        if problem is not None and record.fields[name]
    ]


def _debt(record: Record) -> DebtLine:
    fields = record.fields
    return DebtLine(
        line=record.line,
        debtor=fields["debtor"],
        creditor=fields["creditor"],
        amount=Decimal(fields["amount"]),
        currency=fields["currency"],
        kind=next((kind for kind in DEBT_KINDS if kind == fields["kind"].lower()), "claim"),
    )


def _deposit(record: Record) -> DepositLine:
    fields = record.fields
    return DepositLine(
        line=record.line,
        participant=fields["participant"],
        amount=Decimal(fields["amount"]),
        currency=fields["currency"],
        kind=next((kind for kind in DEPOSIT_KINDS if kind == fields["kind"].lower()), "deposit"),
    )
