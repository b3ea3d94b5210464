"""`tessera-partner sign`: what a request's signature is made of, for who writes a client of their own."""

import argparse
import shlex
import sys
import time
from pathlib import Path

from tessera_client.address import read_address
from tessera_client.cli.profile import Profile
from tessera_client.errors import Unusable
from tessera_client.messages import JSON, Request
from tessera_client.signing import Signer

_ABOUT = """\
Sign a request without sending it: prints the signature base, the header fields, and a curl command that sends
it (within five minutes). Compare them, line by line, with what a client of your own makes.

    tessera-partner sign GET /v1/entries?limit=5
    tessera-partner sign POST /v1/members --data '{"reference":"r-1","occurred_at":"2026-05-01T10:00:00Z"}'
    tessera-partner sign POST /v1/batches --data @sales.ndjson --content-type application/x-ndjson

--created fixes the time, so that the same input always gives the same signature.
"""


def add_to(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", shared: argparse.ArgumentParser
) -> None:
    """Add this command to the command line."""
    sign = commands.add_parser(
        "sign",
        parents=[shared],
        help="show a request's signature base, header fields and curl command",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sign.add_argument("method", metavar="METHOD", help="GET, POST")
    sign.add_argument("target", metavar="PATH", help="path and query as they are sent, percent-encoded")
    sign.add_argument("--data", metavar="TEXT|@FILE", default="", help="the body: a text, or a file's bytes")
    sign.add_argument("--content-type", default=JSON, metavar="TYPE", help=f"of the body ({JSON})")
    sign.add_argument("--created", type=int, metavar="SECONDS", help="Unix time (now)")
    sign.set_defaults(run=_sign)


def _sign(given: argparse.Namespace, profile: Profile) -> None:
    if not profile.url:
        raise Unusable("which service? its host is part of the signature: --url https://api.example.com")
    address = read_address(profile.url)
    path, _, query = given.target.partition("?")
    if not path.startswith("/"):
        raise Unusable(f"{given.target!r}: a path begins with /, as /v1/entries")
    request = Request(
        method=given.method.upper(),
        path=path,
        query=query,
        body=_body(given.data),
        content_type=given.content_type,
    )
    created = given.created if given.created is not None else int(time.time())  # noqa: TID251 - this machine's
    signer = Signer(profile.key_id, profile.private_key())
    signed = signer.sign(request, authority=address.authority, created=created)
    curl = ["curl", "-sS", "-X", request.method, f"{address.origin}{request.target}"]
    for name, value in signed.headers.items():
        curl += ["-H", f"{name}: {value}"]
    if request.body:
        curl += ["--data-binary", given.data]
    fields = "".join(f"{name}: {value}\n" for name, value in signed.headers.items())
    sys.stdout.write(f"# signature base\n{signed.base.decode()}\n\n# header fields\n{fields}\n# curl\n")
    sys.stdout.write(f"{shlex.join(curl)}\n")


def _body(data: str) -> bytes:
    if not data.startswith("@"):
        return data.encode()
    try:
        return Path(data[1:]).read_bytes()
    except OSError as error:
        raise Unusable(f"cannot read {data[1:]}: {error.strerror}") from error
