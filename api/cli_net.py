"""`tessera net`: what a file of debts comes to, and what a debtor that does not pay would do."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from api.composition import BAD_INPUT

if TYPE_CHECKING:
    from settlement.net_file import DebtLine, DepositLine

HELP = """Net a file of debts: gross, by pairs, through the hub, and the fewest payments that discharge them.

FILE is CSV with the columns debtor, creditor, amount, currency in any order, amounts in major units with at
most 8 decimals. Each currency is netted by itself and sums to zero to its own cent. A fifth column, kind, may
say claim (as without it), fee or vat: fees and VAT are added after netting and rank first in a default.
\n
--set-off strikes out what is owed in circles, without a hub: every position stays what it was, no debt gets
larger, and no way of striking out leaves less.
\n
--default NAME says that NAME does not pay: deposit, guarantee fund, carry, loss share; what each of its
creditors gets (the greatest Eisenberg-Noe clearing vector, exact); and unwinding, the last resort. What
stands behind debtors is read from --deposits FILE: participant, amount, currency, and, if you like, kind:
deposit (as without it), guarantee (its part of the fund), carry (what it lends until the next night).
"""
EPILOG = "Example: tessera net debts.csv --set-off --default grocer --deposits deposits.csv"


def net(
    file: Annotated[
        Path,
        typer.Argument(
            help="CSV with the columns debtor, creditor, amount, currency; - reads standard input."
        ),
    ],
    *,
    set_off: Annotated[
        bool, typer.Option("--set-off", help="Also strike out what is owed in circles, without a hub.")
    ] = False,
    debtors: Annotated[
        list[str] | None,
        typer.Option("--default", metavar="DEBTOR", help="Who does not pay; may be given several times."),
    ] = None,
    deposits: Annotated[
        Path | None,
        typer.Option(help="CSV of what stands behind debtors: participant, amount, currency."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Net a file of debts; HELP has the text."""
    from settlement import net_file, net_json, net_report, net_view
    from settlement.table_file import Faults

    named = list(dict.fromkeys(debtors or []))
    if deposits is not None and not named:
        raise typer.BadParameter("is for --default: name who does not pay", param_hint="--deposits")
    if str(file) == "-" and deposits is not None and str(deposits) == "-":
        raise typer.BadParameter("standard input is read for the debts already", param_hint="--deposits")
    debts = net_file.read(_content(file))
    cover = net_file.read_deposits(_content(deposits)) if deposits is not None else ()
    if isinstance(debts, Faults) or isinstance(cover, Faults):
        both = ((str(file), debts), (str(deposits), cover))
        faults = {name: found for name, found in both if isinstance(found, Faults)}
        if as_json:
            typer.echo(json.dumps(net_json.faults_as_json(faults), indent=2))
        else:
            Console(stderr=True).print(net_view.render_faults(faults), soft_wrap=True)
        raise typer.Exit(BAD_INPUT)
    _require_known(named, debts)
    _warn_of_strangers(cover, debts)
    nets = net_report.report(debts, circles=set_off)
    defaults = net_report.default_report(debts, named, cover) if named else ()
    if as_json:
        typer.echo(json.dumps(net_json.as_json(nets, defaults), indent=2))
    else:
        Console().print(net_view.render(nets, defaults))


def _content(file: Path) -> bytes:
    try:
        return sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        typer.echo(f"tessera net: cannot read {file}: {error.strerror}", err=True)
        raise typer.Exit(BAD_INPUT) from error


def _parties(debts: Sequence["DebtLine"]) -> list[str]:
    return sorted({party for debt in debts for party in (debt.debtor, debt.creditor)})


def _require_known(named: Sequence[str], debts: Sequence["DebtLine"]) -> None:
    """Refuse a debtor that the file does not know, with the names it has."""
    parties = _parties(debts)
    for name in named:
        if name not in parties:
            known = ", ".join(parties[:10]) + (", ..." if len(parties) > 10 else "")
            raise typer.BadParameter(f"{name!r} is in no debt; there are {known}", param_hint="--default")


def _warn_of_strangers(cover: Sequence["DepositLine"], debts: Sequence["DebtLine"]) -> None:
    """A deposit of somebody who is in no debt is more often a slip of the pen than a deposit."""
    parties = _parties(debts)
    for one in cover:
        if one.kind == "deposit" and one.participant not in parties:
            typer.echo(
                f"tessera net: line {one.line} of the deposits: {one.participant!a} is in no debt",
                err=True,
            )
