"""The command `tessera`. Each command is a composition root: it reads settings and clocks.

Commands import what they need when they run, so that `--help` is quick and the demo's extra stays optional.
"""

import logging
import sys
from contextlib import ExitStack
from enum import StrEnum
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from sqlalchemy.exc import SQLAlchemyError

from api import cli_bank_files, cli_net
from api.cli_abuse import abuse_app
from api.cli_adjust import adjust_app, tier_app
from api.cli_bank import bank_app
from api.cli_cause import add_causes
from api.cli_contract import add_contracts
from api.cli_default import default_app, exit_app
from api.cli_desk import add_desk
from api.cli_dispute import dispute_app
from api.cli_draw import draw_app
from api.cli_exposure import exposure_app
from api.cli_game import game_app
from api.cli_money import calendar_app, correction_app
from api.cli_night import night_app
from api.cli_paper import add_paper
from api.cli_people import add_people
from api.cli_programme import add_programmes
from api.cli_report import reconcile, report_app
from api.cli_segment import segment_app
from api.cli_survey import add_surveys
from api.cli_webhooks import webhooks
from api.composition import BAD_INPUT, FAILED, day_of, now, opened, owned, sandbox
from config.database import migrate as migrate_database
from config.errors import ConfigError, KeyFileError
from config.roles import application_role, reader_role
from config.settings import Settings, load_settings
from network.errors import NetworkError
from partners.errors import PartnersError
from settlement.errors import SettlementError

if TYPE_CHECKING:
    from api.mail import SendMail
    from settlement.seal import Signer

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Tessera: a coalition loyalty network. One card, many merchants, a night that settles to the cent.",
    epilog="The database is the embedded PostgreSQL, or the one that TESSERA_DATABASE_URL names.",
)
export = typer.Typer(no_args_is_help=True, help="Write what outsiders check.")
app.add_typer(export, name="export")
proof_app = typer.Typer(no_args_is_help=True, help="Proofs that entries are under their windows' seals.")
app.add_typer(proof_app, name="proof")
app.add_typer(adjust_app, name="adjust")
app.add_typer(abuse_app, name="abuse")
cli_bank_files.add_to(bank_app)
app.add_typer(bank_app, name="bank")
app.add_typer(tier_app, name="tier")
app.add_typer(default_app, name="default")
app.add_typer(exit_app, name="exit")
app.add_typer(dispute_app, name="dispute")
app.add_typer(correction_app, name="correction")
app.add_typer(calendar_app, name="calendar")
app.add_typer(exposure_app, name="exposure")
app.command("net", help=cli_net.HELP, epilog=cli_net.EPILOG)(cli_net.net)
add_people(app)
add_desk(app)
add_contracts(app)
add_programmes(app)
app.add_typer(segment_app, name="segment")
app.add_typer(draw_app, name="draw")
app.add_typer(game_app, name="game")
add_paper(app)
app.add_typer(night_app, name="night")
app.add_typer(report_app, name="report")
app.command("reconcile")(reconcile)
app.command("webhooks")(webhooks)
add_surveys(app)
add_causes(app)


class JournalFormat(StrEnum):
    """Tools that read plain-text accounting."""

    BEANCOUNT = "beancount"
    HLEDGER = "hledger"


def main() -> None:
    """Run the command line; errors we know are one line, not a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a terminal without some letter is shown its number
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except (ConfigError, NetworkError, PartnersError, SettlementError, SQLAlchemyError) as error:
        Console(stderr=True).print(f"tessera: {error}", style="red", markup=False, highlight=False)
        sys.exit(FAILED)


def _signer(settings: Settings) -> "Signer | None":
    """The network's key; None where no file of it is named."""
    from config.network_key import load_network_key
    from settlement.seal import Signer

    return None if settings.network_key is None else Signer(load_network_key(settings.network_key))


def _signer_or_none(settings: Settings) -> "Signer | None":
    """The network's key for who must go on without it."""
    try:
        return _signer(settings)
    except ConfigError as error:
        logging.getLogger(__name__).error("nothing is sealed: %s", error)  # noqa: TRY400  # it says all
        return None


