"""What the network does besides commands: set up, clock, windows, the nightly lapse, partitions."""

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from time import sleep
from typing import Literal
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import Connection, Engine, text

from network import exposure_store, ids, store
from network.errors import ClockBackwards, InvariantBroken, NotReady, WindowOrder
from network.model import WITH_ACTIVITY, AccountKind, EntryKind, Unit
from network.outbox import tell_lapsed
from network.outcomes import Moment
from network.programme.compiled import Programme, compile_programme
from network.programme.spec import read_programme
from network.rules import Rules
from partners.hooks.outbox import load_subscriptions
from partners.model import OPERATOR_ID, SAFEGUARD_ID, Participant
from partners.store import add_participants, load_directory

PARTITIONS_AHEAD = timedelta(days=62)
_SAFEGUARD = Participant(
    partner_id=SAFEGUARD_ID, code="hub-safeguard", name="Safeguarding account of the hub", kind="safeguard"
)
PARTITIONED = ("entry", "posting")
"""Tables with a partition a month."""
SWEEP_ACCOUNTS = 500
"""Accounts a sweep locks at a time, so that tills never wait long for it."""


class Network(msgspec.Struct, frozen=True, kw_only=True):
    """The one row of the network. `cut_off`: local time on D+1 at which business date D ends."""

    name: str
    time_zone: str
    cut_off: time
    currency: str
    clock: datetime | None = None
    mode: Literal["live", "test"] = "live"


class LapseResult(msgspec.Struct, frozen=True):
    """What a sweep did."""

    members: int
    points: int


def window_id_of(business_date: date) -> int:
    """A window's number: its business date as yyyymmdd."""
    return business_date.year * 10000 + business_date.month * 100 + business_date.day


