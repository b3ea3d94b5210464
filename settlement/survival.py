"""How many of the points that are out will be redeemed: an estimate from what became of others (pure).

**The clock is what is left of a lot's life**, in days, and it runs down. Points of a lot are alike: who
redeems some of them does not say when each was earned. Days from the earning are therefore not known, but
days to the expiry are, for every point. They are also what matters: the earliest expiry is drawn first, so
that redemption quickens as it comes near. On that clock a point comes under observation when it is issued
(delayed entry), leaves it when it is redeemed or taken back with a returned sale, and is censored when it
lapses (nothing is left of its life, so nothing more could happen) or is still out today.

**Two causes compete**: redemption, and being taken back. Their daily hazards are events / points at risk,
and a point with `left` days of life is redeemed with the chance

    F(0) = 0,   F(left) = r + (1 - r - b) F(left - 1)    with r, b: the hazards of its next day, left - 1

(Aalen and Johansen, conditional on being out today; with redemptions alone, one minus Kaplan and Meier).
Lapse is no third hazard: it comes on a day that is known, and F ends there. To treat it as one, and forget
each lot's own expiry, would mix lots whose ends differ; to leave it out, and go on to infinity, is the
well-known error of 1 - Kaplan-Meier under competing risks.

**What was never observed counts as redeemed.** In a network's first months no lot has reached its end.
Where no point was at risk, the hazard of redemption is taken to be one: revenue from breakage is for who
can show it (IFRS 15, 56 to 58 and B46). `unseen` says how many points that is.

**Points without a date of expiry** have no such clock. Of those that ended, some part was redeemed: that
part is the chance (hazards that keep their proportion). As long as none lapsed, it is almost one.

**Recent history counts.** Hazards change: rewards come with campaigns, and members learn to spend. To average
over all that ever happened is biased by as much as the past differed. So the curve may be that of a period
alone, as life tables are: what happened within the last months to the points at risk in them, those that were
out at their beginning included. How many months is chosen by what would have forecast best so far (`choose`);
where a day of the clock had nobody at risk in them, the whole history speaks for it.

**Errors.** `independent` is Greenwood's, carried to the sum by the delta method: right if points were
redeemed one by one, each for itself. They are not: a member spends hundreds at once. `clustered` leaves out
one group of members after another and sees how the sum changes (a jackknife over groups; every member is in
one). Both are of the curve, and take what is out to behave as what ended did. Whether it does is seen from
outside (`forecasts`): each month's redemptions beside those that the curve known before would have had. What
these missed by is the largest error where rewards come and go with campaigns and seasons, and is added.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Context, Decimal, localcontext
from functools import wraps
from typing import Literal, ParamSpec, TypeVar

import msgspec

from settlement.money import ZERO

GROUPS = 32
"""Groups of members for the clustered error."""
ENOUGH_REDEMPTIONS = 200
"""Redemptions of an issuer's points from which on they are judged by their own history."""
OPEN_ENDED = -1
"""Days left of points that have no date of expiry."""
_ESTIMATE = Context(prec=34)
_ONE = Decimal(1)

Cause = Literal["issued", "redeemed", "taken_back", "lapsed"]

_P = ParamSpec("_P")
_R = TypeVar("_R")


