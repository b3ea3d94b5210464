"""A run after it is netted: proposed, approved or refused, instructed, advanced, or aborted and begun again.

Every function takes who does it (`by`) and the network's time (`at`), and is one transaction. A step that is
done stays done: doing it again gives what is there.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from hashlib import sha256 as hash_of
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import Connection, Engine

from network.service import date_of_window, read_network, window_id_of
from partners.people.audit import audited
from settlement import ledger, payment_store, store
from settlement.calendars import value_date
from settlement.canonical import bound, canonical_json
from settlement.errors import ApprovalStale, FourEyesNeeded, NotFinal, RunNotReady
from settlement.exposure_rows import windows_reopened
from settlement.instructions import finals, instruct_positions
from settlement.ledger_store import book, booked_entry, run_balances
from settlement.model import STEPS, Output, Position, Step
from settlement.money_model import Approved, Booked, DefaultOverlay, Instruction, RunApproval
from settlement.store import LiveRun

Objections = Callable[[Connection, int], Sequence[str]]
"""What else speaks against finalising a window's run, in words: open exceptions of the bank, say."""


class Proposed(msgspec.Struct, frozen=True):
    """Runs that wait to be approved as one, in order of their windows; `sha256` binds all of them."""

    proposals: tuple[RunApproval, ...]

    @property
    def sha256(self) -> bytes:
        """SHA-256 over windows, revisions and the hash of each."""
        rows = [[one.window_id, one.revision, one.sha256.hex()] for one in self.proposals]
        return hash_of(canonical_json({"runs": rows})).digest()


def propose_run(database: Engine, business_date: date, *, by: str, at: datetime) -> RunApproval:
    """Propose a netted run for approval; its hash is what the approval will bind.

    Raises:
        RunNotReady: it is not netted, or is approved already, or somebody proposed it and nobody has decided.
    """
    with database.begin() as connection:
        run = _locked(connection, business_date, "netted")
        attempts = payment_store.load_approvals(connection, run)
        if attempts and attempts[-1].decided_by is None:
            raise RunNotReady(
                f"the run of {business_date} was proposed by {attempts[-1].proposed_by}: decide that first"
            )
        return _propose(connection, run, len(attempts) + 1, by=by, at=at)


def propose_through(database: Engine, through: date, *, by: str, at: datetime) -> Proposed:
    """Propose every netted run up to a date that nobody has proposed; all that wait then are approved as one.

    Raises:
        RunNotReady: none is netted.
    """
    with database.begin() as connection:
        waiting: list[RunApproval] = []
        for run in _netted_through(connection, through):
            attempts = payment_store.load_approvals(connection, run)
            if attempts and attempts[-1].decided_by is None:
                waiting.append(attempts[-1])
            else:
                waiting.append(_propose(connection, run, len(attempts) + 1, by=by, at=at))
        return Proposed(tuple(waiting))


def approve_through(
    database: Engine, through: date, *, sha256: bytes, by: str, at: datetime
) -> tuple[RunApproval, ...]:
    """Approve every run up to a date that is proposed, by the hash of them all; all of them or none.

    Raises:
        RunNotReady: none is proposed.
        FourEyesNeeded: `by` proposed one of them.
        ApprovalStale: they are not those of the hash, or one is no longer what was proposed.
    """
    with database.begin() as connection:
        waiting: list[tuple[LiveRun, RunApproval]] = []
        for run in _netted_through(connection, through):
            attempts = payment_store.load_approvals(connection, run)
            if attempts and attempts[-1].decided_by is None:
                waiting.append((run, attempts[-1]))
        if not waiting:
            raise RunNotReady(f"no run up to {through} is proposed: let somebody propose them")
        found = Proposed(tuple(proposal for _, proposal in waiting))
        if found.sha256 != sha256:
            raise ApprovalStale(
                f"the {len(waiting)} runs proposed up to {through} are {found.sha256.hex()}, "
                f"not {sha256.hex()}: look at them again, and approve what is there"
            )
        return tuple(
            _approve(connection, run, proposal, sha256=proposal.sha256, by=by, at=at)
            for run, proposal in waiting
        )


