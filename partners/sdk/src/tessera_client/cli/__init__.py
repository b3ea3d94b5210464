"""The command `tessera-partner`: keys, signatures and requests from a terminal."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from tessera_client.cli import events, keys, sales, signatures
from tessera_client.cli.profile import Profile
from tessera_client.errors import ApiError, TesseraError

FAILED, BAD_INPUT = 1, 2
_ABOUT = """\
The partner API of a Tessera network from a terminal.

Begin with a key:     tessera-partner keys new --id grocer-1 --url https://api.example.com
give its public half to the network's operator, then earn:

    tessera-partner enrol
    tessera-partner accrue --card 6330001234567895 --outlet 330 --amount 1250 --currency USD
"""
_EPILOG = """\
Keys and the profile are in ~/.tessera-partner, or where TESSERA_PARTNER_HOME says; only you can read them.
--url, --key-id and --key say it for one command, as do TESSERA_URL, TESSERA_KEY_ID and TESSERA_KEY.
Exit status: 0 done, 1 refused or unreachable, 2 the command line is wrong.
"""


def parser() -> argparse.ArgumentParser:
    """The command line: a parser whose `run` is what was asked for."""
    plain = argparse.RawDescriptionHelpFormatter
    root = argparse.ArgumentParser(
        "tessera-partner", description=_ABOUT, epilog=_EPILOG, formatter_class=plain, allow_abbrev=False
    )
    shared = argparse.ArgumentParser(add_help=False)
    group = shared.add_argument_group("who asks whom")
    group.add_argument("--home", type=Path, metavar="FOLDER", help="where keys and profile are kept")
    group.add_argument("--url", help="the service: https://api.example.com")
    group.add_argument("--key-id", metavar="ID", help="the id under which the key is registered")
    group.add_argument("--key", type=Path, metavar="FILE", help="the private key, PEM, mode 600")
    commands = root.add_subparsers(metavar="COMMAND", required=True)
    for module in (keys, sales, signatures, events):
        module.add_to(commands, shared)
    return root


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; what we know to go wrong is a line or two, not a traceback."""
    given = parser().parse_args(arguments)
    try:
        given.run(given, Profile.of(given, os.environ))
        sys.stdout.flush()
    except ApiError as error:
        sys.stderr.write(f"tessera-partner: {_told(error)}\n")
        sys.exit(FAILED)
    except TesseraError as error:
        sys.stderr.write(f"tessera-partner: {error}\n")
        sys.exit(FAILED)
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        sys.exit(130)


def _told(error: ApiError) -> str:
    lines = [f"{error.code} ({error.status}): {error.title or 'refused'}"]
    lines += [f"  {error.detail}"] if error.detail else []
    lines += [f"  {one.pointer}: {one.code}" for one in error.errors]
    lines += [f"  request {error.request_id}"] if error.request_id else []
    return "\n".join(lines)
