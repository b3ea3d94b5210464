"""The estimate of what will be redeemed: against published survival data, by hand, and by law."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settlement.survival import (
    FEWEST_FORECASTS,
    OPEN_ENDED,
    SPANS,
    Curve,
    Estimate,
    Flow,
    Forecast,
    Period,
    choose,
    fit,
    forecasts,
    judge,
    learn,
    missed_by,
    recent,
)

# Weeks of remission under 6-MP, the best known example of Kaplan and Meier: (weeks, whether it ended then).
REMISSION = [
    *((6, True), (6, True), (6, True), (6, False), (7, True), (9, False), (10, True), (10, False)),
    *((11, False), (13, True), (16, True), (17, False), (19, False), (20, False), (22, True), (23, True)),
    *((25, False), (32, False), (32, False), (34, False), (35, False)),
]
PUBLISHED = [
    (6, "0.857", "0.0764"),
    (7, "0.807", "0.0869"),
    (10, "0.753", "0.0963"),
    (13, "0.690", "0.1068"),
    (16, "0.627", "0.1141"),
    (22, "0.538", "0.1282"),
    (23, "0.448", "0.1346"),
]


def close(found: Decimal, expected: str) -> bool:
    """Equal to the last published digit."""
    return abs(found - Decimal(expected)) <= Decimal(1).scaleb(Decimal(expected).as_tuple().exponent) / 2  # type: ignore[arg-type]  # a number, never "n"


@pytest.mark.parametrize(("weeks", "survival", "error"), PUBLISHED)
def test_kaplan_meier_and_greenwood_as_published(weeks: int, survival: str, error: str) -> None:
    """Points that expire after so many weeks: the curve and its error are those of the textbooks."""
    flows = [Flow(weeks, "issued", len(REMISSION))]
    still_out: dict[int, int] = {}
    for ended, redeemed in REMISSION:
        if ended > weeks:
            flows.append(Flow(0, "lapsed", 1))
        elif redeemed:
            flows.append(Flow(weeks - ended, "redeemed", 1))
        else:
            still_out[weeks - ended] = still_out.get(weeks - ended, 0) + 1
    found = judge(learn(flows, {0: still_out}), {weeks + 1: 1})
    assert close(1 - found.expected, survival)
    assert close(found.independent, error)
    assert found.unseen == 0


def test_two_causes_compete() -> None:
    """Ten points: four redeemed and one taken back on the first day, two of five on the last, three lapse."""
    flows = [
        Flow(1, "issued", 10),
        Flow(1, "redeemed", 4),
        Flow(1, "taken_back", 1),
        Flow(0, "redeemed", 2),
        Flow(0, "lapsed", 3),
    ]
    curve = fit(flows, {})
    assert [curve.chance(left) for left in (0, 1, 2)] == [0, Decimal("0.4"), Decimal("0.6")]
    # by hand: .6² .4 .6 / 10 + .4² .1 .9 / 10 + 2 .6 .4 .4 .1 / 10 + .5² .4 .6 / 5 = .024
    assert close(judge(learn(flows, {}), {2: 1}).independent, "0.154919")


def test_points_enter_when_they_are_issued() -> None:
    """Five of ten are redeemed at once; twenty join the other five, and five of these 25 are redeemed."""
    flows = [
        Flow(2, "issued", 10),
        Flow(2, "redeemed", 5),
        Flow(1, "issued", 20),
        Flow(1, "redeemed", 5),
        Flow(0, "redeemed", 0),
        Flow(0, "lapsed", 20),
    ]
    curve = fit(flows, {})
    assert [(day.at_risk, day.redeemed) for day in curve.days] == [(20, 0), (25, 5), (10, 5)]
    assert [curve.chance(left) for left in (1, 2, 3)] == [0, Decimal("0.2"), Decimal("0.6")]


def test_what_is_out_is_at_risk_until_today() -> None:
    """Six of ten are out with one day left: today they were at risk, on their last day they are not yet."""
    flows = [Flow(1, "issued", 10), Flow(1, "redeemed", 4)]
    curve = fit(flows, {1: 6})
    assert [(day.at_risk, day.redeemed) for day in curve.days] == [(0, 0), (10, 4)]


def test_what_was_never_observed_counts_as_redeemed() -> None:
    """No lot has come to its last day yet: all that is out may be redeemed, and the estimate says so."""
    flows = [Flow(5, "issued", 100), Flow(4, "redeemed", 10)]
    found = judge(learn(flows, {0: {3: 90}}), {3: 90})
    assert found == Estimate(
        outstanding=90,
        expected=Decimal(90),
        independent=Decimal(0),
        unseen=Decimal(90),
        replicates=(Decimal(90),),
    )
    assert fit([], {}).chance(17) == 1


def test_points_without_expiry() -> None:
    """Of those that ended, three in four were redeemed; while nothing ended, all may be."""
    flows = [
        Flow(OPEN_ENDED, "issued", 1_000),
        Flow(OPEN_ENDED, "redeemed", 75),
        Flow(OPEN_ENDED, "lapsed", 25),
    ]
    assert fit(flows, {OPEN_ENDED: 900}).chance(OPEN_ENDED) == Decimal("0.75")
    assert fit(flows[:1], {OPEN_ENDED: 1_000}).chance(OPEN_ENDED) == 1
    found = judge(learn(flows, {0: {OPEN_ENDED: 900}}), {OPEN_ENDED: 900})
    assert (found.outstanding, found.expected) == (900, Decimal(675))


def test_forecasts_are_held_against_what_came() -> None:
    """Of ten 4 and then 1 of 6 were redeemed: of twenty 8 and 2 2/3 are expected, and 4 and 2 came."""
    first = Period(
        flows=[
            *(Flow(1, "issued", 10), Flow(1, "redeemed", 4)),
            *(Flow(0, "redeemed", 1), Flow(0, "lapsed", 5)),
        ],
        out={},
    )
    second = Period(
        flows=[
            *(Flow(1, "issued", 20), Flow(1, "redeemed", 4)),
            *(Flow(0, "redeemed", 2), Flow(0, "lapsed", 14)),
        ],
        out={},
    )
    before, found = forecasts([first, second], horizon=1)
    assert before is None
    assert found is not None
    assert found.redeemed == 6
    assert close(found.expected, "10.66667")
    assert close(missed_by([before, found]), "0.4375")
    assert missed_by([before]) == 0
    assert missed_by([Forecast(10, Decimal(10)), Forecast(0, Decimal(1))]) < Decimal("0.1")


def test_a_forecast_is_of_what_had_been_observed() -> None:
    """Points that were out come to a last day that nobody had seen: that day is not compared."""
    first = Period(flows=[Flow(2, "issued", 10), Flow(2, "redeemed", 4)], out={1: 6})
    second = Period(flows=[Flow(0, "redeemed", 6), Flow(2, "issued", 10), Flow(2, "redeemed", 5)], out={1: 5})
    found = forecasts([first, second], horizon=1)
    assert found == [None, Forecast(5, Decimal(4))]
    assert forecasts([first, second], horizon=3) == []


def steady(days: int, redeemed: int, before: int) -> list[Period]:
    """Days on each of which 100 points come with two days to live, and those of yesterday are redeemed.

    Of the 100 of yesterday `redeemed` are; of what is left of the day before's, one in five is, the rest
    lapses. `before`: how many of the 100 were redeemed on the day before the first.
    """
    found = []
    for day in range(days):
        left = 100 - (redeemed if day else before)
        flows = [
            *(Flow(2, "issued", 100), Flow(1, "redeemed", redeemed)),
            *(Flow(0, "redeemed", left // 5), Flow(0, "lapsed", left - left // 5)),
        ]
        found.append(Period(flows=flows, out={2: 100, 1: 100 - redeemed}))
    return found


def test_what_stays_as_it_is_says_the_same_from_any_span() -> None:
    """Points that were out before the span are at risk in it: no span sees less of them, or more."""
    periods = steady(8, 50, 50)
    curves = [fit(*recent(periods[1:], span)) for span in (3, 5, 6)]
    assert [[curve.chance(left) for left in (1, 2)] for curve in curves] == [
        [Decimal("0.2"), Decimal("0.6")]
    ] * 3


def test_when_behaviour_changes_the_recent_past_forecasts_better() -> None:
    """Half were redeemed, then four in five: the last days know it, the whole history is low."""
    periods = [*steady(8, 50, 50), *steady(8, 80, 50)]
    assert fit(*recent(periods, 3)).chance(2) == Decimal("0.84")
    assert fit(*recent(periods, None)).chance(2) < Decimal("0.78")
    made = {span: forecasts(periods, horizon=1, span=span) for span in SPANS}
    assert choose(made) == 3
    assert missed_by(made[3]) < missed_by(made[None])
    few = {span: found[:FEWEST_FORECASTS] for span, found in made.items()}
    assert few[None][0] is None
    assert choose(few) is None
    same = {span: forecasts(steady(20, 50, 50)[1:], horizon=1, span=span) for span in SPANS}
    assert choose(same) is None


def test_days_that_nobody_lived_lately_are_as_they_were() -> None:
    """Nothing was issued lately: the first days of life are judged by those who lived them before."""
    periods = [
        *steady(6, 50, 50),
        Period(flows=[Flow(1, "redeemed", 50)], out={1: 50}),
        Period(flows=[], out={}),
    ]
    whole = fit(*recent(periods, None))
    lately = fit(*recent(periods, 1))
    assert lately.chance(3) == 1
    filled = fit(*recent(periods, 1), whole)
    assert filled.days[1:] == whole.days[1:]
    assert (filled.days[0].at_risk, filled.days[0].redeemed) == (50, 0)
    assert filled.chance(3) < whole.chance(3) < 1


def test_points_that_move_together_say_less() -> None:
    """Ten members with a hundred points each, four of whom spent them all: ten observations, no thousand.

    The curve says 400 of 1,000 more; the error is the root of 1000² p q / 9, not of 1000 p q.
    """
    flows = [
        flow
        for group in range(10)
        for flow in (
            Flow(0, "issued", 100, group),
            Flow(0, "redeemed", 100, group) if group < 4 else Flow(0, "lapsed", 100, group),
        )
    ]
    found = judge(learn(flows, {}), {1: 1_000})
    assert found.expected == 400
    assert close(found.independent, "15.4919")
    assert close(found.clustered, "163.2993")


def test_expected_points_are_of_those_that_are_out() -> None:
    """Neither below zero nor more than there are, also where a ledger's figures are odd."""
    odd = [Flow(3, "redeemed", 50), Flow(0, "lapsed", 5)]
    found = judge(learn(odd, {}), {4: 10})
    assert found.expected == 10
    assert judge(learn(odd, {}), {}).expected == 0


