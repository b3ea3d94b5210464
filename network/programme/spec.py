"""A programme file: TOML, validated to the last field.

Durations are whole months or days; steps are integer minor units; multipliers are whole.
"""

import tomllib
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, Self

import tomlkit
from pydantic import Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from network.errors import ProgrammeInvalid
from network.programme.reading import Path, line_of, lines_of
from network.programme.spec_abuse import AbuseSpec
from network.programme.spec_codes import ConversionSpec, CouponSpec, PacksSpec, VoucherSpec
from network.programme.spec_draws import DrawSpec
from network.programme.spec_games import GameSpec
from network.programme.spec_members import BirthdaysSpec, SegmentSpec, SurpriseSpec, TriggerSpec
from network.programme.spec_plans import PaidPlanSpec
from network.programme.spec_pledges import PledgeSpec
from network.programme.spec_rewards import RewardSpec
from network.programme.spec_rules import Code, Count, CounterSpec, FundSpec, Name, RuleSpec, Strict, WhenSpec
from network.programme.spec_tiers import TierSpec
from network.programme.spec_value import StoredValueSpec


class EarnRuleSpec(Strict):
    """`points_per_step` for each whole `step_minor` of a sale, times `weekend_multiplier` at weekends.

    `pending_days`: the points can be spent that many days later, when the sale can no longer be returned.
    `pending_until_event`: they can be spent when the partner says that what was sold has come about (a stay).
    """

    step_minor: Count = 100
    points_per_step: Annotated[int, Field(ge=0, le=1_000_000)] = 1
    weekend_multiplier: Count = 1
    pending_days: Annotated[int, Field(ge=0, le=366)] = 0
    pending_until_event: bool = False

    @model_validator(mode="after")
    def _pending_one_way(self) -> Self:
        if self.pending_until_event and self.pending_days:
            raise ValueError("pending_days and pending_until_event exclude each other: give one of them")
        return self


class ExpiryRuleSpec(Strict):
    """When points lapse.

    `months`: so many months after the end of the month they were recorded in. `activity`: so many months
    after the end of the month in which the member last earned or spent. `never`: they do not.
    """

    rule: Literal["months", "activity", "never"] = "months"
    months: Annotated[int, Field(ge=0, le=1200)] | None = None

    @model_validator(mode="after")
    def _months_where_needed(self) -> Self:
        if (self.rule == "never") != (self.months is None):
            raise ValueError(
                "months is not for points that never lapse"
                if self.rule == "never"
                else f"rule {self.rule!r} needs months, the number of months that points live"
            )
        return self


class ExpirySpec(ExpiryRuleSpec):
    """The rule for everybody, and those that replace it for a tier by its name.

    `grace_days`: points that return from a reversed redemption after their expiry live that many days more.
    """

    grace_days: Annotated[int, Field(ge=0, le=366)] = 0
    tier: dict[str, ExpiryRuleSpec] = Field(default={})


class ReturnsSpec(Strict):
    """What a returned sale takes back where its points were spent.

    `refuse`: nothing, the return is refused; `within_balance`: what is left of its issuer's points;
    `deficit`: that, and the rest is owed: the member's next credits pay it. Nobody comes to owe more than
    `most_owed` points; what exceeds them is its issuer's loss.
    """

    clawback: Literal["refuse", "within_balance", "deficit"] = "refuse"
    most_owed: Annotated[int, Field(ge=0, le=1_000_000_000)] = 10_000


class AdjustmentsSpec(Strict):
    """Adjustments of more than `four_eyes_above` points need a second operator."""

    four_eyes_above: Annotated[int, Field(ge=0, le=1_000_000_000)] = 1_000


class RetroClaimSpec(Strict):
    """Flights of `partners` may be claimed up to so many `days` later, with evidence, each once."""

    days: Annotated[int, Field(ge=31, le=370)]
    partners: list[Code] = Field(min_length=1)


