"""What a batch reads and writes for its programme: counters, segments, budgets, judgements, tiers.

Read only where a live rule of a partner of the batch asks for it; the statements join the round trip that
locks the accounts. Rows of members change under the lock of their account; rows of budgets are locked last.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from uuid import UUID

import msgspec
from msgspec import UnsetType
from sqlalchemy import Connection, text

from network import award_store, game_store
from network import programme_tables as tables
from network.bulk import Insert, dates, equal_length, insert_from_arrays, integers, texts
from network.model import NEVER, AccountKind, Lot, Unit
from network.outcomes import Decision
from network.pipeline import Answer, Pipeline
from network.programme.counters import EVER
from network.rules import in_lot
from network.tables import account

_COUNTERS = text(
    "SELECT member_id, name, period, value FROM member_counter"
    " WHERE member_id = ANY(CAST(:members AS bigint[])) AND name = ANY(CAST(:names AS text[]))"
    f" AND (period >= :since OR period = '{EVER}')"
)
_SEGMENTS = text(
    "SELECT member_id, segment FROM member_segment WHERE member_id = ANY(CAST(:members AS bigint[]))"
)
_COUPONS = text(
    "SELECT member_id, coupon, first_on, last_on FROM coupon"
    " WHERE member_id = ANY(CAST(:members AS bigint[]))"
)
_MAKE_BUDGETS = text(
    "INSERT INTO rule_budget (rule_id, period, points)"
    " SELECT u.rule_id, u.period, 0 FROM unnest(CAST(:rules AS text[]), CAST(:periods AS date[]))"
    " AS u (rule_id, period) ORDER BY 1, 2 ON CONFLICT DO NOTHING"
)
_LOCK_BUDGETS = text(
    "SELECT b.rule_id, b.period, b.points FROM rule_budget b"
    " WHERE b.rule_id = ANY(CAST(:rules AS text[])) AND b.period = ANY(CAST(:periods AS date[]))"
    " ORDER BY b.rule_id, b.period FOR UPDATE"
)
_SPEND_BUDGETS = text(
    "UPDATE rule_budget b SET points = b.points + u.points"
    " FROM unnest(CAST(:rules AS text[]), CAST(:periods AS date[]), CAST(:points AS bigint[]))"
    " AS u (rule_id, period, points) WHERE b.rule_id = u.rule_id AND b.period = u.period"
)
_COUNT = insert_from_arrays(
    tables.member_counter,
    ("member_id", "name", "period", "value"),
    "ON CONFLICT (member_id, name, period) DO UPDATE SET value = member_counter.value + excluded.value",
)
_INSERT_JUDGEMENTS = insert_from_arrays(tables.judgement, ("member_id", "entry_id", "judgement"))
_INSERT_TIERS = insert_from_arrays(tables.tier_change, ("member_id", "entry_id", "tier", "tier_until"))


_MAKE_BESIDE = insert_from_arrays(account, ("member_id", "unit", "balance"), "ON CONFLICT DO NOTHING")
_CHANGE_BESIDE = text(
    "UPDATE account a SET balance = a.balance + u.change"
    " FROM unnest(CAST(:members AS bigint[]), CAST(:units AS smallint[]), CAST(:changes AS bigint[]))"
    " AS u (member_id, unit, change)"
    " WHERE a.member_id = ANY(CAST(:members AS bigint[])) AND a.member_id = u.member_id AND a.unit = u.unit"
)


_STATUS_LOTS = text(
    "SELECT member_id, issuer_id, terms_version, spendable_on, expires_on, remaining FROM lot"
    " WHERE member_id = ANY(CAST(:members AS bigint[])) AND unit = :unit AND remaining > 0"
)
_ALL_COUNTERS = text(
    "SELECT member_id, name, period, value FROM member_counter"
    " WHERE member_id = ANY(CAST(:members AS bigint[])) AND value <> 0"
)


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a batch's rules ask for beside the accounts.

    Counters by name, of whom, since when; segments; coupons.
    """

    members: Collection[int] = ()
    names: Collection[str] = ()
    since: date = EVER
    segments: bool = False
    coupons: bool = False


NOTHING_ASKED = Asked()
Counters = dict[tuple[int, str, date], int]
Coupons = dict[int, dict[str, tuple[date, date]]]
Budgets = dict[tuple[str, date], int]


class Answers(msgspec.Struct, frozen=True):
    """Statements under way."""

    counters: Answer | None
    segments: Answer | None
    coupons: Answer | None

    def read(self) -> tuple[Counters, dict[int, frozenset[str]], Coupons]:
        """What they came to: counters; segments and coupons by member."""
        counters = {} if self.counters is None else {(m, n, p): value for m, n, p, value in self.counters}
        segments: dict[int, set[str]] = {}
        for member_id, segment in () if self.segments is None else self.segments:
            segments.setdefault(member_id, set()).add(segment)
        coupons: Coupons = {}
        for member_id, coupon, *days in () if self.coupons is None else self.coupons:
            coupons.setdefault(member_id, {})[coupon] = (days[0], days[1])
        return counters, {member_id: frozenset(names) for member_id, names in segments.items()}, coupons


class Whole(msgspec.Struct, frozen=True):
    """Statements under way: all status points and counters of members who are merged, or are no more."""

    lots: Answer
    counters: Answer

    def read(self) -> tuple[dict[int, list[Lot]], Counters]:
        """What they came to: lots of status points by member, and counters."""
        lots: dict[int, list[Lot]] = {}
        for member_id, issuer_id, version, spendable_on, expires_on, remaining in self.lots:
            lots.setdefault(member_id, []).append(
                Lot(issuer_id, version, spendable_on, expires_on, remaining, expires_on)
            )
        return lots, {(m, n, p): value for m, n, p, value in self.counters}


