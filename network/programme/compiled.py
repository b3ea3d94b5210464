"""A programme compiled into plain values: nothing is interpreted per request (pure)."""

from collections.abc import Mapping
from datetime import date
from typing import Literal

import msgspec

from network.errors import ProgrammeInvalid
from network.expiry import month_end_after
from network.model import NEVER, WITH_ACTIVITY
from network.programme.codes import Conversion, Packs, VoucherKind, packs_of, vouchers_of
from network.programme.games import Game, games_of
from network.programme.ladder import Ladder
from network.programme.members import (
    Segment,
    Surprise,
    Trigger,
    prizes_of,
    segments_of,
    surprises_of,
    triggers_of,
)
from network.programme.offers import (
    PaidPlan,
    PledgeOffer,
    StoredValue,
    paid_plans_of,
    pledges_of,
    stored_value_of,
)
from network.programme.plans import ladder_of, plans_of, unknown_partners
from network.programme.rewards import Reward, rewards_of
from network.programme.rule import Plan
from network.programme.spec import EarnRuleSpec, ExpiryRuleSpec, ProgrammeSpec
from network.programme.spec_draws import DrawSpec
from network.programme.spec_members import Leap
from network.programme.watching import Suspicion, suspicions_of

Clawback = Literal["refuse", "within_balance", "deficit"]


class EarnRule(msgspec.Struct, frozen=True, kw_only=True):
    """Whole points for each whole step of a sale; see EarnRuleSpec."""

    step_minor: int
    points_per_step: int
    weekend_multiplier: int
    pending_days: int = 0
    pending_until_event: bool = False

    def points_for(self, amount_minor: int, on: date) -> int:
        """Points a sale earns. What is left of a step earns nothing and stays with the partner.

        Args:
            amount_minor: The sale, > 0, in minor units.
            on: The day of the sale in the network's time zone.
        """
        multiplier = self.weekend_multiplier if on.weekday() >= 5 else 1
        return amount_minor // self.step_minor * self.points_per_step * multiplier


class ExpiryRule(msgspec.Struct, frozen=True, kw_only=True):
    """When points lapse; see ExpiryRuleSpec."""

    rule: Literal["months", "activity", "never"] = "months"
    months: int = 0

    def expires_on(self, today: date) -> date:
        """The expiry of points that are recorded on a day."""
        if self.rule == "months":
            return month_end_after(today, self.months)
        return NEVER if self.rule == "never" else WITH_ACTIVITY

    def active_until(self, today: date) -> date | None:
        """How long what the member does on a day keeps points alive; None where that is not the rule."""
        return month_end_after(today, self.months) if self.rule == "activity" else None


NO_LADDER = Ladder()
NOTHING = EarnRule(step_minor=1, points_per_step=0, weekend_multiplier=1)


class Ages(msgspec.Struct, frozen=True):
    """From which age one is a member alone, and under a guardian; see AgesSpec."""

    minimum: int
    with_guardian_from: int | None


class Programme(msgspec.Struct, frozen=True, kw_only=True):
    """The live rules. `earn` holds the partners with a rule of their own, by partner id."""

    version: int
    default_earn: EarnRule
    earn: Mapping[int, EarnRule]
    default_expiry: ExpiryRule
    grace_days: int
    expiry: Mapping[str, ExpiryRule] = {}
    clawback: Clawback = "refuse"
    most_owed: int = 10_000
    tiers: frozenset[str] = frozenset()
    four_eyes_above: int = 1_000
    plans: Mapping[int, Plan] = {}
    """Of partners whose sales need more than one plain rule."""
    ladder: Ladder = NO_LADDER
    claim_days: int = 0
    ages: Ages | None = None
    code_above: int | None = None
    approval_above: int | None = None
    rewards: Mapping[str, Reward] = {}
    abuse: tuple[Suspicion, ...] = ()
    segments: tuple[Segment, ...] = ()
    triggers: Mapping[str, Trigger] = {}
    surprises: Mapping[str, Surprise] = {}
    games: Mapping[str, Game] = {}
    draws: Mapping[str, DrawSpec] = {}
    leap: Leap = "28-february"
    pledges: Mapping[str, PledgeOffer] = {}
    stored_value: StoredValue | None = None
    paid_plans: Mapping[str, PaidPlan] = {}
    vouchers: Mapping[str, VoucherKind] = {}
    conversion: Conversion | None = None
    packs: Mapping[int, Packs] = {}

    def earn_rule(self, partner_id: int) -> EarnRule:
        """The rule that judges a sale at a partner."""
        return self.earn.get(partner_id, self.default_earn)

    def expiry_rule(self, tier: str) -> ExpiryRule:
        """The rule for points of a member of a tier."""
        return self.expiry.get(tier, self.default_expiry)


