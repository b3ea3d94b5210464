"""`tessera programme` and `tessera explain`: a scheme's file checked, compared, tried, applied; and why."""

from pathlib import Path
from typing import Annotated

import typer

from api.cli_desk import By
from api.composition import BAD_INPUT, day_of, opened
from api.identity import acting
from api.progress import progress_bar
from config.roles import reader_role

programme_app = typer.Typer(
    no_args_is_help=True,
    help="""The programme: a scheme's rules as a file. One proposes a new one, another approves it, and it
    judges from a day on. docs/programmes.md explains every field; config/programmes/ has examples.
    """,
    epilog="Example: tessera programme apply summer.toml --on 2017-06-01",
)
_File = Annotated[Path, typer.Argument(metavar="FILE", help="A programme, TOML.", dir_okay=False)]


def add_programmes(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.add_typer(programme_app, name="programme")
    app.command("explain")(explain)


@programme_app.command("check")
def check(
    file: _File,
    *,
    alone: Annotated[bool, typer.Option("--alone", help="Without a network's partners and outlets.")] = False,
) -> None:
    """Check a file: every fault with its line and field, and what was expected; exit status 2."""
    from network.errors import ProgrammeInvalid
    from network.programmes import checked

    source = _text(file)
    try:
        if alone:
            spec = checked(None, source, str(file))
        else:
            with opened(reader_role) as (_, database), database.connect() as connection:
                spec = checked(connection, source, str(file))
    except ProgrammeInvalid as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(BAD_INPUT) from error
    counted = [(len(spec.rule), "rules"), (len(spec.counter), "counters"), (len(spec.tier), "tiers")]
    typer.echo(f"{file}: {spec.name} is well: " + ", ".join(f"{many} {what}" for many, what in counted))


@programme_app.command("diff")
def diff(file: _File) -> None:
    """Say in plain words what a file would change; exit status 0 also where nothing changes."""
    from network.errors import ProgrammeInvalid
    from network.programme.spec import read_programme
    from network.programme.telling import differences
    from network.programmes import checked, live_source

    try:
        with opened(reader_role) as (_, database), database.connect() as connection:
            after = checked(connection, _text(file), str(file))
            said = differences(read_programme(live_source(connection)), after)
    except ProgrammeInvalid as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(BAD_INPUT) from error
    for sentence in said or ["Nothing changes."]:
        typer.echo(sentence)


@programme_app.command("simulate")
def simulate(
    file: _File,
    *,
    first: Annotated[str, typer.Option("--from", help="The first business date, as 2017-01-01.")],
    last: Annotated[str, typer.Option("--to", help="The last business date.")],
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("build/simulation.html"),
) -> None:
    """Replay recorded sales under a file: points, cost per partner, members who gain and lose, tiers."""
    from network.errors import ProgrammeInvalid
    from network.programme.compiled import compile_programme
    from network.programmes import checked
    from network.service import load_rules
    from network.trials import count_sales
    from network.trials import simulate as try_out
    from settlement.reports.trial import summary, write_trial

    try:
        with opened(reader_role) as (_, database), database.connect() as connection:
            spec = checked(connection, _text(file), str(file))
            rules = load_rules(connection)
            codes = {one.code: number for number, one in rules.directory.participants.items()}
            days = (day_of(first, "--from"), day_of(last, "--to"))
            with progress_bar("replaying", count_sales(connection, *days), "sales") as replayed:
                trial = try_out(connection, rules, compile_programme(spec, 0, codes), *days, replayed)
            directory = rules.directory
    except ProgrammeInvalid as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(BAD_INPUT) from error
    for line in summary(trial, directory):
        typer.echo(line)
    typer.echo(f"with pictures: {write_trial(trial, directory, spec.name, out)}")


@programme_app.command("apply")
def apply(
    file: _File,
    *,
    on: Annotated[str, typer.Option("--on", help="The first day on which it judges, as 2017-06-01.")],
    by: By = None,
) -> None:
    """Propose a file for a day; another approves exactly this text, and it judges from that day on."""
    from network.errors import ProgrammeInvalid
    from network.programmes import propose

    try:
        with acting("maker", by=by) as (_, database, who), database.begin() as connection:
            made = propose(connection, _text(file), effective_on=day_of(on, "--on"), by=who)
    except ProgrammeInvalid as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(BAD_INPUT) from error
    typer.echo(f"proposed; another approves it: tessera proposal approve {made.proposal_id} \\")
    typer.echo(f"  --sha256 {made.sha256.hex()}")


@programme_app.command("history")
def history() -> None:
    """Every version, in the order in which they take effect; the live one is marked."""
    from network.programmes import history as read_history

    with opened(reader_role) as (_, database), database.connect() as connection:
        for one in read_history(connection):
            mark = "*" if one.live else " "
            typer.echo(
                f"{mark} {one.programme_version:>3}  from {one.effective_on}  {one.name:<20}"
                f" applied {one.applied_at:%Y-%m-%d %H:%M} by {one.applied_by}"
            )


def explain(entry: Annotated[str, typer.Argument(help="An entry's id, ent_...")]) -> None:
    """Why an entry is as it is: which rules gave, which did not and why, and who pays."""
    from network import ids
    from network.award_store import occasion_of
    from network.explaining import explain as explained
    from network.service import load_rules
    from network.store import load_entries

    entry_id = ids.read("ent", entry)
    with opened(reader_role) as (_, database), database.connect() as connection:
        recorded = None if entry_id is None else load_entries(connection, [entry_id]).get(entry_id)
        if recorded is None:
            typer.echo(f"tessera explain: there is no entry {entry}", err=True)
            raise typer.Exit(BAD_INPUT)
        found = explained(recorded, load_rules(connection), occasion_of(connection, recorded.entry.entry_id))
    typer.echo(f"{found.kind} of {recorded.entry.occurred_at:%Y-%m-%d %H:%M}: {found.points:+} points")
    for sentence in found.says:
        typer.echo(f"  {sentence}")


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{file}: {error}", param_hint="FILE") from error
