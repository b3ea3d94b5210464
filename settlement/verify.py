"""Checks of the nights in a live database: set-based, naming what is wrong and where.

Like those of the ledger (network.verify) each selects faults, so an empty answer is a pass, and all read one
snapshot: the caller opens a repeatable read. A night that is under way at that moment shows as not settled.
"""

from sqlalchemy import Connection

from network.model import WITH_ACTIVITY, AccountKind, Unit
from network.verify import Check, Problem, faults
from partners.model import FX_ID, OPERATOR_ID, POOL_ID
from settlement.exposure_rows import problems as exposure_problems
from settlement.model import OUTSTANDING, STEPS
from settlement.money import minor_unit_sql, minor_units_sql
from settlement.verify_bank import BANK_CHECKS
from settlement.verify_defaults import DEFAULT_CHECKS
from settlement.verify_disputes import DISPUTE_CHECKS
from settlement.verify_money import MONEY_CHECKS
from settlement.verify_nights import recomputed
from settlement.verify_seals import seal_problems
from settlement.verify_values import VALUE_CHECKS

_OUT = ", ".join(str(int(kind)) for kind in OUTSTANDING)
_ELSEWHERE = ", ".join(str(int(kind)) for kind in OUTSTANDING if kind is not AccountKind.MEMBER)
"""Accounts of outstanding points that are in no lot."""
_KEY = (
    "window_id, debit, credit, issuer_id, issuer_terms, acceptor_id, acceptor_terms, category,"
    " reversed_window_id"
)
_UNIT = minor_unit_sql("currency")
_UNITS = minor_units_sql("currency")
_IS_NETTED = "state NOT IN ('closed', 'priced', 'aborted')"
_STEPS = ", ".join(f"'{step}'" for step in STEPS)
_PRICED = "window_id IN (SELECT window_id FROM settlement_run WHERE state <> 'closed')"


_RUNS = (
    Check(
        name="closed_windows_settled",
        says="every closed window is netted, with a hash for each step, and no other window is",
        faults=f"""
            SELECT format('window %s', coalesce(w.window_id, r.window_id)),
                CASE WHEN w.closed_at IS NULL THEN 'settled, but the window is not closed'
                    WHEN r.done >= 3 THEN format('%s with %s of %s steps', r.state, r.steps, r.done)
                    ELSE format('closed, but its night is %s: clear its date', coalesce(r.state, 'not begun'))
                END
            FROM clearing_window w FULL JOIN (
                SELECT r.window_id, r.state, count(s.step) AS steps,
                    array_position(ARRAY[{_STEPS}], r.state) AS done
                FROM settlement_run r LEFT JOIN settlement_step s USING (window_id, revision)
                WHERE r.state <> 'aborted' GROUP BY 1, 2
            ) r ON r.window_id = w.window_id
            WHERE (w.closed_at IS NOT NULL, r.done >= 3, r.done = r.steps) IS DISTINCT FROM (true, true, true)
                AND (w.closed_at IS NOT NULL OR r.window_id IS NOT NULL)
        """,
    ),
)

