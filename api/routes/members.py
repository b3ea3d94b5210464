"""What a member has: to spend, to come, set aside, owed; and what of it lapses when."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

import msgspec
from fastapi import APIRouter, Request, Response
from sqlalchemy import Connection, Engine, text

from api.openapi import read_docs
from api.problems import ProblemError
from api.routes.reads import json_response
from api.service import partner_of, service_of
from network import ids
from network.batch import end_over_holds
from network.model import NEVER, STORED, WITH_ACTIVITY, Unit, ValueLot
from network.rules import Rules
from network.service import network_now
from network.stored_value import refundable

router = APIRouter(prefix="/v1", tags=["Look up"])

_ACCOUNT = text(
    "SELECT m.public_id, a.pool_id, a.tier, s.public_id AS merged_into"
    " FROM member m JOIN account a ON a.member_id = m.member_id AND a.unit = 1"
    " LEFT JOIN member s ON s.member_id = a.merged_into WHERE m.member_id = :member"
)
_LIVES_UNTIL = "CASE l.expires_on WHEN :with_activity THEN a.active_until ELSE l.expires_on END"
_LOTS = text(
    f"SELECT {_LIVES_UNTIL} AS lives_until, greatest(l.spendable_on, :today) AS spendable_on,"
    " sum(l.remaining)::bigint AS points"
    " FROM account a JOIN lot l ON l.member_id = a.member_id AND l.unit = a.unit"
    f" WHERE a.member_id = :member AND a.unit = 1 AND l.remaining > 0 AND {_LIVES_UNTIL} >= :today"
    " GROUP BY 1, 2 ORDER BY 1, 2"
)
_POOL = text(
    "SELECT count(DISTINCT a.member_id) AS members,"
    " coalesce(sum(l.remaining) FILTER (WHERE l.spendable_on <= :today), 0)::bigint AS points"
    " FROM account a LEFT JOIN lot l ON l.member_id = a.member_id AND l.unit = a.unit AND l.remaining > 0"
    f" AND {_LIVES_UNTIL} >= :today WHERE a.pool_id = :pool AND a.unit = 1"
)
# What those merged into this member had set aside comes back to it, and their cards open its account.
_OWN = "(SELECT :member UNION SELECT issued_to FROM card WHERE member_id = :member)"
_HELD = text(
    "SELECT coalesce(sum(points - captured - returned), 0)::bigint FROM hold"
    f" WHERE member_id IN {_OWN} AND captured + returned < points"
)
_OVER = text(
    "SELECT DISTINCT member_id FROM hold WHERE captured + returned < points AND lapses_at <= :now"
    f" AND (member_id IN {_OWN}"
    " OR member_id IN (SELECT member_id FROM account WHERE pool_id = :pool AND unit = 1))"
)
_PENDING = text(
    "SELECT CASE e.partner_id WHEN :asker THEN n.entry_id END AS entry_id,"
    " n.points - n.released - n.cancelled AS points FROM pending n"
    " JOIN entry e ON e.member_id = n.member_id AND e.entry_id = n.entry_id"
    f" WHERE n.member_id IN {_OWN} AND n.released + n.cancelled < n.points ORDER BY n.entry_id"
)
_DEFICITS = text(
    "SELECT CASE e.partner_id WHEN :asker THEN d.entry_id END AS entry_id, p.code, d.points"
    " FROM deficit d JOIN partner p ON p.partner_id = d.issuer_id"
    " JOIN entry e ON e.member_id = d.member_id AND e.entry_id = d.entry_id"
    " WHERE d.member_id = :member AND d.points > 0 ORDER BY d.entry_id, 2, d.terms_version"
)


_PLANS = text(
    "SELECT CASE e.partner_id WHEN :asker THEN m.entry_id END AS entry_id, m.plan, m.starts_on, m.ends_on"
    " FROM plan_membership m JOIN entry e ON e.member_id = m.member_id AND e.entry_id = m.entry_id"
    " WHERE m.member_id = :member AND m.ends_on >= greatest(m.starts_on, :today) ORDER BY m.starts_on, m.plan"
)
_VALUE = text(
    "SELECT l.unit, l.issuer_id, l.terms_version, l.spendable_on, l.remaining, t.currency"
    " FROM lot l JOIN contract_terms t ON t.partner_id = l.issuer_id AND t.terms_version = l.terms_version"
    " WHERE l.member_id = :member AND l.unit = ANY(:units) AND l.remaining > 0"
)


class ExpiringBody(msgspec.Struct, frozen=True, kw_only=True):
    """Points that lapse after a day, as things stand: what lives with activity lives on with the next."""

    expires_on: date
    points: int


class PendingBody(msgspec.Struct, frozen=True, kw_only=True):
    """Points that can be spent from a day on; `expires_on` is null where they never lapse."""

    spendable_on: date
    expires_on: date | None
    points: int


class PendingEventBody(msgspec.Struct, frozen=True, kw_only=True):
    """Points of an accrual that can be spent when its partner says that the event has come.

    The entry is named where it is yours.
    """

    entry: str | None
    points: int


class DeficitBody(msgspec.Struct, frozen=True, kw_only=True):
    """Points that the member owes to an issuer since an entry; what it earns next pays them.

    The entry is named where it is yours.
    """

    entry: str | None
    issuer: str
    points: int


class PoolBody(msgspec.Struct, frozen=True, kw_only=True):
    """The pool that the member is in: how many they are, and what each of them can spend."""

    members: int
    points: int


class PaidPlanBody(msgspec.Struct, frozen=True, kw_only=True):
    """A paid plan that is good, or will be: first and last day. `membership` is its entry's id, if yours."""

    plan: str
    starts_on: date
    ends_on: date
    membership: str | None


