"""Checks of what one entry owes to another: reversals, holds, pending points, deficits, lines, adjustments.

See network.verify.
"""

from network.check import Check
from network.model import AccountKind, EntryKind, Unit

_MEMBER, _ISSUED = int(AccountKind.MEMBER), int(AccountKind.ISSUED)
_ACCEPTED, _HELD = int(AccountKind.ACCEPTED), int(AccountKind.HELD)
_PENDING, _DEFICIT = int(AccountKind.PENDING), int(AccountKind.DEFICIT)
_ACCRUAL, _REDEMPTION = int(EntryKind.ACCRUAL), int(EntryKind.REDEMPTION)
_REVERSAL, _RELEASE = int(EntryKind.REVERSAL), int(EntryKind.RELEASE)

_GIVING = f"{_ACCRUAL}, {int(EntryKind.LOAD)}"
"""Kinds that give points, a load those on top of it."""


def _sum(condition: str) -> str:
    """The points of those postings p for which a condition holds, as SQL."""
    return f"coalesce(sum(p.points) FILTER (WHERE {condition}), 0)::bigint"


_RETRIED = Check(
    name="retried_once",
    says="what was accepted in the place of a refused request is there, and in no other's place",
    faults="""
        SELECT format('request %s', i.retried_by), CASE
            WHEN count(o.request_key) = 0 THEN 'was accepted in the place of another, and is not there'
            WHEN bool_or(o.refusal IS NOT NULL) THEN 'is said to be accepted, and was refused'
            ELSE format('was accepted in the place of %s requests', count(*)) END
        FROM idempotency i LEFT JOIN idempotency o ON o.request_key = i.retried_by
        WHERE i.retried_by IS NOT NULL GROUP BY i.retried_by
        HAVING count(o.request_key) <> 1 OR bool_or(o.refusal IS NOT NULL)
    """,
)
_REVERSED = Check(
    name="reversed_within",
    says="reversals of an entry add up to what is noted, and never to more than it was",
    faults=f"""
        SELECT format('entry %s of member %s', entry_id, member_id),
            format('noted as reversed: %s points of %s; reversals: %s points of %s; the entry: %s of %s',
                r.points, r.amount_minor, e.points, e.amount_minor,
                CASE WHEN o.kind IN ({_GIVING}) THEN w.issued ELSE w.accepted END, o.amount_minor)
        FROM reversed_points r FULL JOIN (
            SELECT member_id, reverses AS entry_id, coalesce(sum(p.points), 0)::bigint AS points,
                sum(amount_minor)::bigint AS amount_minor
            FROM entry LEFT JOIN (
                SELECT member_id, entry_id, sum(points) AS points
                FROM posting WHERE unit = 1 AND (debit = {_ACCEPTED} OR credit = {_ISSUED}) GROUP BY 1, 2
            ) p USING (member_id, entry_id) WHERE reverses IS NOT NULL GROUP BY 1, 2
        ) e USING (member_id, entry_id) LEFT JOIN entry o USING (member_id, entry_id) LEFT JOIN (
            SELECT member_id, entry_id, {_sum(f"credit = {_ACCEPTED}")} AS accepted,
                {_sum(f"debit = {_ISSUED} AND credit <> {_DEFICIT}")} AS issued
            FROM posting p JOIN reversed_points USING (member_id, entry_id) WHERE p.unit = 1 GROUP BY 1, 2
        ) w USING (member_id, entry_id)
        WHERE (r.points, r.amount_minor) IS DISTINCT FROM (e.points, e.amount_minor)
            OR o.entry_id IS NULL OR r.amount_minor > o.amount_minor
            OR r.points > coalesce(CASE WHEN o.kind IN ({_GIVING}) THEN w.issued ELSE w.accepted END, 0)
    """,
)
"""What a sale has cured or a reversal has made of a deficit is not counted: only its own points."""

_HOLDS = Check(
    name="holds_equal_postings",
    says="what each hold set aside, what was captured and what went back is what its postings moved",
    faults=f"""
        SELECT format('hold %s of member %s', entry_id, member_id),
            format('noted %s held, %s captured, %s returned; postings %s, %s, %s', h.points, h.captured,
                h.returned, p.points, p.captured, p.returned)
        FROM hold h FULL JOIN (
            SELECT p.member_id, coalesce(e.hold_id, e.entry_id) AS entry_id,
                {_sum(f"p.credit = {_HELD}")} AS points,
                {_sum(f"p.debit = {_HELD} AND p.credit = {_ACCEPTED}")} AS captured,
                {_sum(f"p.debit = {_HELD} AND p.credit <> {_ACCEPTED}")} AS returned
            FROM posting p JOIN entry e USING (member_id, entry_id)
            WHERE {_HELD} IN (p.debit, p.credit) GROUP BY 1, 2
        ) p USING (member_id, entry_id)
        WHERE (h.points, h.captured, h.returned) IS DISTINCT FROM (p.points, p.captured, p.returned)
    """,
)

