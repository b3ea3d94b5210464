"""Checks of what passes between members: every transfer has its parent, and nothing stays in transit.

See network.verify.
"""

from network.check import Check
from network.model import WITH_ACTIVITY, AccountKind, EntryKind

_ACCEPTED, _HELD = int(AccountKind.ACCEPTED), int(AccountKind.HELD)
_TRANSIT, _TRANSFER = int(AccountKind.TRANSIT), int(EntryKind.TRANSFER)
_JOIN = int(EntryKind.POOL_JOIN)
_PAIRS = f"{int(EntryKind.GIFT)}, {int(EntryKind.MERGE)}, {int(EntryKind.UNMERGE)}"
"""Kinds that always have a transfer of their counterpart, even where nothing moves."""
_OWN_BYTES = 11
"""Bytes of an id before its member's number, the same in a transfer's id as in its parent's."""

_NOTHING_LEFT = Check(
    name="transit_is_zero",
    says="nothing is left in transit after an entry and its transfers, for any issuer and terms",
    faults=f"""
        SELECT format('entry %s, issuer %s terms %s', parent, issuer_id, issuer_terms),
            format('%s points are left in transit', points)
        FROM (
            SELECT coalesce(e.parent_id, entry_id) AS parent, p.issuer_id, p.issuer_terms,
                sum(CASE {_TRANSIT} WHEN p.credit THEN p.points ELSE -p.points END) AS points
            FROM posting p LEFT JOIN entry e USING (member_id, entry_id)
            WHERE {_TRANSIT} IN (p.debit, p.credit) GROUP BY 1, 2, 3
        ) t WHERE points <> 0
    """,
)

_PARENTS = Check(
    name="transfers_have_parents",
    says="every transfer belongs to an entry of its window, and what needs a transfer has one",
    faults=f"""
        SELECT format('transfer %s of member %s', t.entry_id, t.member_id), CASE
            WHEN e.entry_id IS NULL THEN format('no entry %s of member %s', t.parent_id, t.counterpart_id)
            WHEN e.kind = {_TRANSFER} THEN format('entry %s is a transfer itself', t.parent_id)
            ELSE format('differs from entry %s in id, reference, window, partner, times or programme, or has'
                ' an amount or links of its own', t.parent_id) END
        FROM entry t LEFT JOIN entry e ON e.member_id = t.counterpart_id AND e.entry_id = t.parent_id
        WHERE t.kind = {_TRANSFER} AND (e.entry_id IS NULL OR e.kind = {_TRANSFER}
            OR (t.window_id, t.partner_id, t.programme_version, t.occurred_at, t.recorded_at, t.reference)
                IS DISTINCT FROM (e.window_id, e.partner_id, e.programme_version, e.occurred_at,
                    e.recorded_at, 'transfer ' || encode(uuid_send(t.parent_id), 'hex'))
            OR substring(uuid_send(t.entry_id) FOR {_OWN_BYTES})
                <> substring(uuid_send(t.parent_id) FOR {_OWN_BYTES})
            OR t.member_id = e.member_id OR t.amount_minor <> 0
            OR num_nonnulls(t.currency, t.outlet_code, t.reverses, t.hold_id) > 0)
        UNION ALL
        SELECT format('entry %s of member %s', e.entry_id, e.member_id),
            format('has entry %s as its parent, and is no transfer or joins by no invitation', e.parent_id)
        FROM entry e WHERE e.kind <> {_TRANSFER} AND e.parent_id IS NOT NULL AND NOT (e.kind = {_JOIN}
            AND EXISTS (SELECT FROM invitation v WHERE v.member_id = e.counterpart_id
                AND v.entry_id = e.parent_id AND v.joined_by = e.entry_id))
        UNION ALL
        SELECT format('entry %s of member %s', e.entry_id, e.member_id),
            format('member %s has no transfer of it', e.counterpart_id)
        FROM entry e LEFT JOIN entry t
            ON t.member_id = e.counterpart_id AND t.parent_id = e.entry_id AND t.kind = {_TRANSFER}
        WHERE e.kind IN ({_PAIRS}) AND t.entry_id IS NULL
    """,
)

_SIDE = """p.line, p.points, p.issuer_id, p.issuer_terms, p.unit, p.spendable_on, p.expires_on"""
_MIRRORED = Check(
    name="transfers_mirror_lines",
    says="each line to or from another member is that member's too: the same points, issuer, terms and lot",
    faults=f"""
        SELECT format('entry %s, line %s with member %s', parent, line, member_id), CASE
            WHEN t.points IS NULL THEN format('%s points of it are in no line of a transfer', e.points)
            WHEN e.points IS NULL THEN format('a transfer has %s points, the entry no such line', t.points)
            ELSE format('the entry moves %s points of issuer %s terms %s, lot %s to %s;'
                ' the transfer %s of issuer %s terms %s, lot %s to %s', e.points, e.issuer_id, e.issuer_terms,
                e.spendable_on, e.expires_on, t.points, t.issuer_id, t.issuer_terms, t.spendable_on,
                t.expires_on) END
        FROM (
            SELECT entry_id AS parent, coalesce(p.contributor_id, e.counterpart_id) AS member_id,
                p.debit = {_TRANSIT} AS comes, {_SIDE}
            FROM posting p JOIN entry e USING (member_id, entry_id)
            WHERE {_TRANSIT} IN (p.debit, p.credit) AND e.kind <> {_TRANSFER}
        ) e FULL JOIN (
            SELECT e.parent_id AS parent, member_id, p.credit = {_TRANSIT} AS comes, {_SIDE},
                num_nonnulls(p.contributor_id, p.acceptor_id, p.reversed_window_id) AS named
            FROM posting p JOIN entry e USING (member_id, entry_id)
            WHERE {_TRANSIT} IN (p.debit, p.credit) AND e.kind = {_TRANSFER}
        ) t USING (parent, line, member_id)
        WHERE (e.points, e.issuer_id, e.issuer_terms, e.unit, e.spendable_on, e.comes) IS DISTINCT FROM
                (t.points, t.issuer_id, t.issuer_terms, t.unit, t.spendable_on, t.comes)
            OR (e.expires_on <> t.expires_on AND '{WITH_ACTIVITY}' NOT IN (e.expires_on, t.expires_on))
            OR t.named > 0
        UNION ALL
        SELECT format('entry %s of member %s, line %s', entry_id, member_id, line),
            format('names member %s as contributor, and nothing passed between them', contributor_id)
        FROM posting WHERE contributor_id IS NOT NULL AND {_TRANSIT} NOT IN (debit, credit)
            AND (debit, credit) <> ({_HELD}, {_ACCEPTED})
    """,
)
"""Points that live with the activity of one account get a last day when they go to another's: lots differ."""

TRANSFERS = (_NOTHING_LEFT, _PARENTS, _MIRRORED)
