"""Checks of who belongs to whom: merges, cards, pools, tiers, children (see network.verify)."""

from network.check import Check
from network.model import EntryKind, Unit

_POINTS = int(Unit.POINTS)
_MERGE, _UNMERGE = int(EntryKind.MERGE), int(EntryKind.UNMERGE)
_INVITATION, _JOIN = int(EntryKind.POOL_INVITATION), int(EntryKind.POOL_JOIN)
_POOL_OF = 8
"""Members that a pool has at most."""

_MERGED = Check(
    name="merged_are_empty",
    says="merged accounts hold and owe nothing, are in no pool, and are merged into one that is not",
    faults="""
        SELECT format('member %s, merged into %s', a.member_id, a.merged_into), CASE
            WHEN o.member_id IS NULL THEN 'and that member has no account'
            WHEN o.merged_into IS NOT NULL THEN format('and that one is merged into %s', o.merged_into)
            WHEN a.pool_id IS NOT NULL THEN format('and still in pool %s', a.pool_id)
            WHEN a.balance + a.deficit <> 0 THEN format('with balance %s, and owes %s', a.balance, a.deficit)
            ELSE 'and still has points or status points in its lots' END
        FROM account a LEFT JOIN account o ON o.member_id = a.merged_into AND o.unit = a.unit
        WHERE a.merged_into IS NOT NULL AND (o.member_id IS NULL OR o.merged_into IS NOT NULL
            OR a.pool_id IS NOT NULL OR a.balance + a.deficit <> 0 OR EXISTS (
                SELECT FROM lot l WHERE l.member_id = a.member_id AND l.remaining <> 0))
    """,
)

_MERGES = Check(
    name="merges_recorded",
    says="who is merged into whom is what the merges and unmerges in the ledger come to",
    faults=f"""
        SELECT format('member %s and %s', merged, stays),
            format('merges less unmerges in the ledger: %s; merged now: %s', coalesce(e.merges, 0),
                coalesce(a.merges, 0))
        FROM (
            SELECT counterpart_id AS merged, member_id AS stays,
                sum(CASE kind WHEN {_MERGE} THEN 1 ELSE -1 END) AS merges
            FROM entry WHERE kind IN ({_MERGE}, {_UNMERGE}) GROUP BY 1, 2
        ) e FULL JOIN (
            SELECT member_id AS merged, merged_into AS stays, 1 AS merges
            FROM account WHERE merged_into IS NOT NULL AND unit = {_POINTS}
        ) a USING (merged, stays)
        WHERE coalesce(e.merges, 0) <> coalesce(a.merges, 0)
        UNION ALL
        SELECT format('member %s', a.member_id),
            format('is merged by entry %s, which is no merge of the two', a.merge_id)
        FROM account a LEFT JOIN entry e ON e.entry_id = a.merge_id AND e.kind = {_MERGE}
            AND e.member_id = a.merged_into AND e.counterpart_id = a.member_id
        WHERE a.merge_id IS NOT NULL AND e.entry_id IS NULL
    """,
)

_CARDS = Check(
    name="cards_open_accounts",
    says="every card opens the account of whom it was issued to, or of whom that one is merged into",
    faults=f"""
        SELECT format('a card issued to member %s', c.issued_to), CASE
            WHEN i.member_id IS NULL THEN 'who has no account'
            WHEN a.member_id IS NULL THEN format('opens the account of %s, and there is none', c.member_id)
            ELSE format('opens the account of %s, and not of %s', c.member_id,
                coalesce(i.merged_into, i.member_id)) END
        FROM card c LEFT JOIN account i ON i.member_id = c.issued_to AND i.unit = {_POINTS}
        LEFT JOIN account a ON a.member_id = c.member_id AND a.unit = {_POINTS}
        WHERE i.member_id IS NULL OR a.member_id IS NULL
            OR c.member_id <> coalesce(i.merged_into, i.member_id)
    """,
)

_POOLS = Check(
    name="pools_agreed",
    says="every pool was founded by an invitation, its members founded or joined one, and are not too many",
    faults=f"""
        SELECT format('member %s, pool %s', a.member_id, a.pool_id),
            CASE WHEN i.entry_id IS NULL THEN 'no invitation has that id'
                ELSE 'the pool is another member''s, and it never joined that' END
        FROM account a LEFT JOIN entry i ON i.entry_id = a.pool_id AND i.kind = {_INVITATION}
        WHERE a.pool_id IS NOT NULL AND (i.entry_id IS NULL OR (i.member_id <> a.member_id AND NOT EXISTS (
            SELECT FROM invitation v JOIN entry j ON j.entry_id = v.joined_by AND j.parent_id = v.entry_id
            WHERE v.pool_id = a.pool_id AND j.member_id = a.member_id AND j.kind = {_JOIN})))
        UNION ALL
        SELECT format('pool %s', pool_id), format('has %s members of at most {_POOL_OF}', count(*))
        FROM account WHERE pool_id IS NOT NULL GROUP BY pool_id, unit HAVING count(*) > {_POOL_OF}
    """,
)

_TIERS = Check(
    name="tiers_set",
    says="who is in a tier was put there, by the last entry that changed it",
    faults=f"""
        SELECT format('member %s', a.member_id), CASE
            WHEN c.tier IS NULL THEN format('is in tier %s, and no entry put it there', a.tier)
            ELSE format('is in tier %s until %s, and its last entry put it into %s until %s',
                a.tier, a.tier_until, c.tier, c.tier_until) END
        FROM account a LEFT JOIN (
            SELECT DISTINCT ON (member_id) member_id, tier, tier_until, left(entry_id::text, 13) AS moment
            FROM tier_change ORDER BY member_id, entry_id DESC
        ) c USING (member_id)
        WHERE a.unit = {_POINTS} AND (a.tier, a.tier_until) IS DISTINCT FROM
            (coalesce(c.tier, ''), coalesce(c.tier_until, '9999-12-31'))
        -- of entries of one millisecond their ids do not say which was the last
        AND NOT EXISTS (SELECT FROM tier_change s WHERE s.member_id = a.member_id
            AND left(s.entry_id::text, 13) = c.moment AND (s.tier, s.tier_until) = (a.tier, a.tier_until))
        UNION ALL
        SELECT format('entry %s', t.entry_id), 'changed a tier, and is not in the ledger'
        FROM tier_change t LEFT JOIN entry e USING (member_id, entry_id) WHERE e.entry_id IS NULL
    """,
)

_CHILDREN = Check(
    name="children_have_guardians",
    says="a child's guardian is another member, with an account",
    faults=f"""
        SELECT format('member %s', a.member_id), CASE
            WHEN g.member_id IS NULL THEN format('its guardian, member %s, has no account', a.guardian_id)
            ELSE 'is its own guardian' END
        FROM account a LEFT JOIN account g ON g.member_id = a.guardian_id AND g.unit = {_POINTS}
        WHERE a.guardian_id IS NOT NULL AND (g.member_id IS NULL OR g.member_id = a.member_id)
    """,
)

ACCOUNTS = (_MERGED, _MERGES, _CARDS, _POOLS, _TIERS, _CHILDREN)
