"""A sale earns points (pure)."""

from datetime import timedelta

from network.expiry import month_end_after
from network.model import (
    IMMEDIATELY,
    AccountKind,
    Accrue,
    Decision,
    Entry,
    EntryKind,
    Minted,
    Posting,
    Rejected,
)
from network.rules import MOST_POINTS, Folded, Rules


def accrue(folded: Folded, command: Accrue, minted: Minted, rules: Rules) -> Decision | Rejected:
    """Judge a sale. Its own partner issues the points at the terms of the day of the sale.

    Returns:
        An entry with one posting ISSUED → MEMBER, or with none where the sale earns nothing; or why not.
        Pending points are the member's, in a lot that can be spent later; the balance after leaves them out.
    """
    moment = folded.moment
    terms = rules.terms_at_sale(
        command.partner_id, command.outlet_code, command.currency, command.occurred_at, moment.now
    )
    if isinstance(terms, Rejected):
        return terms
    member_id = folded.member_of_card(command.card_number)
    if isinstance(member_id, Rejected):
        return member_id
    occurred_on = rules.local_date(command.occurred_at)
    today = rules.local_date(moment.now)
    rule = rules.programme.earn_rule(command.partner_id)
    points = rule.points_for(command.amount_minor, occurred_on)
    if points > MOST_POINTS:
        return Rejected("too_many_points")
    # ---- valid from here ----
    pending = timedelta(days=rule.pending_days)
    posting = Posting(
        line=1,
        debit=AccountKind.ISSUED,
        credit=AccountKind.MEMBER,
        points=points,
        issuer_id=command.partner_id,
        issuer_terms=terms.terms_version,
        spendable_on=today + pending if pending else IMMEDIATELY,
        expires_on=month_end_after(today, rules.programme.expiry_months),
        window_id=moment.window_id,
    )
    return Decision(
        entry=Entry(
            entry_id=minted.entry_id,
            member_id=member_id,
            kind=EntryKind.ACCRUAL,
            partner_id=command.partner_id,
            reference=command.reference,
            window_id=moment.window_id,
            programme_version=rules.programme.version,
            points=points,
            balance_after=folded.balance(member_id, today) + (0 if pending else points),
            amount_minor=command.amount_minor,
            currency=command.currency,
            outlet_code=command.outlet_code,
            occurred_at=command.occurred_at,
            recorded_at=moment.now,
        ),
        postings=(posting,) if points else (),
    )