def _mail_of(settings: Settings) -> "SendMail":
    """How mails to members leave."""
    from api.mail import by_smtp, to_file

    if settings.mail is None:
        return to_file(settings.mail_file)
    return by_smtp(settings.mail.get_secret_value(), settings.mail_from)


@app.command()
def serve() -> None:
    """Serve the partner API on TESSERA_HOST:TESSERA_PORT (127.0.0.1:8080)."""
    import uvicorn

    from api.app import create_app
    from api.bounded import BoundedProtocol
    from api.draining import DrainingServer
    from api.garbage import collect_rarely
    from api.lanes.process import in_processes
    from api.limits import Rate, Rates
    from api.switched import tracing_of
    from config.operator_key import load_or_make_operator_key
    from config.webhook_key import load_or_make_webhook_key
    from network.service import make_partitions_ahead
    from partners.hooks.signing import HookKey
    from partners.people.tokens import OperatorKeys, members_keys

    with ExitStack() as stack:
        settings, database = stack.enter_context(opened(migrated=True))
        make_partitions_ahead(database)
        authority = settings.authority or f"{settings.host}:{settings.port}"
        keys = OperatorKeys.of(load_or_make_operator_key(settings.operator_key_file))
        hook_key = HookKey.of(load_or_make_webhook_key(settings.webhook_key_file))
        tracing = stack.enter_context(tracing_of(settings.traces, "door"))
        beside = None
        if settings.test_authority is not None:
            apart = stack.enter_context(sandbox(settings, database))
            beside = create_app(
                apart,
                authority=settings.test_authority,
                now=now,
                hook_key=hook_key,
                hook_loopback=settings.webhook_loopback,
                test_mode=True,
                card_key=members_keys(keys).secrets,
            )
        served = create_app(
            database,
            authority=authority,
            beside=beside,
            now=now,
            operator_keys=keys,
            hook_key=hook_key,
            hook_loopback=settings.webhook_loopback,
            hire=in_processes(
                database,
                settings,
                application_role(settings.database_schema),
                members_keys(keys).secrets,
            ),
            send_mail=_mail_of(settings),
            rates=Rates(keys=Rate(settings.key_rate, int(2 * settings.key_rate) or 1)),
            spool=settings.spool_folder,
            log_requests=settings.log_requests,
            around=None if tracing is None else tracing.door,
        )
        config = uvicorn.Config(
            served,
            host=settings.host,
            port=settings.port,
            loop="api.accepting:make_loop",
            http=BoundedProtocol,
            ws="none",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            log_level=settings.log_level,
            timeout_graceful_shutdown=10,
        )
        server = DrainingServer(config, drain=served.service.drain, drain_seconds=settings.drain_seconds)
        collect_rarely()
        server.run()
        if not server.started:
            raise typer.Exit(FAILED)


@app.command()
def quickstart(
    *,
    public_key: Annotated[
        str, typer.Option(help="What `tessera-partner keys public` prints: 32 bytes in base64.")
    ],
    key_id: Annotated[str, typer.Option("--id", help="The key's id.")],
    partner: Annotated[str, typer.Option(help="Whose key it is.")] = "supermarket",
) -> None:
    """Set up a small network to try the partner API with, and a first key; never beside a real network."""
    from base64 import b64decode
    from binascii import Error as NotBase64

    from api.quickstart import OUTLET, NoSuchPartner, set_up

    try:
        raw = b64decode(public_key, validate=True)
    except (NotBase64, ValueError):
        raise typer.BadParameter("that is not base64", param_hint="--public-key") from None
    with opened(migrated=True) as (_, database):
        try:
            founded = set_up(database, partner=partner, key_id=key_id, public_key=raw, now=now())
        except NoSuchPartner as error:
            typer.echo(f"tessera: {error}", err=True)
            raise typer.Exit(BAD_INPUT) from error
    typer.echo("a small network is set up" if founded else "the small network is there")
    typer.echo(f"{key_id} signs for {partner}, whose outlet is {OUTLET}; amounts are in USD")
    typer.echo("now: tessera serve")


