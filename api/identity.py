"""Who gives a command: an operator who has signed in, never a name that is merely said.

`tessera login` keeps a session in a file that its owner alone may read, one for each operator who signed in
here; commands carry it on. A program gives an access token in TESSERA_OPERATOR_TOKEN instead.
"""

import fcntl
import json
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer
from sqlalchemy import Engine

from api.composition import BAD_INPUT, FAILED, now, opened
from api.lanes.coding import code_key
from config.operator_key import load_or_make_operator_key
from config.settings import Settings
from partners.errors import NameInvalid, PartnersError, PeopleError, TokenRefused
from partners.people.model import Role, SignedIn, Tokens, operator_name
from partners.people.sessions import authenticate, refresh
from partners.people.tokens import OperatorKeys, members_keys
from settlement.errors import SettlementError

OWNER_ONLY = 0o600
_SIGN_IN = "sign in first: tessera login NAME"


class NotSignedIn(PeopleError):
    """Nobody has shown who it is, or the session is over."""


@contextmanager
def acting(*roles: Role, by: str | None = None) -> Iterator[tuple[Settings, Engine, str]]:
    """Settings, the database, and who acts: an operator who has signed in and has one of these roles.

    What is wrong ends the command with its text: not signed in, another role, and whatever the rooms of
    partners and people (status 2) and of settlement (status 1) refuse inside of the block.

    Args:
        roles: Who may.
        by: Whose session, where several have signed in here; it must be there.
    """
    try:
        with opened() as (settings, database):
            who = identify(settings, database, by)
            if who.role not in roles:
                raise NotSignedIn(f"{who.operator_id} is {who.role}, and this is for {' or '.join(roles)}")
            yield settings, database, who.operator_id
    except PartnersError as error:
        typer.echo(f"tessera: {error}", err=True)
        raise typer.Exit(BAD_INPUT) from error
    except SettlementError as error:
        typer.echo(f"tessera: {error}", err=True)
        raise typer.Exit(FAILED) from error


def keys_of(settings: Settings) -> OperatorKeys:
    """The keys of operators' sessions."""
    return OperatorKeys.of(load_or_make_operator_key(settings.operator_key_file))


def paper_key(settings: Settings) -> bytes:
    """The key of codes on paper."""
    return code_key(members_keys(keys_of(settings)).secrets)


def identify(settings: Settings, database: Engine, by: str | None = None) -> SignedIn:
    """Who acts.

    Raises:
        NotSignedIn: nobody, or not who was named.
    """
    if settings.operator_token is not None:
        try:
            with database.connect() as connection:
                token = settings.operator_token.get_secret_value()
                who = authenticate(connection, keys_of(settings), token, now())
        except TokenRefused as error:
            raise NotSignedIn(f"TESSERA_OPERATOR_TOKEN is of no use: {error}") from error
        if by is not None and who.operator_id != operator_name(by):
            raise NotSignedIn(f"TESSERA_OPERATOR_TOKEN is {who.operator_id}'s, not {by}'s")
        return who
    return _carry_on(settings, database, _session_file(settings, by))[0]


def access_token(settings: Settings, database: Engine, by: str | None = None) -> str:
    """A fresh access token of somebody who has signed in here."""
    return _carry_on(settings, database, _session_file(settings, by), renew=True)[1].access


def keep(settings: Settings, given: Tokens) -> Path:
    """Keep a session for the commands to come; where."""
    folder = settings.sessions_folder
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{given.operator_id}.json"
    _write(path, given)
    return path


def forget(settings: Settings, operator_id: str) -> None:
    """Keep a session no longer."""
    (settings.sessions_folder / f"{operator_id}.json").unlink(missing_ok=True)


def _session_file(settings: Settings, by: str | None) -> Path:
    """The file of the operator who is named, or of the only one who has signed in here."""
    if by is not None:
        try:
            path = settings.sessions_folder / f"{operator_name(by)}.json"
        except NameInvalid as error:
            raise NotSignedIn(str(error)) from error
        if not path.exists():
            raise NotSignedIn(f"{by} has not signed in here: tessera login {operator_name(by)}")
        return path
    found = sorted(settings.sessions_folder.glob("*.json"))
    if not found:
        raise NotSignedIn(_SIGN_IN)
    if len(found) > 1:
        names = ", ".join(path.stem for path in found)
        raise NotSignedIn(f"several have signed in here ({names}): say who acts with --by")
    return found[0]


def _carry_on(
    settings: Settings, database: Engine, path: Path, *, renew: bool = False
) -> tuple[SignedIn, Tokens]:
    """Who a session file proves, its tokens renewed where that is due; one command at a time."""
    keys = keys_of(settings)
    with _locked(path):
        held = _read(path)
        if not renew:
            try:
                with database.connect() as connection:
                    return authenticate(connection, keys, held.access, now()), held
            except TokenRefused:
                pass  # ten minutes are over: the refresh token brings the next
        try:
            held = refresh(database, keys, held.refresh, now())
        except TokenRefused as error:
            path.unlink()
            raise NotSignedIn(f"the session of {path.stem} is over: tessera login {path.stem}") from error
        _write(path, held)
        with database.connect() as connection:
            return authenticate(connection, keys, held.access, now()), held


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One command at a time uses a session's refresh token: used twice, it would end the session."""
    descriptor = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, OWNER_ONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _read(path: Path) -> Tokens:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & ~OWNER_ONLY:
            raise NotSignedIn(f"{path} has mode {mode:o}, so others may have read it: sign in anew")
        held = json.loads(path.read_text(encoding="utf-8"))
        return Tokens(operator_id=path.stem, access=held["access"], refresh=held["refresh"], expires_in=0)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NotSignedIn(f"{path} cannot be read: tessera login {path.stem}") from error


def _write(path: Path, held: Tokens) -> None:
    """Written whole or not at all, and for its owner alone from the first moment."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump({"access": held.access, "refresh": held.refresh}, file)
    fresh.replace(path)
