"""Exposure of capped partners as rows: locked in order, after everything else; added to once per batch.

A capped partner has one row for each currency that it owes in, most have one. Whoever moves them locks them
by `ORDER BY … FOR UPDATE` and reads them in a later statement, which sees what the lock waited for. A batch
sends lock, look and change with all that it saves, and looks at the answer before it commits; only where the
limit may have been passed does it begin again, with the lock before the decisions (network.batch).

What passes a threshold, up or down, is a row of `exposure_move` in the same transaction: append-only,
numbered per partner under its lock, so that each crossing is there once.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal, localcontext
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, text

from network import tables
from network.bulk import insert_from_arrays, integers
from network.caps import EXACT, Caps, Exposure, Holding, Holdings, Level, exposure_of, worth
from network.exposure import Holder, plus
from network.outcomes import Moment
from network.pipeline import Pipeline
from network.rules import Rules
from network.store import begin
from partners.hooks.events import Told
from partners.hooks.outbox import publish
from partners.rates_store import load_fixings, load_vat_rates
from partners.store import load_terms

_FIXINGS_FOR = timedelta(days=366)
"""A fixing counts for exposure so long."""
_OF = " WHERE partner_id = ANY(CAST(:partners AS integer[]))"
_LOCK = text(f"SELECT partner_id FROM exposure{_OF} ORDER BY partner_id, currency FOR UPDATE")
_LOCK_ALL = text("SELECT partner_id FROM exposure ORDER BY partner_id, currency FOR UPDATE")
_STANDING = (
    "SELECT e.partner_id, e.currency, e.owed, e.held, e.points, e.deposit,"
    " coalesce(m.level, 0) AS level, coalesce(m.number, 0) AS number"
    " FROM exposure e LEFT JOIN LATERAL (SELECT level, number FROM exposure_move m"
    " WHERE m.partner_id = e.partner_id ORDER BY number DESC LIMIT 1) m ON true"
)
_READ = text(f"{_STANDING} WHERE e.partner_id = ANY(CAST(:partners AS integer[]))")
_READ_ALL = text(_STANDING)
_KEY = ("partner_id", "currency")
_SUMS = ("owed", "held", "points", "deposit")
_ADD = insert_from_arrays(
    tables.exposure,
    (*_KEY, *_SUMS),
    f"ON CONFLICT ({', '.join(_KEY)}) DO UPDATE SET "
    + ", ".join(f"{name} = exposure.{name} + excluded.{name}" for name in _SUMS),
)
_MOVE_COLUMNS = (
    *("partner_id", "number", "window_id", "level_before", "level", "amount", "limit_amount", "currency"),
    *("seen_by", "moved_at"),
)
_RECORD = insert_from_arrays(tables.exposure_move, _MOVE_COLUMNS)
_BASIS = text("SELECT caps_basis FROM network")
_CAPPED = text("SELECT DISTINCT partner_id FROM exposure WHERE moved_by_tills")
_TOLD = text(
    "SELECT DISTINCT partner_id, level FROM exposure_move WHERE window_id = :window_id"
    " AND partner_id = ANY(:partners) AND level > level_before"
)
_MOVES = text(
    f"SELECT {', '.join(_MOVE_COLUMNS)} FROM exposure_move"
    " WHERE (CAST(:window_id AS integer) IS NULL OR window_id = :window_id)"
    " ORDER BY moved_at DESC, partner_id, number DESC LIMIT :limit"
)


class Standing(msgspec.Struct, frozen=True):
    """A partner's sums by currency, and the last of its moves between levels."""

    holdings: Holdings
    level: Level
    number: int


class Warned(msgspec.Struct, frozen=True, kw_only=True):
    """What a partner is told: how near it came to the most it may owe, in major units of `currency`."""

    level: str
    exposure: Decimal
    limit: Decimal | None
    currency: str
    business_date: date
    moved_at: datetime


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """A partner has come to another level: past a threshold of its limit, or back.

    `amount` and `limit_amount` in major units of `currency`; no limit where it has no cap any more.
    `seen_by`: `commit`, of the batch that did it, or `worker`, which finds what nights, rates and contracts
    did.
    """

    partner_id: int
    number: int
    window_id: int
    level_before: int
    level: int
    amount: Decimal
    limit_amount: Decimal | None
    currency: str
    seen_by: str
    moved_at: datetime

    @property
    def is_warning(self) -> bool:
        """Whether it went up."""
        return self.level > self.level_before


