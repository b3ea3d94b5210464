"""Segments and triggers compiled: plain values, and the days of birthdays (pure)."""

from calendar import isleap
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Literal

import msgspec

from network.programme.spec_draws import DrawSpec
from network.programme.spec_members import (
    Leap,
    Occasion,
    SegmentSpec,
    StaffBudgetSpec,
    SurpriseSpec,
    TriggerSpec,
)
from network.programme.spec_rules import ISSUER

CAUGHT_UP = timedelta(days=7)
"""Occasions of so many days are looked for, so that nights that were missed cost nobody anything."""
_DEMANDED = frozenset({"recovery", "draw"})
REFERRED, REFERRER = "referred", "referrer"
"""Who gets something of a referral."""


class Span(msgspec.Struct, frozen=True):
    """At least, at most; over the last so many days. None: no such bound."""

    at_least: int | None = None
    at_most: int | None = None
    days: int = 0


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """A segment as the night looks for its members; see SegmentWhenSpec. `partners` by number."""

    id: str
    seen: Span | None = None
    sales: Span | None = None
    money: Span | None = None
    partners: tuple[int, ...] = ()
    tiers: tuple[str, ...] = ()
    facts: Mapping[str, tuple[str, ...]] = {}
    age: Span | None = None
    needs: frozenset[str] = frozenset()


class Trigger(msgspec.Struct, frozen=True, kw_only=True):
    """A trigger; see TriggerSpec. `funder_id` is None where who asks pays."""

    id: str
    says: str = ""
    occasion: Occasion | Literal["draw"]
    points: int
    referrer_points: int = 0
    after_days: int = 0
    minimum_minor: int = 0
    segments: tuple[str, ...] = ()
    tiers: tuple[str, ...] = ()
    funder_id: int | None

    @property
    def demanded(self) -> bool:
        """Whether somebody asks for it, and not the night."""
        return self.occasion in _DEMANDED

    def points_for(self, role: str) -> int:
        """What somebody gets: of a referral, by the role."""
        return self.referrer_points if role == REFERRER else self.points


class Surprise(msgspec.Struct, frozen=True, kw_only=True):
    """A gift by staff; see SurpriseSpec. `each` and `together`: most points, and the period they are for."""

    id: str
    says: str = ""
    partners: frozenset[int]
    most_points: int
    each: tuple[int, str]
    together: tuple[int, str] | None
    funder_id: int | None


def segments_of(specs: Sequence[SegmentSpec], partner_ids: Mapping[str, int]) -> tuple[Segment, ...]:
    """The segments of a file."""
    made = []
    for spec in specs:
        when = spec.when
        made.append(
            Segment(
                id=spec.id,
                seen=None if when.seen is None else Span(when.seen.at_least, when.seen.at_most),
                sales=None
                if when.sales is None
                else Span(when.sales.at_least, when.sales.at_most, when.sales.days),
                money=None
                if when.money_minor is None
                else Span(when.money_minor.at_least, when.money_minor.at_most, when.money_minor.days),
                partners=tuple(partner_ids[code] for code in when.partners or ()),
                tiers=tuple(when.tiers or ()),
                facts={name: tuple(values) for name, values in (when.facts or {}).items()},
                age=None if when.age is None else Span(when.age.at_least, when.age.at_most),
                needs=when.needs,
            )
        )
    return tuple(made)


def triggers_of(specs: Sequence[TriggerSpec], partner_ids: Mapping[str, int]) -> dict[str, Trigger]:
    """The triggers of a file by their ids."""
    return {
        spec.id: Trigger(
            id=spec.id,
            says=spec.says,
            occasion=spec.occasion,
            points=spec.points,
            referrer_points=spec.referrer_points or 0,
            after_days=spec.after_days or 0,
            minimum_minor=spec.minimum_minor or 1,
            segments=tuple(spec.segments or ()),
            tiers=tuple(spec.tiers or ()),
            funder_id=None if spec.fund == ISSUER else partner_ids[spec.fund],
        )
        for spec in specs
    }


def prizes_of(specs: Sequence[DrawSpec], partner_ids: Mapping[str, int]) -> dict[str, Trigger]:
    """The points of draws, which are given to winners as awards."""
    return {
        spec.id: Trigger(
            id=spec.id,
            says=spec.says,
            occasion="draw",
            points=spec.points,
            funder_id=partner_ids[spec.fund],
        )
        for spec in specs
        if spec.points is not None and spec.fund is not None
    }


def surprises_of(specs: Sequence[SurpriseSpec], partner_ids: Mapping[str, int]) -> dict[str, Surprise]:
    """The gifts by staff of a file, by their ids."""

    def budget(spec: StaffBudgetSpec) -> tuple[int, str]:
        return spec.points, spec.period

    return {
        spec.id: Surprise(
            id=spec.id,
            says=spec.says,
            partners=frozenset(partner_ids[code] for code in spec.partners),
            most_points=spec.most_points,
            each=budget(spec.each),
            together=None if spec.together is None else budget(spec.together),
            funder_id=None if spec.fund == ISSUER else partner_ids[spec.fund],
        )
        for spec in specs
    }


def budgets_of_staff(surprise: Surprise, partner_id: int, staff: str) -> dict[str, tuple[int, str]]:
    """The budgets out of which a gift comes, by name: most points, and the period they are for."""
    budgets = {f"surprise {surprise.id} {partner_id} {staff}": surprise.each}
    if surprise.together is not None:
        budgets[f"surprise {surprise.id} {partner_id}"] = surprise.together
    return budgets


def occasion_name(award: str, occasion: str, role: str = "") -> str:
    """The counter that says whether a member had an award on an occasion."""
    return " ".join(part for part in ("award", award, role, occasion) if part)


def birthday_in(born_on: date, year: int, leap: Leap) -> date:
    """The day on which somebody has the birthday in a year."""
    if (born_on.month, born_on.day) == (2, 29) and not isleap(year):
        return date(year, 2, 28) if leap == "28-february" else date(year, 3, 1)
    return born_on.replace(year=year)


def birthdays_on(day: date, leap: Leap) -> tuple[tuple[int, int], ...]:
    """Months and days of birth of those who have their birthday on a day."""
    own = (day.month, day.day)
    if isleap(day.year):
        return (own,)
    moved = (2, 28) if leap == "28-february" else (3, 1)
    return (own, (2, 29)) if own == moved else (own,)


def born_by(on: date, years: int, leap: Leap) -> date:
    """The last day of birth of those who are at least so many years old on a day."""
    year = on.year - years
    if (2, 29) in birthdays_on(on, leap) and isleap(year) and (on.month, on.day) == (2, 28):
        return date(year, 2, 29)
    if (on.month, on.day) == (2, 29) and not isleap(year):
        return date(year, 2, 28)
    return on.replace(year=year)
