"""Nights worked out again from what they were made of, against what is stored (pure but for the reading)."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date

import msgspec
from sqlalchemy import Connection

from network.service import date_of_window, read_network
from network.verify import Problem
from settlement import payment_store, standing, store, window_store
from settlement.canonical import bound, digest
from settlement.clearing import TermsByVersion, adjusted, fee_bases, obligations, price
from settlement.errors import NotFinal, SettlementError
from settlement.model import Before, Charge, Output, Position, Step, Transactions
from settlement.money import ZERO, exactly, minor_digits
from settlement.positions import charges, net_positions, terms_in_force

HASHES_HOLD = "hashes_hold"
OBLIGATIONS_FOLLOW_TERMS = "obligations_follow_terms"
POSITIONS_FOLLOW_TERMS = "positions_follow_terms"
RECOMPUTED_SAY = "every night, computed again from its postings and terms, comes out the same, hash for hash"
_MOVED_ON: tuple[Step, ...] = ("funded", "paid")
"""Steps whose rows may have grown since, by what came back and was paid again; `settled` hashes all."""
_BATCH = 50
"""Windows that are recomputed at a time, so that memory stays flat however many nights there are."""


def recomputed(connection: Connection) -> Iterator[Problem]:
    """Hash each step's stored output again, price each window's totals again, and net each night again.

    A night is netted on what the nights before it left, as it is stored: a night that is wrong is told by
    itself, and those that honestly build on it are not.
    """
    hashes = store.load_hashes(connection)
    terms = store.load_terms(connection)
    currency = read_network(connection).currency
    windows = list(hashes)
    left = _Left()
    stand_ins = standing.load_stand_ins(connection)
    for start in range(0, len(windows), _BATCH):
        batch = windows[start : start + _BATCH]
        outputs = store.load_outputs(connection, batch)
        transactions = window_store.load_transactions(connection, batch)
        carried = standing.load_carried(connection, batch)
        for window_id, output in outputs.items():
            yield from _hash_faults(connection, window_id, output, hashes[window_id])
            if "priced" in hashes[window_id]:
                yield from _price_faults(window_id, output, terms, stand_ins)
            if "netted" in hashes[window_id]:
                on = date_of_window(window_id)
                before = left.before(on)
                yield from _net_faults(
                    *(window_id, output, transactions[window_id], terms, before, currency, carried[window_id])
                )
                left = left.after(on, output.positions)


class _Left(msgspec.Struct, frozen=True):
    """What the nights so far left to each participant; `on` is the last one's business date."""

    on: date = date.min
    to: Mapping[int, Before] = {}

    def before(self, on: date) -> Mapping[int, Before]:
        """What a night starts from: a new month has no charges yet."""
        if (on.year, on.month) == (self.on.year, self.on.month):
            return self.to
        return {party: Before(carried_out=one.carried_out) for party, one in self.to.items()}

    @exactly
    def after(self, on: date, positions: Sequence[Position]) -> "_Left":
        """This with a night added: its charges to the month's, its fractions in place of the last ones."""
        before = self.before(on)
        to = {party: Before(month_to_date=one.month_to_date) for party, one in before.items()}
        for one in positions:
            charged = before.get(one.participant_id, Before()).month_to_date
            to[one.participant_id] = Before(
                month_to_date=Charge(
                    fee_base=charged.fee_base + one.fee_base,
                    vat_base=charged.vat_base + one.vat_base,
                    fee_minor=charged.fee_minor + one.fee_minor,
                    vat_minor=charged.vat_minor + one.vat_minor,
                ),
                carried_out=one.carried_out,
            )
        return _Left(on, to)


def _hash_faults(
    connection: Connection, window_id: int, output: Output, hashes: Mapping[Step, bytes]
) -> Iterator[Problem]:
    run = store.live_run(connection, window_id)
    if "approved" in hashes:
        try:
            output = payment_store.with_payments(connection, run, output)
        except NotFinal as error:
            yield Problem(check=HASHES_HOLD, where=f"window {window_id}, step settled", detail=str(error))
            return
        if [one.sha256 for one in output.approvals] != [bound(window_id, run.revision, hashes)]:
            yield Problem(
                check=HASHES_HOLD,
                where=f"window {window_id}, step approved",
                detail="what was approved is not what was netted",
            )
    for step, kept in hashes.items():
        if step in _MOVED_ON:
            continue
        if digest(step, window_id, run.revision, **output.of(step)) != kept:
            yield Problem(
                check=HASHES_HOLD,
                where=f"window {window_id}, step {step}",
                detail=f"its rows are no longer those that were hashed as {kept.hex()}",
            )


def _price_faults(
    window_id: int, output: Output, terms: TermsByVersion, stand_ins: Sequence[standing.StandIn]
) -> Iterator[Problem]:
    try:
        flows = standing.stood_in(price(output.totals, terms), window_id, stand_ins)
        expected = list(obligations([*flows, *adjusted(output.adjustments)]))
    except SettlementError as error:
        yield Problem(check=OBLIGATIONS_FOLLOW_TERMS, where=f"window {window_id}", detail=str(error))
        return
    if output.obligations != expected:
        wrong = [debt for debt in expected if debt not in output.obligations]
        yield Problem(
            check=OBLIGATIONS_FOLLOW_TERMS,
            where=f"window {window_id}",
            detail=f"the terms make {len(wrong)} of its {len(expected)} obligations otherwise: {wrong[:3]}",
        )


def _net_faults(
    window_id: int,
    output: Output,
    transactions: Sequence[Transactions],
    terms: TermsByVersion,
    before: Mapping[int, Before],
    currency: str,
    carried: standing.Carried,
) -> Iterator[Problem]:
    """Fees, VAT, rounding and what is carried, worked out again as the night did, against what is stored."""
    digits = minor_digits(currency)
    stored = {one.participant_id: one for one in output.positions}
    try:
        in_force = terms_in_force(terms, date_of_window(window_id))
        lines = price(output.totals, terms)
        bases = fee_bases(output.totals, lines, transactions, terms, output.adjustments)
        tonight = net_positions(
            stored,
            output.obligations,
            charges(bases, terms, in_force, before, digits),
            before,
            currency=currency,
            digits=digits,
        )
        expected = standing.owing_on(tonight, carried)
    except SettlementError as error:
        yield Problem(check=POSITIONS_FOLLOW_TERMS, where=f"window {window_id}", detail=str(error))
        return
    for one in expected:
        found = stored.get(one.participant_id)
        # who joined after that night had no position in it, and would have had one of nothing
        if found != one and (found is not None or one != _nothing(one)):
            yield Problem(
                check=POSITIONS_FOLLOW_TERMS,
                where=f"window {window_id}, participant {one.participant_id}",
                detail=f"debts, terms and nights before make it {_figures(one)}; stored is {_figures(found)}",
            )


def _nothing(of: Position) -> Position:
    """A night's position of somebody who had no part in it."""
    return msgspec.structs.replace(
        of,
        **dict.fromkeys(
            ("credits", "debits", "fee_base", "vat_base", "carried_in", "exact", "carried_out"), ZERO
        ),
        **dict.fromkeys(("fee_minor", "vat_minor", "final_minor"), 0),
    )


def _figures(position: Position | None) -> str:
    if position is None:
        return "nothing"
    return (
        f"fee {position.fee_minor} for {position.fee_base}, "
        f"VAT {position.vat_minor} for {position.vat_base}, "
        f"exact {position.exact}, final {position.final_minor}, carried {position.carried_out}"
    )
