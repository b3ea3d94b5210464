"""Checks of what is told in public of causes, and of money that is safeguarded (see network.verify)."""

from network.check import Check
from network.model import MONEY, STORED, AccountKind
from network.pledges import GIVEN
from partners.model import SAFEGUARD_ID
from settlement.money import minor_unit_sql

_MEMBER, _TRANSIT = int(AccountKind.MEMBER), int(AccountKind.TRANSIT)
_UNITS = ", ".join(str(int(one)) for one in MONEY)
_STORED = ", ".join(str(int(one)) for one in STORED)
_KEY = "window_id, unit, debit, credit, issuer_id, issuer_terms, acceptor_id"
_NETTED = "state NOT IN ('closed', 'priced', 'aborted')"

_PRICED = "window_id IN (SELECT window_id FROM settlement_run WHERE state <> 'closed')"

_RAISED = Check(
    name="causes_raised",
    says="what each cause is said to have raised is what it was given, less what came back",
    faults=f"""
        SELECT format('cause %s, window %s', cause_id, window_id),
            format('said: %s points, %s %s; postings: %s, %s', coalesce(t.points, 0), coalesce(t.amount, 0),
                currency, coalesce(g.points, 0), coalesce(g.amount, 0))
        FROM cause_total t FULL JOIN (
            {GIVEN.format(f"p.{_PRICED}")}
        ) g USING (cause_id, window_id, currency)
        WHERE (coalesce(t.points, 0), coalesce(t.amount, 0))
                <> (coalesce(g.points, 0), coalesce(g.amount, 0))
            AND {_PRICED}
    """,
)

_VALUES = Check(
    name="values_equal_postings",
    says="what a night took of stored value and paid plans is the sum of the window's postings",
    faults=f"""
        SELECT format('window %s, unit %s, accounts %s to %s, issuer %s terms %s, acceptor %s', {_KEY}),
            format('postings less total: %s minor units, %s postings', sum(minor), sum(postings))
        FROM (
            SELECT {_KEY}, sum(points) AS minor, count(*) AS postings
            FROM posting WHERE unit IN ({_UNITS}) AND {_PRICED} GROUP BY {_KEY}
            UNION ALL SELECT {_KEY}, -minor, -postings FROM value_total
        ) d GROUP BY {_KEY} HAVING sum(minor) <> 0 OR sum(postings) <> 0
    """,
)
# As with the pool: what moved in windows that are not netted yet is left out, no money has moved for it.
_SAFEGUARDED = Check(
    name="value_is_safeguarded",
    says="as of the last netted night, the safeguarding account holds what members have of stored value",
    faults=f"""
        WITH held AS (
            SELECT currency, sum(final_minor) * {minor_unit_sql("currency")}
                + (array_agg(carried_out ORDER BY window_id DESC))[1] AS amount
            FROM net_position JOIN settlement_run USING (window_id, revision)
            WHERE participant_id = {SAFEGUARD_ID} AND state <> 'aborted' GROUP BY currency
        ), stored AS (
            SELECT issuer_id, terms_version, sum(remaining) AS minor
            FROM lot WHERE unit IN ({_STORED}) GROUP BY 1, 2
            UNION ALL
            SELECT issuer_id, issuer_terms, sum(
                CASE WHEN debit IN ({_MEMBER}, {_TRANSIT}) THEN points ELSE 0 END
                - CASE WHEN credit IN ({_MEMBER}, {_TRANSIT}) THEN points ELSE 0 END)
            FROM posting WHERE unit IN ({_STORED}) AND window_id IN (
                SELECT window_id FROM clearing_window EXCEPT
                SELECT window_id FROM settlement_run WHERE {_NETTED})
            GROUP BY 1, 2
        )
        SELECT 'the safeguarding account',
            format('it has %s %s, members have %s', sum(held), currency, sum(members))
        FROM (
            SELECT currency, amount AS held, 0 AS members FROM held
            UNION ALL
            SELECT currency, 0, minor * {minor_unit_sql("currency")}
            FROM stored JOIN contract_terms ON partner_id = issuer_id
                AND contract_terms.terms_version = stored.terms_version
        ) d GROUP BY currency HAVING sum(held) <> sum(members) ORDER BY currency
    """,
)
_KEPT = Check(
    name="safeguarded_money_is_kept",
    says="the safeguarding account's cash and its claim on the hub are what the money ledger owes members",
    faults=f"""
        SELECT 'the safeguarding account', format('%s %s are left over', sum(amount), currency)
        FROM money_posting
        WHERE participant_id = {SAFEGUARD_ID} AND account IN ('cash', 'claim', 'safeguarded', 'loss')
        GROUP BY currency HAVING sum(amount) <> 0 ORDER BY 1
    """,
)

VALUE_CHECKS = (_RAISED, _VALUES, _SAFEGUARDED, _KEPT)
