"""Points outside of a sale: for an occasion, to make good, as a surprise; and who referred whom (pure).

Each is given once for its occasion. A counter of the member says that it was; the reference of what the night
gives is made of the occasion, so that not even two nights at once give it twice.
"""

from collections.abc import Mapping
from datetime import date
from uuid import UUID

import msgspec

from network.commands import Award, Refer, Treat
from network.draft import activity, draft
from network.model import IMMEDIATELY, AccountKind, EntryKind, Posting
from network.outcomes import Decision, Minted, Occasion, Rejected
from network.programme.counters import EVER, period_of
from network.programme.members import budgets_of_staff, occasion_name
from network.rules import Folded, Rules, is_timely

REFERRED_ONCE = "referred"
"""The counter that says whether a member has said who referred it."""


def occasions_of(command: Treat | Award | Refer) -> tuple[str, ...]:
    """The counters that say whether something was done before."""
    if isinstance(command, Refer):
        return (REFERRED_ONCE,)
    if isinstance(command, Treat):
        return (occasion_name(command.award, command.occasion, command.role),)
    return (occasion_name(command.award, case_of(command)),) if command.case else ()


def case_of(command: Award) -> str:
    """The occasion of an award that a partner asks for: its own case."""
    return f"{command.partner_id}/{command.case}"


def staff_budgets(command: Award, rules: Rules) -> dict[tuple[str, date], int]:
    """The budgets of a surprise, each with the most it may give; none where it is no surprise."""
    surprise = rules.programme.surprises.get(command.award)
    if surprise is None:
        return {}
    day = rules.local_date(command.occurred_at)
    budgets = budgets_of_staff(surprise, command.partner_id, command.staff)
    return {(name, period_of(period, day)): most for name, (most, period) in budgets.items()}


def treat(folded: Folded, command: Treat, minted: Minted, rules: Rules) -> Decision | Rejected:
    """Judge what the night gives for an occasion."""
    trigger = rules.programme.triggers.get(command.award)
    if trigger is None or trigger.funder_id is None:
        return Rejected("award_unknown")
    if not folded.knows(command.member_id) or folded.member(command.member_id).merged_into is not None:
        return Rejected("card_unknown")
    given = Occasion(award=command.award, occasion=command.occasion, role=command.role)
    points = trigger.points_for(command.role)
    return _given(folded, command, minted, rules, command.member_id, trigger.funder_id, points, given)


def award(folded: Folded, command: Award, minted: Minted, rules: Rules) -> Decision | Rejected:
    """Judge what a partner gives: to make good, by a case; or its staff, out of a budget."""
    refused = rules.refusal(command.partner_id, command.occurred_at, folded.moment.now)
    if refused is not None:
        return refused
    member_id = folded.member_of_card(command.card_number)
    if isinstance(member_id, Rejected):
        return member_id
    trigger = rules.programme.triggers.get(command.award)
    if trigger is not None and trigger.occasion == "recovery":
        if not command.case or command.points or command.staff:
            return Rejected("award_by_case")
        given = Occasion(award=command.award, occasion=case_of(command), reason=command.reason)
        funder_id = trigger.funder_id or command.partner_id
        return _given(folded, command, minted, rules, member_id, funder_id, trigger.points, given)
    surprise = rules.programme.surprises.get(command.award)
    if surprise is None or command.partner_id not in surprise.partners:
        return Rejected("award_unknown")
    if not (command.points and command.staff and command.reason) or command.case:
        return Rejected("award_by_staff")
    if command.points > surprise.most_points:
        return Rejected("award_too_large")
    budgets = staff_budgets(command, rules)
    if any(folded.given_by(*key) + command.points > most for key, most in budgets.items()):
        return Rejected("award_budget_spent")
    given = Occasion(
        award=command.award,
        occasion=_of_entry(minted.entry_id),
        staff=command.staff,
        reason=command.reason,
    )
    funder_id = surprise.funder_id or command.partner_id
    spent = dict.fromkeys(budgets, command.points)
    return _given(folded, command, minted, rules, member_id, funder_id, command.points, given, spent)


def refer(folded: Folded, command: Refer, minted: Minted, rules: Rules) -> Decision | Rejected:
    """Judge who referred a member: one other, who was a member before, so that no ring ever closes."""
    refused = rules.refusal(command.partner_id, command.occurred_at, folded.moment.now)
    if refused is not None:
        return refused
    member_id = folded.member_of_card(command.card_number)
    if isinstance(member_id, Rejected):
        return member_id
    referrer_id = folded.recipient_of_card(command.referrer_card_number)
    if isinstance(referrer_id, Rejected):
        return referrer_id
    if referrer_id == member_id:
        return Rejected("same_member")
    if all(one.occasion != "referral" for one in rules.programme.triggers.values()):
        return Rejected("award_unknown")
    if referrer_id > member_id:
        return Rejected("referrer_came_later")
    if folded.counter(member_id, REFERRED_ONCE, EVER):
        return Rejected("already_referred")
    # ---- valid from here ----
    entry = draft(folded, command, minted, rules, EntryKind.REFERRAL, member_id)
    return Decision(
        entry=msgspec.structs.replace(entry, counterpart_id=referrer_id),
        counted={(REFERRED_ONCE, EVER): 1},
    )


def _of_entry(entry_id: UUID) -> str:
    """The occasion of what has no other: the entry itself."""
    return entry_id.hex


def _given(
    folded: Folded,
    command: Treat | Award,
    minted: Minted,
    rules: Rules,
    member_id: int,
    funder_id: int,
    points: int,
    given: Occasion,
    spent: Mapping[tuple[str, date], int] | None = None,
) -> Decision | Rejected:
    """Points ISSUED → MEMBER by a funder who can pay, once."""
    untimely = is_timely(command.occurred_at, folded.moment.now)
    if untimely is not None:
        return untimely
    name = occasion_name(given.award, given.occasion, given.role)
    once = not given.staff
    if once and folded.counter(member_id, name, EVER):
        return Rejected("already_awarded")
    inactive = rules.inactive(funder_id) or rules.issues_no_more(funder_id, command.occurred_at)
    if inactive is not None:
        return inactive
    terms = rules.contract(funder_id, command.occurred_at)
    if terms is None:
        return Rejected("no_contract_terms")
    # ---- valid from here ----
    posting = Posting(
        line=1,
        debit=AccountKind.ISSUED,
        credit=AccountKind.MEMBER,
        points=points,
        issuer_id=funder_id,
        issuer_terms=terms.terms_version,
        spendable_on=IMMEDIATELY,
        expires_on=rules.programme.expiry_rule(folded.member(member_id).tier).expires_on(folded.today),
        window_id=folded.moment.window_id,
    )
    return Decision(
        entry=draft(folded, command, minted, rules, EntryKind.AWARD, member_id),
        postings=(posting,),
        account=activity(folded, rules, member_id),
        counted={(name, EVER): 1} if once else {},
        spent=spent or {},
        occasion=given,
    )
