"""Checks of the money ledger: it balances, holds every night once, and agrees with what was instructed."""

from network.verify import Check
from partners.model import HUB_ID, OPERATOR_ID, POOL_ID, SAFEGUARD_ID
from settlement.money import minor_unit_sql

_UNIT = minor_unit_sql("currency")
_NETTED = "state NOT IN ('closed', 'priced', 'aborted')"

MONEY_CHECKS = (
    Check(
        name="money_entries_balance",
        says="every entry of the money ledger sums to zero in each currency",
        faults="""
            SELECT format('money entry %s', entry_no), format('%s %s are left over', sum(amount), currency)
            FROM money_posting GROUP BY entry_no, currency HAVING sum(amount) <> 0
            UNION ALL
            SELECT format('money entry %s', entry_no), format('%s %s has no lines', kind, reference)
            FROM money_entry e WHERE window_id IS NULL
                AND NOT EXISTS (SELECT FROM money_posting p WHERE p.entry_no = e.entry_no)
            ORDER BY 1
        """,
    ),
    Check(
        name="nights_are_booked",
        says="every netted night is in the money ledger, and what was aborted was taken back whole",
        faults=f"""
            SELECT format('window %s, revision %s', window_id, revision),
                format('it is %s, and not booked', state)
            FROM settlement_run r WHERE {_NETTED} AND NOT EXISTS (
                SELECT FROM money_entry e
                WHERE e.kind = 'netted' AND (e.window_id, e.revision) = (r.window_id, r.revision))
            UNION ALL
            SELECT format('window %s, revision %s', window_id, revision),
                format('it was aborted, and %s %s of participant %s stay in %s', sum(amount), currency,
                    participant_id, account)
            FROM settlement_run JOIN money_entry USING (window_id, revision)
            JOIN money_posting USING (entry_no)
            WHERE state = 'aborted'
            GROUP BY window_id, revision, account, participant_id, currency HAVING sum(amount) <> 0
            ORDER BY 1
        """,
    ),
    Check(
        name="payments_equal_ledger",
        says="what a night still owes and is owed is its positions' payments less what banks booked on them",
        faults=f"""
            SELECT format('window %s, participant %s', window_id, participant_id),
                format('%s %s more in the ledger than instructed and not booked', sum(amount), currency)
            FROM (
                SELECT window_id, participant_id, currency, amount
                FROM settlement_run JOIN money_entry USING (window_id, revision)
                JOIN money_posting USING (entry_no)
                WHERE {_NETTED} AND account IN ('receivable', 'payable')
                UNION ALL
                SELECT window_id, participant_id, currency,
                    (deferred_in_minor + final_minor - deferred_out_minor) * {_UNIT}
                FROM net_position JOIN settlement_run USING (window_id, revision) WHERE {_NETTED}
                UNION ALL
                SELECT window_id, participant_id, currency,
                    CASE direction WHEN 'in' THEN 1 ELSE -1 END * p.amount_minor * {_UNIT}
                FROM instruction JOIN instruction_payment p USING (end_to_end_id)
                UNION ALL
                SELECT window_id, debtor_id, currency, missing_minor * {_UNIT}
                FROM default_case WHERE approved
                UNION ALL
                SELECT window_id, participant_id, currency, -o.amount_minor * {_UNIT}
                FROM default_case JOIN default_overlay o USING (case_id)
                WHERE approved AND rung IN ('loss', 'unwind')
            ) d GROUP BY window_id, participant_id, currency HAVING sum(amount) <> 0 ORDER BY 1
        """,
    ),
    Check(
        name="deferred_goes_on",
        says="every night takes in what the night before deferred, and what default cases carried to it",
        faults=f"""
            SELECT format('window %s, participant %s', window_id, participant_id),
                format('deferred in %s %s minor units more than the night before left', more, currency)
            FROM (
                SELECT window_id, participant_id, currency, sum(more)::bigint AS more FROM (
                    SELECT window_id, participant_id, currency, deferred_in_minor
                        - coalesce(lag(deferred_out_minor) OVER nights, 0) AS more
                    FROM net_position JOIN settlement_run USING (window_id, revision) WHERE {_NETTED}
                    WINDOW nights AS (PARTITION BY participant_id, currency ORDER BY window_id)
                    UNION ALL
                    SELECT k.window_id, o.participant_id, c.currency, o.amount_minor
                    FROM default_carry k JOIN default_case c USING (case_id)
                    JOIN default_overlay o USING (case_id)
                    JOIN settlement_run r ON r.window_id = k.window_id AND r.{_NETTED}
                    WHERE o.rung = 'carry'
                ) d GROUP BY 1, 2, 3
            ) e WHERE more <> 0 ORDER BY 1
        """,
    ),
    Check(
        name="positions_equal_ledger",
        says="charges, what is owed for points and value, and what is carried are in the ledger as netted",
        faults=f"""
            SELECT format('window %s, participant %s', window_id, participant_id),
                format('%s %s more in %s than in its position', -sum(amount), currency, account)
            FROM (
                SELECT window_id, participant_id, currency, account, amount
                FROM settlement_run JOIN money_entry USING (window_id, revision)
                JOIN money_posting USING (entry_no)
                WHERE {_NETTED} AND kind = 'netted'
                    AND account IN ('fees', 'vat', 'pool', 'safeguarded', 'rounding', 'carried')
                UNION ALL
                SELECT window_id, participant_id, currency, c.account, c.amount
                FROM net_position JOIN settlement_run USING (window_id, revision), LATERAL (
                    VALUES
                        ('fees', CASE participant_id WHEN {OPERATOR_ID} THEN 0 ELSE fee_minor END * {_UNIT}),
                        ('vat', CASE participant_id WHEN {OPERATOR_ID} THEN 0 ELSE vat_minor END * {_UNIT}),
                        ('pool', CASE participant_id WHEN {POOL_ID} THEN exact - carried_in ELSE 0 END),
                        ('safeguarded',
                            CASE participant_id WHEN {SAFEGUARD_ID} THEN exact - carried_in ELSE 0 END),
                        ('rounding', carried_out - carried_in),
                        ('carried', (deferred_out_minor - deferred_in_minor) * {_UNIT})
                ) c (account, amount)
                WHERE {_NETTED}
                UNION ALL
                SELECT window_id, {OPERATOR_ID}, currency, 'vat',
                    CASE creditor_id WHEN {OPERATOR_ID} THEN amount ELSE -amount END
                FROM obligation JOIN settlement_run USING (window_id, revision)
                WHERE {_NETTED} AND flow = 'vat' AND debtor_id <> creditor_id
                    AND {OPERATOR_ID} IN (debtor_id, creditor_id)
            ) d GROUP BY window_id, participant_id, currency, account HAVING sum(amount) <> 0 ORDER BY 1
        """,
    ),
    Check(
        name="pool_money_is_kept",
        says="the pool's cash and its claim on the hub are what the money ledger owes for points",
        faults=f"""
            SELECT 'the pool', format('%s %s are left over', sum(amount), currency) FROM money_posting
            WHERE participant_id = {POOL_ID} AND account IN ('cash', 'claim', 'pool', 'loss')
            GROUP BY currency HAVING sum(amount) <> 0 ORDER BY 1
        """,
    ),
    Check(
        name="settled_runs_are_paid",
        says="a settled run leaves nothing to pay, to get, or unexplained",
        faults=f"""
            SELECT format('window %s', window_id), format('%s %s of participant %s stay in %s', sum(amount),
                currency, participant_id, account)
            FROM settlement_run JOIN money_entry USING (window_id, revision)
            JOIN money_posting USING (entry_no)
            WHERE state = 'settled' AND account IN ('receivable', 'payable', 'suspense')
                AND participant_id <> {HUB_ID}
            GROUP BY window_id, participant_id, currency, account HAVING sum(amount) <> 0 ORDER BY 1
        """,
    ),
)
"""What the database answers by itself."""
