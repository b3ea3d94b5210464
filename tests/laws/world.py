"""What a network is set up with, as plain values. Both the model and the ledgers are built from it."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time

OPERATOR = 1
POOL = 2
OUTLET = "main"
CURRENCY = "USD"
CATEGORIES = {"": 0, "flight": 1, "voucher": 2}
"""Of redemptions; none is 0."""
START = datetime(2017, 1, 11, 15, 0, tzinfo=UTC)
"""A Wednesday, and the same day in every time zone that is used."""
FIRST_DAY = START.date()
HORIZON = datetime(2018, 3, 29, 12, 0, tzinfo=UTC)
"""The clock stays before this: partitions of the tests' template end with that month."""
LONG_AGO = date(2016, 1, 1)


@dataclass
class Dated:
    """One version of a partner's terms: since when, and what it lets be done with sales and points."""

    version: int
    since: date
    returned_elsewhere: bool = False
    takes_returns: bool = False
    accepts_donations: bool = False
    offline_floor: int = 0


@dataclass
class Partner:
    """A partner with its dated terms."""

    code: str
    funding_share: str
    terms: list[Dated]
    status: str = "active"


@dataclass
class Earn:
    """How a sale earns points."""

    step_minor: int = 100
    points_per_step: int = 1
    weekend_multiplier: int = 1
    pending_days: int = 0
    pending_until_event: bool = False


@dataclass
class Expiry:
    """When points lapse: `months` after they came, `months` after the last `activity`, or `never`."""

    rule: str
    months: int = 0


@dataclass
class OnTop:
    """What a load gives on top, from an amount on: value or points, from a partner or from who took it."""

    from_minor: int
    value_minor: int = 0
    points: int = 0
    funder: int | None = None


@dataclass
class Stored:
    """Stored value: who takes and honours it (None: all), how much, what is on top, when it is paid back."""

    loads_at: tuple[int, ...] | None
    spends_at: tuple[int, ...] | None
    bonuses: tuple[OnTop, ...]
    refund: str
    days: int = 0
    below_minor: int = 1
    least_minor: int = 200
    most_minor: int = 9_000
    most_balance_minor: int = 12_000


STORED: tuple[Stored | None, ...] = (
    Stored(
        (11, 12, 13, 14),
        None,
        (OnTop(1_000, value_minor=90, funder=12), OnTop(4_000, value_minor=500)),
        "within_days",
        days=14,
        below_minor=300,
    ),
    Stored(
        None,
        (11, 13, 15),
        (OnTop(500, points=40, funder=15), OnTop(2_000, points=25), OnTop(4_000, points=70, funder=11)),
        "never",
        below_minor=1_000,
    ),
    Stored((11, 15, 16), (11, 12, 14), (OnTop(300, value_minor=70, funder=15),), "always"),
    None,
)
"""What a version of the programme may say of stored value; the last says nothing."""


@dataclass
class Paper:
    """A kind of voucher: each `points` are worth `worth_minor`, where, for which baskets, how long.

    `converts_from`: what a quarter turns all points into, of who has at least so many; 0: this is not it.
    """

    points: int
    worth_minor: int
    partners: tuple[int, ...] | None = None
    basket_minor: int = 1
    starts_in_days: int = 0
    valid_months: int = 1
    comes_back: bool = False
    converts_from: int = 0
    currency: str = CURRENCY


VOUCHERS: tuple[dict[str, Paper], ...] = (
    {
        "note": Paper(5, 20, converts_from=9),
        "late": Paper(7, 10, (12, 13), basket_minor=300, starts_in_days=3, comes_back=True),
        "euro": Paper(2, 9, currency="EUR"),
    },
    {"note": Paper(4, 25, (11, 13, 14), basket_minor=200, valid_months=0, comes_back=True)},
    {
        "note": Paper(1, 3, (11, 15), starts_in_days=1, valid_months=2),
        "late": Paper(3, 5, valid_months=0, converts_from=40),
    },
    {},
)
"""Kinds of vouchers that a version of the programme may have."""


@dataclass
class Scheme:
    """One version of the programme. `earn` has every partner, `tiers` every tier; None: as everybody's."""

    version: int
    earn: dict[int, Earn]
    expiry: Expiry
    tiers: dict[str, Expiry | None]
    grace_days: int
    clawback: str
    most_owed: int
    since: date = FIRST_DAY
    stored: Stored | None = None
    vouchers: dict[str, Paper] = field(default_factory=dict)

    def conversion(self) -> tuple[str, Paper] | None:
        """What a quarter's end turns points into."""
        return next(((name, one) for name, one in self.vouchers.items() if one.converts_from), None)

    def expiry_of(self, tier: str) -> Expiry:
        """The rule for a tier; that for everybody where it has none, or is none of this version's."""
        return self.tiers.get(tier) or self.expiry


@dataclass
class World:
    """The network: time zone, cut-off, partners, and the versions of its programme, the last one live."""

    zone: str
    cut_off: time
    schemes: list[Scheme]
    partners: dict[int, Partner] = field(default_factory=dict)
    most_open_holds: int = 100


def partners() -> dict[int, Partner]:
    """Six partners: one changes its terms before the start, one joins a month after it, one is a cause.

    What the grocer and the bank sold is returned at other partners; the first two and the last take it.
    """
    changed, joined = date(2017, 1, 6), date(2017, 2, 10)
    return {
        11: Partner(
            "grocer",
            "1",
            [
                Dated(1, LONG_AGO, returned_elsewhere=True),
                Dated(2, changed, returned_elsewhere=True, takes_returns=True, offline_floor=400),
            ],
        ),
        12: Partner("petrol", "0", [Dated(1, LONG_AGO, takes_returns=True, accepts_donations=True)]),
        13: Partner("hotel", "0.4", [Dated(1, LONG_AGO, offline_floor=90)]),
        14: Partner("bank", "1", [Dated(1, LONG_AGO, returned_elsewhere=True)]),
        15: Partner("cinema", "0", [Dated(1, joined, returned_elsewhere=True, takes_returns=True)]),
        16: Partner("cause", "1", [Dated(1, LONG_AGO), Dated(2, changed, accepts_donations=True)]),
    }


def scheme(
    version: int,
    *,
    expiry: Expiry,
    silver: Expiry,
    grace_days: int,
    clawback: str,
    most_owed: int,
    generous: bool,
    stored: Stored | None = STORED[0],
    vouchers: dict[str, Paper] = VOUCHERS[0],
    since: date = FIRST_DAY,
) -> Scheme:
    """A version of the programme.

    A generous one gives more points, and gives the bank's and the hotel's at once. "plain" has no rule of its
    own; "gold" comes with the second version.
    """
    tiers: dict[str, Expiry | None] = {"silver": silver, "plain": None}
    if version > 1:
        tiers["gold"] = Expiry("never")
    return Scheme(
        version=version,
        earn={
            11: Earn(points_per_step=2 if generous else 1),
            12: Earn(step_minor=200),
            13: Earn(points_per_step=3, weekend_multiplier=2, pending_until_event=not generous),
            14: Earn(step_minor=50, pending_days=0 if generous else 14),
            15: Earn(points_per_step=0 if generous else 1),
            16: Earn(),
        },
        expiry=expiry,
        tiers=tiers,
        grace_days=grace_days,
        clawback=clawback,
        most_owed=most_owed,
        stored=stored,
        vouchers=vouchers,
        since=since,
    )