def approve_run(
    database: Engine, business_date: date, *, sha256: bytes, by: str, at: datetime
) -> RunApproval:
    """Approve a proposed run, by the hash that was looked at.

    Raises:
        RunNotReady: nothing is proposed.
        FourEyesNeeded: `by` proposed it.
        ApprovalStale: the hash is not the proposal's, or the run is no longer what was proposed.
    """
    with database.begin() as connection:
        run, proposal = _proposed(connection, business_date, by)
        return _approve(connection, run, proposal, sha256=sha256, by=by, at=at)


def refuse_run(database: Engine, business_date: date, *, reason: str, by: str, at: datetime) -> RunApproval:
    """Refuse a proposed run; the reason is kept, and it can be proposed again.

    Raises:
        RunNotReady: nothing is proposed.
        FourEyesNeeded: `by` proposed it.
    """
    with database.begin() as connection:
        run, proposal = _proposed(connection, business_date, by)
        payment_store.decide_approval(connection, proposal, by=by, at=at, approved=False, reason=reason)
        _record(connection, "run.refused", run, by, after={"sha256": proposal.sha256, "reason": reason})
        return payment_store.load_approvals(connection, run)[-1]


def instruct(database: Engine, business_date: date, *, by: str, at: datetime) -> tuple[Instruction, ...]:
    """Turn an approved run's positions into payments; after this nothing of it is rewritten.

    Returns:
        Its payments, also where it was instructed before.
    Raises:
        RunNotReady: it is not approved, or an earlier night is not instructed.
        ApprovalStale: it is no longer what was approved.
    """
    window_id = window_id_of(business_date)
    with database.begin() as connection:
        run = store.lock_run(connection, window_id)
        if STEPS.index(run.state) >= STEPS.index("instructed"):
            return tuple(one for one in payment_store.load_instructions(connection, run) if one.attempt == 1)
        _require(run, "approved")
        earlier = store.first_uninstructed(connection)
        if earlier is not None and earlier < window_id:
            raise RunNotReady(
                f"{date_of_window(earlier)} is not instructed: instruct it before {business_date}"
            )
        approval = payment_store.load_approvals(connection, run)[-1]
        if not approval.approved or approval.sha256 != bound_hash(connection, run):
            raise ApprovalStale(f"the run of {business_date} is not what was approved: abort it")
        output = store.load_outputs(connection, [window_id])[window_id]
        zone = ZoneInfo(read_network(connection).time_zone)
        start = max(at, output.window[0].closed_at).astimezone(zone).date()
        currencies = sorted({one.currency for one in output.positions})
        calendars = payment_store.load_calendars(connection, currencies)
        value_on = {currency: value_date(start, days, works) for currency, (works, days) in calendars.items()}
        instructions = instruct_positions(window_id, run.revision, output.positions, value_on)
        payment_store.add_instructions(connection, instructions, by=by, at=at)
        store.finish_step(connection, run, "instructed", Output(instructions=instructions), at)
        paid = {one.end_to_end_id: one.amount_minor for one in instructions}
        _record(connection, "run.instructed", run, by, after={"instructions": paid})
        return instructions


def instruct_through(
    database: Engine, through: date, *, by: str, at: datetime
) -> dict[date, tuple[Instruction, ...]]:
    """Instruct every approved run up to a date, in order, each by itself; see `instruct`.

    Returns:
        By business date, the payments of those that were instructed now.
    Raises:
        RunNotReady: an earlier night is not approved; those before it are instructed.
    """
    with database.connect() as connection:
        windows = store.approved_through(connection, window_id_of(through))
    dates = [date_of_window(window_id) for window_id in windows]
    return {on: instruct(database, on, by=by, at=at) for on in dates}


