"""Nights worked out again from what they were made of, against what is stored (pure but for the reading)."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date

import msgspec
from sqlalchemy import Connection

from network.service import date_of_window, read_network
from network.verify import Problem
from partners.rates import VatRates
from partners.rates_store import load_vat_rates
from settlement import fixings, payment_store, standing, store, window_store
from settlement.acceptance import load_accepted
from settlement.canonical import bound, digest
from settlement.clearing import Night, TermsByVersion, adjusted, fee_bases, obligations, price
from settlement.errors import NotFinal, SettlementError
from settlement.fees import VatPair, VatToDate, vat_rounded
from settlement.model import Before, Charge, Output, Position, Step, Transactions
from settlement.money import ZERO, exactly
from settlement.positions import Holder, charges, net_positions, settling, terms_in_force
from settlement.values import value_flows

HASHES_HOLD = "hashes_hold"
OBLIGATIONS_FOLLOW_TERMS = "obligations_follow_terms"
POSITIONS_FOLLOW_TERMS = "positions_follow_terms"
CONVERSIONS_FOLLOW_FIXINGS = "conversions_follow_fixings"
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
    ground = _ground(connection)
    windows = list(hashes)
    left = _Left()
    for start in range(0, len(windows), _BATCH):
        batch = windows[start : start + _BATCH]
        outputs = store.load_outputs(connection, batch)
        transactions = window_store.load_transactions(connection, batch)
        carried = standing.load_carried(connection, batch)
        for window_id, output in outputs.items():
            on = date_of_window(window_id)
            night = ground.night(connection, on)
            left = left.at(on)
            yield from _hash_faults(connection, window_id, output, hashes[window_id])
            if "priced" in hashes[window_id]:
                yield from _price_faults(window_id, output, ground, night, left.vat)
            if "netted" in hashes[window_id]:
                yield from _net_faults(
                    *(window_id, output, transactions[window_id], ground, night, left.to, carried[window_id])
                )
                yield from _fixing_faults(connection, window_id, output)
            left = left.after(output)


class _Ground(msgspec.Struct, frozen=True):
    """What all nights are worked out from."""

    terms: TermsByVersion
    currency: str
    stand_ins: Sequence[standing.StandIn]
    last_days: Mapping[int, date]
    vat: VatRates
    accepted: dict[date, Mapping[int, Mapping[int, int]]] = {}
    """By the first of the month after."""

    def night(self, connection: Connection, on: date) -> Night:
        """What prices a date's window besides totals and contracts."""
        month = on.replace(day=1)
        if month not in self.accepted:
            self.accepted[month] = load_accepted(connection, on)
        return Night(on=on, vat=self.vat, accepted=self.accepted[month])


def _ground(connection: Connection) -> _Ground:
    return _Ground(
        terms=store.load_terms(connection),
        currency=read_network(connection).currency,
        stand_ins=standing.load_stand_ins(connection),
        last_days=store.load_last_days(connection),
        vat=load_vat_rates(connection),
        accepted={},
    )


