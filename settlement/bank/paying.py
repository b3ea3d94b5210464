"""What goes to the bank and to participants: pay-out files, each payment in one, and requests to pay in."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from network.service import network_now, read_network
from partners.model import HUB_ID
from partners.people.audit import audited
from settlement import payment_store
from settlement import store as night_store
from settlement.bank import store
from settlement.bank.changing import accounts_in_use
from settlement.bank.errors import NotPayable
from settlement.bank.model import (
    Account,
    AccountVersion,
    PayInRequest,
    Payment,
    PaymentFile,
    PaymentGroup,
    WrittenFile,
)
from settlement.bank.pain import payment_file
from settlement.model import STEPS, Output
from settlement.money_model import Instruction
from settlement.store import LiveRun

_Accounts = Mapping[tuple[int, str], AccountVersion]


def pay_out_files(connection: Connection, window_id: int, *, by: str) -> list[WrittenFile]:
    """The files that pay a window's participants; what is in none yet goes into a new one.

    Each payment is written once, whoever asks how often: asking again gives the same files. They are kept
    with the payments, so commit before they leave.

    Raises:
        NotPayable: the run is not funded yet, or a participant has no account in use.
    """
    store.lock_bank(connection)
    night_store.lock_run(connection, window_id)  # what is due does not change while it is written
    run, output = _run(connection, window_id)
    if STEPS.index(run.state) < STEPS.index("funded"):
        raise NotPayable(f"window {window_id} is {run.state}: pay-outs leave once all pay-ins are booked")
    at = network_now(connection)
    old = store.load_files(connection, window_id, run.revision)
    files = [
        WrittenFile(message_id=name, content=content, payments=count, is_new=False)
        for name, content, count in old
    ]
    due = _still_due(connection, run, output, "out")
    filed = store.in_files(connection, [one.end_to_end_id for one, _ in due])
    wanted = [(one, minor) for one, minor in due if one.end_to_end_id not in filed]
    if wanted:
        number = len(old) + 1
        name = f"W{window_id:08}-R{run.revision:02}-F{number:02}"
        created_at = output.window[0].closed_at if number == 1 else at
        accounts = accounts_in_use(connection, at)
        payments = [
            (
                max(one.value_on, _today(connection, at)),
                Payment(
                    end_to_end_id=one.end_to_end_id,
                    reference=one.reference,
                    participant_id=one.participant_id,
                    currency=one.currency,
                    amount_minor=minor,
                    account=account,
                ),
            )
            for (one, minor), account in zip(
                wanted,
                _accounts(connection, accounts, [(one.participant_id, one.currency) for one, _ in wanted]),
                strict=True,
            )
        ]
        run_of = (window_id, run.revision)
        files.append(_write(connection, name, created_at, payments, accounts, run=run_of, by=by, at=at))
    return files


def refund_files(connection: Connection, *, by: str) -> list[WrittenFile]:
    """The files that send back what was nobody's; approved refunds in none yet go into a new one.

    Raises:
        NotPayable: the hub has no account in use in a refund's currency.
    """
    store.lock_bank(connection)
    at = network_now(connection)
    old = store.load_files(connection, None, None)
    files = [
        WrittenFile(message_id=name, content=content, payments=count, is_new=False)
        for name, content, count in old
    ]
    today = _today(connection, at)
    payments = [
        (
            today,
            Payment(
                end_to_end_id=one.end_to_end_id,
                reference=one.reference,
                participant_id=one.participant_id,
                currency=one.currency,
                amount_minor=one.amount_minor,
                account=account,
            ),
        )
        for one, account, _, left_us in store.load_refunds(connection)
        if not left_us
    ]
    if payments:
        name = f"REFUNDS-F{len(old) + 1:05}"
        accounts = accounts_in_use(connection, at)
        files.append(_write(connection, name, at, payments, accounts, run=None, by=by, at=at))
    return files


def pay_in_requests(connection: Connection, window_id: int) -> list[PayInRequest]:
    """What a window's participants are to pay in: what is missing of it, and how to pay it.

    Raises:
        NotPayable: the run is not instructed, or the hub has no account in use in a currency.
    """
    run, output = _run(connection, window_id)
    if STEPS.index(run.state) < STEPS.index("instructed"):
        raise NotPayable(f"window {window_id} is {run.state}: nothing is asked before it is instructed")
    names = store.load_names(connection)
    due = _still_due(connection, run, output, "in")
    accounts = accounts_in_use(connection, network_now(connection))
    ours = _accounts(connection, accounts, [(HUB_ID, one.currency) for one, _ in due])
    return [
        PayInRequest(
            end_to_end_id=one.end_to_end_id,
            reference=one.reference,
            participant_id=one.participant_id,
            name=names[one.participant_id][1],
            currency=one.currency,
            amount_minor=one.amount_minor,
            rest_minor=rest,
            due_on=one.value_on,
            to=account,
        )
        for (one, rest), account in zip(due, ours, strict=True)
    ]


def _run(connection: Connection, window_id: int) -> tuple[LiveRun, Output]:
    run = night_store.live_run(connection, window_id)
    return run, night_store.load_outputs(connection, [window_id])[window_id]


def _still_due(
    connection: Connection, run: LiveRun, output: Output, direction: str
) -> list[tuple[Instruction, int]]:
    """A run's payments one way that are not done, with what is missing of each; minor units."""
    booked = payment_store.load_booked(connection, run, output.positions)
    rests = {one.end_to_end_id: one.due_minor - one.booked_minor for one in booked}
    return [
        (one, rests[one.end_to_end_id])
        for one in payment_store.load_instructions(connection, run)
        if one.direction == direction and rests[one.end_to_end_id] > 0
    ]