_WAITING = Check(
    name="pending_equal_postings",
    says="what each sale has waiting for an event, released and cancelled is what its postings moved",
    faults=f"""
        SELECT format('entry %s of member %s', entry_id, member_id),
            format('noted %s pending, %s released, %s cancelled; postings %s, %s, %s', n.points, n.released,
                n.cancelled, p.points, p.released, p.cancelled)
        FROM pending n FULL JOIN (
            SELECT p.member_id, CASE e.kind WHEN {_RELEASE} THEN e.hold_id WHEN {_REVERSAL} THEN e.reverses
                    ELSE e.entry_id END AS entry_id,
                {_sum(f"p.credit = {_PENDING}")} AS points,
                {_sum(f"p.debit = {_PENDING} AND p.credit <> {_ISSUED}")} AS released,
                {_sum(f"p.debit = {_PENDING} AND p.credit = {_ISSUED}")} AS cancelled
            FROM posting p JOIN entry e USING (member_id, entry_id)
            WHERE {_PENDING} IN (p.debit, p.credit) GROUP BY 1, 2
        ) p USING (member_id, entry_id)
        WHERE (n.points, n.released, n.cancelled) IS DISTINCT FROM (p.points, p.released, p.cancelled)
    """,
)

_DEFICITS = Check(
    name="deficits_equal_postings",
    says="what members owe, and to which issuer, is what postings made less what they paid",
    faults=f"""
        SELECT format('deficit of member %s, issuer %s terms %s', member_id, issuer_id, terms_version),
            format('noted %s, postings %s', coalesce(d.points, 0), coalesce(p.points, 0))
        FROM deficit d FULL JOIN (
            SELECT member_id, issuer_id, issuer_terms AS terms_version,
                sum(CASE debit WHEN {_DEFICIT} THEN points ELSE -points END) AS points
            FROM posting WHERE {_DEFICIT} IN (debit, credit) GROUP BY 1, 2, 3
        ) p USING (member_id, issuer_id, terms_version)
        WHERE coalesce(d.points, 0) <> coalesce(p.points, 0)
        UNION ALL
        SELECT format('deficit of member %s, issuer %s terms %s', d.member_id, d.issuer_id, d.terms_version),
            format('opened by entry %s, which made none of it', d.entry_id)
        FROM deficit d LEFT JOIN posting p ON p.member_id = d.member_id AND p.entry_id = d.entry_id
            AND p.debit = {_DEFICIT} AND p.issuer_id = d.issuer_id AND p.issuer_terms = d.terms_version
        WHERE p.entry_id IS NULL
        UNION ALL
        SELECT format('account of member %s', member_id),
            format('owes %s, its deficits are %s', coalesce(a.deficit, 0), coalesce(d.points, 0))
        FROM (SELECT member_id, deficit FROM account WHERE unit = {int(Unit.POINTS)}) a
        FULL JOIN (SELECT member_id, sum(points) AS points FROM deficit GROUP BY 1) d USING (member_id)
        WHERE coalesce(a.deficit, 0) <> coalesce(d.points, 0)
    """,
)