class StoredValueBody(msgspec.Struct, frozen=True, kw_only=True):
    """Money that the member has loaded and not spent, apart from its points, in minor units.

    `bonus_minor`: given on top of loads; it is spent like that, and not paid out. `refundable_minor`: how
    much would be paid back in money today.
    """

    currency: str
    paid_minor: int
    bonus_minor: int
    refundable_minor: int


class BalanceBody(msgspec.Struct, frozen=True, kw_only=True):
    """What a member can spend of its own, when which part of it lapses, and what is still to come.

    Points that never lapse are in `points` and in no line of `expiring`. `held` is what its holds hold,
    that of others in its pool included. `merged_into`: to whom all this went; the rest is then empty.
    """

    member: str
    points: int
    as_of: datetime
    expiring: Sequence[ExpiringBody] = ()
    pending: Sequence[PendingBody] = ()
    pending_events: Sequence[PendingEventBody] = ()
    held: int = 0
    deficits: Sequence[DeficitBody] = ()
    pool: PoolBody | None = None
    tier: str | None = None
    stored_value: Sequence[StoredValueBody] = ()
    plans: Sequence[PaidPlanBody] = ()
    merged_into: str | None = None


@router.get("/members/{member}/balance", **read_docs("BalanceBody"))
def balance(member: str, request: Request) -> Response:
    """A member's points: spendable, expiring, pending, held, owed, and its pool's."""
    public_id = ids.read("mbr", member)
    if public_id is None:
        raise ProblemError("member_unknown")
    # Before a connection is taken: reading the rules may take one too.
    service = service_of(request)
    rules = service.rules()
    asker = partner_of(request)
    over, found = _look(service.database, public_id, rules, asker)
    if over:
        # What they held can be spent again: whoever spends next would find it so.
        end_over_holds(service.database, over, rules)
        _, found = _look(service.database, public_id, rules, asker)
    return json_response(found)


