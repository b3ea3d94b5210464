"""Vouchers, conversion and codes on packs, compiled (pure)."""

from collections.abc import Mapping
from datetime import date, timedelta

import msgspec

from network.expiry import month_end_after
from network.programme.spec import ProgrammeSpec


class VoucherKind(msgspec.Struct, frozen=True, kw_only=True):
    """What a voucher is worth, where, and when; see VoucherSpec. `partners`: None is all."""

    name: str
    points: int
    worth_minor: int
    currency: str
    partners: frozenset[int] | None
    minimum_basket_minor: int
    starts_in_days: int
    valid_months: int
    lapses: bool

    def worth(self, points: int) -> int:
        """Of whole steps of points, in minor units."""
        return points // self.points * self.worth_minor

    def days(self, today: date) -> tuple[date, date]:
        """First and last day of a voucher that is made on a day."""
        return today + timedelta(days=self.starts_in_days), month_end_after(today, self.valid_months)


class Conversion(msgspec.Struct, frozen=True):
    """What becomes of members' points each quarter; see ConversionSpec."""

    kind: VoucherKind
    minimum: int

    def points_of(self, spendable: int) -> int:
        """How many of so many points turn into a voucher; 0 where they are too few."""
        return 0 if spendable < self.minimum else spendable // self.kind.points * self.kind.points


class Packs(msgspec.Struct, frozen=True, kw_only=True):
    """Codes on the packs of a campaign; see PacksSpec."""

    id: str
    packs: int
    first_on: date
    last_on: date


def event_of(campaign: int) -> str:
    """What registering a pack is called among events. No till can report it as one: ":" is in no name."""
    return f"pack:{campaign}"


def vouchers_of(spec: ProgrammeSpec, partner_ids: Mapping[str, int]) -> dict[str, VoucherKind]:
    """The vouchers of a file, by name."""
    return {
        one.id: VoucherKind(
            name=one.id,
            points=one.points,
            worth_minor=one.worth_minor,
            currency=one.currency,
            partners=None if one.partners is None else frozenset(partner_ids[code] for code in one.partners),
            minimum_basket_minor=one.minimum_basket_minor,
            starts_in_days=one.starts_in_days,
            valid_months=one.valid_months,
            lapses=one.when_over == "lapse",
        )
        for one in spec.voucher
    }


def packs_of(spec: ProgrammeSpec) -> dict[int, Packs]:
    """The campaigns of a file, by the number in their codes."""
    return {
        one.number: Packs(id=one.id, packs=one.packs, first_on=one.first_on, last_on=one.last_on)
        for one in spec.packs
    }
