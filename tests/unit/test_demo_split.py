"""The demo's purchases: how baskets become partners' sales, and coupons redemptions; and its network file."""

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest

from api.demo.dataset import (
    Control,
    Coupon,
    Day,
    Sale,
    Shopping,
    partners_of_coupons,
    partners_of_products,
    place_coupons,
    require_equal,
    split_baskets,
)
from api.demo.errors import ControlTotalsDiffer, NetworkFileInvalid
from api.demo.expected import Expected, expect
from api.demo.network_file import read_network_file
from network.programme.spec import read_programme

CODES = (
    "petrol",
    "drugstore",
    "health",
    "beauty",
    "greengrocer",
    "butcher",
    "delicatessen",
    "florist",
    "wine",
    "travel",
    "supermarket",
)
PARTNER_IDS = {code: 11 + place for place, code in enumerate(CODES)}

FILE = """
[network]
name = "Test network"
time_zone = "Europe/Vienna"
cut_off = 03:30:00
currency = "EUR"
operator = "Operator"
pool = "Pool"

[[partner]]
code = "baker"
name = "Baker"

[[partner.terms]]
effective_on = 2017-01-01
funding_share = 0.5
issue_price = 0.0100
reimbursement_rate = 0.0090
fee_bps_of_credits = 125
"""


def products(*rows: tuple[int, str | None]) -> pd.DataFrame:
    """Products of (product_id, department)."""
    return pd.DataFrame(rows, columns=["product_id", "department"])


def transactions(*rows: tuple[int, int, int, int, float, str]) -> pd.DataFrame:
    """Lines of (household_id, store_id, basket_id, product_id, sales_value, timestamp)."""
    columns = ["household_id", "store_id", "basket_id", "product_id", "sales_value", "transaction_timestamp"]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.assign(transaction_timestamp=pd.to_datetime(frame["transaction_timestamp"]))


def as_tuples(frame: pd.DataFrame, *columns: str) -> list[tuple[object, ...]]:
    """Rows of a frame, plain."""
    return list(frame[list(columns)].itertuples(index=False, name=None))


def test_each_department_goes_to_its_partner() -> None:
    """Every department of the list, one that is not on it, and none at all."""
    found = partners_of_products(
        products(
            (1, "FUEL"),
            (2, "DRUG GM"),
            (3, "NUTRITION"),
            (4, "COSMETICS"),
            (5, "PRODUCE"),
            (6, "SALAD BAR"),
            (7, "MEAT"),
            (8, "SEAFOOD"),
            (9, "SEAFOOD-PCKGD"),
            (10, "DELI"),
            (11, "PASTRY"),
            (12, "CHEF SHOPPE"),
            (13, "RESTAURANT"),
            (14, "FLORAL"),
            (15, "GARDEN CENTER"),
            (16, "SPIRITS"),
            (17, "TRAVEL & LEISURE"),
            (18, "MEAT-PCKGD"),
            (19, "GROCERY"),
            (20, None),
        ),
        PARTNER_IDS,
    )
    assert found.tolist() == [11, 12, 13, 14, 15, 15, 16, 16, 16, 17, 17, 17, 17, 18, 18, 19, 20, 21, 21, 21]


def test_basket_is_split_and_added_in_cents() -> None:
    """Lines of one basket add up per partner without binary fractions; an unknown product is groceries."""
    partner_of = partners_of_products(products((1, "FUEL"), (2, "GROCERY")), PARTNER_IDS)
    groups = split_baskets(
        transactions(
            (7, 330, 500, 1, 0.1, "2017-01-01 11:53:26"),
            (7, 330, 500, 1, 0.2, "2017-01-01 11:53:26"),
            (7, 330, 500, 2, 19.99, "2017-01-01 11:53:26"),
            (7, 330, 500, 99, 1.15, "2017-01-01 11:53:26"),
            (8, 331, 501, 2, 0.0, "2017-01-02 08:00:00"),
        ),
        partner_of,
        21,
    )
    columns = ("basket", "partner_id", "household", "outlet", "amount_minor")
    assert as_tuples(groups, *columns) == [
        (500, 11, 7, 330, 30),
        (500, 21, 7, 330, 2114),
        (501, 21, 8, 331, 0),
    ]
    assert groups["occurred_at"].astype(str).tolist()[0] == "2017-01-01 11:53:26"