def _look(database: Engine, public_id: UUID, rules: Rules, asker: int) -> tuple[list[int], BalanceBody]:
    """Whose holds are over, of the member and its pool; and its balance as long as they stand.

    Raises:
        ProblemError: member_unknown.
    """
    member_id = ids.member_of(public_id)
    with database.connect() as plain:
        connection = plain.execution_options(isolation_level="REPEATABLE READ")  # one snapshot
        account = connection.execute(_ACCOUNT, {"member": member_id}).one_or_none()
        if account is None or account.public_id != public_id:
            raise ProblemError("member_unknown")
        now = network_now(connection)
        if account.merged_into is not None:
            stays = ids.show("mbr", account.merged_into)
            shown = ids.show("mbr", public_id)
            return [], BalanceBody(member=shown, points=0, as_of=now, merged_into=stays)
        wanted = {"member": member_id, "pool": account.pool_id, "now": now}
        over = list(connection.execute(_OVER, wanted).scalars())
        found = _read(connection, public_id, account, now, rules.local_date(now), asker)
        stored = _stored(connection, member_id, rules.on_day(rules.local_date(now)), rules.local_date(now))
        today = {"member": member_id, "today": rules.local_date(now), "asker": asker}
        plans = [
            PaidPlanBody(
                plan=row.plan,
                starts_on=row.starts_on,
                ends_on=row.ends_on,
                membership=_own(row.entry_id),
            )
            for row in connection.execute(_PLANS, today)
        ]
        return over, msgspec.structs.replace(found, stored_value=stored, plans=plans)


def _read(
    connection: Connection, public_id: UUID, account: Any, now: datetime, today: date, asker: int
) -> BalanceBody:
    wanted = {
        "member": ids.member_of(public_id),
        "today": today,
        "with_activity": WITH_ACTIVITY,
        "asker": asker,
    }
    lots = connection.execute(_LOTS, wanted).all()
    spendable = [lot for lot in lots if lot.spendable_on == today]
    return BalanceBody(
        member=ids.show("mbr", public_id),
        points=sum(lot.points for lot in spendable),
        as_of=now,
        expiring=[
            ExpiringBody(expires_on=lot.lives_until, points=lot.points)
            for lot in spendable
            if lot.lives_until != NEVER
        ],
        pending=[
            PendingBody(
                spendable_on=lot.spendable_on,
                expires_on=None if lot.lives_until == NEVER else lot.lives_until,
                points=lot.points,
            )
            for lot in lots
            if lot.spendable_on > today
        ],
        pending_events=[
            PendingEventBody(entry=_own(row.entry_id), points=row.points)
            for row in connection.execute(_PENDING, wanted)
        ],
        held=connection.execute(_HELD, wanted).scalar_one(),
        deficits=[
            DeficitBody(entry=_own(row.entry_id), issuer=row.code, points=row.points)
            for row in connection.execute(_DEFICITS, wanted)
        ],
        pool=None if account.pool_id is None else _pool(connection, account.pool_id, today),
        tier=account.tier or None,
    )


def _stored(connection: Connection, member_id: int, rules: Rules, today: date) -> Sequence[StoredValueBody]:
    """A member's stored value by currency."""
    lots: dict[str, list[ValueLot]] = {}
    for row in connection.execute(_VALUE, {"member": member_id, "units": list(map(int, STORED))}):
        *values, currency = row
        unit, issuer_id, version, loaded_on, remaining = values
        lot = ValueLot(
            unit=Unit(unit),
            issuer_id=issuer_id,
            terms_version=version,
            loaded_on=loaded_on,
            remaining=remaining,
        )
        lots.setdefault(currency, []).append(lot)
    return [
        StoredValueBody(
            currency=currency,
            paid_minor=sum(lot.remaining for lot in mine if lot.unit is Unit.VALUE),
            bonus_minor=sum(lot.remaining for lot in mine if lot.unit is Unit.BONUS),
            refundable_minor=sum(
                lot.remaining for lot in refundable(mine, rules.programme.stored_value, today)
            ),
        )
        for currency, mine in sorted(lots.items())
    ]


def _own(entry_id: UUID | None) -> str | None:
    """The id of an entry of the asker's; another's would let it take back what it has no receipt of."""
    return None if entry_id is None else ids.show("ent", entry_id)


def _pool(connection: Connection, pool_id: UUID, today: date) -> PoolBody:
    wanted = {"pool": pool_id, "today": today, "with_activity": WITH_ACTIVITY}
    row = connection.execute(_POOL, wanted).one()
    return PoolBody(members=row.members, points=row.points)
