"""Operators at the command line: how they come in, act, and are told no."""

import json
import os
import re
import subprocess
import sys
from base64 import b32decode, b64encode
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine, text
from typer.testing import CliRunner, Result

from api.cli import app
from config.settings import PROJECT
from partners.keys import possession_statement
from partners.model import PartnerKey
from tests.coalition import GROCER, START, set_up
from tests.conftest import as_owner
from tests.people import PASSWORD, Person, faults_of, real_now, settle_in


@pytest.fixture
def environment(database: Engine, database_url: str, tmp_path: Path) -> dict[str, str]:
    """The variables that lead to a network."""
    set_up(database)
    return {"TESSERA_DATABASE_URL": database_url, "TESSERA_SCHEMA": "tessera", "TESSERA_HOME": str(tmp_path)}


def tessera(environment: dict[str, str], *arguments: str, typed: str | None = None) -> Result:
    """Run a command."""
    return CliRunner().invoke(app, arguments, env=environment, input=typed)


def done(environment: dict[str, str], *arguments: str, typed: str | None = None) -> str:
    """What a command says that succeeds."""
    result = tessera(environment, *arguments, typed=typed)
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(environment: dict[str, str], *arguments: str, typed: str | None = None) -> str:
    """What a command says that is refused, on one line."""
    result = tessera(environment, *arguments, typed=typed)
    assert result.exit_code == 2, result.output
    return " ".join(result.stderr.split())


def found(pattern: str, said: str) -> str:
    """The one place in a text that a pattern names."""
    match = re.search(pattern, said)
    assert match is not None, said
    return match[1]


