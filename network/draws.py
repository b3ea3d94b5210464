"""The life of a draw: announced by its seed's hash, closed with its tickets, revealed with its winners."""

from collections.abc import Sequence
from datetime import date

import msgspec
from sqlalchemy import Connection, Engine, text

from network.commands import Treat
from network.errors import NetworkError
from network.model import EntryKind, Unit
from network.programme.raffle import Published, commitment_of, hash_of, winners_of
from network.programme.spec_draws import DrawSpec
from network.rules import Rules
from network.service import network_now
from network.sets import carry_out
from partners.model import OPERATOR_ID
from partners.people.audit import audited

SEED_BYTES = 32
_ANNOUNCE = text(
    "INSERT INTO raffle (draw, prizes, commitment, announced_by, announced_at)"
    " VALUES (:draw, :prizes, :commitment, :by, :at) ON CONFLICT DO NOTHING RETURNING draw"
)
_KEEP = text("INSERT INTO raffle_seed (draw, seed) VALUES (:draw, :seed)")
_ONE = text("SELECT * FROM raffle WHERE draw = :draw FOR UPDATE")
_SEED = text("SELECT seed FROM raffle_seed WHERE draw = :draw")
# A couple is a pool of two; what each bought within the days counts for both, less what came back.
_TICKETS = text(
    f"""
    INSERT INTO raffle_ticket (member_id, draw, ticket)
    WITH bought AS (
        SELECT coalesce(a.merged_into, e.member_id) AS member_id,
            sum(e.amount_minor - coalesce(r.amount_minor, 0)) AS money
        FROM entry e JOIN account a ON a.member_id = e.member_id AND a.unit = {int(Unit.POINTS)}
        LEFT JOIN reversed_points r ON r.member_id = e.member_id AND r.entry_id = e.entry_id
        WHERE e.kind = {int(EntryKind.ACCRUAL)} AND e.partner_id = ANY(CAST(:partners AS integer[]))
            AND (e.occurred_at AT TIME ZONE (SELECT time_zone FROM network))::date BETWEEN :first AND :last
        GROUP BY 1
    ), party AS (
        SELECT m.member_id, m.public_id, coalesce(b.money, 0) AS money,
            CASE WHEN :couples THEN a.pool_id::text ELSE m.member_id::text END AS party
        FROM member m JOIN account a ON a.member_id = m.member_id AND a.unit = {int(Unit.POINTS)}
        LEFT JOIN bought b ON b.member_id = m.member_id
        WHERE m.status = 'active' AND a.merged_into IS NULL AND (NOT :couples OR a.pool_id IS NOT NULL)
    ), ticket AS (
        SELECT party, left(encode(sha256(convert_to(CAST(:draw AS text) || ':'
            || string_agg(public_id::text, ',' ORDER BY public_id), 'UTF8')), 'hex'), 32) AS ticket
        FROM party GROUP BY party HAVING sum(money) >= :threshold AND (NOT :couples OR count(*) = 2)
    )
    SELECT p.member_id, CAST(:draw AS text), t.ticket FROM ticket t JOIN party p USING (party)
    """
)
_LIST = text("SELECT DISTINCT ticket FROM raffle_ticket WHERE draw = :draw ORDER BY ticket")
_CLOSE = text("UPDATE raffle SET closed_at = :at, tickets_sha256 = :hash WHERE draw = :draw")
_REVEAL = text("UPDATE raffle SET revealed_at = :at, seed = :seed WHERE draw = :draw")
_WIN = text(
    "UPDATE raffle_ticket SET place = array_position(CAST(:won AS text[]), ticket)"
    " WHERE draw = :draw AND ticket = ANY(CAST(:won AS text[]))"
)
_WON = text(
    "SELECT ticket FROM raffle_ticket WHERE draw = :draw AND place IS NOT NULL GROUP BY ticket, place"
    " ORDER BY place"
)
_UNPAID = text(
    "SELECT t.member_id FROM raffle_ticket t JOIN account a ON a.member_id = t.member_id AND a.unit = 1"
    " WHERE t.draw = :draw AND t.place IS NOT NULL AND a.merged_into IS NULL AND NOT EXISTS (SELECT"
    " FROM award w WHERE w.member_id = t.member_id AND w.award = t.draw) ORDER BY t.member_id"
)


class DrawUnfit(NetworkError):
    """A draw that cannot be announced, closed or revealed so."""


def announce(connection: Connection, rules: Rules, draw: str, *, seed: bytes, today: date, by: str) -> str:
    """Keep the seed of a draw, and publish its hash, before the first day on which anybody can take part.

    Args:
        connection: A transaction.
        rules: The live rules.
        draw: Its id in the programme.
        seed: 32 random bytes, which nobody has seen.
        today: The network's date.
        by: Who announces it.
    Returns:
        The commitment, in hex.
    Raises:
        DrawUnfit: there is no such draw, it has begun, or it was announced before.
    """
    spec = _spec(rules, draw)
    if today > spec.first_on:
        raise DrawUnfit(f"the draw began on {spec.first_on}: its seed must be fixed by then")
    if len(seed) != SEED_BYTES:
        raise DrawUnfit(f"a seed has {SEED_BYTES} bytes")
    commitment = commitment_of(seed)
    row = {"draw": draw, "prizes": spec.winners, "commitment": commitment, "by": by}
    if connection.execute(_ANNOUNCE, {**row, "at": network_now(connection)}).scalar() is None:
        raise DrawUnfit("the draw was announced before")
    connection.execute(_KEEP, {"draw": draw, "seed": seed})
    after = {"commitment": commitment}
    audited(connection, by=by, action="draw.announced", subject=f"draw:{draw}", after=after)
    return commitment.hex()


