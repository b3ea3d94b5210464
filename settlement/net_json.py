"""What `tessera net --json` prints: exact amounts at the file's scale, paid ones at the currency's."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction

from settlement.clearing_vector import Payment
from settlement.default import FEES, Ladder
from settlement.money import fixed_scale, from_minor
from settlement.net_report import CurrencyNet, DefaultNet
from settlement.table_file import Faults


def as_json(nets: Sequence[CurrencyNet], defaults: Sequence[DefaultNet] = ()) -> Mapping[str, object]:
    """Currencies netted and, where debtors were named, the default of each currency they are in."""
    found: dict[str, object] = {"currencies": [_currency(net) for net in nets]}
    if defaults:
        found["defaults"] = [_default(one) for one in defaults]
    return found


def faults_as_json(faults: Mapping[str, Faults]) -> Mapping[str, object]:
    """Every problem of bad files: file, line, field (null where it is the line's) and text."""
    return {
        "errors": [
            {"file": name, "line": one.line, "field": one.field, "problem": one.problem}
            for name, found in faults.items()
            for one in found.faults
        ]
    }


def _currency(net: CurrencyNet) -> Mapping[str, object]:
    exact, paid = net.scale, net.minor_digits
    found: dict[str, object] = {
        "currency": net.currency,
        "minor_digits": net.minor_digits,
        "debts": net.lines,
        "gross": fixed_scale(net.gross, exact),
        "fees": fixed_scale(net.fees, exact),
        "bilateral": {
            "total": fixed_scale(net.bilateral, exact),
            "nets": [_debt(debtor, creditor, amount, exact) for debtor, creditor, amount in net.nets],
        },
        "multilateral": {
            "total": fixed_scale(net.multilateral, exact),
            "positions": [
                {
                    "participant": one.participant,
                    "claims": fixed_scale(one.claims, exact),
                    "exact": fixed_scale(one.exact, exact),
                    "rounded": fixed_scale(one.final, paid),
                }
                for one in net.positions
            ],
        },
        "payments": {
            "total": fixed_scale(net.paid, paid),
            "to_hub": [_amount(party, amount, paid) for party, amount in net.pay_in],
            "from_hub": [_amount(party, amount, paid) for party, amount in net.pay_out],
        },
        "number_of_payments": {
            "debt_by_debt": net.pairs,
            "pair_by_pair": len(net.nets),
            "through_the_hub": len(net.pay_in) + len(net.pay_out),
        },
    }
    if net.set_off is not None:
        found["set_off"] = {
            "struck": fixed_scale(net.gross - sum(net.set_off.left.values()), exact),
            "left": fixed_scale(sum(net.set_off.left.values(), Decimal(0)), exact),
            "circles": [
                {"debtors": list(circle.debtors), "amount": fixed_scale(circle.amount, exact)}
                for circle in net.set_off.circles
            ],
            "debts": [
                _debt(debtor, creditor, amount, exact)
                for (debtor, creditor), amount in net.set_off.left.items()
            ],
        }
    return found


def _default(one: DefaultNet) -> Mapping[str, object]:
    digits, ladder = one.minor_digits, one.ladder
    return {
        "currency": one.currency,
        "debtors": list(ladder.debtors),
        "missing": fixed_scale(from_minor(ladder.missing_minor, digits), digits),
        "ladder": _rungs(ladder, digits),
        "positions": [
            {
                "participant": party,
                "before": _minor(before, digits),
                "after": _minor(ladder.finals[party], digits),
                "unwound": _minor(one.unwound.ladder.finals.get(party, 0), digits),
            }
            for party, before in one.before.items()
        ],
        "clearing_vector": [_payment(payment, one.scale) for payment in ladder.payments],
        "unwinding": {
            "before_fees": [
                _amount(party, amount, one.scale) for party, amount in one.unwound.positions.items()
            ],
            "ladder": _rungs(one.unwound.ladder, digits),
            "outside": [
                _debt(debtor, creditor, amount, one.scale) for debtor, creditor, amount in one.unwound.outside
            ],
        },
    }


def _rungs(ladder: Ladder[str], digits: int) -> list[Mapping[str, object]]:
    """The rungs in order, who bears what, and what is still missing after each."""
    rungs: list[Mapping[str, object]] = []
    left = sum(
        sum(one.values()) for one in (ladder.deposits, ladder.guarantee, ladder.carried, ladder.losses)
    )
    for name, parts in (
        ("deposit", ladder.deposits),
        ("guarantee fund", ladder.guarantee),
        ("carry", ladder.carried),
        ("loss share", ladder.losses),
    ):
        left -= sum(parts.values())
        rungs.append(
            {
                "rung": name,
                "total": _minor(sum(parts.values()), digits),
                "parts": [
                    {"participant": party, "amount": _minor(part, digits)} for party, part in parts.items()
                ],
                "still_missing": _minor(left, digits),
            }
        )
    return rungs


def _payment(payment: Payment[str], scale: int) -> Mapping[str, object]:
    return {
        "debtor": payment.debtor,
        "creditor": payment.creditor,
        "kind": "fees" if payment.rank == FEES else "claim",
        "owed": str(payment.owed),
        "paid": str(payment.paid),
        "paid_decimal": rounded_down(payment.paid, scale),
    }


def rounded_down(amount: Fraction, scale: int) -> str:
    """A fraction as a decimal for the eye, cut off after `scale` decimals."""
    return fixed_scale(from_minor(int(amount * 10**scale), scale), scale)


def _amount(party: str, amount: Decimal, scale: int) -> Mapping[str, object]:
    return {"participant": party, "amount": fixed_scale(amount, scale)}


def _debt(debtor: str, creditor: str, amount: Decimal, scale: int) -> Mapping[str, object]:
    return {"debtor": debtor, "creditor": creditor, "amount": fixed_scale(amount, scale)}


def _minor(minor: int, digits: int) -> str:
    return fixed_scale(from_minor(minor, digits), digits)
