"""Segments found anew: one statement each, over all members at once."""

from datetime import date

import msgspec
from sqlalchemy import Connection, Engine, text

from network.facts import SEGMENTS_LOCK
from network.model import EntryKind, Unit
from network.programme.members import Segment, Span, born_by
from network.programme.spec_members import BIRTHDAY, Leap

_LOCK = text(f"SELECT pg_advisory_xact_lock({SEGMENTS_LOCK})")
# What a member bought is its own and that of whoever was merged into it; what came back does not count.
_FIND = text(
    f"""
    WITH edge AS MATERIALIZED (
        SELECT time_zone, CAST(:on AS timestamp) AT TIME ZONE time_zone AS today,
            (CAST(:on AS date) - CAST(:sales_days AS integer))::timestamp AT TIME ZONE time_zone
                AS sales_since,
            (CAST(:on AS date) - CAST(:money_days AS integer))::timestamp AT TIME ZONE time_zone
                AS money_since
        FROM network
    ), own AS MATERIALIZED (
        SELECT e.member_id, max(e.occurred_at) AS last_at,
            count(*) FILTER (WHERE e.occurred_at >= g.sales_since) AS sales,
            sum(e.amount_minor - coalesce(r.amount_minor, 0))
                FILTER (WHERE e.occurred_at >= g.money_since) AS money
        FROM edge g CROSS JOIN entry e
        LEFT JOIN reversed_points r ON r.member_id = e.member_id AND r.entry_id = e.entry_id
        WHERE :looks AND e.occurred_at < g.today AND e.kind = {int(EntryKind.ACCRUAL)}
            AND e.amount_minor > coalesce(r.amount_minor, 0)
            AND (:anywhere OR e.partner_id = ANY(CAST(:partners AS integer[])))
        GROUP BY e.member_id
    ), bought AS MATERIALIZED (
        SELECT coalesce(a.merged_into, o.member_id) AS member_id, max(o.last_at) AS last_at,
            sum(o.sales) AS sales, sum(o.money) AS money
        FROM own o JOIN account a ON a.member_id = o.member_id AND a.unit = {int(Unit.POINTS)} GROUP BY 1
    ), seen AS MATERIALIZED (
        SELECT member_id, sales, money,
            CAST(:on AS date) - (last_at AT TIME ZONE (SELECT time_zone FROM edge))::date AS seen FROM bought
    ), wanted AS MATERIALIZED (
        SELECT a.member_id FROM account a JOIN member m ON m.member_id = a.member_id
        LEFT JOIN seen b ON b.member_id = a.member_id
        WHERE a.unit = {int(Unit.POINTS)} AND a.merged_into IS NULL AND m.status = 'active'
            AND (CAST(:seen_from AS bigint) IS NULL OR b.seen >= CAST(:seen_from AS bigint))
            AND (CAST(:seen_to AS bigint) IS NULL OR b.seen <= CAST(:seen_to AS bigint))
            AND coalesce(b.sales, 0) BETWEEN :sales_from AND :sales_to
            AND coalesce(b.money, 0) BETWEEN :money_from AND :money_to
            AND (:any_tier OR a.tier = ANY(CAST(:tiers AS text[])))
            AND (:fact_names = 0 OR (
                SELECT count(DISTINCT f.name) FROM member_fact f
                JOIN unnest(CAST(:names AS text[]), CAST(:values AS text[])) AS u (name, value)
                    ON u.name = f.name AND u.value = f.value
                WHERE f.member_id = a.member_id) = :fact_names)
            AND (NOT :by_age OR EXISTS (
                SELECT FROM member_fact f WHERE f.member_id = a.member_id AND f.name = '{BIRTHDAY}'
                AND f.value <= CAST(:born_to AS text) AND f.value > CAST(:born_after AS text)))
    ), gone AS (
        DELETE FROM member_segment s WHERE s.segment = :segment
            AND NOT EXISTS (SELECT FROM wanted w WHERE w.member_id = s.member_id) RETURNING 1
    ), come AS (
        INSERT INTO member_segment (member_id, segment) SELECT member_id, CAST(:segment AS text) FROM wanted
        ON CONFLICT DO NOTHING RETURNING 1
    ), stated AS (
        INSERT INTO segment_state (segment, found_on, members, needs)
        SELECT :segment, CAST(:on AS date), count(*), CAST(:needs AS text[]) FROM wanted
        ON CONFLICT (segment) DO UPDATE
        SET found_on = excluded.found_on, members = excluded.members, needs = excluded.needs
    )
    SELECT (SELECT count(*) FROM wanted) AS members, (SELECT count(*) FROM come) AS came,
        (SELECT count(*) FROM gone) AS went
    """
)
_DROP = text(
    "WITH dropped AS (DELETE FROM segment_state"
    " WHERE segment <> ALL(CAST(:live AS text[])) RETURNING segment)"
    " DELETE FROM member_segment WHERE segment IN (SELECT segment FROM dropped)"
)
_FOUND_ON = text("SELECT segment, found_on FROM segment_state")
_COUNTS = text("SELECT segment, count(*) AS members FROM member_segment GROUP BY segment")
_MANY = 2**62


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A segment as it was found: its members, those that are new in it, and those that are not any more."""

    segment: str
    members: int
    came: int
    went: int


class State(msgspec.Struct, frozen=True, kw_only=True):
    """How many members are in a segment now, and of which day they were found; None: put in by hand."""

    segment: str
    found_on: date | None
    members: int


def read_states(connection: Connection) -> list[State]:
    """All segments that were found or filled by hand, by name."""
    found_on: dict[str, date] = dict(map(tuple, connection.execute(_FOUND_ON)))
    members: dict[str, int] = dict(map(tuple, connection.execute(_COUNTS)))
    return [
        State(segment=one, found_on=found_on.get(one), members=members.get(one, 0))
        for one in sorted({*found_on, *members})
    ]


def find_segments(database: Engine, segments: tuple[Segment, ...], on: date, leap: Leap) -> list[Found]:
    """Find the members of all segments anew, as of the beginning of a day; again changes nothing.

    Args:
        database: Where the ledger is.
        segments: Those of the live programme; others that were found before are emptied.
        on: The day; sales of it do not count yet.
        leap: When who was born on 29 February has the birthday in other years.
    """
    with database.begin() as connection:
        connection.execute(_LOCK)
        connection.execute(_DROP, {"live": [one.id for one in segments]})
        return [_found(connection, one, on, leap) for one in segments]


def _found(connection: Connection, segment: Segment, on: date, leap: Leap) -> Found:
    pairs = [(name, value) for name, values in segment.facts.items() for value in values]
    sales, money = segment.sales or Span(), segment.money or Span()
    seen, age = segment.seen or Span(), segment.age or Span()
    youngest = date.max if age.at_least is None else born_by(on, age.at_least, leap)
    too_old = date.min if age.at_most is None else born_by(on, age.at_most + 1, leap)
    row = connection.execute(
        _FIND,
        {
            "segment": segment.id,
            "on": on,
            "needs": sorted(segment.needs),
            "looks": any((segment.sales, segment.money, segment.seen)),
            "anywhere": not segment.partners,
            "partners": list(segment.partners),
            "seen_from": seen.at_least,
            "seen_to": seen.at_most,
            "sales_from": sales.at_least or 0,
            "sales_to": _MANY if sales.at_most is None else sales.at_most,
            "sales_days": sales.days,
            "money_from": money.at_least or 0,
            "money_to": _MANY if money.at_most is None else money.at_most,
            "money_days": money.days,
            "any_tier": not segment.tiers,
            "tiers": list(segment.tiers),
            "fact_names": len(segment.facts),
            "names": [name for name, _ in pairs],
            "values": [value for _, value in pairs],
            "by_age": segment.age is not None,
            "born_to": youngest.isoformat(),
            "born_after": too_old.isoformat(),
        },
    ).one()
    return Found(segment=segment.id, members=row.members, came=row.came, went=row.went)