def close(connection: Connection, rules: Rules, draw: str, *, today: date, by: str) -> Published:
    """Fix who takes part, after the last day; the tickets and their hash are published.

    Raises:
        DrawUnfit: it was not announced, its days are not over, or it was closed before.
    """
    spec, found = _spec(rules, draw), _announced(connection, draw)
    if today <= spec.last_on:
        raise DrawUnfit(f"members can take part until {spec.last_on}")
    if found.closed_at is not None:
        raise DrawUnfit("the draw was closed before")
    partners = {one.code: one.partner_id for one in rules.directory.participants.values()}
    connection.execute(
        _TICKETS,
        {
            "draw": draw,
            "partners": [partners[code] for code in spec.partners],
            "first": spec.first_on,
            "last": spec.last_on,
            "couples": spec.of == "couples",
            "threshold": spec.threshold_minor,
        },
    )
    tickets = _tickets(connection, draw)
    closed = {"draw": draw, "at": network_now(connection), "hash": hash_of(tickets)}
    connection.execute(_CLOSE, closed)
    after = {"tickets": len(tickets), "tickets_sha256": closed["hash"]}
    audited(connection, by=by, action="draw.closed", subject=f"draw:{draw}", after=after)
    return published(connection, draw)


def reveal(connection: Connection, draw: str, *, by: str) -> Published:
    """Publish the seed and the winners that follow from it; again, the same.

    Raises:
        DrawUnfit: it is not closed.
    """
    found = _announced(connection, draw)
    if found.closed_at is None:
        raise DrawUnfit("the draw is not closed: who takes part is not fixed yet")
    if found.revealed_at is None:
        seed = bytes(connection.execute(_SEED, {"draw": draw}).scalar_one())
        won = winners_of(seed, _tickets(connection, draw), found.prizes)
        connection.execute(_WIN, {"draw": draw, "won": won})
        connection.execute(_REVEAL, {"draw": draw, "at": network_now(connection), "seed": seed})
        audited(connection, by=by, action="draw.revealed", subject=f"draw:{draw}", after={"winners": won})
    return published(connection, draw)


def give_prizes(database: Engine, rules: Rules, draw: str) -> int:
    """Give the points of a draw to its winners, where it has any; once, and resumable. How many got them."""
    if draw not in rules.programme.triggers:
        return 0
    with database.connect() as connection:
        members = connection.execute(_UNPAID, {"draw": draw}).scalars().all()
        at = network_now(connection)
    treats = [
        Treat(
            partner_id=OPERATOR_ID,
            reference=f"award {draw} {member_id} won",
            occurred_at=at,
            member_id=member_id,
            award=draw,
            occasion="won",
        )
        for member_id in members
    ]
    return carry_out(database, treats, rules).done


def published(connection: Connection, draw: str) -> Published:
    """What everybody may see of a draw now."""
    found = _announced(connection, draw)
    return Published(
        draw=draw,
        prizes=found.prizes,
        commitment=bytes(found.commitment).hex(),
        tickets=_tickets(connection, draw),
        tickets_sha256="" if found.tickets_sha256 is None else bytes(found.tickets_sha256).hex(),
        seed="" if found.seed is None else bytes(found.seed).hex(),
        winners=connection.execute(_WON, {"draw": draw}).scalars().all(),
    )


def read_published(raw: bytes) -> Published:
    """A published draw from its file.

    Raises:
        DrawUnfit: it is none.
    """
    try:
        return msgspec.json.decode(raw, type=Published)
    except msgspec.DecodeError as error:
        raise DrawUnfit(f"that is no published draw: {error}") from error


class _Raffle(msgspec.Struct, frozen=True):
    """A row of table raffle, as far as it is asked for."""

    prizes: int
    commitment: bytes
    closed_at: object
    tickets_sha256: bytes | None
    revealed_at: object
    seed: bytes | None


def _announced(connection: Connection, draw: str) -> _Raffle:
    row = connection.execute(_ONE, {"draw": draw}).mappings().one_or_none()
    if row is None:
        raise DrawUnfit(f"the draw {draw!r} is not announced")
    return _Raffle(**{name: row[name] for name in _Raffle.__struct_fields__})


def _spec(rules: Rules, draw: str) -> DrawSpec:
    found = rules.programme.draws.get(draw)
    if found is None:
        known = ", ".join(sorted(rules.programme.draws)) or "none"
        raise DrawUnfit(f"the programme has no draw {draw!r}; it has: {known}")
    return found


def _tickets(connection: Connection, draw: str) -> Sequence[str]:
    return connection.execute(_LIST, {"draw": draw}).scalars().all()
