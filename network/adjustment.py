"""What the operator gives or takes, and the tier it puts a member into (pure).

Who may propose and approve an adjustment, and why it was made, is with the proposal (table adjustment); here
it has been decided.
"""

from datetime import date

from network.commands import Adjust, ReviewTier, SetTier
from network.draft import activity, draft, drawn
from network.draw import draw_clawback, returnable
from network.model import IMMEDIATELY, NEVER, AccountKind, EntryKind, Posting
from network.outcomes import UNCHANGED, AccountChange, Decision, Minted, Rejected
from network.rules import MOST_POINTS, Folded, Rules, is_timely


def adjust(folded: Folded, command: Adjust, minted: Minted, rules: Rules) -> Decision | Rejected:
    """Judge an adjustment: the budget's owner issues the points, or gets those back that it issued."""
    member_id = _member(folded, command)
    if isinstance(member_id, Rejected):
        return member_id
    inactive = rules.inactive(command.issuer_id)
    if inactive is not None:
        return inactive
    ended = rules.issues_no_more(command.issuer_id, command.occurred_at) if command.points > 0 else None
    if ended is not None:
        return ended
    terms = rules.contract(command.issuer_id, command.occurred_at)
    if terms is None:
        return Rejected("no_contract_terms")
    if abs(command.points) > MOST_POINTS:
        return Rejected("too_many_points")
    window_id = folded.moment.window_id
    given = command.points > 0
    if given:
        postings: tuple[Posting, ...] = (
            Posting(
                line=1,
                debit=AccountKind.ISSUED,
                credit=AccountKind.MEMBER,
                points=command.points,
                issuer_id=command.issuer_id,
                issuer_terms=terms.terms_version,
                spendable_on=IMMEDIATELY,
                expires_on=rules.programme.expiry_rule(folded.member(member_id).tier).expires_on(
                    folded.today
                ),
                window_id=window_id,
            ),
        )
    else:
        lots = returnable(folded.lots(member_id), command.issuer_id, folded.today)
        if sum(lot.remaining for lot in lots) < -command.points:
            return Rejected("insufficient_points")
        draws = draw_clawback(member_id, lots, command.issuer_id, -command.points, on=folded.today)
        postings = drawn(draws, member_id, AccountKind.ISSUED, window_id)
    # ---- valid from here ----
    return Decision(
        entry=draft(folded, command, minted, rules, EntryKind.ADJUSTMENT, member_id),
        postings=postings,
        account=activity(folded, rules, member_id) if given else UNCHANGED,
    )


def set_tier(folded: Folded, command: SetTier, minted: Minted, rules: Rules) -> Decision | Rejected:
    """Judge a change of tier. Points that are there keep their expiry; new ones get the tier's."""
    member_id = _member(folded, command)
    if isinstance(member_id, Rejected):
        return member_id
    if command.tier and command.tier not in rules.programme.tiers:
        return Rejected("tier_unknown")
    # ---- valid from here ----
    ladder = rules.programme.ladder
    lasts = ladder.place(command.tier) >= 0
    return Decision(
        entry=draft(folded, command, minted, rules, EntryKind.TIER, member_id),
        account=AccountChange(
            tier=command.tier, tier_until=ladder.until(command.tier, folded.today) if lasts else NEVER
        ),
    )


def review_tier(folded: Folded, command: ReviewTier, minted: Minted, rules: Rules) -> Decision | Rejected:
    """Judge a member whose time in a tier is over: the tier is kept for as long again, or it falls."""
    if not folded.knows(command.member_id):
        return Rejected("card_unknown")
    member = folded.member(command.member_id)
    if member.tier_until >= folded.today:
        return Rejected("tier_not_over")
    ladder = rules.programme.ladder

    def amount(name: str, period: date) -> int:
        return folded.counter(command.member_id, name, period)

    # A tier that the live programme does not have any more ends with its time.
    lasts = ladder.place(member.tier) >= 0
    tier = ladder.reviewed(member.tier, amount, folded.today) if lasts else ""
    return Decision(
        entry=draft(folded, command, minted, rules, EntryKind.TIER, command.member_id),
        account=AccountChange(
            tier=tier, tier_until=ladder.until(tier, folded.today, amount) if tier else NEVER
        ),
    )


def _member(folded: Folded, command: Adjust | SetTier) -> int | Rejected:
    untimely = is_timely(command.occurred_at, folded.moment.now)
    return folded.member_of_card(command.card_number) if untimely is None else untimely