# While a night is under way its window is closed and not priced, and the sweep into the next one may have
# come to any point: only what follows a priced window must have been swept.
_LAPSES = (
    Check(
        name="expired_points_lapsed",
        says="points that expired have lapsed: every lot of the past is empty once its night is priced",
        faults=f"""
            SELECT format('window %s', w.window_id), format(
                'its lots are swept through %s, and the window before it is priced', w.lapsed_through)
            FROM clearing_window w LEFT JOIN clearing_window b ON b.business_date = w.business_date - 1
            LEFT JOIN settlement_run r ON r.window_id = b.window_id
            WHERE (b.window_id IS NULL OR r.state <> 'closed') AND w.lapsed_through <> w.business_date
            UNION ALL
            SELECT format('member %s, issuer %s terms %s', l.member_id, l.issuer_id, l.terms_version),
                format('%s points expired on %s, and window %s is swept through %s', l.remaining,
                    l.expires_on, w.window_id, w.lapsed_through)
            FROM clearing_window w JOIN lot l ON l.expires_on < w.lapsed_through
            WHERE w.closed_at IS NULL AND l.remaining > 0
            UNION ALL
            SELECT format('member %s, issuer %s terms %s', l.member_id, l.issuer_id, l.terms_version),
                format('%s points live with activity, which ended on %s, and window %s is swept through %s',
                    l.remaining, a.active_until, w.window_id, w.lapsed_through)
            FROM clearing_window w CROSS JOIN lot l JOIN account a USING (member_id, unit)
            WHERE w.closed_at IS NULL AND l.remaining > 0 AND l.expires_on = '{WITH_ACTIVITY}'
                AND a.active_until < w.lapsed_through
            ORDER BY 1
        """,
    ),
)

_TOTALS = (
    Check(
        name="totals_equal_postings",
        says="what a window was priced by is the sum of its postings",
        faults=f"""
            SELECT format('window %s, accounts %s to %s, issuer %s terms %s, acceptor %s', window_id, debit,
                    credit, issuer_id, issuer_terms, acceptor_id),
                format('postings less total: %s points, %s postings', sum(points), sum(postings))
            FROM (
                SELECT {_KEY}, sum(points) AS points, count(*) AS postings
                FROM posting WHERE unit = {int(Unit.POINTS)} AND {_PRICED} GROUP BY {_KEY}
                UNION ALL SELECT {_KEY}, -points, -postings FROM window_total
            ) d GROUP BY {_KEY} HAVING sum(points) <> 0 OR sum(postings) <> 0
        """,
    ),
    Check(
        name="activity_equals_entries",
        says="what statements count is the count of a window's entries",
        faults=f"""
            SELECT format('window %s, partner %s, kind %s', window_id, partner_id, kind),
                format('entries less activity: %s entries, %s points, %s minor units',
                    sum(entries), sum(points), sum(amount_minor))
            FROM (
                SELECT window_id, partner_id, kind, count(*) AS entries, sum(points) AS points,
                    sum(amount_minor) AS amount_minor
                FROM entry WHERE {_PRICED} GROUP BY 1, 2, 3
                UNION ALL
                SELECT window_id, partner_id, kind, -entries, -points, -amount_minor FROM window_activity
            ) d GROUP BY 1, window_id, partner_id, kind
            HAVING sum(entries) <> 0 OR sum(points) <> 0 OR sum(amount_minor) <> 0
        """,
    ),
)


