"""Disputes as a service: raised, answered, escalated, or carried on by the clock.

Functions take a connection, by which one transaction of the caller is one move; who acts and the network's
time are arguments. What a dispute comes to is a debt in the window that is open then
(settlement.adjustments), and nothing that was settled changes.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from hashlib import sha256 as hash_of
from typing import Literal
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from network import ids
from network.service import date_of_window, network_now, read_network
from partners.model import OPERATOR_ID
from settlement import dispute_store as store
from settlement import evidence
from settlement import store as nights
from settlement.adjustments import add_adjustment
from settlement.clearing import TermsByVersion, version_on, versions_by_partner
from settlement.dispute import SILENCE, Move, Mover, Refused, Standing, deadline, judge
from settlement.dispute_lines import (
    Line,
    find_line,
    left_now,
    left_to_dispute,
    only_paid,
    paid_on,
    pooled_part,
    require_netted,
)
from settlement.dispute_store import Case
from settlement.errors import DisputeRefused, SettlementError
from settlement.money import ZERO, exactly
from settlement.money_model import (
    Adjustment,
    Dispute,
    DisputedFlow,
    DisputeEvent,
    DisputeState,
    Evidence,
)

WORKER = "worker"
_AT_A_TIME = 100
Answer = Literal["accepted", "rejected"]
_TAXED_AS: Mapping[DisputedFlow, Literal["", "issue", "fee", "none"]] = {
    "redemption": "",
    "issue": "issue",
    "fee": "fee",
    "vat": "none",
}
"""Which VAT goes back with what is paid back."""


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """A dispute as a partner wishes to raise it: about an entry, or what it paid in a window.

    `flow`: for its points redeemed there; or, against the operator, for points issued, as fee, as VAT (which
    may be another partner's, too). `amount` None: all that is left of the line.
    """

    reference: str
    raised_by_id: int
    against_id: int
    entry_id: UUID | None = None
    window_id: int | None = None
    flow: DisputedFlow = "redemption"
    amount: Decimal | None = None
    reason: str


def raise_dispute(connection: Connection, wish: Wish, *, at: datetime) -> tuple[Case, bool]:
    """Raise a dispute; the second value says that it was there before, under the same reference.

    Raises:
        DisputeRefused: dispute_line_unknown, dispute_not_yet, dispute_too_late, dispute_nothing_paid,
            dispute_line_mixed, dispute_too_much, dispute_line_disputed, reference_reused.
    """
    line = find_line(connection, wish)
    store.lock_raiser(connection, wish.raised_by_id)
    before = store.find_by_reference(connection, wish.raised_by_id, wish.reference)
    if before is not None:
        return _require_same(connection, before, wish, line.window_id), True
    require_netted(connection, line)
    terms = nights.load_terms(connection)
    paid = only_paid(paid_on(connection, line, terms))
    _require_in_time(connection, line, terms, at)
    raised = Dispute(
        dispute_id=ids.mint(at, 0),
        raised_by_id=wish.raised_by_id,
        against_id=wish.against_id,
        window_id=line.window_id,
        member_id=None if wish.entry_id is None else ids.member_of(wish.entry_id),
        entry_id=wish.entry_id,
        flow=wish.flow,
        currency=paid.currency,
        amount=paid.amount if wish.amount is None else wish.amount,
        reason=wish.reason,
        raised_at=at,
        reference=wish.reference,
        credited_id=paid.credited_id,
        credited_terms=paid.credited_terms,
    )
    left = left_to_dispute(connection, line, paid, terms)
    if left <= 0 or store.is_disputed(connection, raised):
        raise DisputeRefused("dispute_line_disputed", "this line has been disputed before")
    if wish.amount is None:
        raised = msgspec.structs.replace(raised, amount=left)
    if raised.amount > left:
        raise DisputeRefused("dispute_too_much", f"{left:f} {paid.currency} of this line can be disputed")
    store.add_dispute(connection, raised)
    store.add_event(
        connection,
        DisputeEvent(
            dispute_id=raised.dispute_id,
            sequence=1,
            state="raised",
            text=wish.reason,
            answer_until=_until(connection, raised, raised.against_id, at, terms),
            by=partner_name(wish.raised_by_id),
            at=at,
        ),
    )
    return case_of(connection, raised.dispute_id), False


def answer(
    connection: Connection, dispute_id: UUID, *, partner_id: int, to: Answer, text: str, at: datetime
) -> Case:
    """Accept a dispute, and pay; or reject it. The same answer again gives what is there.

    Raises:
        DisputeRefused: see settlement.dispute; dispute_unknown for whoever is no party.
    """
    return _of_partner(connection, dispute_id, partner_id, to, text, at)


def escalate(connection: Connection, dispute_id: UUID, *, partner_id: int, text: str, at: datetime) -> Case:
    """Ask the operator to decide what was rejected. The same again gives what is there.

    Raises:
        DisputeRefused: see settlement.dispute; dispute_unknown for whoever is no party.
    """
    return _of_partner(connection, dispute_id, partner_id, "escalated", text, at)


def carry_on_due(database: Engine, *, limit: int = _AT_A_TIME) -> list[DisputeEvent]:
    """Take disputes whose deadline has passed to where silence takes them, each in a transaction.

    Any number may do so at once: each dispute is moved by one of them. One that cannot be moved keeps no
    other from it.

    Raises:
        SettlementError: none could be moved; what is wrong with the first.
    """
    with database.connect() as connection:
        waiting = store.due(connection, network_now(connection), limit)
    moved: list[DisputeEvent] = []
    failed: list[SettlementError | SQLAlchemyError] = []
    for dispute_id in waiting:
        try:
            with database.begin() as connection:
                moved.extend(_carry_on(connection, dispute_id))
        except (SettlementError, SQLAlchemyError) as error:
            failed.append(error)
    if failed and not moved:
        raise failed[0]
    return moved


def _carry_on(connection: Connection, dispute_id: UUID) -> Sequence[DisputeEvent]:
    store.lock_dispute(connection, dispute_id)
    case = case_of(connection, dispute_id)
    until, at = case.last.answer_until, network_now(connection)
    if until is None or at < until:
        return ()  # somebody else was here first
    people = (partner_name(case.dispute.raised_by_id), WORKER)
    to, said = SILENCE[case.last.state], f"nothing was said until {until.isoformat()}"
    return (move(connection, case, to, "clock", at=at, text=said, people=people),)


def attach(
    connection: Connection,
    dispute_id: UUID,
    *,
    partner_id: int,
    name: str,
    media_type: str,
    content: bytes,
    at: datetime,
) -> Case:
    """Attach a file; the same content again gives what is there.

    Raises:
        DisputeRefused: evidence_unfit, evidence_too_many, dispute_over, dispute_unknown.
    """
    why = evidence.unfit(name, media_type, content)
    if why is not None:
        raise DisputeRefused("evidence_unfit", why)
    store.lock_dispute(connection, dispute_id)
    case = case_of(connection, dispute_id, partner_id)
    digest = hash_of(content).digest()
    if any(one.sha256 == digest for one in case.evidence):
        return case
    if case.last.state in ("accepted", "decided"):
        raise DisputeRefused("dispute_over", f"it is {case.last.state}")
    if len(case.evidence) >= evidence.MOST_FILES:
        raise DisputeRefused("evidence_too_many", f"{evidence.MOST_FILES} files are attached already")
    added = Evidence(
        dispute_id=dispute_id,
        sha256=digest,
        name=name,
        media_type=media_type,
        size=len(content),
        attached_by=partner_name(partner_id),
        attached_at=at,
    )
    store.add_evidence(connection, added, content)
    return msgspec.structs.replace(case, evidence=(*case.evidence, added))


def case_of(connection: Connection, dispute_id: UUID, partner_id: int | None = None) -> Case:
    """A dispute as a partner sees it, or the operator with None.

    Raises:
        DisputeRefused: dispute_unknown, also where it is between others.
    """
    case = store.load_cases(connection, [dispute_id]).get(dispute_id)
    if case is None or (
        partner_id is not None and partner_id not in (case.dispute.raised_by_id, case.dispute.against_id)
    ):
        raise DisputeRefused("dispute_unknown", "")
    return case


def line_of(one: Dispute) -> Line:
    """The line that a dispute is about."""
    return Line(
        raised_by_id=one.raised_by_id,
        against_id=one.against_id,
        flow=one.flow,
        window_id=one.window_id,
        entry_id=one.entry_id,
    )


def partner_name(partner_id: int) -> str:
    """How a partner stands among those who do things; operators' names hold no colon."""
    return f"partner:{partner_id}"


def _require_in_time(connection: Connection, line: Line, terms: TermsByVersion, at: datetime) -> None:
    closed = store.window_state(connection, line.window_id)
    on = date_of_window(line.window_id)
    days = version_on(versions_by_partner(terms)[line.raised_by_id], on).dispute_days
    until = deadline(closed[0] if closed else at, days, read_network(connection).time_zone)
    if at >= until:
        raise DisputeRefused(
            "dispute_too_late", f"lines of {on} could be disputed for {days} days, until {until.isoformat()}"
        )


def _require_same(connection: Connection, before: Dispute, wish: Wish, window_id: int) -> Case:
    same = (before.against_id, before.flow, before.entry_id, before.window_id, before.reason) == (
        wish.against_id,
        wish.flow,
        wish.entry_id,
        window_id,
        wish.reason,
    )
    if not same or (wish.amount is not None and wish.amount != before.amount):
        raise DisputeRefused("reference_reused", "")
    return case_of(connection, before.dispute_id)


def _until(
    connection: Connection, one: Dispute, partner_id: int, at: datetime, terms: TermsByVersion
) -> datetime:
    """Until when somebody has time for its move: the days of its contract; the operator of the raiser's."""
    party = one.raised_by_id if partner_id == OPERATOR_ID else partner_id
    zone = read_network(connection).time_zone
    on = at.astimezone(ZoneInfo(zone)).date()
    return deadline(at, version_on(versions_by_partner(terms)[party], on).dispute_days, zone)


def _of_partner(
    connection: Connection, dispute_id: UUID, partner_id: int, to: DisputeState, text: str, at: datetime
) -> Case:
    store.lock_dispute(connection, dispute_id)
    case = case_of(connection, dispute_id, partner_id)
    by = partner_name(partner_id)
    if (case.last.state, case.last.by, case.last.text) == (to, by, text):
        return case
    mover: Mover = "raiser" if partner_id == case.dispute.raised_by_id else "other"
    people = (partner_name(case.dispute.raised_by_id), by)
    move(connection, case, to, mover, at=at, text=text, people=people)
    return case_of(connection, dispute_id)


def judged(
    connection: Connection,
    case: Case,
    to: DisputeState,
    mover: Mover,
    at: datetime,
    awarded: Decimal | None = None,
) -> Decimal | None:
    """What a move that may be made awards.

    Raises:
        DisputeRefused: it may not be made.
    """
    standing = Standing(
        state=case.last.state, answer_until=case.last.answer_until, amount=case.dispute.amount
    )
    line = line_of(case.dispute)
    if line.flow in ("fee", "vat"):  # while its night is begun again nobody knows what it charges
        require_netted(connection, line)
    paid = paid_on(connection, line, nights.load_terms(connection))
    left = left_now(connection, line, paid, case.dispute.credited_id)
    found = judge(standing, Move(to=to, mover=mover, at=at, awarded=awarded), left)
    if isinstance(found, Refused):
        raise DisputeRefused(found.reason, found.detail)
    return found.awarded


def move(
    connection: Connection,
    case: Case,
    to: DisputeState,
    mover: Mover,
    *,
    at: datetime,
    text: str,
    people: tuple[str, str],
    awarded: Decimal | None = None,
) -> DisputeEvent:
    """Make a move under the dispute's lock: its event, and the debt where something is paid back."""
    one = case.dispute
    pays = judged(connection, case, to, mover, at, awarded)
    adjustment = _adjustment(connection, one, pays, at) if pays else None
    if adjustment is not None:
        add_adjustment(connection, adjustment, prepared_by=people[0], approved_by=people[1], at=at)
    until = None
    if to == "rejected":
        until = _until(connection, one, one.raised_by_id, at, nights.load_terms(connection))
    event = DisputeEvent(
        dispute_id=one.dispute_id,
        sequence=case.last.sequence + 1,
        state=to,
        text=text,
        answer_until=until,
        by=people[1],
        at=at,
        adjustment_id=None if adjustment is None else adjustment.adjustment_id,
        awarded=pays,
    )
    store.add_event(connection, event)
    return event


@exactly
def _adjustment(connection: Connection, one: Dispute, pays: Decimal, at: datetime) -> Adjustment:
    """The debt that a dispute comes to; fees and VAT follow the credit that was given for the line."""
    paid = paid_on(connection, line_of(one), nights.load_terms(connection))
    original = next((each.original_window_id for each in paid if each.original_window_id is not None), None)
    credited = ZERO
    if one.flow == "redemption":
        credited = -pays if one.credited_id == one.against_id else pays
    about = f"window {one.window_id}" if one.entry_id is None else f"entry {ids.show('ent', one.entry_id)}"
    return Adjustment(
        adjustment_id=ids.mint(at, 0),
        origin="dispute",
        origin_reference=str(one.dispute_id),
        origin_window_id=one.window_id,
        debtor_id=one.against_id,
        creditor_id=one.raised_by_id,
        currency=one.currency,
        amount=pays,
        credited_id=one.credited_id,
        credited_terms=one.credited_terms,
        credited_amount=credited,
        taxed_as=_TAXED_AS[one.flow],
        pooled_amount=pooled_part(pays, paid),
        vat_on=date_of_window(one.window_id if original is None else original),
        reason=f"dispute {ids.show('dsp', one.dispute_id)} of {about}",
    )
