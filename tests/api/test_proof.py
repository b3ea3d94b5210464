"""Proofs as a partner gets them, and the commands that make and check them, each in a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from rich.console import Console
from sqlalchemy import Engine, text
from typer.testing import CliRunner, Result

from api.cli import app
from api.verification import verify_ledger
from config.settings import PROJECT
from network.service import set_clock
from settlement.proof import check
from settlement.seal import Signer
from settlement.sealing import load_seals, seal_due
from settlement.service import clear_due
from tests.api.conftest import Till, a_sale
from tests.coalition import GROCER, HOTEL, START
from tests.conftest import as_owner

SIGNER = Signer(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
OVER = START.replace(hour=0) + timedelta(days=1)


def tessera(
    *arguments: str, own: Mapping[str, str] | None = None, cwd: Path | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run `tessera` with TESSERA_* variables of these and no others."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TESSERA_")}
    return subprocess.run(
        [sys.executable, "-m", "api.cli", *arguments],
        env={**inherited, "PYTHONPATH": str(PROJECT), "COLUMNS": "200", **(own or {})},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def inside(*arguments: str, own: Mapping[str, str]) -> Result:
    """Run `tessera` in this process, ten times faster; where its logs and errors are not looked at."""
    others: dict[str, str | None] = {name: None for name in os.environ if name.startswith("TESSERA_")}
    return CliRunner().invoke(app, arguments, env={**others, "COLUMNS": "200", **own})


def settle(database: Engine) -> None:
    """Settle the first day."""
    with database.begin() as connection:
        set_clock(connection, OVER)
    clear_due(database, OVER, programme_version=1)


def test_a_partner_gets_proofs_of_its_own_entries(database: Engine, till: Callable[[int], Till]) -> None:
    """Before the seal 409, after it a file that checks; another partner's entry is as if it were not."""
    grocer, hotel = till(GROCER), till(HOTEL)
    member = grocer.enrol()
    sold = grocer.post("/v1/accruals", **a_sale(member["card"], 5_000, "sale-1")).json()
    dime = grocer.post("/v1/accruals", **a_sale(member["card"], 10, "sale-2")).json()
    settle(database)
    early = grocer.get(f"/v1/entries/{sold['id']}/proof")
    assert (early.status_code, early.json()["code"]) == (409, "not_sealed_yet")
    assert "window 20170501" in early.json()["detail"]

    seal_due(database, SIGNER, OVER)
    answer = grocer.get(f"/v1/entries/{sold['id']}/proof")
    assert answer.status_code == 200
    checked = check(answer.content, SIGNER.public_key)
    assert checked.faults == []
    assert checked.proof is not None
    [posting] = checked.proof.postings
    assert (checked.proof.entry, posting.leaf["points"], posting.leaf["issuer"]) == (sold["id"], 50, GROCER)
    assert member["card"] not in answer.text
    assert member["member"] not in answer.text

    for asked, status, code in (
        (hotel.get(f"/v1/entries/{sold['id']}/proof"), 404, "entry_unknown"),
        (grocer.get("/v1/entries/ent_1/proof"), 404, "entry_unknown"),
        (grocer.get(f"/v1/entries/ent_{'0' * 32}/proof"), 404, "entry_unknown"),
        (grocer.get(f"/v1/entries/{dime['id']}/proof"), 422, "entry_moves_no_points"),
        (grocer.get(f"/v1/entries/{member['id']}/proof"), 422, "entry_moves_no_points"),
    ):
        assert (asked.status_code, asked.json()["code"]) == (status, code)