def advance(
    database: Engine, business_date: date, *, at: datetime, objections: Objections = lambda _, __: ()
) -> Step:
    """Take an instructed run as far as what is booked allows: funded, paid, settled. Anybody may nudge.

    Returns:
        The state that it is in then.
    Raises:
        NotFinal: all is paid, and it does not add up, or something speaks against it; it stays `paid`.
    """
    window_id = window_id_of(business_date)
    for step in ("funded", "paid", "settled"):
        with database.begin() as connection:
            run = store.lock_run(connection, window_id)
            if STEPS.index(run.state) != STEPS.index(step) - 1:
                continue
            positions = store.load_positions(connection, window_id)
            booked = payment_store.load_booked(connection, run, positions)
            if step == "settled":
                _finalise(connection, run, positions, booked, at, objections)
                continue
            of = [one for one in booked if one.direction == ("in" if step == "funded" else "out")]
            if any(one.due_minor != one.booked_minor for one in of):
                return run.state
            overlays = _flat(payment_store.load_overlays(connection, run)) if step == "funded" else []
            store.finish_step(connection, run, step, Output(booked=of, overlays=overlays), at)
    with database.connect() as connection:
        return store.live_run(connection, window_id).state


def advance_due(
    database: Engine, *, at: datetime, objections: Objections = lambda _, __: ()
) -> dict[date, Step | NotFinal]:
    """Take every run whose payments are under way as far as it goes, in order of windows.

    Returns:
        By business date, the state that it is in now, or why it is paid and not final.
    """
    with database.connect() as connection:
        under_way = store.under_way(connection)
    found: dict[date, Step | NotFinal] = {}
    for window_id in under_way:
        on = date_of_window(window_id)
        try:
            found[on] = advance(database, on, at=at, objections=objections)
        except NotFinal as error:
            found[on] = error
    return found


def reopen(database: Engine, business_date: date, *, reason: str, by: str, at: datetime) -> list[LiveRun]:
    """Abort a netted or approved run and begin its next revision, and so every later one that is netted.

    Later nights took in what this one carried on. The worker prices and nets the new revisions.

    Returns:
        The runs that are now begun, in order.
    Raises:
        RunNotReady: it is not netted yet, or it or a later one was instructed.
    """
    first = window_id_of(business_date)
    with database.begin() as connection:
        runs = [store.lock_run(connection, window_id) for window_id in store.runs_from(connection, first)]
        if not runs or runs[0].window_id != first or runs[0].state in ("closed", "priced"):
            raise RunNotReady(f"the run of {business_date} is not netted: there is nothing to reopen")
        for run in runs:
            if STEPS.index(run.state) >= STEPS.index("instructed"):
                raise RunNotReady(
                    f"{date_of_window(run.window_id)} is {run.state}: its payments have left, so it stands; "
                    "what is wrong becomes an adjustment in a later window"
                )
        begun: list[LiveRun] = []
        for run in reversed(runs):
            if run.state in ("closed", "priced"):
                continue
            name = f"{run.window_id}/{run.revision}"
            entry = booked_entry(connection, "netted", name)
            if entry is not None:
                book(connection, ledger.turned_round(entry, "aborted", name, entry.value_on), by=by, at=at)
            store.abort_run(connection, run)
            store.begin_run(connection, run.window_id, at)
            begun.append(LiveRun(run.window_id, run.revision + 1, "closed"))
        windows_reopened(connection, [one.window_id for one in begun])
        for run in (one for one in runs if one.state not in ("closed", "priced")):
            after = {"state": "aborted", "next_revision": run.revision + 1, "reason": reason}
            _record(connection, "run.reopened", run, by, after=after)
        return begun[::-1]


def bound_hash(connection: Connection, run: LiveRun) -> bytes:
    """What an approval of a run binds, as the run is now.

    Raises:
        RunNotReady: it is not netted.
    """
    hashes = store.load_hashes(connection, [run.window_id]).get(run.window_id, {})
    if "netted" not in hashes:
        raise RunNotReady(f"window {run.window_id} is not netted: there is nothing to approve")
    return bound(run.window_id, run.revision, hashes)