_POSITIONS = (
    Check(
        name="positions_sum_to_zero",
        says="every night's positions sum to zero, exactly and in minor units",
        faults="""
            SELECT format('window %s', window_id),
                format('final %s minor units, exact %s, carried %s, fees %s, VAT %s, converted %s %s',
                    sum(final_minor), sum(exact), sum(carried_out), sum(fee_minor), sum(vat_minor),
                    sum(converted), currency)
            FROM net_position GROUP BY window_id, revision, currency
            HAVING sum(final_minor) <> 0 OR sum(exact) <> 0 OR sum(carried_out) <> 0
                OR sum(fee_minor) <> 0 OR sum(vat_minor) <> 0 OR sum(converted) <> 0
        """,
    ),
    Check(
        name="positions_add_up",
        says="every position is the sum of its parts, and final with what is carried on",
        faults=f"""
            SELECT format('window %s, participant %s', window_id, participant_id),
                format('%s carried in + %s - %s - %s minor units charged, exact %s, final %s, carried %s',
                    carried_in, credits, debits, fee_minor + vat_minor, exact, final_minor, carried_out)
            FROM net_position
            WHERE exact <> carried_in + credits - debits + converted - (fee_minor + vat_minor) * {_UNIT}
                OR exact <> final_minor * {_UNIT} + carried_out OR abs(carried_out) >= {_UNIT}
        """,
    ),
    Check(
        name="fractions_go_on",
        says="every night takes in what the night before carried on",
        faults="""
            SELECT format('window %s, participant %s', window_id, participant_id),
                format('carried in %s, the night before carried on %s', carried_in, before)
            FROM (
                SELECT window_id, participant_id, carried_in, coalesce(lag(carried_out) OVER (
                    PARTITION BY participant_id, currency ORDER BY window_id), 0) AS before
                FROM net_position JOIN settlement_run USING (window_id, revision)
                WHERE state <> 'aborted'
            ) p WHERE carried_in <> before
        """,
    ),
    Check(
        name="positions_equal_obligations",
        says="credits and debits are the window's obligations, self-dealing left out",
        faults=f"""
            SELECT format('window %s, participant %s', window_id, participant_id),
                format('positions less obligations: credits %s, debits %s', sum(credits), sum(debits))
            FROM (
                SELECT window_id, participant_id, currency, credits, debits FROM net_position
                JOIN settlement_run USING (window_id, revision) WHERE state <> 'aborted'
                UNION ALL
                SELECT window_id, creditor_id, currency, -amount, 0 FROM obligation
                JOIN settlement_run USING (window_id, revision)
                WHERE {_IS_NETTED} AND creditor_id <> debtor_id
                UNION ALL
                SELECT window_id, debtor_id, currency, 0, -amount FROM obligation
                JOIN settlement_run USING (window_id, revision)
                WHERE {_IS_NETTED} AND creditor_id <> debtor_id
            ) d GROUP BY window_id, participant_id, currency HAVING sum(credits) <> 0 OR sum(debits) <> 0
        """,
    ),
    Check(
        name="conversions_equal_positions",
        says="what was converted is in the positions of who had it, and the FX account has the other side",
        faults=f"""
            SELECT format('window %s, participant %s', window_id, participant_id),
                format('positions less conversions: %s %s', sum(amount), currency)
            FROM (
                SELECT window_id, revision, participant_id, currency, converted AS amount FROM net_position
                UNION ALL
                SELECT window_id, revision, c.party, c.currency, c.amount FROM fx_conversion, LATERAL (
                    VALUES (participant_id, from_currency, from_amount),
                        (participant_id, to_currency, -to_amount),
                        ({FX_ID}, from_currency, -from_amount), ({FX_ID}, to_currency, to_amount)
                ) c (party, currency, amount)
            ) d GROUP BY window_id, revision, participant_id, currency HAVING sum(amount) <> 0
        """,
    ),
)

# PostgreSQL's round() of a numeric is half-up away from zero, as ours.
_MONTH_TO_DATE = (
    Check(
        name="fees_rounded_on_the_month",
        says="what was charged in a month so far is the rounded sum of its fees, and so is VAT",
        faults=f"""
            SELECT format('window %s, participant %s', window_id, participant_id),
                format('fees charged %s for %s, VAT charged %s for %s', fee, fee_base, vat, vat_base)
            FROM (
                SELECT window_id, participant_id, currency, sum(fee_minor) OVER month AS fee,
                    sum(fee_base) OVER month AS fee_base, sum(vat_minor) OVER month AS vat,
                    sum(vat_base) OVER month AS vat_base
                FROM net_position JOIN settlement_run USING (window_id, revision)
                WHERE participant_id <> {OPERATOR_ID} AND state <> 'aborted'
                WINDOW month AS (
                    PARTITION BY participant_id, currency, window_id / 100 ORDER BY window_id)
            ) p
            WHERE fee <> round(fee_base * {_UNITS}) OR vat <> round(vat_base * {_UNITS})
        """,
    ),
    Check(
        name="vat_rounded_on_the_month",
        says="VAT on flows that was charged in a month so far is the rounded sum of what is due",
        faults=f"""
            SELECT format('window %s, %s to %s', window_id, debtor_id, creditor_id),
                format('VAT charged %s %s for %s', charged, currency, base)
            FROM (
                SELECT window_id, debtor_id, creditor_id, currency, sum(amount) OVER month AS charged,
                    sum(vat_base) OVER month AS base
                FROM obligation JOIN settlement_run USING (window_id, revision)
                WHERE flow = 'vat' AND state <> 'aborted'
                WINDOW month AS (
                    PARTITION BY debtor_id, creditor_id, currency, window_id / 100 ORDER BY window_id)
            ) p WHERE charged * {_UNITS} <> round(base * {_UNITS})
        """,
    ),
)

