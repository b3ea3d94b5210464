"""Checks of default cases and exits: what was booked is what was simulated, and leavers are stood in for."""

from network.verify import Check
from partners.model import OPERATOR_ID

DEFAULT_CHECKS = (
    Check(
        name="defaults_are_as_simulated",
        says="a default case has the lines that were simulated, and they come to what is missing",
        faults="""
            SELECT format('default case %s', c.case_id), format('its lines come to %s, and %s are missing',
                sum(o.amount_minor), c.missing_minor)
            FROM default_case c LEFT JOIN default_overlay o USING (case_id)
            GROUP BY c.case_id HAVING sum(o.amount_minor) IS DISTINCT FROM c.missing_minor
            UNION ALL
            SELECT format('default case %s', c.case_id), 'its lines are not those that were simulated'
            FROM default_case c JOIN default_simulation s USING (case_id)
            WHERE (SELECT jsonb_agg(jsonb_build_object('amount_minor', amount_minor, 'line', line,
                    'participant_id', participant_id, 'rung', rung) ORDER BY line)
                FROM default_overlay o WHERE o.case_id = c.case_id)
                IS DISTINCT FROM s.body::jsonb -> 'lines'
            UNION ALL
            SELECT format('default case %s', c.case_id), 'it was approved, and is not in the money ledger'
            FROM default_case c WHERE approved AND NOT EXISTS (
                SELECT FROM money_entry e WHERE e.kind = 'overlay' AND e.reference = c.case_id::text)
            UNION ALL
            SELECT format('default case %s', c.case_id), 'what it carries is in no later window'
            FROM default_case c JOIN default_simulation s USING (case_id) WHERE approved
                AND EXISTS (SELECT FROM default_overlay o WHERE o.case_id = c.case_id AND o.rung = 'carry')
                AND NOT EXISTS (SELECT FROM default_carry k
                    WHERE k.case_id = c.case_id AND k.window_id > c.window_id)
            ORDER BY 1
        """,
    ),
    Check(
        name="leavers_are_stood_in_for",
        says="who has left has a stand-in, and from its window on owes and is owed nothing for points",
        faults=f"""
            SELECT format('participant %s', partner_id), 'it has left, and nobody stands in for it'
            FROM partner p WHERE status = 'left'
                AND NOT EXISTS (SELECT FROM stand_in s WHERE s.partner_id = p.partner_id)
            UNION ALL
            SELECT format('window %s', o.window_id),
                format('participant %s has left, and has a debt in it: %s', s.partner_id, o.flow)
            FROM stand_in s JOIN obligation o ON s.partner_id IN (o.debtor_id, o.creditor_id)
                AND o.window_id >= s.from_window_id
            WHERE o.flow <> 'adjustment' AND o.amount <> 0
            UNION ALL
            SELECT format('participant %s', partner_id), format('%s stands in for it', stand_in_id)
            FROM stand_in WHERE stand_in_id <> {OPERATOR_ID}
            ORDER BY 1
        """,
    ),
)
"""What the database answers by itself."""