def load_caps(connection: Connection, today: date) -> Caps:
    """Who has a cap, and what exposure is made and valued with besides contracts.

    The basis is read first: what is read after it may be newer, and then the basis does not match any batch.
    """
    basis: int = connection.execute(_BASIS).scalar_one_or_none() or 0
    partners = frozenset(connection.execute(_CAPPED).scalars())
    if not partners:
        return Caps(basis=basis)
    return Caps(
        basis=basis,
        partners=partners,
        vat=load_vat_rates(connection),
        # Through tomorrow: somewhere that is today already.
        fixings=load_fixings(connection, since=today - _FIXINGS_FOR, through=today + timedelta(days=1)),
    )


def lock(connection: Connection, partners: Collection[int]) -> dict[int, Standing]:
    """Lock rows of partners, in order, and read them in a later statement. Nothing is locked after them."""
    wanted = {"partners": integers(sorted(partners))}
    with Pipeline(connection) as pipeline:
        pipeline.ask(_LOCK, wanted)
        return _standings(pipeline.ask(_READ, wanted))


def add(pipeline: Pipeline, added: Mapping[Holder, Holding]) -> dict[int, Standing]:
    """Lock, look and add, with all that the pipeline has gathered; how these partners stood before."""
    wanted = {"partners": integers(sorted({partner_id for partner_id, _ in added}))}
    pipeline.ask(_LOCK, wanted)
    stood = pipeline.ask(_READ, wanted)
    _add(pipeline, added)
    return _standings(stood)


def add_all(connection: Connection, added: Mapping[Holder, Holding]) -> None:
    """Add to rows outside of a batch, where they are there; all rows are locked, so that any order will do.

    Call it as late as possible: tills of capped partners wait until the transaction ends.
    """
    if not added:
        return
    with Pipeline(connection) as pipeline:
        pipeline.ask(_LOCK_ALL)
        capped = {row[0] for row in pipeline.ask(_READ_ALL)}
        moved = {key: holding for key, holding in added.items() if key[0] in capped}
        if moved:
            _add(pipeline, moved)


def lapsed(connection: Connection, by_version: Iterable[tuple[int, int, int]]) -> None:
    """Take points that a sweep let lapse from what is outstanding of capped issuers.

    Args:
        by_version: Issuer, terms version, points.
    """
    capped = set(connection.execute(_CAPPED).scalars())
    gone = [row for row in by_version if row[0] in capped]
    if gone:
        terms = load_terms(connection)
        versions = {(one.partner_id, one.terms_version): one for of in terms.values() for one in of}
        with localcontext(EXACT):
            parts = [
                (
                    (issuer_id, versions[issuer_id, version].currency),
                    Holding(points=-points * (1 - versions[issuer_id, version].funding_share)),
                )
                for issuer_id, version, points in gone
            ]
        add_all(connection, summed(parts))


def read_standings(connection: Connection) -> dict[int, Standing]:
    """Of every capped partner, without a lock."""
    with Pipeline(connection) as pipeline:
        return _standings(pipeline.ask(_READ_ALL))


def read_exposures(connection: Connection, rules: Rules, on: date) -> list[Exposure]:
    """The exposure of every capped partner as it is now, valued on a local day, by partner."""
    found = []
    for partner_id, stood in sorted(read_standings(connection).items()):
        valued = worth(rules.caps, rules.directory, partner_id, on)
        if valued is not None:
            found.append(exposure_of(stood.holdings, valued))
    return found


def read_moves(connection: Connection, *, window_id: int | None = None, limit: int = 100) -> list[Move]:
    """Moves between levels, the latest first; of one window, or of all."""
    rows = connection.execute(_MOVES, {"window_id": window_id, "limit": limit})
    return [Move(**row._asdict()) for row in rows]