def _propose(connection: Connection, run: LiveRun, attempt: int, *, by: str, at: datetime) -> RunApproval:
    proposal = RunApproval(
        window_id=run.window_id,
        revision=run.revision,
        attempt=attempt,
        sha256=bound_hash(connection, run),
        proposed_by=by,
        proposed_at=at,
    )
    payment_store.add_approval(connection, proposal)
    _record(connection, "run.proposed", run, by, after={"sha256": proposal.sha256})
    return proposal


def _approve(
    connection: Connection, run: LiveRun, proposal: RunApproval, *, sha256: bytes, by: str, at: datetime
) -> RunApproval:
    on = date_of_window(run.window_id)
    if proposal.proposed_by == by:
        raise FourEyesNeeded(f"{by} proposed the run of {on}: another person must decide")
    if sha256 != proposal.sha256 or proposal.sha256 != bound_hash(connection, run):
        raise ApprovalStale(
            f"the run of {on} is {bound_hash(connection, run).hex()}, not {sha256.hex()}: "
            "look at it again, and approve what is there"
        )
    payment_store.decide_approval(connection, proposal, by=by, at=at, approved=True, reason="")
    approved = Approved(sha256=sha256, proposed_by=proposal.proposed_by, decided_by=by)
    store.finish_step(connection, run, "approved", Output(approvals=[approved]), at)
    _record(connection, "run.approved", run, by, after=approved)
    return payment_store.load_approvals(connection, run)[-1]


def _netted_through(connection: Connection, through: date) -> list[LiveRun]:
    """The locked runs up to a date that are netted and not approved, in order."""
    windows = store.netted_through(connection, window_id_of(through))
    runs = [store.lock_run(connection, window_id) for window_id in windows]
    netted = [run for run in runs if run.state == "netted"]  # another may have approved one meanwhile
    if not netted:
        raise RunNotReady(f"no run up to {through} is netted and waits for approval")
    return netted


def _finalise(
    connection: Connection,
    run: LiveRun,
    positions: Sequence[Position],
    booked: Sequence[Booked],
    at: datetime,
    objections: Objections,
) -> None:
    overlays = payment_store.load_overlays(connection, run)
    final = finals(positions, booked, payment_store.covered(overlays))
    window = f"the run of {date_of_window(run.window_id)}"
    open_accounts = {
        key: amount
        for key, amount in run_balances(connection, run.window_id, run.revision).items()
        if key[0] in ("receivable", "payable", "suspense")
    }
    if open_accounts:
        raise NotFinal(f"{window} leaves {open_accounts} in the money ledger: book or send back what that is")
    against = list(objections(connection, run.window_id))
    if against:
        raise NotFinal(f"{window} cannot be finalised: {'; '.join(against)}")
    store.finish_step(
        connection, run, "settled", Output(booked=booked, overlays=_flat(overlays), finals=final), at
    )


def _record(
    connection: Connection, action: str, run: LiveRun, by: str, *, after: Mapping[str, object] | Approved
) -> None:
    """Put on the operators' record what was done to a run."""
    before = {"revision": run.revision, "state": run.state}
    audited(connection, by=by, action=action, subject=f"window:{run.window_id}", before=before, after=after)


def _flat(overlays: dict[str, list[DefaultOverlay]]) -> list[DefaultOverlay]:
    return [line for currency in sorted(overlays) for line in overlays[currency]]


def _locked(connection: Connection, business_date: date, state: Step) -> LiveRun:
    run = store.lock_run(connection, window_id_of(business_date))
    _require(run, state)
    return run


def _require(run: LiveRun, state: Step) -> None:
    if run.state != state:
        raise RunNotReady(f"the run of {date_of_window(run.window_id)} is {run.state}, not {state}")


def _proposed(connection: Connection, business_date: date, by: str) -> tuple[LiveRun, RunApproval]:
    run = _locked(connection, business_date, "netted")
    attempts = payment_store.load_approvals(connection, run)
    if not attempts or attempts[-1].decided_by is not None:
        raise RunNotReady(f"the run of {business_date} is not proposed: let somebody propose it")
    if attempts[-1].proposed_by == by:
        raise FourEyesNeeded(f"{by} proposed the run of {business_date}: another person must decide")
    return run, attempts[-1]
