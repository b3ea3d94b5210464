"""`tessera contract`, `category`, `vat` and `fx`: what prices nights, each by two people."""

import tomllib
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from api.cli_desk import By
from api.composition import BAD_INPUT, day_of, opened
from api.identity import acting
from config.roles import reader_role

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from partners.contracts import Days
    from partners.model import Terms

contract_app = typer.Typer(
    no_args_is_help=True,
    help="""Contracts: dated versions, drafted by one, activated by another, never edited.

    A file in TOML says what is to change; the rest is as in the version before. Amounts are texts:
    reimbursement_rate = "0.0085". funding is on_redeem, on_issue, or split with a funding_share.
    docs/night.md explains every term.
    """,
    epilog="Example: tessera contract draft grocer grocer.toml --with hotel",
)
category_app = typer.Typer(no_args_is_help=True, help="Kinds of redemption that contracts may price apart.")
vat_app = typer.Typer(no_args_is_help=True, help="VAT codes, and their rates from a day on; by two.")
fx_app = typer.Typer(no_args_is_help=True, help="Exchange rates: fixings of a named source; by two.")

_Partner = Annotated[str, typer.Argument(metavar="PARTNER", help="The partner's code.")]
_Draft = Annotated[
    str, typer.Argument(metavar="ID", help="The draft, from `tessera contract list --drafts`.")
]
_With = Annotated[str | None, typer.Option("--with", help="Another partner, for an example with it.")]
_Points = Annotated[int, typer.Option(min=1, max=10**9, help="Points of the example.")]


