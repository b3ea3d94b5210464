"""The demo end to end on three small days: a real server, signed files and requests, three nights."""

import asyncio
import io
import re
from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import SecretStr
from rich.console import Console
from sqlalchemy import Engine, text

from api.demo.dataset import Coupon, Day, Sale, Shopping
from api.demo.errors import AnswerUnexpected, DemoBusy
from api.demo.expected import Expected
from api.demo.network_file import read_network_file
from api.demo.replay import Replay
from api.demo.result import read_outcome
from api.demo.run import Demo, run_on, show_result
from api.demo.setup import SCHEMA, alone
from config.database import make_engine
from config.settings import Settings
from settlement.reports.period import read_period

BEAUTY, BUTCHER, SUPERMARKET = 14, 16, 21
APRIL_30, MAY_1, MAY_2 = date(2017, 4, 30), date(2017, 5, 1), date(2017, 5, 2)
OUTLETS = [(BEAUTY, "330"), (BUTCHER, "330"), (SUPERMARKET, "330")]
NETWORK = read_network_file(Path(__file__).parents[2] / "config/networks/demo.toml")


def sale(household: int, partner_id: int, at: datetime, amount_minor: int, outlet: str = "330") -> Sale:
    """A sale whose reference says when it was."""
    return Sale(household, partner_id, outlet, at, amount_minor, f"b{household}{at:%d%H%M}")


def coupon(household: int, at: datetime, outlet: str = "330") -> Coupon:
    """A coupon at the butcher's."""
    return Coupon(household, BUTCHER, outlet, at, f"c{household}-{at:%d}")


def days(stray_outlet: str = "330") -> dict[date, Day]:
    """A Sunday sent as files, a Monday sent singly, and a day without anything."""
    sunday, monday = datetime(2017, 4, 30, tzinfo=UTC), datetime(2017, 5, 1, tzinfo=UTC)
    return {
        APRIL_30: Day(
            coupons=[],
            sales=[
                sale(7, SUPERMARKET, sunday.replace(hour=9), 25_075),
                sale(8, BEAUTY, sunday.replace(hour=10), 1_050),
            ],
        ),
        MAY_1: Day(
            coupons=[coupon(7, monday), coupon(8, monday)],
            sales=[
                sale(7, BEAUTY, monday.replace(hour=9), 1_050),
                sale(8, BUTCHER, monday.replace(hour=10), 99, stray_outlet),
            ],
        ),
        MAY_2: Day(coupons=[], sales=[]),
    }


def demo_of(given: dict[date, Day], out: Path) -> Demo:
    """The demo of some days of two households."""
    shopping = Shopping(days=given, households=[7, 8], outlets=OUTLETS, controls=())
    return Demo(spec=NETWORK, shopping=shopping, dates=list(given), out=out)


def run(database: Engine, out: Path, given: dict[date, Day] | None = None) -> tuple[int, str]:
    """Run the demo on these days in the test's database; its exit status and what it printed."""
    demo = demo_of(days() if given is None else given, out)
    url = database.url.render_as_string(hide_password=False)
    settings = Settings(database_url=SecretStr(url)).model_copy(update={"database_schema": SCHEMA})
    console = Console(file=io.StringIO(), record=True, width=120)
    own = make_engine(database.url, schema=SCHEMA)
    try:
        status = run_on(own, settings, demo, console)
    finally:
        own.dispose()
    return status, console.export_text()


SPOILT = {
    "UPDATE lot SET remaining = remaining + 1 WHERE remaining > 0": "points outstanding: the ledger",
    "UPDATE posting SET points = points + 7 WHERE debit = 2": "points issued: the ledger",
    "UPDATE posting SET points = points - 1 WHERE credit = 3": "points redeemed: the ledger",
    "UPDATE posting SET credit = 4 WHERE credit = 3": "points expired: the ledger",
    "UPDATE account SET balance = balance + 1": "households with the balance expected: the ledger has 0",
    "UPDATE entry SET amount_minor = 1 WHERE kind = 3": "paid with points: the ledger",
    "UPDATE entry SET kind = 9 WHERE kind = 3": "coupons accepted: the ledger",
    "UPDATE idempotency SET refusal = NULL": "coupons refused for want of points: the ledger",
    "UPDATE idempotency SET refusal = 'card_unknown' WHERE refusal IS NOT NULL": "refused as card_unknown: 1",
    "UPDATE window_total SET points = points + 1 WHERE debit = 2": "points issued: the report",
    "UPDATE window_total SET points = points + 1 WHERE credit = 3": "points accepted: the report",
    "UPDATE window_total SET credit = 4 WHERE credit = 3": "points expired: the report",
    "UPDATE net_position SET final_minor = 1 WHERE participant_id = 2": "the pool holds",
    "DELETE FROM net_position WHERE window_id = 20170502": "nights cleared: the ledger",
}
"""What is done to a good ledger, and what the verdict then names."""


