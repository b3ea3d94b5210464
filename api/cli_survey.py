"""`tessera survey` and `tessera experiment`: what members answer, and who is left out of what by lot."""

from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated

import typer

from api.composition import BAD_INPUT, day_of, opened
from api.identity import acting
from config.roles import reader_role

survey_app = typer.Typer(
    no_args_is_help=True,
    help="Surveys: would members recommend the scheme? `tessera report evaluation` shows the score.",
)
experiment_app = typer.Typer(
    no_args_is_help=True,
    help="""Experiments: some members, chosen by lot, have no part in something, to see what it changes.

    Who is left out follows from the experiment's name and the member alone. `tessera report evaluation`
    compares how members' spending changed with it and without.
    """,
)

_By = Annotated[
    str | None, typer.Option("--by", help="Whose session, where several operators have signed in here.")
]


def add_surveys(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.add_typer(survey_app, name="survey")
    app.add_typer(experiment_app, name="experiment")


@survey_app.command("import")
def import_answers(
    file: Annotated[
        Path, typer.Argument(help="CSV with the columns card, score (0 to 10), answered_on (2017-05-31).")
    ],
    *,
    survey: Annotated[str, typer.Option("--survey", help="What the survey is called.")],
    by: _By = None,
) -> None:
    """Read answers of members in; again changes nothing: who has answered keeps the first answer."""
    from network.surveys import SurveyUnfit, add_answers, read_answers

    try:
        answers = read_answers(file.read_bytes(), str(file))
        with acting("maker", "admin", by=by) as (_, database, who), database.begin() as connection:
            taken = add_answers(connection, survey, answers, by=who)
    except OSError as error:
        typer.echo(f"tessera survey: cannot read {file}: {error.strerror}", err=True)
        raise typer.Exit(BAD_INPUT) from error
    except SurveyUnfit as error:
        typer.echo(f"tessera survey: {error}", err=True)
        raise typer.Exit(BAD_INPUT) from error
    typer.echo(
        f"{taken.new} answers are new, {taken.again} were given before,"
        f" {taken.unknown} are of cards that nobody has"
    )


@experiment_app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="What it is called; who is left out follows from it.")],
    *,
    control: Annotated[str, typer.Option(help="How many members are left out, in per cent: 10, or 2.5.")],
    starts_on: Annotated[str, typer.Option("--from", help="The first day, today or later: 2017-06-01.")],
    ends_on: Annotated[str | None, typer.Option("--to", help="The last day; open without it.")] = None,
    by: _By = None,
) -> None:
    """Set an experiment up; it cannot be changed afterwards."""
    from network.experiment import Experiment
    from network.surveys import ExperimentUnfit, add_experiment

    made = Experiment(
        name=name,
        control_bps=_bps(control),
        starts_on=day_of(starts_on, "--from"),
        ends_on=None if ends_on is None else day_of(ends_on, "--to"),
    )
    try:
        with acting("maker", "admin", by=by) as (_, database, who), database.begin() as connection:
            add_experiment(connection, made, by=who)
    except ExperimentUnfit as error:
        typer.echo(f"tessera experiment: {error}", err=True)
        raise typer.Exit(BAD_INPUT) from error
    typer.echo(f"{made.name}: from {made.starts_on} on {control} % of the members are left out, by lot")


@experiment_app.command("list")
def list_experiments() -> None:
    """Show experiments, the oldest first."""
    from network.surveys import load_experiments

    with opened(reader_role) as (_, database), database.connect() as connection:
        found = load_experiments(connection)
    for one in found:
        until = "open" if one.ends_on is None else f"to {one.ends_on}"
        typer.echo(f"{one.name}  from {one.starts_on} {until}, {Decimal(one.control_bps) / 100} % left out")
    typer.echo(f"{len(found)} experiments")


def _bps(given: str) -> int:
    try:
        bps = Decimal(given.removesuffix("%").strip()) * 100
        if bps == bps.to_integral_value():
            return int(bps)
    except InvalidOperation:
        pass
    raise typer.BadParameter(f"{given!r} is no per cent; write 10, or 2.5", param_hint="--control")
