"""`tessera adjust` and `tessera tier`: what the operator's people do by hand, each in their own session."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from api.composition import BAD_INPUT, FAILED, opened
from api.identity import acting
from config.roles import reader_role

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from network.adjustments import Standing
    from network.rules import Rules
    from partners.people.model import Role

adjust_app = typer.Typer(
    no_args_is_help=True,
    help="""Give points to a member, or take some back: with a reason, evidence, and somebody who funds it.

    One person prepares an adjustment. Up to the programme's limit (adjustments.four_eyes_above) it is carried
    out at once; above it another person must approve it. The points are the named partner's: its contract
    prices them, and the night clears them as if it had issued them.
    """,
    epilog="Example: tessera adjust prepare --card 6330001234567895 --points 500 --issuer grocer"
    " --reason 'till 7 was down' --evidence 'ticket 4711'",
)
tier_app = typer.Typer(no_args_is_help=True, help="Tiers of the programme, and who is in them.")

_Card = Annotated[str, typer.Option("--card", help="A card of the member, 16 digits.")]
_By = Annotated[
    str | None, typer.Option("--by", help="Whose session, where several operators have signed in here.")
]
_Id = Annotated[
    str, typer.Argument(metavar="ID", help="The adjustment, adj_..., as `prepare` and `list` show it.")
]
_MOST = 10**12


@adjust_app.command("prepare")
def prepare(
    *,
    card: _Card,
    points: Annotated[
        int, typer.Option(min=-_MOST, max=_MOST, help="To give, 500; to take back, -500.", metavar="±N")
    ],
    issuer: Annotated[
        str, typer.Option(help="The partner that funds them, or whose points are taken back, by its code.")
    ],
    reason: Annotated[str, typer.Option(help="Why.")],
    evidence: Annotated[str, typer.Option(help="What shows it: a receipt, a letter, a ticket.")],
    by: _By = None,
) -> None:
    """Propose an adjustment; a small one is carried out at once.

    Exit status 1 says that the rules refused it, and the text why.
    """
    from network import adjustments

    with _acting("maker", by) as (database, rules, who):
        standing = adjustments.prepare(
            database,
            rules,
            card_number=_card(card),
            points=points,
            issuer=issuer,
            reason=reason,
            evidence=evidence,
            by=who,
        )
    _report(standing)


@adjust_app.command("approve")
def approve(adjustment: _Id, *, by: _By = None) -> None:
    """Approve an adjustment that another has prepared; it is carried out at once."""
    _decide(adjustment, by, approve=True)


@adjust_app.command("reject")
def reject(adjustment: _Id, *, by: _By = None) -> None:
    """Reject an adjustment; a maker withdraws its own."""
    _decide(adjustment, by, approve=False)


@adjust_app.command("list")
def list_adjustments(
    *,
    undecided: Annotated[
        bool, typer.Option("--open", help="Only those that wait for a second person.")
    ] = False,
) -> None:
    """Show adjustments, oldest first: who prepared and who decided, why, and what came of it."""
    from network import adjustments
    from network.service import load_rules

    with opened(reader_role) as (_, database):
        with database.connect() as connection:
            codes = {
                one.partner_id: one.code for one in load_rules(connection).directory.participants.values()
            }
        found = adjustments.standings(database, undecided=undecided)
    for standing in found:
        typer.echo(_shown(standing, codes))
    typer.echo(f"{len(found)} {'wait for a second person' if undecided else 'adjustments'}")


@adjust_app.command("run")
def run() -> None:
    """Carry out what is approved and was cut off; usually nothing is left to do."""
    from network import adjustments, ids
    from network.outcomes import Rejected

    with _ledger() as (database, rules):
        done = adjustments.carry_out_due(database, rules)
    for one, reply in done:
        became = _why(reply.outcome.reason) if isinstance(reply.outcome, Rejected) else "carried out"
        typer.echo(f"{ids.show('adj', one.adjustment_id)}  {became}")
    typer.echo(f"{len(done)} were left to carry out")


@tier_app.command("set")
def set_tier(
    *,
    card: _Card,
    tier: Annotated[str, typer.Option(help="A tier of the programme; '' for none.")],
    by: _By = None,
) -> None:
    """Put a member into a tier; what it earns from now on lives by the tier's rule."""
    from network import adjustments, ids
    from network.outcomes import Rejected

    card_number = _card(card)
    with _acting("maker", by) as (database, rules, who):
        reply = adjustments.set_tier(database, rules, card_number=card_number, tier=tier, by=who)
        known = ", ".join(sorted(rules.programme.tiers)) or "none"
    if isinstance(reply.outcome, Rejected):
        hint = f"; its tiers: {known}" if reply.outcome.reason == "tier_unknown" else ""
        typer.echo(f"refused: {_why(reply.outcome.reason)}{hint}", err=True)
        raise typer.Exit(FAILED)
    entry = ids.show("ent", reply.outcome.entry_id)
    typer.echo(f"card {card} is in {f'tier {tier}' if tier else 'no tier'}: {entry}")


