"""Rows of a run's later steps: approvals, instructions, what banks booked, default cases, calendars."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import Any, cast
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import Connection, text

from network.bulk import insert_from_arrays, insert_rows
from network.service import read_network
from settlement import money_tables
from settlement.calendars import BusinessDay, business_days, value_date
from settlement.instructions import finals, relief_of, standing
from settlement.model import Output, Position
from settlement.money_model import (
    Approved,
    Booked,
    CurrencyCalendar,
    DefaultOverlay,
    Direction,
    Instruction,
    InstructionPayment,
    RunApproval,
)
from settlement.store import LiveRun

_APPROVALS = text(
    "SELECT window_id, revision, attempt, sha256, proposed_by, proposed_at, decided_by, decided_at, approved,"
    " reason FROM run_approval WHERE window_id = :window_id AND revision = :revision ORDER BY attempt"
)
_DECIDE = text(
    "UPDATE run_approval SET decided_by = :by, decided_at = :at, approved = :approved, reason = :reason"
    " WHERE window_id = :window_id AND revision = :revision AND attempt = :attempt AND decided_by IS NULL"
)
_INSTRUCTIONS = text(
    "SELECT end_to_end_id, window_id, revision, participant_id, currency, direction, attempt, amount_minor,"
    " value_on, reference FROM instruction WHERE window_id = :window_id AND revision = :revision"
    " ORDER BY participant_id, currency, direction, attempt"
)
_RUNS_OF = text("SELECT end_to_end_id, window_id FROM instruction WHERE end_to_end_id = ANY(:ids)")
_BOOKED = text(
    "SELECT i.end_to_end_id, sum(p.amount_minor)::bigint AS minor FROM instruction i"
    " JOIN instruction_payment p USING (end_to_end_id)"
    " WHERE i.window_id = :window_id AND i.revision = :revision GROUP BY 1"
)
_PAYMENTS = text(
    "SELECT payment_reference, end_to_end_id, amount_minor, booked_on FROM instruction_payment"
    " WHERE payment_reference = ANY(:references)"
)
_ADD_PAYMENTS = insert_from_arrays(
    money_tables.instruction_payment,
    (*InstructionPayment.__struct_fields__, "recorded_by", "recorded_at"),
)
_CAME_BACK = text(
    "SELECT EXISTS (SELECT FROM instruction_payment WHERE end_to_end_id = :id AND amount_minor < 0)"
)
_CASES = text(
    "SELECT case_id, debtor_id, currency, missing_minor FROM default_case"
    " WHERE window_id = :window_id AND revision = :revision AND approved ORDER BY decided_at, case_id"
)
_OVERLAYS = text(
    "SELECT c.currency, o.line, o.rung, o.participant_id, o.amount_minor FROM default_case c"
    " JOIN default_overlay o USING (case_id)"
    " WHERE c.window_id = :window_id AND c.revision = :revision AND c.approved"
    " ORDER BY c.currency, o.participant_id, o.rung, o.line"
)
_CALENDARS = text("SELECT currency, calendar, value_days FROM currency_calendar")
_EXCEPTIONS = text("SELECT day, is_open FROM calendar_exception WHERE currency = :currency")


def load_approvals(connection: Connection, run: LiveRun) -> list[RunApproval]:
    """Every attempt to have a run approved, in order."""
    rows = connection.execute(_APPROVALS, _of(run))
    return [RunApproval(**{**row._asdict(), "sha256": bytes(row.sha256)}) for row in rows]


def add_approval(connection: Connection, approval: RunApproval) -> None:
    """Write a proposal that nobody has decided yet."""
    names = ("window_id", "revision", "attempt", "sha256", "proposed_by", "proposed_at")
    connection.execute(money_tables.run_approval.insert(), {name: getattr(approval, name) for name in names})


def decide_approval(
    connection: Connection, approval: RunApproval, *, by: str, at: datetime, approved: bool, reason: str
) -> None:
    """Write who decided an open proposal, and how."""
    decided = {"by": by, "at": at, "approved": approved, "reason": reason, "attempt": approval.attempt}
    key = {"window_id": approval.window_id, "revision": approval.revision}
    connection.execute(_DECIDE, {**key, **decided})


def load_instructions(connection: Connection, run: LiveRun) -> list[Instruction]:
    """A run's payments, those that were added later too."""
    return [Instruction(**row._asdict()) for row in connection.execute(_INSTRUCTIONS, _of(run))]


def add_instructions(
    connection: Connection, instructions: Sequence[Instruction], *, by: str, at: datetime
) -> None:
    """Write payments that are to be made."""
    names = Instruction.__struct_fields__
    rows = [
        {**{name: getattr(one, name) for name in names}, "instructed_by": by, "instructed_at": at}
        for one in instructions
    ]
    if rows:
        connection.execute(money_tables.instruction.insert(), rows)


def windows_of(connection: Connection, ids: Collection[str]) -> dict[str, int]:
    """The window that each instruction is of; those that are not known are left out."""
    rows = connection.execute(_RUNS_OF, {"ids": list(ids)})
    return {row.end_to_end_id: row.window_id for row in rows}


def load_payments(connection: Connection, references: Collection[str]) -> dict[str, InstructionPayment]:
    """Payments that were booked, by the references under which they were."""
    rows = connection.execute(_PAYMENTS, {"references": list(references)})
    return {row.payment_reference: InstructionPayment(**row._asdict()) for row in rows}


