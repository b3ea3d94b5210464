"""A batch of commands in one transaction: claim → load → decide → save → commit."""

import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date, datetime
from functools import partial
from hashlib import blake2b
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from network import ids, store
from network.abuse import names_watched, segments_watched
from network.abuse_store import save_cases
from network.asking import (
    asked_since,
    budgets_asked,
    members_asked,
    names_asked,
    once_only,
    plans_asked,
    plans_since,
)
from network.capped import AtCap, save_exposed, within_caps
from network.circle_store import load_gifts
from network.code_store import claim_packs, pack_named, release_packs
from network.commands import (
    Adjust,
    Command,
    Convert,
    Donate,
    Enrol,
    Gift,
    Hold,
    IssueVoucher,
    Join,
    KeepPledge,
    Merge,
    Reverse,
    Showing,
    Stake,
    Unmerge,
)
from network.decide import STRUCTURAL, decide, decide_batch, end_due
from network.errors import Busy, RulesStale, Unavailable
from network.game_store import lock_matches
from network.identity import card_number
from network.ids import member_of
from network.judging import judgement_of
from network.outcomes import NOT_REMEMBERED, CardState, Decision, LedgerState, Minted, Moment, Rejected, Reply
from network.programme_store import NOTHING_ASKED, Asked, lock_budgets
from network.rules import RETRYING, Folded, Rules
from network.save import save
from network.stored_value import VALUED
from network.touch import OF_MEMBER, SPENDING, cards_of, closed, named_by, touched

Done = TypeVar("Done")

_RETRIES = 3
_RETRIED = frozenset({"40001", "40P01", "23505", "26000", "0A000"})
"""Serialization, deadlock, a card number that was drawn twice (the next try draws another), and a prepared
statement that the server does not know or that a migration made stale (the next try prepares it)."""
_DRAWING = (
    *(*SPENDING, Reverse, Gift, Donate, Merge, Unmerge, Adjust, Stake, KeepPledge),
    *(IssueVoucher, Convert),
)
"""Commands that take points out of lots, and so have to see them."""
LOCK_TIMEOUT = "55P03"
_DISCONNECTED = frozenset({"57P01", "57P02", "57P03"})  # shutdown, crash, starting up


def request_key(partner_id: int, reference: str) -> UUID:
    """The 16-byte name under which a partner's reference is remembered."""
    return UUID(bytes=blake2b(f"{partner_id}\0live\0{reference}".encode(), digest_size=16).digest())


def content_hash(command: Command) -> UUID:
    """What the request said: the same reference with other content is an error.

    Of a request that could be made before a field was, the bytes are what they were then. A PIN is in no
    hash: all there are would be tried in a moment.
    """
    said: Any = command
    if isinstance(command, Showing) and command.pin:
        said = msgspec.structs.replace(command, pin="given")
    if isinstance(command, Reverse) and not command.lines:
        fields = {name: value for name, value in msgspec.structs.asdict(command).items() if name != "lines"}
        said = {"type": "reverse", **fields}
    return UUID(bytes=blake2b(msgspec.json.encode(said), digest_size=16).digest())


class _Request(msgspec.Struct, frozen=True, kw_only=True):
    """A command under its key, with the ids minted for it."""

    command: Command
    key: UUID
    content: UUID
    minted: Minted


class Known(msgspec.Struct):
    """What earlier tries have taught: accounts to lock, and partners to lock before anything is decided."""

    members: set[int] = msgspec.field(default_factory=set)
    at_cap: set[int] = msgspec.field(default_factory=set)


def execute(database: Engine, commands: Sequence[Command], rules: Rules) -> list[Reply]:
    """Carry out commands, in one transaction unless a reference stands twice, and answer each in order.

    Args:
        database: Where the ledger is.
        commands: Any number, of any partners.
        rules: The live rules.
    Raises:
        Unavailable: the database could not be reached or did not say whether it committed; safe to retry.
        Busy: rows that a command needs stayed locked by somebody else.
        RulesStale: the rules do not know all caps; nothing was done of the run that met them.
    """
    return [
        reply
        for run in _runs(commands)
        for reply in _attempted(database, partial(_transact, run=run, rules=rules))
    ]


def preview(database: Engine, command: Command, rules: Rules) -> tuple[Decision | Rejected, Folded]:
    """What a command would come to, without doing it; and the state it would meet.

    Accounts are locked for the moment that it takes, so that the answer is of one state. Holds whose time is
    over are not ended.

    Raises:
        Unavailable, Busy: as `execute` does.
    """
    return _attempted(database, partial(_preview, command=command, rules=rules))