@contextmanager
def _ledger() -> Iterator[tuple["Engine", "Rules"]]:
    """The database with the live rules; what was given wrong ends the command with its text."""
    from network.errors import AdjustmentError
    from network.service import load_rules

    try:
        with opened() as (_, database):
            with database.connect() as connection:
                rules = load_rules(connection)
            yield database, rules
    except AdjustmentError as error:
        typer.echo(f"tessera: {error}", err=True)
        raise typer.Exit(BAD_INPUT) from error


@contextmanager
def _acting(role: "Role", by: str | None) -> Iterator[tuple["Engine", "Rules", str]]:
    """The database with the live rules, and who acts, signed in and of this role."""
    from network.errors import AdjustmentError
    from network.service import load_rules

    try:
        with acting(role, by=by) as (_, database, who):
            with database.connect() as connection:
                rules = load_rules(connection)
            yield database, rules, who
    except AdjustmentError as error:
        typer.echo(f"tessera: {error}", err=True)
        raise typer.Exit(BAD_INPUT) from error


def _decide(adjustment: str, by: str | None, *, approve: bool) -> None:
    from api.deciding import decide_adjustment
    from api.identity import identify
    from network.errors import AdjustmentError
    from network.service import load_rules
    from partners.errors import PeopleError

    adjustment_id = _id(adjustment)
    try:
        with opened() as (settings, database):
            who = identify(settings, database, by)
            with database.connect() as connection:
                rules = load_rules(connection)
            standing = decide_adjustment(database, rules, adjustment_id, who=who, approve=approve)
    except (AdjustmentError, PeopleError) as error:
        typer.echo(f"tessera: {error}", err=True)
        raise typer.Exit(BAD_INPUT) from error
    _report(standing)


def _report(standing: "Standing") -> None:
    """Say how an adjustment stands; one that was refused ends the command with status 1."""
    from network import ids

    adjustment = standing.adjustment
    name = ids.show("adj", adjustment.adjustment_id)
    if adjustment.approved is None:
        typer.echo(
            f"{name}  prepared: above {adjustment.four_eyes_above} points another person must approve it"
        )
        typer.echo(f"  tessera adjust approve {name}")
    elif not adjustment.approved:
        typer.echo(f"{name}  rejected by {adjustment.decided_by}")
    elif standing.entry_id is not None:
        entry = ids.show("ent", standing.entry_id)
        typer.echo(f"{name}  approved by {adjustment.decided_by} and carried out: {entry}")
    else:
        typer.echo(f"{name}  approved by {adjustment.decided_by}, but {_outcome(standing)}", err=True)
        raise typer.Exit(FAILED)


def _shown(standing: "Standing", codes: dict[int, str]) -> str:
    """An adjustment as a block of lines."""
    from network import ids

    one = standing.adjustment
    lines = [
        f"{ids.show('adj', one.adjustment_id)}  {_state(standing)}",
        f"  {one.points:+} points of {codes.get(one.issuer_id, one.issuer_id)}, card {one.card_number}",
        f"  reason    {one.reason}",
        f"  evidence  {one.evidence}",
        f"  prepared  by {one.prepared_by}, {one.prepared_at:%Y-%m-%d %H:%M %Z}",
    ]
    if one.decided_at is not None:
        word = "approved" if one.approved else "rejected"
        lines.append(f"  {word}  by {one.decided_by}, {one.decided_at:%Y-%m-%d %H:%M %Z}")
    return "\n".join(lines)


def _state(standing: "Standing") -> str:
    from network import ids

    if standing.adjustment.approved is None:
        return "waits for a second person"
    if not standing.adjustment.approved:
        return "rejected"
    return f"done: {ids.show('ent', standing.entry_id)}" if standing.entry_id else _outcome(standing)


def _outcome(standing: "Standing") -> str:
    """What came of an approved adjustment that made no entry."""
    if standing.refusal is None:
        return "not carried out yet: tessera adjust run"
    return f"refused: {_why(standing.refusal)}"


def _why(code: str) -> str:
    """A refusal's code and what it means."""
    from api.problems import PROBLEMS

    return f"{code} ({PROBLEMS[code][1]})"


def _card(digits: str) -> int:
    from network.identity import is_card_number

    if not (len(digits) == 16 and digits.isascii() and digits.isdigit() and is_card_number(int(digits))):
        raise typer.BadParameter(f"{digits!r} is no card number: its 16 digits", param_hint="--card")
    return int(digits)


def _id(shown: str) -> UUID:
    from network import ids

    adjustment_id = ids.read("adj", shown)
    if adjustment_id is None:
        raise typer.BadParameter(
            f"{shown!r} is no adjustment: adj_ and 32 hexadecimal digits", param_hint="ID"
        )
    return adjustment_id
