"""Which counters, segments and budgets a batch has to read for its rules (pure)."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from uuid import UUID

from network.awarding import occasions_of, staff_budgets
from network.commands import Accrue, Award, Command, Gift, Redeem, Refer, Reverse, ReviewTier, Stake, Treat
from network.judging import credited_by, judgement_of, sale_at_till
from network.outcomes import CardState, RecordedEntry
from network.paid_plan import SUBSCRIBED
from network.programme.counters import EVER, months_back, period_of
from network.programme.rule import Plan
from network.rewards import shelf_of, stocked
from network.rules import Rules
from network.staking import stakes_name

OLDEST_MONTHS = 13
"""Rolling years and the longest periods of caps, seen from a sale of last month."""


ONCE_ONLY = (Treat, Award, Refer, Stake)
"""Commands that may be done once for an occasion: a counter says whether they were."""


def _once(command: Treat | Award | Refer | Stake) -> tuple[str, ...]:
    """The counters that say how often something was done for an occasion."""
    return (stakes_name(command),) if isinstance(command, Stake) else occasions_of(command)


def once_only(commands: Iterable[Command]) -> bool:
    """Whether a batch asks for counters, whatever its rules do."""
    return any(isinstance(command, ONCE_ONLY) for command in commands)


def plans_asked(commands: Iterable[Command], rules: Rules) -> list[Plan]:
    """The plans that judge a batch."""
    plans = rules.programme.plans
    partners = {command.partner_id for command in commands if isinstance(command, Accrue)}
    return [plans[partner_id] for partner_id in partners if partner_id in plans]


def members_asked(
    commands: Iterable[Command], cards: Mapping[int, CardState], rules: Rules
) -> frozenset[int]:
    """Whose counters and segments a batch may ask for."""
    plans, watching = rules.programme.plans, rules.programme.abuse
    members = set()
    for command in commands:
        if isinstance(command, Accrue) and (watching or command.partner_id in plans):
            card = cards.get(command.card_number)
            members |= {card.member_id} if card is not None else set()
        elif isinstance(command, Gift) and watching and command.card_number in cards:
            members.add(cards[command.card_number].member_id)
        elif isinstance(command, ReviewTier | Treat):
            members.add(command.member_id)
        elif isinstance(command, Award | Refer | Stake) and command.card_number in cards:
            members.add(cards[command.card_number].member_id)
    return frozenset(members)


def names_asked(commands: Iterable[Command], plans: Sequence[Plan], rules: Rules) -> frozenset[str]:
    """Counters that a batch may ask for."""
    names = {name for plan in plans for name in plan.periods}
    if any(plan.makes_tiers for plan in plans) or any(isinstance(one, ReviewTier) for one in commands):
        names |= rules.programme.ladder.names
    names |= {flown for one in commands if isinstance(one, Accrue) and (flown := credited_by(one, rules))}
    names |= {name for one in commands if isinstance(one, ONCE_ONLY) for name in _once(one)}
    return frozenset(names)


def plans_since(commands: Iterable[Command], rules: Rules, today: date) -> date | None:
    """Up to which day, or later, plans were paid for that a batch may ask for; None where it asks none."""
    if any(isinstance(one, SUBSCRIBED) for one in commands) or any(
        plan.paid_plans for plan in plans_asked(commands, rules)
    ):
        return asked_since(today)
    return None


def asked_since(today: date) -> date:
    """The first day of the oldest period that can matter."""
    return months_back(today, OLDEST_MONTHS)


def budgets_asked(
    commands: Iterable[Command], recorded: Mapping[UUID, RecordedEntry], rules: Rules
) -> set[tuple[str, date]]:
    """Budgets that a batch may spend, or give back to: all are locked together, in order."""
    plans = rules.programme.plans
    keys: set[tuple[str, date]] = set()
    for command in commands:
        if isinstance(command, Accrue):
            plan = plans.get(command.partner_id)
            if plan is not None and plan.budgets:
                sale = sale_at_till(command, rules)
                for rule in plan.on(sale.day)[1]:
                    if rule.budget is not None and rule.may_apply(sale):
                        keys.add((rule.id, period_of(rule.budget[1], sale.day)))
        elif isinstance(command, Redeem):
            reward = stocked(command, rules)
            keys |= set() if reward is None else {(reward.shelf, EVER)}
        elif isinstance(command, Award):
            keys |= staff_budgets(command, rules).keys()
        elif isinstance(command, Reverse):
            keys |= _given(recorded.get(command.entry_id), rules)
    return keys


def _given(recorded: RecordedEntry | None, rules: Rules) -> set[tuple[str, date]]:
    """Budgets that a recorded sale took from."""
    if recorded is None or recorded.judgement is None:
        return set()
    shelf = shelf_of(recorded)
    if shelf is not None:
        return {(shelf, EVER)}
    programme = rules.programmes.get(recorded.entry.programme_version)
    plan = None if programme is None else programme.plans.get(recorded.entry.partner_id)
    if plan is None or not plan.budgets:
        return set()
    day = rules.local_date(recorded.entry.occurred_at)
    awards = judgement_of(recorded).outcome.awards
    budgets = ((one.rule, plan.rule(one.rule).budget) for one in awards)
    return {(rule_id, period_of(budget[1], day)) for rule_id, budget in budgets if budget is not None}
