"""An approved default case on a frozen run: what its lines pay is booked, and payments follow.

How the lines are chosen is another matter: here they are only checked, applied, and put on record.
"""

from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from uuid import UUID

from sqlalchemy import Connection, text

from partners.model import OPERATOR_ID
from settlement import ledger, money_tables, payment_store, store
from settlement.canonical import canonical_json
from settlement.errors import ApprovalStale, FourEyesNeeded, PaymentRefused, RunNotReady
from settlement.instructions import instruction, targets
from settlement.ledger_store import book
from settlement.model import Position
from settlement.money import from_minor, minor_digits
from settlement.money_model import Account, Booked, DefaultCase, DefaultOverlay, Direction, Instruction
from settlement.payments import held_cover
from settlement.store import LiveRun

_CASE = text("SELECT * FROM default_case WHERE case_id = :case_id FOR UPDATE")
_LINES = text(
    "SELECT line, rung, participant_id, amount_minor FROM default_overlay WHERE case_id = :case_id ORDER BY 1"
)
_DECIDE = text(
    "UPDATE default_case SET decided_by = :by, decided_at = :at, approved = :approved"
    " WHERE case_id = :case_id"
)
_PAID_BY: dict[str, Account] = {"deposit": "deposit", "guarantee": "guarantee", "carry": "carried"}


def case_hash(lines: Sequence[DefaultOverlay]) -> bytes:
    """What the approval of a default case binds."""
    rows = [[one.line, one.rung, one.participant_id, one.amount_minor] for one in lines]
    return sha256(canonical_json(rows)).digest()


def propose_case(connection: Connection, case: DefaultCase, lines: Sequence[DefaultOverlay]) -> None:
    """Write a proposed case with its lines.

    Raises:
        PaymentRefused: the lines do not come to what is missing.
        sqlalchemy.exc.IntegrityError: the debtor has a case in this run already.
    """
    borne = sum(one.amount_minor for one in lines)
    if borne != case.missing_minor or case.sha256 != case_hash(lines):
        raise PaymentRefused(
            f"the lines of case {case.case_id} come to {borne} minor units, "
            f"and {case.missing_minor} are missing"
        )
    run = _run(connection, case.window_id, case.revision)
    left = sum(
        one.due_minor - one.booked_minor
        for one in _booked(connection, run)[1]
        if (one.participant_id, one.currency, one.direction) == (case.debtor_id, case.currency, "in")
    )
    if left < case.missing_minor:
        raise PaymentRefused(
            f"participant {case.debtor_id} is to pay {left} minor units more, not {case.missing_minor}"
        )
    undecided = ("decided_by", "decided_at", "approved")
    fields = {name: getattr(case, name) for name in DefaultCase.__struct_fields__ if name not in undecided}
    connection.execute(money_tables.default_case.insert(), fields)
    rows = [
        {"case_id": case.case_id, **{name: getattr(one, name) for name in DefaultOverlay.__struct_fields__}}
        for one in lines
    ]
    connection.execute(money_tables.default_overlay.insert(), rows)


def decide_case(
    connection: Connection, case_id: UUID, *, sha256: bytes, approved: bool, by: str, at: datetime
) -> tuple[Instruction, ...]:
    """Decide a proposed case; approved, it is booked, and what payments it adds are instructed.

    Returns:
        The payments that it adds: what participants are to pay who bear more than they were to get.
    Raises:
        FourEyesNeeded: `by` proposed it.
        ApprovalStale: it is decided, or its lines are not those of the hash.
        RunNotReady: its run is not between `instructed` and `paid`.
        PaymentRefused: cover is not there any more.
    """
    row = connection.execute(_CASE, {"case_id": case_id}).one_or_none()
    if row is None or row.decided_by is not None:
        raise ApprovalStale(f"no case {case_id} is waiting for a decision")
    if row.proposed_by == by:
        raise FourEyesNeeded(f"{by} proposed case {case_id}: another person must decide")
    lines = [DefaultOverlay(**line._asdict()) for line in connection.execute(_LINES, {"case_id": case_id})]
    if not bytes(row.sha256) == sha256 == case_hash(lines):
        raise ApprovalStale(f"case {case_id} is {bytes(row.sha256).hex()}, not {sha256.hex()}")
    run = _run(connection, row.window_id, row.revision)
    decided = {"case_id": case_id, "by": by, "at": at, "approved": approved}
    if not approved:
        connection.execute(_DECIDE, decided)
        return ()
    _require_cover(connection, lines, row.currency)
    positions, booked = _booked(connection, run)
    before = _targets(connection, run, positions, booked, row.currency)
    connection.execute(_DECIDE, decided)
    after = _targets(connection, run, positions, booked, row.currency)
    _book_case(connection, run, case_id, row.currency, lines, before, after, by=by, at=at)
    added = _added(connection, run, row.currency, after, at)
    payment_store.add_instructions(connection, added, by=by, at=at)
    return added


