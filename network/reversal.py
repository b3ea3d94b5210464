"""Undoing an entry, in full or in part, in today's window, at the original terms (pure)."""

from collections.abc import Sequence
from datetime import date

import msgspec

from network.draw import draw_clawback, parts, returnable
from network.expiry import expiry_of_returned
from network.model import (
    AccountKind,
    Decision,
    Entry,
    EntryKind,
    Lot,
    Minted,
    Posting,
    RecordedEntry,
    Rejected,
    Reverse,
)
from network.rules import Folded, Rules, is_timely

_SPENDING = frozenset({EntryKind.REDEMPTION, EntryKind.CAPTURE})


class _Undone(msgspec.Struct, frozen=True):
    """What a reversal moves: points, those of them that could be spent, how much of the amount, postings."""

    points: int
    spendable: int
    amount_minor: int
    postings: tuple[Posting, ...]


def reverse(folded: Folded, command: Reverse, minted: Minted, rules: Rules) -> Decision | Rejected:
    """Judge the return of a sale or of a reward; again and again until nothing is left of it.

    A returned sale takes back what the same rules no longer give for the rest of it: from its own lot first,
    then from the same issuer's. Where these were spent, the programme refuses or takes what is there. A
    returned reward gives its points back with their issuer, terms and expiry, last drawn first.
    """
    moment = folded.moment
    untimely = is_timely(command.occurred_at, moment.now)
    if untimely is not None:
        return untimely
    recorded = folded.recorded(command.entry_id)
    if recorded is None or recorded.entry.partner_id != command.partner_id:
        return Rejected("entry_unknown")
    original = recorded.entry
    if original.kind is EntryKind.ACCRUAL:
        undone = _returned_sale(folded, command, recorded, rules)
    elif original.kind in _SPENDING:
        undone = _returned_reward(folded, command, recorded, rules)
    else:
        return Rejected("entry_not_reversible")
    if isinstance(undone, Rejected):
        return undone
    # ---- valid from here ----
    today = rules.local_date(moment.now)
    return Decision(
        entry=Entry(
            entry_id=minted.entry_id,
            member_id=original.member_id,
            kind=EntryKind.REVERSAL,
            partner_id=command.partner_id,
            reference=command.reference,
            window_id=moment.window_id,
            programme_version=rules.programme.version,
            points=undone.points,
            balance_after=folded.balance(original.member_id, today) + undone.spendable,
            amount_minor=undone.amount_minor,
            currency=original.currency,
            outlet_code=original.outlet_code,
            occurred_at=command.occurred_at,
            recorded_at=moment.now,
            reverses=original.entry_id,
        ),
        postings=undone.postings,
    )


def _returned_sale(
    folded: Folded, command: Reverse, recorded: RecordedEntry, rules: Rules
) -> _Undone | Rejected:
    if command.points is not None:
        return Rejected("sales_are_reversed_by_amount")
    original = recorded.entry
    left = original.amount_minor - recorded.reversed.amount_minor
    amount = left if command.amount_minor is None else command.amount_minor
    if left == 0:
        return Rejected("entry_already_reversed")
    if amount > left:
        return Rejected("more_than_is_left")
    # The rules that judged the sale judge what remains of it.
    rule = rules.programmes[original.programme_version].earn_rule(original.partner_id)
    sold_on = rules.local_date(original.occurred_at)
    points = rule.points_for(left, sold_on) - rule.points_for(left - amount, sold_on)
    if points == 0:
        return _Undone(0, 0, amount, ())
    moment = folded.moment
    today = rules.local_date(moment.now)
    lots = folded.lots(original.member_id)
    origin = recorded.postings[0]
    own = Lot(origin.issuer_id, origin.issuer_terms, origin.spendable_on, origin.expires_on, origin.points)
    there = sum(lot.remaining for lot in returnable(lots, own.issuer_id, today))
    if there < points:
        if rules.programme.clawback == "refuse":
            return Rejected("points_already_spent")
        points = there
    postings = _taken_back(lots, own, points, origin, moment.window_id, today)
    spendable = sum(posting.points for posting in postings if posting.spendable_on <= today)
    return _Undone(-points, -spendable, amount, postings)


def _taken_back(
    lots: Sequence[Lot], own: Lot, points: int, origin: Posting, window_id: int, today: date
) -> tuple[Posting, ...]:
    """Postings MEMBER → ISSUED."""
    return tuple(
        Posting(
            line=line,
            debit=AccountKind.MEMBER,
            credit=AccountKind.ISSUED,
            points=draw.points,
            issuer_id=draw.lot.issuer_id,
            issuer_terms=draw.lot.terms_version,
            spendable_on=draw.lot.spendable_on,
            expires_on=draw.lot.expires_on,
            window_id=window_id,
            reversed_window_id=origin.window_id,
        )
        for line, draw in enumerate(draw_clawback(lots, own, points, on=today), start=1)
    )


def _returned_reward(
    folded: Folded, command: Reverse, recorded: RecordedEntry, rules: Rules
) -> _Undone | Rejected:
    if command.amount_minor is not None:
        return Rejected("rewards_are_reversed_by_points")
    original = recorded.entry
    spent = sum(posting.points for posting in recorded.postings)
    back = recorded.reversed.points
    points = spent - back if command.points is None else command.points
    if spent == back:
        return Rejected("entry_already_reversed")
    if points > spent - back:
        return Rejected("more_than_is_left")
    window_id = folded.moment.window_id
    today = rules.local_date(folded.moment.now)
    postings = tuple(
        msgspec.structs.replace(
            drawn,
            line=line,
            debit=AccountKind.ACCEPTED,
            credit=AccountKind.MEMBER,
            points=part,
            expires_on=expiry_of_returned(drawn.expires_on, today, rules.programme.grace_days),
            window_id=window_id,
            reversed_window_id=drawn.window_id,
        )
        for line, (drawn, part) in enumerate(parts(tuple(reversed(recorded.postings)), back, points), start=1)
    )
    # Cumulative, so that the parts of a reward returned bit by bit add up to all of its amount.
    amount = original.amount_minor * (back + points) // spent - original.amount_minor * back // spent
    return _Undone(points, points, amount, postings)
