"""Rewards, ages and the choice at the counter: prices and days as literals, and files that cannot be."""

from datetime import date

import pytest

from network.basket import Flight
from network.errors import ProgrammeInvalid
from network.programme.compiled import Programme, compile_programme
from network.programme.rewards import Reward
from network.programme.spec import read_programme

IDS = {"air": 11, "shop": 12}
HEAD = """name = "rewards"
[earn.default]
[expiry]
months = 3
"""


def compiled(text: str) -> Programme:
    """A programme with something more."""
    return compile_programme(read_programme(HEAD + text), 1, IDS)


def reward(text: str) -> Reward:
    """Its one reward."""
    [only] = compiled(f'[[reward]]\nid = "r"\nsays = "x"\n{text}').rewards.values()
    return only


CHART = """
kind = "ticket"
at = ["air"]
[[reward.band]]
up_to = 669
cabins = { economy = 6_000, business = 12_000 }
[[reward.band]]
up_to = 5_800
cabins = { economy = 25_000 }
"""


def test_a_ticket_is_priced_by_its_band_and_cabin() -> None:
    """669 miles are in the band up to 669; one without the cabin, or beyond the last band, is not sold."""
    chart = reward(CHART)
    near, far = ("PEK", "SHA"), ("PEK", "LHR")
    fares = {
        (route, cabin): chart.costs(Flight(origin=route[0], destination=route[1], cabin=cabin))
        for route in (near, far, ("PEK", "JFK"), ("PEK", "XXX"))
        for cabin in ("economy", "business")
    }
    assert fares == {
        (near, "economy"): [(6_000, 0)],
        (near, "business"): [(12_000, 0)],
        (far, "economy"): [(25_000, 0)],
        (far, "business"): [],
        (("PEK", "JFK"), "economy"): [],
        (("PEK", "JFK"), "business"): [],
        (("PEK", "XXX"), "economy"): [],
        (("PEK", "XXX"), "business"): [],
    }
    assert chart.costs(None) == []


def test_only_a_price_of_the_file_is_a_price() -> None:
    """Points and cash go together; money off takes whole steps, and says what they are off."""
    item = reward("prices = [{ points = 100 }, { points = 50, cash_minor = 700 }]")
    asked = [(100, 0), (50, 700), (100, 700), (50, 0), (99, 0)]
    assert [item.is_price(*one, 1, None) for one in asked] == [True, True, False, False, False]
    off = reward('kind = "money_off"\nper = 200\nworth_minor = 150')
    tried = [(400, 0, 300), (400, 0, 150), (300, 0, 225), (400, 1, 300)]
    assert [off.is_price(*one, None) for one in tried] == [True, False, False, False]


def test_place_day_and_tier_are_asked_before_the_price() -> None:
    """The first that does not fit is the reason; the last day is in."""
    item = reward('prices = [{ points = 1 }]\nat = ["air"]\nlast_on = 2017-05-31')
    assert item.out_of_reach(12, "", date(2017, 6, 1)) == "reward_not_here"
    assert item.out_of_reach(11, "", date(2017, 6, 1)) == "reward_not_now"
    assert item.out_of_reach(11, "", date(2017, 5, 31)) is None
    of_gold = '[[tier]]\nname = "gold"\nsays = "x"\n[[reward]]\nid = "r"\nsays = "x"\ntiers = ["gold"]\n'
    [kept] = compiled(of_gold + "prices = [{ points = 1 }]").rewards.values()
    assert [kept.out_of_reach(11, tier, date(2017, 5, 1)) for tier in ("gold", "")] == [
        None,
        "reward_of_other_tier",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "rewards.toml:5: reward.1: prices are for an item, which needs at least one"),
        ('kind = "money_off"\nper = 5', "per (points) and worth_minor are for money_off"),
        ('kind = "ticket"\nprices = [{ points = 1 }]', "prices are for an item"),
        ('kind = "upgrade"', "bands are for a ticket or an upgrade"),
        ('prices = [{ points = 1 }]\ntiers = ["gold"]', "reward.1.tiers.1: 'gold' is none of the tiers"),
        ("prices = [{ points = 1, cash = 2 }]", "reward.1.prices.1.cash: there is no such field here"),
    ],
)
def test_a_reward_that_cannot_be_is_named_by_line_and_field(text: str, said: str) -> None:
    """What its kind needs, and only that."""
    with pytest.raises(ProgrammeInvalid) as refused:
        read_programme(f'{HEAD}[[reward]]\nid = "r"\nsays = "x"\n{text}', "rewards.toml")
    assert said in str(refused.value)


def test_bands_stand_by_distance() -> None:
    """A nearer band behind a farther one could never be met."""
    bands = "".join(
        f"[[reward.band]]\n{reach}cabins = {{ economy = 1 }}\n" for reach in ("up_to = 9\n", "up_to = 5\n")
    )
    with pytest.raises(ProgrammeInvalid, match="the nearest first"):
        reward('kind = "ticket"\n' + bands)
    with pytest.raises(ProgrammeInvalid, match="only the last may be without"):
        reward('kind = "ticket"\n' + bands.replace("up_to = 9\n", ""))


def test_a_partner_that_honours_a_reward_must_be_there() -> None:
    """The same as of rules."""
    with pytest.raises(ProgrammeInvalid, match="reward r at names nobody"):
        reward('prices = [{ points = 1 }]\nat = ["nobody"]')


def test_ages_and_discounts_that_cannot_be() -> None:
    """A guardian from an age that needs none; a discount that a sponsor would have to pay."""
    with pytest.raises(ProgrammeInvalid, match="an age below minimum"):
        read_programme(HEAD + "[ages]\nminimum = 12\nwith_guardian_from = 12")
    rule = '[[rule]]\nid = "r"\nsays = "x"\nearns = "discount"\naward = { points = 1 }\n'
    with pytest.raises(ProgrammeInvalid, match="given by the till's own partner"):
        read_programme(HEAD + rule + 'fund = { who = "air" }')
    with pytest.raises(ProgrammeInvalid, match="only points can be pending"):
        read_programme(HEAD + rule + "pending_days = 3")
