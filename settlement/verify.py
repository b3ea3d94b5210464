"""Checks of the nights in a live database: set-based, naming what is wrong and where.

Like those of the ledger (network.verify) each selects faults, so an empty answer is a pass, and all read one
snapshot: the caller opens a repeatable read. A night that is under way at that moment shows as not settled.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date

import msgspec
from sqlalchemy import Connection

from network.model import AccountKind, Unit
from network.service import date_of_window, read_network
from network.verify import Check, Problem, faults
from partners.model import OPERATOR_ID, POOL_ID
from settlement import store
from settlement.canonical import digest
from settlement.clearing import TermsByVersion, fee_bases, obligations, price
from settlement.errors import SettlementError
from settlement.model import Before, Charge, Output, Position, Step, Transactions
from settlement.money import ZERO, exactly, minor_digits
from settlement.positions import charges, net_positions, terms_in_force
from settlement.verify_seals import seal_problems

HASHES_HOLD = "hashes_hold"
OBLIGATIONS_FOLLOW_TERMS = "obligations_follow_terms"
POSITIONS_FOLLOW_TERMS = "positions_follow_terms"

_MEMBER = int(AccountKind.MEMBER)
_HELD = int(AccountKind.HELD)
_KEY = (
    "window_id, debit, credit, issuer_id, issuer_terms, acceptor_id, acceptor_terms, category,"
    " reversed_window_id"
)
_PRICED = "window_id IN (SELECT window_id FROM settlement_run WHERE state <> 'closed')"
_BATCH = 50
"""Windows that are recomputed at a time, so that memory stays flat however many nights there are."""


def problems(connection: Connection) -> list[Problem]:
    """Run every check of this room."""
    found = [problem for check in checks(connection) for problem in faults(connection, check)]
    found.extend(recomputed(connection))
    found.extend(seal_problems(connection))
    return found


def checks(connection: Connection) -> tuple[Check, ...]:
    """The checks that the database answers by itself, for the currency of its network."""
    digits = minor_digits(read_network(connection).currency)
    return (
        *_RUNS,
        *_LAPSES,
        *_TOTALS,
        *_positions(f"1e-{digits}"),
        *_month_to_date(digits),
        _pool(f"1e-{digits}"),
    )


_RUNS = (
    Check(
        name="closed_windows_settled",
        says="every closed window is netted, with a hash for each step, and no other window is",
        faults=f"""
            SELECT format('window %s', coalesce(w.window_id, r.window_id)),
                CASE WHEN w.closed_at IS NULL THEN 'settled, but the window is not closed'
                    WHEN r.state = 'netted' THEN format('netted with %s of 3 steps', r.steps)
                    ELSE format('closed, but its night is %s: clear its date', coalesce(r.state, 'not begun'))
                END
            FROM clearing_window w FULL JOIN (
                SELECT r.window_id, r.state, count(s.step) AS steps
                FROM settlement_run r LEFT JOIN settlement_step s USING (window_id, revision)
                WHERE r.revision = {store.REVISION} GROUP BY 1, 2
            ) r ON r.window_id = w.window_id
            WHERE (w.closed_at IS NOT NULL, r.state, r.steps) IS DISTINCT FROM (true, 'netted', 3::bigint)
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
        faults="""
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
                FROM posting WHERE {_PRICED} GROUP BY {_KEY}
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


def _positions(unit: str) -> tuple[Check, ...]:
    """Checks of positions; `unit` is one minor unit in major ones, as SQL."""
    return (
        Check(
            name="positions_sum_to_zero",
            says="every night's positions sum to zero, exactly and in minor units",
            faults="""
                SELECT format('window %s', window_id),
                    format('final %s minor units, exact %s, carried %s, fees %s, VAT %s', sum(final_minor),
                        sum(exact), sum(carried_out), sum(fee_minor), sum(vat_minor))
                FROM net_position GROUP BY window_id, revision
                HAVING sum(final_minor) <> 0 OR sum(exact) <> 0 OR sum(carried_out) <> 0
                    OR sum(fee_minor) <> 0 OR sum(vat_minor) <> 0
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
                WHERE exact <> carried_in + credits - debits - (fee_minor + vat_minor) * {unit}
                    OR exact <> final_minor * {unit} + carried_out OR abs(carried_out) >= {unit}
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
                        PARTITION BY participant_id, revision ORDER BY window_id), 0) AS before
                    FROM net_position
                ) p WHERE carried_in <> before
            """,
        ),
        Check(
            name="positions_equal_obligations",
            says="credits and debits are the window's obligations, self-dealing left out",
            faults="""
                SELECT format('window %s, participant %s', window_id, participant_id),
                    format('positions less obligations: credits %s, debits %s', sum(credits), sum(debits))
                FROM (
                    SELECT window_id, participant_id, credits, debits FROM net_position
                    UNION ALL
                    SELECT window_id, creditor_id, -amount, 0 FROM obligation
                    JOIN settlement_run USING (window_id, revision)
                    WHERE state = 'netted' AND creditor_id <> debtor_id
                    UNION ALL
                    SELECT window_id, debtor_id, 0, -amount FROM obligation
                    JOIN settlement_run USING (window_id, revision)
                    WHERE state = 'netted' AND creditor_id <> debtor_id
                ) d GROUP BY window_id, participant_id HAVING sum(credits) <> 0 OR sum(debits) <> 0
            """,
        ),
    )


def _month_to_date(digits: int) -> tuple[Check, ...]:
    """PostgreSQL's round() of a numeric is half-up away from zero, as ours."""
    return (
        Check(
            name="fees_rounded_on_the_month",
            says="what was charged in a month so far is the rounded sum of its fees, and so is VAT",
            faults=f"""
                SELECT format('window %s, participant %s', window_id, participant_id),
                    format('fees charged %s for %s, VAT charged %s for %s', fee, fee_base, vat, vat_base)
                FROM (
                    SELECT window_id, participant_id, sum(fee_minor) OVER month AS fee,
                        sum(fee_base) OVER month AS fee_base, sum(vat_minor) OVER month AS vat,
                        sum(vat_base) OVER month AS vat_base
                    FROM net_position WHERE participant_id <> {OPERATOR_ID}
                    WINDOW month AS (
                        PARTITION BY participant_id, revision, window_id / 100 ORDER BY window_id)
                ) p
                WHERE fee <> round(fee_base * 1e{digits}) OR vat <> round(vat_base * 1e{digits})
            """,
        ),
    )