class AgesSpec(Strict):
    """Members are `minimum` years old at least; younger ones, `with_guardian_from` on, have a guardian.

    The guardian, a member, acts for the child with a card of its own: redeems, gives, joins a pool. The age
    is that of the day of enrolment; a child acts for itself from the birthday that the file said then.
    """

    minimum: Annotated[int, Field(ge=1, le=120)]
    with_guardian_from: Annotated[int, Field(ge=0, le=120)] | None = None

    @model_validator(mode="after")
    def _younger(self) -> Self:
        if self.with_guardian_from is not None and self.with_guardian_from >= self.minimum:
            raise ValueError("with_guardian_from is an age below minimum")
        return self


class RedeemSpec(Strict):
    """What rewards, holds, gifts and donations ask for beside the printed number of a card.

    More than `code_above` points: the rotating code, the PIN or the member's approval on the phone. More than
    `approval_above`: the approval.
    """

    code_above: Annotated[int, Field(ge=0, le=1_000_000_000)] | None = None
    approval_above: Annotated[int, Field(ge=0, le=1_000_000_000)] | None = None

    @model_validator(mode="after")
    def _approval_is_the_higher(self) -> Self:
        above, code_above = self.approval_above, self.code_above
        if above is not None and code_above is not None and above <= code_above:
            raise ValueError("approval_above must be more than code_above, which would else ask for nothing")
        return self


class EarnSpec(Strict):
    """The rule for every partner, and those that replace it for a partner by its code."""

    default: EarnRuleSpec = EarnRuleSpec()
    partner: dict[str, EarnRuleSpec] = Field(default={})


class ProgrammeSpec(Strict):
    """A whole programme file.

    `tiers` are the names of tiers that members are put into by hand; a `[[tier]]` is one that members reach
    by themselves. `earn` holds the simplest base rules; `rule` everything else.
    """

    name: str
    says: str = ""
    tiers: list[Name] = Field(default=[])
    earn: EarnSpec | None = None
    counter: list[CounterSpec] = Field(default=[])
    rule: list[RuleSpec] = Field(default=[])
    tier: list[TierSpec] = Field(default=[])
    reward: list[RewardSpec] = Field(default=[])
    abuse: list[AbuseSpec] = Field(default=[])
    segment: list[SegmentSpec] = Field(default=[])
    trigger: list[TriggerSpec] = Field(default=[])
    surprise: list[SurpriseSpec] = Field(default=[])
    game: list[GameSpec] = Field(default=[])
    draw: list[DrawSpec] = Field(default=[])
    birthdays: BirthdaysSpec = BirthdaysSpec()
    pledge: list[PledgeSpec] = Field(default=[])
    stored_value: StoredValueSpec | None = None
    plan: list[PaidPlanSpec] = Field(default=[])
    voucher: list[VoucherSpec] = Field(default=[])
    conversion: ConversionSpec | None = None
    coupon: list[CouponSpec] = Field(default=[])
    packs: list[PacksSpec] = Field(default=[])
    retro_claim: RetroClaimSpec | None = None
    ages: AgesSpec | None = None
    expiry: ExpirySpec
    returns: ReturnsSpec = ReturnsSpec()
    redeem: RedeemSpec = RedeemSpec()
    adjustments: AdjustmentsSpec = AdjustmentsSpec()

    @property
    def tier_names(self) -> list[str]:
        """Every tier a member can be in: those of the file in its order, then those set by hand only."""
        own = [one.name for one in self.tier]
        return own + [name for name in self.tiers if name not in own]

    @property
    def alliance_names(self) -> set[str]:
        """What the alliance calls its tiers, as far as the file maps them."""
        return {one.alliance for one in self.tier if one.alliance}


_Fault = tuple[Path, str]


def _twice(what: str, ids: list[str]) -> list[_Fault]:
    return [
        ((what, place), f"the name {one!r} is taken: each {what} has its own")
        for place, one in enumerate(ids)
        if one in ids[:place]
    ]


def _unknown(path: Path, what: str, named: list[str] | None, known: list[str]) -> list[_Fault]:
    return [
        ((*path, place), f"{one!r} is none of the {what}: {', '.join(known) or 'there are none'}")
        for place, one in enumerate(named or [])
        if one not in known
    ]


