"""Checks that what comes back is what went: same issuer and terms, same acceptor, to whose it was.

See network.verify. Totals are checked elsewhere; here each part of them.
"""

from network.check import Check
from network.model import AccountKind, EntryKind

_MEMBER, _ISSUED, _TRANSIT = int(AccountKind.MEMBER), int(AccountKind.ISSUED), int(AccountKind.TRANSIT)
_ACCEPTED, _HELD, _DEFICIT = int(AccountKind.ACCEPTED), int(AccountKind.HELD), int(AccountKind.DEFICIT)
_MERGE, _UNMERGE = int(EntryKind.MERGE), int(EntryKind.UNMERGE)
_TRANSFER, _VOUCHER = int(EntryKind.TRANSFER), int(AccountKind.VOUCHER)

# What was set aside or spent, and what came back of it, each under the entry that set it aside or spent it.
_WENT = f"""
    went AS (
        SELECT p.*, h.entry_id AS root FROM hold h JOIN posting p USING (member_id, entry_id)
        WHERE p.credit = {_HELD}
        UNION ALL
        SELECT p.*, r.entry_id FROM reversed_points r JOIN posting p USING (member_id, entry_id)
        WHERE p.credit = {_ACCEPTED} AND p.debit IN ({_MEMBER}, {_TRANSIT}, {_HELD}, {_VOUCHER})
    ), back AS (
        SELECT p.*, e.hold_id AS root FROM entry e JOIN posting p USING (member_id, entry_id)
        WHERE e.hold_id IS NOT NULL AND p.debit = {_HELD}
        UNION ALL
        SELECT p.*, e.reverses FROM entry e JOIN posting p USING (member_id, entry_id)
        WHERE e.reverses IS NOT NULL AND p.debit = {_ACCEPTED}
    )
"""
_PART = "member_id, root, issuer_id, issuer_terms, acceptor_id, acceptor_terms"

_SAME_POINTS = Check(
    name="origins_kept",
    says="what a hold or a reward gives on or back has the issuer, terms and acceptor of what it took",
    faults=f"""
        WITH {_WENT}
        SELECT format('entry %s of member %s', root, member_id),
            format('points of issuer %s terms %s, acceptor %s terms %s: %s went on or back, of %s', issuer_id,
                issuer_terms, acceptor_id, acceptor_terms, b.points, coalesce(w.points, 0))
        FROM (SELECT {_PART}, sum(points) AS points FROM back GROUP BY {_PART}) b
        LEFT JOIN (SELECT {_PART}, sum(points) AS points FROM went GROUP BY {_PART}) w USING ({_PART})
        WHERE b.points > coalesce(w.points, 0)
    """,
)

_SAME_OWNERS = Check(
    name="owners_kept",
    says="what comes back of a hold or reward comes back to whose it was, or with whom that one was merged",
    faults=f"""
        WITH {_WENT}, came AS (
            SELECT member_id, root, coalesce(contributor_id, member_id) AS owner, sum(points) AS points
            FROM back WHERE credit IN ({_MEMBER}, {_TRANSIT}) GROUP BY 1, 2, 3
        ), gave AS (
            SELECT member_id, root, coalesce(contributor_id, member_id) AS owner, sum(points) AS points
            FROM went GROUP BY 1, 2, 3
        ), merged AS (
            SELECT DISTINCT member_id AS stays, counterpart_id AS gone FROM entry WHERE kind = {_MERGE}
        )
        SELECT format('entry %s of member %s', c.root, c.member_id),
            format('%s points came back to member %s, who gave %s', c.points, c.owner,
                coalesce(sum(g.points), 0))
        FROM came c LEFT JOIN gave g ON g.member_id = c.member_id AND g.root = c.root AND (g.owner = c.owner
            OR EXISTS (SELECT FROM merged m WHERE (m.stays, m.gone) = (c.owner, g.owner)))
        GROUP BY c.member_id, c.root, c.owner, c.points HAVING c.points > coalesce(sum(g.points), 0)
    """,
)

_PAID = Check(
    name="cures_paid",
    says="what pays a debt is points of the member, accepted by whom it owes, on the line before",
    faults=f"""
        SELECT format('line %s of entry %s of member %s', c.line, c.entry_id, c.member_id),
            format('pays %s points owed to issuer %s, and the line before does not', c.points, c.issuer_id)
        FROM posting c JOIN entry e USING (member_id, entry_id)
        LEFT JOIN posting p ON p.member_id = c.member_id AND p.entry_id = c.entry_id AND p.line = c.line - 1
        WHERE c.debit = {_ISSUED} AND c.credit = {_DEFICIT} AND e.kind <> {_UNMERGE}
            AND NOT (e.kind = {_TRANSFER} AND EXISTS (
                SELECT FROM entry m WHERE m.entry_id = e.parent_id AND m.kind = {_MERGE}))
            AND (p.debit, p.credit, p.points, p.acceptor_id) IS DISTINCT FROM
                ({_MEMBER}::smallint, {_ACCEPTED}::smallint, c.points, c.issuer_id)
    """,
)

ORIGINS = (_SAME_POINTS, _SAME_OWNERS, _PAID)