def test_the_commands_make_a_key_seal_prove_and_check(
    database: Engine, database_url: str, till: Callable[[int], Till], tmp_path: Path
) -> None:
    """From no key to a proof that holds on its own, and that a changed byte breaks; exit statuses."""
    grocer = till(GROCER)
    sold = grocer.post("/v1/accruals", **a_sale(grocer.enrol()["card"], 5_000, "sale-1")).json()
    settle(database)
    own = {
        "TESSERA_DATABASE_URL": database_url,
        "TESSERA_NETWORK_KEY": str(tmp_path / "keys" / "network.pem"),
    }
    nameless = tessera("seal", own={"TESSERA_DATABASE_URL": database_url})
    assert (nameless.returncode, "set TESSERA_NETWORK_KEY" in nameless.stderr) == (1, True)
    assert "tessera keys" in tessera("seal", own=own).stderr
    early = tessera("proof", "show", sold["id"], own=own)
    assert (early.returncode, "is not sealed yet" in early.stderr) == (1, True)

    made, again = tessera("keys", own=own), inside("keys", own=own)
    assert made.stdout.startswith("made the network key net-")
    assert again.stdout == made.stdout.replace("made", "there is", 1)
    public = tmp_path / "public.pem"
    public.write_text(made.stdout[made.stdout.index("-----BEGIN PUBLIC") :])
    sealed = tessera("seal", own=own)
    assert (sealed.returncode, "window 20170501: 1 postings, root " in sealed.stdout) == (0, True)
    assert inside("seal", own=own).stdout == "nothing was left to seal\n"

    file = tmp_path / "proof.json"
    assert inside("proof", "show", sold["id"], "--out", str(file), own=own).exit_code == 0
    assert inside("proof", "show", sold["id"], own=own).stdout == file.read_text()
    alone = {"TESSERA_DATABASE_URL": "nonsense", "TESSERA_PORT": "nonsense"}  # would end whoever read them
    held = tessera("proof", "check", str(file), cwd=tmp_path, own=alone)
    assert held.returncode == 0, held.stdout + held.stderr
    assert f"ok     entry {sold['id']}" in held.stdout
    assert "came out of the file itself" in held.stdout
    pinned = inside("proof", "check", str(file), "--key", str(public), own=alone)
    assert (pinned.exit_code, "came out of the file" in pinned.stdout) == (0, False)

    document: Any = json.loads(file.read_text())
    document["postings"][0]["leaf"]["points"] = 51
    file.write_text(json.dumps(document))
    broken = inside("proof", "check", str(file), own=alone)
    assert broken.exit_code == 1
    assert "BROKEN posting line 1: its hash is" in broken.stdout
    assert "was sealed: the posting was changed" in broken.stdout
    assert inside("proof", "check", str(tmp_path / "none.json"), own=alone).exit_code == 2
    assert inside("proof", "show", "ent_1", own=own).exit_code == 2


def test_a_night_never_waits_for_its_key(
    database: Engine, database_url: str, till: Callable[[int], Till], tmp_path: Path
) -> None:
    """`tessera clear` settles also with a key that others may read, and says so; mended, it seals."""
    till(GROCER).enrol()
    with database.begin() as connection:
        set_clock(connection, OVER + timedelta(days=1))
    own = {
        "TESSERA_DATABASE_URL": database_url,
        "TESSERA_NETWORK_KEY": str(tmp_path / "network.pem"),
        "TESSERA_STATEMENTS": str(tmp_path / "statements"),
    }
    inside("keys", own=own)
    (tmp_path / "network.pem").chmod(0o644)
    unsealed = tessera("clear", "--date", "2017-05-01", own=own)
    assert unsealed.returncode == 0, unsealed.stderr
    assert "nothing is sealed" in unsealed.stderr
    assert "chmod 600" in unsealed.stderr
    (tmp_path / "network.pem").chmod(0o600)
    assert inside("clear", "--date", "2017-05-02", own=own).exit_code == 0
    with database.connect() as connection:
        assert [seal.window_id for seal in load_seals(connection)] == [20170501, 20170502]


def test_verify_says_what_is_unsealed_and_what_was_changed(
    database: Engine, till: Callable[[int], Till], capsys: pytest.CaptureFixture[str]
) -> None:
    """Unsealed windows are a note and no problem; a changed posting is a problem with its name."""
    grocer = till(GROCER)
    sold = grocer.post("/v1/accruals", **a_sale(grocer.enrol()["card"], 5_000, "sale-1")).json()
    settle(database)
    console = Console(width=200)
    assert verify_ledger(database, console) == 0
    assert (
        "note   1 closed without a seal: window 20170501; set TESSERA_NETWORK_KEY" in capsys.readouterr().out
    )
    seal_due(database, SIGNER, OVER)
    assert verify_ledger(database, console) == 0
    assert "without a seal" not in capsys.readouterr().out
    with as_owner(database) as connection:
        connection.execute(text("ALTER TABLE entry DISABLE TRIGGER USER"))
        connection.execute(text("UPDATE entry SET balance_after = 51 WHERE points = 50"))
    assert verify_ledger(database, console) == 1
    told = capsys.readouterr().out
    assert (
        f"window 20170501, entry {sold['id']} of member 1, line 1: it was changed after it was sealed" in told
    )
