"""The commands as an operator gives them: what they print, what they leave, and their exit status."""

import json
import os
import subprocess
import sys
from datetime import timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text
from typer.testing import CliRunner, Result

from api.cli import app
from config.settings import PROJECT
from network.service import set_clock
from tests.coalition import START, burn, new_card, run, sale, set_up
from tests.conftest import as_owner

DEBTS = "debtor,creditor,amount,currency\nA,B,10.004,EUR\nB,A,4,EUR\nB,C,1.5,USD\n"


@pytest.fixture
def environment(database: Engine, database_url: str, tmp_path: Path) -> dict[str, str]:
    """A network with one day of business, over since a moment; and the variables that lead to it."""
    live = set_up(database)
    card = new_card(database, live)
    run(database, live, sale(card, 25_000, "s"))
    run(database, live, burn(card, 100, "b"))
    with database.begin() as connection:
        set_clock(connection, START + timedelta(days=1))
    return {
        "TESSERA_DATABASE_URL": database_url,
        "TESSERA_SCHEMA": "tessera",
        "TESSERA_HOME": str(tmp_path),
        "TESSERA_STATEMENTS": "",
    }


def tessera(*arguments: str, env: dict[str, str] | None = None, given: str | None = None) -> Result:
    """Run a command; its exit status, and what it wrote to standard output and error."""
    return CliRunner().invoke(app, arguments, env=env, input=given)


def test_net_prints_what_is_to_be_paid(tmp_path: Path) -> None:
    """A good file: status 0, and the payments of each currency; the same file comes by standard input."""
    (tmp_path / "debts.csv").write_text(DEBTS)
    by_file = tessera("net", str(tmp_path / "debts.csv"))
    assert by_file.exit_code == 0
    assert "paid in, and so out" in by_file.stdout
    assert "EUR: 2 debts" in by_file.stdout
    assert tessera("net", "-", given=DEBTS).stdout == by_file.stdout