def ask_whole(pipeline: Pipeline, members: str) -> Whole:
    """Add the statements that a merge, or its end, needs; `members` is an array's text."""
    wanted = {"members": members, "unit": int(Unit.STATUS)}
    return Whole(pipeline.ask(_STATUS_LOTS, wanted), pipeline.ask(_ALL_COUNTERS, {"members": members}))


def ask(pipeline: Pipeline, asked: Asked) -> Answers:
    """Add the statements that a batch needs, none where nothing is asked."""
    members = integers(asked.members)
    wanted = {"members": members, "names": texts(asked.names), "since": asked.since}
    return Answers(
        pipeline.ask(_COUNTERS, wanted) if asked.names and asked.members else None,
        pipeline.ask(_SEGMENTS, {"members": members}) if asked.segments and asked.members else None,
        pipeline.ask(_COUPONS, {"members": members}) if asked.coupons and asked.members else None,
    )


def lock_budgets(connection: Connection, keys: Collection[tuple[str, date]]) -> Budgets:
    """Lock budgets in order, and read what they have given; those that never gave are made."""
    if not keys:
        return {}
    rules, periods = zip(*sorted(keys), strict=True)
    wanted = {"rules": texts(rules), "periods": dates(periods)}
    with Pipeline(connection) as pipeline:
        pipeline.ask(_MAKE_BUDGETS, wanted)
        return {(rule_id, period): points for rule_id, period, points in pipeline.ask(_LOCK_BUDGETS, wanted)}


def save(pipeline: Pipeline, decisions: Sequence[Decision]) -> None:
    """Write what decisions counted, spent, judged, and into which tiers they put members."""
    judged = [d for d in decisions if d.judgement is not None]
    if judged:
        _insert(
            pipeline,
            _INSERT_JUDGEMENTS,
            {
                "member_id": [d.entry.member_id for d in judged],
                "entry_id": [d.entry.entry_id for d in judged],
                "judgement": [d.judgement for d in judged],
            },
        )
    _save_beside(pipeline, decisions)
    _save_counters(pipeline, decisions)
    _save_tiers(pipeline, decisions)
    _save_budgets(pipeline, decisions)
    award_store.save(pipeline, decisions)
    game_store.save(pipeline, decisions)


def _save_beside(pipeline: Pipeline, decisions: Sequence[Decision]) -> None:
    """Balances of all that is no points: an account of a unit begins with the first."""
    sums: dict[tuple[int, Unit], int] = {}
    for decision in decisions:
        for posting in decision.postings:
            if posting.unit is not Unit.POINTS and AccountKind.MEMBER in (posting.debit, posting.credit):
                key = (decision.entry.member_id, posting.unit)
                sums[key] = sums.get(key, 0) + in_lot(posting)
    if not sums:
        return
    members, units = [member for member, _ in sums], [int(unit) for _, unit in sums]
    accounts = {"member_id": members, "unit": units, "balance": [0] * len(sums)}
    pipeline.ask(_MAKE_BESIDE.statement, _MAKE_BESIDE.bound(accounts))
    changes = {
        "members": integers(members),
        "changes": integers(sums.values()),
        "units": integers(units),
    }
    pipeline.change(_CHANGE_BESIDE, changes, len(sums), "balances beside points changed")


def _save_counters(pipeline: Pipeline, decisions: Sequence[Decision]) -> None:
    sums: Counters = {}
    for decision in decisions:
        for (name, period), change in decision.counted.items():
            key = (decision.counted_for or decision.entry.member_id, name, period)
            sums[key] = sums.get(key, 0) + change
    if sums:
        members, names, periods = zip(*sums, strict=True)
        values = list(sums.values())
        _insert(
            pipeline,
            _COUNT,
            {"member_id": members, "name": names, "period": periods, "value": values},
        )


def _save_tiers(pipeline: Pipeline, decisions: Sequence[Decision]) -> None:
    made: list[tuple[int, UUID, str, date]] = []
    for decision in decisions:
        tier, until = decision.account.tier, decision.account.tier_until
        if not isinstance(tier, UnsetType):
            entry = decision.entry
            ends = NEVER if isinstance(until, UnsetType) else until
            made.append((entry.member_id, entry.entry_id, tier, ends))
    if made:
        names = ("member_id", "entry_id", "tier", "tier_until")
        columns = zip(names, zip(*made, strict=True), strict=True)
        _insert(pipeline, _INSERT_TIERS, {name: list(column) for name, column in columns})


def _save_budgets(pipeline: Pipeline, decisions: Sequence[Decision]) -> None:
    spent: Budgets = {}
    for decision in decisions:
        for key, points in decision.spent.items():
            spent[key] = spent.get(key, 0) + points
    if spent:
        rules, periods = zip(*spent, strict=True)
        arrays = {"rules": texts(rules), "periods": dates(periods), "points": integers(spent.values())}
        pipeline.change(_SPEND_BUDGETS, arrays, len(spent), "budgets of rules changed")


def _insert(pipeline: Pipeline, insert: Insert, arrays: Mapping[str, Sequence[object]]) -> None:
    rows = equal_length(arrays)
    pipeline.change(insert.statement, insert.bound(arrays), rows, insert.table.name)
