"""Exceptions and their ways out: what is still open, what was proposed, and what approving it does."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import Connection

from network.service import network_now, read_network
from partners.model import HUB_ID, OPERATOR_ID
from partners.people.audit import audited
from settlement import payments
from settlement import store as night_store
from settlement.bank import store
from settlement.bank.changing import accounts_in_use
from settlement.bank.errors import ProposalDecided, ProposalUnknown, WayOutClosed
from settlement.bank.match import ways_out
from settlement.bank.model import (
    Account,
    BankException,
    ExceptionState,
    Expected,
    Kind,
    Resolution,
    Standing,
    WayOut,
)
from settlement.bank.numbers import read_bic, read_iban
from settlement.bank.pain import amount_text
from settlement.errors import FourEyesNeeded
from settlement.ledger import moved
from settlement.ledger_store import book
from settlement.money_model import Account as LedgerAccount
from settlement.money_model import Booked
from settlement.references import refund_id

_REFUND = "REFUND-"


class _Payments(msgspec.Struct, frozen=True):
    """Payments that exceptions are about: how far each is, whose, of which window."""

    booked: Mapping[str, Booked]
    window_of: Mapping[str, int]
    refunds: Mapping[str, Expected]


def standings(connection: Connection, *, only_open: bool = False) -> list[Standing]:
    """Every exception and how it stands, in order; or only those where something is left to do."""
    exceptions = store.load_exceptions(connection)
    resolutions: dict[int, list[Resolution]] = {}
    for proposed in store.load_resolutions(connection):
        resolutions.setdefault(proposed.exception_id, []).append(proposed)
    about = _payments(connection, exceptions)
    transactions = store.load_transactions(connection, [one.exception_id for one in exceptions])
    found = []
    for one in exceptions:
        transaction, iban, statement_id = transactions[one.statement_no, one.entry, one.detail]
        done = resolutions.get(one.exception_id, [])
        kind = _kind(one, about)
        left = one.amount_minor - sum(_taken(r, about) for r in done if r.approved and r.way != "chase")
        state = _state(one, done, left, about)
        standing = Standing(
            exception=one,
            transaction=transaction,
            iban=iban,
            statement_id=statement_id,
            kind=kind,
            state=state,
            left_minor=0 if state == "completed" else left,
            ways=() if state in {"resolved", "completed"} else ways_out(one.problem, kind),
            resolutions=tuple(done),
        )
        if standing.is_open or not only_open:
            found.append(standing)
    return found


def propose_way_out(
    connection: Connection,
    exception_id: int,
    way: WayOut,
    *,
    note: str,
    by: str,
    amount_minor: int | None = None,
    end_to_end_id: str | None = None,
    account: Account | None = None,
    participant_id: int | None = None,
) -> Resolution:
    """Propose what to do about an exception; `chase` moves no money and is done at once.

    Args:
        connection: A transaction; the caller commits it.
        exception_id: As `standings` gives it.
        way: One of the exception's ways.
        note: Why, and what shows it.
        by: Who proposes it.
        amount_minor: How much of it, above zero; all that is left where it is not said.
        end_to_end_id: To allocate: the payment that the money was for.
        account: To refund: where to; else the account that the money came from, or the participant's.
        participant_id: For a deposit or guarantee: whose it is.
    Raises:
        WayOutClosed: the exception has not this way, or not so much is left; or nobody knows where to.
        ProposalDecided: a proposal waits for a decision.
        ProposalUnknown: there is no such exception.
    """
    store.lock_bank(connection)
    standing = _standing(connection, exception_id)
    at = network_now(connection)
    _check_way(standing, way, note)
    amount = standing.left_minor if amount_minor is None else amount_minor
    if not 0 < amount <= standing.left_minor:
        currency = standing.exception.currency
        raise WayOutClosed(
            f"{amount_text(amount, currency)} {currency} cannot be resolved:"
            f" {amount_text(standing.left_minor, currency)} are left of exception {exception_id}"
        )
    if (way == "allocate") != (end_to_end_id is not None):
        raise WayOutClosed("to allocate, name the payment that the money was for; for other ways, none")
    if (way in {"deposit", "guarantee"}) != (participant_id is not None):
        raise WayOutClosed("say whose deposit or guarantee it is; for other ways, nobody's")
    if participant_id is not None and participant_id not in store.load_names(connection):
        raise WayOutClosed(f"there is no participant {participant_id}")
    if way == "refund":
        account = _refund_to(connection, standing, account, at)
    elif account is not None:
        raise WayOutClosed("an account is given to refund to, and for nothing else")
    proposed = Resolution(
        resolution_id=0,
        exception_id=exception_id,
        way=way,
        amount_minor=amount,
        end_to_end_id=end_to_end_id,
        account=account,
        participant_id=participant_id,
        note=note.strip(),
        proposed_by=by,
        proposed_at=at,
        decided_by=by if way == "chase" else None,
        decided_at=at if way == "chase" else None,
        approved=True if way == "chase" else None,
    )
    if way == "allocate":
        _check_allocation(connection, standing, proposed)
    kept = store.add_resolution(connection, proposed)
    _audit(connection, kept, "bank_exception.chased" if way == "chase" else "bank_exception.proposed", by)
    return kept


def decide_way_out(connection: Connection, resolution_id: int, *, by: str, approve: bool) -> Resolution:
    """Approve or reject a proposed way out; approved, it is carried out in the same transaction.

    Raises:
        FourEyesNeeded: who proposed it wants to approve it.
        ProposalDecided: it was decided before.
        ProposalUnknown: there is none.
        WayOutClosed: what it stands on has changed meanwhile; nothing was done.
    """
    store.lock_bank(connection)
    found = store.lock_resolution(connection, resolution_id)
    if found is None:
        raise ProposalUnknown(f"there is no way out {resolution_id}")
    if found.decided_by is not None:
        word = "approved" if found.approved else "rejected"
        raise ProposalDecided(f"{found.decided_by} {word} it at {found.decided_at}")
    if approve and by.lower() == found.proposed_by.lower():
        raise FourEyesNeeded(f"{by} proposed way out {resolution_id}: another must approve it")
    at = network_now(connection)
    if approve:
        _carry_out(connection, _standing(connection, found.exception_id), found, by=by, at=at)
    store.save_resolution_decision(connection, resolution_id, by=by, at=at, approved=approve)
    decided = msgspec.structs.replace(found, decided_by=by, decided_at=at, approved=approve)
    _audit(connection, decided, f"bank_exception.{'resolved' if approve else 'rejected'}", by, before=found)
    return decided


def objections(connection: Connection, window_id: int) -> Sequence[str]:
    """What speaks against finalising a window: open exceptions of its payments, and money nobody placed."""
    exceptions = store.load_exceptions(connection)
    window_of = _payments(connection, exceptions).window_of
    found = []
    for standing in standings(connection, only_open=True):
        one = standing.exception
        if one.end_to_end_id is None or window_of.get(one.end_to_end_id, window_id) == window_id:
            about = one.end_to_end_id or f"of statement {standing.statement_id}"
            found.append(
                f"exception {one.exception_id} is {standing.state}: {one.problem} {about},"
                f" {amount_text(standing.left_minor, one.currency)} {one.currency} ({one.why})"
            )
    return found


def _taken(done: Resolution, about: _Payments) -> int:
    """How much of its exception a way out took care of: of a refund that the bank rejected, what it paid."""
    return (
        about.refunds[refund_id(done.resolution_id)].amount_minor
        if done.way == "refund"
        else done.amount_minor
    )


def _state(
    one: BankException, done: Sequence[Resolution], left_minor: int, about: _Payments
) -> ExceptionState:
    payment = about.booked.get(one.end_to_end_id or "")
    if one.problem in {"partial", "returned"} and payment and payment.due_minor == payment.booked_minor:
        return "completed"
    refund = about.refunds.get(one.end_to_end_id or "")
    if one.problem == "partial" and refund and refund.rest_minor == 0:
        return "completed"
    if left_minor <= 0:
        return "resolved"
    if any(r.decided_by is None for r in done):
        return "proposed"
    return "chased" if any(r.approved and r.way == "chase" for r in done) else "open"


def _kind(one: BankException, about: _Payments) -> Kind | None:
    if one.end_to_end_id is None:
        return None
    if one.end_to_end_id.startswith(_REFUND):
        return "refund"
    return about.booked[one.end_to_end_id].direction


def _payments(connection: Connection, exceptions: Sequence[BankException]) -> _Payments:
    """The payments that exceptions are about; and every refund."""
    ids = [one.end_to_end_id for one in exceptions if one.end_to_end_id]
    window_of = store.load_windows(connection, ids)
    booked: dict[str, Booked] = {}
    for window_id in sorted(set(window_of.values())):
        booked.update({one.end_to_end_id: one for one in payments.due_of(connection, window_id)})
    refunds = {one.end_to_end_id: one for one, *_ in store.load_refunds(connection)}
    return _Payments(booked, window_of, refunds)


def _standing(connection: Connection, exception_id: int) -> Standing:
    found = [one for one in standings(connection) if one.exception.exception_id == exception_id]
    if not found:
        raise ProposalUnknown(f"there is no exception {exception_id}")
    return found[0]


def _check_way(standing: Standing, way: WayOut, note: str) -> None:
    number = standing.exception.exception_id
    if standing.state == "proposed":
        waits = next(one for one in standing.resolutions if one.decided_by is None)
        raise ProposalDecided(
            f"way out {waits.resolution_id} ({waits.way}) waits for a decision: approve or reject it first"
        )
    if way not in standing.ways:
        ways = ", ".join(standing.ways) or f"none, it is {standing.state}"
        raise WayOutClosed(f"exception {number} ({standing.exception.problem}) has not the way {way}: {ways}")
    if way == "refund" and standing.transaction.amount_minor < 0:
        raise WayOutClosed(f"exception {number} is money that left: there is nothing to send back")
    if not note.strip():
        raise WayOutClosed("say why, and what shows it: who approves, or audits, reads it")


def _refund_to(connection: Connection, standing: Standing, account: Account | None, at: datetime) -> Account:
    """Where a refund goes: as given, else where the money came from, else the participant's account."""
    if account is not None:
        return msgspec.structs.replace(
            account, iban=read_iban(account.iban), bic=read_bic(account.bic) if account.bic else None
        )
    sender = standing.transaction
    if sender.other_iban and sender.other_name:
        return Account(name=sender.other_name, iban=read_iban(sender.other_iban))
    known = _participant(connection, standing)
    used = accounts_in_use(connection, at).get((known, standing.exception.currency))
    if known == HUB_ID or used is None:
        raise WayOutClosed("the bank does not say where the money came from: give name and IBAN to refund to")
    return used.account


