"""Checks of the bank: statements follow, add up and are booked whole; only approved accounts were paid."""

from network.verify import Check
from partners.model import HUB_ID
from settlement.money import minor_unit_sql

BANK_CHECKS = (
    Check(
        name="statements_add_up",
        says="every statement that was read opens with what the one before closed with, and adds up",
        faults="""
            SELECT format('statement %s of %s', statement_id, iban),
                format('%s %s minor units are left over', opening_minor + moved - closing_minor, currency)
            FROM bank_statement s, LATERAL (
                SELECT coalesce(sum(amount_minor), 0) AS moved FROM bank_transaction t
                WHERE t.statement_no = s.statement_no
            ) t WHERE opening_minor + moved <> closing_minor
            UNION ALL
            SELECT format('statement %s of %s', statement_id, iban),
                format('it opens %s %s minor units off the one before', opening_minor - closed, currency)
            FROM (
                SELECT *, lag(closing_minor) OVER account AS closed FROM bank_statement
                WINDOW account AS (PARTITION BY iban, currency ORDER BY statement_no)
            ) s WHERE opening_minor <> closed
            ORDER BY 1
        """,
    ),
    Check(
        name="transactions_are_booked",
        says="the parts of every transaction sum to it, and stand in the money ledger as they were booked",
        faults=f"""
            SELECT format('statement %s, entry %s/%s', statement_no, entry, detail),
                format('%s minor units are not booked', t.amount_minor - coalesce(b.minor, 0))
            FROM bank_transaction t LEFT JOIN (
                SELECT statement_no, entry, detail, sum(amount_minor) AS minor
                FROM bank_booking GROUP BY 1, 2, 3
            ) b USING (statement_no, entry, detail) WHERE t.amount_minor <> coalesce(b.minor, 0)
            UNION ALL
            SELECT coalesce(b.reference, m.reference), format('%s by the statement, %s in the money ledger',
                coalesce(b.amount, 0), coalesce(m.amount, 0))
            FROM (
                SELECT format('bank %s/%s/%s/%s', statement_no, entry, detail, part) AS reference,
                    amount_minor * {minor_unit_sql("currency")} AS amount
                FROM bank_booking JOIN bank_statement USING (statement_no)
            ) b FULL JOIN (
                SELECT reference, sum(amount) AS amount FROM money_entry JOIN money_posting USING (entry_no)
                WHERE account = 'cash' AND participant_id = {HUB_ID} AND reference LIKE 'bank %%'
                GROUP BY reference
            ) m ON m.reference = b.reference WHERE b.amount IS DISTINCT FROM m.amount
            ORDER BY 1
        """,
    ),
    Check(
        name="pay_outs_to_approved_accounts",
        says="every pay-out went to an account that two had approved and that had cooled off, as instructed",
        faults="""
            SELECT l.message_id, format('%s was paid to %s, which was not in use', l.end_to_end_id, l.iban)
            FROM payment_file_line l JOIN payment_file f USING (message_id)
            WHERE f.window_id IS NOT NULL AND NOT EXISTS (
                SELECT FROM bank_account a
                WHERE (a.participant_id, a.currency, a.iban) = (l.participant_id, l.currency, l.iban)
                    AND a.approved AND a.in_use_from <= f.made_at AND a.withdrawn_at IS NULL)
            UNION ALL
            SELECT l.message_id, format('%s was paid as nobody had instructed it', l.end_to_end_id)
            FROM payment_file_line l JOIN payment_file f USING (message_id)
            LEFT JOIN instruction i ON (i.end_to_end_id, i.participant_id, i.currency, i.direction)
                = (l.end_to_end_id, l.participant_id, l.currency, 'out')
            WHERE f.window_id IS NOT NULL AND (i.amount_minor IS NULL OR l.amount_minor > i.amount_minor)
            UNION ALL
            SELECT l.message_id, format('%s was sent back as nobody had approved it', l.end_to_end_id)
            FROM payment_file_line l JOIN payment_file f USING (message_id)
            LEFT JOIN bank_resolution r ON r.way = 'refund' AND r.approved
                AND 'REFUND-' || lpad(r.resolution_id::text, 10, '0') = l.end_to_end_id
            WHERE f.window_id IS NULL
                AND (l.amount_minor, l.iban) IS DISTINCT FROM (r.amount_minor, r.iban)
            ORDER BY 1
        """,
    ),
    Check(
        name="ways_out_within_exceptions",
        says="no more was resolved of an exception than it is about",
        faults="""
            SELECT format('exception %s', exception_id),
                format('%s of %s minor units are resolved', sum(r.minor), e.amount_minor)
            FROM (
                SELECT exception_id, CASE WHEN EXISTS (
                    SELECT FROM bank_rejection j WHERE j.approved AND name = ANY(j.payments)
                ) THEN coalesce((
                    SELECT -sum(b.amount_minor) FROM bank_booking b WHERE b.end_to_end_id = name
                ), 0) ELSE amount_minor END AS minor
                FROM (
                    SELECT exception_id, amount_minor,
                        'REFUND-' || lpad(resolution_id::text, 10, '0') AS name
                    FROM bank_resolution WHERE approved AND way <> 'chase'
                ) one
            ) r JOIN bank_exception e USING (exception_id)
            GROUP BY exception_id, e.amount_minor HAVING sum(r.minor) > e.amount_minor ORDER BY 1
        """,
    ),
)
