"""`tessera-partner` as a partner uses it, against the application on a real ledger."""

import json
import shlex
import subprocess
from base64 import b64decode
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine
from tessera_client.cli import main

from api.quickstart import set_up
from partners.keys import check_possession
from partners.model import PartnerKey
from tests.api.conftest import LONG_AGO, real_now
from tests.api.served import served

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs the command in a folder of its own: its exit status, and what it printed on either side."""
    for name in ("TESSERA_URL", "TESSERA_KEY_ID", "TESSERA_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TESSERA_PARTNER_HOME", str(tmp_path / "partner"))

    def run(*arguments: str) -> tuple[int, str, str]:
        status = 0
        try:
            main(arguments)
        except SystemExit as ended:
            status = int(ended.code or 0)
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


@pytest.fixture
def partner(database: Engine, command: Command) -> Iterator[Command]:
    """The command, with a key that is registered at a small network."""
    with served(database) as address:
        status, _, _ = command("keys", "new", "--id", "s-1", "--url", address)
        _, public, _ = command("keys", "public")
        raw = b64decode(public)
        set_up(database, partner="supermarket", key_id="s-1", public_key=raw, now=real_now())
        assert status == 0
        yield command


def test_a_day_at_the_terminal(partner: Command) -> None:
    """Enrol, earn twice under one reference, burn too much, burn, look; each says what it did."""
    _, out, _ = partner("enrol", "--reference", "m-1")
    card = json.loads(out)["card"]
    sale = ("accrue", "--card", card, "--outlet", "330", "--amount", "1250", "--currency", "USD")
    fixed = ("--reference", "s-1", "--occurred-at", real_now().isoformat())
    status, out, err = partner(*sale, *fixed)
    assert (status, json.loads(out)["points"], err) == (0, 12, "")
    status, again, err = partner(*sale, *fixed)
    assert (status, again) == (0, out)
    assert "the remembered answer" in err
    burn = ("redeem", "--card", card, "--outlet", "330", "--amount", "500", "--currency", "USD")
    status, out, err = partner(*burn, "--points", "500")
    assert (status, out) == (1, "")
    assert err.startswith("tessera-partner: insufficient_points (422): The member has not enough points")
    assert "\n  request req_" in err
    status, out, _ = partner(*burn, "--points", "5")
    assert (status, json.loads(out)["balance"]) == (0, 7)
    status, out, _ = partner("balance", card)
    assert (status, json.loads(out)["points"]) == (0, 7)
    status, _, err = partner(
        "accrue", "--card", card, "--outlet", "330", "--amount", "-5", "--currency", "USD"
    )
    assert (status, "/amount_minor: invalid" in err) == (1, True)


def test_the_curl_command_that_sign_prints_works(partner: Command) -> None:
    """What `sign` prints is sent by curl as it stands, with a body of quotes and spaces, and with a query."""
    body = json.dumps({"reference": "it's-1", "occurred_at": real_now().isoformat()})
    for arguments, said in (
        (("POST", "/v1/members", "--data", body), '"kind":"enrolment"'),
        (("GET", "/v1/entries?limit=5&business_date=2017-05-01"), '"data":[]'),
    ):
        status, out, _ = partner("sign", *arguments)
        line = out.rpartition("# curl\n")[2]
        answered = subprocess.run(shlex.split(line), capture_output=True, text=True, timeout=60, check=True)
        assert (status, said in answered.stdout) == (0, True), answered.stdout


def test_keys_are_made_with_a_proof(command: Command, tmp_path: Path) -> None:
    """The proof file is what the operator registers: the server's own check of possession takes it."""
    status, out, _ = command("keys", "new", "--id", "s-1", "--partner-number", "11")
    assert (status, "(mode 600)" in out) == (0, True)
    said = json.loads((tmp_path / "partner" / "s-1.json").read_text(encoding="utf-8"))
    key = PartnerKey(
        key_id="s-1", partner_id=11, public_key=b64decode(said["public_key"]), not_before=LONG_AGO
    )
    assert check_possession(key, b64decode(said["proof"])) is None


def test_keys_are_rotated(partner: Command) -> None:
    """A partner goes over to a new key by itself: registered, in use, the old one revoked, all listed."""
    assert partner("keys", "new", "--id", "s-2")[0] == 0
    assert partner("keys", "register", "--id", "s-2")[:2] == (0, "s-2 is registered\n")
    status, out, _ = partner("keys", "rotate", "--id", "s-3", "--revoke-old")
    assert (status, out.startswith("s-3 signs from now on")) == (0, True)
    assert out.endswith("s-1 is revoked\n")
    status, out, _ = partner("keys", "list")
    lines = out.splitlines()
    assert (status, [line.split()[0] for line in lines]) == (0, ["s-1", "s-2", "s-3"])
    assert ["revoked" in line for line in lines] == [True, False, False]
    assert lines[2].endswith("(signs here)")
    status, _, err = partner("keys", "list", "--key-id", "nobody", "--key", "/nowhere.pem")
    assert (status, "cannot read /nowhere.pem" in err) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("enrol",), "no key yet"),
        (("keys", "new", "--id", "../x"), "cannot be kept here"),
        (("keys", "new", "--id", "a b"), "a key id has 1 to 128"),
        (("enrol", "--url", "http://127.0.0.1:9", "--key-id", "k", "--key", "/nowhere.pem"), "cannot read"),
        (("sign", "GET", "v1/entries", "--url", "https://api.example.com"), "a path begins with /"),
        (("sign", "GET", "/v1/entries"), "which service?"),
    ],
)
def test_what_cannot_be_used_says_why(command: Command, arguments: tuple[str, ...], says: str) -> None:
    """One line on standard error and exit status 1, never a traceback; nothing is printed on the other."""
    status, out, err = command(*arguments)
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert says in err


def test_help_teaches(command: Command) -> None:
    """Every command tells what it is for; the first page has the way to begin."""
    _, out, _ = command("--help")
    assert "tessera-partner keys new --id grocer-1" in out
    for words in (("keys",), ("keys", "rotate"), ("sign",), ("accrue",), ("redeem",), ("enrol",)):
        status, out, _ = command(*words, "--help")
        assert (status, len(out) > 200) == (0, True), words