_LINES = Check(
    name="lines_add_up",
    says="the lines of a sale or reward are all of it, and those that came back are what was reversed",
    faults=f"""
        WITH line AS (
            SELECT member_id, entry_id, count(*) AS lines, max(line) AS last, sum(measure) AS measure,
                coalesce(sum(measure) FILTER (WHERE returned_by IS NOT NULL), 0) AS returned
            FROM entry_line GROUP BY 1, 2
        ), accepted AS (
            SELECT member_id, entry_id, sum(points) AS points
            FROM posting JOIN line USING (member_id, entry_id) WHERE credit = {_ACCEPTED} GROUP BY 1, 2
        )
        SELECT format('entry %s of member %s', entry_id, member_id),
            CASE WHEN e.kind IS NULL THEN 'has lines, and is not in the ledger'
                WHEN e.kind NOT IN ({_ACCRUAL}, {_REDEMPTION}) THEN format('of kind %s has lines', e.kind)
                WHEN l.lines <> l.last THEN format('has %s lines, the last is number %s', l.lines, l.last)
                ELSE format('lines of %s, the entry %s; lines of %s came back, reversed %s of %s points',
                    l.measure, CASE e.kind WHEN {_ACCRUAL} THEN e.amount_minor ELSE p.points END, l.returned,
                    coalesce(r.amount_minor, 0), coalesce(r.points, 0)) END
        FROM line l LEFT JOIN entry e USING (member_id, entry_id)
        LEFT JOIN accepted p USING (member_id, entry_id)
        LEFT JOIN reversed_points r USING (member_id, entry_id)
        WHERE e.kind IS NULL OR e.kind NOT IN ({_ACCRUAL}, {_REDEMPTION}) OR l.lines <> l.last
            OR l.measure IS DISTINCT FROM CASE e.kind WHEN {_ACCRUAL} THEN e.amount_minor ELSE p.points END
            OR l.returned <> coalesce(CASE e.kind WHEN {_ACCRUAL} THEN r.amount_minor ELSE r.points END, 0)
        UNION ALL
        SELECT format('line %s of entry %s of member %s', l.line, l.entry_id, l.member_id),
            format('says that entry %s returned it, which is no reversal of its entry', l.returned_by)
        FROM entry_line l LEFT JOIN entry r ON r.member_id = l.member_id AND r.entry_id = l.returned_by
            AND r.kind = {_REVERSAL} AND r.reverses = l.entry_id
        WHERE l.returned_by IS NOT NULL AND r.entry_id IS NULL
    """,
)

_ADJUSTMENTS = Check(
    name="adjustments_approved",
    says="every adjustment in the ledger was approved before, as it is there, and is there once",
    faults=f"""
        SELECT format('entry %s of member %s, %s', e.entry_id, e.member_id, e.reference), CASE
            WHEN a.member_id IS NULL THEN 'no approved adjustment is of that name'
            WHEN e.entries > 1 THEN format('there are %s entries of it', e.entries)
            ELSE format('approved at %s: %s points of issuer %s for member %s; recorded at %s: %s of %s',
                a.decided_at, a.points, a.issuer_id, a.member_id, e.recorded_at, e.points, e.issuer_id) END
        FROM (
            SELECT e.member_id, e.entry_id, e.reference, e.recorded_at, min(p.issuer_id) AS issuer_id,
                sum(CASE p.debit WHEN {_ISSUED} THEN p.points ELSE -p.points END) AS points,
                count(*) OVER (PARTITION BY e.reference) AS entries
            FROM entry e LEFT JOIN posting p ON p.member_id = e.member_id AND p.entry_id = e.entry_id
                AND (p.debit, p.credit) IN (({_ISSUED}, {_MEMBER}), ({_MEMBER}, {_ISSUED}))
            WHERE e.kind = {int(EntryKind.ADJUSTMENT)} GROUP BY 1, 2, 3, 4
        ) e LEFT JOIN adjustment a
            ON a.approved AND e.reference = 'adjustment ' || encode(uuid_send(a.adjustment_id), 'hex')
        WHERE a.member_id IS NULL OR e.entries > 1 OR e.recorded_at < a.decided_at
            OR (a.points, a.issuer_id) IS DISTINCT FROM (e.points::bigint, e.issuer_id)
            OR (a.member_id <> e.member_id AND NOT EXISTS (
                SELECT FROM entry m WHERE m.kind = {int(EntryKind.MERGE)} AND (
                    (m.member_id, m.counterpart_id) = (e.member_id, a.member_id)
                    OR (m.member_id, m.counterpart_id) = (a.member_id, e.member_id))))
    """,
)
"""It goes by the card: a merge in between makes it another member's. An approved one that the rules refuse
has no entry, and one that was accepted has it by requests_answered."""

_OFFLINE = Check(
    name="offline_within",
    says="a redemption takes what was asked for, or, where a till accepted it offline, no more than that",
    faults=f"""
        SELECT format('entry %s of member %s', entry_id, member_id),
            format('kind %s, asked for %s points offline, took %s', e.kind, o.points, coalesce(p.points, 0))
        FROM offline_redemption o LEFT JOIN entry e USING (member_id, entry_id) LEFT JOIN (
            SELECT member_id, entry_id, sum(p.points) AS points
            FROM posting p JOIN offline_redemption USING (member_id, entry_id)
            WHERE p.credit = {_ACCEPTED} GROUP BY 1, 2
        ) p USING (member_id, entry_id)
        WHERE e.kind IS DISTINCT FROM {_REDEMPTION} OR coalesce(p.points, 0) > o.points
    """,
)

LINKS = (_RETRIED, _REVERSED, _HOLDS, _WAITING, _DEFICITS, _LINES, _ADJUSTMENTS, _OFFLINE)
