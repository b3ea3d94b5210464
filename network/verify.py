"""Checks of a live ledger: set-based, one query each, naming what is wrong and where.

Each check selects faults, so an empty answer is a pass. They read one snapshot (the caller opens a repeatable
read), so that tills may go on meanwhile.
"""

import msgspec
from sqlalchemy import Connection, text

from network.model import AccountKind, EntryKind

_MEMBER = int(AccountKind.MEMBER)
_HELD = int(AccountKind.HELD)
_SYSTEM = f"{int(EntryKind.EXPIRY)}, {int(EntryKind.HOLD_LAPSE)}"
"""Kinds of entries that nobody asked for."""
_SHOWN = 20


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One law: `faults` is SQL whose rows are (where, detail)."""

    name: str
    says: str
    faults: str


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """A broken law, where, and how."""

    check: str
    where: str
    detail: str


_REPLAY = f"""
    SELECT member_id, unit, issuer_id, issuer_terms AS terms_version, spendable_on, expires_on,
        sum(CASE WHEN credit = {_MEMBER} THEN points ELSE 0 END)
        - sum(CASE WHEN debit = {_MEMBER} THEN points ELSE 0 END) AS points
    FROM posting GROUP BY 1, 2, 3, 4, 5, 6
"""

CHECKS = (
    Check(
        name="lots_equal_replay",
        says="every lot holds what its postings say",
        faults=f"""
            SELECT format('member %s, issuer %s terms %s, expires %s', member_id, issuer_id, terms_version,
                    expires_on),
                format('lot %s, postings %s', coalesce(l.remaining, 0), coalesce(r.points, 0))
            FROM lot l FULL JOIN ({_REPLAY}) r
                USING (member_id, unit, issuer_id, terms_version, spendable_on, expires_on)
            WHERE coalesce(l.remaining, 0) <> coalesce(r.points, 0)
        """,
    ),
    Check(
        name="balance_equals_lots",
        says="every balance is the sum of its lots",
        faults="""
            SELECT format('member %s', member_id),
                format('balance %s, lots %s', coalesce(a.balance, 0), coalesce(l.points, 0))
            FROM account a FULL JOIN
                (SELECT member_id, unit, sum(remaining) AS points FROM lot GROUP BY 1, 2) l
                USING (member_id, unit)
            WHERE coalesce(a.balance, 0) <> coalesce(l.points, 0)
        """,
    ),
    Check(
        name="nothing_negative",
        says="no lot and no balance is below zero",
        faults="""
            SELECT format('member %s', member_id), format('lot of %s', remaining) FROM lot WHERE remaining < 0
            UNION ALL
            SELECT format('member %s', member_id), format('balance of %s', balance)
            FROM account WHERE balance < 0
        """,
    ),
    Check(
        name="entry_equals_postings",
        says="every entry changes its balance by what its postings move",
        faults=f"""
            SELECT format('entry %s of member %s', entry_id, member_id),
                format('entry says %s, postings %s', e.points, coalesce(p.points, 0))
            FROM entry e FULL JOIN (
                SELECT member_id, entry_id,
                    sum(CASE {_MEMBER} WHEN credit THEN points WHEN debit THEN -points ELSE 0 END) AS points
                FROM posting GROUP BY 1, 2
            ) p USING (member_id, entry_id)
            WHERE e.points IS DISTINCT FROM coalesce(p.points, 0)
        """,
    ),
    Check(
        name="one_window",
        says="every posting is in its entry's window, and that window exists",
        faults="""
            SELECT format('entry %s of member %s', entry_id, member_id),
                format('posting in window %s, entry in %s', p.window_id, e.window_id)
            FROM posting p LEFT JOIN entry e USING (member_id, entry_id)
            WHERE p.window_id IS DISTINCT FROM e.window_id
            UNION ALL
            SELECT format('window %s', window_id), 'named by entries, but there is no such window'
            FROM (SELECT DISTINCT window_id FROM entry) e
            WHERE NOT EXISTS (SELECT FROM clearing_window w WHERE w.window_id = e.window_id)
        """,
    ),
    Check(
        name="windows_in_order",
        says="business dates follow one another without a gap, and only the last is open",
        faults="""
            SELECT format('window %s', window_id), format('follows %s', before)
            FROM (
                SELECT window_id, business_date, lag(business_date) OVER (ORDER BY business_date) AS before
                FROM clearing_window
            ) w WHERE before IS NOT NULL AND business_date <> before + 1
            UNION ALL
            SELECT format('window %s', window_id), 'open, but not the last'
            FROM clearing_window
            WHERE closed_at IS NULL AND business_date <> (SELECT max(business_date) FROM clearing_window)
        """,
    ),
    Check(
        name="requests_answered",
        says="every accepted request has its entry, and every partner's entry its request",
        faults=f"""
            SELECT format('entry %s', entry_id),
                CASE WHEN e.entry_id IS NULL THEN 'acknowledged, but not in the ledger'
                    ELSE 'in the ledger, but no request is remembered' END
            FROM (SELECT entry_id FROM idempotency WHERE refusal IS NULL) i
            FULL JOIN (SELECT entry_id FROM entry WHERE kind NOT IN ({_SYSTEM})) e USING (entry_id)
            WHERE i.entry_id IS NULL OR e.entry_id IS NULL
        """,
    ),
    Check(
        name="reversed_within",
        says="reversals of an entry add up to what is noted, and never to more than it was",
        faults="""
            SELECT format('entry %s of member %s', entry_id, member_id),
                format('noted as reversed: %s points of %s; reversals: %s points of %s; the entry: %s of %s',
                    r.points, r.amount_minor, e.points, e.amount_minor, o.points, o.amount_minor)
            FROM reversed_points r FULL JOIN (
                SELECT member_id, reverses AS entry_id, sum(abs(points)) AS points,
                    sum(amount_minor) AS amount_minor
                FROM entry WHERE reverses IS NOT NULL GROUP BY 1, 2
            ) e USING (member_id, entry_id) LEFT JOIN entry o USING (member_id, entry_id)
            WHERE (r.points, r.amount_minor) IS DISTINCT FROM (e.points::bigint, e.amount_minor::bigint)
                OR o.entry_id IS NULL OR r.amount_minor > o.amount_minor
        """,
    ),
    Check(
        name="holds_equal_postings",
        says="what each hold still holds is what its postings put there and did not take out",
        faults=f"""
            SELECT format('hold %s of member %s', entry_id, member_id),
                format('noted %s of %s left, postings %s', h.points - h.captured - h.returned, h.points,
                    coalesce(p.points, 0))
            FROM hold h FULL JOIN (
                SELECT p.member_id, coalesce(e.hold_id, e.entry_id) AS entry_id,
                    sum(CASE {_HELD} WHEN p.credit THEN p.points ELSE -p.points END) AS points
                FROM posting p JOIN entry e USING (member_id, entry_id)
                WHERE {_HELD} IN (p.debit, p.credit) GROUP BY 1, 2
            ) p USING (member_id, entry_id)
            WHERE h.points - h.captured - h.returned IS DISTINCT FROM coalesce(p.points, 0)::bigint
        """,
    ),
    Check(
        name="terms_known",
        says="every posting names terms that exist",
        faults="""
            SELECT format('partner %s terms %s', partner_id, terms_version), 'named by postings, but unknown'
            FROM (
                SELECT DISTINCT issuer_id AS partner_id, issuer_terms AS terms_version FROM posting
                UNION SELECT DISTINCT acceptor_id, acceptor_terms FROM posting WHERE acceptor_id IS NOT NULL
            ) p LEFT JOIN contract_terms t USING (partner_id, terms_version) WHERE t.partner_id IS NULL
        """,
    ),
)


def faults(connection: Connection, check: Check) -> list[Problem]:
    """Run one check; at most a screenful of problems, the last saying how many more there are."""
    rows = connection.execute(text(check.faults)).all()
    problems = [Problem(check=check.name, where=row[0], detail=row[1]) for row in rows[:_SHOWN]]
    if len(rows) > _SHOWN:
        problems.append(
            Problem(check=check.name, where="and more", detail=f"{len(rows) - _SHOWN} further faults")
        )
    return problems
