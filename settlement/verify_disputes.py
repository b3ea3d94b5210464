"""Checks of disputes: what was awarded is a debt once, and each moved as disputes may."""

from network.verify import Check
from settlement.dispute import MOVES

_MOVES = ", ".join(f"('{before}', '{after}')" for before, after in sorted(MOVES))

DISPUTE_CHECKS = (
    Check(
        name="disputes_are_paid",
        says="every dispute that awards money has its adjustment, of that amount, and no other has one",
        faults="""
            SELECT format('dispute %s', coalesce(e.dispute_id::text, a.origin_reference)),
                CASE WHEN a.adjustment_id IS NULL THEN format('it awards %s, and nothing pays it', e.awarded)
                    WHEN e.dispute_id IS NULL THEN format(
                        'adjustment %s pays %s, and no dispute awards it', a.adjustment_id, a.amount)
                    ELSE format('it awards %s, and adjustment %s pays %s %s from %s to %s', e.awarded,
                        a.adjustment_id, a.amount, a.currency, a.debtor_id, a.creditor_id)
                END
            FROM (SELECT * FROM dispute_event JOIN dispute USING (dispute_id) WHERE awarded > 0) e
            FULL JOIN (SELECT * FROM money_adjustment WHERE origin = 'dispute') a
                ON a.adjustment_id = e.adjustment_id
            WHERE (a.origin_reference, a.amount, a.currency, a.debtor_id, a.creditor_id, a.origin_window_id,
                    a.credited_id, a.credited_terms, a.credited_amount)
                IS DISTINCT FROM (e.dispute_id::text, e.awarded, e.currency, e.against_id, e.raised_by_id,
                    e.window_id, e.credited_id, e.credited_terms,
                    CASE WHEN e.flow <> 'redemption' THEN 0
                        WHEN e.credited_id = e.against_id THEN -e.awarded ELSE e.awarded END)
                OR e.awarded > e.amount OR a.window_id <= e.window_id
            ORDER BY 1
        """,
    ),
    Check(
        name="disputes_move_as_agreed",
        says="every dispute went from state to state by moves that there are, in time",
        faults=f"""
            SELECT format('dispute %s, event %s', dispute_id, sequence),
                format('from %s to %s at %s, with time until %s', before, state, at, until)
            FROM (
                SELECT dispute_id, sequence, state, at, by, lag(state) OVER history AS before,
                    lag(at) OVER history AS since, lag(answer_until) OVER history AS until,
                    lag(sequence) OVER history AS last
                FROM dispute_event WINDOW history AS (PARTITION BY dispute_id ORDER BY sequence)
            ) m WHERE sequence <> coalesce(last, 0) + 1
                OR before IS NOT NULL AND (before, state) NOT IN ({_MOVES})
                OR at < since OR until IS NOT NULL AND (at >= until) <> (by = 'worker')
            UNION ALL
            SELECT format('dispute %s', dispute_id), 'it was never raised' FROM dispute d
            WHERE NOT EXISTS (SELECT FROM dispute_event e WHERE e.dispute_id = d.dispute_id)
            ORDER BY 1
        """,
    ),
)
"""What the database answers by itself."""
