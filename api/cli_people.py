"""`tessera login`, `logout` and `operator`: the operator's people, who they are and how they come in."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli_desk import By, say_proposed
from api.composition import BAD_INPUT, now, opened
from api.identity import acting
from config.roles import reader_role
from partners.people.model import Role

if TYPE_CHECKING:
    pass

operator_app = typer.Typer(
    no_args_is_help=True,
    help="""The operator's people. Roles: viewer looks, maker prepares, checker decides, admin keeps people.

    The first two admins are added with the machine's own rights. From then on one admin proposes and another
    approves; each is shown one half of the secret with which the new operator enrols.
    """,
    epilog="Example: tessera operator add anna --role admin; then anna: tessera operator enrol anna",
)
_Name = Annotated[str, typer.Argument(metavar="NAME", help="The operator's login.")]


def add_people(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command("login")(login)
    app.command("logout")(logout)
    app.add_typer(operator_app, name="operator")


def login(name: _Name) -> None:
    """Sign in: later commands act under this session, for two hours since the last and twelve in all."""
    from api.identity import keep, keys_of
    from partners.errors import PeopleError
    from partners.people.sessions import sign_in

    password = typer.prompt("password", hide_input=True)
    code = typer.prompt("code of your authenticator")
    try:
        with opened() as (settings, database):
            given = sign_in(database, keys_of(settings), name=name, password=password, code=code, now=now())
            path = keep(settings, given)
    except PeopleError as error:
        raise _refused(error) from error
    typer.echo(f"{given.operator_id} has signed in: {path}")


def logout(*, by: By = None) -> None:
    """Sign out: the session and its tokens are of no more use."""
    from api.identity import forget, identify
    from partners.errors import PeopleError
    from partners.people.sessions import sign_out

    try:
        with opened() as (settings, database):
            who = identify(settings, database, by)
            with database.begin() as connection:
                sign_out(connection, who, now())
            forget(settings, who.operator_id)
    except PeopleError as error:
        raise _refused(error) from error
    typer.echo(f"{who.operator_id} has signed out")


@operator_app.command("add")
def add(
    name: _Name,
    *,
    role: Annotated[str, typer.Option(help="viewer, maker, checker or admin.")],
    by: By = None,
) -> None:
    """Add an operator. Without --by the machine's own rights add an admin, while there are not two."""
    from partners.people.operators import add_from_host, propose_add

    wanted = _role(role)
    if by is None:
        _from_host(lambda connection: add_from_host(connection, name, wanted, now()), name)
        return
    with acting("admin", by=by) as (_, database, who), database.begin() as connection:
        made, half = propose_add(connection, name, wanted, by=who)
    say_proposed(made, half)


@operator_app.command("reset")
def reset(name: _Name, *, by: By = None) -> None:
    """Let somebody who lost password or phone enrol anew. Without --by: an admin, while there are not two."""
    from partners.people.operators import propose_reset, reset_from_host

    if by is None:
        _from_host(lambda connection: reset_from_host(connection, name, now()), name)
        return
    with acting("admin", by=by) as (_, database, who), database.begin() as connection:
        made, half = propose_reset(connection, name, by=who)
    say_proposed(made, half)


@operator_app.command("enrol")
def enrol(name: _Name) -> None:
    """Come in with the one-time secret: choose a password, and set up the second factor."""
    from api.identity import keys_of
    from partners.errors import PeopleError
    from partners.people.operators import begin_enrolment, finish_enrolment

    secret = typer.prompt("one-time secret, both halves as aaaa-bbbb", hide_input=True)
    password = typer.prompt("new password", hide_input=True, confirmation_prompt=True)
    try:
        with opened() as (settings, database):
            keys, at = keys_of(settings), now()
            uri = begin_enrolment(database, keys, name=name, secret=secret, password=password, now=at)
            typer.echo("give this to your authenticator; it is not shown again:")
            typer.echo(uri)
            code = typer.prompt("the code it shows")
            finish_enrolment(database, keys, name=name, secret=secret, code=code, now=now())
    except PeopleError as error:
        raise _refused(error) from error
    typer.echo(f"{name} is enrolled: tessera login {name}, with the next code")