def _pool(unit: str) -> Check:
    """What the pool was paid, with its fraction, against the lots less what is not netted yet."""
    return Check(
        name="pool_covers_outstanding",
        says="as of the last netted night, the pool holds outstanding points x issue price x share",
        faults=f"""
            WITH price AS (
                SELECT partner_id AS issuer_id, terms_version, issue_price * funding_share AS per_point
                FROM contract_terms
            ), pool AS (
                SELECT coalesce(sum(final_minor), 0) * {unit} + coalesce(
                    (array_agg(carried_out ORDER BY window_id DESC))[1], 0) AS cash
                FROM net_position WHERE participant_id = {POOL_ID} AND revision = {store.REVISION}
            ), lots AS (
                SELECT coalesce(sum(l.remaining * p.per_point), 0) AS worth
                FROM (
                    SELECT issuer_id, terms_version, sum(remaining) AS remaining
                    FROM lot WHERE unit = {int(Unit.POINTS)} GROUP BY 1, 2
                ) l JOIN price p USING (issuer_id, terms_version)
            ), held AS (
                SELECT coalesce(sum(h.points * p.per_point), 0) AS worth
                FROM (
                    SELECT issuer_id, issuer_terms AS terms_version,
                        sum(CASE {_HELD} WHEN credit THEN points ELSE -points END) AS points
                    FROM posting WHERE unit = {int(Unit.POINTS)} AND {_HELD} IN (debit, credit)
                    GROUP BY 1, 2
                ) h JOIN price p USING (issuer_id, terms_version)
            ), later AS (
                SELECT coalesce(sum(d.points * p.per_point), 0) AS worth
                FROM (
                    SELECT issuer_id, issuer_terms AS terms_version, sum(
                        CASE WHEN credit IN ({_MEMBER}, {_HELD}) THEN points ELSE 0 END
                        - CASE WHEN debit IN ({_MEMBER}, {_HELD}) THEN points ELSE 0 END) AS points
                    FROM posting WHERE unit = {int(Unit.POINTS)} AND window_id IN (
                        SELECT window_id FROM clearing_window EXCEPT
                        SELECT window_id FROM settlement_run WHERE state = 'netted')
                    GROUP BY 1, 2
                ) d JOIN price p USING (issuer_id, terms_version)
            )
            SELECT 'the pool', format('cash and fraction %s, outstanding points are worth %s', cash,
                lots.worth + held.worth - later.worth)
            FROM pool, lots, held, later WHERE cash <> lots.worth + held.worth - later.worth
        """,
    )


def recomputed(connection: Connection) -> Iterator[Problem]:
    """Hash each step's stored output again, price each window's totals again, and net each night again.

    A night is netted on what the nights before it left, as it is stored: a night that is wrong is told by
    itself, and those that honestly build on it are not.
    """
    hashes = store.load_hashes(connection)
    terms = store.load_terms(connection)
    currency = read_network(connection).currency
    windows = list(hashes)
    left = _Left()
    for start in range(0, len(windows), _BATCH):
        batch = windows[start : start + _BATCH]
        outputs = store.load_outputs(connection, batch)
        transactions = store.load_transactions(connection, batch)
        for window_id, output in outputs.items():
            yield from _hash_faults(window_id, output, hashes[window_id])
            if "priced" in hashes[window_id]:
                yield from _price_faults(window_id, output, terms)
            if "netted" in hashes[window_id]:
                on = date_of_window(window_id)
                before = left.before(on)
                yield from _net_faults(window_id, output, transactions[window_id], terms, before, currency)
                left = left.after(on, output.positions)