def date_of_window(window_id: int) -> date:
    """The business date of a window's number."""
    return date(window_id // 10000, window_id // 100 % 100, window_id % 100)


def create_network(connection: Connection, network: Network) -> None:
    """Write the network's row; once."""
    connection.execute(
        text(
            "INSERT INTO network (network_id, name, time_zone, cut_off, currency, clock, mode)"
            " VALUES (1, :name, :time_zone, :cut_off, :currency, :clock, :mode)"
        ),
        msgspec.structs.asdict(network),
    )


def read_network(connection: Connection) -> Network:
    """The network's row.

    Raises:
        NotReady: there is none yet.
    """
    row = connection.execute(
        text("SELECT name, time_zone, cut_off, currency, clock, mode FROM network")
    ).one_or_none()
    if row is None:
        raise NotReady("this database holds no network yet: run `tessera demo`, or set one up")
    return Network(**row._asdict())


def read_ledger_id(connection: Connection) -> UUID:
    """What tells this ledger from others.

    Raises:
        NotReady: there is no network yet.
    """
    found: UUID | None = connection.execute(text("SELECT ledger_id FROM network")).scalar_one_or_none()
    if found is None:
        raise NotReady("this database holds no network yet: run `tessera demo`, or set one up")
    return found


def open_date(connection: Connection) -> date:
    """The business date whose window is open.

    Raises:
        NotReady: no window was ever opened.
    """
    found: date | None = connection.execute(
        text("SELECT business_date FROM clearing_window WHERE closed_at IS NULL")
    ).scalar_one_or_none()
    if found is None:
        raise NotReady("no window is open: set the network up first")
    return found


def network_now(connection: Connection) -> datetime:
    """The network's time: its clock where one is set, else real time as the database has it."""
    at: datetime = connection.execute(
        text("SELECT coalesce((SELECT clock FROM network), clock_timestamp())")
    ).scalar_one()
    return at.astimezone(UTC)


def set_clock(connection: Connection, at: datetime) -> None:
    """Put the network clock forward (demo and test: it then stands still until it is set again).

    Raises:
        ClockBackwards: `at` lies before where the clock stands.
    """
    moved = connection.execute(
        text("UPDATE network SET clock = :at WHERE clock IS NULL OR clock <= :at"), {"at": at}
    ).rowcount
    if moved != 1:
        stands = read_network(connection).clock
        raise ClockBackwards(f"the network clock stands at {stands}: it cannot go back to {at}")


def apply_programme(
    connection: Connection, source: str, *, at: datetime, applied_by: str, effective_on: date | None = None
) -> int:
    """Validate a programme file and make it live, from a day on; returns its version.

    Args:
        effective_on: The first local day on which it judges; at once where it is not given.
    Raises:
        ProgrammeInvalid: with every fault in it.
    """
    spec = read_programme(source)
    directory = load_directory(connection)
    version: int = connection.execute(
        text("SELECT coalesce(max(programme_version), 0) + 1 FROM programme_version")
    ).scalar_one()
    compile_programme(spec, version, {p.code: p.partner_id for p in directory.participants.values()})
    if spec.stored_value is not None and SAFEGUARD_ID not in directory.participants:
        add_participants(connection, [_SAFEGUARD])
    if effective_on is None:
        effective_on = at.astimezone(ZoneInfo(read_network(connection).time_zone)).date()
    connection.execute(
        text(
            "INSERT INTO programme_version (programme_version, source, applied_at, applied_by, effective_on)"
            " VALUES (:version, :source, :at, :applied_by, :effective_on)"
        ),
        {
            "version": version,
            "source": source,
            "at": at,
            "applied_by": applied_by,
            "effective_on": effective_on,
        },
    )
    return version


_LIVE_VERSION = text(
    "SELECT programme_version FROM programme_version WHERE effective_on <= :today"
    " ORDER BY effective_on DESC, programme_version DESC LIMIT 1"
)


def live_programme_version(connection: Connection) -> int:
    """The version of the programme that judges now.

    Raises:
        NotReady: none has been applied.
    """
    zone = ZoneInfo(read_network(connection).time_zone)
    today = network_now(connection).astimezone(zone).date()
    version: int | None = connection.execute(_LIVE_VERSION, {"today": today}).scalar()
    if version is None:
        raise NotReady("no programme has been applied to this network")
    return version


def load_rules(connection: Connection) -> Rules:
    """The live rules: directory, programme and time zone, as one snapshot.

    Raises:
        NotReady: no network or no programme yet.
    """
    # Caps first: what is read after their basis may be newer than it, never older.
    caps = exposure_store.load_caps(connection, network_now(connection).date())
    directory = load_directory(connection)
    codes = tuple(sorted((p.code, p.partner_id) for p in directory.participants.values()))
    # All versions: a return is judged by the rules that judged its sale.
    rows = connection.execute(
        text(
            "SELECT programme_version, source, effective_on FROM programme_version"
            " ORDER BY effective_on, programme_version"
        )
    ).all()
    programmes = {row.programme_version: _compiled(row.source, row.programme_version, codes) for row in rows}
    if not programmes:
        raise NotReady("no programme has been applied to this network")
    live = live_programme_version(connection)
    versions = tuple((row.effective_on, row.programme_version) for row in rows)
    zone = ZoneInfo(read_network(connection).time_zone)
    return Rules(
        directory=directory,
        programme=programmes[live],
        programmes=programmes,
        time_zone=zone,
        versions=versions if len(versions) > 1 else (),
        caps=caps,
    )


@lru_cache(maxsize=32)
def _compiled(source: str, version: int, codes: tuple[tuple[str, int], ...]) -> Programme:
    """An applied file never changes: it is compiled once, and anew only where partners came."""
    return compile_programme(read_programme(source), version, dict(codes))


def open_first_window(connection: Connection, business_date: date, at: datetime) -> int:
    """Open the network's first window; returns its number."""
    window_id = window_id_of(business_date)
    connection.execute(
        text("INSERT INTO clearing_window VALUES (:window_id, :on, :at, NULL, :on)"),
        {"window_id": window_id, "on": business_date, "at": at},
    )
    return window_id


def closes_at(network: Network, business_date: date) -> datetime:
    """The instant business date D ends: D+1 at the cut-off, local time of the network."""
    local = datetime.combine(
        business_date + timedelta(days=1), network.cut_off, tzinfo=ZoneInfo(network.time_zone)
    )
    return local.astimezone(UTC)


def close_window(connection: Connection, business_date: date, at: datetime) -> int:
    """Close a business date exactly, and open the next.

    The advisory lock is taken alone: every writer that stamped this window has committed, and whoever waits
    will read the next one. Closing a closed date again changes nothing.

    Returns:
        The window's number.
    Raises:
        WindowOrder: an earlier date is still open, or this one was never opened or is not over yet.
    """
    connection.execute(text(f"SELECT pg_advisory_xact_lock({store.WINDOW_LOCK})"))
    row = connection.execute(
        text("SELECT window_id, closed_at FROM clearing_window WHERE business_date = :on"),
        {"on": business_date},
    ).one_or_none()
    if row is not None and row.closed_at is not None:
        return int(row.window_id)
    if row is None:
        stands = connection.execute(
            text("SELECT business_date FROM clearing_window WHERE closed_at IS NULL")
        ).scalar_one_or_none()
        raise WindowOrder(f"business date {business_date} is not open: the open one is {stands}")
    if at < closes_at(read_network(connection), business_date):
        raise WindowOrder(
            f"business date {business_date} is not over: it ends at "
            f"{closes_at(read_network(connection), business_date)}, and it is {at}"
        )
    connection.execute(
        text("UPDATE clearing_window SET closed_at = :at WHERE window_id = :window_id"),
        {"at": at, "window_id": row.window_id},
    )
    following = business_date + timedelta(days=1)
    connection.execute(
        text(
            "INSERT INTO clearing_window (window_id, business_date, opened_at, lapsed_through)"
            " SELECT :window_id, :on, :at, lapsed_through FROM clearing_window WHERE business_date = :before"
        ),
        {"window_id": window_id_of(following), "on": following, "at": at, "before": business_date},
    )
    return int(row.window_id)


# Two ways to die: on a lot's own day, or with its account, which is found by when it was last active.
_DEAD = """
    SELECT member_id FROM lot WHERE expires_on < :on AND remaining > 0 AND unit = :unit
    UNION ALL
    SELECT l.member_id FROM account a JOIN lot l ON l.member_id = a.member_id AND l.unit = a.unit
    WHERE a.active_until > '1970-01-01' AND a.active_until < :on AND a.unit = :unit
        AND l.expires_on = :with_activity AND l.remaining > 0
"""
_DEAD_ACCOUNTS = text(
    f"SELECT member_id FROM account WHERE unit = :unit AND member_id IN ({_DEAD})"
    " ORDER BY member_id LIMIT :limit FOR UPDATE SKIP LOCKED"
)
_DEAD_LEFT = text(f"SELECT EXISTS ({_DEAD})")
# One statement turns the dead lots of the locked accounts into one entry a member, one posting a lot, and
# zeroed lots. The id is network.ids.mint in SQL: milliseconds, version 7, random bits, member number.
_LAPSE = text(
    """
    WITH dead AS MATERIALIZED (
        SELECT l.*, row_number() OVER (
            PARTITION BY l.member_id ORDER BY l.expires_on, l.issuer_id, l.terms_version, l.spendable_on
        ) AS line
        FROM lot l JOIN account a ON a.member_id = l.member_id AND a.unit = l.unit
        WHERE l.member_id = ANY(:members) AND l.unit = :unit AND l.remaining > 0
            AND (l.expires_on < :on OR l.expires_on = :with_activity AND a.active_until < :on)
    ), lapsing AS MATERIALIZED (
        SELECT d.member_id, sum(d.remaining)::bigint AS points, coalesce((
                SELECT sum(l.remaining) FROM lot l
                WHERE l.member_id = d.member_id AND l.unit = :unit AND l.spendable_on <= :today AND :today <=
                    CASE l.expires_on WHEN :with_activity THEN a.active_until ELSE l.expires_on END
            ), 0)::bigint AS balance_after,
            (lpad(to_hex(:milliseconds), 12, '0')
                || '7' || lpad(to_hex(floor(random() * 4096)::integer), 3, '0')
                || lpad(to_hex(8388608 + floor(random() * 4194304)::integer), 6, '0')
                || lpad(to_hex(d.member_id), 10, '0'))::uuid AS entry_id
        FROM dead d JOIN account a ON a.member_id = d.member_id AND a.unit = :unit
        WHERE a.member_id = ANY(:members)
        GROUP BY d.member_id, a.active_until
    ), entries AS (
        INSERT INTO entry (member_id, entry_id, kind, partner_id, window_id, programme_version, points,
            balance_after, amount_minor, occurred_at, recorded_at, reference)
        SELECT member_id, entry_id, :kind, :operator, :window_id, :programme_version, -points,
            balance_after, 0, :now, :now, 'lapse ' || CAST(:on AS text)
        FROM lapsing RETURNING member_id
    ), postings AS (
        INSERT INTO posting (member_id, entry_id, line, debit, credit, points, issuer_id, issuer_terms, unit,
            window_id, spendable_on, expires_on)
        SELECT d.member_id, x.entry_id, d.line, :member_account, :lapsed_account, d.remaining, d.issuer_id,
            d.terms_version, d.unit, :window_id, d.spendable_on, d.expires_on
        FROM dead d JOIN lapsing x ON x.member_id = d.member_id RETURNING points
    ), drained AS (
        UPDATE lot SET remaining = 0 FROM dead d
        WHERE lot.member_id = ANY(:members) AND lot.member_id = d.member_id AND lot.unit = d.unit
            AND lot.issuer_id = d.issuer_id AND lot.terms_version = d.terms_version
            AND lot.spendable_on = d.spendable_on AND lot.expires_on = d.expires_on
        RETURNING d.remaining
    ), balances AS (
        UPDATE account SET balance = account.balance - x.points FROM lapsing x
        WHERE account.member_id = ANY(:members) AND account.member_id = x.member_id AND account.unit = :unit
        RETURNING x.points
    )
    SELECT (SELECT count(*) FROM entries) AS members,
        (SELECT coalesce(sum(points), 0) FROM postings)::bigint AS posted,
        (SELECT coalesce(sum(remaining), 0) FROM drained)::bigint AS drained,
        (SELECT coalesce(sum(points), 0) FROM balances)::bigint AS taken,
        (SELECT jsonb_agg(jsonb_build_array(issuer_id, terms_version, points)) FROM (
            SELECT issuer_id, terms_version, sum(remaining)::bigint AS points FROM dead GROUP BY 1, 2
        ) v) AS by_version
    """
)


def lapse_expired(database: Engine, on: date, programme_version: int) -> LapseResult:
    """Let all lots lapse that are dead on a date; set-based, resumable, a few hundred accounts at a time.

    Accounts that a till has locked are passed over and come again. What lapses is recorded in the window
    that is open when it does.

    Args:
        database: Where the ledger is.
        on: Lots whose last day is before this date are dead.
        programme_version: The version under which they lapse.
    """
    members = points = 0
    while True:
        with database.begin() as connection:
            moment, _ = store.begin(connection)
            if moment.lapsed_through >= on:
                return LapseResult(members, points)
            wanted = {"unit": int(Unit.POINTS), "on": on, "with_activity": WITH_ACTIVITY}
            dead = list(connection.execute(_DEAD_ACCOUNTS, {**wanted, "limit": SWEEP_ACCOUNTS}).scalars())
            if dead:
                lapsed = _lapse(connection, dead, on, moment, programme_version)
                members += lapsed.members
                points += lapsed.points
                continue
            if not connection.execute(_DEAD_LEFT, wanted).scalar_one():
                connection.execute(
                    text("UPDATE clearing_window SET lapsed_through = :on WHERE closed_at IS NULL"),
                    {"on": on},
                )
                return LapseResult(members, points)
        sleep(0.01)  # a till holds what is left: come back when it has committed


def _lapse(
    connection: Connection, members: list[int], on: date, moment: Moment, programme_version: int
) -> LapseResult:
    done = connection.execute(
        _LAPSE,
        {
            "members": members,
            "unit": int(Unit.POINTS),
            "on": on,
            "today": moment.now.astimezone(ZoneInfo(read_network(connection).time_zone)).date(),
            "with_activity": WITH_ACTIVITY,
            "milliseconds": ids.milliseconds_of(moment.now),
            "kind": int(EntryKind.EXPIRY),
            "operator": OPERATOR_ID,
            "window_id": moment.window_id,
            "programme_version": programme_version,
            "now": moment.now,
            "member_account": int(AccountKind.MEMBER),
            "lapsed_account": int(AccountKind.LAPSED),
        },
    ).one()
    if not done.posted == done.drained == done.taken:
        raise InvariantBroken(
            f"lapse of {on}: {done.posted} points posted, {done.drained} drawn from lots,"
            f" {done.taken} taken from balances"
        )
    tell_lapsed(connection, members, moment, load_subscriptions(connection))
    exposure_store.lapsed(connection, done.by_version)
    return LapseResult(done.members, done.posted)


def make_partitions_ahead(database: Engine) -> None:
    """Make the partitions of this month and the next two, by the network's time."""
    with database.begin() as connection:
        today = network_now(connection).date()
        ensure_partitions(connection, today, today + PARTITIONS_AHEAD)


def ensure_partitions(connection: Connection, first: date, last: date) -> None:
    """Make the monthly partitions of `entry` and `posting` from one month through another.

    The database does it as their owner (make_partition), whoever asks. They are created apart and attached,
    because `CREATE … PARTITION OF` waits for open writers.
    """
    connection.execute(text("SET LOCAL lock_timeout = '5s'"))
    month = first.replace(day=1)
    while month <= last:
        for parent in PARTITIONED:
            connection.execute(
                text("SELECT make_partition(:parent, :month)"), {"parent": parent, "month": month}
            )
        month = (month + timedelta(days=32)).replace(day=1)