def test_three_days_come_out_right_twice(owner_database: Engine, tmp_path: Path) -> None:
    """Files and single requests both arrive, one coupon is refused, and a second run begins afresh.

    The verdict on it sees every figure.
    """
    for _ in range(2):
        status, printed = run(owner_database, tmp_path)
        assert status == 0, printed
        # 250 for 250.75; 10.50 at 2 a dollar, doubled on Sunday: 40, on Monday: 20; nothing for 0.99
        with owner_database.connect() as connection:
            rows = connection.execute(
                text(
                    f"SELECT kind, partner_id, points, amount_minor, balance_after FROM {SCHEMA}.entry"
                    " WHERE kind <> 1 ORDER BY member_id, kind, entry_id"
                )
            )
            assert [tuple(row) for row in rows] == [
                (2, SUPERMARKET, 250, 25_075, 250),
                (2, BEAUTY, 20, 1_050, 70),
                (3, BUTCHER, -200, 200, 50),
                (2, BEAUTY, 40, 1_050, 40),
                (2, BUTCHER, 0, 99, 40),
            ]
        assert "refused as insufficient_points: 1" in printed
        assert (tmp_path / "report.html").is_file()
        nights = sorted(folder.name for folder in (tmp_path / "statements").iterdir())
        assert nights == ["2017-04-30", "2017-05-01", "2017-05-02"]
        assert "redemption,pool,,,200,1.86" in (tmp_path / "statements/2017-05-01/butcher.csv").read_text()
    see_every_figure(owner_database, tmp_path)


def see_every_figure(database: Engine, out: Path) -> None:
    """Each figure of a good run, spoilt in the ledger, is named by the verdict; so is a broken law."""
    demo = demo_of(days(), out)
    expected = Expected(accepted=1, refused=1, issued=310, expired=0, balances={7: 70, 8: 40})
    told = Counter({"insufficient_points": 1})
    own = make_engine(database.url, schema=SCHEMA)
    for spoilt, named in SPOILT.items():
        with own.connect() as connection:
            table = spoilt.removeprefix("UPDATE ").removeprefix("DELETE FROM ").split()[0]
            connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
            assert connection.execute(text(spoilt)).rowcount > 0
            period = read_period(connection, APRIL_30, MAY_2)
            outcome = read_outcome(connection, demo.shopping, demo.dates, expected, told, period)
            assert any(one.startswith(named) for one in outcome.mismatches()), (spoilt, outcome.mismatches())
            connection.rollback()
    with own.begin() as connection:
        connection.execute(text("ALTER TABLE settlement_step DISABLE TRIGGER USER"))
        connection.execute(text("UPDATE settlement_step SET sha256 = sha256(sha256)"))
    console = Console(file=io.StringIO(), record=True, width=120)
    assert show_result(demo, own, expected, told, console) == 1
    assert re.findall("WRONG: .*", console.export_text()) == ["WRONG: verify found 21 problems in the ledger"]
    own.dispose()


def test_sales_and_coupons_that_are_refused_are_named(owner_database: Engine, tmp_path: Path) -> None:
    """What the network refused is not in the ledger: the demo says so and fails.

    As many coupons are refused as must be, but not for want of points: figures and verdict both say so.
    """
    given = days(stray_outlet="999")
    given[MAY_1] = Day(
        coupons=[coupon(one.household, one.occurred_at, "999") for one in given[MAY_1].coupons],
        sales=given[MAY_1].sales,
    )
    status, printed = run(owner_database, tmp_path, given)
    assert status == 1
    assert "WRONG: May, accruals: the ledger has 1, and it must be 2" in printed
    assert "WRONG: refused as outlet_unknown: 3, and no purchase can be" in printed
    assert "WRONG: coupons accepted: the ledger has 0, and it must be 1" in printed


def test_two_demos_do_not_meet(owner_database: Engine, tmp_path: Path) -> None:
    """A second demo is refused before it drops the first one's schema or touches its papers."""
    paper = tmp_path / "statements" / "2017-01-01" / "petrol.csv"
    paper.parent.mkdir(parents=True)
    paper.write_text("of the demo that is running")
    (tmp_path / "report.html").write_text("of the demo that is running")
    with alone(owner_database), pytest.raises(DemoBusy, match="another demo is running"):
        run(owner_database, tmp_path)
    assert paper.is_file()
    assert (tmp_path / "report.html").is_file()


def test_a_demo_that_stops_leaves_no_report_of_another(owner_database: Engine, tmp_path: Path) -> None:
    """Last week's report is gone as soon as a new demo begins, whatever becomes of it."""
    (tmp_path / "report.html").write_text("figures of last week")
    nobody = Day(coupons=[coupon(99, datetime(2017, 4, 30, tzinfo=UTC))], sales=[])
    with pytest.raises(KeyError, match="99"):
        run(owner_database, tmp_path, {APRIL_30: nobody})
    assert not (tmp_path / "report.html").exists()


def test_an_unexpected_answer_is_raised_as_itself() -> None:
    """An error in one of many files at once arrives as that error, not as a group."""

    async def broken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b'HTTP/1.1 500 Broken\r\nContent-Length: 17\r\n\r\n{"code":"broken"}')
        await writer.drain()
        writer.close()

    async def send() -> None:
        server = await asyncio.start_server(broken, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        keys = {number: ("key", Ed25519PrivateKey.generate()) for number in (BEAUTY, SUPERMARKET)}
        async with server, replaying(f"http://127.0.0.1:{port}", keys) as replay:
            replay._cards = {7: "6330000000000000", 8: "6330000000000001"}
            await replay.send_files(days()[APRIL_30])

    with pytest.raises(AnswerUnexpected, match="a file of partner"):
        asyncio.run(send())


def replaying(base_url: str, keys: dict[int, tuple[str, Ed25519PrivateKey]]) -> Replay:
    """Clients of a server that is not ours."""
    return Replay(
        base_url, keys, "USD", now=lambda: datetime(2026, 1, 1, tzinfo=UTC), sent=lambda count: None
    )
