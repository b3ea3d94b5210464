"""What two of the operator's people decide about money and days: corrections, and the calendars of banks.

A correction is a debt that no posting makes, for what was wrong in a night whose payments have left: it falls
into the window that is open and names the night. Members' points stay as they are.
"""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from network.service import network_now, window_id_of
from partners.model import OPERATOR_ID
from partners.people import approvals
from partners.people.approvals import content_of, propose
from partners.people.audit import audited
from partners.people.model import Proposal
from settlement.adjustments import add_adjustment
from settlement.calendars import business_days
from settlement.errors import CorrectionRefused
from settlement.model import STEPS
from settlement.money import minor_digits
from settlement.money_model import Adjustment

CORRECT, CALENDAR, DAY = "money.correct", "calendar.set", "calendar.day"
KINDS = (CORRECT, CALENDAR, DAY)
MOST = Decimal(10) ** 12
"""No correction reaches it: what is more is a slip of the pen."""

_PARTIES = text("SELECT partner_id, code FROM partner WHERE kind = 'partner' OR partner_id = :operator")
_CURRENCIES = text("SELECT currency FROM contract_terms UNION SELECT currency FROM network")
_STATE = text("SELECT state FROM settlement_run WHERE window_id = :window AND state <> 'aborted'")
_ADJUSTMENTS = text(
    "SELECT adjustment_id, window_id, origin, origin_reference, origin_window_id, debtor_id, creditor_id,"
    " currency, amount, reason, prepared_by, approved_by, made_at FROM money_adjustment"
    " WHERE window_id >= :since ORDER BY made_at DESC, adjustment_id LIMIT :limit"
)
_CALENDARS = text("SELECT currency, calendar, value_days FROM currency_calendar ORDER BY currency")
_DAYS = text("SELECT currency, day, is_open, reason FROM calendar_exception ORDER BY currency, day")
_SET = text(
    "INSERT INTO currency_calendar (currency, calendar, value_days)"
    " VALUES (:currency, :calendar, :value_days)"
    " ON CONFLICT (currency) DO UPDATE SET calendar = excluded.calendar, value_days = excluded.value_days"
)
_SET_DAY = text(
    "INSERT INTO calendar_exception (currency, day, is_open, reason, added_by)"
    " VALUES (:currency, :day, :is_open, :reason, :by) ON CONFLICT (currency, day) DO UPDATE"
    " SET is_open = excluded.is_open, reason = excluded.reason, added_by = excluded.added_by"
)


def list_adjustments(connection: Connection, *, since: date, limit: int) -> list[Mapping[str, Any]]:
    """Debts that no posting made, of whatever origin, from a business date on; the newest first."""
    wanted = {"since": window_id_of(since), "limit": limit}
    return [row._asdict() for row in connection.execute(_ADJUSTMENTS, wanted)]


def list_calendars(connection: Connection) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    """Calendars by currency, and the days that are other than these say."""
    return (
        [row._asdict() for row in connection.execute(_CALENDARS)],
        [row._asdict() for row in connection.execute(_DAYS)],
    )


def propose_correction(
    connection: Connection,
    *,
    debtor: str,
    creditor: str,
    currency: str,
    amount: Decimal,
    of_night: date,
    reason: str,
    by: str,
) -> Proposal:
    """Propose that one participant owes another for what was wrong in a night.

    Args:
        connection: A transaction.
        debtor: Who pays, by its code; a partner or the operator.
        creditor: Who receives.
        currency: In which a contract, or the network, is.
        amount: Above zero, in whole minor units of the currency, written in major ones.
        of_night: The night that it corrects; its payments have left.
        reason: What was wrong, and what shows it.
        by: Who proposes it.
    Raises:
        CorrectionRefused: something of it cannot be, or the night can still be done again.
        partners.errors.ProposalOpen: the same pair is waiting for a decision already.
    """
    content = {
        "debtor": debtor,
        "creditor": creditor,
        "currency": currency,
        "amount": amount,
        "of_night": of_night,
        "reason": reason.strip(),
    }
    _adjustment(connection, content, UUID(int=0))
    return propose(
        connection, kind=CORRECT, subject=f"partners:{debtor}/{creditor}/{of_night}", content=content, by=by
    )


def propose_calendar(
    connection: Connection, *, currency: str, calendar: str, value_days: int, by: str
) -> Proposal:
    """Propose whose holidays a currency's payments keep, and how many business days they take.

    Raises:
        CorrectionRefused, CalendarUnknown: a currency or a number that cannot be; no such calendar.
    """
    _require_currency(connection, currency)
    business_days(calendar)
    if not 0 <= value_days <= 10:
        raise CorrectionRefused(f"payments take 0 to 10 business days, not {value_days}")
    before = [row for row in list_calendars(connection)[0] if row["currency"] == currency]
    content = {
        "currency": currency,
        "calendar": calendar,
        "value_days": value_days,
        "before": dict(before[0]) if before else None,
    }
    return propose(connection, kind=CALENDAR, subject=f"calendar:{currency}", content=content, by=by)