def _accounts(connection: Connection, accounts: _Accounts, keys: Sequence[tuple[int, str]]) -> list[Account]:
    """The account in use of each participant and currency."""
    missing = sorted({key for key in keys if key not in accounts})
    if missing:
        names = store.load_names(connection)
        listed = ", ".join(f"{names[who][0]} ({currency})" for who, currency in missing)
        raise NotPayable(f"no account is in use of {listed}: propose one, and wait for its cooling-off time")
    return [accounts[key].account for key in keys]


def _write(
    connection: Connection,
    name: str,
    created_at: datetime,
    payments: Sequence[tuple[date, Payment]],
    accounts: _Accounts,
    *,
    run: tuple[int, int] | None,
    by: str,
    at: datetime,
) -> WrittenFile:
    """A new file: one group for each currency and day."""
    groups: dict[tuple[str, date], list[Payment]] = {}
    for execute_on, payment in payments:
        groups.setdefault((payment.currency, execute_on), []).append(payment)
    keys = sorted(groups)
    ours = _accounts(connection, accounts, [(HUB_ID, currency) for currency, _ in keys])
    file = PaymentFile(
        message_id=f"TESSERA-{name}",
        created_at=created_at,
        initiator=ours[0].name,
        groups=tuple(
            PaymentGroup(
                group_id=f"{name}-{currency}-{execute_on:%Y%m%d}",
                currency=currency,
                execute_on=execute_on,
                debtor=debtor,
                payments=tuple(groups[currency, execute_on]),
            )
            for (currency, execute_on), debtor in zip(keys, ours, strict=True)
        ),
    )
    content = payment_file(file)
    store.save_file(connection, file, content, run=run, by=by, at=at)
    audited(
        connection,
        by=by,
        action="bank.pay_outs_written",
        subject=f"payment_file:{file.message_id}",
        after={
            "payments": len(payments),
            "accounts": {one.end_to_end_id: one.account.iban for _, one in payments},
            "amounts_minor": {one.end_to_end_id: one.amount_minor for _, one in payments},
        },
    )
    return WrittenFile(message_id=file.message_id, content=content, payments=len(payments), is_new=True)


def _today(connection: Connection, at: datetime) -> date:
    return at.astimezone(ZoneInfo(read_network(connection).time_zone)).date()
