"""What each event of a run writes into the money ledger (pure).

Amounts are exact major units; a debit is above zero. docs/night.md has the same as a table. Operator, pool,
FX and safeguarding account are participants like any, paid through the hub; what they are owed is their
`claim`, which stands against what the scheme owes for it (points, charges, VAT) until the hub has paid.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal

from partners.model import FX_ID, HUB_ID, OPERATOR_ID, POOL_ID, SAFEGUARD_ID
from settlement.errors import LedgerUnbalanced
from settlement.model import Flow, Obligation, Position
from settlement.money import ZERO, exactly, from_minor, minor_digits
from settlement.money_model import Account, Direction, EntryKind, MoneyEntry, MoneyLine

OURS = (OPERATOR_ID, POOL_ID, FX_ID, SAFEGUARD_ID)
"""Participants whose money is on this ledger from both sides."""

_Key = tuple[Account, int, str]


@exactly
def netted(
    window_id: int,
    revision: int,
    value_on: date,
    positions: Sequence[Position],
    obligations: Iterable[Obligation],
) -> MoneyEntry:
    """What a night leaves to be paid, what it carries, and what of it is points, fees, VAT and margin."""
    sums: dict[_Key, Decimal] = {}
    debts = tuple(obligations)
    lapsed, taxed = _operators(debts, "lapse"), _operators(debts, "vat")
    charged: dict[str, Decimal] = {}
    for one in positions:
        _add_payment(sums, one)
        if one.participant_id != OPERATOR_ID:
            charged[one.currency] = charged.get(one.currency, ZERO) + _charge(sums, one)
    for one in positions:
        tonight = one.exact - one.carried_in
        if one.participant_id in OURS:
            _add(sums, "claim", one.participant_id, one.currency, tonight)
        if one.participant_id == POOL_ID:
            _add(sums, "pool", POOL_ID, one.currency, -tonight)
        elif one.participant_id == SAFEGUARD_ID:
            _add(sums, "safeguarded", SAFEGUARD_ID, one.currency, -tonight)
        elif one.participant_id == FX_ID:
            _add(sums, "fx", FX_ID, one.currency, -tonight)
        elif one.participant_id == OPERATOR_ID:
            breakage, vat = lapsed.get(one.currency, ZERO), taxed.get(one.currency, ZERO)
            margin = tonight - one.converted - charged.get(one.currency, ZERO) - breakage - vat
            _add(sums, "breakage", OPERATOR_ID, one.currency, -breakage)
            _add(sums, "vat", OPERATOR_ID, one.currency, -vat)
            _add(sums, "margin", OPERATOR_ID, one.currency, -margin)
            _add(sums, "fx", OPERATOR_ID, one.currency, -one.converted)
    return entry("netted", f"{window_id}/{revision}", value_on, sums, run=(window_id, revision))


def turned_round(before: MoneyEntry, kind: EntryKind, reference: str, value_on: date) -> MoneyEntry:
    """An entry that takes back another, line by line."""
    return MoneyEntry(
        kind=kind,
        reference=reference,
        window_id=before.window_id,
        revision=before.revision,
        value_on=value_on,
        lines=tuple(
            MoneyLine(line.account, line.participant_id, line.currency, -line.amount) for line in before.lines
        ),
    )


@exactly
def payment(
    direction: Direction,
    reference: str,
    value_on: date,
    *,
    participant_id: int,
    currency: str,
    minor: int,
    surplus_minor: int = 0,
    run: tuple[int, int],
) -> MoneyEntry:
    """What the bank booked on an instruction: `minor` on it, `surplus_minor` beyond it, into suspense.

    Below zero both are what came back.
    """
    digits = minor_digits(currency)
    part, surplus = from_minor(minor, digits), from_minor(surplus_minor, digits)
    sums: dict[_Key, Decimal] = {}
    if direction == "in":
        _add(sums, "cash", HUB_ID, currency, part + surplus)
        _add(sums, "receivable", participant_id, currency, -part)
        _add(sums, "suspense", participant_id, currency, -surplus)
        ours = -part
    else:
        _add(sums, "cash", HUB_ID, currency, -part - surplus)
        _add(sums, "payable", participant_id, currency, part)
        _add(sums, "suspense", participant_id, currency, surplus)
        ours = part
    if participant_id in OURS:
        _add(sums, "cash", participant_id, currency, ours)
        _add(sums, "claim", participant_id, currency, -ours)
    return entry("pay_in" if direction == "in" else "pay_out", reference, value_on, sums, run=run)


@exactly
def moved(
    kind: EntryKind,
    reference: str,
    value_on: date,
    debit: tuple[Account, int],
    credit: tuple[Account, int],
    *,
    currency: str,
    minor: int,
    run: tuple[int, int] | None = None,
) -> MoneyEntry:
    """One amount from one account to another: suspense and its way out, cover that comes and goes."""
    amount = from_minor(minor, minor_digits(currency))
    sums: dict[_Key, Decimal] = {}
    _add(sums, *debit, currency, amount)
    _add(sums, *credit, currency, -amount)
    return entry(kind, reference, value_on, sums, run=run)


@exactly
def entry(
    kind: EntryKind,
    reference: str,
    value_on: date,
    sums: Mapping[_Key, Decimal],
    *,
    run: tuple[int, int] | None = None,
) -> MoneyEntry:
    """An entry from what each account moves; lines of nothing are left out.

    Raises:
        LedgerUnbalanced: the lines of a currency do not sum to zero.
    """
    totals: dict[str, Decimal] = {}
    for (_, _, currency), amount in sums.items():
        totals[currency] = totals.get(currency, ZERO) + amount
    for currency, total in totals.items():
        if total != 0:
            raise LedgerUnbalanced(f"{kind} {reference}: its lines leave {total} {currency} over")
    window_id, revision = run or (None, None)
    return MoneyEntry(
        kind=kind,
        reference=reference,
        window_id=window_id,
        revision=revision,
        value_on=value_on,
        lines=tuple(MoneyLine(*key, sums[key]) for key in sorted(sums) if sums[key] != 0),
    )


def _add(
    sums: dict[_Key, Decimal], account: Account, participant_id: int, currency: str, amount: Decimal
) -> None:
    key = (account, participant_id, currency)
    sums[key] = sums.get(key, ZERO) + amount


def _add_payment(sums: dict[_Key, Decimal], one: Position) -> None:
    """What a participant is to pay or get, and what is carried instead: together what tonight gave it."""
    digits = minor_digits(one.currency)
    party, currency = one.participant_id, one.currency
    pays: Account = "receivable" if one.payment_minor < 0 else "payable"
    _add(sums, pays, party, currency, from_minor(-one.payment_minor, digits))
    deferred = one.deferred_out_minor - one.deferred_in_minor
    _add(sums, "carried", party, currency, from_minor(-deferred, digits))
    _add(sums, "rounding", party, currency, one.carried_in - one.carried_out)


def _charge(sums: dict[_Key, Decimal], one: Position) -> Decimal:
    """Fee and VAT of a participant: income and debt of the operator; returns their sum."""
    digits = minor_digits(one.currency)
    fee, vat = from_minor(one.fee_minor, digits), from_minor(one.vat_minor, digits)
    _add(sums, "fees", one.participant_id, one.currency, -fee)
    _add(sums, "vat", one.participant_id, one.currency, -vat)
    return fee + vat


def _operators(obligations: Iterable[Obligation], flow: Flow) -> dict[str, Decimal]:
    """What a flow brings the operator, by currency."""
    sums: dict[str, Decimal] = {}
    for debt in obligations:
        if debt.flow == flow and debt.debtor_id != debt.creditor_id:
            sign = (debt.creditor_id == OPERATOR_ID) - (debt.debtor_id == OPERATOR_ID)
            sums[debt.currency] = sums.get(debt.currency, ZERO) + sign * debt.amount
    return sums