def _preview(
    connection: Connection, known: Known, command: Command, rules: Rules
) -> tuple[Decision | Rejected, Folded]:
    moment, cards = _begin(connection, cards_of(command), rules)
    rules = rules.on(moment)
    [request] = _prepare(connection, [(command, UUID(int=0))], cards, moment.now)
    folded = _load(connection, moment, cards, [command], rules, known.members)
    return decide(folded, command, request.minted, rules), folded


def end_over_holds(database: Engine, members: Collection[int], rules: Rules) -> int:
    """Give back what the holds of members still hold whose time is over; how many holds were ended.

    Raises:
        Unavailable, Busy: as `execute` does.
    """
    return _attempted(database, partial(_end, members=members, rules=rules)) if members else 0


def _end(connection: Connection, known: Known, members: Collection[int], rules: Rules) -> int:
    moment, _ = _begin(connection, (), rules)
    rules = rules.on(moment)
    asked = known.members.union(members)
    folded = _locked(connection, moment, {}, asked, set(), rules, set(), ())
    needed = closed(folded, members)
    if not needed <= asked:
        raise _MoreAccounts(needed | asked)
    end_due(folded, needed, rules)
    save_exposed(connection, folded, rules)
    return len(folded.decided)


def _begin(
    connection: Connection, cards: Collection[int], rules: Rules
) -> tuple[Moment, dict[int, CardState]]:
    """Begin a batch, under rules that know who has a cap.

    Raises:
        RulesStale: they were read before somebody got one, or before what exposure is made of changed.
    """
    moment, known = store.begin(connection, cards)
    if moment.caps_basis != rules.caps.basis:
        raise RulesStale(
            f"the rules know caps as of {rules.caps.basis}, and the network is at {moment.caps_basis}: "
            "read them again"
        )
    return moment, known


def _runs(commands: Sequence[Command]) -> list[list[tuple[Command, UUID]]]:
    """Commands with their keys, cut where a key stands again: the first is then answered from memory.

    So where a command tries again what stands before it, that is answered by then; and so is who registers a
    pack before another does.
    A command that changes who belongs to whom is a run of its own: what others have to load depends on it.
    """
    runs: list[list[tuple[Command, UUID]]] = [[]]
    seen: set[UUID | int] = set()
    alone = False
    for command in commands:
        key = request_key(command.partner_id, command.reference)
        named = _retried_key(command)
        pack = pack_named(command)
        again = not seen.isdisjoint({key, named, pack})
        if again or alone or isinstance(command, STRUCTURAL):
            runs.append([])
            seen = set()
        alone = isinstance(command, STRUCTURAL)
        seen |= {one for one in (key, named, pack) if one is not None}
        runs[-1].append((command, key))
    return [run for run in runs if run]


def _retried_key(command: Command) -> UUID | None:
    """The key of the request that a command tries again."""
    if isinstance(command, RETRYING) and command.retries:
        return request_key(command.partner_id, command.retries)
    return None


class _MoreAccounts(Exception):
    """Under the locks it turned out that commands open more accounts, or that a card has moved: lock anew."""

    def __init__(self, members: set[int]) -> None:
        super().__init__(f"{len(members)} accounts")
        self.members = members


def _attempted(database: Engine, transact: Callable[[Connection, Known], Done]) -> Done:
    """Do something in a transaction, again where others came between, with all the rows it needs."""
    known = Known()
    tries = 0
    while tries < _RETRIES:
        try:
            with database.begin() as connection:
                return transact(connection, known)
        except _MoreAccounts as more:
            # Rare, and it ends: each time there are more, or somebody else has changed the members' bonds.
            tries += more.members <= known.members
            known.members |= more.members
            continue
        except AtCap as more:
            tries += more.partners <= known.at_cap
            known.at_cap |= more.partners
            continue
        except DBAPIError as error:
            state = getattr(error.orig, "sqlstate", None)
            if state in _RETRIED:
                tries += 1
                continue
            if state == LOCK_TIMEOUT:
                raise Busy(f"rows stayed locked: {error.orig}") from error
            if isinstance(error, OperationalError) or error.connection_invalidated or state in _DISCONNECTED:
                raise Unavailable(f"the ledger's database did not answer: {error.orig}") from error
            raise
        except PoolTimeout as error:
            raise Unavailable(f"no connection to the ledger's database was free: {error}") from error
    raise Busy("the batch met others again and again")


