"""`tessera-partner keys`: made here, registered with proof of possession, rotated."""

import argparse
import sys
import time
from datetime import UTC, datetime

import msgspec

from tessera_client import operations
from tessera_client.cli.profile import Profile
from tessera_client.client import Client
from tessera_client.errors import NotAuthenticated, Unusable
from tessera_client.keys import load_key, new_key, possession_proof, public_text, write_key
from tessera_client.signing import Signer

_WORKS_SECONDS = 15.0
_POLL_SECONDS = 0.5
_PLAIN = argparse.RawDescriptionHelpFormatter


def add_to(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", shared: argparse.ArgumentParser
) -> None:
    """Add these commands to the command line."""
    help_ = "make, register and rotate signing keys"
    group = commands.add_parser("keys", help=help_, description=_ABOUT, formatter_class=_PLAIN)
    keys = group.add_subparsers(metavar="COMMAND", required=True)

    new = keys.add_parser(
        "new", parents=[shared], help="make a key pair", description=_NEW, formatter_class=_PLAIN
    )
    new.add_argument("--id", required=True, metavar="ID", help="of the new key; unique in the network")
    new.add_argument(
        "--partner-number", type=int, metavar="N", help="your number: also write the proof for the operator"
    )
    new.set_defaults(run=_new)

    public = keys.add_parser("public", parents=[shared], help="print the public half, in base64")
    public.set_defaults(run=_public)

    listed = keys.add_parser("list", parents=[shared], help="list all keys that you ever had")
    listed.set_defaults(run=_list)

    register = keys.add_parser(
        "register",
        parents=[shared],
        help="register another key",
        description=_REGISTER,
        formatter_class=_PLAIN,
    )
    register.add_argument("--id", required=True, metavar="ID", help="a key that `keys new` made")
    register.set_defaults(run=_register)

    rotate = keys.add_parser(
        "rotate", parents=[shared], help="go over to a new key", description=_ROTATE, formatter_class=_PLAIN
    )
    rotate.add_argument("--id", required=True, metavar="ID", help="of the new key; unique in the network")
    rotate.add_argument("--revoke-old", action="store_true", help="revoke the key that signed until now")
    rotate.set_defaults(run=_rotate)


_ABOUT = """\
Your signing keys. The private half never leaves this machine; the network keeps the public half.

The first key is registered by the network's operator. From then on you register and rotate your own.
"""
_NEW = """\
Make a key pair; the private half goes into a file that only you can read, and is never written over.

The first key becomes the one that signs. Give its public half to the operator:
    tessera-partner keys new --id grocer-1 --url https://api.example.com
If you know your number, --partner-number writes the proof that the operator registers it with.
"""
_REGISTER = """\
Register a key that `keys new` made, signed with the key that is in use. It works at once, beside the others.
"""
_ROTATE = """\
Make a new key, register it, wait until the service takes it, and sign with it from now on.

The old key works on until it is revoked: first have all your machines use the new one, then
    tessera-partner keys rotate --id grocer-3 --revoke-old     does both for a machine that is alone.
"""


def _new(given: argparse.Namespace, profile: Profile) -> None:
    key, path = new_key(), profile.file_of(given.id)
    Signer(given.id, key)  # refuses an id that no key can have
    write_key(path, key)
    first = not profile.key_id
    if first:
        profile.keep(url=profile.url, key_id=given.id)
    says = "It signs from now on." if first else f"Not in use yet: {profile.key_id} signs."
    sys.stdout.write(f"private key: {path} (mode 600)\npublic key:  {public_text(key)}\n{says}\n")
    if given.partner_number is not None:
        proof = {
            "key_id": given.id,
            "public_key": public_text(key),
            "not_before": datetime.now(UTC).isoformat(timespec="seconds"),  # noqa: TID251 - this machine's clock
            "proof": possession_proof(key, given.partner_number, given.id),
        }
        file = path.with_suffix(".json")
        file.write_bytes(msgspec.json.encode(proof) + b"\n")
        sys.stdout.write(f"for the operator: {file}\n")


def _public(given: argparse.Namespace, profile: Profile) -> None:
    sys.stdout.write(f"{public_text(profile.private_key())}\n")


def _list(given: argparse.Namespace, profile: Profile) -> None:
    with profile.client() as client:
        for key in client.do(operations.keys()).data:
            until = "" if key.not_after is None else f" until {key.not_after:%Y-%m-%d %H:%M}"
            gone = "" if key.revoked_at is None else f", revoked {key.revoked_at:%Y-%m-%d %H:%M:%S}"
            used = " (signs here)" if key.key_id == profile.key_id else ""
            sys.stdout.write(f"{key.key_id}  from {key.not_before:%Y-%m-%d %H:%M}{until}{gone}{used}\n")


def _register(given: argparse.Namespace, profile: Profile) -> None:
    key = load_key(profile.file_of(given.id))
    with profile.client() as client:
        number = client.do(operations.keys()).partner_id
        client.do(operations.register_key(key, partner_id=number, key_id=given.id))
    sys.stdout.write(f"{given.id} is registered\n")


def _rotate(given: argparse.Namespace, profile: Profile) -> None:
    old, path = profile.key_id, profile.file_of(given.id)
    if given.id == old:
        raise Unusable(f"{old} is the key that signs: give the new one another id")
    with profile.client() as client:
        number = client.do(operations.keys()).partner_id
        if path.exists():  # a rotation that was cut off goes on
            key = load_key(path)
        else:
            key = new_key()
            write_key(path, key)
        client.do(operations.register_key(key, partner_id=number, key_id=given.id))
    with Client(profile.url, given.id, key) as client:
        _await(client)
        profile.keep(url=profile.url, key_id=given.id)
        sys.stdout.write(f"{given.id} signs from now on; its private key: {path}\n")
        if given.revoke_old:
            client.do(operations.revoke_key(old))
            sys.stdout.write(f"{old} is revoked\n")
        else:
            sys.stdout.write(f"{old} still works: revoke it when no machine signs with it any more\n")


def _await(client: Client) -> None:
    """Wait until the service takes a new key: its servers read the register every few seconds."""
    deadline = time.monotonic() + _WORKS_SECONDS
    while True:
        try:
            client.do(operations.keys())
        except NotAuthenticated as error:
            if error.code != "key_unknown" or time.monotonic() > deadline:
                raise
            time.sleep(_POLL_SECONDS)
        else:
            return