def _together(spec: ProgrammeSpec) -> list[_Fault]:
    """What no field can know by itself: names that must be known, and be one's own."""
    tiers = spec.tier_names
    faults = _twice("rule", [one.id for one in spec.rule])
    bonuses = {f"tier-{one.name}" for one in spec.tier if one.bonus_per_cent is not None}
    for place, rule in enumerate(spec.rule):
        if rule.id in bonuses:
            faults.append(
                (("rule", place, "id"), f"{rule.id} is the rule of the tier's own bonus; take another")
            )
    faults += _twice("counter", [one.id for one in spec.counter])
    faults += _twice("tier", [one.name for one in spec.tier])
    faults += _twice("reward", [one.id for one in spec.reward])
    faults += _twice("abuse", [one.id for one in spec.abuse])
    for place, one in enumerate(spec.reward):
        faults += _unknown(("reward", place, "tiers"), "tiers", one.tiers, tiers)
    faults += _twice("pledge", [one.id for one in spec.pledge])
    faults += _twice("plan", [one.id for one in spec.plan])
    plans = [one.id for one in spec.plan]
    faults += _code_faults(spec)
    for name in spec.expiry.tier:
        faults += [(("expiry", "tier", name), m) for _, m in _unknown((), "tiers", [name], tiers)]
    conditions: list[tuple[Path, WhenSpec]] = []
    conditions += [(("rule", place, "when"), one.when) for place, one in enumerate(spec.rule)]
    conditions += [(("counter", place, "when"), one.when) for place, one in enumerate(spec.counter)]
    counters = sorted(one.id for one in spec.counter)
    coupons, packs = [one.id for one in spec.coupon], [one.id for one in spec.packs]
    for path, when in conditions:
        faults += _unknown((*path, "coupons"), "coupons", when.coupons, coupons)
        faults += _unknown((*path, "packs"), "packs", when.packs, packs)
        faults += _unknown((*path, "tiers"), "tiers", when.tiers, tiers)
        faults += _unknown((*path, "plans"), "plans", when.plans, plans)
        if when.counter is not None:
            faults += _unknown((*path, "counter"), "counters", [when.counter.id], counters)
    faults += _tier_faults(spec)
    faults += _member_faults(spec, conditions)
    if spec.earn is None and not any(one.kind == "base" for one in spec.rule):
        faults.append((("earn",), "is missing: a programme has [earn.default], or a [[rule]] of kind base"))
    return faults


def _code_faults(spec: ProgrammeSpec) -> list[_Fault]:
    """Vouchers, coupons and packs that share a name, or a number; a conversion into what there is not."""
    names = [one.id for one in spec.voucher]
    numbers = [one.number for one in spec.packs]
    faults = _twice("voucher", names) + _twice("coupon", [one.id for one in spec.coupon])
    faults += _twice("packs", [one.id for one in spec.packs])
    faults += [
        (("packs", place, "number"), f"{one} is another campaign's number: each has its own, for ever")
        for place, one in enumerate(numbers)
        if one in numbers[:place]
    ]
    if spec.conversion is not None:
        path = ("conversion", "voucher")
        faults += [(path, m) for _, m in _unknown((), "vouchers", [spec.conversion.voucher], names)]
    return faults


def _tier_faults(spec: ProgrammeSpec) -> list[_Fault]:
    """Measures of tiers that nothing counts."""
    periods = {one.id: one.period for one in spec.counter}
    known = ["status", "money", "visits", *periods]
    faults: list[_Fault] = []
    for place, tier in enumerate(spec.tier):
        for field, ways in (("qualify", tier.qualify), ("keep", tier.keep or [])):
            for number, way in enumerate(ways):
                path = ("tier", place, field, number, "measure")
                faults += [(path, m) for _, m in _unknown((), "measures", [way.measure], known)]
                if periods.get(way.measure, "month") != "month":
                    faults.append((path, f'counter {way.measure!r} needs period = "month" to make a tier'))
    return faults