@app.command()
def worker() -> None:
    """Clear every night at the network's cut-off, missed nights in order; deliver webhooks."""
    from api.hooks.dispatch import Dispatcher
    from api.nightly import folder_of
    from api.worker import run_worker
    from api.worker_metrics import WorkerMetrics
    from config.webhook_key import load_or_make_webhook_key
    from partners.hooks.signing import HookKey
    from settlement.bank.resolving import objections

    metrics = WorkerMetrics()
    with ExitStack() as stack:
        settings, database = stack.enter_context(opened(migrated=True))
        stack.enter_context(metrics.served(settings.worker_metrics_port))
        if settings.network_key is None:
            logging.getLogger(__name__).warning("TESSERA_NETWORK_KEY is not set: nights will not be sealed")
        networks = [database]
        if settings.test_authority is not None:
            networks.append(stack.enter_context(sandbox(settings, database)))
        hook_key = HookKey.of(load_or_make_webhook_key(settings.webhook_key_file))
        run_worker(
            database,
            folder_of(database, settings.statements_folder),
            find_signer=lambda: _signer_or_none(settings),
            objections=objections,
            dispatchers=[
                Dispatcher(
                    each,
                    hook_key,
                    now=now,
                    loopback=settings.webhook_loopback,
                    observe=metrics.attempted,
                )
                for each in networks
            ],
            metrics=metrics,
        )


@app.command()
def migrate() -> None:
    """Bring the database's schema to the newest revision."""
    with owned() as (_, database):
        migrate_database(database)
    typer.echo("the schema is at its newest revision")


@app.command()
def demo(
    *,
    year: Annotated[bool, typer.Option("--year", help="The whole year and its 366 nights.")] = False,
    out: Annotated[Path, typer.Option(help="Folder for the report and the statements.")] = Path("build/demo"),
) -> None:
    """Replay real purchases at eleven partners, settle every night, and draw a report."""
    from api.demo.run import run_demo

    raise typer.Exit(run_demo(load_settings(), year=year, out=out))


@app.command()
def clear(
    *,
    on: Annotated[str, typer.Option("--date", help="The business date, as 2017-05-31.")],
) -> None:
    """Clear one business date and write its statements; doing it again changes nothing."""
    from api.nightly import folder_of, write_night
    from network.service import live_programme_version, network_now
    from settlement.money import from_minor
    from settlement.sealing import seal_due
    from settlement.service import clear as clear_date

    business_date = day_of(on, "--date")
    with opened() as (settings, database):
        with database.connect() as connection:
            at = network_now(connection)
            version = live_programme_version(connection)
        night = clear_date(database, business_date, at=at, programme_version=version)
        signer = _signer_or_none(settings)
        if signer is not None:
            seal_due(database, signer, at)
        statements = folder_of(database, settings.statements_folder)
        folder = write_night(database, night.window_id, statements)
    paid = from_minor(night.payment_minor, night.minor_digits)
    typer.echo(
        f"{night.business_date} is settled: {night.currency} {paid} is paid in and out"
        f" (gross {night.gross}, bilateral {night.bilateral}, multilateral {night.multilateral})"
    )
    for step, sha256 in night.hashes.items():
        typer.echo(f"  {step:<8} {sha256.hex()}")
    typer.echo(f"statements and the operator's report: {folder}")


@app.command()
def keys() -> None:
    """Make the network's key in the file that TESSERA_NETWORK_KEY names, or show the one that is there."""
    from api.proofs import print_key
    from config.network_key import load_or_make_network_key
    from settlement.seal import Signer

    path = load_settings().network_key
    if path is None:
        raise KeyFileError("name the network key's file: TESSERA_NETWORK_KEY=/a/folder/of/yours/network.pem")
    made = not path.expanduser().exists()
    print_key(Signer(load_or_make_network_key(path)), path, made=made, console=Console())