def _transact(
    connection: Connection, known: Known, run: Sequence[tuple[Command, UUID]], rules: Rules
) -> list[Reply]:
    """Carry out a run; what is `known` is locked in any case, because an earlier try needed it."""
    moment, cards = _begin(connection, {n for command, _ in run for n in cards_of(command)}, rules)
    rules = rules.on(moment)  # a version takes effect with a day, and so between batches
    requests = _prepare(connection, run, cards, moment.now)
    fresh = store.claim(
        connection,
        [request.key for request in requests],
        [request.content for request in requests],
        [request.minted.entry_id for request in requests],
        moment.business_date,
    )
    outcomes = iter(_decide(connection, moment, cards, [r for r in requests if r.key in fresh], rules, known))
    answered = _recall(connection, [request.key for request in requests if request.key not in fresh])
    return [
        _decided(next(outcomes)) if request.key in fresh else _remembered(request, *answered[request.key])
        for request in requests
    ]


def _decided(outcome: Decision | Rejected) -> Reply:
    if isinstance(outcome, Decision):
        return Reply(
            outcome=outcome.entry,
            enrolled=outcome.enrolled,
            postings=outcome.postings,
            asked=outcome.asked,
            discount_minor=outcome.discount_minor,
            voucher=outcome.voucher,
        )
    return Reply(outcome=outcome)


def _remembered(request: _Request, content: UUID, reply: Reply) -> Reply:
    """The answer that was given before, if the request says what it said then."""
    return reply if content == request.content else Reply(outcome=Rejected("reference_reused"))


