"""Codes on paper around a batch: those that came are opened, those of new vouchers are written."""

import hmac
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256

import msgspec

from api.lanes.refusing import refusing
from api.lanes.work import CarryOut
from network.basket import NO_DETAILS
from network.codes import pack_of, voucher_code, voucher_of
from network.commands import Accrue, Command, IssueVoucher, ReturnVoucher, UseVoucher
from network.engine import Outcome
from network.model import Entry
from network.outcomes import Reply
from network.programme.codes import event_of


def code_key(secret: bytes, *, test_mode: bool = False) -> bytes:
    """The key that seals codes, made of a secret that is not in the database; the test mode has its own."""
    mode = b"test" if test_mode else b"live"
    return hmac.digest(secret, b"tessera codes on paper, version 1, " + mode, sha256)


def coding(key: bytes) -> Callable[[CarryOut], CarryOut]:
    """Opens codes and writes them, under a key; without one (b"") what has to do with codes is refused."""
    if not key:
        return refusing(_without_key)

    def around(carry_out: CarryOut) -> CarryOut:
        def carried_out(callers: Sequence[Sequence[Command]]) -> list[Outcome]:
            if not any(_has_code(command) for commands in callers for command in commands):
                return carry_out(callers)
            opened = [[_opened(key, command) for command in commands] for commands in callers]
            return [_written(key, outcome) for outcome in carry_out(opened)]

        return carried_out

    return around


def _without_key(commands: Sequence[Command]) -> Mapping[int, str]:
    return {place: "codes_unavailable" for place, command in enumerate(commands) if _has_code(command)}


def _has_code(command: Command) -> bool:
    if isinstance(command, Accrue):
        return bool(command.code)
    return isinstance(command, IssueVoucher | UseVoucher | ReturnVoucher)


def _opened(key: bytes, command: Command) -> Command:
    """A command with what its code names; as it is where the code is not ours."""
    if isinstance(command, UseVoucher | ReturnVoucher):
        return msgspec.structs.replace(command, voucher_id=voucher_of(key, command.code))
    if not isinstance(command, Accrue) or not command.code:
        return command
    pack = pack_of(key, command.code)
    if pack is None:
        return command
    details = msgspec.structs.replace(
        command.details or NO_DETAILS, event=event_of(pack.campaign), pack=pack.key
    )
    return msgspec.structs.replace(command, details=details)


def _written(key: bytes, outcome: Outcome) -> Outcome:
    return outcome if isinstance(outcome, Exception) else [_with_code(key, reply) for reply in outcome]


def _with_code(key: bytes, reply: Reply) -> Reply:
    if reply.voucher is None or not isinstance(reply.outcome, Entry) or reply.outcome.hold_id is not None:
        return reply
    return msgspec.structs.replace(reply, code=voucher_code(key, reply.outcome.entry_id))
