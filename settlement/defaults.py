"""A debtor whose pay-in is missing: simulated, proposed with the simulation, decided by a second person.

A case is of one run and debtor, between `instructed` and `paid`. Its simulation is kept with its hash, and
who decides names that hash; where the run has moved on meanwhile, it is not what would happen now, and is
refused. What is approved is booked (settlement.overlay), put on record, and, where the debtor's own deposit
was not enough, suspends it: it neither issues nor accepts; its open holds may be captured; members' points
stay good.
"""

from collections.abc import Mapping
from datetime import date, datetime
from hashlib import sha256
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Engine, text

from network.service import date_of_window, window_id_of
from network.store import WINDOW_LOCK
from partners.model import OPERATOR_ID
from partners.people.audit import audited
from partners.people.canonical import canonical
from settlement import default_case, money_tables, overlay, payment_store, store
from settlement.default_case import Facts, Simulation, Way, debts_of, goes_back
from settlement.errors import ApprovalStale, CaseUnknown, NothingMissing, RunNotReady
from settlement.ledger_store import balances
from settlement.money import minor_digits
from settlement.money_model import Booked, DefaultCase, Instruction
from settlement.positions import terms_in_force
from settlement.store import LiveRun

_NEW_ID = text("SELECT gen_random_uuid()")
_STATUS = text("SELECT status FROM partner WHERE partner_id = :partner_id")
_CASE_COLUMNS = ", ".join(f"c.{name}" for name in DefaultCase.__struct_fields__)
_CASES = text(
    f"SELECT {_CASE_COLUMNS}, s.body, s.sha256 AS simulation_sha256 FROM default_case c"
    " JOIN default_simulation s USING (case_id)"
    " WHERE (CAST(:window_id AS integer) IS NULL OR c.window_id = :window_id)"
    " AND (CAST(:case_id AS uuid) IS NULL OR c.case_id = :case_id)"
    " AND (NOT :undecided OR c.decided_by IS NULL) ORDER BY c.proposed_at, c.case_id"
)
_LOCK_CASE = text("SELECT window_id FROM default_case WHERE case_id = :case_id FOR UPDATE")
_SUSPEND = text(
    "UPDATE partner SET status = 'suspended' WHERE partner_id = :partner_id AND status = 'active'"
    " RETURNING code"
)
_SHARE_WINDOW = text(f"SELECT pg_advisory_xact_lock_shared({WINDOW_LOCK})")
_OPEN_WINDOW = text("SELECT window_id FROM clearing_window WHERE closed_at IS NULL")


