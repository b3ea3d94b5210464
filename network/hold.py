"""Redemption in two phases: hold, then capture in part or whole, void, or lapse on time (pure).

A hold draws its lots at once, so a held point cannot be spent twice and does not lapse. Captures take from
the first draw on; what returns goes back last drawn first, with its issuer, terms and expiry.
"""

from datetime import date, timedelta

import msgspec

from network.draw import draw_lots, parts
from network.errors import InvariantBroken
from network.expiry import expiry_of_returned
from network.model import (
    AccountKind,
    Capture,
    Decision,
    Entry,
    EntryKind,
    Hold,
    HoldState,
    Minted,
    Posting,
    RecordedEntry,
    Rejected,
    Void,
)
from network.rules import Folded, Rules, is_timely


def hold(folded: Folded, command: Hold, minted: Minted, rules: Rules) -> Decision | Rejected:
    """Judge a reservation. The acceptor's terms are chosen here; a capture keeps them."""
    moment = folded.moment
    terms = rules.terms_at_sale(
        command.partner_id, command.outlet_code, command.currency, command.occurred_at, moment.now
    )
    if isinstance(terms, Rejected):
        return terms
    member_id = folded.member_of_card(command.card_number)
    if isinstance(member_id, Rejected):
        return member_id
    today = rules.local_date(moment.now)
    draws = draw_lots(folded.lots(member_id), command.points, on=today, entry_id=minted.entry_id)
    if draws is None:
        return Rejected("insufficient_points")
    # ---- valid from here ----
    return Decision(
        entry=Entry(
            entry_id=minted.entry_id,
            member_id=member_id,
            kind=EntryKind.HOLD,
            partner_id=command.partner_id,
            reference=command.reference,
            window_id=moment.window_id,
            programme_version=rules.programme.version,
            points=-command.points,
            balance_after=folded.balance(member_id, today) - command.points,
            amount_minor=command.amount_minor,
            currency=command.currency,
            outlet_code=command.outlet_code,
            occurred_at=command.occurred_at,
            recorded_at=moment.now,
        ),
        postings=tuple(
            Posting(
                line=line,
                debit=AccountKind.MEMBER,
                credit=AccountKind.HELD,
                points=draw.points,
                issuer_id=draw.lot.issuer_id,
                issuer_terms=draw.lot.terms_version,
                spendable_on=draw.lot.spendable_on,
                expires_on=draw.lot.expires_on,
                acceptor_id=command.partner_id,
                acceptor_terms=terms.terms_version,
                window_id=moment.window_id,
            )
            for line, draw in enumerate(draws, start=1)
        ),
        lapses_at=moment.now + timedelta(minutes=command.minutes),
    )


def capture(folded: Folded, command: Capture, minted: Minted, rules: Rules) -> Decision | Rejected:
    """Judge a payment with held points, which may be part of them."""
    found = _open_hold(folded, command)
    if isinstance(found, Rejected):
        return found
    held, state = found
    left = -held.entry.points - state.captured - state.returned
    if command.points > left:
        return Rejected("more_than_held")
    # ---- valid from here ----
    taken = parts(held.postings, state.captured, command.points)
    return Decision(
        entry=_entry(folded, command, minted, rules, held.entry, EntryKind.CAPTURE, 0, command.amount_minor),
        postings=tuple(
            _moved(drawn, points, line, AccountKind.ACCEPTED, folded.moment.window_id, drawn.expires_on)
            for line, (drawn, points) in enumerate(taken, start=1)
        ),
    )


def void(folded: Folded, command: Void, minted: Minted, rules: Rules) -> Decision | Rejected:
    """Judge the end of a hold: what it still holds goes back."""
    found = _open_hold(folded, command)
    if isinstance(found, Rejected):
        return found
    held, _ = found
    return _given_back(folded, command, minted, rules, held, EntryKind.VOID)


def lapse_hold(folded: Folded, held: RecordedEntry, minted: Minted, rules: Rules) -> Decision:
    """End a hold whose time is over: what it still holds goes back."""
    command = Void(
        partner_id=held.entry.partner_id,
        reference=f"lapse {held.entry.entry_id.hex}",
        occurred_at=folded.moment.now,
        hold_id=held.entry.entry_id,
    )
    return _given_back(folded, command, minted, rules, held, EntryKind.HOLD_LAPSE)


def _open_hold(folded: Folded, command: Capture | Void) -> tuple[RecordedEntry, HoldState] | Rejected:
    """The hold a command names, if it is the partner's and still holds something."""
    moment = folded.moment
    timely = is_timely(command.occurred_at, moment.now)
    if isinstance(timely, Rejected):
        return timely
    held = folded.recorded(command.hold_id)
    if held is None or held.hold is None or held.entry.partner_id != command.partner_id:
        return Rejected("hold_unknown")
    if held.hold.lapses_at <= moment.now:
        return Rejected("hold_lapsed")
    if -held.entry.points == held.hold.captured + held.hold.returned:
        return Rejected("hold_closed")
    return held, held.hold


def _given_back(
    folded: Folded, command: Void, minted: Minted, rules: Rules, held: RecordedEntry, kind: EntryKind
) -> Decision:
    """What a hold still holds, as postings HELD → MEMBER, last drawn first."""
    state = held.hold
    if state is None:
        raise InvariantBroken(f"entry {held.entry.entry_id} is no hold")
    today = rules.local_date(folded.moment.now)
    left = -held.entry.points - state.captured - state.returned
    returned = parts(tuple(reversed(held.postings)), state.returned, left)
    return Decision(
        entry=_entry(folded, command, minted, rules, held.entry, kind, left, 0),
        postings=tuple(
            _moved(
                drawn,
                points,
                line,
                AccountKind.MEMBER,
                folded.moment.window_id,
                expiry_of_returned(drawn.expires_on, today, rules.programme.grace_days),
            )
            for line, (drawn, points) in enumerate(returned, start=1)
        ),
    )


def _moved(
    drawn: Posting, points: int, line: int, credit: AccountKind, window_id: int, expires_on: date
) -> Posting:
    """Part of a held draw on its way: everything that prices it stays."""
    return msgspec.structs.replace(
        drawn,
        line=line,
        debit=AccountKind.HELD,
        credit=credit,
        points=points,
        window_id=window_id,
        expires_on=expires_on,
    )


def _entry(
    folded: Folded,
    command: Capture | Void,
    minted: Minted,
    rules: Rules,
    held: Entry,
    kind: EntryKind,
    points: int,
    amount_minor: int,
) -> Entry:
    today = rules.local_date(folded.moment.now)
    return Entry(
        entry_id=minted.entry_id,
        member_id=held.member_id,
        kind=kind,
        partner_id=command.partner_id,
        reference=command.reference,
        window_id=folded.moment.window_id,
        programme_version=rules.programme.version,
        points=points,
        balance_after=folded.balance(held.member_id, today) + points,
        amount_minor=amount_minor,
        currency=held.currency,
        outlet_code=held.outlet_code,
        occurred_at=command.occurred_at,
        recorded_at=folded.moment.now,
        hold_id=held.entry_id,
    )
