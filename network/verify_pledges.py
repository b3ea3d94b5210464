"""Checks of pledges and causes (see network.verify)."""

from network.check import Check
from network.model import EntryKind
from network.pledges import EARNED

_PLEDGE, _DONATION = int(EntryKind.PLEDGE), int(EntryKind.DONATION)

_MADE = Check(
    name="pledges_made",
    says="every pledge was made by an entry, ended by another of its member, and one of a kind is in force",
    faults=f"""
        SELECT format('pledge %s of member %s', p.entry_id, p.member_id),
            CASE WHEN e.entry_id IS NULL THEN 'no entry made it' ELSE 'no entry ended it' END
        FROM pledge p LEFT JOIN entry e ON e.member_id = p.member_id AND e.entry_id = p.entry_id
            AND e.kind = {_PLEDGE}
        LEFT JOIN entry f ON f.member_id = p.member_id AND f.entry_id = p.ended_by AND f.kind = {_PLEDGE}
        WHERE e.entry_id IS NULL OR (p.ended_by IS NOT NULL AND f.window_id IS DISTINCT FROM p.ended_window)
        UNION ALL
        SELECT format('member %s', member_id), format('has %s pledges %s in force', count(*), offer)
        FROM pledge WHERE ended_by IS NULL GROUP BY member_id, offer HAVING count(*) > 1
    """,
)
_KEPT = Check(
    name="pledges_kept",
    says="what was earned under each pledge, and given for it, is what postings say",
    faults=f"""
        SELECT format('pledge %s of member %s', entry_id, member_id),
            format('noted: %s earned, %s given; postings: %s and %s', p.earned, p.given,
                coalesce(w.points, 0), coalesce(g.points, 0))
        FROM pledge p LEFT JOIN (
            SELECT member_id, entry_id, sum(points) AS points
            FROM ({EARNED.format("p.window_id <= g.through")}) one GROUP BY 1, 2
        ) w USING (member_id, entry_id) LEFT JOIN (
            SELECT e.member_id, CAST(substring(e.reference FROM 8 FOR 32) AS uuid) AS entry_id,
                sum(o.points) AS points
            FROM entry e JOIN posting o USING (member_id, entry_id)
            WHERE e.kind = {_DONATION} AND e.reference ~ '^pledge [0-9a-f]{{32}} [0-9]{{8}}$' GROUP BY 1, 2
        ) g USING (member_id, entry_id)
        WHERE (p.earned, p.given) <> (coalesce(w.points, 0), coalesce(g.points, 0))
    """,
)
PLEDGES = (_MADE, _KEPT)
