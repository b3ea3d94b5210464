"""Stakes on matches, and what is paid for them (pure).

A staked point keeps its issuer, terms and expiry. As a held one, it does not lapse meanwhile.
"""

from collections.abc import Sequence

from network.commands import PayOut, Stake
from network.draft import activity, draft, drawn
from network.draw import draw_lots
from network.expiry import expiry_of_returned
from network.model import IMMEDIATELY, AccountKind, Entry, EntryKind, Part, Posting
from network.outcomes import UNCHANGED, Decision, Minted, PaidFor, Rejected, Staked
from network.programme.counters import EVER
from network.rules import Folded, Rules


def stakes_name(command: Stake) -> str:
    """The counter of a member's stakes on a match."""
    return f"stakes {command.match_id.hex}"


def stake(folded: Folded, command: Stake, minted: Minted, rules: Rules) -> Decision | Rejected:
    """Judge a stake: points of the member itself, set aside until the match is decided."""
    refused = rules.refusal(command.partner_id, command.occurred_at, folded.moment.now)
    if refused is not None:
        return refused
    member_id = folded.member_of_card(command.card_number, spending=True)
    if isinstance(member_id, Rejected):
        return member_id
    match = folded.match(command.match_id)
    if match is None or command.partner_id not in match.partners:
        return Rejected("match_unknown")
    # By the network's clock, and by the till's own: what was said after that is too late, however it came.
    if match.state != "open" or max(folded.moment.now, command.occurred_at) >= match.closes_at:
        return Rejected("match_closed")
    if command.outcome not in match.outcomes:
        return Rejected("outcome_unknown")
    counter = stakes_name(command)
    if folded.counter(member_id, counter, EVER) + command.stakes > match.most_stakes:
        return Rejected("too_many_stakes")
    points = match.stake * command.stakes
    draws = (
        draw_lots([(member_id, folded.lots(member_id))], points, on=folded.today, entry_id=minted.entry_id)
        if points
        else ()
    )
    if draws is None:
        return Rejected("insufficient_points")
    # ---- valid from here ----
    return Decision(
        entry=draft(folded, command, minted, rules, EntryKind.STAKE, member_id),
        postings=drawn(draws, member_id, AccountKind.STAKED, folded.moment.window_id),
        account=activity(folded, rules, member_id),
        counted={(counter, EVER): command.stakes},
        staked=Staked(match_id=command.match_id, outcome=command.outcome, points=points),
    )


def pay_out(folded: Folded, command: PayOut, minted: Minted, rules: Rules) -> Decision | Rejected:
    """Judge what becomes of a stake, as network.programme.games has shared it out."""
    if not folded.knows(command.member_id):
        return Rejected("card_unknown")
    entry = draft(folded, command, minted, rules, EntryKind.PAYOUT, command.member_id)
    postings = _moved(folded, rules, entry, command.back, AccountKind.MEMBER)
    if command.lost or command.issued:
        terms = None if command.funder_id is None else rules.contract(command.funder_id, command.occurred_at)
        if command.funder_id is None or terms is None:
            return Rejected("no_contract_terms")
        acceptor = (command.funder_id, terms.terms_version)
        postings += _moved(folded, rules, entry, command.lost, AccountKind.ACCEPTED, acceptor)
        if command.issued:
            tier = folded.member(command.member_id).tier
            postings.append(
                Posting(
                    line=len(postings) + 1,
                    debit=AccountKind.ISSUED,
                    credit=AccountKind.MEMBER,
                    points=command.issued,
                    issuer_id=command.funder_id,
                    issuer_terms=terms.terms_version,
                    spendable_on=IMMEDIATELY,
                    expires_on=rules.programme.expiry_rule(tier).expires_on(folded.today),
                    window_id=folded.moment.window_id,
                )
            )
    # ---- valid from here ----
    return Decision(
        entry=entry,
        postings=postings,
        # else new points that live with activity would be dead at once, at a member that only waited
        account=activity(folded, rules, command.member_id) if command.issued else UNCHANGED,
        paid_for=PaidFor(match_id=command.match_id, stake_id=command.stake_id),
    )


def _moved(
    folded: Folded,
    rules: Rules,
    entry: Entry,
    parts: Sequence[Part],
    credit: AccountKind,
    acceptor: tuple[int | None, int | None] = (None, None),
) -> list[Posting]:
    """Staked points as postings; those that lapsed meanwhile live on for the days of grace."""
    grace = expiry_of_returned(folded.today, rules.programme.grace_days)
    comes_back = credit is AccountKind.MEMBER
    return [
        Posting(
            line=line,
            debit=AccountKind.STAKED,
            credit=credit,
            points=part.points,
            issuer_id=part.issuer_id,
            issuer_terms=part.terms_version,
            spendable_on=part.spendable_on,
            expires_on=grace
            if comes_back and not folded.lives(part.expires_on, entry.member_id)
            else part.expires_on,
            acceptor_id=acceptor[0],
            acceptor_terms=acceptor[1],
            window_id=entry.window_id,
        )
        for line, part in enumerate(parts, start=1)
    ]
