"""Whose a transaction is: by its names, never by its amount; and which account is paid to, and when."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest

from settlement.bank.accounts import in_use, state_of
from settlement.bank.match import match
from settlement.bank.model import (
    Account,
    AccountState,
    AccountVersion,
    Expected,
    Transaction,
)

ON = date(2017, 5, 4)


def expected(end_to_end_id: str, amount_minor: int, **given: Any) -> Expected:
    """A pay-in in euros, where nothing else is said; its reference is its id with R before it."""
    return msgspec.structs.replace(
        Expected(
            kind="in",
            participant_id=11,
            currency="EUR",
            amount_minor=amount_minor,
            end_to_end_id=end_to_end_id,
            reference=f"R{end_to_end_id}",
        ),
        **given,
    )


def moved(amount_minor: int, end_to_end_id: str = "", *references: str, **given: Any) -> Transaction:
    """A transaction in euros."""
    return msgspec.structs.replace(
        Transaction(
            entry=1,
            detail=1,
            amount_minor=amount_minor,
            currency="EUR",
            booked_on=ON,
            value_on=ON,
            end_to_end_id=end_to_end_id,
            references=references,
        ),
        **given,
    )


IN = expected("IN", 10000)
OUT = expected("OUT", 7000, kind="out", group_id="G")
MORE = expected("MORE", 500, kind="out", group_id="G")
ALL = [IN, OUT, MORE]

Found = tuple[list[tuple[str | None, int]], list[tuple[str, str | None, int]]]


def found(transactions: list[Transaction], payments: list[Expected]) -> Found:
    """Bookings and findings, without their places."""
    result = match(transactions, payments)
    return (
        [(one.end_to_end_id, one.amount_minor) for one in result.bookings],
        [(one.problem, one.end_to_end_id, one.amount_minor) for one in result.findings],
    )


@pytest.mark.parametrize(
    ("transactions", "bookings", "findings"),
    [
        # exact: by id, by reference, both ways
        ([moved(10000, "IN")], [("IN", 10000)], []),
        ([moved(10000, "", "RIN")], [("IN", 10000)], []),
        ([moved(10000, "SOMETHING ELSE", "RIN")], [("IN", 10000)], []),
        ([moved(-7000, "OUT")], [("OUT", -7000)], []),
        # less, and what completes it
        ([moved(6000, "IN")], [("IN", 6000)], [("partial", "IN", 4000)]),
        (
            [moved(6000, "IN"), moved(4000, "", "RIN")],
            [("IN", 6000), ("IN", 4000)],
            [("partial", "IN", 4000)],
        ),
        # more: what is too much is nobody's; so is all that comes after
        ([moved(10001, "IN")], [("IN", 10000), (None, 1)], [("surplus", "IN", 1)]),
        (
            [moved(10000, "IN"), moved(10000, "IN")],
            [("IN", 10000), (None, 10000)],
            [("surplus", "IN", 10000)],
        ),
        ([moved(-7010, "OUT")], [("OUT", -7000), (None, -10)], [("surplus", "OUT", 10)]),
        # nobody's: the right amount says nothing
        ([moved(10000)], [(None, 10000)], [("unknown", None, 10000)]),
        ([moved(-7000, "OUTER")], [(None, -7000)], [("unknown", None, 7000)]),
        # two names are no name
        ([moved(10000, "IN", "ROUT")], [(None, 10000)], [("unknown", None, 10000)]),
        ([moved(10000, "", "RIN", "RMORE")], [(None, 10000)], [("unknown", None, 10000)]),
        ([moved(10000, "IN", currency="USD")], [(None, 10000)], [("unknown", None, 10000)]),
        # what comes back: only what had gone
        (
            [moved(-7000, "OUT"), moved(7000, "OUT", reason="AC04")],
            [("OUT", -7000), ("OUT", 7000)],
            [("returned", "OUT", 7000)],
        ),
        (
            [moved(-7000, "OUT"), moved(6990, "", "ROUT")],
            [("OUT", -7000), ("OUT", 6990)],
            [("returned", "OUT", 6990)],
        ),
        ([moved(7000, "OUT")], [(None, 7000)], [("unknown", None, 7000)]),
        (
            [moved(10000, "IN"), moved(-10000, "IN", returned=True)],
            [("IN", 10000), ("IN", -10000)],
            [("returned", "IN", 10000)],
        ),
        # a group in one sum: all of it, or nothing
        ([moved(-7500, batch_id="G")], [("OUT", -7000), ("MORE", -500)], []),
        ([moved(-7500, batch_id="G", batch_count=2)], [("OUT", -7000), ("MORE", -500)], []),
        ([moved(-7500, batch_id="G", batch_count=3)], [(None, -7500)], [("unknown", None, 7500)]),
        ([moved(-7499, batch_id="G")], [(None, -7499)], [("unknown", None, 7499)]),
        ([moved(7500, batch_id="G")], [(None, 7500)], [("unknown", None, 7500)]),
        ([moved(-7500, batch_id="H")], [(None, -7500)], [("unknown", None, 7500)]),
        (
            [moved(-7000, "OUT"), moved(-500, batch_id="G")],
            [("OUT", -7000), ("MORE", -500)],
            [],
        ),
    ],
)
def test_transactions_go_where_they_say(
    transactions: list[Transaction],
    bookings: list[tuple[str | None, int]],
    findings: list[tuple[str, str | None, int]],
) -> None:
    """Each case of exact, partial, surplus, unknown, returned and whole groups."""
    assert found(transactions, ALL) == (bookings, findings)


def test_what_was_done_before_counts() -> None:
    """Earlier statements are not forgotten: a rest is a rest, and a finished payment takes nothing more."""
    assert found([moved(4000, "IN")], [expected("IN", 10000, done_minor=6000)]) == ([("IN", 4000)], [])
    assert found([moved(1, "IN")], [expected("IN", 10000, done_minor=10000)]) == (
        [(None, 1)],
        [("surplus", "IN", 1)],
    )
    # Less is due than was done, since somebody else bore a part of it in between.
    assert found([moved(5, "IN")], [expected("IN", 90, done_minor=100)]) == (
        [(None, 5)],
        [("surplus", "IN", 5)],
    )


def test_a_payment_that_takes_nothing_more_is_left_to_people() -> None:
    """What names a payment of a settled window, either way or with its group, stays in suspense."""
    settled = [
        expected("IN", 10000, done_minor=10000, refuses="its window is settled"),
        expected("OUT", 7000, kind="out", group_id="G", refuses="its window is not funded yet"),
    ]
    transactions = [moved(-10000, "IN"), moved(5, "IN"), moved(-7000, "OUT"), moved(-7000, batch_id="G")]
    result = match(transactions, settled)
    assert [one.end_to_end_id for one in result.bookings] == [None] * 4
    assert [(one.problem, one.why) for one in result.findings] == [
        ("unknown", "it names IN, but its window is settled"),
        ("unknown", "it names IN, but its window is settled"),
        ("unknown", "it names OUT, but its window is not funded yet"),
        ("unknown", "it names no payment of ours"),
    ]


def test_findings_say_why() -> None:
    """Whoever decides reads what is wrong, in amounts of the currency."""
    transactions = [
        moved(6000, "IN"),
        moved(5000, "IN"),
        moved(1, "X"),
        moved(1, "IN", "ROUT"),
        moved(1, "IN", currency="JPY"),
        moved(-7000, "OUT"),
        moved(7000, "OUT", reason="AC04"),
        moved(7000, "OUT"),
    ]
    assert [one.why for one in match(transactions, ALL).findings] == [
        "40.00 EUR are missing",
        "only 40.00 EUR were due",
        "it names no payment of ours",
        "it names more than one payment: IN, OUT",
        "IN is in EUR",
        "the bank's reason: AC04",
        "more came back of OUT than the 0.00 EUR it had moved",
    ]


NOON = datetime(2017, 5, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def version(account_id: int, hours: int | None, **given: Any) -> AccountVersion:
    """A grocer's account in euros; `hours` after noon it comes into use, None: it was not decided."""
    decided = {} if hours is None else {"approved": True, "decided_by": "bert", "decided_at": NOON}
    return msgspec.structs.replace(
        AccountVersion(
            account_id=account_id,
            participant_id=11,
            currency="EUR",
            account=Account(name="Grocer", iban="DE89370400440532013000"),
            proposed_by="anna",
            proposed_at=NOON,
            in_use_from=None if hours is None else NOON + hours * HOUR,
        ),
        **{**decided, **given},
    )


