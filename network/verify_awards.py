"""Checks of awards, referrals, consent and the budgets of staff (see network.verify)."""

from network.check import Check
from network.model import EntryKind

_AWARD, _REFERRAL = int(EntryKind.AWARD), int(EntryKind.REFERRAL)
# Names of counters and budgets, as network.programme.members writes them.
_COUNTER = "concat_ws(' ', 'award', w.award, nullif(w.role, ''), w.occasion)"

_AWARDS = Check(
    name="awards_recorded",
    says="every award says for what it was given, and was counted once for its member",
    faults=f"""
        SELECT format('entry %s of member %s', entry_id, member_id), CASE
            WHEN e.entry_id IS NULL THEN format('has an occasion (%s), and is no award', w.occasion)
            ELSE 'is an award for no occasion' END
        FROM (SELECT member_id, entry_id FROM entry WHERE kind = {_AWARD}) e
        FULL JOIN award w USING (member_id, entry_id) WHERE e.entry_id IS NULL OR w.entry_id IS NULL
        UNION ALL
        SELECT format('member %s, %s', coalesce(c.member_id, w.member_id), coalesce(c.name, w.name)),
            format('was given %s times, and counted %s', coalesce(w.times, 0), coalesce(c.value, 0))
        FROM (SELECT member_id, name, sum(value) AS value FROM member_counter WHERE name LIKE 'award %'
            GROUP BY 1, 2) c
        FULL JOIN (SELECT w.member_id, {_COUNTER} AS name, count(*) AS times FROM award w
            WHERE w.staff = '' GROUP BY 1, 2) w
            ON w.member_id = c.member_id AND w.name = c.name
        WHERE coalesce(w.times, 0) <> 1 OR coalesce(c.value, 0) <> 1
    """,
)

_REFERRALS = Check(
    name="referrals_recorded",
    says="every referral is an entry, of two members, the referrer the earlier; what it gave both is its own",
    faults=f"""
        SELECT format('member %s', coalesce(e.member_id, r.member_id)),
            format('an entry says that %s referred it, and the referral %s', e.counterpart_id, r.referrer_id)
        FROM (SELECT member_id, entry_id, counterpart_id FROM entry WHERE kind = {_REFERRAL}) e
        FULL JOIN referral r ON r.member_id = e.member_id AND r.entry_id = e.entry_id
        WHERE e.counterpart_id IS DISTINCT FROM r.referrer_id OR r.referrer_id >= r.member_id
        UNION ALL
        SELECT format('entry %s of member %s', w.entry_id, w.member_id),
            format('was given for a referral of member %s, and there is none', w.occasion)
        FROM award w WHERE w.role <> ''
            AND NOT EXISTS (SELECT FROM referral r WHERE r.member_id::text = w.occasion)
        UNION ALL
        SELECT format('referral of member %s', w.occasion),
            format('gave the %s points %s times by %s', w.role, count(*), w.award)
        FROM award w WHERE w.role <> '' GROUP BY w.award, w.role, w.occasion HAVING count(*) > 1
    """,
)

_CONSENT = Check(
    name="segments_consented",
    says="who is in a segment has consented to every fact that it needs",
    faults="""
        SELECT format('member %s in segment %s', s.member_id, s.segment),
            format('has not consented to tell its %s', n.name)
        FROM member_segment s JOIN segment_state c USING (segment) CROSS JOIN unnest(c.needs) AS n (name)
        WHERE NOT EXISTS (SELECT FROM member_fact f WHERE f.member_id = s.member_id AND f.name = n.name
            AND f.value IS NOT NULL)
    """,
)

_BUDGETS = Check(
    name="surprises_budgeted",
    says="every budget of staff has given what the surprises out of it say",
    faults="""
        WITH given AS (
            SELECT w.award, e.partner_id, w.staff, sum(e.points) AS points
            FROM award w JOIN (SELECT member_id, entry_id, partner_id, p.points FROM entry
                JOIN (SELECT member_id, entry_id, sum(points) AS points FROM posting WHERE debit = 2
                    AND credit = 1 GROUP BY 1, 2) p USING (member_id, entry_id)) e USING (member_id, entry_id)
            WHERE w.staff <> '' GROUP BY 1, 2, 3
        ), budget AS (
            SELECT rule_id, sum(points) AS points FROM rule_budget WHERE rule_id LIKE 'surprise %' GROUP BY 1
        )
        SELECT coalesce(b.rule_id, format('surprise %s %s %s', g.award, g.partner_id, g.staff)),
            format('gave %s by its awards, and %s by its budget', coalesce(g.points, 0),
                coalesce(b.points, 0))
        FROM (SELECT * FROM budget WHERE rule_id LIKE 'surprise % % %') b
        FULL JOIN given g ON b.rule_id = format('surprise %s %s %s', g.award, g.partner_id, g.staff)
        WHERE coalesce(b.points, 0) <> coalesce(g.points, 0)
        UNION ALL
        SELECT b.rule_id,
            format('gave %s by its awards, and %s by its budget', coalesce(g.points, 0), b.points)
        FROM budget b LEFT JOIN (SELECT format('surprise %s %s', award, partner_id) AS rule_id,
            sum(points) AS points FROM given GROUP BY 1) g USING (rule_id)
        WHERE b.rule_id NOT LIKE 'surprise % % %' AND b.points <> coalesce(g.points, 0)
    """,
)

AWARDS = (_AWARDS, _REFERRALS, _CONSENT, _BUDGETS)
