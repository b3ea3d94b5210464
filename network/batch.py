"""A batch of commands in one transaction: claim → load → decide → save → commit."""

import secrets
from collections.abc import Sequence
from datetime import datetime
from hashlib import blake2b
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from network import ids, store
from network.decide import decide_batch, lapse_due
from network.errors import Busy, Unavailable
from network.identity import card_number
from network.ids import member_of
from network.model import (
    NOT_REMEMBERED,
    Accrue,
    Capture,
    CardState,
    Command,
    Decision,
    Enrol,
    Hold,
    LedgerState,
    Minted,
    Moment,
    Redeem,
    Rejected,
    Reply,
    Reverse,
    Void,
)
from network.rules import Folded, Rules

_RETRIES = 3
_RETRIED = frozenset({"40001", "40P01", "23505"})
"""Serialization, deadlock, and a card number that was drawn twice: the next try draws another."""
_LOCK_TIMEOUT = "55P03"
_DISCONNECTED = frozenset({"57P01", "57P02", "57P03"})  # shutdown, crash, starting up


def request_key(partner_id: int, reference: str) -> UUID:
    """The 16-byte name under which a partner's reference is remembered."""
    return UUID(bytes=blake2b(f"{partner_id}\0live\0{reference}".encode(), digest_size=16).digest())


def content_hash(command: Command) -> UUID:
    """What the request said: the same reference with other content is an error."""
    return UUID(bytes=blake2b(msgspec.json.encode(command), digest_size=16).digest())


class _Request(msgspec.Struct, frozen=True, kw_only=True):
    """A command under its key, with the ids minted for it."""

    command: Command
    key: UUID
    content: UUID
    minted: Minted


def execute(database: Engine, commands: Sequence[Command], rules: Rules) -> list[Reply]:
    """Carry out commands, in one transaction unless a reference stands twice, and answer each in order.

    Args:
        database: Where the ledger is.
        commands: Any number, of any partners.
        rules: The live rules.
    Raises:
        Unavailable: the database could not be reached or did not say whether it committed; safe to retry.
        Busy: rows that a command needs stayed locked by somebody else.
    """
    return [reply for run in _runs(commands) for reply in _execute_run(database, run, rules)]


def _runs(commands: Sequence[Command]) -> list[list[tuple[Command, UUID]]]:
    """Commands with their keys, cut where a key stands again: the first is then answered from memory."""
    runs: list[list[tuple[Command, UUID]]] = [[]]
    seen: set[UUID] = set()
    for command in commands:
        key = request_key(command.partner_id, command.reference)
        if key in seen:
            runs.append([])
            seen = set()
        seen.add(key)
        runs[-1].append((command, key))
    return runs


def _execute_run(database: Engine, run: Sequence[tuple[Command, UUID]], rules: Rules) -> list[Reply]:
    for _ in range(_RETRIES):
        try:
            with database.begin() as connection:
                return _transact(connection, run, rules)
        except DBAPIError as error:
            state = getattr(error.orig, "sqlstate", None)
            if state in _RETRIED:
                continue
            if state == _LOCK_TIMEOUT:
                raise Busy(f"rows stayed locked: {error.orig}") from error
            if isinstance(error, OperationalError) or error.connection_invalidated or state in _DISCONNECTED:
                raise Unavailable(f"the ledger's database did not answer: {error.orig}") from error
            raise
        except PoolTimeout as error:
            raise Unavailable(f"no connection to the ledger's database was free: {error}") from error
    raise Busy("the batch met others again and again")


def _transact(connection: Connection, run: Sequence[tuple[Command, UUID]], rules: Rules) -> list[Reply]:
    moment = store.begin(connection)
    cards = store.load_cards(
        connection, {c.card_number for c, _ in run if isinstance(c, Accrue | Redeem | Hold)}
    )
    requests = _prepare(connection, run, cards, moment.now)
    fresh = store.claim(
        connection,
        [request.key for request in requests],
        [request.content for request in requests],
        [request.minted.entry_id for request in requests],
        moment.business_date,
    )
    outcomes = iter(_decide(connection, moment, cards, [r for r in requests if r.key in fresh], rules))
    known = _recall(connection, [request.key for request in requests if request.key not in fresh])
    return [
        _decided(next(outcomes)) if request.key in fresh else _remembered(request, *known[request.key])
        for request in requests
    ]