def test_fractions_of_a_cent_stop_the_split() -> None:
    """A line that is no whole number of cents is named instead of rounded away."""
    partner_of = partners_of_products(products((1, "FUEL")), PARTNER_IDS)
    lines = transactions((7, 1, 5, 1, 2.50, "2017-01-01"), (7, 1, 5, 1, 1.005, "2017-01-01"))
    with pytest.raises(ControlTotalsDiffer, match="line 2 is no whole number of cents"):
        split_baskets(lines, partner_of, 21)


def test_coupon_goes_to_the_partner_with_most_of_its_products() -> None:
    """Distinct products count once, ties go to the lower partner id, and campaigns are told apart."""
    partner_of = partners_of_products(
        products((1, "MEAT"), (2, "MEAT"), (3, "FUEL"), (4, "GROCERY")), PARTNER_IDS
    )
    rows = [
        (900, 3, 26),
        (900, 3, 26),  # printed twice: still one product
        (900, 1, 26),
        (900, 2, 26),
        (901, 4, 26),
        (901, 1, 26),  # one each: the butcher has the lower id
        (900, 4, 27),  # the same code in another campaign
    ]
    coupons = pd.DataFrame(rows, columns=["coupon_upc", "product_id", "campaign_id"])
    assert partners_of_coupons(coupons, partner_of, 21).to_dict() == {
        (900, 26): 16,
        (901, 26): 16,
        (900, 27): 21,
    }


def test_coupon_is_handed_in_where_the_household_shops_that_day() -> None:
    """The store of the day's first basket, else the usual store; references differ by day."""
    partner_of = partners_of_products(products((1, "GROCERY")), PARTNER_IDS)
    groups = split_baskets(
        transactions(
            (7, 330, 502, 1, 1.0, "2017-01-03 18:00:00"),
            (7, 331, 501, 1, 1.0, "2017-01-03 09:00:00"),
            (7, 330, 503, 1, 1.0, "2017-01-05 09:00:00"),
        ),
        partner_of,
        21,
    )
    coupons = pd.DataFrame([(900, 1, 26)], columns=["coupon_upc", "product_id", "campaign_id"])
    redemptions = pd.DataFrame(
        [(7, 900, 26, "2017-01-09"), (7, 900, 26, "2017-01-03")],
        columns=["household_id", "coupon_upc", "campaign_id", "redemption_date"],
    )
    redemptions["redemption_date"] = pd.to_datetime(redemptions["redemption_date"])
    placed = place_coupons(redemptions, partners_of_coupons(coupons, partner_of, 21), groups)
    assert as_tuples(placed, "household", "partner_id", "outlet", "reference") == [
        (7, 21, 331, "c900-26-7-20170103"),
        (7, 21, 330, "c900-26-7-20170109"),
    ]


def test_a_control_total_that_differs_is_named() -> None:
    """The demo stops on data that is not the published one, and says which total is wrong."""
    require_equal([Control("baskets", 2, 2)])
    with pytest.raises(ControlTotalsDiffer, match="baskets: 1 instead of 2"):
        require_equal([Control("baskets", 2, 1), Control("lines", 5, 5)])


def test_network_file_becomes_partner_values(tmp_path: Path) -> None:
    """Operator and pool come first, partners follow from 11, fractions are exact Decimals."""
    path = tmp_path / "network.toml"
    path.write_text(FILE)
    read = read_network_file(path)
    assert [(one.partner_id, one.code, one.kind) for one in read.participants] == [
        (1, "operator", "operator"),
        (2, "pool", "pool"),
        (11, "baker", "partner"),
    ]
    assert (read.time_zone, read.cut_off.isoformat(), read.currency) == ("Europe/Vienna", "03:30:00", "EUR")
    (terms,) = read.terms
    assert (terms.partner_id, terms.terms_version, terms.effective_on) == (11, 1, date(2017, 1, 1))
    assert (terms.issue_price, terms.fee_bps_of_credits) == (Decimal("0.0100"), Decimal(125))
    assert (terms.currency, terms.breakage_to, terms.vat_bps) == ("EUR", "operator", 0)