@st.composite
def cohorts(draw: st.DrawFn) -> tuple[list[Flow], int, int]:
    """Points issued on one day and followed to the end: flows, how many, how many were redeemed."""
    issued = left_over = draw(st.integers(1, 10_000))
    life = draw(st.integers(0, 40))
    flows = [Flow(life, "issued", issued)]
    redeemed = 0
    for left in range(life, -1, -1):
        for cause in ("redeemed", "taken_back"):
            points = draw(st.integers(0, left_over // 3))
            left_over -= points
            redeemed += points if cause == "redeemed" else 0
            flows.append(Flow(left, cause, points))
    return [*flows, Flow(0, "lapsed", left_over)], issued, redeemed


def _start(curve: Curve) -> Decimal:
    return curve.chance(len(curve.days))


@given(cohorts())
def test_a_cohort_that_was_followed_to_its_end_is_counted(cohort: tuple[list[Flow], int, int]) -> None:
    """Where nothing is censored, the estimate is the plain share of the points that were redeemed."""
    flows, issued, redeemed = cohort
    curve = fit(flows, {})
    assert abs(_start(curve) - Decimal(redeemed) / issued) < Decimal("1e-20")
    chances = [curve.chance(left) for left in range(len(curve.days) + 1)]
    assert all(0 <= one <= 1 for one in chances)
    shuffled = fit(sorted(flows, key=lambda one: (one.points, one.left)), {})
    assert shuffled == curve