def enrol(environment: dict[str, str], name: str, secret: str) -> Person:
    """Enrol as people do: a process of its own, for the code comes from what it shows."""
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "api.cli", "operator", "enrol", name],
        env={**os.environ, **environment, "PYTHONPATH": str(PROJECT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # without a terminal, so that passwords are read from here
    ) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        running.stdin.write(f"{secret}\n{PASSWORD}\n{PASSWORD}\n")
        running.stdin.flush()
        uri = next(line for line in running.stdout if line.startswith("otpauth://"))
        [shown] = parse_qs(urlsplit(uri.strip()).query)["secret"]
        person = Person(name, b32decode(shown))
        running.stdin.write(f"{person.code(real_now())}\n")
        running.stdin.flush()
        assert "is enrolled" in running.stdout.read()
        assert running.wait(60) == 0
    return person


def test_the_first_admin_comes_in(environment: dict[str, str], database: Engine, tmp_path: Path) -> None:
    """Added by the machine, enrolled, signed in, acting, signed out; its session's file is its alone."""
    said = done(environment, "operator", "add", "anna", "--role", "admin")
    anna = enrol(environment, "anna", found("good for two days: ([0-9a-f-]+)", said))
    with database.begin() as connection:  # the code of this half minute is used: let it be another one's
        connection.execute(text("UPDATE operator_credential SET totp_step = 0"))
    assert "sign in first: tessera login NAME" in refused(environment, "logout")
    typed = f"{PASSWORD}\n{anna.code(real_now())}\n"
    assert "anna has signed in" in done(environment, "login", "anna", typed=typed)
    assert "login, password or code is wrong" in refused(environment, "login", "anna", typed=typed)
    file = tmp_path / "sessions" / "tessera" / "anna.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert "anna" in done(environment, "operator", "list")
    proposed = done(environment, "operator", "add", "max", "--role", "maker", "--by", "anna")
    assert "your half of the secret, the first: " in proposed
    assert done(environment, "logout") == "anna has signed out\n"
    assert not file.exists()
    assert faults_of(database) == []


def test_two_admins_add_a_third(environment: dict[str, str], database: Engine, tmp_path: Path) -> None:
    """Each is shown a half; the second approves what it was shown, by its hash; alone nobody does."""
    for name in ("anna", "bert"):
        settle_in(database, tmp_path, name, "admin")
    assert "2 active admins" in refused(environment, "operator", "add", "max", "--role", "admin")
    assert "'king' is no role" in refused(environment, "operator", "add", "max", "--role", "king")
    proposed = done(environment, "operator", "add", "max", "--role", "maker", "--by", "anna")
    proposal = found("approve ([0-9a-f-]{36})", proposed)
    shown = done(environment, "proposal", "show", proposal)
    assert '"role": "maker"' in shown
    sha256 = found("sha256 ([0-9a-f]{64})", shown)
    approve = ("proposal", "approve", proposal, "--sha256")
    assert "anna prepared it" in refused(environment, *approve, sha256, "--by", "anna")
    assert "hash of something else" in refused(environment, *approve, "00" * 32, "--by", "bert")
    approved = done(environment, *approve, sha256, "--by", "bert")
    halves = (found("the first: ([0-9a-f]+)", proposed), found("the second: ([0-9a-f]+)", approved))
    enrol(environment, "max", "-".join(halves))
    assert "max" in done(environment, "operator", "list")
    assert "operator.add of operator:max, by anna: approved by bert" in done(environment, "proposal", "list")
    assert done(environment, "proposal", "list", "--open") == "0 wait\n"
    done(environment, "operator", "disable", "max", "--by", "bert")
    assert "nobody disables themselves" in refused(environment, "operator", "disable", "bert", "--by", "bert")
    assert faults_of(database) == []


def test_a_session_is_carried_on(environment: dict[str, str], database: Engine, tmp_path: Path) -> None:
    """After ten minutes the refresh token brings the next; where all is over, one is told to sign in."""
    settle_in(database, tmp_path, "max", "maker")
    file = tmp_path / "sessions" / "tessera" / "max.json"
    held = json.loads(file.read_text())
    file.write_text(json.dumps({**held, "access": "over"}))
    suspend = ("partner", "suspend", "--reason", "no deposit")
    done(environment, *suspend, "grocer")
    assert json.loads(file.read_text())["refresh"] != held["refresh"]
    token = done(environment, "operator", "token").strip()
    assert "no partner has the code" in refused(environment, *suspend, "nobody")
    with database.begin() as connection:
        connection.execute(text("UPDATE operator_session SET ended_at = now(), ended_because = 'test'"))
    assert "the session of max is over: tessera login max" in refused(environment, *suspend, "petrol")
    assert "sign in first" in refused(environment, *suspend, "petrol")
    by_token = {**environment, "TESSERA_OPERATOR_TOKEN": token}
    assert "TESSERA_OPERATOR_TOKEN is of no use" in refused(by_token, *suspend, "petrol")


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_a_session_that_others_may_read_is_refused(
    environment: dict[str, str], database: Engine, tmp_path: Path, mode: int
) -> None:
    """As a private key would be."""
    settle_in(database, tmp_path, "max", "maker")
    (tmp_path / "sessions" / "tessera" / "max.json").chmod(mode)
    assert f"has mode {mode:o}" in refused(environment, "partner", "suspend", "grocer", "--reason", "why")


def test_a_program_acts_by_its_token(environment: dict[str, str], database: Engine, tmp_path: Path) -> None:
    """The token says who acts; a name beside it must be the same, and a forged token is refused."""
    settle_in(database, tmp_path, "max", "maker")
    token = done(environment, "operator", "token").strip()
    elsewhere = {
        **environment,
        "TESSERA_OPERATOR_TOKEN": token,
        "TESSERA_SESSIONS": str(tmp_path / "none"),
    }
    suspend = ("partner", "suspend", "grocer", "--reason", "why")
    assert "is max's, not anna's" in refused(elsewhere, *suspend, "--by", "anna")
    forged = {**elsewhere, "TESSERA_OPERATOR_TOKEN": token[:-4] + "AAAA"}
    assert "is of no use" in refused(forged, *suspend)
    assert "partner.suspend of partner:grocer" in done(elsewhere, *suspend, "--by", "max")


def test_partners_and_keys_at_the_command_line(
    environment: dict[str, str], database: Engine, tmp_path: Path
) -> None:
    """A maker proposes, a checker approves, one revokes; the record lists it and its chain is checked."""
    settle_in(database, tmp_path, "max", "maker")
    settle_in(database, tmp_path, "cleo", "checker")
    private = Ed25519PrivateKey.generate()
    key = PartnerKey(
        key_id="grocer-9",
        partner_id=GROCER,
        public_key=private.public_key().public_bytes_raw(),
        not_before=START,
    )
    file = tmp_path / "key.json"
    said = {
        "key_id": key.key_id,
        "public_key": b64encode(key.public_key).decode(),
        "not_before": START.isoformat(),
        "proof": b64encode(private.sign(possession_statement(key))).decode(),
    }
    file.write_text(json.dumps(said))
    proposed = done(environment, "key", "register", "grocer", str(file), "--by", "max")
    approve = found("tessera (proposal approve .*)", proposed).split()
    assert "cleo is checker, and this is for maker" in refused(
        environment, "key", "register", "grocer", str(file), "--by", "cleo"
    )
    assert "partner.register_key is decided by checker" in refused(environment, *approve, "--by", "max")
    done(environment, *approve, "--by", "cleo")
    assert "grocer-9" in done(environment, "key", "list")
    done(environment, "key", "revoke", "grocer-9", "--by", "cleo")
    assert "revoked" in done(environment, "key", "list")
    file.write_text(json.dumps({**said, "proof": "?"}))
    assert "is no key with its proof" in refused(
        environment, "key", "register", "grocer", str(file), "--by", "max"
    )
    assert "grocer" in done(environment, "partner", "list")
    listed = done(environment, "audit", "list", "--operator", "cleo")
    assert "partner.key_registered key:grocer-9" in listed
    assert '"public_key"' in done(environment, "audit", "list", "--subject", "key:grocer-9", "--records")


def test_the_record_is_checked_at_the_command_line(
    environment: dict[str, str], database: Engine, tmp_path: Path
) -> None:
    """Status 0 and what to note; against what was noted; status 1 and where, once a row was changed."""
    settle_in(database, tmp_path, "max", "maker")
    whole = done(environment, "audit", "check")
    rows, head = found("^([0-9]+) rows", whole), found("the last ([0-9a-f]{64}): whole", whole)
    settle_in(database, tmp_path, "mia", "maker")
    noted = ("audit", "check", "--row", rows, "--sha256")
    done(environment, *noted, head)
    assert tessera(environment, *noted, "00" * 32).exit_code == 1
    assert "or neither" in refused(environment, "audit", "check", "--row", "1")
    assert "the operators' record: 4 rows" in " ".join(tessera(environment, "verify").stdout.split())
    with as_owner(database) as connection:
        connection.execute(text("ALTER TABLE operator_audit DISABLE TRIGGER USER"))
        connection.execute(text("UPDATE operator_audit SET done_by = 'mia' WHERE seq = 1"))
    broken = tessera(environment, "audit", "check")
    assert (broken.exit_code, "row 1: was changed" in broken.stderr) == (1, True)
    verified = tessera(environment, "verify")
    assert verified.exit_code == 1
    assert "BROKEN what operators did is a whole chain" in verified.stdout


def test_a_password_is_changed_at_the_command_line(
    environment: dict[str, str], database: Engine, tmp_path: Path
) -> None:
    """The old one and a code are asked for."""
    anna = settle_in(database, tmp_path, "anna", "viewer")
    new = "eleven grey herons, standing"
    typed = f"wrong\n{new}\n{new}\n{anna.code(real_now())}\n"
    assert "is wrong" in refused(environment, "operator", "password", typed=typed)
    typed = f"{PASSWORD}\n{new}\n{new}\n{anna.code(real_now())}\n"
    assert "is changed" in done(environment, "operator", "password", typed=typed)
