"""A small coalition for tests: four partners, terms, one outlet each, a programme, an open window."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Engine

from network.batch import execute
from network.commands import Accrue, Capture, Command, Enrol, Hold, Redeem, Reverse, Void
from network.model import AccountKind, Entry, EntryKind
from network.outcomes import Decision, HoldState, InvitationState, LineState, RecordedEntry, Reply, Reversed
from network.programme.compiled import compile_programme
from network.programme.spec import read_programme
from network.rules import Rules
from network.service import (
    Network,
    apply_programme,
    create_network,
    load_rules,
    open_first_window,
)
from partners.model import OPERATOR_ID, POOL_ID, Directory, Participant, Terms
from partners.store import add_outlets, add_participants, add_terms

GROCER, PETROL, HOTEL, BANK = 11, 12, 13, 14
CODES = {GROCER: "grocer", PETROL: "petrol", HOTEL: "hotel", BANK: "bank"}
START = datetime(2017, 5, 1, 9, 0, tzinfo=UTC)
OUTLET = "main"

PROGRAMME = """
name = "test"
[earn.default]
step_minor = 100
points_per_step = 1
[earn.partner.petrol]
step_minor = 200
points_per_step = 1
[earn.partner.hotel]
points_per_step = 3
weekend_multiplier = 2
[expiry]
months = 3
grace_days = 30
"""

PENDING = (
    PROGRAMME
    + """
[earn.partner.bank]
pending_days = 14
"""
)

WHOLE = """
name = "whole"
tiers = ["gold", "silver"]
[earn.partner.hotel]
points_per_step = 3
pending_until_event = true
[earn.partner.bank]
pending_days = 14
[expiry]
months = 3
grace_days = 30
[expiry.tier.silver]
rule = "activity"
months = 2
[expiry.tier.gold]
rule = "never"
[returns]
clawback = "deficit"
[adjustments]
four_eyes_above = 100
[[pledge]]
id = "good"
says = "Part of what you earn goes to the bank"
causes = ["bank"]
per_cents = [10]
[[plan]]
id = "plus"
says = "x"
months = 12
price_minor = 9900
currency = "USD"
honoured_by = "hotel"
[plan.refund]
full_days = 2
[[voucher]]
id = "paper"
says = "1.00 for 10 points"
points = 10
worth_minor = 100
currency = "USD"
valid_months = 1
"""
"""A programme that uses everything: pending by date and by event, tiers, deficits, four eyes, vouchers."""


VALUE = """
[stored_value]
currency = "USD"
says = "x"
most_minor = 5000
most_balance_minor = 100000
[stored_value.refund]
rule = "within_days"
days = 1
[[stored_value.bonus]]
from_minor = 2000
value_minor = 100
who = "bank"
"""
"""Stored value, for a programme that has none."""


def participants() -> list[Participant]:
    """The operator, the pool, and four partners."""
    return [
        Participant(partner_id=OPERATOR_ID, code="operator", name="Network operator", kind="operator"),
        Participant(partner_id=POOL_ID, code="pool", name="Pool", kind="pool"),
        *(Participant(partner_id=number, code=code, name=f"The {code}") for number, code in CODES.items()),
    ]


def terms(
    partner_id: int,
    version: int = 1,
    effective_on: date = date(2016, 1, 1),
    *,
    returned_elsewhere: bool = False,
    takes_returns: bool = False,
    accepts_donations: bool = False,
    **given: str,
) -> Terms:
    """Terms of a partner; the grocer and the bank fund on issue, the others on redeem."""
    figures = {
        "funding_share": "1" if partner_id in {GROCER, BANK} else "0",
        "issue_price": "0.0100",
        "reimbursement_rate": "0.0080",
        **given,
    }
    return Terms(
        partner_id=partner_id,
        terms_version=version,
        effective_on=effective_on,
        currency="USD",
        funding_share=Decimal(figures["funding_share"]),
        issue_price=Decimal(figures["issue_price"]),
        reimbursement_rate=Decimal(figures["reimbursement_rate"]),
        returned_elsewhere=returned_elsewhere,
        takes_returns=takes_returns,
        accepts_donations=accepts_donations,
    )


def open_terms() -> list[Terms]:
    """First terms of all: sold at the grocer or the hotel may be returned at petrol; the bank is a cause."""
    return [
        terms(GROCER, returned_elsewhere=True),
        terms(PETROL, takes_returns=True),
        terms(HOTEL, returned_elsewhere=True, takes_returns=True),
        terms(BANK, accepts_donations=True),
    ]


def rules(versions: Sequence[Terms] = (), source: str = PROGRAMME) -> Rules:
    """Live rules without a database; `versions` are added to the partners' first terms."""
    by_partner = {number: [terms(number)] for number in CODES}
    for version in versions:
        by_partner[version.partner_id].append(version)
    directory = Directory(
        participants={p.partner_id: p for p in participants()},
        outlets=frozenset((number, OUTLET) for number in CODES),
        terms=by_partner,
    )
    programme = compile_programme(read_programme(source), 1, {code: number for number, code in CODES.items()})
    return Rules(
        directory=directory, programme=programme, programmes={1: programme}, time_zone=ZoneInfo("Etc/UTC")
    )