def propose_day(
    connection: Connection, *, currency: str, day: date, is_open: bool, reason: str, by: str
) -> Proposal:
    """Propose that banks work on a day, or do not, other than the currency's calendar says.

    Raises:
        CorrectionRefused: there is no such currency, or no reason is given.
    """
    _require_currency(connection, currency)
    if not reason.strip():
        raise CorrectionRefused("say why the day is other than the calendar says")
    known = [row for row in list_calendars(connection)[1] if (row["currency"], row["day"]) == (currency, day)]
    content = {
        "currency": currency,
        "day": day,
        "is_open": is_open,
        "reason": reason.strip(),
        "before": dict(known[0]) if known else None,
    }
    return propose(connection, kind=DAY, subject=f"calendar:{currency}/{day}", content=content, by=by)


def decide(connection: Connection, proposal_id: UUID, *, sha256: bytes, by: str, approve: bool) -> Proposal:
    """Approve a proposal of KINDS, which does it, or reject it.

    Raises:
        PeopleError: see approvals.decide.
        CorrectionRefused: what it stands on has changed.
    """
    found = approvals.read(connection, proposal_id)
    content = content_of(found)
    mine = found.kind in KINDS and found.decided_by is None and found.prepared_by != by
    if not (approve and mine and found.sha256 == sha256):
        return approvals.decide(connection, proposal_id, sha256=sha256, by=by, approve=approve, of=KINDS)
    # The record's lock is taken last: so it is done first, and undone where it is not approved.
    after = _carry_out(connection, found, content, by=by)
    decided = approvals.decide(connection, proposal_id, sha256=sha256, by=by, approve=True, of=KINDS)
    audited(
        connection,
        by=by,
        action=f"{found.kind}.done",
        subject=found.subject,
        before=content.get("before"),
        after=after,
    )
    return decided


def _carry_out(
    connection: Connection, found: Proposal, content: Mapping[str, Any], *, by: str
) -> Mapping[str, object]:
    if found.kind == CORRECT:
        adjustment = _adjustment(connection, content, found.proposal_id)
        window = add_adjustment(
            connection,
            adjustment,
            prepared_by=found.prepared_by,
            approved_by=by,
            at=network_now(connection),
        )
        return {"adjustment": adjustment.adjustment_id, "window": window}
    if found.kind == CALENDAR:
        business_days(content["calendar"])
        after = {name: content[name] for name in ("currency", "calendar", "value_days")}
        connection.execute(_SET, after)
        return after
    after = {name: content[name] for name in ("currency", "day", "is_open", "reason")}
    connection.execute(_SET_DAY, {**after, "by": by})
    return after


def _adjustment(connection: Connection, content: Mapping[str, Any], proposal_id: UUID) -> Adjustment:
    """The debt that a correction makes, made sure of as things are now."""
    parties = {row.code: row.partner_id for row in connection.execute(_PARTIES, {"operator": OPERATOR_ID})}
    for code in (content["debtor"], content["creditor"]):
        if code not in parties:
            raise CorrectionRefused(f"{code!r} is no partner, nor the operator")
    if content["debtor"] == content["creditor"]:
        raise CorrectionRefused("nobody owes itself: name a debtor and another creditor")
    _require_currency(connection, content["currency"])
    try:
        amount = Decimal(content["amount"])
    except InvalidOperation as error:
        raise CorrectionRefused(f"{content['amount']!r} is no amount") from error
    if not (amount.is_finite() and 0 < amount < MOST):
        raise CorrectionRefused(f"{amount} cannot be owed: an amount above zero")
    if amount != round(amount, minor_digits(content["currency"])):
        raise CorrectionRefused(f"{amount} has more decimals than {content['currency']}")
    if not content["reason"]:
        raise CorrectionRefused("say what was wrong, and what shows it: who approves, or audits, reads it")
    window = window_id_of(date.fromisoformat(str(content["of_night"])))
    state = connection.execute(_STATE, {"window": window}).scalar_one_or_none()
    if state is None or STEPS.index(state) < STEPS.index("instructed"):
        raise CorrectionRefused(
            f"the night of {content['of_night']} is {state or 'not cleared'}: nothing of it has left."
            " Reopen it instead: tessera night reopen"
        )
    return Adjustment(
        adjustment_id=proposal_id,
        origin="correction",
        origin_reference=str(proposal_id),
        origin_window_id=window,
        debtor_id=parties[content["debtor"]],
        creditor_id=parties[content["creditor"]],
        currency=content["currency"],
        amount=amount,
        reason=content["reason"],
    )


def _require_currency(connection: Connection, currency: str) -> None:
    known = sorted(connection.execute(_CURRENCIES).scalars())
    if currency not in known:
        raise CorrectionRefused(f"nothing here is in {currency!r}; contracts are in {', '.join(known)}")
