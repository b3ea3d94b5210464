"""What the night does with vouchers: a quarter's points become some, and those whose last day is over end.

Both go through the engine, a few hundred members at a time, each under a reference of its own: so they can be
cut off anywhere and gone on with, and nothing happens twice.
"""

from datetime import date

from sqlalchemy import Connection, Engine, text

from network.batch import execute
from network.commands import Command, Convert, LapseVoucher
from network.model import Entry, Unit
from network.programme.counters import period_of
from network.rules import Rules
from network.service import load_rules, network_now
from partners.model import OPERATOR_ID

AT_ONCE = 500
"""Commands in one transaction, so that tills never wait long for it."""

_OVER = text(
    "SELECT member_id, entry_id FROM voucher WHERE ended_by IS NULL AND ends_on < :on"
    " AND entry_id > :after ORDER BY entry_id LIMIT :limit"
)
_FIRST = "00000000-0000-0000-0000-000000000000"
_DONE = text("SELECT EXISTS (SELECT FROM conversion_run WHERE quarter = :quarter)")
_LIVE_THEN = text(
    "SELECT programme_version FROM programme_version WHERE effective_on <= :on"
    " ORDER BY effective_on DESC, programme_version DESC LIMIT 1"
)
_WITH_POINTS = text(
    "SELECT a.member_id FROM account a"
    " WHERE a.unit = :unit AND a.balance >= :minimum AND a.member_id > :after"
    " AND NOT EXISTS (SELECT FROM conversion_refusal r WHERE r.member_id = a.member_id)"
    " ORDER BY a.member_id LIMIT :limit"
)
_FINISH = text(
    "INSERT INTO conversion_run (quarter, done_at) VALUES (:quarter, :at) ON CONFLICT (quarter) DO NOTHING"
)


def lapse_vouchers(database: Engine, on: date) -> int:
    """End the vouchers whose last day is before a date; how many there were."""
    ended, after = 0, _FIRST
    while True:
        with database.connect() as connection:
            over = connection.execute(_OVER, {"on": on, "after": after, "limit": AT_ONCE}).all()
            if not over:
                return ended
            rules, at = load_rules(connection), network_now(connection)
        after = str(over[-1].entry_id)
        ended += _carried_out(
            database,
            [
                LapseVoucher(
                    partner_id=OPERATOR_ID,
                    reference=f"voucher {row.entry_id.hex} over",
                    occurred_at=at,
                    voucher_id=row.entry_id,
                )
                for row in over
            ],
            rules,
        )


def reference_of(quarter: date, member_id: int) -> str:
    """The name of what a quarter's end makes of a member's points; `quarter` is the first day of the next."""
    return f"conversion {quarter} {member_id}"


def convert_due(database: Engine, on: date) -> int:
    """Turn members' points into vouchers, once in each quarter; how many vouchers that made.

    The programme that was in force on the quarter's first day says whether and how. Points that die with the
    old quarter are not among those that turn into vouchers.

    Args:
        database: Where the ledger is.
        on: The new business date.
    """
    quarter = period_of("quarter", on)
    with database.connect() as connection:
        if connection.execute(_DONE, {"quarter": quarter}).scalar_one():
            return 0
        version = connection.execute(_LIVE_THEN, {"on": quarter}).scalar()
        conversion = None if version is None else load_rules(connection).programmes[version].conversion
    made = after = 0
    while conversion is not None:
        with database.connect() as connection:
            members = _with_points(connection, conversion.minimum, after)
            rules, at = load_rules(connection), network_now(connection)
        if not members:
            break
        after = members[-1]
        commands: list[Command] = [
            Convert(
                partner_id=OPERATOR_ID,
                reference=reference_of(quarter, member_id),
                occurred_at=at,
                member_id=member_id,
            )
            for member_id in members
        ]
        made += _carried_out(database, commands, rules)
    with database.begin() as connection:
        connection.execute(_FINISH, {"quarter": quarter, "at": network_now(connection)})
    return made


def _with_points(connection: Connection, minimum: int, after: int) -> list[int]:
    wanted = {"unit": int(Unit.POINTS), "minimum": minimum, "after": after, "limit": AT_ONCE}
    return list(connection.execute(_WITH_POINTS, wanted).scalars())


def _carried_out(database: Engine, commands: list[Command], rules: Rules) -> int:
    replies = execute(database, commands, rules)
    return sum(isinstance(reply.outcome, Entry) and not reply.replayed for reply in replies)