@pytest.mark.parametrize(
    ("good", "bad", "told"),
    [
        ("funding_share = 0.5", "funding_share = 1.5", "partner.1.terms.1.funding_share"),
        ("issue_price = 0.0100", "issue_prise = 0.0100", "partner.1.terms.1.issue_prise"),
        ("issue_price = 0.0100", "issue_price = nan", "partner.1.terms.1.issue_price"),
        ("Europe/Vienna", "Europe/Wien", "network.time_zone"),
        ('currency = "EUR"', 'currency = "euro"', "network.currency"),
        ('code = "baker"', 'code = "pool"', "operator and pool are taken"),
        ("[network]", "[network", "not TOML"),
    ],
)
def test_network_file_errors_name_file_and_field(tmp_path: Path, good: str, bad: str, told: str) -> None:
    """A fault is told with the file's name and the field, counted from 1."""
    path = tmp_path / "network.toml"
    path.write_text(FILE.replace(good, bad))
    with pytest.raises(NetworkFileInvalid) as raised:
        read_network_file(path)
    assert str(path) in str(raised.value)
    assert told in str(raised.value)


def test_the_demo_network_is_valid() -> None:
    """The file the demo uses has the eleven partners, one contract renewed in March, all ways of funding."""
    read = read_network_file(Path(__file__).parents[2] / "config/networks/demo.toml")
    assert read.partner_ids == PARTNER_IDS
    assert [(terms.partner_id, terms.effective_on) for terms in read.terms if terms.terms_version == 2] == [
        (12, date(2017, 3, 1))
    ]
    assert {terms.funding_share for terms in read.terms} == {Decimal("0.0"), Decimal("0.5"), Decimal("1.0")}


PROGRAMME = read_programme(
    """
name = "test"
[earn.partner.petrol]
step_minor = 200
[earn.partner.beauty]
points_per_step = 2
weekend_multiplier = 2
[expiry]
months = 1
"""
)


def bought(*days: tuple[date, list[tuple[int, str, int]], list[int]]) -> Shopping:
    """Purchases: each day its sales (household, partner, cents) and the households that hand a coupon in."""
    made = {}
    for on, sales, coupons in days:
        at = datetime(on.year, on.month, on.day, 9, tzinfo=UTC)
        made[on] = Day(
            coupons=[Coupon(one, PARTNER_IDS["butcher"], "1", at, f"c{one}") for one in coupons],
            sales=[Sale(one, PARTNER_IDS[code], "1", at, cents, "s") for one, code, cents in sales],
        )
    return Shopping(days=made, households=[7, 8, 9], outlets=[], controls=())


def expected(shopping: Shopping) -> Expected:
    """What some purchases come to."""
    return expect(shopping, list(shopping.days), PROGRAMME, PARTNER_IDS)


def test_points_are_expected_by_partner_and_weekend() -> None:
    """3.99 is one point at the petrol station, three elsewhere; at the beauty shop six, on Sunday 12."""
    sunday, monday = date(2017, 4, 30), date(2017, 5, 1)
    sales = [(7, "petrol", 399), (8, "wine", 399), (9, "beauty", 399)]
    found = expected(bought((sunday, sales, []), (monday, sales, [])))
    assert found.balances == {7: 2, 8: 6, 9: 18}
    assert (found.issued, found.outstanding, found.redeemed, found.expired) == (26, 26, 0, 0)


def test_coupons_come_before_the_days_sales_and_are_refused_whole() -> None:
    """200 points of yesterday pay for one coupon; what is bought today comes too late for the second."""
    first, second = date(2017, 5, 1), date(2017, 5, 2)
    found = expected(
        bought(
            (first, [(7, "wine", 20_000), (8, "wine", 19_999)], []),
            (second, [(7, "wine", 99_900)], [7, 7, 8]),
        )
    )
    assert (found.accepted, found.refused, found.redeemed) == (1, 2, 200)
    assert found.balances == {7: 999, 8: 199, 9: 0}


def test_points_expire_at_the_month_end_and_the_oldest_are_spent_first() -> None:
    """Of 250 April points a coupon takes 200 on 31 May, their last day; 50 are gone in that night."""
    days = [
        (date(2017, 4, 30), [(7, "wine", 25_000)], []),
        (date(2017, 5, 30), [(7, "wine", 10_000)], []),
        (date(2017, 5, 31), [], [7]),
        (date(2017, 6, 1), [], []),
    ]
    found = expected(bought(*days))
    assert (found.accepted, found.expired, found.outstanding) == (1, 50, 100)
    assert found.expired_last == 0
    assert (expected(bought(*days[:3])).expired, expected(bought(*days[:3])).expired_last) == (50, 50)
    assert expected(bought(*days[:2])).expired == 0
    late = [*days[:2], (date(2017, 5, 31), [], []), (date(2017, 6, 1), [], [7])]
    assert (expected(bought(*late)).refused, expected(bought(*late)).expired) == (1, 250)
