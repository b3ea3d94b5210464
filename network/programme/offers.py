"""What a programme offers beside rules, made ready: standing pledges, stored value, paid plans (pure)."""

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from network.programme.spec_plans import PaidPlanSpec
from network.programme.spec_pledges import PledgeSpec
from network.programme.spec_rules import ISSUER, OPERATOR
from network.programme.spec_value import StoredValueSpec
from partners.model import OPERATOR_ID


class PledgeOffer(msgspec.Struct, frozen=True, kw_only=True):
    """A pledge that members may make; see PledgeSpec. `issuers`: whose points count, sorted; () is all."""

    says: str
    causes: frozenset[int]
    per_cents: frozenset[int]
    issuers: tuple[int, ...] = ()


class ValueBonus(msgspec.Struct, frozen=True, kw_only=True):
    """What a load gives on top; `funder_id` 0 is who takes the money."""

    from_minor: int
    value_minor: int
    points: int
    funder_id: int


class StoredValue(msgspec.Struct, frozen=True, kw_only=True):
    """Stored value made ready; see StoredValueSpec. No set of partners: all. `bonuses`: the highest first."""

    currency: str
    loads_at: frozenset[int] | None
    spends_at: frozenset[int] | None
    least_minor: int
    most_minor: int
    most_balance_minor: int
    bonuses: tuple[ValueBonus, ...]
    refund: Literal["within_days", "always", "never"]
    refund_days: int
    refund_below_minor: int

    def bonus_for(self, amount_minor: int) -> ValueBonus | None:
        """What a load of an amount gives on top."""
        return next((one for one in self.bonuses if amount_minor >= one.from_minor), None)


def stored_value_of(spec: StoredValueSpec | None, partner_ids: Mapping[str, int]) -> StoredValue | None:
    """A file's stored value; None where it has none."""
    if spec is None:
        return None
    known = {**partner_ids, ISSUER: 0, OPERATOR: OPERATOR_ID}
    bonuses = [
        ValueBonus(
            from_minor=one.from_minor,
            value_minor=one.value_minor or 0,
            points=one.points or 0,
            funder_id=known[one.who],
        )
        for one in spec.bonus
    ]
    return StoredValue(
        currency=spec.currency,
        loads_at=_all_of(spec.loads_at, known),
        spends_at=_all_of(spec.spends_at, known),
        least_minor=spec.least_minor,
        most_minor=spec.most_minor,
        most_balance_minor=spec.most_balance_minor,
        bonuses=tuple(sorted(bonuses, key=lambda one: -one.from_minor)),
        refund=spec.refund.rule,
        refund_days=spec.refund.days or 0,
        refund_below_minor=spec.refund.below_minor or 0,
    )


def _all_of(codes: Sequence[str] | None, known: Mapping[str, int]) -> frozenset[int] | None:
    return None if codes is None else frozenset(known[code] for code in codes)


def partners_of_value(spec: StoredValueSpec | None) -> list[tuple[str, str]]:
    """Fields of stored value that name a partner, each with the code."""
    if spec is None:
        return []
    named = [("stored_value loads_at", code) for code in spec.loads_at or ()]
    named += [("stored_value spends_at", code) for code in spec.spends_at or ()]
    return named + [
        ("stored_value bonus", one.who) for one in spec.bonus if one.who not in {ISSUER, OPERATOR}
    ]


class PaidPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A paid plan made ready; see PaidPlanSpec. `sold_at` None: everywhere."""

    says: str
    months: int
    price_minor: int
    currency: str
    honoured_by: int
    sold_at: frozenset[int] | None
    refund: Literal["pro_rata", "never"]
    rounding: Literal["down", "half_up", "up"]
    full_days: int


def paid_plans_of(specs: Sequence[PaidPlanSpec], partner_ids: Mapping[str, int]) -> Mapping[str, PaidPlan]:
    """The paid plans of a file, by id."""
    return {
        one.id: PaidPlan(
            says=one.says,
            months=one.months,
            price_minor=one.price_minor,
            currency=one.currency,
            honoured_by=partner_ids[one.honoured_by],
            sold_at=_all_of(one.sold_at, partner_ids),
            refund=one.refund.rule,
            rounding=one.refund.rounding,
            full_days=one.refund.full_days,
        )
        for one in specs
    }


def partners_of_plans(specs: Sequence[PaidPlanSpec]) -> list[tuple[str, str]]:
    """Fields of paid plans that name a partner, each with the code."""
    named = [(f"plan {one.id} honoured_by", one.honoured_by) for one in specs]
    return named + [(f"plan {one.id} sold_at", code) for one in specs for code in one.sold_at or ()]


def pledges_of(specs: Sequence[PledgeSpec], partner_ids: Mapping[str, int]) -> Mapping[str, PledgeOffer]:
    """The pledges of a file, by id."""
    known = {**partner_ids, OPERATOR: OPERATOR_ID}
    return {
        one.id: PledgeOffer(
            says=one.says,
            causes=frozenset(known[code] for code in one.causes),
            per_cents=frozenset(one.per_cents),
            issuers=tuple(sorted(known[code] for code in one.of or ())),
        )
        for one in specs
    }


def partners_of(specs: Sequence[PledgeSpec]) -> list[tuple[str, str]]:
    """Fields of pledges that name a partner, each with the code."""
    causes = [(f"pledge {one.id} causes", code) for one in specs for code in one.causes]
    return causes + [
        (f"pledge {one.id} of", code) for one in specs for code in one.of or () if code != OPERATOR
    ]