def add_payments(
    connection: Connection, payments: Sequence[InstructionPayment], *, by: str, at: datetime
) -> None:
    """Write what a bank booked."""
    columns: dict[str, list[Any]] = {
        name: [getattr(one, name) for one in payments] for name in InstructionPayment.__struct_fields__
    }
    columns |= {"recorded_by": [by] * len(payments), "recorded_at": [at] * len(payments)}
    insert_rows(connection, _ADD_PAYMENTS, columns)


class Progress(msgspec.Struct, kw_only=True):
    """What decides how far a run's payments are: see `settlement.instructions.standing`."""

    instructions: list[Instruction]
    payments: dict[tuple[int, str], int]
    relief: dict[tuple[int, str], int]
    booked: dict[str, int]


def load_progress(connection: Connection, run: LiveRun, positions: Sequence[Position]) -> Progress:
    """How far a run's payments are now."""
    return Progress(
        instructions=load_instructions(connection, run),
        payments={(one.participant_id, one.currency): one.payment_minor for one in positions},
        relief=load_relief(connection, run),
        booked={row.end_to_end_id: int(row.minor) for row in connection.execute(_BOOKED, _of(run))},
    )


def load_booked(connection: Connection, run: LiveRun, positions: Sequence[Position]) -> list[Booked]:
    """Each of a run's instructions with what is due on it and what was booked, in their order."""
    now = load_progress(connection, run, positions)
    return standing(now.instructions, now.payments, now.relief, now.booked)


def load_relief(connection: Connection, run: LiveRun) -> dict[tuple[int, str], int]:
    """What approved default cases give each participant, or let it bear, by currency; minor units."""
    missing: dict[str, list[tuple[int, int]]] = {}
    for row in connection.execute(_CASES, _of(run)):
        missing.setdefault(row.currency, []).append((row.debtor_id, row.missing_minor))
    lines = load_overlays(connection, run)
    return {
        (party, currency): minor
        for currency, cases in missing.items()
        for party, minor in relief_of(cases, lines.get(currency, ())).items()
    }


def load_overlays(connection: Connection, run: LiveRun) -> dict[str, list[DefaultOverlay]]:
    """Lines of a run's approved default cases, by currency."""
    found: dict[str, list[DefaultOverlay]] = {}
    for row in connection.execute(_OVERLAYS, _of(run)):
        line = DefaultOverlay(
            line=row.line, rung=row.rung, participant_id=row.participant_id, amount_minor=row.amount_minor
        )
        found.setdefault(row.currency, []).append(line)
    return found


def load_calendars(
    connection: Connection, currencies: Sequence[str]
) -> Mapping[str, tuple[BusinessDay, int]]:
    """On which days each currency's banks work, and how many business days a payment takes."""
    rows = {row.currency: CurrencyCalendar(**row._asdict()) for row in connection.execute(_CALENDARS)}
    found: dict[str, tuple[BusinessDay, int]] = {}
    for currency in currencies:
        row = rows.get(currency, CurrencyCalendar(currency=currency))
        exceptions: dict[date, bool] = {
            one.day: one.is_open for one in connection.execute(_EXCEPTIONS, {"currency": currency})
        }
        found[currency] = (business_days(row.calendar, exceptions), row.value_days)
    return found


def with_payments(connection: Connection, run: LiveRun, output: Output) -> Output:
    """What a run's later steps put out, added to what its earlier ones did; as it is now."""
    booked = load_booked(connection, run, output.positions)
    overlays = load_overlays(connection, run)
    settled = run.state == "settled"
    return msgspec.structs.replace(
        output,
        approvals=[
            Approved(sha256=one.sha256, proposed_by=one.proposed_by, decided_by=one.decided_by or "")
            for one in load_approvals(connection, run)
            if one.approved
        ],
        instructions=[one for one in load_instructions(connection, run) if one.attempt == 1],
        booked=booked,
        overlays=[line for currency in sorted(overlays) for line in overlays[currency]],
        finals=finals(output.positions, booked, covered(overlays)) if settled else (),
    )


def covered(overlays: Mapping[str, Sequence[DefaultOverlay]]) -> dict[str, int]:
    """What deposits, guarantees and carrying paid instead of debtors, by currency; minor units."""
    return {
        currency: sum(line.amount_minor for line in lines if line.rung in ("deposit", "guarantee", "carry"))
        for currency, lines in overlays.items()
    }


def next_value_date(connection: Connection, currency: str, at: datetime) -> date:
    """When a payment that is instructed now has its value."""
    zone = ZoneInfo(read_network(connection).time_zone)
    works, days = load_calendars(connection, [currency])[currency]
    return value_date(at.astimezone(zone).date(), days, works)


def came_back(connection: Connection, end_to_end_id: str) -> bool:
    """Whether a payment, or a part of it, was returned."""
    return bool(connection.execute(_CAME_BACK, {"id": end_to_end_id}).scalar_one())


def way(direction: str) -> Direction:
    """A direction as the database has it."""
    return cast("Direction", direction)


def _of(run: LiveRun) -> dict[str, int]:
    return {"window_id": run.window_id, "revision": run.revision}