def test_net_prints_names_that_the_terminal_cannot(tmp_path: Path) -> None:
    """Where output is ASCII, letters beyond it are shown by number, in tables and complaints alike."""
    (tmp_path / "debts.csv").write_text("debtor,creditor,amount,currency\nKäse,Brot,10.00,EUR\n", "utf-8")
    (tmp_path / "bäd.csv").write_text("debtor,creditor,amount,currency\nKäse,Brot,x,EUR\n", "utf-8")
    for name, status in (("debts.csv", 0), ("bäd.csv", 2)):
        done = subprocess.run(
            [sys.executable, "-m", "api.cli", "net", str(tmp_path / name)],
            env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONPATH": str(PROJECT)},
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == status
        assert b"\\xe4" in done.stdout + done.stderr
        assert b"Traceback" not in done.stderr


def test_net_prints_json_for_programs(tmp_path: Path) -> None:
    """With --json standard output is one JSON document, good or bad; the status tells which."""
    (tmp_path / "debts.csv").write_text(DEBTS)
    good = tessera("net", str(tmp_path / "debts.csv"), "--json")
    assert good.exit_code == 0
    euro, dollar = json.loads(good.stdout)["currencies"]
    assert (euro["gross"], euro["bilateral"]["total"], euro["payments"]["total"]) == (
        "14.004",
        "6.004",
        "6.00",
    )
    assert dollar["payments"]["from_hub"] == [{"participant": "C", "amount": "1.50"}]
    (tmp_path / "bad.csv").write_text(DEBTS + "A,B,minus one,EUR\n")
    bad = tessera("net", str(tmp_path / "bad.csv"), "--json")
    assert bad.exit_code == 2
    assert [one["line"] for one in json.loads(bad.stdout)["errors"]] == [5]


def test_net_refuses_a_bad_file_whole(tmp_path: Path) -> None:
    """A bad line, or no file at all: status 2, the fault on standard error, nothing on standard output."""
    (tmp_path / "bad.csv").write_text(DEBTS + "A,A,5,EUR\nA,B,1e5,EUR\n")
    bad = tessera("net", str(tmp_path / "bad.csv"))
    assert (bad.exit_code, bad.stdout) == (2, "")
    assert "bad.csv:5: debtor and creditor are both 'A'" in bad.stderr
    assert "2 problems: nothing was netted" in bad.stderr
    missing = tessera("net", str(tmp_path / "none.csv"))
    assert (missing.exit_code, missing.stdout) == (2, "")
    assert "No such file" in missing.stderr


def test_net_lets_a_debtor_not_pay(tmp_path: Path) -> None:
    """Ladder and circles come as tables and as JSON; who is in no debt is told, and a stray deposit too."""
    file, cover = str(tmp_path / "debts.csv"), str(tmp_path / "deposits.csv")
    Path(file).write_text(DEBTS)
    Path(cover).write_text("participant,amount,currency\nA,2.00,EUR\nNobody,5,EUR\n")
    shown = tessera("net", file, "--set-off", "--default", "A", "--deposits", cover)
    assert shown.exit_code == 0, shown.output
    assert "A does not pay" in shown.stdout
    assert "line 3 of the deposits: 'Nobody' is in no debt" in shown.stderr
    json_form = tessera("net", file, "--default", "A", "--deposits", cover, "--json")
    found = json.loads(json_form.stdout)["defaults"][0]
    assert (found["debtors"], found["ladder"][0]["total"]) == (["A"], "2.00")
    unknown = tessera("net", file, "--default", "Q")
    assert unknown.exit_code == 2
    assert "'Q' is in no debt; there are A, B, C" in " ".join(unknown.stderr.split())
    alone = tessera("net", file, "--deposits", cover)
    assert alone.exit_code == 2
    assert "name who does not pay" in " ".join(alone.stderr.split())


def test_net_names_the_file_of_each_fault(tmp_path: Path) -> None:
    """Two bad files: every line of both, each with its file and field."""
    file, cover = str(tmp_path / "debts.csv"), str(tmp_path / "deposits.csv")
    Path(file).write_text(DEBTS + "A,B,x,EUR\n")
    Path(cover).write_text("participant,amount,currency\nA,2.001,EUR\n")
    bad = tessera("net", file, "--default", "A", "--deposits", cover, "--json")
    assert bad.exit_code == 2
    assert [(one["file"], one["line"], one["field"]) for one in json.loads(bad.stdout)["errors"]] == [
        (file, 5, "amount"),
        (cover, 2, "amount"),
    ]
    assert (
        "deposits.csv:2: amount '2.001' has 3 decimals"
        in tessera("net", file, "--default", "A", "--deposits", cover).stderr
    )


def test_clear_settles_a_date_once(environment: dict[str, str], tmp_path: Path) -> None:
    """Twice the same words and the same bytes: what is paid, the hashes, and the files of the night."""
    first = tessera("clear", "--date", "2017-05-01", env=environment)
    assert first.exit_code == 0, first.output
    # 250 points at .0100 into the pool; 100 of them back out at .0080 and a margin of .0020
    assert "2017-05-01 is settled: USD 2.50 is paid in and out" in first.stdout
    folder = tmp_path / "statements" / "tessera" / "2017-05-01"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert {"grocer.csv", "grocer.html", "_night.html"} <= before.keys()
    again = tessera("clear", "--date", "2017-05-01", env=environment)
    assert (again.exit_code, again.stdout) == (0, first.stdout)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_clear_refuses_what_is_no_date(environment: dict[str, str]) -> None:
    """A date that cannot be read is the caller's fault, status 2; the message shows one that can."""
    for wrong in ("2017-02-30", "yesterday", ""):
        refused = tessera("clear", "--date", wrong, env=environment)
        assert refused.exit_code == 2, wrong
        assert "2017-05-31" in refused.stderr


@pytest.mark.parametrize(
    "fault",
    [
        "UPDATE lot SET remaining = remaining + 1 WHERE remaining > 0",
        "UPDATE net_position SET final_minor = final_minor + 1 WHERE participant_id = 11",
    ],
)
def test_verify_tells_a_whole_ledger_from_one_that_is_not(
    environment: dict[str, str], database: Engine, fault: str
) -> None:
    """Status 0 where every law holds; after one row was changed behind our back, 1 and the row."""
    assert tessera("clear", "--date", "2017-05-01", env=environment).exit_code == 0
    whole = tessera("verify", env=environment)
    assert whole.exit_code == 0, whole.output
    assert "the ledger is whole" in whole.stdout
    with as_owner(database) as connection:
        connection.execute(text(f"ALTER TABLE {fault.split()[1]} DISABLE TRIGGER USER"))
        assert connection.execute(text(fault)).rowcount > 0
    broken = tessera("verify", env=environment)
    assert broken.exit_code == 1
    assert "BROKEN" in broken.stdout
    assert "problems" in broken.stdout


def net_json(folder: Path, debts: str, cover: str | None = None, *options: str) -> Any:
    """What `tessera net --json` says of a file."""
    (folder / "d.csv").write_text("debtor,creditor,amount,currency\n" + debts)
    if cover is not None:
        (folder / "c.csv").write_text("participant,amount,currency\n" + cover)
        options = ("--deposits", str(folder / "c.csv"), *options)
    done = tessera("net", str(folder / "d.csv"), "--json", *options)
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def test_published_netting_comes_out_of_the_command(tmp_path: Path) -> None:
    """Gross 3600, bilateral 1000, multilateral 850; A +620, B +230, C -400, D -450."""
    debts = [
        "AB250",
        "AC50",
        "AD250",
        "BA300",
        "BC150",
        "BD300",
        "CA270",
        "CB230",
        "CD400",
        "DA600",
        "DB500",
        "DC300",
    ]
    said = net_json(tmp_path, "".join(f"{one[0]},{one[1]},{one[2:]},EUR\n" for one in debts))
    [net] = said["currencies"]
    assert (net["gross"], net["bilateral"]["total"], net["multilateral"]["total"]) == (
        *("3600.00", "1000.00", "850.00"),
    )
    positions = {one["participant"]: one["claims"] for one in net["multilateral"]["positions"]}
    assert positions == {"A": "620.00", "B": "230.00", "C": "-400.00", "D": "-450.00"}


@pytest.mark.parametrize(
    ("debts", "cover", "paid"),
    [
        (["AB10", "AC10", "BA20", "BC30", "CA40"], "A,5,EUR\nB,30,EUR\n", {"A": 20, "B": 40, "C": 34}),
        (
            ["AB0.5", "AC0.5", "BA1", "CB1"],
            "A,0.2,EUR\nB,0.1,EUR\n",
            {"A": 1, "B": 1, "C": Fraction(1, 2)},
        ),
    ],
)
def test_published_clearing_vectors_come_out_of_the_command(
    tmp_path: Path, debts: list[str], cover: str, paid: dict[str, Fraction]
) -> None:
    """Eisenberg-Noe, exact: (20, 40, 34), and (1, 1, 1/2)."""
    everybody = [word for party in "ABC" for word in ("--default", party)]
    lines = "".join(f"{one[0]},{one[1]},{one[2:]},EUR\n" for one in debts)
    [default] = net_json(tmp_path, lines, cover, *everybody)["defaults"]
    found: dict[str, Fraction] = {}
    for one in default["clearing_vector"]:
        found[one["debtor"]] = found.get(one["debtor"], Fraction(0)) + Fraction(one["paid"])
    assert found == paid