class _Left(msgspec.Struct, frozen=True):
    """What the nights so far left, to participants and to pairs that owe VAT; `on` is the last one's date."""

    on: date = date.min
    to: Mapping[Holder, Before] = {}
    vat: Mapping[VatPair, VatToDate] = {}

    def at(self, on: date) -> "_Left":
        """What a night starts from: a new month has no charges yet."""
        if (on.year, on.month) == (self.on.year, self.on.month):
            return _Left(on, self.to, self.vat)
        to = {
            holder: Before(carried_out=one.carried_out, deferred_out_minor=one.deferred_out_minor)
            for holder, one in self.to.items()
        }
        return _Left(on, to)

    @exactly
    def after(self, output: Output) -> "_Left":
        """This with its night added: charges to the month's, what is carried on in place of the last."""
        to = {holder: Before(month_to_date=one.month_to_date) for holder, one in self.to.items()}
        for one in output.positions:
            holder = (one.participant_id, one.currency)
            charged = self.to.get(holder, Before()).month_to_date
            to[holder] = Before(
                month_to_date=Charge(
                    fee_base=charged.fee_base + one.fee_base,
                    vat_base=charged.vat_base + one.vat_base,
                    fee_minor=charged.fee_minor + one.fee_minor,
                    vat_minor=charged.vat_minor + one.vat_minor,
                ),
                carried_out=one.carried_out,
                deferred_out_minor=one.deferred_out_minor,
            )
        vat = dict(self.vat)
        for debt in output.obligations:
            if debt.flow == "vat":
                pair = (debt.debtor_id, debt.creditor_id, debt.currency)
                so_far = vat.get(pair, VatToDate())
                vat[pair] = VatToDate(so_far.base + debt.vat_base, so_far.amount + debt.amount)
        return _Left(self.on, to, vat)


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
    window_id: int, output: Output, ground: _Ground, night: Night, vat_before: Mapping[VatPair, VatToDate]
) -> Iterator[Problem]:
    try:
        terms = standing.in_window(ground.terms, window_id, ground.stand_ins)
        priced = [*price(output.totals, terms, night), *value_flows(output.values, ground.terms)]
        flows = standing.stood_in(priced, window_id, ground.stand_ins)
        debts = obligations([*flows, *adjusted(output.adjustments, ground.terms, night)])
        expected = list(vat_rounded(debts, vat_before))
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
    ground: _Ground,
    night: Night,
    before: Mapping[Holder, Before],
    carried: standing.Carried,
) -> Iterator[Problem]:
    """Fees, VAT, rounding and what is carried, worked out again as the night did, against what is stored."""
    stored = {(one.participant_id, one.currency): one for one in output.positions}
    converted = {(one.participant_id, one.from_currency): one for one in output.conversions}
    try:
        in_force = terms_in_force(ground.terms, night.on)
        lines = price(output.totals, ground.terms, night)
        bases = fee_bases(output.totals, lines, transactions, ground.terms, output.adjustments)
        charged = charges(
            bases, ground.terms, in_force, before, night.on, vat=night.vat, last_days=ground.last_days
        )
        tonight = net_positions(
            {participant_id for participant_id, _ in stored},
            output.obligations,
            charged,
            before,
            currency=ground.currency,
            settles=settling(in_force, night.on, ground.last_days),
            fixing_of=fixings.as_stored(converted),
        )
        expected = standing.owing_on(tonight.positions, carried)
    except SettlementError as error:
        yield Problem(check=POSITIONS_FOLLOW_TERMS, where=f"window {window_id}", detail=str(error))
        return
    if tonight.conversions != tuple(output.conversions):
        yield Problem(
            check=POSITIONS_FOLLOW_TERMS,
            where=f"window {window_id}",
            detail=f"it converts {tonight.conversions}; stored are {tuple(output.conversions)}",
        )
    for one in expected:
        found = stored.get((one.participant_id, one.currency))
        # who joined after that night had no position in it, and would have had one of nothing
        if found != one and (found is not None or one != _nothing(one)):
            yield Problem(
                check=POSITIONS_FOLLOW_TERMS,
                where=f"window {window_id}, participant {one.participant_id}",
                detail=f"debts, terms and nights before make it {_figures(one)}; stored is {_figures(found)}",
            )
    made = {(one.participant_id, one.currency) for one in expected}
    for holder in sorted(stored.keys() - made):
        yield Problem(
            check=POSITIONS_FOLLOW_TERMS,
            where=f"window {window_id}, participant {holder[0]}",
            detail=f"nothing makes it a position in {holder[1]}; stored is {_figures(stored[holder])}",
        )


def _fixing_faults(connection: Connection, window_id: int, output: Output) -> Iterator[Problem]:
    for one in output.conversions:
        if not fixings.is_known(connection, one):
            yield Problem(
                check=CONVERSIONS_FOLLOW_FIXINGS,
                where=f"window {window_id}, participant {one.participant_id}",
                detail=f"{one.source} fixed no {one.rate} {one.to_currency} for a {one.from_currency}"
                f" on {one.fixed_on}",
            )


def _nothing(of: Position) -> Position:
    """A night's position of somebody who had no part in it."""
    return msgspec.structs.replace(
        of,
        **dict.fromkeys(
            ("credits", "debits", "fee_base", "vat_base", "carried_in", "converted", "exact", "carried_out"),
            ZERO,
        ),
        **dict.fromkeys(
            ("fee_minor", "vat_minor", "final_minor", "deferred_in_minor", "deferred_out_minor"), 0
        ),
    )


def _figures(position: Position | None) -> str:
    if position is None:
        return "nothing"
    return (
        f"fee {position.fee_minor} for {position.fee_base}, "
        f"VAT {position.vat_minor} for {position.vat_base}, "
        f"converted {position.converted}, exact {position.exact}, final {position.final_minor}, "
        f"carried {position.carried_out}, deferred {position.deferred_in_minor} to "
        f"{position.deferred_out_minor} {position.currency}"
    )
