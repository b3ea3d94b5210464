"""What is printed and sent: vouchers of a quarter, coupons of a segment, codes on packs."""

import csv
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from typer.testing import CliRunner

from api.cli import app
from api.identity import paper_key
from config.settings import Settings
from network.batch import execute
from network.codes import Pack, pack_of, plain, voucher_of
from network.conversion import convert_due
from network.rules import Rules
from network.service import set_clock
from tests.coalition import START, new_card, sale, set_up
from tests.integration.test_paper import SOURCE
from tests.people import faults_of, settle_in

COUPONS = """
[[coupon]]
id = "coffee"
says = "Coffee"
[[rule]]
id = "coffee"
says = "Coffee by coupon"
when = { coupons = ["coffee"] }
basis = { of = "visit" }
award = { points = 5 }
"""


@pytest.fixture
def live(database: Engine) -> Rules:
    """A programme with vouchers, packs and coupons."""
    return set_up(database, source=SOURCE.replace("[conversion]", COUPONS + "[conversion]"))


@pytest.fixture
def environment(database: Engine, database_url: str, live: Rules, tmp_path: Path) -> dict[str, str]:
    """The variables that lead to it, for somebody who has signed in."""
    settle_in(database, tmp_path, "max", "maker")
    return {"TESSERA_DATABASE_URL": database_url, "TESSERA_SCHEMA": "tessera", "TESSERA_HOME": str(tmp_path)}


def tessera(environment: dict[str, str], *arguments: str, fails: bool = False) -> str:
    """What a command says."""
    result = CliRunner().invoke(app, arguments, env=environment)
    assert result.exit_code == (2 if fails else 0), result.output
    return " ".join((result.stderr if fails else result.stdout).split())


def test_paper_in_bulk(environment: dict[str, str], database: Engine, live: Rules, tmp_path: Path) -> None:
    """Each list is what its codes open to, nobody else reads it, and who had it made is on record."""
    key = paper_key(Settings(home=tmp_path))
    cards = [new_card(database, live, f"card {number}") for number in range(3)]
    execute(database, [sale(card, 55_00, f"sale {card}") for card in cards], live)
    codes = tmp_path / "codes.txt"
    asked = ("packs", "codes", "spring", "--first", "7", "--count", "3", "--out", str(codes))
    assert tessera(environment, *asked).startswith("3 codes are in ")
    assert codes.stat().st_mode & 0o777 == 0o600
    opened = [pack_of(key, plain(code) or "") for code in codes.read_text().split()]
    assert opened == [Pack(3, 7), Pack(3, 8), Pack(3, 9)]
    too_many = ("packs", "codes", "spring", "--count", "1001", "--out", str(codes))
    assert "spring has 1000 packs" in tessera(environment, *too_many, fails=True)
    with database.begin() as connection:
        segment = (
            "INSERT INTO member_segment SELECT member_id, 'two' FROM card WHERE card_number = ANY(:cards)"
        )
        connection.execute(text(segment), {"cards": cards[:2]})
    days = ("--from", "2017-05-01", "--until", "2017-05-31")
    give = ("coupon", "give", "coffee", "--segment", "two", *days)
    assert tessera(environment, *give) == "2 members were given coffee"
    assert tessera(environment, *give) == "0 members were given coffee"
    assert "no rule in force is opened by a coupon 'tea': coffee" in tessera(
        environment, "coupon", "give", "tea", *days, fails=True
    )
    assert tessera(environment, "voucher", "keep", "--card", str(cards[2])) == "it keeps its points"
    with database.begin() as connection:
        set_clock(connection, START.replace(month=7, day=1))
    assert convert_due(database, date(2017, 7, 1)) == 2
    vouchers = tmp_path / "vouchers.csv"
    said = tessera(environment, "voucher", "list", "--quarter", "2017-07-01", "--out", str(vouchers))
    assert said.startswith("2 vouchers are in ")
    with vouchers.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["card"]) for row in rows] == cards[:2]
    assert {(row["points"], row["worth_minor"], row["valid_until"]) for row in rows} == {
        ("50", "500", "2017-08-31")
    }
    made = text("SELECT entry_id FROM voucher ORDER BY member_id")
    with database.connect() as connection:
        ids = list(connection.execute(made).scalars())
    assert [voucher_of(key, plain(row["code"]) or "") for row in rows] == ids
    with database.connect() as connection:
        done = text("SELECT action FROM operator_audit WHERE action ~ '^(vouch|coup|pack|conv)'")
        assert len(connection.execute(done).all()) == 5
    assert faults_of(database) == []
