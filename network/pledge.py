"""A standing pledge is made, ended, and kept (pure).

It is kept at night and not with the sale: so a till is as fast as without it, what comes back on the same day
is not given away, deficits are paid first, and points that wait for an event or a day go once they can be
spent. What a pledge comes to is its share of all that was earned under it, rounded down, less what was given:
so no fraction is lost from night to night, and what is not there tonight goes later. It counts whole dates,
from the one on which it is made and without the one on which it is ended: then no order of what happens
within a date changes what it comes to.
"""

from network.commands import KeepPledge, Pledge
from network.draft import draft, drawn
from network.draw import live
from network.model import AccountKind, EntryKind
from network.outcomes import Decision, Minted, Pledged, Rejected
from network.redemption import draw_own, terms_of_cause
from network.rules import Folded, Rules


def pledge(folded: Folded, command: Pledge, minted: Minted, rules: Rules) -> Decision | Rejected:
    """Judge a pledge; of 0 per cent, the end of the one that there is. One of each kind is in force.

    A pledge goes on as it was made where a later programme does not offer it any more.
    """
    refused = rules.refusal(command.partner_id, command.occurred_at, folded.moment.now)
    if refused is not None:
        return refused
    made = Pledged(offer=command.pledge)
    if command.per_cent:
        offer = rules.programme.pledges.get(command.pledge)
        if offer is None:
            return Rejected("pledge_unknown")
        cause_id = rules.directory.by_code.get(command.cause)
        if cause_id is None or cause_id not in offer.causes:
            return Rejected("cause_unknown")
        terms = terms_of_cause(cause_id, command.occurred_at, rules)
        if isinstance(terms, Rejected):
            return terms
        if command.per_cent not in offer.per_cents:
            return Rejected("pledge_share_unknown")
        made = Pledged(
            offer=command.pledge, cause_id=cause_id, per_cent=command.per_cent, issuers=offer.issuers
        )
    member_id = folded.member_of_card(command.card_number, spending=bool(command.per_cent))
    if isinstance(member_id, Rejected):
        return member_id
    # ---- valid from here ----
    return Decision(entry=draft(folded, command, minted, rules, EntryKind.PLEDGE, member_id), pledged=made)


def keep_pledge(folded: Folded, command: KeepPledge, minted: Minted, rules: Rules) -> Decision | Rejected:
    """Judge what a pledge gives tonight: a donation of what is due, or of what there is."""
    terms = terms_of_cause(command.cause_id, command.occurred_at, rules)
    if isinstance(terms, Rejected):
        return terms
    there = sum(lot.remaining for lot in live(folded.lots(command.member_id), folded.today))
    points = min(command.points, there)
    draws = draw_own(folded, command.member_id, points, minted) if points else None
    if draws is None:
        return Rejected("insufficient_points")
    # ---- valid from here ----
    return Decision(
        entry=draft(folded, command, minted, rules, EntryKind.DONATION, command.member_id),
        postings=drawn(
            draws,
            command.member_id,
            AccountKind.ACCEPTED,
            folded.moment.window_id,
            acceptor=(command.cause_id, terms.terms_version),
        ),
        keeps=command.pledge_id,
    )
