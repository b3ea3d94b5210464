"""Redemption in two phases: hold, then capture in part or whole, void, or lapse on time (pure).

A hold draws its lots at once, so a held point cannot be spent twice and does not lapse. Captures take from
the first draw on; what returns goes back last drawn first, with its issuer, terms and expiry.
"""

from datetime import timedelta

import msgspec

from network.commands import Capture, Hold, Void
from network.draft import activity, coming_back, draft, draft_at_till, drawn
from network.draw import parts
from network.errors import InvariantBroken
from network.model import AccountKind, Entry, EntryKind
from network.outcomes import Decision, HoldState, Minted, RecordedEntry, Rejected
from network.redemption import draw_of_pool, spender_at_till
from network.rules import Folded, Rules, held, is_timely

MOST_OPEN_HOLDS = 100
"""Of one member: they all end when the member is next touched after their time."""


def hold(folded: Folded, command: Hold, minted: Minted, rules: Rules) -> Decision | Rejected:
    """Judge a reservation. The acceptor's terms are chosen here; a capture keeps them."""
    spender = spender_at_till(folded, command, rules)
    if isinstance(spender, Rejected):
        return spender
    terms, member_id, category = spender
    if folded.member(member_id).open_holds >= MOST_OPEN_HOLDS:
        return Rejected("too_many_holds")
    draws = draw_of_pool(folded, member_id, command.points, minted)
    if draws is None:
        return Rejected("insufficient_points")
    # ---- valid from here ----
    return Decision(
        entry=draft_at_till(folded, command, minted, rules, EntryKind.HOLD, member_id),
        postings=drawn(
            draws,
            member_id,
            AccountKind.HELD,
            folded.moment.window_id,
            acceptor=(command.partner_id, terms.terms_version),
            category=category,
        ),
        lapses_at=folded.moment.now + timedelta(minutes=command.minutes),
    )


def capture(folded: Folded, command: Capture, minted: Minted, rules: Rules) -> Decision | Rejected:
    """Judge a payment with held points, which may be part of them."""
    found = _open_hold(folded, command)
    if isinstance(found, Rejected):
        return found
    reserved, state = found
    if command.points > held(reserved.postings) - state.captured - state.returned:
        return Rejected("more_than_held")
    # ---- valid from here ----
    taken = parts(reserved.postings, state.captured, command.points)
    return Decision(
        entry=_entry(folded, command, minted, rules, reserved.entry, EntryKind.CAPTURE, command.amount_minor),
        postings=tuple(
            msgspec.structs.replace(
                drawn_before,
                line=line,
                debit=AccountKind.HELD,
                credit=AccountKind.ACCEPTED,
                points=points,
                window_id=folded.moment.window_id,
            )
            for line, (drawn_before, points) in enumerate(taken, start=1)
        ),
        account=activity(folded, rules, reserved.entry.member_id),
    )


def void(folded: Folded, command: Void, minted: Minted, rules: Rules) -> Decision | Rejected:
    """Judge the end of a hold: what it still holds goes back."""
    found = _open_hold(folded, command)
    if isinstance(found, Rejected):
        return found
    reserved, _ = found
    return _given_back(folded, command, minted, rules, reserved, EntryKind.VOID)


def lapse_hold(folded: Folded, reserved: RecordedEntry, minted: Minted, rules: Rules) -> Decision:
    """End a hold whose time is over: what it still holds goes back."""
    command = Void(
        partner_id=reserved.entry.partner_id,
        reference=f"lapse {reserved.entry.entry_id.hex}",
        occurred_at=folded.moment.now,
        hold_id=reserved.entry.entry_id,
    )
    return _given_back(folded, command, minted, rules, reserved, EntryKind.HOLD_LAPSE)


def _open_hold(folded: Folded, command: Capture | Void) -> tuple[RecordedEntry, HoldState] | Rejected:
    """The hold a command names, if it is the partner's and still holds something."""
    moment = folded.moment
    timely = is_timely(command.occurred_at, moment.now)
    if isinstance(timely, Rejected):
        return timely
    reserved = folded.recorded(command.hold_id)
    if reserved is None or reserved.hold is None or reserved.entry.partner_id != command.partner_id:
        return Rejected("hold_unknown")
    if reserved.hold.lapses_at <= moment.now:
        return Rejected("hold_lapsed")
    if held(reserved.postings) == reserved.hold.captured + reserved.hold.returned:
        return Rejected("hold_closed")
    return reserved, reserved.hold


def _given_back(
    folded: Folded, command: Void, minted: Minted, rules: Rules, reserved: RecordedEntry, kind: EntryKind
) -> Decision:
    """What a hold still holds, as postings HELD → MEMBER, last drawn first."""
    state = reserved.hold
    if state is None:
        raise InvariantBroken(f"entry {reserved.entry.entry_id} is no hold")
    left = held(reserved.postings) - state.captured - state.returned
    returned = parts(tuple(reversed(reserved.postings)), state.returned, left)
    return Decision(
        entry=_entry(folded, command, minted, rules, reserved.entry, kind, 0),
        postings=coming_back(folded, rules, reserved.entry.member_id, returned, AccountKind.HELD),
    )


def _entry(
    folded: Folded,
    command: Capture | Void,
    minted: Minted,
    rules: Rules,
    reserved: Entry,
    kind: EntryKind,
    amount_minor: int,
) -> Entry:
    entry = draft(
        folded,
        command,
        minted,
        rules,
        kind,
        reserved.member_id,
        amount_minor=amount_minor,
        currency=reserved.currency,
        outlet_code=reserved.outlet_code,
    )
    return msgspec.structs.replace(entry, hold_id=reserved.entry_id)
