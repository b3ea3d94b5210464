"""What a network is set up with, as plain values. Both the model and the ledgers are built from it."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time

OPERATOR = 1
OUTLET = "main"
CURRENCY = "USD"
START = datetime(2017, 1, 11, 15, 0, tzinfo=UTC)
"""A Wednesday, and the same day in every time zone that is used."""
HORIZON = datetime(2018, 3, 29, 12, 0, tzinfo=UTC)
"""The clock stays before this: partitions of the tests' template end with that month."""


@dataclass
class Partner:
    """A partner with its dated terms, each (version, effective on)."""

    code: str
    funding_share: str
    terms: list[tuple[int, date]]
    status: str = "active"


@dataclass
class Earn:
    """How a sale earns points."""

    step_minor: int = 100
    points_per_step: int = 1
    weekend_multiplier: int = 1
    pending_days: int = 0


@dataclass
class Scheme:
    """One version of the programme; `earn` has every partner."""

    version: int
    earn: dict[int, Earn]
    months: int
    grace_days: int
    clawback: str


@dataclass
class World:
    """The network: time zone, cut-off, partners, and the versions of its programme, the last one live."""

    zone: str
    cut_off: time
    schemes: list[Scheme]
    partners: dict[int, Partner] = field(default_factory=dict)


def partners() -> dict[int, Partner]:
    """Five partners: one changes its terms before the start, one joins a month after it."""
    long_ago = date(2016, 1, 1)
    return {
        11: Partner("grocer", "1", [(1, long_ago), (2, date(2017, 1, 6))]),
        12: Partner("petrol", "0", [(1, long_ago)]),
        13: Partner("hotel", "0.4", [(1, long_ago)]),
        14: Partner("bank", "1", [(1, long_ago)]),
        15: Partner("cinema", "0", [(1, date(2017, 2, 10))]),
    }


def scheme(version: int, *, months: int, grace_days: int, clawback: str, generous: bool) -> Scheme:
    """A version of the programme; a generous one gives more points, and gives the bank's at once."""
    return Scheme(
        version=version,
        earn={
            11: Earn(points_per_step=2 if generous else 1),
            12: Earn(step_minor=200),
            13: Earn(points_per_step=3, weekend_multiplier=2),
            14: Earn(step_minor=50, pending_days=0 if generous else 14),
            15: Earn(points_per_step=0 if generous else 1),
        },
        months=months,
        grace_days=grace_days,
        clawback=clawback,
    )