_Targets = dict[int, tuple[int, int]]
"""What each participant is to pay in, and to be paid, in one currency; minor units."""


def _run(connection: Connection, window_id: int, revision: int) -> LiveRun:
    run = store.lock_run(connection, window_id)
    if run.revision != revision or run.state not in ("instructed", "funded"):
        raise RunNotReady(
            f"window {window_id} is {run.state} in revision {run.revision}: a default is decided when it is "
            "instructed and not paid"
        )
    return run


def _booked(connection: Connection, run: LiveRun) -> tuple[list[Position], list[Booked]]:
    positions = store.load_positions(connection, run.window_id)
    return positions, payment_store.load_booked(connection, run, positions)


def _targets(
    connection: Connection,
    run: LiveRun,
    positions: Sequence[Position],
    booked: Sequence[Booked],
    currency: str,
) -> _Targets:
    relief = payment_store.load_relief(connection, run)
    paid: dict[tuple[int, Direction], int] = {}
    for one in booked:
        if one.currency == currency:
            key = (one.participant_id, one.direction)
            paid[key] = paid.get(key, 0) + one.booked_minor
    payments = {one.participant_id: one.payment_minor for one in positions if one.currency == currency}
    # Who bears a part need have nothing else in this currency: the operator, for the hub's FX account.
    parties = {*payments, OPERATOR_ID, *(party for party, of in relief if of == currency)}
    return {
        party: targets(
            payments.get(party, 0),
            relief.get((party, currency), 0),
            paid.get((party, "in"), 0),
            paid.get((party, "out"), 0),
        )
        for party in sorted(parties)
    }


def _require_cover(connection: Connection, lines: Sequence[DefaultOverlay], currency: str) -> None:
    for line in lines:
        if line.rung not in ("deposit", "guarantee"):
            continue
        held = held_cover(
            connection, "deposit" if line.rung == "deposit" else "guarantee", line.participant_id, currency
        )
        if held < line.amount_minor:
            raise PaymentRefused(
                f"the {line.rung} of participant {line.participant_id} holds {held} minor units, and "
                f"{line.amount_minor} are to be taken from it"
            )


def _book_case(
    connection: Connection,
    run: LiveRun,
    case_id: UUID,
    currency: str,
    lines: Sequence[DefaultOverlay],
    before: _Targets,
    after: _Targets,
    *,
    by: str,
    at: datetime,
) -> None:
    """What is to be paid changes; cover and what is carried pay the rest; ours bear their part as a loss."""
    digits = minor_digits(currency)
    sums: dict[tuple[Account, int, str], int] = {}

    def add(account: Account, participant_id: int, minor: int) -> None:
        key: tuple[Account, int, str] = (account, participant_id, currency)
        sums[key] = sums.get(key, 0) + minor

    for party, (pays, gets) in after.items():
        add("receivable", party, pays - before.get(party, (0, 0))[0])
        add("payable", party, before.get(party, (0, 0))[1] - gets)
    for line in lines:
        if line.rung in _PAID_BY:
            add(_PAID_BY[line.rung], line.participant_id, line.amount_minor)
        elif line.participant_id in ledger.OURS:
            add("claim", line.participant_id, -line.amount_minor)
            add("loss", OPERATOR_ID, line.amount_minor)
    entry = ledger.entry(
        "overlay",
        str(case_id),
        at.date(),
        {key: from_minor(minor, digits) for key, minor in sums.items()},
        run=(run.window_id, run.revision),
    )
    book(connection, entry, by=by, at=at)


def _added(
    connection: Connection, run: LiveRun, currency: str, after: _Targets, at: datetime
) -> tuple[Instruction, ...]:
    """Payments that are missing: where more is to be paid than is instructed. Their attempts are from 2."""
    known = payment_store.load_instructions(connection, run)
    added: list[Instruction] = []
    for party, both in sorted(after.items()):
        for direction, target in zip(("in", "out"), both, strict=True):
            of = [
                one
                for one in known
                if (one.participant_id, one.currency, one.direction) == (party, currency, direction)
            ]
            more = target - sum(one.amount_minor for one in of)
            if more > 0:
                added.append(
                    instruction(
                        run.window_id,
                        run.revision,
                        party,
                        currency,
                        payment_store.way(direction),
                        more,
                        payment_store.next_value_date(connection, currency, at),
                        attempt=max((one.attempt for one in of), default=1) + 1,
                    )
                )
    return tuple(added)
