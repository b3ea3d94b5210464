"""`tessera abuse`: what the programme took for abuse, and the release of what it holds."""

from typing import Annotated

import typer

from api.composition import BAD_INPUT, FAILED, opened
from api.identity import acting
from config.roles import reader_role

abuse_app = typer.Typer(
    no_args_is_help=True,
    help="""What rules against abuse found ([[abuse]] of the programme): held, refused or flagged, and why.

    To read the list nobody has to sign in; who releases what is held, or names staff, has.
    """,
    epilog="Example: tessera abuse list --held; tessera abuse release ent_...",
)
_By = Annotated[
    str | None, typer.Option("--by", help="Whose session, where several operators have signed in here.")
]


@abuse_app.command("list")
def list_cases(
    *,
    held: Annotated[bool, typer.Option("--held", help="Only what still waits for an operator.")] = False,
    rule: Annotated[str, typer.Option("--rule", help="Only of this rule.")] = "",
) -> None:
    """Show what was found, oldest first: the rule, what became of it, and why."""
    from network import abuse_review, ids

    with opened(reader_role) as (_, database), database.connect() as connection:
        found = abuse_review.cases(connection, held=held, rule=rule, limit=10_000)
    for one in found:
        waiting = f", {one.waiting} points wait" if one.waiting else ""
        released = f", released by {one.released_by}" if one.released_by else ""
        typer.echo(
            f"{ids.show('ent', one.entry_id)}  {one.recorded_at:%Y-%m-%d %H:%M}  {one.outcome:<8}"
            f" {one.rule_id}: {one.reason}; {one.partner} {one.reference}{waiting}{released}"
        )
    typer.echo(f"{len(found)} {'wait for an operator' if held else 'cases'}")


@abuse_app.command("release")
def release(
    entry: Annotated[str, typer.Argument(help="The sale's entry, ent_..., as `list` shows it.")],
    *,
    by: _By = None,
) -> None:
    """Let go what a sale earned and a rule holds; exit status 1 where nothing is held."""
    from network import abuse_review, ids
    from network.outcomes import Rejected
    from network.service import load_rules

    entry_id = ids.read("ent", entry)
    if entry_id is None:
        typer.echo(f"tessera abuse: {entry} is no entry", err=True)
        raise typer.Exit(BAD_INPUT)
    with acting("maker", by=by) as (_, database, who):
        with database.connect() as connection:
            rules = load_rules(connection)
        reply = abuse_review.release_held(database, rules, entry_id, by=who)
    if isinstance(reply.outcome, Rejected):
        typer.echo(f"tessera abuse: {reply.outcome.reason}", err=True)
        raise typer.Exit(FAILED)
    typer.echo(f"released: {reply.outcome.points} points")


@abuse_app.command("staff")
def staff(
    *,
    card: Annotated[str, typer.Option("--card", help="A card of the member, 16 digits.")],
    partner: Annotated[str, typer.Option("--partner", help="For whom it works, by its code.")],
    left: Annotated[bool, typer.Option("--left", help="It does no more.")] = False,
    by: _By = None,
) -> None:
    """Say that a card's member works for a partner: its own till is then watched."""
    from network import abuse_review
    from network.identity import is_card_number
    from network.service import load_rules

    with acting("maker", by=by) as (_, database, who):
        with database.connect() as connection:
            partner_id = load_rules(connection).directory.by_code.get(partner)
        if partner_id is None or not (card.isdigit() and is_card_number(int(card))):
            typer.echo(f"tessera abuse: there is no partner {partner}, or that is no card", err=True)
            raise typer.Exit(BAD_INPUT)
        with database.begin() as connection:
            known = abuse_review.set_staff(connection, int(card), partner_id, on=not left, by=who)
    if not known:
        typer.echo("tessera abuse: there is no such card", err=True)
        raise typer.Exit(BAD_INPUT)
    typer.echo("noted")