def _member_faults(spec: ProgrammeSpec, conditions: list[tuple[Path, WhenSpec]]) -> list[_Fault]:
    """Segments and tiers that are asked for and are not there; two awards of one name.

    A file without segments of its own may ask for any: then others put members into them.
    """
    tiers, segments = spec.tier_names, [one.id for one in spec.segment]
    faults = _twice("segment", segments)
    faults += _twice("trigger", [one.id for one in spec.trigger])
    faults += _twice("game", [one.id for one in spec.game])
    faults += _twice("draw", [one.id for one in spec.draw])
    faults += _twice("surprise", [one.id for one in spec.surprise])
    triggers = {one.id for one in spec.trigger}
    awards = triggers | {one.id for one in spec.surprise}
    faults += [
        (("draw", place, "id"), f"the name {one.id!r} is another award's: each has its own")
        for place, one in enumerate(spec.draw)
        if one.id in awards
    ]
    faults += [
        (("surprise", place, "id"), f"the name {one.id!r} is a trigger's: each award has its own")
        for place, one in enumerate(spec.surprise)
        if one.id in triggers
    ]
    for place, segment in enumerate(spec.segment):
        faults += _unknown(("segment", place, "when", "tiers"), "tiers", segment.when.tiers, tiers)
    for place, trigger in enumerate(spec.trigger):
        faults += _unknown(("trigger", place, "tiers"), "tiers", trigger.tiers, tiers)
        if segments:
            faults += _unknown(("trigger", place, "segments"), "segments", trigger.segments, segments)
    if segments:
        for path, when in conditions:
            faults += _unknown((*path, "segments"), "segments", when.segments, segments)
    return faults


def funders_of(fund: FundSpec) -> list[str]:
    """Everybody who pays by a rule, as the file names them."""
    return [fund.who] if fund.who else [*(one.who for one in fund.shares or []), fund.remainder or ""]


def read_programme(source: str, name: str = "programme") -> ProgrammeSpec:
    """Read and validate the text of a programme file.

    Args:
        source: TOML.
        name: What to call the file in errors.
    Raises:
        ProgrammeInvalid: every fault, a line each: file, line, field, what was expected and what stood there.
    """
    try:
        given = tomllib.loads(source)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ProgrammeInvalid(f"{name}: not TOML: {error}") from error
    try:
        spec = ProgrammeSpec.model_validate(given)
    except ValidationError as error:
        faults = [(tuple(fault["loc"]), _said(fault)) for fault in error.errors()]
        raise ProgrammeInvalid(_listed(source, name, faults)) from error
    faults = _together(spec)
    if faults:
        raise ProgrammeInvalid(_listed(source, name, faults))
    return spec


def write_programme(spec: ProgrammeSpec) -> str:
    """A programme as the text of a file that reads as the same; comments are not kept."""
    return tomlkit.dumps(_plain(spec.model_dump(mode="python", exclude_defaults=True, exclude_none=True)))


def _plain(value: Any) -> Any:
    """Tables whose simple values stand before their tables, as TOML wants them."""
    if isinstance(value, Mapping):
        shown = {name: _plain(one) for name, one in value.items()}
        return dict(sorted(shown.items(), key=lambda item: isinstance(item[1], dict | list)))
    return [_plain(one) for one in value] if isinstance(value, list) else value


_EXPECTED: Mapping[str, Callable[[ErrorDetails], str]] = {
    "extra_forbidden": lambda _: "there is no such field here",
    "missing": lambda _: "is missing",
}


def _said(fault: ErrorDetails) -> str:
    known = _EXPECTED.get(fault["type"])
    message = known(fault) if known else fault["msg"].removeprefix("Value error, ")
    shown = repr(fault["input"])
    return message if known or len(shown) > 60 else f"{message} (was {shown})"


def _listed(source: str, name: str, faults: list[_Fault]) -> str:
    """Faults with their lines, in the order of the file."""
    places = lines_of(source)
    said = []
    for path, message in faults:
        number = line_of(places, path)
        field = ".".join(str(part + 1) if isinstance(part, int) else part for part in path)
        said.append((number or 0, f"{name}:{number or 1}: {field or 'programme'}: {message}"))
    return "\n".join(text for _, text in sorted(said))