# What moved in windows that are not netted yet is left out: no money has moved for it.
_POOL = Check(
    name="pool_covers_outstanding",
    says="as of the last netted night, the pool holds outstanding points x issue price x share",
    faults=f"""
        WITH price AS (
            SELECT partner_id AS issuer_id, terms_version, currency, issue_price * funding_share
                + CASE WHEN r.state IS NULL THEN 0 ELSE coalesce(rate, 0) * (1 - funding_share) END
                AS per_point
            FROM contract_terms LEFT JOIN bought_out USING (partner_id, terms_version)
            LEFT JOIN stand_in USING (partner_id)
            LEFT JOIN settlement_run r ON r.window_id = from_window_id AND {_IS_NETTED}
        ), pool AS (
            SELECT currency, sum(final_minor) * {_UNIT} + (array_agg(carried_out ORDER BY window_id DESC))[1]
                AS cash
            FROM net_position JOIN settlement_run USING (window_id, revision)
            WHERE participant_id = {POOL_ID} AND state <> 'aborted' GROUP BY currency
        ), points AS (
            SELECT issuer_id, terms_version, sum(remaining) AS points
            FROM lot WHERE unit = {int(Unit.POINTS)} GROUP BY 1, 2
            UNION ALL
            SELECT issuer_id, issuer_terms,
                sum(CASE WHEN credit IN ({_ELSEWHERE}) THEN points ELSE 0 END
                    - CASE WHEN debit IN ({_ELSEWHERE}) THEN points ELSE 0 END)
            FROM posting WHERE unit = {int(Unit.POINTS)}
                AND (debit IN ({_ELSEWHERE}) OR credit IN ({_ELSEWHERE}))
            GROUP BY 1, 2
            UNION ALL
            SELECT issuer_id, issuer_terms,
                sum(CASE WHEN debit IN ({_OUT}) THEN points ELSE 0 END
                    - CASE WHEN credit IN ({_OUT}) THEN points ELSE 0 END)
            FROM posting WHERE unit = {int(Unit.POINTS)} AND window_id IN (
                SELECT window_id FROM clearing_window EXCEPT
                SELECT window_id FROM settlement_run WHERE {_IS_NETTED})
            GROUP BY 1, 2
        )
        SELECT 'the pool', format('cash and fraction %s %s, outstanding points are worth %s', sum(cash),
            currency, sum(worth))
        FROM (
            SELECT currency, cash, 0 AS worth FROM pool
            UNION ALL
            SELECT currency, 0, points * per_point FROM points JOIN price USING (issuer_id, terms_version)
        ) d GROUP BY currency HAVING sum(cash) <> sum(worth) ORDER BY currency
    """,
)

CHECKS = (
    *(*_RUNS, *_LAPSES, *_TOTALS, *_POSITIONS, *_MONTH_TO_DATE, _POOL),
    *(*MONEY_CHECKS, *DISPUTE_CHECKS, *DEFAULT_CHECKS, *BANK_CHECKS, *VALUE_CHECKS),
)
"""What the database answers by itself."""


def problems(connection: Connection) -> list[Problem]:
    """Run every check of this room."""
    found = [problem for check in CHECKS for problem in faults(connection, check)]
    found.extend(recomputed(connection))
    found.extend(exposure_problems(connection))
    found.extend(seal_problems(connection))
    return found