def recorded_entries(decided: Sequence[Decision]) -> dict[UUID, RecordedEntry]:
    """Entries as a load would show them, counted naively from all that was decided."""
    recorded = {}
    for one in [made for decision in decided for made in (decision, *decision.linked)]:
        entry_id = one.entry.entry_id
        undoing = [d for d in decided if d.entry.reverses == entry_id]
        undone = [p for d in undoing for p in d.postings]
        moved = [p for d in decided if d.entry.hold_id == entry_id for p in d.postings]
        held = [p for p in moved if p.debit is AccountKind.HELD]
        returned_lines = {number for d in undoing for number in d.returned_lines}
        recorded[entry_id] = RecordedEntry(
            entry=one.entry,
            postings=one.postings,
            reversed=Reversed(
                points=sum(
                    p.points
                    for p in undone
                    if p.debit is AccountKind.ACCEPTED or p.credit is AccountKind.ISSUED
                ),
                amount_minor=sum(d.entry.amount_minor for d in undoing),
            ),
            hold=None
            if one.lapses_at is None
            else HoldState(
                lapses_at=one.lapses_at,
                captured=sum(p.points for p in held if p.credit is AccountKind.ACCEPTED),
                returned=sum(p.points for p in held if p.credit is not AccountKind.ACCEPTED),
            ),
            pending=sum(p.points for p in one.postings if p.credit is AccountKind.PENDING)
            - sum(p.points for p in (*undone, *moved) if p.debit is AccountKind.PENDING),
            lines=tuple(
                LineState(measure, number in returned_lines)
                for number, measure in enumerate(one.lines, start=1)
            ),
            invitation=None
            if one.invites_to is None
            else InvitationState(
                one.invites_to,
                used=any(
                    d.entry.kind is EntryKind.POOL_JOIN and d.entry.parent_id == entry_id for d in decided
                ),
            ),
        )
    return recorded


def set_up(
    database: Engine,
    at: datetime = START,
    source: str = PROGRAMME,
    contracts: Sequence[Terms] | None = None,
) -> Rules:
    """Write the coalition into a migrated database, its clock at `at`, its first window that day."""
    with database.begin() as connection:
        create_network(
            connection,
            Network(name="test", time_zone="Etc/UTC", cut_off=time(0), currency="USD", clock=at),
        )
        add_participants(connection, participants())
        add_outlets(connection, [(number, OUTLET, "Main outlet") for number in CODES])
        add_terms(
            connection,
            [terms(number) for number in CODES] if contracts is None else contracts,
            prepared_by="maker",
            activated_by="checker",
        )
        apply_programme(connection, source, at=at, applied_by="checker")
        open_first_window(connection, at.date(), at)
        return load_rules(connection)


def enrol(reference: str = "enrol", *, partner_id: int = GROCER, at: datetime = START) -> Enrol:
    """An enrolment."""
    return Enrol(partner_id=partner_id, reference=reference, occurred_at=at)


def sale(
    card_number: int,
    amount_minor: int,
    reference: str,
    *,
    partner_id: int = GROCER,
    at: datetime = START,
    lines: tuple[int, ...] = (),
) -> Accrue:
    """A sale at a partner's outlet."""
    return Accrue(
        partner_id=partner_id,
        reference=reference,
        occurred_at=at,
        outlet_code=OUTLET,
        card_number=card_number,
        amount_minor=amount_minor,
        currency="USD",
        lines=lines,
    )


def burn(
    card_number: int,
    points: int,
    reference: str,
    *,
    partner_id: int = HOTEL,
    at: datetime = START,
    lines: tuple[int, ...] = (),
    offline: bool = False,
) -> Redeem:
    """A redemption at a partner's outlet, a cent a point."""
    return Redeem(
        partner_id=partner_id,
        reference=reference,
        occurred_at=at,
        outlet_code=OUTLET,
        card_number=card_number,
        points=points,
        amount_minor=points,
        currency="USD",
        lines=lines,
        offline=offline,
    )


def undo(
    entry: Entry,
    reference: str,
    *,
    partner_id: int | None = None,
    at: datetime = START,
    amount_minor: int | None = None,
    points: int | None = None,
    lines: tuple[int, ...] = (),
) -> Reverse:
    """The reversal of an entry, by its own partner and whole unless said otherwise."""
    return Reverse(
        partner_id=entry.partner_id if partner_id is None else partner_id,
        reference=reference,
        occurred_at=at,
        entry_id=entry.entry_id,
        amount_minor=amount_minor,
        points=points,
        lines=lines,
    )


def reserve(
    card_number: int,
    points: int,
    reference: str,
    *,
    partner_id: int = HOTEL,
    at: datetime = START,
    minutes: int = 30,
) -> Hold:
    """A hold at a partner's outlet, a cent a point."""
    return Hold(
        partner_id=partner_id,
        reference=reference,
        occurred_at=at,
        outlet_code=OUTLET,
        card_number=card_number,
        points=points,
        amount_minor=points,
        currency="USD",
        minutes=minutes,
    )


def take(hold: Entry, points: int, reference: str, *, at: datetime = START) -> Capture:
    """The capture of part of a hold, by its own partner."""
    return Capture(
        partner_id=hold.partner_id,
        reference=reference,
        occurred_at=at,
        hold_id=hold.entry_id,
        points=points,
        amount_minor=points,
    )


def release(hold: Entry, reference: str, *, at: datetime = START) -> Void:
    """The end of a hold, by its own partner."""
    return Void(partner_id=hold.partner_id, reference=reference, occurred_at=at, hold_id=hold.entry_id)


def new_card(database: Engine, live: Rules, reference: str = "enrol", at: datetime = START) -> int:
    """Enrol a member; the card's number."""
    [reply] = execute(database, [enrol(reference, at=at)], live)
    if reply.enrolled is None:
        raise AssertionError(f"enrolment refused: {reply.outcome}")
    return reply.enrolled.card_number


def entry_of(reply: Reply) -> Entry:
    """The entry of an accepted command."""
    assert isinstance(reply.outcome, Entry), reply.outcome
    return reply.outcome


def run(database: Engine, live: Rules, command: Command) -> Entry:
    """Carry out one command that must be accepted."""
    [reply] = execute(database, [command], live)
    return entry_of(reply)