def note_moves(
    connection: Connection,
    stood: Mapping[int, Standing],
    added: Mapping[Holder, Holding],
    rules: Rules,
    moment: Moment,
    *,
    seen_by: str = "commit",
) -> list[Move]:
    """Record which partners have come to another level; their rows are locked."""
    today = rules.local_date(moment.now)
    moves = []
    for partner_id, before in sorted(stood.items()):
        valued = worth(rules.caps, rules.directory, partner_id, today)
        if valued is None:
            continue
        now = exposure_of(plus(before.holdings, partner_id, dict(added)), valued)
        if now.level is not before.level:
            moves.append(
                Move(
                    partner_id=partner_id,
                    number=before.number + 1,
                    window_id=moment.window_id,
                    level_before=int(before.level),
                    level=int(now.level),
                    amount=now.amount,
                    limit_amount=now.limit,
                    currency=now.currency,
                    seen_by=seen_by,
                    moved_at=moment.now,
                )
            )
    if moves:
        _tell(connection, [one for one in moves if one.is_warning], moment)
        arrays = {name: [getattr(move, name) for move in moves] for name in _MOVE_COLUMNS}
        with Pipeline(connection) as pipeline:
            pipeline.change(_RECORD.statement, _RECORD.bound(arrays), len(moves), "moves recorded")
    return moves


def _tell(connection: Connection, warnings: Sequence[Move], moment: Moment) -> None:
    """Tell partners that listen, once a window for each level: one that goes up and down is not news."""
    if not warnings:
        return
    wanted = {"window_id": moment.window_id, "partners": sorted({one.partner_id for one in warnings})}
    known = {tuple(row) for row in connection.execute(_TOLD, wanted)}
    told = [
        Told(
            partner_id=one.partner_id,
            type="exposure.warning",
            data=Warned(
                level=Level(one.level).name.lower(),
                exposure=one.amount,
                limit=one.limit_amount,
                currency=one.currency,
                business_date=moment.business_date,
                moved_at=one.moved_at,
            ),
        )
        for one in warnings
        if (one.partner_id, one.level) not in known
    ]
    publish(connection, told, at=moment.now)


def watch(database: Engine, rules: Rules) -> list[Move]:
    """Record what no batch has seen: levels that nights, rates, fixings or contracts have changed.

    Locks rows only where there is something to record.
    """
    with database.connect() as connection:
        moment, _ = begin(connection)
        known = read_standings(connection)
    today = rules.local_date(moment.now)
    moved = []
    for partner_id, stood in known.items():
        valued = worth(rules.caps, rules.directory, partner_id, today)
        if valued is not None and exposure_of(stood.holdings, valued).level is not stood.level:
            moved.append(partner_id)
    if not moved:
        return []
    with database.begin() as connection:
        moment, _ = begin(connection)
        return note_moves(connection, lock(connection, moved), {}, rules, moment, seen_by="worker")


def _add(pipeline: Pipeline, added: Mapping[Holder, Holding]) -> None:
    rows = [(*key, *msgspec.structs.astuple(holding)) for key, holding in sorted(added.items())]
    columns = dict(zip((*_KEY, *_SUMS), map(list, zip(*rows, strict=True)), strict=True))
    pipeline.change(_ADD.statement, _ADD.bound(columns), len(rows), "exposures changed")


def _standings(rows: Iterable[tuple[Any, ...]]) -> dict[int, Standing]:
    holdings: dict[int, dict[str, Holding]] = {}
    last: dict[int, tuple[Level, int]] = {}
    for partner_id, currency, owed, held, points, deposit, level, number in rows:
        holdings.setdefault(partner_id, {})[currency] = Holding(owed, held, points, deposit)
        last[partner_id] = (Level(level), number)
    return {partner_id: Standing(of, *last[partner_id]) for partner_id, of in holdings.items()}


def summed(parts: Iterable[tuple[Holder, Holding]]) -> dict[Holder, Holding]:
    """Holdings of the same partner and currency together."""
    total: dict[Holder, Holding] = {}
    with localcontext(EXACT):
        for key, holding in parts:
            total[key] = total.get(key, Holding()).plus(holding)
    return total
