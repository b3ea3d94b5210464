"""A sale earns points, which may wait for an event (pure)."""

from datetime import timedelta

import msgspec

from network.commands import Accrue, Release
from network.draft import activity, coming_back, draft, draft_at_till
from network.judging import Judgement, judged, judgement_of, oldest_claim, remaining, written
from network.model import IMMEDIATELY, AccountKind, EntryKind, Posting
from network.outcomes import Decision, Minted, RecordedEntry, Rejected
from network.registration import registered
from network.rules import MOST_POINTS, OLDEST, Folded, Rules, is_timely
from partners.model import OPERATOR_ID


def accrue(folded: Folded, command: Accrue, minted: Minted, rules: Rules) -> Decision | Rejected:
    """Judge a sale. Its own partner issues the points at the terms of the day of the sale.

    Returns:
        An entry with one posting ISSUED → MEMBER, or with none where the sale earns nothing; or why not.
        Points pending until a date are the member's, in a lot that can be spent later; those pending until an
        event are in no lot before it comes.
    """
    moment = folded.moment
    terms = rules.terms_at_sale(
        command.partner_id,
        command.outlet_code,
        command.currency,
        command.occurred_at,
        moment.now,
        OLDEST if command.details is None else oldest_claim(command, rules),
    )
    if isinstance(terms, Rejected):
        return terms
    ended = rules.issues_no_more(command.partner_id, command.occurred_at)
    if ended is not None:
        return ended
    member_id = folded.member_of_card(command.card_number)
    if isinstance(member_id, Rejected):
        return member_id
    if command.lines and not add_up(command.lines, command.amount_minor):
        return Rejected("lines_do_not_add_up")
    plan = rules.programme.plans.get(command.partner_id)
    if command.code or plan is not None:
        entry = draft_at_till(folded, command, minted, rules, EntryKind.ACCRUAL, member_id)
    if command.code:
        return registered(folded, command, entry, rules, terms.terms_version)
    if plan is not None:
        return judged(folded, command, entry, plan, rules, terms.terms_version)
    rule = rules.programme.earn_rule(command.partner_id)
    points = rule.points_for(command.amount_minor, rules.local_date(command.occurred_at))
    if points > MOST_POINTS:
        return Rejected("too_many_points")
    # ---- valid from here ----
    pending = timedelta(days=rule.pending_days)
    posting = Posting(
        line=1,
        debit=AccountKind.ISSUED,
        credit=AccountKind.PENDING if rule.pending_until_event else AccountKind.MEMBER,
        points=points,
        issuer_id=command.partner_id,
        issuer_terms=terms.terms_version,
        spendable_on=folded.today + pending if pending else IMMEDIATELY,
        expires_on=rules.programme.expiry_rule(folded.member(member_id).tier).expires_on(folded.today),
        window_id=moment.window_id,
    )
    return Decision(
        entry=draft_at_till(folded, command, minted, rules, EntryKind.ACCRUAL, member_id),
        postings=(posting,) if points else (),
        account=activity(folded, rules, member_id),
        lines=command.lines,
        # No rule asked for them; a later programme that is tried on past sales may.
        judgement=None if command.details is None else written(Judgement(details=command.details)),
    )


def add_up(lines: tuple[int, ...], total: int) -> bool:
    """Whether lines are the parts of a total."""
    return min(lines) > 0 and sum(lines) == total


def release(folded: Folded, command: Release, minted: Minted, rules: Rules) -> Decision | Rejected:
    """Judge an event: what still waited for it can be spent. What is held, an operator releases."""
    untimely = is_timely(command.occurred_at, folded.moment.now)
    if untimely is not None:
        return untimely
    recorded = folded.recorded(command.entry_id)
    by_operator = command.partner_id == OPERATOR_ID
    if recorded is None or not (by_operator or recorded.entry.partner_id == command.partner_id):
        return Rejected("entry_unknown")
    if recorded.pending and by_operator is not is_held(recorded):
        return Rejected("not_held" if by_operator else "held_for_review")
    if recorded.pending == 0:
        return Rejected("nothing_pending")
    waiting = _waiting(recorded, rules)
    if isinstance(waiting, Rejected):
        return waiting
    # ---- valid from here ----
    sale = recorded.entry
    entry = draft(
        folded,
        command,
        minted,
        rules,
        EntryKind.RELEASE,
        sale.member_id,
        currency=None if by_operator else sale.currency,
        outlet_code=None if by_operator else sale.outlet_code,
    )
    return Decision(
        entry=msgspec.structs.replace(entry, hold_id=sale.entry_id),
        postings=coming_back(
            folded,
            rules,
            sale.member_id,
            waiting,
            AccountKind.PENDING,
        ),
    )


def is_held(recorded: RecordedEntry) -> bool:
    """Whether what a sale earned waits for an operator."""
    return recorded.pending > 0 and bool(judgement_of(recorded).held_by)


def _waiting(recorded: RecordedEntry, rules: Rules) -> list[tuple[Posting, int]] | Rejected:
    """The postings of a sale whose points still wait, each with how many."""
    sale = recorded.entry
    judge = rules.programmes.get(sale.programme_version)
    if judge is None:
        return Rejected("programme_not_read")
    if sale.partner_id not in judge.plans:
        return [(recorded.postings[0], recorded.pending)]
    left = remaining(recorded, judge, rules)
    return [(posting, points) for posting, points in left if posting.credit is AccountKind.PENDING]