@app.command("test-key")
def test_key(
    *,
    partner: Annotated[str, typer.Option(help="The partner's code.")],
    key_id: Annotated[str, typer.Option("--id", help="The key's id; it begins with test_.")],
    public_key: Annotated[str, typer.Option(help="The raw public key, 32 bytes in base64.")],
) -> None:
    """Register a partner's first key of the test mode; one person is enough, for nothing there is money."""
    from base64 import b64decode
    from binascii import Error as NotBase64

    from partners.keys import is_of_test_mode
    from partners.model import PartnerKey
    from partners.service import partner_of
    from partners.store import add_key

    try:
        raw = b64decode(public_key, validate=True)
    except (NotBase64, ValueError):
        raise typer.BadParameter("that is not base64", param_hint="--public-key") from None
    if not is_of_test_mode(key_id):
        raise typer.BadParameter("ids of test keys begin with test_", param_hint="--id")
    with (
        opened(migrated=True) as (settings, live),
        sandbox(settings, live) as test,
        test.begin() as connection,
    ):
        of = partner_of(connection, partner)
        add_key(
            connection,
            PartnerKey(key_id=key_id, partner_id=of.partner_id, public_key=raw, not_before=now()),
        )
    typer.echo(f"{key_id} signs for {partner} in the test mode")


@app.command()
def seal() -> None:
    """Seal every settled window that has no seal yet, in order; doing it again changes nothing."""
    from api.proofs import print_seals
    from network.service import network_now
    from settlement.sealing import seal_due

    with opened() as (settings, database):
        signer = _signer(settings)
        if signer is None:
            raise KeyFileError(
                "there is no key to seal with: set TESSERA_NETWORK_KEY; `tessera keys` makes one"
            )
        with database.connect() as connection:
            at = network_now(connection)
        print_seals(seal_due(database, signer, at), Console())


@proof_app.command("show")
def proof_show(
    entry: Annotated[str, typer.Argument(help="An entry's id, ent_...")],
    *,
    out: Annotated[Path | None, typer.Option(help="The file to write; otherwise it is printed.")] = None,
) -> None:
    """Write the proof that an entry's postings are under their window's seal."""
    from api.proofs import UnknownEntry, UnusableFile, write_proof

    try:
        with opened(reader_role) as (_, database):
            content = write_proof(database, entry, out)
    except (UnknownEntry, UnusableFile) as error:
        typer.echo(f"tessera proof: {error}", err=True)
        raise typer.Exit(BAD_INPUT) from error
    typer.echo(content, nl=False) if out is None else typer.echo(f"proof: {out}")


@proof_app.command("check")
def proof_check(
    file: Annotated[Path, typer.Argument(help="A proof, from the API or `tessera proof show`.")],
    *,
    key: Annotated[Path | None, typer.Option(help="The network's public key, PEM.")] = None,
) -> None:
    """Check a proof without any database; exit status 1 says that it does not hold, and the text why."""
    from api.proofs import UnusableFile, check_file

    try:
        holds = check_file(file, key, Console())
    except UnusableFile as error:
        typer.echo(f"tessera proof: {error}", err=True)
        raise typer.Exit(BAD_INPUT) from error
    raise typer.Exit(0 if holds else FAILED)


@app.command()
def verify() -> None:
    """Check every law of the ledger and of the nights; exit status 1 if one is broken."""
    from api.verification import verify_ledger

    with opened(reader_role) as (_, database):
        problems = verify_ledger(database, Console())
    raise typer.Exit(FAILED if problems else 0)


@export.command("journal")
def export_journal(
    *,
    form: Annotated[JournalFormat, typer.Option("--format", help="Which tool is to read it.")],
    window: Annotated[str | None, typer.Option(help="One business date, as 2017-05-31.")] = None,
    first: Annotated[str | None, typer.Option("--from", help="The first business date.")] = None,
    last: Annotated[str | None, typer.Option("--to", help="The last business date.")] = None,
    out: Annotated[Path, typer.Option(help="A file; - is standard output.")] = Path("-"),
) -> None:
    """Write the ledger as plain-text accounting: the whole of it, or some business dates."""
    from api.export import write_journal

    if window and (first or last):
        raise typer.BadParameter("give one date, or --from and --to", param_hint="--window")
    if window:
        first = last = window
    begins = None if first is None else day_of(first, "--from")
    ends = None if last is None else day_of(last, "--to")
    try:
        with opened(reader_role) as (_, database):
            write_journal(database, form.value, begins, ends, out=out, console=Console(stderr=True))
    except BrokenPipeError:
        raise  # the reader had enough, as `head` has
    except OSError as error:
        typer.echo(f"tessera export journal: cannot write {out}: {error.strerror}", err=True)
        raise typer.Exit(FAILED) from error


if __name__ == "__main__":
    main()
