"""Checks of what programmes count beside points: stocks of rewards, and what was taken for abuse.

See network.verify.
"""

from network.check import Check
from network.model import AccountKind, EntryKind

_REDEMPTION, _ACCEPTED = int(EntryKind.REDEMPTION), int(AccountKind.ACCEPTED)

_STOCKS = Check(
    name="stocks_taken",
    says="what is taken from the stock of a reward is the redemptions for it that did not come back whole",
    faults=f"""
        SELECT format('reward %s', coalesce(b.reward, t.reward)),
            format('noted as taken: %s; redemptions for it: %s', coalesce(b.taken, 0), coalesce(t.taken, 0))
        FROM (
            SELECT substr(rule_id, 8) AS reward, points AS taken FROM rule_budget
            WHERE rule_id LIKE 'reward:%'
        ) b FULL JOIN (
            SELECT j.judgement::jsonb #>> '{{taken,reward}}' AS reward, count(*) AS taken
            FROM judgement j JOIN entry e USING (member_id, entry_id)
            LEFT JOIN reversed_points r USING (member_id, entry_id)
            WHERE e.kind = {_REDEMPTION} AND j.judgement::jsonb #>> '{{taken,counts}}' = 'true'
                AND coalesce(r.points, 0) < (SELECT sum(p.points) FROM posting p
                    WHERE p.member_id = e.member_id AND p.entry_id = e.entry_id AND p.credit = {_ACCEPTED})
            GROUP BY 1
        ) t USING (reward) WHERE coalesce(b.taken, 0) <> coalesce(t.taken, 0)
    """,
)

_ABUSE = Check(
    name="abuse_recorded",
    says="what was held or flagged as abuse is an entry, what was refused is none",
    faults="""
        SELECT format('entry %s of member %s', c.entry_id, c.member_id), CASE
            WHEN c.refused THEN 'was refused as abuse, and is in the ledger'
            ELSE 'was held or flagged as abuse, and is not in the ledger' END
        FROM (
            SELECT member_id, entry_id, bool_or(outcome = 'refused') AS refused FROM abuse_case GROUP BY 1, 2
        ) c
        LEFT JOIN entry e USING (member_id, entry_id)
        WHERE c.refused = (e.entry_id IS NOT NULL)
    """,
)

PROGRAMMES = (_STOCKS, _ABUSE)
