"""Whose payment a transaction is: by end-to-end id, else by structured reference, never by amount (pure).

A guess that is wrong pays the wrong one's debt, so what does not name exactly one payment is left to people.
"""

from collections.abc import Mapping, Sequence

from settlement.bank.model import Booking, Expected, Finding, Kind, Matched, Problem, Transaction, WayOut
from settlement.bank.pain import amount_text

_WAYS_OUT: dict[tuple[Problem, Kind | None], tuple[WayOut, ...]] = {
    ("partial", "in"): ("chase",),
    ("partial", "out"): ("chase",),
    ("partial", "refund"): ("chase",),
    ("surplus", "in"): ("refund", "allocate", "deposit", "guarantee"),
    ("surplus", "out"): ("chase", "allocate", "charge"),
    ("surplus", "refund"): ("chase", "allocate", "charge"),
    ("unknown", None): ("allocate", "refund", "deposit", "guarantee", "charge"),
    ("returned", "in"): ("chase",),
    ("returned", "out"): ("instruct_again",),
    ("returned", "refund"): ("refund", "allocate"),
}


def ways_out(problem: Problem, kind: Kind | None) -> tuple[WayOut, ...]:
    """What a problem with a payment may be answered with; all but `chase` move money, and need four eyes."""
    return _WAYS_OUT.get((problem, kind), ())


def match(transactions: Sequence[Transaction], expected: Sequence[Expected]) -> Matched:
    """Book transactions to the payments they name, in their order.

    Args:
        transactions: Of one statement.
        expected: Every payment that could be named, finished ones too: they are how a surplus is known.
    Returns:
        Bookings that sum to each transaction; what fits no payment is booked to none. A finding for each
        transaction that is not exactly what was expected.
    """
    fold = _Fold(expected)
    for transaction in transactions:
        fold.take(transaction)
    return Matched(tuple(fold.bookings), tuple(fold.findings))


class _Fold:
    """The payments as they stand after the transactions so far."""

    def __init__(self, expected: Sequence[Expected]) -> None:
        self._done = {one.end_to_end_id: one.done_minor for one in expected}
        self._by_id: Mapping[str, Expected] = {one.end_to_end_id: one for one in expected}
        self._by_reference: Mapping[str, Expected] = {one.reference: one for one in expected}
        self._groups: dict[str, list[Expected]] = {}
        for one in expected:
            if one.group_id and one.kind != "in":
                self._groups.setdefault(one.group_id, []).append(one)
        self.bookings: list[Booking] = []
        self.findings: list[Finding] = []

    def take(self, transaction: Transaction) -> None:
        """Book one transaction."""
        named = self._named(transaction)
        if not named:
            if not self._whole_group(transaction):
                self._unknown(transaction, "it names no payment of ours")
            return
        if len(named) > 1:
            ids = ", ".join(sorted(one.end_to_end_id for one in named))
            self._unknown(transaction, f"it names more than one payment: {ids}")
            return
        [payment] = named
        if payment.refuses:
            self._unknown(transaction, f"it names {payment.end_to_end_id}, but {payment.refuses}")
        elif payment.currency != transaction.currency:
            self._unknown(transaction, f"{payment.end_to_end_id} is in {payment.currency}")
        elif (transaction.amount_minor > 0) == (payment.kind == "in"):
            self._paid(transaction, payment)
        else:
            self._came_back(transaction, payment)

    def _named(self, transaction: Transaction) -> list[Expected]:
        found = [self._by_reference[one] for one in transaction.references if one in self._by_reference]
        by_id = self._by_id.get(transaction.end_to_end_id)
        if by_id is not None:
            found.append(by_id)
        return list({one.end_to_end_id: one for one in found}.values())

    def _paid(self, transaction: Transaction, payment: Expected) -> None:
        """Money went the way it should."""
        moved, sign = abs(transaction.amount_minor), 1 if transaction.amount_minor > 0 else -1
        rest = payment.amount_minor - self._done[payment.end_to_end_id]
        taken = max(0, min(moved, rest))
        if taken > 0:
            self._book(transaction, payment, sign * taken)
        if moved < rest:
            missing = f"{amount_text(rest - moved, payment.currency)} {payment.currency} are missing"
            self._find(transaction, "partial", payment, rest - moved, missing)
        if moved > taken:
            self._book(transaction, None, sign * (moved - taken))
            due = f"only {amount_text(taken, payment.currency)} {payment.currency} were due"
            self._find(transaction, "surplus", payment, moved - taken, due)

    def _came_back(self, transaction: Transaction, payment: Expected) -> None:
        """Money went the other way: what was paid is undone, if it was paid at all."""
        back = abs(transaction.amount_minor)
        if back > self._done[payment.end_to_end_id]:
            done = amount_text(self._done[payment.end_to_end_id], payment.currency)
            self._unknown(
                transaction,
                f"more came back of {payment.end_to_end_id} than the {done} {payment.currency} it had moved",
            )
            return
        self._book(transaction, payment, transaction.amount_minor)
        why = f"the bank's reason: {transaction.reason}" if transaction.reason else "the bank gives no reason"
        self._find(transaction, "returned", payment, back, why)

    def _whole_group(self, transaction: Transaction) -> bool:
        """A bank that books a whole group in one sum: exact to the cent, or left to people."""
        group = self._groups.get(transaction.batch_id, [])
        due = [(one, one.amount_minor - self._done[one.end_to_end_id]) for one in group]
        due = [(one, rest) for one, rest in due if rest > 0]
        if (
            not due
            or any(one.refuses or one.currency != transaction.currency for one, _ in due)
            or transaction.batch_count not in {0, len(due)}
            or -transaction.amount_minor != sum(rest for _, rest in due)
        ):
            return False
        for one, rest in due:
            self._book(transaction, one, -rest)
        return True

    def _unknown(self, transaction: Transaction, why: str) -> None:
        self._book(transaction, None, transaction.amount_minor)
        self._find(transaction, "unknown", None, abs(transaction.amount_minor), why)

    def _book(self, transaction: Transaction, payment: Expected | None, amount_minor: int) -> None:
        if payment is not None:
            forth = 1 if payment.kind == "in" else -1
            self._done[payment.end_to_end_id] += forth * amount_minor
        self.bookings.append(
            Booking(
                entry=transaction.entry,
                detail=transaction.detail,
                end_to_end_id=None if payment is None else payment.end_to_end_id,
                amount_minor=amount_minor,
            )
        )

    def _find(
        self,
        transaction: Transaction,
        problem: Problem,
        payment: Expected | None,
        amount_minor: int,
        why: str,
    ) -> None:
        self.findings.append(
            Finding(
                problem=problem,
                entry=transaction.entry,
                detail=transaction.detail,
                end_to_end_id=None if payment is None else payment.end_to_end_id,
                amount_minor=amount_minor,
                why=why,
            )
        )
