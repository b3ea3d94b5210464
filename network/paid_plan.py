"""Paid plans: a fee is taken, the period runs, and what is left of it is paid back (pure).

A membership is of whole local days, first and last in. Bought again before it ends, it goes on where it would
have ended. Its benefits are rules with `when.plans`, which ask for the day of the sale: so they end with it.
"""

from calendar import monthrange
from datetime import date, timedelta

import msgspec

from network.commands import BuyPlan, EndPlan, Merge
from network.draft import draft, draft_at_till
from network.model import AccountKind, EntryKind, Membership, Posting, Unit
from network.outcomes import Decision, Minted, Rejected
from network.programme.offers import PaidPlan
from network.rules import Folded, Rules, is_timely

SUBSCRIBED = (BuyPlan, EndPlan, Merge)
"""Commands that look at the memberships of their members; so do sales under rules that ask for plans."""


def buy_plan(folded: Folded, command: BuyPlan, minted: Minted, rules: Rules) -> Decision | Rejected:
    """Judge the purchase of a plan, or its renewal: one posting of the fee, from seller to who honours it."""
    terms = rules.terms_at_sale(
        command.partner_id, command.outlet_code, command.currency, command.occurred_at, folded.moment.now
    )
    if isinstance(terms, Rejected):
        return terms
    plan = rules.programme.paid_plans.get(command.plan)
    if plan is None or plan.currency != command.currency:
        return Rejected("plan_unknown")
    if plan.sold_at is not None and command.partner_id not in plan.sold_at:
        return Rejected("plan_not_sold_here")
    if command.amount_minor != plan.price_minor:
        return Rejected("plan_price_differs")
    honours = rules.contract(plan.honoured_by, command.occurred_at)
    if honours is None or rules.inactive(plan.honoured_by) is not None:
        return Rejected("plan_not_honoured")
    member_id = folded.member_of_card(command.card_number)
    if isinstance(member_id, Rejected):
        return member_id
    today = rules.local_date(command.occurred_at)
    same = [one for one in folded.memberships(member_id) if one.plan == command.plan]
    if any(today < one.starts_on <= one.ends_on for one in same):
        return Rejected("plan_already_renewed")
    # ---- valid from here ----
    running = [one.ends_on for one in same if one.starts_on <= today <= one.ends_on]
    starts_on = max(running) + timedelta(days=1) if running else today
    ends_on = period_end(starts_on, plan.months)
    fee = Posting(
        line=1,
        debit=AccountKind.ISSUED,
        credit=AccountKind.ACCEPTED,
        points=plan.price_minor,
        issuer_id=command.partner_id,
        issuer_terms=terms.terms_version,
        spendable_on=starts_on,
        expires_on=ends_on,
        acceptor_id=plan.honoured_by,
        acceptor_terms=honours.terms_version,
        window_id=folded.moment.window_id,
        unit=Unit.FEE,
    )
    return Decision(
        entry=draft_at_till(folded, command, minted, rules, EntryKind.PLAN_MEMBERSHIP, member_id),
        postings=(fee,),
        membership=Membership(
            entry_id=minted.entry_id,
            plan=command.plan,
            starts_on=starts_on,
            paid_until=ends_on,
            ends_on=ends_on,
        ),
    )


def end_plan(folded: Folded, command: EndPlan, minted: Minted, rules: Rules) -> Decision | Rejected:
    """Judge the end of a plan before its time, by who sold it or honours it; its amount is what is paid back.

    The terms of refund are those of the version under which it was bought.
    """
    untimely = is_timely(command.occurred_at, folded.moment.now)
    if untimely is not None:
        return untimely
    recorded = folded.recorded(command.membership_id)
    if recorded is None or recorded.entry.kind is not EntryKind.PLAN_MEMBERSHIP:
        return Rejected("entry_unknown")
    [fee] = recorded.postings
    if command.partner_id not in (fee.issuer_id, fee.acceptor_id):
        return Rejected("entry_unknown")
    terms = rules.contract(command.partner_id, command.occurred_at)
    if terms is None:
        return Rejected("no_contract_terms")
    judge = rules.programmes.get(recorded.entry.programme_version)
    if judge is None:
        return Rejected("programme_not_read")
    member_id = recorded.entry.member_id
    membership = folded.membership(member_id, command.membership_id)
    today = folded.today
    if membership is None or membership.ended or membership.ends_on < today:
        return Rejected("plan_over")
    # ---- valid from here ----
    plan = judge.paid_plans[membership.plan]
    bought_on = rules.local_date(recorded.entry.occurred_at)
    back, ends_on = paid_back(plan, membership, bought_on=bought_on, today=today)
    entry = draft(
        folded,
        command,
        minted,
        rules,
        EntryKind.PLAN_REFUND,
        member_id,
        amount_minor=back,
        currency=recorded.entry.currency,
        outlet_code=recorded.entry.outlet_code,
    )
    posting = msgspec.structs.replace(
        fee,
        debit=AccountKind.ACCEPTED,
        credit=AccountKind.ISSUED,
        points=back,
        issuer_id=command.partner_id,
        issuer_terms=terms.terms_version,
        spendable_on=ends_on + timedelta(days=1),
        window_id=folded.moment.window_id,
    )
    return Decision(
        entry=entry,
        postings=(posting,) if back else (),
        membership=msgspec.structs.replace(membership, ends_on=ends_on, ended=True),
    )


def paid_back(plan: PaidPlan, membership: Membership, *, bought_on: date, today: date) -> tuple[int, date]:
    """What of a fee is paid back, in minor units, and the last day of the membership then.

    Where all of it is paid back the membership has no day, as if it had not been bought.

    Args:
        plan: As it was bought.
        membership: Not ended, and not over.
        bought_on: The local day of the purchase.
        today: The last day that counts as used, where a part is paid back.
    """
    if today < membership.starts_on or today <= bought_on + timedelta(days=plan.full_days):
        return plan.price_minor, membership.starts_on - timedelta(days=1)
    if plan.refund == "never":
        return 0, today
    days = (membership.paid_until - membership.starts_on).days + 1
    over = plan.price_minor * (membership.paid_until - today).days
    rounded = {"down": over // days, "half_up": (2 * over + days) // (2 * days), "up": -(-over // days)}
    return rounded[plan.rounding], today


def period_end(starts_on: date, months: int) -> date:
    """The last day of a period: 2017-01-15 and 12 give 2018-01-14; a day that a month lacks is its last."""
    month = starts_on.month - 1 + months
    year, month = starts_on.year + month // 12, month % 12 + 1
    return date(year, month, min(starts_on.day, monthrange(year, month)[1])) - timedelta(days=1)
