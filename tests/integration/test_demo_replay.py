"""The demo end to end on three small days: a real server, signed files and requests, three nights."""

import asyncio
import io
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import SecretStr
from rich.console import Console
from sqlalchemy import Engine, text

from api.demo.dataset import Coupon, Day, Sale, Shopping
from api.demo.errors import AnswerUnexpected, DemoBusy
from api.demo.network_file import read_network_file
from api.demo.replay import Replay
from api.demo.run import Demo, run_on
from api.demo.setup import SCHEMA, alone
from config.database import make_engine
from config.settings import Settings

BEAUTY, BUTCHER, SUPERMARKET = 14, 16, 21
APRIL_30, MAY_1, MAY_2 = date(2017, 4, 30), date(2017, 5, 1), date(2017, 5, 2)
OUTLETS = [(BEAUTY, "330"), (BUTCHER, "330"), (SUPERMARKET, "330")]
NETWORK = read_network_file(Path(__file__).parents[2] / "config/networks/demo.toml")


def sale(household: int, partner_id: int, at: datetime, amount_minor: int, outlet: str = "330") -> Sale:
    """A sale whose reference says when it was."""
    return Sale(household, partner_id, outlet, at, amount_minor, f"b{household}{at:%d%H%M}")


def coupon(household: int, at: datetime) -> Coupon:
    """A coupon at the butcher's."""
    return Coupon(household, BUTCHER, "330", at, f"c{household}-{at:%d}")


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


def run(database: Engine, out: Path, stray_outlet: str = "330") -> tuple[int, str]:
    """Run the demo on these days in the test's database; its exit status and what it printed."""
    shopping = Shopping(days=days(stray_outlet), households=[7, 8], outlets=OUTLETS, controls=())
    demo = Demo(spec=NETWORK, shopping=shopping, dates=[APRIL_30, MAY_1, MAY_2], out=out)
    url = database.url.render_as_string(hide_password=False)
    settings = Settings(database_url=SecretStr(url)).model_copy(update={"database_schema": SCHEMA})
    console = Console(file=io.StringIO(), record=True, width=120)
    own = make_engine(database.url, schema=SCHEMA)
    try:
        status = run_on(own, settings, demo, console)
    finally:
        own.dispose()
    return status, console.export_text()


def test_three_days_come_out_right_twice(database: Engine, tmp_path: Path) -> None:
    """Files and single requests both arrive, one coupon is refused, and a second run begins afresh."""
    for _ in range(2):
        status, printed = run(database, tmp_path)
        assert status == 0, printed
        # 250 for 250.75; 10.50 at 2 a dollar, doubled on Sunday: 40, on Monday: 20; nothing for 0.99
        with database.connect() as connection:
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


def test_a_sale_that_is_missing_is_named(database: Engine, tmp_path: Path) -> None:
    """A sale that the network refused is not in the ledger: the demo says so and fails."""
    status, printed = run(database, tmp_path, stray_outlet="999")
    assert status == 1
    assert "WRONG: May, accruals: the ledger has 1, and it must be 2" in printed
    assert "refused as outlet_unknown: 1" in printed


def test_two_demos_do_not_meet(database: Engine, tmp_path: Path) -> None:
    """A second demo on the same database is refused before it drops the first one's schema."""
    with alone(database), pytest.raises(DemoBusy, match="another demo is running"):
        run(database, tmp_path)


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