class KeptCase(msgspec.Struct, frozen=True, kw_only=True):
    """A case with the simulation that it was proposed with, as canonical JSON, and its hash."""

    case: DefaultCase
    simulation: Simulation
    body: str
    sha256: bytes


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a decision: payments that it adds, and whether it suspended the debtor."""

    kept: KeptCase
    added: tuple[Instruction, ...] = ()
    suspended: bool = False


def simulate(
    connection: Connection,
    business_date: date,
    debtor_id: int,
    *,
    currency: str,
    way: Way = "ladder",
    carry_minor: int = 0,
) -> Simulation:
    """What a case would do now; nothing is written.

    Args:
        connection: Any; under the run's lock what it says stays so.
        business_date: Of the night whose pay-in is missing.
        debtor_id: Who does not pay.
        currency: Of the payment.
        way: Up the ladder, or unwinding, the last resort.
        carry_minor: The most that the hub lends until the next night, minor units.
    Raises:
        RunNotReady: the run is not between `instructed` and `paid`.
        NothingMissing: nothing of the debtor's is missing.
        CannotUnwind: a part was paid, or another case of the run was decided.
    """
    run = store.live_run(connection, window_id_of(business_date))
    if run.state not in ("instructed", "funded"):
        raise RunNotReady(
            f"the run of {business_date} is {run.state}: a default is decided "
            "when it is instructed and not paid"
        )
    facts = _facts(connection, run, business_date, debtor_id, currency)
    return default_case.simulate(
        facts,
        window_id=run.window_id,
        revision=run.revision,
        currency=currency,
        way=way,
        carry_minor=carry_minor,
    )


def propose(
    database: Engine,
    business_date: date,
    debtor_id: int,
    *,
    currency: str,
    way: Way = "ladder",
    carry_minor: int = 0,
    reason: str,
    by: str,
    at: datetime,
) -> KeptCase:
    """Propose what is to be done about a debtor, with its simulation; another person decides.

    Raises:
        RunNotReady, NothingMissing, CannotUnwind: see `simulate`.
        ApprovalStale: a case of this debtor waits, or was approved and nothing was taken back since.
    """
    with database.begin() as connection:
        run = store.lock_run(connection, window_id_of(business_date))
        own = [
            kept.case
            for kept in load_cases(connection, window_id=run.window_id)
            if (kept.case.revision, kept.case.debtor_id, kept.case.currency)
            == (run.revision, debtor_id, currency)
        ]
        for one in own:
            if one.approved is None:
                raise ApprovalStale(f"case {one.case_id} is about this debtor: decide it first")
        try:
            simulated = simulate(
                connection, business_date, debtor_id, currency=currency, way=way, carry_minor=carry_minor
            )
        except NothingMissing:
            approved = next((one.case_id for one in own if one.approved), None)
            if approved is None:
                raise
            raise ApprovalStale(f"case {approved} is about this debtor: it was approved") from None
        case = DefaultCase(
            case_id=connection.execute(_NEW_ID).scalar_one(),
            window_id=run.window_id,
            revision=run.revision,
            debtor_id=debtor_id,
            currency=currency,
            missing_minor=simulated.missing_minor,
            sha256=overlay.case_hash(simulated.lines),
            reason=_argued(reason),
            proposed_by=by,
            proposed_at=at,
        )
        overlay.propose_case(connection, case, simulated.lines)
        body = canonical(simulated)
        kept = KeptCase(case=case, simulation=simulated, body=body, sha256=sha256(body.encode()).digest())
        row = {"case_id": case.case_id, "body": body, "sha256": kept.sha256}
        connection.execute(money_tables.default_simulation.insert(), row)
        audited(
            connection,
            by=by,
            action="default.proposed",
            subject=_subject(case),
            after={"case": case.case_id, "simulation": simulated, "reason": case.reason},
        )
        return kept


def decide(
    database: Engine, case_id: UUID, *, sha256: bytes, approve: bool, by: str, at: datetime
) -> Decided:
    """Decide a proposed case by the hash of its simulation; approved, all its effects are booked at once.

    Raises:
        CaseUnknown: there is none.
        ApprovalStale: it is decided, the hash is another's, or it would now do something else.
        FourEyesNeeded: `by` proposed it.
        RunNotReady: its run is not between `instructed` and `paid`.
        PaymentRefused: cover is not there any more.
    """
    with database.begin() as connection:
        connection.execute(_LOCK_CASE, {"case_id": case_id})
        found = load_cases(connection, case_id=case_id)
        if not found:
            raise CaseUnknown(f"there is no case {case_id}")
        [kept] = found
        if kept.sha256 != sha256:
            raise ApprovalStale(
                f"the simulation of case {case_id} is {kept.sha256.hex()}, not {sha256.hex()}"
            )
        if approve and kept.case.decided_by is None:
            _require_still(connection, kept)
        added = overlay.decide_case(
            connection, case_id, sha256=kept.case.sha256, approved=approve, by=by, at=at
        )
        suspended = approve and _take_effect(connection, kept, by=by)
        audited(
            connection,
            by=by,
            action="default.approved" if approve else "default.refused",
            subject=_subject(kept.case),
            before={"case": case_id, "proposed_by": kept.case.proposed_by},
            after={"simulation_sha256": kept.sha256, "lines": kept.simulation.lines, "suspended": suspended},
        )
        [after] = load_cases(connection, case_id=case_id)
        return Decided(kept=after, added=added, suspended=suspended)


def load_cases(
    connection: Connection,
    *,
    window_id: int | None = None,
    case_id: UUID | None = None,
    undecided: bool = False,
) -> list[KeptCase]:
    """Cases with their simulations, in the order they were proposed."""
    wanted = {"window_id": window_id, "case_id": case_id, "undecided": undecided}
    found: list[KeptCase] = []
    for row in connection.execute(_CASES, wanted):
        values = row._asdict()
        body, hashed = values.pop("body"), bytes(values.pop("simulation_sha256"))
        values["sha256"] = bytes(values["sha256"])
        found.append(
            KeptCase(
                case=DefaultCase(**values),
                simulation=msgspec.json.decode(body, type=Simulation),
                body=body,
                sha256=hashed,
            )
        )
    return found


def _facts(connection: Connection, run: LiveRun, business_date: date, debtor_id: int, currency: str) -> Facts:
    output = store.load_outputs(connection, [run.window_id])[run.window_id]
    digits = minor_digits(currency)
    of = [one for one in output.positions if one.currency == currency]
    relief = payment_store.load_relief(connection, run)
    pay_ins: dict[int, list[Booked]] = {}
    for one in payment_store.load_booked(connection, run, output.positions):
        if (one.currency, one.direction) == (currency, "in"):
            pay_ins.setdefault(one.participant_id, []).append(one)
    if debtor_id not in pay_ins:
        raise NothingMissing(f"participant {debtor_id} has nothing to pay in {currency} for {business_date}")
    payments = {
        one.participant_id: one.payment_minor + relief.get((one.participant_id, currency), 0) for one in of
    }
    paid = {party: sum(one.booked_minor for one in booked) for party, booked in pay_ins.items()}
    payments[debtor_id] = paid[debtor_id] - sum(one.due_minor for one in pay_ins[debtor_id])
    earlier = [
        kept
        for kept in load_cases(connection, window_id=run.window_id)
        if (kept.case.revision, kept.case.currency, kept.case.approved) == (run.revision, currency, True)
    ]
    before = sorted({kept.case.debtor_id for kept in earlier})
    unwound = {kept.case.debtor_id for kept in earlier if kept.simulation.way == "unwind"}
    covered = {party: paid.get(party, 0) for party in {debtor_id, *before}}
    for kept in earlier:
        party = kept.case.debtor_id
        if party != debtor_id:
            # What its own case did not cover it has paid; what was taken back since is not this case's.
            payments[party] = max(0, payments.get(party, 0))
        covered[party] += sum(
            line.amount_minor
            for line in kept.simulation.lines
            if line.rung in ("deposit", "guarantee", "carry")
        )
    cover = _cover(connection, currency, digits)
    terms = terms_in_force(store.load_terms(connection), business_date)
    status = connection.execute(_STATUS, {"partner_id": debtor_id}).scalar_one()
    return Facts(
        debtor_id=debtor_id,
        digits=digits,
        payments=payments,
        debts=[
            debt
            for debt in debts_of(currency, digits, of, output.obligations, output.conversions)
            if not goes_back(debt, unwound)
        ],
        deposits={
            party: amount for party, amount in cover["deposit"].items() if party in (debtor_id, *before)
        },
        guarantee=cover["guarantee"],
        paid=covered[debtor_id],
        before=before,
        covered=covered,
        to_operator=status == "suspended"
        and debtor_id in terms
        and terms[debtor_id].suspended_cost_to == "operator",
    )


def _cover(connection: Connection, currency: str, digits: int) -> Mapping[str, dict[int, int]]:
    """Deposits and guarantees that are held, by participant; minor units."""
    found: dict[str, dict[int, int]] = {"deposit": {}, "guarantee": {}}
    for (account, party, of), amount in balances(connection, "deposit", "guarantee").items():
        if of == currency and amount < 0:
            found[account][party] = int(-amount.scaleb(digits))
    return found


def _require_still(connection: Connection, kept: KeptCase) -> None:
    """A case is approved for what it was seen to do, so it must still do that."""
    case = kept.case
    run = store.lock_run(connection, case.window_id)
    if run.revision != case.revision:
        raise ApprovalStale(f"case {case.case_id} is of revision {case.revision}, and {run.revision} lives")
    now = default_case.simulate(
        _facts(connection, run, date_of_window(case.window_id), case.debtor_id, case.currency),
        window_id=run.window_id,
        revision=run.revision,
        currency=case.currency,
        way=kept.simulation.way,
        carry_minor=kept.simulation.carry_minor,
    )
    if canonical(now) != kept.body:
        raise ApprovalStale(
            f"case {case.case_id} would not do now what was simulated: refuse it, and propose it again"
        )


def _take_effect(connection: Connection, kept: KeptCase, *, by: str) -> bool:
    """What an approved case does beside the payments: carry into the open window, and suspend."""
    if any(line.rung == "carry" for line in kept.simulation.lines):
        connection.execute(_SHARE_WINDOW)
        open_window = connection.execute(_OPEN_WINDOW).scalar_one()
        row = {"case_id": kept.case.case_id, "window_id": open_window}
        connection.execute(money_tables.default_carry.insert(), row)
    if not kept.simulation.suspends or kept.case.debtor_id <= OPERATOR_ID:
        return False
    code = connection.execute(_SUSPEND, {"partner_id": kept.case.debtor_id}).scalar_one_or_none()
    if code is None:
        return False
    audited(
        connection,
        by=by,
        action="partner.suspended",
        subject=f"partner:{code}",
        before={"status": "active"},
        after={"status": "suspended", "reason": f"default case {kept.case.case_id}"},
    )
    return True


def _argued(reason: str) -> str:
    if not reason.strip():
        raise NothingMissing("give a reason: whoever approves, or audits, reads it")
    return reason.strip()


def _subject(case: DefaultCase) -> str:
    return f"window:{case.window_id}/debtor:{case.debtor_id}/{case.currency}"
