"""Checks of what is told in public of causes, and of money that is safeguarded (see network.verify)."""

from network.check import Check
from network.pledges import GIVEN

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

VALUE_CHECKS = (_RAISED,)