def add_contracts(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    groups = {"contract": contract_app, "category": category_app, "vat": vat_app, "fx": fx_app}
    for name, group in groups.items():
        app.add_typer(group, name=name)


@contract_app.command("draft")
def draft(
    partner: _Partner,
    file: Annotated[Path, typer.Argument(help="The changes, in TOML.")],
    *,
    other: _With = None,
    by: By = None,
) -> None:
    """Keep a version for another person to activate, and show what it would do."""
    from network.service import network_now
    from partners import contracts
    from settlement.previews import preview_of

    with acting("maker", by=by) as (_, database, who), database.begin() as connection:
        terms = _read(connection, partner, file)
        made = contracts.draft(connection, terms, by=who, at=network_now(connection))
        shown = preview_of(connection, terms, other=other)
    typer.echo(shown)
    typer.echo(f"drafted; another activates it: tessera contract activate {made.draft_id} \\")
    typer.echo(f"  --sha256 {made.sha256.hex()}")


@contract_app.command("preview")
def preview(
    what: Annotated[str, typer.Argument(metavar="WHAT", help="A draft's id, or a partner's code.")],
    *,
    file: Annotated[Path | None, typer.Option(help="Of a partner: changes in TOML, not drafted yet.")] = None,
    other: _With = None,
    points: _Points = 10_000,
) -> None:
    """Say in plain language what a draft, a file or the last version of a contract does."""
    from partners import contracts
    from partners.drafts import read_body
    from partners.errors import PartnersError
    from partners.service import partner_of
    from settlement.previews import preview_of

    try:
        with opened(reader_role) as (_, database), database.connect() as connection:
            if file is not None:
                terms = _read(connection, what, file)
            elif "-" in what and len(what) == len(str(UUID(int=0))):
                terms = read_body(contracts.find(connection, _uuid(what)).body)
            else:
                partner_id = partner_of(connection, what).partner_id
                terms = _required(contracts.latest(connection, partner_id), what)
            shown = preview_of(connection, terms, other=other, points=points)
    except PartnersError as error:
        typer.echo(f"tessera: {error}", err=True)
        raise typer.Exit(BAD_INPUT) from error
    typer.echo(shown, nl=False)


@contract_app.command("activate")
def activate(
    draft_id: _Draft,
    *,
    sha256: Annotated[str, typer.Option(help="The hash of what you have looked at.")],
    by: By = None,
) -> None:
    """Put exactly this draft into force, from its day on."""
    from network.service import network_now, read_network
    from partners import contracts
    from settlement import exposure_rows

    with acting("checker", by=by) as (_, database, who), database.begin() as connection:
        exposure_rows.stop_tills(connection)
        terms = contracts.activate(
            connection,
            _uuid(draft_id),
            sha256=_hash(sha256),
            by=who,
            at=network_now(connection),
            days=_days(connection),
            currency=read_network(connection).currency,
        )
        exposure_rows.contracts_changed(connection)
    typer.echo(f"version {terms.terms_version} is in force from {terms.effective_on} on")


@contract_app.command("decline")
def decline(draft_id: _Draft, *, by: By = None) -> None:
    """Decline a draft, or withdraw your own."""
    from network.service import network_now
    from partners import contracts

    with acting("maker", "checker", by=by) as (_, database, who), database.begin() as connection:
        contracts.decline(connection, _uuid(draft_id), by=who, at=network_now(connection))
    typer.echo("declined")


@contract_app.command("list")
def list_contracts(
    *, drafts: Annotated[bool, typer.Option("--drafts", help="Drafts instead of versions.")] = False
) -> None:
    """Every version of every contract; or the drafts, and who decided them."""
    from partners import contracts
    from partners.service import participants
    from partners.store import load_terms

    with opened(reader_role) as (_, database), database.connect() as connection:
        codes = {one.partner_id: one.code for one in participants(connection)}
        if drafts:
            for one in contracts.drafts(connection):
                state = {None: "waits", True: "activated", False: "declined"}[one.activated]
                who = "" if one.decided_by is None else f" by {one.decided_by}"
                typer.echo(
                    f"{one.draft_id}  {codes[one.partner_id]} version {one.terms_version}, "
                    f"by {one.prepared_by}: {state}{who}  {one.sha256.hex()}"
                )
            return
        for partner_id, versions in sorted(load_terms(connection).items()):
            for terms in versions:
                typer.echo(
                    f"{codes[partner_id]:<16} {terms.terms_version:>3}  from {terms.effective_on}  "
                    f"{terms.currency}  share {terms.funding_share:f}  price {terms.issue_price:f}  "
                    f"rate {terms.reimbursement_rate:f}"
                )


@category_app.command("add")
def add_category(
    code: Annotated[str, typer.Argument(help="What tills name.")],
    name: Annotated[str, typer.Argument(help="What people read.")],
    *,
    by: By = None,
) -> None:
    """Add a category; contracts may then have a rate for it."""
    from partners import contracts

    with acting("maker", by=by) as (_, database, who), database.begin() as connection:
        made = contracts.add_category(connection, code, name, by=who)
    typer.echo(f"category {made.category}: {made.code}, {made.name}")


@category_app.command("list")
def list_categories() -> None:
    """The network's categories."""
    from partners.rates_store import load_categories

    with opened(reader_role) as (_, database), database.connect() as connection:
        for one in load_categories(connection):
            typer.echo(f"{one.category:>5}  {one.code:<20} {one.name}")


@vat_app.command("add")
def add_vat(
    code: Annotated[str, typer.Argument(help="What contracts name.")],
    percent: Annotated[str, typer.Argument(help="The rate, in per cent: 20, or 5.5.")],
    *,
    start: Annotated[str, typer.Option("--from", help="The first day, as 2017-06-01.")],
    by: By = None,
) -> None:
    """Propose the rate of a code from a day on; a checker approves it."""
    from network.service import open_date
    from partners import contracts
    from partners.model import VatRate

    bps = _amount(percent, "PERCENT") * 100
    if bps != int(bps):
        raise typer.BadParameter("at most two decimals", param_hint="PERCENT")
    rate = VatRate(vat_code=code, effective_on=day_of(start, "--from"), rate_bps=int(bps))
    with acting("maker", by=by) as (_, database, who), database.begin() as connection:
        made = contracts.propose_vat_rate(connection, rate, open_on=open_date(connection), by=who)
    _proposed(made)


@vat_app.command("list")
def list_vat() -> None:
    """Every rate of every code."""
    from partners.rates_store import load_vat_rates

    with opened(reader_role) as (_, database), database.connect() as connection:
        for rates in load_vat_rates(connection).values():
            for one in rates:
                percent = f"{Decimal(one.rate_bps) / 100:.2f}"
                typer.echo(f"{one.vat_code:<12} {percent:>6} %  from {one.effective_on}")


@fx_app.command("add")
def add_fx(
    source: Annotated[str, typer.Argument(help="Who fixes it: ECB.")],
    base: Annotated[str, typer.Argument(help="One unit of this currency")],
    quote: Annotated[str, typer.Argument(help="in this one")],
    rate: Annotated[str, typer.Argument(help="is so much.")],
    *,
    on: Annotated[str, typer.Option(help="The day it was fixed, as 2017-06-01.")],
    by: By = None,
) -> None:
    """Propose a fixing; a checker approves it. Of one day the last counts."""
    from partners import contracts
    from partners.model import FxRate

    fixing = FxRate(
        source=source,
        base=base.upper(),
        quote=quote.upper(),
        fixed_on=day_of(on, "--on"),
        revision=1,
        rate=_amount(rate, "RATE"),
    )
    with acting("maker", by=by) as (_, database, who), database.begin() as connection:
        made = contracts.propose_fixing(connection, fixing, by=who)
    _proposed(made)


@fx_app.command("list")
def list_fx(
    *, since: Annotated[str, typer.Option(help="The first day, as 2017-06-01.")] = "1900-01-01"
) -> None:
    """Fixings, by source and day, every revision."""
    from partners.rates_store import load_fixings

    first = day_of(since, "--since")
    with opened(reader_role) as (_, database), database.connect() as connection:
        for source, rates in sorted(load_fixings(connection, since=first, through=date.max).items()):
            for one in sorted(rates, key=lambda one: (one.fixed_on, one.base, one.quote, one.revision)):
                again = "" if one.revision == 1 else f"  revision {one.revision}"
                typer.echo(
                    f"{source:<8} {one.fixed_on}  1 {one.base} = {one.rate.normalize():f} {one.quote}{again}"
                )


def _read(connection: "Connection", partner: str, file: Path) -> "Terms":
    """A version from a file, on what the partner's contract was before."""
    from partners import contracts
    from partners.drafts import terms_of
    from partners.rates_store import load_categories
    from partners.service import partner_of

    try:
        given = tomllib.loads(file.read_text(encoding="utf-8"), parse_float=Decimal)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise typer.BadParameter(f"{file}: {error}", param_hint="FILE") from error
    partner_id = partner_of(connection, partner).partner_id
    before = contracts.latest(connection, partner_id)
    return terms_of(given, partner_id=partner_id, before=before, categories=load_categories(connection))


def _days(connection: "Connection") -> "Days":
    from zoneinfo import ZoneInfo

    from network.service import network_now, open_date, read_network
    from partners.contracts import Days

    zone = ZoneInfo(read_network(connection).time_zone)
    return Days(today=network_now(connection).astimezone(zone).date(), open_on=open_date(connection))


def _required(terms: "Terms | None", partner: str) -> "Terms":
    if terms is None:
        raise typer.BadParameter(f"{partner} has no contract yet: give a --file", param_hint="WHAT")
    return terms


def _proposed(made: Any) -> None:
    typer.echo(f"proposed; another approves it: tessera proposal approve {made.proposal_id} \\")
    typer.echo(f"  --sha256 {made.sha256.hex()}")


def _uuid(shown: str) -> UUID:
    try:
        return UUID(shown)
    except ValueError:
        raise typer.BadParameter(f"{shown!r} is no draft", param_hint="ID") from None


def _hash(shown: str) -> bytes:
    try:
        return bytes.fromhex(shown)
    except ValueError:
        raise typer.BadParameter("64 hexadecimal digits", param_hint="--sha256") from None


def _amount(shown: str, hint: str) -> Decimal:
    try:
        amount = Decimal(shown)
    except InvalidOperation:
        raise typer.BadParameter(f"{shown!r} is no number", param_hint=hint) from None
    if not amount.is_finite():
        raise typer.BadParameter(f"{shown!r} is no number", param_hint=hint)
    return amount
