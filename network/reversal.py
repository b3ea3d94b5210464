"""Undoing an entry in full, in today's window, at the original terms (pure)."""

from collections.abc import Sequence
from datetime import date

from network.draw import draw_clawback
from network.expiry import expiry_of_returned
from network.model import (
    AccountKind,
    Decision,
    Entry,
    EntryKind,
    Lot,
    Minted,
    Posting,
    Rejected,
    Reverse,
)
from network.rules import FURTHEST_AHEAD, OLDEST, Folded, Rules


def reverse(folded: Folded, command: Reverse, minted: Minted, rules: Rules) -> Decision | Rejected:
    """Judge the return of a sale or of a reward.

    An accrual is taken back from its own lot first, then from the same issuer's; what was spent elsewhere is
    refused. A redemption gives its points back with their issuer, terms and expiry.
    """
    moment = folded.moment
    if command.occurred_at > moment.now + FURTHEST_AHEAD:
        return Rejected("occurred_in_future")
    if command.occurred_at < moment.now - OLDEST:
        return Rejected("occurred_too_long_ago")
    recorded = folded.recorded(command.entry_id)
    if recorded is None or recorded.entry.partner_id != command.partner_id:
        return Rejected("entry_unknown")
    original = recorded.entry
    if original.kind not in {EntryKind.ACCRUAL, EntryKind.REDEMPTION}:
        return Rejected("entry_not_reversible")
    if recorded.reversed_points is not None:
        return Rejected("entry_already_reversed")
    today = rules.local_date(moment.now)
    if original.kind is EntryKind.ACCRUAL:
        postings = _taken_back(recorded.postings, folded.lots(original.member_id), moment.window_id, today)
        if postings is None:
            return Rejected("points_already_spent")
    else:
        postings = _given_back(recorded.postings, moment.window_id, today, rules.programme.grace_days)
    # ---- valid from here ----
    return Decision(
        entry=Entry(
            entry_id=minted.entry_id,
            member_id=original.member_id,
            kind=EntryKind.REVERSAL,
            partner_id=command.partner_id,
            reference=command.reference,
            window_id=moment.window_id,
            programme_version=rules.programme.version,
            points=-original.points,
            balance_after=folded.balance(original.member_id, today) - original.points,
            amount_minor=original.amount_minor,
            currency=original.currency,
            outlet_code=original.outlet_code,
            occurred_at=command.occurred_at,
            recorded_at=moment.now,
            reverses=original.entry_id,
        ),
        postings=postings,
    )


def _taken_back(
    postings: Sequence[Posting], lots: Sequence[Lot], window_id: int, today: date
) -> tuple[Posting, ...] | None:
    """Postings MEMBER → ISSUED for an accrual's single lot; None where its issuer's points are gone."""
    if not postings:
        return ()
    origin = postings[0]
    own = Lot(origin.issuer_id, origin.issuer_terms, origin.spendable_on, origin.expires_on, origin.points)
    draws = draw_clawback(lots, own, origin.points, on=today)
    if draws is None:
        return None
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
        for line, draw in enumerate(draws, start=1)
    )


def _given_back(
    postings: Sequence[Posting], window_id: int, today: date, grace_days: int
) -> tuple[Posting, ...]:
    """Postings ACCEPTED → MEMBER, last drawn first, each to the lot it came from."""
    return tuple(
        Posting(
            line=line,
            debit=AccountKind.ACCEPTED,
            credit=AccountKind.MEMBER,
            points=drawn.points,
            issuer_id=drawn.issuer_id,
            issuer_terms=drawn.issuer_terms,
            spendable_on=drawn.spendable_on,
            expires_on=expiry_of_returned(drawn.expires_on, today, grace_days),
            acceptor_id=drawn.acceptor_id,
            acceptor_terms=drawn.acceptor_terms,
            category=drawn.category,
            window_id=window_id,
            reversed_window_id=drawn.window_id,
        )
        for line, drawn in enumerate(reversed(postings), start=1)
    )
