"""A redemption that is for a reward of the programme: its price, its stock, and the record (pure)."""

from collections.abc import Mapping
from datetime import date

import msgspec

from network.basket import Flight
from network.commands import Redeem
from network.judging import Judgement, judgement_of, written
from network.outcomes import RecordedEntry, Rejected
from network.programme.counters import EVER
from network.programme.geography import metres_between
from network.programme.rewards import Reward, RewardOffer, Taken
from network.rules import Folded, Rules


class Claim(msgspec.Struct, frozen=True):
    """What a redemption's decision says of its reward: the record, and what to take from stock."""

    judgement: str | None = None
    spent: Mapping[tuple[str, date], int] = {}


NO_CLAIM = Claim()


def claim(folded: Folded, command: Redeem, member_id: int, rules: Rules) -> Claim | Rejected:
    """Hold a redemption against the reward that it names; one that names none is for what the till says.

    Returns:
        What its decision says beside its points; or that there is no such reward, not here, not now, not for
        this member, not at this price, or that none is left.
    """
    wanted = command.reward
    if wanted is None:
        return NO_CLAIM
    reward = rules.programme.rewards.get(wanted.id)
    if reward is None:
        return Rejected("reward_unknown")
    day = rules.local_date(command.occurred_at)
    reason = reward.out_of_reach(command.partner_id, folded.member(member_id).tier, day)
    if reason is not None:
        return Rejected(reason)
    if not reward.is_price(command.points, wanted.cash_minor, command.amount_minor, wanted.flight):
        return Rejected("reward_price_differs")
    if reward.stock is not None and folded.given_by(reward.shelf, EVER) >= reward.stock:
        return Rejected("reward_sold_out")
    flight = wanted.flight if reward.bands else None
    taken = Taken(
        reward=reward.id,
        says=reward.says,
        cash_minor=wanted.cash_minor,
        flight=flight,
        metres=None if flight is None else metres_between(flight.origin, flight.destination),
        counts=reward.stock is not None,
    )
    return Claim(written(Judgement(taken=taken)), {(reward.shelf, EVER): 1} if taken.counts else {})


def taken_by(recorded: RecordedEntry) -> Taken | None:
    """The reward that a recorded redemption was for."""
    return None if recorded.judgement is None else judgement_of(recorded).taken


def shelf_of(recorded: RecordedEntry | None) -> str | None:
    """Of whose stock a recorded redemption is; None where it is of none."""
    taken = None if recorded is None else taken_by(recorded)
    return f"reward:{taken.reward}" if taken is not None and taken.counts else None


def put_back(recorded: RecordedEntry, points: int) -> Mapping[tuple[str, date], int]:
    """What the return of points of a redemption gives back to stock: the piece, with the last of them."""
    shelf = shelf_of(recorded)
    spent = sum(posting.points for posting in recorded.postings)
    whole = recorded.reversed.points + points == spent
    return {(shelf, EVER): -1} if shelf is not None and whole else {}


def offers(rules: Rules, partner_id: int, tier: str, day: date, flight: Flight | None) -> list[RewardOffer]:
    """What a card could have at a partner on a day, each at each of its prices; in the file's order."""
    return [
        RewardOffer(
            id=reward.id,
            says=reward.says,
            kind=reward.kind,
            points=points,
            cash_minor=cash_minor,
            worth_minor=reward.worth_minor,
        )
        for reward in rules.programme.rewards.values()
        if reward.out_of_reach(partner_id, tier, day) is None
        for points, cash_minor in reward.costs(flight)
    ]


def stocked(command: Redeem, rules: Rules) -> Reward | None:
    """The reward of a redemption whose stock has to be locked."""
    if command.reward is None:
        return None
    reward = rules.programme.rewards.get(command.reward.id)
    return reward if reward is not None and reward.stock is not None else None