class _Left(msgspec.Struct, frozen=True):
    """What the nights so far left to each participant; `on` is the last one's business date."""

    on: date = date.min
    to: Mapping[int, Before] = {}

    def before(self, on: date) -> Mapping[int, Before]:
        """What a night starts from: a new month has no charges yet."""
        if (on.year, on.month) == (self.on.year, self.on.month):
            return self.to
        return {party: Before(carried_out=one.carried_out) for party, one in self.to.items()}

    @exactly
    def after(self, on: date, positions: Sequence[Position]) -> "_Left":
        """This with a night added: its charges to the month's, its fractions in place of the last ones."""
        before = self.before(on)
        to = {party: Before(month_to_date=one.month_to_date) for party, one in before.items()}
        for one in positions:
            charged = before.get(one.participant_id, Before()).month_to_date
            to[one.participant_id] = Before(
                month_to_date=Charge(
                    fee_base=charged.fee_base + one.fee_base,
                    vat_base=charged.vat_base + one.vat_base,
                    fee_minor=charged.fee_minor + one.fee_minor,
                    vat_minor=charged.vat_minor + one.vat_minor,
                ),
                carried_out=one.carried_out,
            )
        return _Left(on, to)


def _hash_faults(window_id: int, output: Output, hashes: Mapping[Step, bytes]) -> Iterator[Problem]:
    for step, kept in hashes.items():
        if digest(step, window_id, store.REVISION, **output.of(step)) != kept:
            yield Problem(
                check=HASHES_HOLD,
                where=f"window {window_id}, step {step}",
                detail=f"its rows are no longer those that were hashed as {kept.hex()}",
            )


def _price_faults(window_id: int, output: Output, terms: TermsByVersion) -> Iterator[Problem]:
    try:
        expected = list(obligations(price(output.totals, terms)))
    except SettlementError as error:
        yield Problem(check=OBLIGATIONS_FOLLOW_TERMS, where=f"window {window_id}", detail=str(error))
        return
    if output.obligations != expected:
        wrong = [debt for debt in expected if debt not in output.obligations]
        yield Problem(
            check=OBLIGATIONS_FOLLOW_TERMS,
            where=f"window {window_id}",
            detail=f"the terms make {len(wrong)} of its {len(expected)} obligations otherwise: {wrong[:3]}",
        )


def _net_faults(
    window_id: int,
    output: Output,
    transactions: Sequence[Transactions],
    terms: TermsByVersion,
    before: Mapping[int, Before],
    currency: str,
) -> Iterator[Problem]:
    """Fees, VAT, rounding and what is carried, worked out again as the night did, against what is stored."""
    digits = minor_digits(currency)
    stored = {one.participant_id: one for one in output.positions}
    try:
        in_force = terms_in_force(terms, date_of_window(window_id))
        bases = fee_bases(output.totals, price(output.totals, terms), transactions, terms)
        expected = net_positions(
            stored,
            output.obligations,
            charges(bases, terms, in_force, before, digits),
            before,
            currency=currency,
            digits=digits,
        )
    except SettlementError as error:
        yield Problem(check=POSITIONS_FOLLOW_TERMS, where=f"window {window_id}", detail=str(error))
        return
    for one in expected:
        found = stored.get(one.participant_id)
        # who joined after that night had no position in it, and would have had one of nothing
        if found != one and (found is not None or one != _nothing(one)):
            yield Problem(
                check=POSITIONS_FOLLOW_TERMS,
                where=f"window {window_id}, participant {one.participant_id}",
                detail=f"debts, terms and nights before make it {_figures(one)}; stored is {_figures(found)}",
            )


def _nothing(of: Position) -> Position:
    """A night's position of somebody who had no part in it."""
    return msgspec.structs.replace(
        of,
        **dict.fromkeys(
            ("credits", "debits", "fee_base", "vat_base", "carried_in", "exact", "carried_out"), ZERO
        ),
        **dict.fromkeys(("fee_minor", "vat_minor", "final_minor"), 0),
    )


def _figures(position: Position | None) -> str:
    if position is None:
        return "nothing"
    return (
        f"fee {position.fee_minor} for {position.fee_base}, "
        f"VAT {position.vat_minor} for {position.vat_base}, "
        f"exact {position.exact}, final {position.final_minor}, carried {position.carried_out}"
    )