def _rule(spec: EarnRuleSpec) -> EarnRule:
    return EarnRule(
        step_minor=spec.step_minor,
        points_per_step=spec.points_per_step,
        weekend_multiplier=spec.weekend_multiplier,
        pending_days=spec.pending_days,
        pending_until_event=spec.pending_until_event,
    )


def _expiry(spec: ExpiryRuleSpec) -> ExpiryRule:
    return ExpiryRule(rule=spec.rule, months=spec.months or 0)


def compile_programme(spec: ProgrammeSpec, version: int, partner_ids: Mapping[str, int]) -> Programme:
    """Turn a validated file into live rules.

    Args:
        spec: The file.
        version: The number under which it was applied; entries remember it.
        partner_ids: Partner ids by code.
    Raises:
        ProgrammeInvalid: a rule names a partner the network does not have.
    """
    unknown = unknown_partners(spec, partner_ids)
    if unknown:
        raise ProgrammeInvalid(
            f"programme {spec.name!r}: "
            + "; ".join(f"{field} names {code}" for field, code in unknown)
            + f", but the network's partners are {', '.join(sorted(partner_ids))}"
        )
    earn = spec.earn
    vouchers = vouchers_of(spec, partner_ids)
    conversion = spec.conversion
    return Programme(
        version=version,
        default_earn=NOTHING if earn is None else _rule(earn.default),
        earn={} if earn is None else {partner_ids[code]: _rule(one) for code, one in earn.partner.items()},
        default_expiry=_expiry(spec.expiry),
        expiry={tier: _expiry(rule) for tier, rule in spec.expiry.tier.items()},
        grace_days=spec.expiry.grace_days,
        clawback=spec.returns.clawback,
        most_owed=spec.returns.most_owed,
        tiers=frozenset(spec.tier_names),
        four_eyes_above=spec.adjustments.four_eyes_above,
        plans=plans_of(spec, partner_ids),
        ladder=ladder_of(spec),
        claim_days=0 if spec.retro_claim is None else spec.retro_claim.days,
        code_above=spec.redeem.code_above,
        approval_above=spec.redeem.approval_above,
        ages=None if spec.ages is None else Ages(spec.ages.minimum, spec.ages.with_guardian_from),
        rewards=rewards_of(spec.reward, partner_ids),
        abuse=suspicions_of(spec.abuse, partner_ids),
        segments=segments_of(spec.segment, partner_ids),
        triggers={**triggers_of(spec.trigger, partner_ids), **prizes_of(spec.draw, partner_ids)},
        draws={one.id: one for one in spec.draw},
        games=games_of(spec.game, partner_ids),
        surprises=surprises_of(spec.surprise, partner_ids),
        leap=spec.birthdays.leap,
        pledges=pledges_of(spec.pledge, partner_ids),
        stored_value=stored_value_of(spec.stored_value, partner_ids),
        paid_plans=paid_plans_of(spec.plan, partner_ids),
        vouchers=vouchers,
        conversion=None
        if conversion is None
        else Conversion(vouchers[conversion.voucher], conversion.minimum),
        packs=packs_of(spec),
    )