@operator_app.command("password")
def password(*, by: By = None) -> None:
    """Set another password; your other sessions end."""
    from api.identity import identify, keys_of
    from partners.errors import PeopleError
    from partners.people.operators import change_password

    try:
        with opened() as (settings, database):
            who = identify(settings, database, by)
            old = typer.prompt("password", hide_input=True)
            new = typer.prompt("new password", hide_input=True, confirmation_prompt=True)
            code = typer.prompt("code of your authenticator")
            change_password(database, keys_of(settings), who, old=old, new=new, code=code, now=now())
    except PeopleError as error:
        raise _refused(error) from error
    typer.echo(f"the password of {who.operator_id} is changed")


@operator_app.command("role")
def role_of(
    name: _Name, *, role: Annotated[str, typer.Option(help="What it may from then on.")], by: By = None
) -> None:
    """Propose another role."""
    from partners.people.operators import propose_role

    with acting("admin", by=by) as (_, database, who), database.begin() as connection:
        made = propose_role(connection, name, _role(role), by=who)
    say_proposed(made)


@operator_app.command("enable")
def enable(name: _Name, *, by: By = None) -> None:
    """Propose to let a disabled operator come back, by enrolling anew."""
    from partners.people.operators import propose_enable

    with acting("admin", by=by) as (_, database, who), database.begin() as connection:
        made, half = propose_enable(connection, name, by=who)
    say_proposed(made, half)


@operator_app.command("disable")
def disable(name: _Name, *, by: By = None) -> None:
    """Take all rights from an operator, at once; one admin is enough."""
    from partners.people import operators

    with acting("admin", by=by) as (_, database, who), database.begin() as connection:
        operators.disable(connection, name, by=who, now=now())
    typer.echo(f"{name} is disabled, and its sessions have ended")


@operator_app.command("list")
def list_operators() -> None:
    """Who there is, in which role."""
    from partners.people.operators import operators

    with opened(reader_role) as (_, database), database.connect() as connection:
        found = operators(connection)
    for one in found:
        typer.echo(
            f"{one.operator_id:<32} {one.role:<8} {one.status:<9} by {one.added_by}, {one.added_at:%Y-%m-%d}"
        )
    typer.echo(f"{len(found)} operators")


@operator_app.command("token")
def token(*, by: By = None) -> None:
    """Print a fresh access token, for TESSERA_OPERATOR_TOKEN or an HTTP client: ten minutes."""
    from api.identity import access_token
    from partners.errors import PeopleError

    try:
        with opened() as (settings, database):
            typer.echo(access_token(settings, database, by))
    except PeopleError as error:
        raise _refused(error) from error


def _from_host(make: Any, name: str) -> None:
    from partners.errors import NotAllowed, PeopleError

    try:
        with opened() as (_, database), database.begin() as connection:
            secret = make(connection)
    except NotAllowed as error:
        typer.echo(f"tessera: {error}; sign in as an admin and give --by", err=True)
        raise typer.Exit(BAD_INPUT) from error
    except PeopleError as error:
        raise _refused(error) from error
    typer.echo(f"one-time secret of {name}, good for two days: {secret}")
    typer.echo(f"  {name} enrols with it: tessera operator enrol {name}")


def _refused(error: Exception) -> typer.Exit:
    typer.echo(f"tessera: {error}", err=True)
    return typer.Exit(BAD_INPUT)


def _role(given: str) -> Role:
    from partners.people.model import ROLES

    for role in ROLES:
        if role == given:
            return role
    raise typer.BadParameter(f"{given!r} is no role: {', '.join(ROLES)}", param_hint="--role")