def _prepare(
    connection: Connection,
    run: Sequence[tuple[Command, UUID]],
    cards: Mapping[int, CardState],
    now: datetime,
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
        else:
            minted = Minted(entry_id=ids.mint(now, _member_of(command, cards), place))
        requests.append(
            _Request(
                command=command,
                key=key,
                content=content_hash(command),
                minted=minted,
            )
        )
    return requests


def _member_of(command: Command, cards: Mapping[int, CardState]) -> int:
    """The member whose entry a command makes; 0 where its card is not known."""
    if isinstance(command, OF_MEMBER):
        return command.member_id
    named = named_by(command)
    numbers = cards_of(command)
    if numbers:
        return cards[numbers[0]].member_id if numbers[0] in cards else 0
    return 0 if named is None else member_of(named)


def _decide(
    connection: Connection,
    moment: Moment,
    cards: Mapping[int, CardState],
    requests: Sequence[_Request],
    rules: Rules,
    known: Known,
) -> list[Decision | Rejected]:
    """Load what the requests touch, judge them, write what was decided."""
    if not requests:
        return []
    retries = {r.key: named for r in requests if (named := _retried_key(r.command)) is not None}
    retried = store.lock_retried(connection, retries.values()) if retries else {}
    packs = {pack: r.minted.entry_id for r in requests if (pack := pack_named(r.command)) is not None}
    used = claim_packs(connection, packs)
    folded = _load(connection, moment, cards, [r.command for r in requests], rules, known.members)
    if used:
        folded = folded.with_used(used)
    if retries:
        folded = folded.with_retried(
            {
                (r.command.partner_id, r.command.retries): retried[retries[r.key]]
                for r in requests
                if isinstance(r.command, RETRYING) and retries.get(r.key) in retried
            }
        )
    judged = [(r.command, r.minted) for r in requests]
    outcomes = decide_batch(folded, judged, rules)
    if rules.caps.partners:
        folded, outcomes = within_caps(connection, folded, judged, outcomes, rules, known.at_cap)
    else:
        save(connection, folded.decided, folded.owed, rules.directory.hooks)
    save_cases(connection, judged, outcomes, moment.now)
    refused = {
        request.key: outcome.reason
        for request, outcome in zip(requests, outcomes, strict=True)
        if isinstance(outcome, Rejected)
    }
    passing = {key for key, reason in refused.items() if reason in NOT_REMEMBERED}
    store.refuse(connection, {key: reason for key, reason in refused.items() if key not in passing})
    store.forget(connection, passing)
    registered = {decision.pack for decision in outcomes if isinstance(decision, Decision)}
    release_packs(connection, packs.keys() - used - registered)
    store.take_retried(connection, {named: key for key, named in retries.items() if key not in refused})
    return outcomes


def _load(
    connection: Connection,
    moment: Moment,
    cards: Mapping[int, CardState],
    commands: Sequence[Command],
    rules: Rules,
    members: set[int],
) -> Folded:
    """Lock the accounts that commands touch, in order, and read what is in them.

    Raises:
        _MoreAccounts: they touch more than could be known before the locks.
    """
    drawing = [c for c in commands if isinstance(c, _DRAWING)]
    # An unknown card has no member, and an enrolment's member is new: neither has an account to lock.
    asked = members | _named(commands, cards)
    drawn = members | _named(drawing, cards)
    spenders = _named([c for c in drawing if isinstance(c, SPENDING)], cards)
    spenders |= {member_of(c.invitation_id) for c in commands if isinstance(c, Join)}
    if spenders:
        mates = store.load_mates(connection, spenders)
        asked |= mates
        drawn |= mates
    named = {one for one in map(named_by, commands) if one is not None}
    try:
        folded = _locked(connection, moment, cards, asked, drawn, rules, named, commands)
    except store.CardsMoved:
        raise _MoreAccounts(set()) from None
    needed = touched(folded, commands)
    looked_into = touched(folded, drawing)
    if any(folded.in_pool(member_id) for member_id in spenders):
        # Who has joined since is not in what was loaded; under these locks nobody joins any more.
        needed |= store.load_mates(connection, spenders)
    # Two gifts that close one circle at two tills may share nobody: under the locks of all who gave they do.
    needed |= folded.loaded.looked_back
    if not needed <= asked or not looked_into <= drawn:
        raise _MoreAccounts(needed | asked)
    return folded


def _locked(
    connection: Connection,
    moment: Moment,
    cards: Mapping[int, CardState],
    asked: set[int],
    drawn: set[int],
    rules: Rules,
    named: set[UUID],
    commands: Sequence[Command],
) -> Folded:
    """Lock accounts and read them: the lots of `drawn`, the entries named, and holds that are over."""
    today = rules.local_date(moment.now)
    # Where dead lots may still stand (the sweep of this date has not been through), what can be spent is
    # not the balance: every member's lots are looked at then.
    judging = (rules.programme.plans or rules.programme.abuse or once_only(commands)) and _rules_ask(
        commands, cards, rules, today
    )
    loaded, due, counters = store.load_members(
        connection,
        asked,
        drawn if moment.lapsed_through >= today else asked,
        {number: card.member_id for number, card in cards.items()},
        moment.now,
        today,
        merging=any(isinstance(c, Merge) for c in commands),
        whole=any(isinstance(c, Merge | Unmerge) for c in commands),
        holding=any(isinstance(c, Hold) for c in commands),
        valued=any(isinstance(c, VALUED) for c in commands),
        plans_since=plans_since(commands, rules, today),
        rules_ask=judging or NOTHING_ASKED,
    )
    entries = store.load_entries(connection, named.union(*due.values()))
    gifts, looked_back = load_gifts(connection, commands, cards, rules)
    over = {
        member_id: {one: Minted(entry_id=ids.mint(moment.now, member_id)) for one in holds}
        for member_id, holds in due.items()
    }
    state = LedgerState(
        moment=moment,
        cards=cards,
        members=loaded,
        recorded=entries,
        due=over,
        counters=counters,
        matches=lock_matches(connection, {c.match_id for c in commands if isinstance(c, Stake)}),
        gifts=gifts,
        looked_back=looked_back,
        budgets=lock_budgets(connection, budgets_asked(commands, entries, rules)),
    )
    return Folded(state, today)


def _rules_ask(
    commands: Sequence[Command], cards: Mapping[int, CardState], rules: Rules, today: date
) -> Asked:
    """What the rules that judge a batch have to know of its members."""
    plans = plans_asked(commands, rules)
    return Asked(
        members=members_asked(commands, cards, rules),
        names=names_asked(commands, plans, rules) | names_watched(commands, rules.programme),
        since=asked_since(today),
        segments=any(plan.segments for plan in plans) or segments_watched(rules.programme),
        coupons=any(plan.coupons for plan in plans),
    )


def _named(commands: Sequence[Command], cards: Mapping[int, CardState]) -> set[int]:
    """The members of the cards and ids that commands name: what is known before anything is read."""
    numbers = {number for command in commands for number in cards_of(command)}
    entries = {named_by(command) for command in commands} - {None}
    reviewed = {command.member_id for command in commands if isinstance(command, OF_MEMBER)}
    return (
        {cards[number].member_id for number in numbers if number in cards}
        | reviewed
        | {member_of(one) for one in entries if one is not None}
    )


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
            recorded = entries[stored.entry_id]
            reply = Reply(
                outcome=recorded.entry,
                replayed=True,
                enrolled=enrolled.get(recorded.entry.entry_id),
                postings=recorded.postings,
                asked=recorded.asked,
                discount_minor=judgement_of(recorded).discount_minor,
                voucher=recorded.voucher,
            )
        known[key] = (stored.content_hash, reply)
    return known