def _decided(outcome: Decision | Rejected) -> Reply:
    if isinstance(outcome, Decision):
        return Reply(outcome=outcome.entry, enrolled=outcome.enrolled)
    return Reply(outcome=outcome)


def _remembered(request: _Request, content: UUID, reply: Reply) -> Reply:
    """The answer that was given before, if the request says what it said then."""
    return reply if content == request.content else Reply(outcome=Rejected("reference_reused"))


def _prepare(
    connection: Connection, run: Sequence[tuple[Command, UUID]], cards: dict[int, CardState], now: datetime
) -> list[_Request]:
    """Name every command and mint its ids: an entry's id carries its member."""
    numbers = iter(store.new_member_ids(connection, sum(isinstance(c, Enrol) for c, _ in run)))
    requests = []
    for place, (command, key) in enumerate(run):
        if isinstance(command, Enrol):
            member_id = next(numbers)
            minted = Minted(
                entry_id=ids.mint(now, member_id, place),
                member_id=member_id,
                public_id=ids.mint(now, member_id),
                card_number=card_number(secrets.randbelow(10**11)),
            )
        elif isinstance(command, Reverse):
            minted = Minted(entry_id=ids.mint(now, member_of(command.entry_id), place))
        elif isinstance(command, Capture | Void):
            minted = Minted(entry_id=ids.mint(now, member_of(command.hold_id), place))
        else:
            card = cards.get(command.card_number)
            minted = Minted(entry_id=ids.mint(now, card.member_id if card else 0, place))
        requests.append(
            _Request(
                command=command,
                key=key,
                content=content_hash(command),
                minted=minted,
            )
        )
    return requests


def _decide(
    connection: Connection,
    moment: Moment,
    cards: dict[int, CardState],
    requests: Sequence[_Request],
    rules: Rules,
) -> list[Decision | Rejected]:
    """Load what the requests touch, judge them, write what was decided."""
    if not requests:
        return []
    # An enrolment's member is new, an unknown card has member 0: neither has an account to lock.
    touched = {member_of(r.minted.entry_id) for r in requests if not isinstance(r.command, Enrol)} - {0}
    # Where dead lots may still stand (the sweep of this date has not been through), what can be spent is
    # not the balance: every member's lots are looked at then.
    today = rules.local_date(moment.now)
    swept = moment.lapsed_through >= today
    drawn = {member_of(r.minted.entry_id) for r in requests if isinstance(r.command, Redeem | Hold | Reverse)}
    members, due = store.load_members(
        connection, touched, touched & drawn if swept else touched, moment.now, today
    )
    named = {r.command.entry_id for r in requests if isinstance(r.command, Reverse)}
    named |= {r.command.hold_id for r in requests if isinstance(r.command, Capture | Void)}
    recorded = store.load_entries(connection, named | set(due))
    folded = Folded(LedgerState(moment=moment, cards=cards, members=members, recorded=recorded), today)
    ended = lapse_due(
        folded,
        [(recorded[one], Minted(entry_id=ids.mint(moment.now, member_of(one)))) for one in due],
        rules,
    )
    outcomes = decide_batch(folded, [(r.command, r.minted) for r in requests], rules)
    store.save(connection, [*ended, *(outcome for outcome in outcomes if isinstance(outcome, Decision))])
    refused = {
        request.key: outcome.reason
        for request, outcome in zip(requests, outcomes, strict=True)
        if isinstance(outcome, Rejected)
    }
    passing = {key for key, reason in refused.items() if reason in NOT_REMEMBERED}
    store.refuse(connection, {key: reason for key, reason in refused.items() if key not in passing})
    store.forget(connection, passing)
    return outcomes


def _recall(connection: Connection, keys: Sequence[UUID]) -> dict[UUID, tuple[UUID, Reply]]:
    """Content hash and stored answer of requests that were answered before."""
    recalled = store.recall(connection, keys)
    entries = store.load_entries(connection, [r.entry_id for r in recalled.values() if r.refusal is None])
    enrolled = store.load_enrolled(connection, [one.entry for one in entries.values()])
    known: dict[UUID, tuple[UUID, Reply]] = {}
    for key, stored in recalled.items():
        if stored.refusal is not None:
            reply = Reply(outcome=Rejected(stored.refusal), replayed=True)
        else:
            entry = entries[stored.entry_id].entry
            reply = Reply(outcome=entry, replayed=True, enrolled=enrolled.get(entry.entry_id))
        known[key] = (stored.content_hash, reply)
    return known
