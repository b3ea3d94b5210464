"""`tessera voucher`, `coupon` and `packs`: what is printed and sent, by an operator who has signed in."""

import csv
import os
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from api.cli_desk import By
from api.composition import BAD_INPUT
from api.identity import acting, paper_key

voucher_app = typer.Typer(
    no_args_is_help=True,
    help="""Vouchers: what a quarter's end has made of members' points, to be printed and sent.

    The night makes them, as the programme's [conversion] says. docs/programmes.md tells the rest.
    """,
    epilog="Example: tessera voucher list --quarter 2017-07-01 --out vouchers.csv",
)
coupon_app = typer.Typer(no_args_is_help=True, help="Coupons: rights of single members, given in bulk.")
packs_app = typer.Typer(no_args_is_help=True, help="Codes on packs, made by number: none is kept.")
_Out = Annotated[Path, typer.Option("--out", help="The file to write; only you can read it.", dir_okay=False)]
COLUMNS = ("member", "card", "code", "points", "worth_minor", "currency", "valid_from", "valid_until")


def add_paper(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.add_typer(voucher_app, name="voucher")
    app.add_typer(coupon_app, name="coupon")
    app.add_typer(packs_app, name="packs")


@voucher_app.command("list")
def list_vouchers(
    *, quarter: Annotated[str, typer.Option(help="The new quarter's first day.")], out: _Out, by: By = None
) -> None:
    """Write the vouchers that a quarter's end made and that are open, as CSV for the printer."""
    from network import ids
    from network.codes import voucher_code
    from network.paper import posted_vouchers
    from partners.people.audit import audited

    with acting("maker", "admin", by=by) as (settings, database, who), database.begin() as connection:
        key = paper_key(settings)
        rows = (
            (
                ids.show("mbr", one.public_id),
                "" if one.card_number is None else one.card_number,
                voucher_code(key, one.entry_id),
                *(one.points, one.worth_minor, one.currency, one.starts_on, one.ends_on),
            )
            for one in posted_vouchers(connection, _date(quarter, "--quarter"))
        )
        written = _write(out, [COLUMNS], rows)
        audited(
            connection,
            by=who,
            action="vouchers.listed",
            subject=f"conversion:{quarter}",
            before={},
            after={"vouchers": written},
        )
    typer.echo(f"{written} vouchers are in {out}")


@voucher_app.command("keep")
def keep(
    *,
    card: Annotated[str, typer.Option(help="A card of the member.")],
    convert: Annotated[bool, typer.Option("--convert", help="Convert them again.")] = False,
    by: By = None,
) -> None:
    """Let a member keep its points when a quarter ends; or no longer."""
    from network.paper import PaperUnfit, keep_points

    if not (card.isascii() and card.isdigit() and len(card) == 16):
        raise typer.BadParameter("a card has 16 digits", param_hint="--card")
    try:
        with acting("maker", "admin", by=by) as (_, database, who), database.begin() as connection:
            keep_points(connection, int(card), keep=not convert, by=who)
    except PaperUnfit as error:
        raise _unfit(error) from error
    typer.echo("its points become vouchers again" if convert else "it keeps its points")


@coupon_app.command("give")
def give(
    coupon: Annotated[str, typer.Argument(help="A coupon of the programme in force.")],
    *,
    segment: Annotated[str | None, typer.Option(help="To whom; without it, to everybody.")] = None,
    first: Annotated[str, typer.Option("--from", help="The first day on which it can be used.")],
    last: Annotated[str, typer.Option("--until", help="The last one.")],
    by: By = None,
) -> None:
    """Give a coupon to everybody in a segment; who was ever given it gets no second, so again is safe."""
    from network.paper import PaperUnfit, give_coupons

    days = {"first_on": _date(first, "--from"), "last_on": _date(last, "--until")}
    try:
        with acting("maker", "admin", by=by) as (_, database, who), database.begin() as connection:
            given = give_coupons(connection, coupon, segment=segment, by=who, **days)
    except PaperUnfit as error:
        raise _unfit(error) from error
    typer.echo(f"{given} members were given {coupon}")


@packs_app.command("codes")
def codes(
    campaign: Annotated[str, typer.Argument(help="A campaign, by its id in the programme in force.")],
    *,
    first: Annotated[int, typer.Option(min=0, help="The first pack's number.")] = 0,
    count: Annotated[int, typer.Option(min=1, help="How many.")],
    out: _Out,
    by: By = None,
) -> None:
    """Write the codes of a campaign's packs, one a line: the same ones however often."""
    from network.codes import pack_codes
    from network.paper import PaperUnfit, campaign_of, note_printed

    try:
        with acting("maker", "admin", by=by) as (settings, database, who), database.begin() as connection:
            number = campaign_of(connection, campaign, first, count)
            made = pack_codes(paper_key(settings), number, first, count)
            written = _write(out, [], ((code,) for code in made))
            note_printed(connection, campaign, first, count, by=who)
    except PaperUnfit as error:
        raise _unfit(error) from error
    typer.echo(f"{written} codes are in {out}")


def _write(path: Path, head: Iterable[Iterable[object]], rows: Iterable[Iterable[object]]) -> int:
    """Write rows into a new file of which nobody else reads a word; how many, the head aside."""
    written = 0
    with open(path, "w", encoding="utf-8", newline="", opener=_private) as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerows(head)
        for row in rows:
            lines.writerow(row)
            written += 1
    return written


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _date(given: str, option: str) -> date:
    try:
        return date.fromisoformat(given)
    except ValueError:
        raise typer.BadParameter(f"{given!r} is no day; write 2017-06-30", param_hint=option) from None


def _unfit(error: Exception) -> typer.Exit:
    typer.echo(f"tessera: {error}", err=True)
    return typer.Exit(BAD_INPUT)
