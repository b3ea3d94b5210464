"""What the night gives for occasions: who is due is found over all members at once, and given by the engine.

Who had it is not due any more, so that a night which broke off goes on where it stopped. The reference is
made of award, occasion and member, which two nights at once share too.
"""

from collections.abc import Iterator, Mapping
from datetime import date, timedelta

from sqlalchemy import Engine, text

from network.commands import Treat
from network.model import EntryKind, Unit
from network.programme.members import CAUGHT_UP, REFERRED, REFERRER, Trigger, birthdays_on
from network.programme.spec_members import BIRTHDAY, Leap, Occasion
from network.rules import Rules
from network.service import network_now
from network.sets import carry_out
from partners.model import OPERATOR_ID

_LOCAL = "({} AT TIME ZONE (SELECT time_zone FROM network))::date"
_SALE = f"e.kind = {int(EntryKind.ACCRUAL)} AND e.amount_minor > 0"
_YEARLY = "unnest(CAST(:days AS text[]), CAST(:years AS text[])) AS u (day, year)"

_OCCASIONS: Mapping[Occasion, str] = {
    "birthday": f"""
        SELECT f.member_id, u.year AS occasion, '' AS role FROM member_fact f
        JOIN {_YEARLY} ON substr(f.value, 6) = u.day WHERE f.name = '{BIRTHDAY}' AND left(f.value, 4) < u.year
    """,
    "anniversary": f"""
        SELECT m.member_id, u.year, '' FROM (
            SELECT member_id, {_LOCAL.format("enrolled_at")} AS day FROM member) m
        JOIN {_YEARLY} ON to_char(m.day, 'MM-DD') = u.day WHERE to_char(m.day, 'YYYY') < u.year
    """,
    "enrolment": f"""
        SELECT member_id, 'enrolled', '' FROM member
        WHERE {_LOCAL.format("enrolled_at")} >= :since AND {_LOCAL.format("enrolled_at")} < :on
    """,
    "lapse": f"""
        SELECT member_id, last::text, '' FROM (
            SELECT coalesce(a.merged_into, e.member_id) AS member_id,
                max({_LOCAL.format("e.occurred_at")}) AS last
            FROM entry e JOIN account a ON a.member_id = e.member_id AND a.unit = {int(Unit.POINTS)}
            WHERE {_SALE} GROUP BY 1
        ) s WHERE last + CAST(:after_days AS integer) > :since AND last + CAST(:after_days AS integer) <= :on
    """,
    # What was bought before the referral makes it none: the first sale of all must come after it. Of entries
    # of one millisecond their ids do not say which was first.
    "referral": f"""
        SELECT coalesce(s.merged_into, s.member_id), r.member_id::text, s.role FROM referral r
        JOIN account a ON a.member_id = r.member_id AND a.unit = {int(Unit.POINTS)}
        JOIN account b ON b.member_id = r.referrer_id AND b.unit = {int(Unit.POINTS)}
        CROSS JOIN LATERAL (
            SELECT e.entry_id, e.occurred_at, e.amount_minor - coalesce(x.amount_minor, 0) AS left_minor
            FROM entry e LEFT JOIN reversed_points x USING (member_id, entry_id)
            WHERE e.member_id = r.member_id AND {_SALE} ORDER BY e.entry_id LIMIT 1
        ) f
        CROSS JOIN LATERAL (VALUES (a.member_id, a.merged_into, '{REFERRED}'),
            (b.member_id, b.merged_into, '{REFERRER}')) AS s (member_id, merged_into, role)
        WHERE left(f.entry_id::text, 13) >= left(r.entry_id::text, 13) AND f.left_minor >= :minimum_minor
            AND {_LOCAL.format("f.occurred_at")} + CAST(:after_days AS integer) < :on
            AND coalesce(a.merged_into, a.member_id) <> coalesce(b.merged_into, b.member_id)
    """,
}
# Of a referral each side has it once, whoever it was merged into since.
_DUE = """
    WITH due (member_id, occasion, role) AS ({})
    SELECT d.member_id, d.occasion, d.role FROM due d
    JOIN account a ON a.member_id = d.member_id AND a.unit = {}
    JOIN member m ON m.member_id = d.member_id
    WHERE a.merged_into IS NULL AND m.status = 'active'
        AND (:any_tier OR a.tier = ANY(CAST(:tiers AS text[])))
        AND (:any_segment OR EXISTS (SELECT FROM member_segment s WHERE s.member_id = d.member_id
            AND s.segment = ANY(CAST(:segments AS text[]))))
        AND NOT EXISTS (SELECT FROM award w WHERE w.award = :award AND w.occasion = d.occasion
            AND w.role = d.role AND (w.member_id = d.member_id OR d.role <> ''))
    ORDER BY d.member_id, d.occasion, d.role
"""
_STATEMENTS = {name: text(_DUE.format(due, int(Unit.POINTS))) for name, due in _OCCASIONS.items()}


def give_due(database: Engine, rules: Rules, on: date) -> int:
    """Give what is due on a day by all triggers; resumable, and nobody twice. How many were given something.

    Args:
        database: Where the ledger is.
        rules: The live rules.
        on: The day that begins; occasions of the week before are caught up.
    """
    given = 0
    for trigger in rules.programme.triggers.values():
        if trigger.demanded or trigger.occasion not in _STATEMENTS:
            continue
        with database.connect() as connection:
            wanted = _wanted(trigger, on, rules.programme.leap)
            due = connection.execute(_STATEMENTS[trigger.occasion], wanted).all()
            at = network_now(connection)
        treats = [
            Treat(
                partner_id=OPERATOR_ID,
                reference=_reference(trigger, row.member_id, row.occasion, row.role),
                occurred_at=at,
                member_id=row.member_id,
                award=trigger.id,
                occasion=row.occasion,
                role=row.role,
            )
            for row in due
        ]
        given += carry_out(database, treats, rules).done
    return given


def _reference(trigger: Trigger, member_id: int, occasion: str, role: str) -> str:
    """Of a referral it names who was referred, whoever the points go to."""
    return f"award {trigger.id} {role or member_id} {occasion}"


def _wanted(trigger: Trigger, on: date, leap: Leap) -> dict[str, object]:
    days = list(_caught_up(on, leap))
    return {
        "award": trigger.id,
        "on": on,
        "since": on - CAUGHT_UP,
        "after_days": trigger.after_days,
        "minimum_minor": trigger.minimum_minor,
        "days": [day for day, _ in days],
        "years": [year for _, year in days],
        "any_tier": not trigger.tiers,
        "tiers": list(trigger.tiers),
        "any_segment": not trigger.segments,
        "segments": list(trigger.segments),
    }


def _caught_up(on: date, leap: Leap) -> Iterator[tuple[str, str]]:
    """Days of birth (MM-DD) of who has a birthday on a day or in the week before, and its year."""
    for back in range(CAUGHT_UP.days):
        day = on - timedelta(days=back)
        for month, number in birthdays_on(day, leap):
            yield f"{month:02}-{number:02}", f"{day.year:04}"
