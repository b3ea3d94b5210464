"""`tessera night`: how far nights are, and what people do to them after they are netted."""

from datetime import date
from typing import Annotated

import typer

from api.cli_desk import By
from api.composition import day_of, opened
from api.identity import acting
from config.roles import reader_role

night_app = typer.Typer(
    no_args_is_help=True,
    help="""Nights after they are netted.

    A maker proposes one, a checker approves exactly what was proposed, a maker instructs the payments; once
    the bank has booked them it is settled. Before it is instructed it can be reopened, and is approved anew.
    """,
    epilog="Example: tessera night propose 2017-05-31",
)
_On = Annotated[str, typer.Argument(metavar="DATE", help="The business date, as 2017-05-31.")]
_MaybeOn = Annotated[
    str | None, typer.Argument(metavar="[DATE]", help="The business date, as 2017-05-31; or --through.")
]
_Through = Annotated[
    str | None, typer.Option("--through", metavar="DATE", help="All nights up to that date, as one.")
]
_Reason = Annotated[str, typer.Option("--reason", help="Why; it stays on the record.")]


@night_app.command("list")
def list_nights(*, last: Annotated[int, typer.Option(min=1, max=1_000, help="How many.")] = 31) -> None:
    """The last nights, and how far each is."""
    from api.operator.nights import read_nights

    with opened(reader_role) as (_, database), database.connect() as connection:
        found = read_nights(connection, limit=last)
    for night in reversed(found):
        revision = "" if (night.revision or 1) == 1 else f", revision {night.revision}"
        typer.echo(f"{night.business_date}  {night.state}{revision}")


@night_app.command("show")
def show(on: _On) -> None:
    """A night: the hash of each step, who approved it, what is paid and what is not."""
    from network.service import window_id_of
    from partners.service import participants
    from settlement import payment_store, store
    from settlement.payments import due_of

    window_id = window_id_of(day_of(on, "DATE"))
    with opened(reader_role) as (_, database), database.connect() as connection:
        run = store.live_run(connection, window_id)
        hashes = store.load_hashes(connection, [window_id]).get(window_id, {})
        approvals = payment_store.load_approvals(connection, run)
        booked = due_of(connection, window_id)
        codes = {one.partner_id: one.code for one in participants(connection)}
    typer.echo(f"{on}  {run.state}, revision {run.revision}")
    for step, sha256 in hashes.items():
        typer.echo(f"  {step:<10} {sha256.hex()}")
    for one in approvals:
        word = "waits" if one.approved is None else "approved" if one.approved else "refused"
        decided = "" if one.decided_by is None else f" by {one.decided_by} {one.reason}".rstrip()
        typer.echo(f"  proposed by {one.proposed_by}: {word}{decided}  {one.sha256.hex()}")
    for payment in booked:
        who = codes.get(payment.participant_id, str(payment.participant_id))
        typer.echo(
            f"  {payment.end_to_end_id}  {payment.direction:<3} {who:<20} {payment.currency}"
            f" due {payment.due_minor}, booked {payment.booked_minor}"
        )


@night_app.command("propose")
def propose(on: _MaybeOn = None, *, through: _Through = None, by: By = None) -> None:
    """Propose a netted night for approval; or all up to a date, to be approved as one."""
    from network.service import date_of_window, network_now
    from settlement.runs import propose_run, propose_through

    named = _one_of(on, through)
    with acting("maker", by=by) as (_, database, who):
        with database.connect() as connection:
            at = network_now(connection)
        if through is not None:
            all_made = propose_through(database, named, by=who, at=at)
            for one in all_made.proposals:
                typer.echo(
                    f"{date_of_window(one.window_id)}  {one.sha256.hex()}, proposed by {one.proposed_by}"
                )
            typer.echo(f"{len(all_made.proposals)} nights wait; look at them, then a checker approves them:")
            typer.echo(f"  tessera night approve --through {through} --sha256 {all_made.sha256.hex()}")
            return
        made = propose_run(database, named, by=who, at=at)
    typer.echo(f"{on} is proposed; look at it, then a checker approves it:")
    typer.echo(f"  tessera night approve {on} --sha256 {made.sha256.hex()}")


