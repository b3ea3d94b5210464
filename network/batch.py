"""A batch of commands in one transaction: claim → load → decide → save → commit."""

import secrets
from collections.abc import Sequence
from datetime import datetime
from hashlib import blake2b
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, OperationalError

from network import ids, store
from network.decide import decide_batch, lapse_due
from network.errors import Unavailable
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
_RETRIED = frozenset({"40001", "40P01", "55P03"})  # serialization, deadlock, lock timeout
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
    """Carry out commands in one transaction and answer each, in order.

    Args:
        database: Where the ledger is.
        commands: Any number, of any partners; the same reference may stand in it twice.
        rules: The live rules.
    Raises:
        Unavailable: the database could not be reached or did not say whether it committed; safe to retry.
    """
    for attempt in range(_RETRIES):
        try:
            with database.begin() as connection:
                return _execute(connection, commands, rules)
        except DBAPIError as error:
            state = getattr(error.orig, "sqlstate", None)
            if state in _RETRIED and attempt + 1 < _RETRIES:
                continue
            if isinstance(error, OperationalError) or error.connection_invalidated or state in _DISCONNECTED:
                raise Unavailable(f"the ledger's database did not answer: {error.orig}") from error
            raise
    raise Unavailable("the ledger is busy: rows stayed locked")


def _execute(connection: Connection, commands: Sequence[Command], rules: Rules) -> list[Reply]:
    moment = store.begin(connection)
    cards = store.load_cards(
        connection, {c.card_number for c in commands if isinstance(c, Accrue | Redeem | Hold)}
    )
    requests = _prepare(connection, commands, cards, moment.now)
    first: dict[UUID, _Request] = {}
    for request in requests:
        first.setdefault(request.key, request)
    fresh = store.claim(
        connection,
        list(first),
        [request.content for request in first.values()],
        [request.minted.entry_id for request in first.values()],
        moment.business_date,
    )
    to_decide = [request for key, request in first.items() if key in fresh]
    outcomes = _decide(connection, moment, cards, to_decide, rules)
    answers = {
        request.key: (request.content, outcome) for request, outcome in zip(to_decide, outcomes, strict=True)
    }
    known = _recall(connection, [key for key in first if key not in fresh])
    return _replies(requests, answers, known)


def _prepare(
    connection: Connection, commands: Sequence[Command], cards: dict[int, CardState], now: datetime
) -> list[_Request]:
    """Name every command and mint its ids: an entry's id carries its member."""
    numbers = iter(store.new_member_ids(connection, sum(isinstance(c, Enrol) for c in commands)))
    requests = []
    for command in commands:
        if isinstance(command, Enrol):
            member_id = next(numbers)
            minted = Minted(
                entry_id=ids.mint(now, member_id),
                member_id=member_id,
                public_id=ids.mint(now, member_id),
                card_number=card_number(secrets.randbelow(10**11)),
            )
        elif isinstance(command, Reverse):
            minted = Minted(entry_id=ids.mint(now, member_of(command.entry_id)))
        elif isinstance(command, Capture | Void):
            minted = Minted(entry_id=ids.mint(now, member_of(command.hold_id)))
        else:
            card = cards.get(command.card_number)
            minted = Minted(entry_id=ids.mint(now, card.member_id if card else 0))
        requests.append(
            _Request(
                command=command,
                key=request_key(command.partner_id, command.reference),
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
    accepted = [r.entry_id for r in recalled.values() if r.refusal is None]
    entries = store.load_entries(connection, accepted)
    enrolled = (
        store.load_enrolled(connection, {member_of(entry_id) for entry_id in accepted}) if accepted else {}
    )
    known: dict[UUID, tuple[UUID, Reply]] = {}
    for key, stored in recalled.items():
        if stored.refusal is not None:
            reply = Reply(outcome=Rejected(stored.refusal), replayed=True)
        else:
            entry = entries[stored.entry_id].entry
            public_id, number = enrolled[entry.member_id]
            minted = Minted(
                entry_id=entry.entry_id, member_id=entry.member_id, public_id=public_id, card_number=number
            )
            reply = Reply(outcome=entry, replayed=True, enrolled=minted)
        known[key] = (stored.content_hash, reply)
    return known


def _replies(
    requests: Sequence[_Request],
    answers: dict[UUID, tuple[UUID, Decision | Rejected]],
    known: dict[UUID, tuple[UUID, Reply]],
) -> list[Reply]:
    """Answer each request: as decided, or as it was answered before, here or earlier in this batch."""
    replies = []
    decided = {
        key: (
            content,
            Reply(outcome=outcome.entry, enrolled=outcome.enrolled)
            if isinstance(outcome, Decision)
            else Reply(outcome=outcome),
        )
        for key, (content, outcome) in answers.items()
    }
    answered = {**known, **decided}
    seen: set[UUID] = set()
    for request in requests:
        content, reply = answered[request.key]
        if content != request.content:
            replies.append(Reply(outcome=Rejected("reference_reused")))
        elif request.key in seen:
            replies.append(msgspec.structs.replace(reply, replayed=True))
        else:
            replies.append(reply)
        seen.add(request.key)
    return replies
