"""Checks of vouchers, codes on packs and coupons (see network.verify)."""

from network.check import Check
from network.model import AccountKind, EntryKind

_VOUCHER = int(AccountKind.VOUCHER)
_ACCEPTED, _LAPSED = int(AccountKind.ACCEPTED), int(AccountKind.LAPSED)
_ACCRUAL = int(EntryKind.ACCRUAL)

_ESCROW = Check(
    name="vouchers_equal_postings",
    says="an open voucher's points are in escrow, those of one that ended went on as it ended, all of them",
    faults=f"""
        SELECT format('voucher %s of member %s', entry_id, member_id), CASE
            WHEN v.entry_id IS NULL THEN 'has points in escrow, and is not there'
            WHEN p.put IS NULL THEN 'is there, and nothing is in escrow for it'
            ELSE format('%s, by entry %s; %s points of issuer %s terms %s put into escrow, %s'
                ' taken out by entry %s, %s accepted, %s lapsed',
                coalesce(nullif(v.ended_as, ''), 'open'), v.ended_by, p.put,
                p.issuer_id, p.issuer_terms, p.taken, p.taken_by, p.accepted, p.lapsed) END
        FROM voucher v FULL JOIN (
            SELECT p.member_id, coalesce(e.hold_id, e.entry_id) AS entry_id, p.issuer_id, p.issuer_terms,
                coalesce(sum(p.points) FILTER (WHERE p.credit = {_VOUCHER}), 0) AS put,
                coalesce(sum(p.points) FILTER (WHERE p.debit = {_VOUCHER}), 0) AS taken,
                coalesce(sum(p.points) FILTER (WHERE p.debit = {_VOUCHER} AND p.credit = {_ACCEPTED}), 0)
                    AS accepted,
                coalesce(sum(p.points) FILTER (WHERE p.debit = {_VOUCHER} AND p.credit = {_LAPSED}), 0)
                    AS lapsed,
                (array_agg(p.entry_id) FILTER (WHERE p.debit = {_VOUCHER}))[1] AS taken_by,
                count(DISTINCT p.entry_id) FILTER (WHERE p.debit = {_VOUCHER}) AS times
            FROM posting p JOIN entry e USING (member_id, entry_id)
            WHERE {_VOUCHER} IN (p.debit, p.credit) GROUP BY 1, 2, 3, 4
        ) p USING (member_id, entry_id)
        WHERE v.entry_id IS NULL OR p.put IS NULL OR p.times > 1 OR v.ended_by IS DISTINCT FROM p.taken_by
            OR p.taken <> CASE WHEN v.ended_by IS NULL THEN 0 ELSE p.put END
            OR p.accepted <> CASE v.ended_as WHEN 'used' THEN p.put ELSE 0 END
            OR p.lapsed NOT IN (0, CASE v.ended_as WHEN 'lapsed' THEN p.put ELSE 0 END)
    """,
)

_IN_TIME = Check(
    name="vouchers_ended_in_time",
    says="no voucher is open whose last day is over",
    faults="""
        SELECT format('voucher %s of member %s', v.entry_id, v.member_id),
            format('is open, and its last day was %s', v.ends_on)
        FROM voucher v, clearing_window w
        WHERE w.closed_at IS NULL AND v.ended_by IS NULL AND v.ends_on < w.lapsed_through
    """,
)

_PACKS = Check(
    name="packs_registered_once",
    says="each code on a pack that is used up was registered by one sale, and each such sale used one up",
    faults=f"""
        SELECT format('pack %s', pack), CASE
            WHEN u.entry_id IS NULL THEN format('registered by entry %s, and not used up', r.entry_id)
            WHEN r.entry_id IS NULL THEN format('used up by entry %s, which registered nothing', u.entry_id)
            ELSE format('used up by entry %s, registered by entry %s', u.entry_id, r.entry_id) END
        FROM pack_use u FULL JOIN (
            SELECT (j.judgement::json -> 'details' ->> 'pack')::bigint AS pack, e.member_id, e.entry_id
            FROM judgement j JOIN entry e USING (member_id, entry_id)
            WHERE j.judgement LIKE '%"pack":%' AND e.kind = {_ACCRUAL}
        ) r USING (pack)
        WHERE (u.member_id, u.entry_id) IS DISTINCT FROM (r.member_id, r.entry_id)
    """,
)

_COUPONS = Check(
    name="coupons_used_once",
    says="a coupon is used by whom it was given, once",
    faults="""
        SELECT format('member %s, %s', n.member_id, n.name), CASE
            WHEN c.coupon IS NULL THEN format('used %s times, and never given', n.value)
            ELSE format('used %s times', n.value) END
        FROM member_counter n LEFT JOIN coupon c
            ON c.member_id = n.member_id AND n.name = 'coupon:' || c.coupon
        WHERE n.name LIKE 'coupon:%' AND (n.value NOT IN (0, 1) OR c.coupon IS NULL AND n.value <> 0)
    """,
)

CODES = (_ESCROW, _IN_TIME, _PACKS, _COUPONS)