def test_the_old_account_is_used_until_the_new_one_has_cooled_off() -> None:
    """To the second: before, the old one; from then on, the new one."""
    versions = [version(1, 0), version(2, 72), version(3, None)]
    before, then = NOON + 72 * HOUR - timedelta(seconds=1), NOON + 72 * HOUR
    assert in_use(versions, NOON - HOUR) == {}
    assert in_use(versions, before)[11, "EUR"].account_id == 1
    assert in_use(versions, then)[11, "EUR"].account_id == 2
    states: list[AccountState] = [state_of(one, versions, before) for one in versions]
    assert states == ["in_use", "cooling", "waits"]
    assert [state_of(one, versions, then) for one in versions] == ["superseded", "in_use", "waits"]


def test_what_was_withdrawn_or_rejected_is_never_used() -> None:
    """An account that was stopped while it cooled off leaves the old one in use."""
    stopped = version(2, 72, withdrawn_by="cora", withdrawn_at=NOON + HOUR)
    rejected = version(3, None, approved=False, decided_by="bert", decided_at=NOON)
    versions = [version(1, 0), stopped, rejected]
    later = NOON + 1000 * HOUR
    assert in_use(versions, later)[11, "EUR"].account_id == 1
    assert [state_of(one, versions, later) for one in versions] == ["in_use", "withdrawn", "rejected"]


def test_each_participant_and_currency_has_its_own() -> None:
    """Accounts of others, or for another currency, change nothing; the last approved counts."""
    versions = [
        version(1, 0),
        version(2, 0, currency="JPY"),
        version(3, 0, participant_id=12),
        version(4, 1),
    ]
    chosen = in_use(versions, NOON + HOUR)
    assert {key: one.account_id for key, one in chosen.items()} == {
        (11, "EUR"): 4,
        (11, "JPY"): 2,
        (12, "EUR"): 3,
    }