def _check_allocation(connection: Connection, standing: Standing, wanted: Resolution) -> Booked:
    """The payment to allocate to: of the same currency, and as much is missing of it, or was paid of it."""
    name = wanted.end_to_end_id or ""
    window_of = store.load_windows(connection, [name])
    if name not in window_of:
        raise WayOutClosed(f"there is no payment {name!r}")
    [payment] = [one for one in payments.due_of(connection, window_of[name]) if one.end_to_end_id == name]
    if payment.currency != standing.exception.currency:
        raise WayOutClosed(f"{name} is in {payment.currency}, the money in {standing.exception.currency}")
    forth = (standing.transaction.amount_minor > 0) == (payment.direction == "in")
    room = payment.due_minor - payment.booked_minor if forth else payment.booked_minor
    if wanted.amount_minor > room:
        what = "are missing of" if forth else "were paid of"
        raise WayOutClosed(
            f"{amount_text(room, payment.currency)} {payment.currency} {what} {name}:"
            f" {amount_text(wanted.amount_minor, payment.currency)} cannot be allocated to it"
        )
    return payment


def _carry_out(
    connection: Connection, standing: Standing, wanted: Resolution, *, by: str, at: datetime
) -> None:
    """Do what was approved. A refund is only made payable: it is booked when the bank has paid it."""
    if wanted.way not in standing.ways or wanted.amount_minor > standing.left_minor:
        raise WayOutClosed(f"exception {standing.exception.exception_id} is {standing.state} by now")
    if wanted.way == "instruct_again":
        payments.instruct_again(connection, standing.exception.end_to_end_id or "", by=by, at=at)
        return
    if wanted.way == "refund":
        return
    sign = 1 if standing.transaction.amount_minor > 0 else -1
    for window_id in store.load_windows(connection, [wanted.end_to_end_id or ""]).values():
        night_store.lock_run(connection, window_id)
    payment = _check_allocation(connection, standing, wanted) if wanted.way == "allocate" else None
    today = _today(connection, at)
    # What is left of each exception was seen above. The balance of suspense is no measure: it is of all of
    # them, and what the bank took without a word stands in it too.
    credit: tuple[LedgerAccount, int] = ("loss", OPERATOR_ID) if wanted.way == "charge" else ("cash", HUB_ID)
    entry = moved(
        "suspense_out",
        f"way out {wanted.resolution_id}",
        today,
        ("suspense", _participant(connection, standing)),
        credit,
        currency=standing.exception.currency,
        minor=sign * wanted.amount_minor,
    )
    book(connection, entry, by=by, at=at)
    if wanted.way in {"deposit", "guarantee"}:
        payments.move_cover(
            connection,
            account="deposit" if wanted.way == "deposit" else "guarantee",
            participant_id=wanted.participant_id or HUB_ID,
            currency=standing.exception.currency,
            amount_minor=sign * wanted.amount_minor,
            reference=f"way out {wanted.resolution_id}",
            booked_on=today,
            by=by,
            at=at,
        )
    if payment is not None:
        payments.record_payment(
            connection,
            end_to_end_id=payment.end_to_end_id,
            amount_minor=sign * wanted.amount_minor * (1 if payment.direction == "in" else -1),
            payment_reference=f"way out {wanted.resolution_id}",
            booked_on=today,
            by=by,
            at=at,
        )


def _participant(connection: Connection, standing: Standing) -> int:
    """In whose suspense an exception's money is: the participant's whose payment it named, or the hub's."""
    name = standing.exception.end_to_end_id
    if name is None:
        return HUB_ID
    if name.startswith(_REFUND):
        refunds = store.load_refunds(connection)
        return next(one.participant_id for one, _, _, _ in refunds if one.end_to_end_id == name)
    return store.load_holders(connection, [name])[name]


def _today(connection: Connection, at: datetime) -> date:
    return at.astimezone(ZoneInfo(read_network(connection).time_zone)).date()


def _audit(
    connection: Connection, resolution: Resolution, action: str, by: str, before: Resolution | None = None
) -> None:
    audited(
        connection,
        by=by,
        action=action,
        subject=f"bank_exception:{resolution.exception_id}",
        before=before,
        after=resolution,
    )
