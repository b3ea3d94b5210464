"""`tessera-partner enrol`, `accrue`, `redeem` and `balance`: single requests, to try and to mend."""

import argparse
import secrets
import sys
from datetime import UTC, datetime
from typing import Any

import msgspec

from tessera_client.answers import Entry
from tessera_client.cli.profile import Profile
from tessera_client.commands import Accrual, Command, Enrolment, Redemption
from tessera_client.errors import TesseraError, Unavailable, Unreachable

_PLAIN = argparse.RawDescriptionHelpFormatter


def add_to(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", shared: argparse.ArgumentParser
) -> None:
    """Add these commands to the command line."""
    written = argparse.ArgumentParser(add_help=False)
    written.add_argument(
        "--reference", help="yours, unique for 400 days; by default a new one, which is printed"
    )
    written.add_argument("--occurred-at", metavar="TIME", help="RFC 3339 with a zone; by default now")

    enrol = commands.add_parser(
        "enrol", parents=[written, shared], help="enrol a member; prints the new card", formatter_class=_PLAIN
    )
    enrol.set_defaults(run=_enrol)

    sale = argparse.ArgumentParser(add_help=False)
    sale.add_argument("--card", required=True, help="the 16 digits on the card")
    sale.add_argument("--outlet", required=True, help="one of your outlets, by its code")
    sale.add_argument(
        "--amount", required=True, type=int, metavar="MINOR", help="in minor units: 1250 is 12.50"
    )
    sale.add_argument("--currency", required=True, help="ISO 4217: USD")

    accrue = commands.add_parser(
        "accrue",
        parents=[sale, written, shared],
        help="report a sale that earns points",
        description=_ACCRUE,
        formatter_class=_PLAIN,
    )
    accrue.set_defaults(run=_accrue)

    redeem = commands.add_parser(
        "redeem",
        parents=[sale, written, shared],
        help="let points pay for part of a sale",
        description=_REDEEM,
        formatter_class=_PLAIN,
    )
    redeem.add_argument("--points", required=True, type=int, help="how many are taken")
    redeem.add_argument("--code", help="the six digits behind the card's number in the member's QR")
    redeem.add_argument("--approval", help="the id of what the member approved on its phone")
    redeem.set_defaults(run=_redeem)

    balance = commands.add_parser("balance", parents=[shared], help="show what a member has")
    balance.add_argument("card", metavar="CARD", help="the 16 digits on the card")
    balance.set_defaults(run=_balance)


_ACCRUE = """\
Report a sale. Sent again under the same --reference and --occurred-at it is done once:

    tessera-partner accrue --card 6330001234567895 --outlet 330 --amount 1250 --currency USD \\
        --reference till-7/000123 --occurred-at 2026-05-01T10:15:00Z
"""
_REDEEM = """\
Let points pay for part of a sale: --points are taken, and are worth --amount to the member here.

    tessera-partner redeem --card 6330001234567895 --outlet 330 --points 200 --amount 200 --currency USD
"""


def _enrol(given: argparse.Namespace, profile: Profile) -> None:
    _send(profile, Enrolment(**_common(given)))


def _accrue(given: argparse.Namespace, profile: Profile) -> None:
    _send(profile, Accrual(**_common(given), **_sale(given)))


def _redeem(given: argparse.Namespace, profile: Profile) -> None:
    shown = {"code": given.code, "approval": given.approval}
    _send(profile, Redemption(**_common(given), **_sale(given), points=given.points, **shown))


def _balance(given: argparse.Namespace, profile: Profile) -> None:
    with profile.client() as client:
        found = client.balance(client.card(given.card).member)
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(found), indent=2).decode() + "\n")


def _common(given: argparse.Namespace) -> dict[str, Any]:
    try:
        at = None if given.occurred_at is None else datetime.fromisoformat(given.occurred_at)
    except ValueError as error:
        raise TesseraError(f"--occurred-at {given.occurred_at}: write it as 2026-05-01T10:15:00Z") from error
    return {
        "reference": given.reference or f"cli/{secrets.token_hex(10)}",
        "occurred_at": at or datetime.now(UTC).replace(microsecond=0),  # noqa: TID251 - this machine's clock
    }


def _sale(given: argparse.Namespace) -> dict[str, Any]:
    return {
        "card": given.card,
        "outlet": given.outlet,
        "amount_minor": given.amount,
        "currency": given.currency,
    }


def _send(profile: Profile, command: Command) -> None:
    """Send, and print the entry as JSON; where nothing is known, how to send the same again."""
    with profile.client() as client:
        try:
            entry = client.send(command)
        except (Unreachable, Unavailable):
            again = f"--reference {command.reference} --occurred-at {command.occurred_at.isoformat()}"
            sys.stderr.write(f"not known whether it was done; ask again with {again}\n")
            raise
    sys.stdout.write(_shown(entry))
    if entry.replayed:
        sys.stderr.write("the remembered answer: this reference was used before, with the same content\n")


def _shown(entry: Entry) -> str:
    fields = {name: value for name, value in msgspec.structs.asdict(entry).items() if value not in (None, 0)}
    fields.pop("replayed", None)
    fields.update(points=entry.points, balance=entry.balance)
    return msgspec.json.format(msgspec.json.encode(fields), indent=2).decode() + "\n"
