"""Statements of the bank, booked: each transaction once, to its payment or into suspense."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import sha256

import msgspec
from sqlalchemy import Connection

from network.service import network_now
from partners.model import HUB_ID
from partners.people.audit import audited
from settlement import payments
from settlement import store as night_store
from settlement.bank import store
from settlement.bank.camt import read_statements
from settlement.bank.errors import StatementRefused
from settlement.bank.match import match
from settlement.bank.model import Expected, Matched, Statement, StatementRead, Transaction
from settlement.bank.numbers import show_iban
from settlement.bank.pain import amount_text
from settlement.canonical import canonical_json
from settlement.model import STEPS, Step
from settlement.money_model import Booked


def read_file(connection: Connection, data: bytes, *, by: str) -> list[StatementRead]:
    """Read a camt.053 file and book what it says, all of it or nothing.

    A statement that was read before books nothing; what it says must be what it said then.

    Args:
        connection: A transaction; the caller commits it.
        data: The file.
        by: Who reads it in.
    Raises:
        StatementRefused: the file is not in order, is of an account that is not the hub's, in another
            currency, or does not follow on the statement that was read before it.
    """
    statements = read_statements(data)  # a large file takes a while, and nobody waits for it
    store.lock_bank(connection)
    at = network_now(connection)
    ours = {
        (one.account.iban, one.currency)
        for one in store.load_accounts(connection)
        if one.participant_id == HUB_ID and one.approved and one.withdrawn_at is None
    }
    digest = sha256(data).digest()
    for statement in statements:
        _check_account(statement, ours)
    _lock_runs(connection, [one for statement in statements for one in statement.transactions])
    results = [_read_one(connection, statement, digest, by=by, at=at) for statement in statements]
    audited(
        connection,
        by=by,
        action="bank.statements_read",
        subject=f"file:{digest.hex()}",
        after={
            "statements": [
                {
                    "iban": one.iban,
                    "statement_id": one.statement_id,
                    "page": one.page,
                    "read_before": one.read_before,
                    "transactions": one.transactions,
                    "exceptions": [found.exception_id for found in one.exceptions],
                }
                for one in results
            ]
        },
    )
    return results


def _lock_runs(connection: Connection, transactions: Sequence[Transaction]) -> None:
    """Lock the runs whose payments are named, in order, before any booking takes the lock of the record."""
    rows, _ = store.load_named(connection, transactions)
    for window_id in sorted({row["window_id"] for row in rows}):
        night_store.lock_run(connection, window_id)


def _check_account(statement: Statement, ours: set[tuple[str, str]]) -> None:
    if (statement.iban, statement.currency) in ours:
        return
    shown = f"statement {statement.statement_id} is of {show_iban(statement.iban)} in {statement.currency}"
    held = sorted(currency for iban, currency in ours if iban == statement.iban)
    if held:
        raise StatementRefused(f"{shown}; that account of ours is held in {', '.join(held)}")
    raise StatementRefused(f"{shown}, which is no account of the hub's")


def _read_one(
    connection: Connection, statement: Statement, file_digest: bytes, *, by: str, at: datetime
) -> StatementRead:
    digest = _digest(statement)
    known = store.load_read(connection, statement.iban, statement.currency)
    for one in known:
        if (one.statement_id, one.page) == (statement.statement_id, statement.page):
            if one.sha256 != digest:
                raise StatementRefused(
                    f"statement {statement.statement_id} was read before and said something else then:"
                    " ask the bank which one holds"
                )
            return _result(statement, read_before=True)
    if known and known[-1].closing_minor != statement.opening_minor:
        last = known[-1]
        raise StatementRefused(
            f"statement {statement.statement_id} opens with"
            f" {amount_text(statement.opening_minor, statement.currency)} {statement.currency}, but"
            f" {last.statement_id}, read last, closed with"
            f" {amount_text(last.closing_minor, statement.currency)}: one between is missing; read it first"
        )
    number = store.save_statement(connection, statement, digest, file_digest, by=by, at=at)
    expected, windows = _expected(connection, statement.transactions)
    matched = match(statement.transactions, list(expected.values()))
    _book(connection, number, statement, matched, expected, by=by, at=at)
    found = store.save_exceptions(connection, number, statement.currency, matched.findings, at)
    return msgspec.structs.replace(
        _result(statement, read_before=False),
        matched=len(statement.transactions) - len({(one.entry, one.detail) for one in found}),
        exceptions=tuple(found),
        windows=windows,
    )


def _expected(
    connection: Connection, transactions: Sequence[Transaction]
) -> tuple[dict[str, Expected], tuple[int, ...]]:
    """The payments that transactions name, with what is due and done, by end-to-end id; and their windows."""
    rows, refunds = store.load_named(connection, transactions)
    states: dict[str, Booked] = {}
    refuses: dict[int, dict[str, str]] = {}
    for window_id in sorted({row["window_id"] for row in rows}):
        states.update({one.end_to_end_id: one for one in payments.due_of(connection, window_id)})
        refuses[window_id] = _refuses(night_store.live_run(connection, window_id).state)
    found = {
        row["end_to_end_id"]: Expected(
            kind=row["direction"],
            participant_id=row["participant_id"],
            currency=row["currency"],
            amount_minor=states[row["end_to_end_id"]].due_minor,
            end_to_end_id=row["end_to_end_id"],
            reference=row["reference"],
            group_id=row["group_id"],
            done_minor=states[row["end_to_end_id"]].booked_minor,
            refuses=refuses[row["window_id"]][row["direction"]],
        )
        for row in rows
    }
    return {**found, **{one.end_to_end_id: one for one in refunds}}, tuple(refuses)


def _refuses(state: Step) -> dict[str, str]:
    """Why nothing can be booked on payments of a run, by their direction."""
    if state == "settled":
        return dict.fromkeys(("in", "out"), "its window is settled")
    early = STEPS.index(state) < STEPS.index("funded")
    return {"in": "", "out": "its window is not funded yet" if early else ""}


def _book(
    connection: Connection,
    statement_no: int,
    statement: Statement,
    matched: Matched,
    expected: Mapping[str, Expected],
    *,
    by: str,
    at: datetime,
) -> None:
    """Book into the money ledger where each part of each transaction goes."""
    days = {(one.entry, one.detail): one.booked_on for one in statement.transactions}
    surplus_of = {
        (one.entry, one.detail): expected[one.end_to_end_id].participant_id
        for one in matched.findings
        if one.problem == "surplus" and one.end_to_end_id
    }
    parts: dict[tuple[int, int], int] = {}
    numbered, paid, unplaced = [], [], []
    for one in matched.bookings:
        key = (one.entry, one.detail)
        parts[key] = parts.get(key, 0) + 1
        numbered.append((parts[key], one))
        payment = expected[one.end_to_end_id] if one.end_to_end_id else None
        name = f"bank {statement_no}/{one.entry}/{one.detail}/{parts[key]}"
        if payment is not None and payment.kind != "refund":
            booking = payments.Booking(
                end_to_end_id=payment.end_to_end_id,
                amount_minor=one.amount_minor if payment.kind == "in" else -one.amount_minor,
                payment_reference=name,
                booked_on=days[key],
            )
            paid.append(booking)
            continue
        # A refund is money that leaves suspense, as it once came into it; it may come back there.
        unplaced.append(
            payments.Unplaced(
                amount_minor=one.amount_minor,
                currency=statement.currency,
                payment_reference=name,
                booked_on=days[key],
                participant_id=payment.participant_id if payment else surplus_of.get(key, HUB_ID),
            )
        )
    payments.record_payments(connection, paid, by=by, at=at)
    payments.suspend_payments(connection, unplaced, by=by, at=at)
    store.save_bookings(connection, statement_no, numbered)


def _result(statement: Statement, *, read_before: bool) -> StatementRead:
    return StatementRead(
        statement_id=statement.statement_id,
        page=statement.page,
        iban=statement.iban,
        currency=statement.currency,
        read_before=read_before,
        transactions=len(statement.transactions),
        matched=0,
    )


def _digest(statement: Statement) -> bytes:
    """SHA-256 of what a statement says of our money: a second copy may have been made at another time."""
    said = msgspec.structs.replace(statement, created_at=None)
    return sha256(canonical_json(msgspec.to_builtins(said))).digest()
