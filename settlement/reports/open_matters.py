"""What waits for somebody: payments, bank exceptions, disputes, defaults; for the operator's attention."""

from collections.abc import Iterator, Mapping
from datetime import date

from sqlalchemy import Connection, text

from partners.model import Participant
from settlement.bank.resolving import standings
from settlement.reports.night import Attention
from settlement.reports.read import major
from settlement.reports.show import cents, money

# Of each payment, the latest attempt: those before it came back.
_UNPAID = text(
    """
    SELECT i.participant_id, i.currency, i.direction, count(*) AS payments, min(i.value_on) AS since,
        sum(i.amount_minor - coalesce(p.booked_minor, 0))::bigint AS open_minor
    FROM (
        SELECT DISTINCT ON (window_id, revision, participant_id, currency, direction) *
        FROM instruction ORDER BY window_id, revision, participant_id, currency, direction, attempt DESC
    ) i
    JOIN settlement_run r ON r.window_id = i.window_id AND r.revision = i.revision AND r.state <> 'aborted'
    LEFT JOIN (
        SELECT end_to_end_id, sum(amount_minor) AS booked_minor FROM instruction_payment GROUP BY 1
    ) p USING (end_to_end_id)
    WHERE i.value_on <= :on AND r.state <> 'settled' AND i.amount_minor > coalesce(p.booked_minor, 0)
    GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
    """
)
_DISPUTES = text(
    """
    SELECT d.raised_by_id, d.against_id, last.state, d.currency, count(*) AS found, sum(d.amount) AS amount,
        min(last.answer_until)::date AS until
    FROM dispute d JOIN LATERAL (
        SELECT state, answer_until FROM dispute_event e
        WHERE e.dispute_id = d.dispute_id ORDER BY sequence DESC LIMIT 1
    ) last ON true
    WHERE last.state NOT IN ('accepted', 'decided') GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
    """
)
_DEFAULTS = text(
    """
    SELECT debtor_id, currency, missing_minor, proposed_at::date AS since FROM default_case
    WHERE decided_at IS NULL ORDER BY proposed_at, debtor_id
    """
)


def find_open_matters(
    connection: Connection, on: date, participants: Mapping[int, Participant]
) -> Iterator[Attention]:
    """What is open now: payments due by a date first, then the bank's, disputes and cases of default."""
    codes = {one.partner_id: one.code for one in participants.values()}
    for row in connection.execute(_UNPAID, {"on": on}):
        way = "has not paid" if row.direction == "in" else "was not paid"
        amount = cents(major(row.open_minor, row.currency))
        yield Attention(
            codes[row.participant_id],
            f"{way} {amount} {row.currency}: {row.payments} payments, the first due on {row.since}",
        )
    yield from _exceptions(connection)
    for row in connection.execute(_DISPUTES):
        until = f", to be answered by {row.until}" if row.until else ""
        yield Attention(
            codes[row.raised_by_id],
            f"{row.found} disputes against {codes[row.against_id]} of {money(row.amount)} {row.currency}"
            f" are {row.state}{until}",
        )
    for row in connection.execute(_DEFAULTS):
        amount = cents(major(row.missing_minor, row.currency))
        yield Attention(
            codes[row.debtor_id],
            f"a default of {amount} {row.currency} waits for a decision since {row.since}",
        )


def _exceptions(connection: Connection) -> Iterator[Attention]:
    """What on the bank's statements still waits for somebody, and how far each is."""
    found: dict[tuple[str, str, str], list[int]] = {}
    for one in standings(connection, only_open=True):
        key = (one.exception.problem, one.exception.currency, one.state)
        found.setdefault(key, []).append(one.left_minor)
    for (problem, currency, state), left in sorted(found.items()):
        amount = cents(major(sum(left), currency))
        yield Attention("bank", f"{len(left)} {problem} payments are {state}: {amount} {currency} of them")