def _estimating(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Run a function where divisions round to 34 digits: what it gives is an estimate, and never money."""

    @wraps(function)
    def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        with localcontext(_ESTIMATE):
            return function(*args, **kwargs)

    return wrapped


class Flow(msgspec.Struct, frozen=True):
    """Points that one thing happened to, with the same days left of their life (OPEN_ENDED without expiry).

    What happens to points after their expiry (a hold is captured late) has no days left: 0.
    """

    left: int
    cause: Cause
    points: int
    group: int = 0


class Day(msgspec.Struct, frozen=True):
    """One day of the clock, `left` days before the expiry: points at risk, and what became of them."""

    left: int
    at_risk: int
    redeemed: int
    taken_back: int


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of points by the days left to them after today.

    `days` run from 0 up, without gaps. `chances[left]` is F; `blind[left]` is the part of it that was never
    observed; both have one element more than `days`. `open_ended` is the chance of points without expiry.
    """

    days: Sequence[Day]
    chances: Sequence[Decimal]
    blind: Sequence[Decimal]
    open_ended: Decimal

    def chance(self, left: int) -> Decimal:
        """That a point with so many days left after today will be redeemed."""
        if left == OPEN_ENDED:
            return self.open_ended
        if left >= len(self.chances):
            return _ONE
        return self.chances[left]

    def unseen(self, left: int) -> Decimal:
        """The chance that it comes to a day on which nothing was ever observed."""
        if left == OPEN_ENDED:
            return ZERO
        return self.blind[left] if left < len(self.blind) else _ONE


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """Points out, those of them expected to be redeemed, and standard errors of that, in points.

    `unseen`: points that count as redeemed only because nothing like it was observed so far. `replicates`:
    what would be expected without one group of members after another; sums of estimates have those sums'
    spread.
    """

    outstanding: int
    expected: Decimal
    independent: Decimal
    unseen: Decimal
    replicates: tuple[Decimal, ...]

    @property
    def clustered(self) -> Decimal:
        """The standard error, members being independent of one another and their points not."""
        return spread(self.replicates)


class History(msgspec.Struct, frozen=True, kw_only=True):
    """What was learnt: the curve, and the curve without one group of members after another."""

    curve: Curve
    without: Sequence[Curve]


def learn(
    flows: Sequence[Flow],
    out_by_group: Mapping[int, Mapping[int, int]],
    groups: Sequence[int] | None = None,
    earlier: Curve | None = None,
) -> History:
    """Learn from what happened to points.

    Args:
        flows: The history: that of the points to be judged, or, where it is short, the network's. Where it is
            of a period alone, points that were out at its beginning are issued on its first day.
        out_by_group: Points of the history that are still out, by group of members and days left after today.
        groups: The groups to leave out, in order; by default those that the history has.
        earlier: Speaks for days of the clock on which nobody was at risk.
    """
    sums: dict[tuple[int, Cause], int] = {}
    by_group: dict[int, list[Flow]] = {}
    for flow in flows:
        sums[flow.left, flow.cause] = sums.get((flow.left, flow.cause), 0) + flow.points
        by_group.setdefault(flow.group, []).append(flow)
    total: dict[int, int] = {}
    for out in out_by_group.values():
        for left, points in out.items():
            total[left] = total.get(left, 0) + points
    without = []
    for group in sorted(by_group) if groups is None else groups:
        rest = dict(sums)
        for flow in by_group.get(group, []):
            rest[flow.left, flow.cause] -= flow.points
        gone = out_by_group.get(group, {})
        without.append(
            fit(
                [Flow(left, cause, points) for (left, cause), points in rest.items()],
                {left: points - gone.get(left, 0) for left, points in total.items()},
                earlier,
            )
        )
    return History(curve=fit(flows, total, earlier), without=without)


def judge(history: History, out: Mapping[int, int]) -> Estimate:
    """How many of some points that are out will be redeemed, and how sure that is.

    Args:
        history: What was learnt.
        out: The points to judge, by days left to them after today.
    """
    return Estimate(
        outstanding=sum(out.values()),
        expected=_expected(history.curve, out),
        independent=_greenwood(history.curve, out),
        unseen=_weighted(history.curve.unseen, out),
        replicates=tuple(_expected(curve, out) for curve in history.without),
    )


@_estimating
def spread(replicates: Sequence[Decimal]) -> Decimal:
    """The standard error that replicates of a jackknife show; zero where there are not two."""
    if len(replicates) < 2:
        return ZERO
    mean = sum(replicates, ZERO) / len(replicates)
    squares = sum(((one - mean) ** 2 for one in replicates), ZERO)
    return (squares * (len(replicates) - 1) / len(replicates)).sqrt()


class Period(msgspec.Struct, frozen=True, kw_only=True):
    """What happened in a period, and the points out at its end by days left after it."""

    flows: Sequence[Flow]
    out: Mapping[int, int]


class Forecast(msgspec.Struct, frozen=True):
    """One period's redemptions beside those that the curve known before it would have had, in points."""

    redeemed: int
    expected: Decimal


HORIZON = 3
"""How many periods a forecast is of: about as many as points live."""
SPANS: tuple[int | None, ...] = (None, 12, 3)
"""How many periods of the past may speak: all, a year of months (all seasons), a quarter."""
FEWEST_FORECASTS = 4
"""So many forecasts must have been made before less than the whole past may speak."""


def entering(out: Mapping[int, int], group: int = 0) -> list[Flow]:
    """Points that were out, as a period that begins on the next day finds them."""
    return [Flow(left - 1, "issued", points, group) for left, points in out.items() if left > 0]


def recent(periods: Sequence[Period], span: int | None) -> tuple[list[Flow], Mapping[int, int]]:
    """What happened in the last `span` periods, with the points that were out before; and who is out now."""
    first = 0 if span is None else max(0, len(periods) - span)
    flows = entering(periods[first - 1].out) if first else []
    for period in periods[first:]:
        flows.extend(period.flows)
    return flows, periods[-1].out if periods else {}


def forecasts(
    periods: Sequence[Period], horizon: int = HORIZON, span: int | None = None
) -> list[Forecast | None]:
    """For each period and those after it, what was expected of them before; None where too little was seen.

    Only days of the clock that had been observed by then are compared. Points at risk are those that came
    to be, so the forecast is of behaviour, not of sales.

    Args:
        periods: In order, without gaps.
        horizon: How many periods one forecast is of: about as many as points live.
        span: How many periods before it each was made from; all by default.
    """
    lived = []
    out: Mapping[int, int] = {}
    for period in periods:
        lived.append(fit([*entering(out), *period.flows], period.out).days)
        out = period.out
    found = []
    for place in range(len(periods) - horizon + 1):
        curve = fit(*recent(periods[:place], None))
        if span is not None:
            curve = fit(*recent(periods[:place], span), curve)
        found.append(_forecast(curve, [day for days in lived[place : place + horizon] for day in days]))
    return found


def choose(found: Mapping[int | None, Sequence[Forecast | None]]) -> int | None:
    """How many periods of the past should speak: as many as forecast best, the whole past until that shows.

    Args:
        found: Forecasts that were made from each of SPANS, over the same periods.
    """
    if sum(one is not None for one in found[None]) < FEWEST_FORECASTS:
        return None
    return min(found, key=lambda span: missed_by(found[span]))


def _forecast(curve: Curve, days: Sequence[Day]) -> Forecast | None:
    seen = [day for day in days if day.left < len(curve.days) and curve.days[day.left].at_risk]
    expected = _expected_of(seen, curve)
    return Forecast(sum(day.redeemed for day in seen), expected) if expected else None


@_estimating
def missed_by(found: Iterable[Forecast | None]) -> Decimal:
    """What forecasts missed by, as a part of what they expected; zero where there are none.

    The root of the squared misses over the squared forecasts, so that those of much count for more.
    """
    made = [one for one in found if one is not None]
    missed = sum(((one.redeemed - one.expected) ** 2 for one in made), ZERO)
    return (missed / sum((one.expected**2 for one in made), ZERO)).sqrt() if made else ZERO


@_estimating
def _expected_of(days: Sequence[Day], curve: Curve) -> Decimal:
    return sum((day.at_risk * _hazards(curve.days[day.left])[0] for day in days), ZERO)


@_estimating
def fit(flows: Iterable[Flow], out: Mapping[int, int], earlier: Curve | None = None) -> Curve:
    """The curve of some history.

    Args:
        flows: All that happened to the points, in any order; groups are not looked at.
        out: Points that are still out, by the days left to them after today.
        earlier: Speaks for days of the clock on which nobody was at risk, and for points without expiry.
    """
    sums: dict[Cause, dict[int, int]] = {"issued": {}, "redeemed": {}, "taken_back": {}, "lapsed": {}}
    for flow in flows:
        of_cause = sums[flow.cause]
        of_cause[flow.left] = of_cause.get(flow.left, 0) + flow.points
    ended = [sums[cause].pop(OPEN_ENDED, 0) for cause in ("redeemed", "taken_back", "lapsed")]
    days = _risk_sets(sums, {left: points for left, points in out.items() if left != OPEN_ENDED})
    if earlier is not None:
        days = _filled(days, earlier.days)
    chances, blind = [ZERO], [ZERO]
    for day in days:
        redemption, back = _hazards(day)
        going_on = 1 - redemption - back
        chances.append(redemption + going_on * chances[-1])
        blind.append(_ONE if not day.at_risk else going_on * blind[-1])
    return Curve(
        days=days,
        chances=chances,
        blind=blind,
        open_ended=_open_ended(ended) if earlier is None else earlier.open_ended,
    )


def _open_ended(ended: Sequence[int]) -> Decimal:
    """The part that was redeemed of points without expiry that ended."""
    return Decimal(ended[0]) / sum(ended) if ended[0] > 0 else _ONE


def _filled(days: Sequence[Day], earlier: Sequence[Day]) -> list[Day]:
    """Days of the clock, those without anybody at risk as they were earlier."""
    known = {day.left: day for day in earlier if day.at_risk}
    by_left = {**known, **{day.left: day for day in days if day.at_risk or day.left not in known}}
    return [by_left.get(left, Day(left, 0, 0, 0)) for left in range(max(by_left, default=-1) + 1)]


def _risk_sets(sums: Mapping[Cause, Mapping[int, int]], out: Mapping[int, int]) -> list[Day]:
    """Days from 0 to the longest life seen, each with the points at risk on it.

    A point is at risk from the day it is issued to the day something happens to it, and today if it is out.
    """
    longest = max((left for cause in sums.values() for left in cause), default=-1)
    longest = max([longest, *out])
    days: list[Day] = []
    at_risk = 0
    for left in range(longest, -1, -1):
        redeemed, taken_back = (max(0, sums[cause].get(left, 0)) for cause in ("redeemed", "taken_back"))
        at_risk += sums["issued"].get(left, 0)
        # more can be redeemed than was here only where points came with another expiry than they left with
        days.append(Day(left, max(at_risk, redeemed + taken_back), redeemed, taken_back))
        at_risk -= redeemed + taken_back + sums["lapsed"].get(left, 0) + out.get(left, 0)
    days.reverse()
    return days


def _hazards(day: Day) -> tuple[Decimal, Decimal]:
    """Of redemption and of being taken back; where nobody was at risk, redemption is held to be certain."""
    if not day.at_risk:
        return _ONE, ZERO
    return Decimal(day.redeemed) / day.at_risk, Decimal(day.taken_back) / day.at_risk


@_estimating
def _weighted(chance: Callable[[int], Decimal], out: Mapping[int, int]) -> Decimal:
    return sum((chance(left) * points for left, points in out.items()), ZERO)


def _expected(curve: Curve, out: Mapping[int, int]) -> Decimal:
    """Never below zero, never more than there are."""
    return max(ZERO, min(Decimal(sum(out.values())), _weighted(curve.chance, out)))


@_estimating
def _greenwood(curve: Curve, out: Mapping[int, int]) -> Decimal:
    """The standard error of the expected points, were each point redeemed for itself.

    Each day's hazards are shares of those at risk, independent of other days' (Greenwood). `reach` is how
    many of the points come to the day; one of them more or less redeemed there changes the sum by 1 - F,
    taken back by -F.
    """
    variance = reach = ZERO
    for day in reversed(curve.days):
        reach += out.get(day.left + 1, 0)
        redemption, back = _hazards(day)
        if day.at_risk:
            later = curve.chances[day.left]
            spread = (
                (1 - later) ** 2 * redemption * (1 - redemption)
                + later**2 * back * (1 - back)
                + 2 * (1 - later) * later * redemption * back
            )
            variance += reach**2 * spread / day.at_risk
        reach *= 1 - redemption - back
    return variance.sqrt()