@night_app.command("approve")
def approve(
    on: _MaybeOn = None,
    *,
    sha256: Annotated[str, typer.Option(help="The hash of what you have looked at.")],
    through: _Through = None,
    by: By = None,
) -> None:
    """Approve exactly what was proposed and is there; or all that wait up to a date, all of them or none."""
    from network.service import date_of_window, network_now
    from settlement.runs import approve_run, approve_through

    named = _one_of(on, through)
    try:
        seen = bytes.fromhex(sha256)
    except ValueError:
        raise typer.BadParameter("64 hexadecimal digits", param_hint="--sha256") from None
    with acting("checker", by=by) as (_, database, who):
        with database.connect() as connection:
            at = network_now(connection)
        if through is not None:
            for one in approve_through(database, named, sha256=seen, by=who, at=at):
                typer.echo(f"{date_of_window(one.window_id)} is approved")
            typer.echo(f"then: tessera night instruct --through {through}")
            return
        approve_run(database, named, sha256=seen, by=who, at=at)
    typer.echo(f"{on} is approved: tessera night instruct {on}")


@night_app.command("refuse")
def refuse(on: _On, *, reason: _Reason, by: By = None) -> None:
    """Refuse it; it can be proposed again."""
    from network.service import network_now
    from settlement.runs import refuse_run

    with acting("checker", by=by) as (_, database, who):
        with database.connect() as connection:
            at = network_now(connection)
        refuse_run(database, day_of(on, "DATE"), reason=reason, by=who, at=at)
    typer.echo(f"{on} is refused")


@night_app.command("instruct")
def instruct(on: _MaybeOn = None, *, through: _Through = None, by: By = None) -> None:
    """Turn an approved night into payments, or all up to a date; after this nothing of it is rewritten."""
    from network.service import network_now
    from settlement import runs

    named = _one_of(on, through)
    with acting("maker", by=by) as (_, database, who):
        with database.connect() as connection:
            at = network_now(connection)
        if through is None:
            made = {named: runs.instruct(database, named, by=who, at=at)}
        else:
            made = runs.instruct_through(database, named, by=who, at=at)
    for night, instructions in made.items():
        for one in instructions:
            typer.echo(
                f"{one.end_to_end_id}  {one.direction:<3} {one.currency} {one.amount_minor}  {one.value_on}"
            )
        typer.echo(f"{night} is instructed: {len(instructions)} payments")
    if not made:
        typer.echo(f"no approved night up to {through} waits to be instructed")


@night_app.command("reopen")
def reopen(on: _On, *, reason: _Reason, by: By = None) -> None:
    """Abort a netted or approved night and the later ones that stand on it; each is approved anew."""
    from network.service import date_of_window, network_now
    from settlement import runs

    with acting("maker", by=by) as (_, database, who):
        with database.connect() as connection:
            at = network_now(connection)
        begun = runs.reopen(database, day_of(on, "DATE"), reason=reason, by=who, at=at)
    for run in begun:
        typer.echo(f"{date_of_window(run.window_id)} begins again as revision {run.revision}")


@night_app.command("advance")
def advance(on: _On, *, by: By = None) -> None:
    """Take an instructed night as far as what is booked allows; the worker does so by itself."""
    from network.service import network_now
    from settlement import runs
    from settlement.bank.resolving import objections

    with acting("maker", "checker", by=by) as (_, database, _who):
        with database.connect() as connection:
            at = network_now(connection)
        state = runs.advance(database, day_of(on, "DATE"), at=at, objections=objections)
    typer.echo(f"{on} is {state}")


def _one_of(on: str | None, through: str | None) -> date:
    """The date that is named: one night, or through when."""
    if (on is None) == (through is None):
        raise typer.BadParameter("name a business date, or --through one", param_hint="DATE")
    return day_of(on or through or "", "DATE")
