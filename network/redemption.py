"""Points pay for a sale, or go to a cause (pure)."""

from datetime import datetime

from network.accrual import add_up
from network.commands import Donate, Hold, Redeem, Showing
from network.draft import activity, draft, draft_at_till, drawn
from network.draw import Draw, draw_lots, live
from network.model import AccountKind, EntryKind
from network.outcomes import Decision, Minted, Rejected
from network.rewards import claim
from network.rules import Folded, Rules
from partners.model import Terms


def redeem(folded: Folded, command: Redeem, minted: Minted, rules: Rules) -> Decision | Rejected:
    """Judge a redemption. Every draw keeps its issuer and terms; the acceptor's terms are chosen here.

    Returns:
        An entry with one posting MEMBER → ACCEPTED for each lot drawn, of whomever's in the pool; or why not.
        What a till has accepted offline takes what is there, which may be nothing.
    """
    spender = spender_at_till(folded, command, rules)
    if isinstance(spender, Rejected):
        return spender
    terms, member_id, category = spender
    if command.lines and not add_up(command.lines, command.points):
        return Rejected("lines_do_not_add_up")
    if command.offline and command.points > terms.offline_floor_points:
        return Rejected("above_offline_floor")
    claimed = claim(folded, command, member_id, rules)
    if isinstance(claimed, Rejected):
        return claimed
    points = command.points
    if command.offline:
        points = min(points, spendable_of_pool(folded, member_id))
    draws = draw_of_pool(folded, member_id, points, minted) if points else ()
    if draws is None:
        return Rejected("insufficient_points")
    # ---- valid from here ----
    return Decision(
        entry=draft_at_till(folded, command, minted, rules, EntryKind.REDEMPTION, member_id),
        postings=drawn(
            draws,
            member_id,
            AccountKind.ACCEPTED,
            folded.moment.window_id,
            acceptor=(command.partner_id, terms.terms_version),
            category=category,
        ),
        account=activity(folded, rules, member_id),
        lines=command.lines,
        asked=command.points if command.offline else None,
        judgement=claimed.judgement,
        spent=claimed.spent,
    )


def spender_at_till(
    folded: Folded, command: Redeem | Hold, rules: Rules
) -> tuple[Terms, int, int] | Rejected:
    """The acceptor's terms, the member and the category, where points are to be spent."""
    terms = rules.terms_at_sale(
        command.partner_id, command.outlet_code, command.currency, command.occurred_at, folded.moment.now
    )
    if isinstance(terms, Rejected):
        return terms
    ended = rules.accepts_no_more(command.partner_id, command.occurred_at)
    if ended is not None:
        return ended
    category = rules.directory.categories.get(command.category) if command.category else 0
    if category is None:
        return Rejected("category_unknown")
    member_id = folded.member_of_card(command.card_number, spending=True)
    if isinstance(member_id, Rejected):
        return member_id
    missing = unproven(command, rules)
    return (terms, member_id, category) if missing is None else missing


def unproven(command: Showing, rules: Rules) -> Rejected | None:
    """Why so many points need more than the printed number, if they do and it did not come.

    A till that had no line is asked for the same: or who has a picture of a card would say that it had none.
    """
    asked = rules.programme
    if asked.approval_above is not None and command.points > asked.approval_above:
        return None if command.approval is not None else Rejected("approval_needed")
    if asked.code_above is not None and command.points > asked.code_above:
        shown = command.code or command.pin or command.approval is not None
        return None if shown else Rejected("code_needed")
    return None


def draw_of_pool(folded: Folded, member_id: int, points: int, minted: Minted) -> tuple[Draw, ...] | None:
    """Draw from a member's lots and from those of its pool."""
    purses = [(one, folded.lots(one)) for one in folded.pool(member_id)]
    return draw_lots(purses, points, on=folded.today, entry_id=minted.entry_id)


def spendable_of_pool(folded: Folded, member_id: int) -> int:
    """Points that a member and its pool can spend now."""
    return sum(
        lot.remaining for one in folded.pool(member_id) for lot in live(folded.lots(one), folded.today)
    )


def draw_own(folded: Folded, member_id: int, points: int, minted: Minted) -> tuple[Draw, ...] | None:
    """Draw from a member's own lots: nobody gives away what is another's."""
    purses = [(member_id, folded.lots(member_id))]
    return draw_lots(purses, points, on=folded.today, entry_id=minted.entry_id)


def terms_of_cause(cause_id: int, occurred_at: datetime, rules: Rules) -> Terms | Rejected:
    """The terms at which a cause takes donations on the day of an instant, or why it takes none."""
    terms = rules.contract(cause_id, occurred_at)
    if terms is None or not terms.accepts_donations:
        return Rejected("cause_unknown")
    if rules.inactive(cause_id) is not None or rules.accepts_no_more(cause_id, occurred_at):
        return Rejected("cause_not_active")
    return terms


def donate(folded: Folded, command: Donate, minted: Minted, rules: Rules) -> Decision | Rejected:
    """Judge a donation: a redemption whose acceptor is the cause."""
    refused = rules.refusal(command.partner_id, command.occurred_at, folded.moment.now)
    if refused is not None:
        return refused
    cause_id = rules.directory.by_code.get(command.cause)
    if cause_id is None:
        return Rejected("cause_unknown")
    terms = terms_of_cause(cause_id, command.occurred_at, rules)
    if isinstance(terms, Rejected):
        return terms
    member_id = folded.member_of_card(command.card_number, spending=True)
    if isinstance(member_id, Rejected):
        return member_id
    missing = unproven(command, rules)
    if missing is not None:
        return missing
    draws = draw_own(folded, member_id, command.points, minted)
    if draws is None:
        return Rejected("insufficient_points")
    # ---- valid from here ----
    return Decision(
        entry=draft(folded, command, minted, rules, EntryKind.DONATION, member_id),
        postings=drawn(
            draws,
            member_id,
            AccountKind.ACCEPTED,
            folded.moment.window_id,
            acceptor=(cause_id, terms.terms_version),
        ),
    )
