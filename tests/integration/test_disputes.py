"""Disputes on a real PostgreSQL: races have one winner, returns are not paid twice, evidence is bounded."""

import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Any, Literal
from uuid import UUID

import msgspec
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from api import worker
from network.ids import mint
from network.model import EntryKind
from network.service import network_now, set_clock
from network.verify import faults
from partners.errors import ProposalChanged, ProposalDecided, ProposalOpen, SecondPersonNeeded
from partners.model import VatRate
from partners.people.audit import chain_faults
from partners.rates_store import add_vat_rate
from settlement import dispute_store, disputes
from settlement.dispute_decisions import decide, propose_answer, propose_decision
from settlement.dispute_store import Case
from settlement.disputes import Wish
from settlement.errors import DisputeRefused, TermsMissing
from settlement.service import clear_due
from settlement.verify import problems
from settlement.verify_disputes import DISPUTE_CHECKS
from tests.conftest import as_owner
from tests.factories import OPERATOR, A, B, C, contract
from tests.integration.test_night import PROGRAMME, burn, post, sale, set_up

TODAY = datetime(2017, 5, 3, 12, tzinfo=UTC)
PDF = b"%PDF-1.7\n..."


def put_clock(database: Engine, at: datetime) -> None:
    """Move the network's time, and settle what is over."""
    with database.begin() as connection:
        set_clock(connection, at)
    clear_due(database, at, programme_version=PROGRAMME)


def settled(database: Engine, *, share: str = "0") -> UUID:
    """100,000 points of A redeemed at B, settled; it is two days later. The redemption's id."""
    set_up(
        database,
        [
            contract(A, rate="0.0080", share=share),
            contract(B, rate="0.0075", bps="125", vat_bps=2000),
            *(contract(number) for number in (13, 14)),
        ],
    )
    post(database, [burn(A, B, 100_000)])
    put_clock(database, TODAY)
    with database.connect() as connection:
        entry_id: UUID = connection.execute(text("SELECT entry_id FROM entry")).scalar_one()
    return entry_id


def wish(entry_id: UUID | None, reference: str = "d-1", **changed: Any) -> Wish:
    """A's dispute of what it paid B."""
    fields: dict[str, Any] = {
        "reference": reference,
        "raised_by_id": A,
        "against_id": B,
        "entry_id": entry_id,
        "window_id": None if entry_id else 20170501,
        "reason": "not our member",
        **changed,
    }
    return Wish(**fields)


def raised(database: Engine, wanted: Wish) -> Case:
    """A dispute that is raised."""
    with database.begin() as connection:
        return disputes.raise_dispute(connection, wanted, at=network_now(connection))[0]


def rejected(database: Engine, case: Case) -> None:
    """B rejects it."""
    with database.begin() as connection:
        disputes.answer(
            connection,
            case.dispute.dispute_id,
            partner_id=B,
            to="rejected",
            text="it was",
            at=network_now(connection),
        )


def escalated(database: Engine, entry_id: UUID) -> UUID:
    """A dispute that waits for the operator."""
    case = raised(database, wish(entry_id))
    rejected(database, case)
    with database.begin() as connection:
        disputes.escalate(
            connection, case.dispute.dispute_id, partner_id=A, text="no", at=network_now(connection)
        )
    return case.dispute.dispute_id


def at_once(*acts: Callable[[], object]) -> list[object]:
    """Do several things at the same moment; what each gave or raised."""
    barrier = threading.Barrier(len(acts))
    came: list[object] = [None] * len(acts)

    def run(place: int, act: Callable[[], object]) -> None:
        barrier.wait(30)
        try:
            came[place] = act()
        except Exception as error:
            came[place] = error

    threads = [threading.Thread(target=run, args=both) for both in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return came


def adjustments(database: Engine) -> list[tuple[int, int, Decimal, str, str]]:
    """Debts of disputes: who owes whom how much, and the two who stand for it."""
    with database.connect() as connection:
        rows = connection.execute(
            text(
                "SELECT debtor_id, creditor_id, amount, prepared_by, approved_by FROM money_adjustment"
                " WHERE origin = 'dispute' ORDER BY adjustment_id"
            )
        )
        return [tuple(row) for row in rows]


def found_wrong(database: Engine) -> list[str]:
    """What `verify` says of disputes."""
    with database.connect() as connection:
        return [problem.check for check in DISPUTE_CHECKS for problem in faults(connection, check)]


def test_a_reference_raises_once(database: Engine) -> None:
    """The same again gives the same dispute; other content under the reference is refused."""
    entry_id = settled(database)
    first = raised(database, wish(entry_id))
    with database.begin() as connection:
        again, was_there = disputes.raise_dispute(connection, wish(entry_id), at=TODAY)
    assert (again, was_there) == (first, True)
    for other in (wish(entry_id, reason="another"), wish(None), wish(entry_id, amount=Decimal(1))):
        with pytest.raises(DisputeRefused) as refused:
            raised(database, other)
        assert refused.value.code == "reference_reused"


def test_two_who_raise_the_same_line_at_once(database: Engine) -> None:
    """Of an entry and the whole day's line, raised at one moment, no part is disputed twice."""
    entry_id = settled(database)
    came = at_once(
        lambda: raised(database, wish(entry_id, "one", amount=Decimal(500))),
        lambda: raised(database, wish(None, "two", amount=Decimal(500))),
    )
    assert sorted(type(one).__name__ for one in came) == ["Case", "DisputeRefused"]
    [refused] = [one for one in came if isinstance(one, DisputeRefused)]
    assert refused.code == "dispute_too_much"
    assert "250" in str(refused)


def test_answer_and_silence_at_once_pay_once(database: Engine) -> None:
    """An answer in the last moment and many clocks: one debt, one end."""
    case = raised(database, wish(settled(database)))
    dispute_id = case.dispute.dispute_id
    put_clock(database, TODAY + timedelta(days=30))

    def accept() -> object:
        with database.begin() as connection:
            at = TODAY + timedelta(days=30) - timedelta(seconds=1)  # it was asked a second before
            return disputes.answer(connection, dispute_id, partner_id=B, to="accepted", text="yes", at=at)

    came = at_once(accept, *[lambda: disputes.carry_on_due(database)] * 3)
    broken = [one for one in came if isinstance(one, Exception) and not isinstance(one, DisputeRefused)]
    assert broken == []
    [(debtor, creditor, amount, prepared_by, _)] = adjustments(database)
    assert (debtor, creditor, amount, prepared_by) == (B, A, Decimal(750), "partner:11")
    assert found_wrong(database) == []


def test_deadlines_pass_in_order_and_once_with_two_workers(database: Engine) -> None:
    """Raised and rejected ones whose time is over, by whichever worker: the longest over first, each once.

    An instant before its time nothing is moved; a worker that comes again finds nothing.
    """
    set_up(database, [contract(A), contract(B), contract(C), contract(14)])
    post(database, [burn(A, B, 1_000), burn(A, C, 2_000), burn(B, A, 3_000), burn(C, A, 4_000)])
    put_clock(database, TODAY)
    parties = [(A, B), (A, C), (B, A), (C, A)]
    cases: list[Case] = []
    for hours, (raiser, other) in enumerate(parties):
        put_clock(database, TODAY + timedelta(hours=hours))
        cases.append(raised(database, wish(None, f"d-{hours}", raised_by_id=raiser, against_id=other)))
    put_clock(database, TODAY + timedelta(hours=4))
    rejected(database, cases[0])  # its new deadline is the last of all
    due = TODAY + timedelta(days=30)
    put_clock(database, due - timedelta(seconds=1))
    assert disputes.carry_on_due(database) == []
    put_clock(database, due + timedelta(hours=4))
    with database.connect() as connection:
        waiting = dispute_store.due(connection, due + timedelta(hours=4), 100)
    ids = [case.dispute.dispute_id for case in cases]
    assert waiting == [*ids[1:], ids[0]]
    came = at_once(*[lambda: worker._carry_on_disputes(database, lambda: False)] * 2)
    assert came == [None, None]
    with database.connect() as connection:
        after = dispute_store.load_cases(connection, ids)
        states = [[event.state for event in after[one].events] for one in ids]
    assert states == [["raised", "rejected", "decided"], *[["raised", "accepted"]] * 3]
    assert {after[one].last.by for one in ids} == {"worker"}
    assert sorted(one[:3] for one in adjustments(database)) == [
        *((A, B, Decimal(24)), (A, C, Decimal(32)), (C, A, Decimal(16))),
    ]
    assert disputes.carry_on_due(database) == []
    assert found_wrong(database) == []


def test_a_dispute_that_cannot_be_moved_keeps_no_other_from_it(database: Engine) -> None:
    """One whose terms are gone waits and is told; the other is carried on all the same."""
    entry_id = settled(database)
    broken = raised(database, wish(entry_id, "one", amount=Decimal(1)))
    whole = raised(database, wish(None, "two", amount=Decimal(1)))
    with as_owner(database) as connection:
        connection.execute(text("ALTER TABLE posting DISABLE TRIGGER USER"))
        connection.execute(text("UPDATE posting SET acceptor_terms = 9"))
    put_clock(database, TODAY + timedelta(days=30))
    [event] = disputes.carry_on_due(database)
    assert event.dispute_id == whole.dispute.dispute_id
    with pytest.raises(TermsMissing, match="terms 9 of partner 12"):
        disputes.carry_on_due(database)
    with database.connect() as connection:
        assert disputes.case_of(connection, broken.dispute.dispute_id).last.state == "raised"


def test_two_people_decide_and_one_wins(database: Engine) -> None:
    """Two checkers approve at once: one decision, one debt, the other is told; both names are on it."""
    dispute_id = escalated(database, settled(database))
    with database.begin() as connection:
        made = propose_decision(connection, dispute_id, awarded=Decimal("600.5"), reason="half", by="anna")
    with pytest.raises(ProposalOpen), database.begin() as connection:
        propose_decision(connection, dispute_id, awarded=Decimal(1), reason="other", by="carl")

    def approve(by: str) -> Callable[[], object]:
        def act() -> object:
            with database.begin() as connection:
                return decide(connection, made.proposal_id, sha256=made.sha256, by=by, approve=True)

        return act

    with pytest.raises(SecondPersonNeeded):
        approve("anna")()
    with pytest.raises(ProposalChanged), database.begin() as connection:
        decide(connection, made.proposal_id, sha256=bytes(32), by="bert", approve=True)
    assert adjustments(database) == []
    came = at_once(approve("bert"), approve("dora"))
    assert sorted(type(one).__name__ for one in came) == ["Proposal", "ProposalDecided"]
    [(debtor, creditor, amount, prepared_by, approved_by)] = adjustments(database)
    assert (debtor, creditor, amount, prepared_by) == (B, A, Decimal("600.5"), "anna")
    assert approved_by in ("bert", "dora")
    with pytest.raises(ProposalDecided):
        approve("bert")()
    with pytest.raises(DisputeRefused) as over, database.begin() as connection:
        propose_decision(connection, dispute_id, awarded=Decimal(1), reason="more", by="carl")
    assert over.value.code == "dispute_over"
    with database.connect() as connection:
        actions = connection.execute(text("SELECT action FROM operator_audit ORDER BY seq")).scalars().all()
    assert actions == ["proposal.prepared", "proposal.approved", "dispute.decided"]
    assert found_wrong(database) == []


def test_a_proposal_that_is_rejected_leaves_the_dispute_open(database: Engine) -> None:
    """Rejected it pays nothing; another can be proposed, of no more than is disputed."""
    dispute_id = escalated(database, settled(database))
    with pytest.raises(DisputeRefused) as refused, database.begin() as connection:
        propose_decision(connection, dispute_id, awarded=Decimal(751), reason="all", by="anna")
    assert refused.value.code == "dispute_award_too_large"
    with database.begin() as connection:
        made = propose_decision(connection, dispute_id, awarded=Decimal(750), reason="all", by="anna")
    with database.begin() as connection:
        assert (
            decide(connection, made.proposal_id, sha256=made.sha256, by="bert", approve=False).approved
            is False
        )
    with database.begin() as connection:
        made = propose_decision(connection, dispute_id, awarded=Decimal(0), reason="nothing", by="bert")
    with database.begin() as connection:
        decide(connection, made.proposal_id, sha256=made.sha256, by="anna", approve=True)
    assert adjustments(database) == []
    with database.connect() as connection:
        last = disputes.case_of(connection, dispute_id).last
    assert (last.state, last.awarded, last.by) == ("decided", Decimal(0), "anna")


def take_back(database: Engine, entry_id: UUID, points: int, on: date) -> UUID:
    """Write the return of a redemption, or of a part of it, into the open window."""
    at = datetime(on.year, on.month, on.day, 13, tzinfo=UTC)
    back = mint(at, 1)
    with database.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO entry (member_id, entry_id, kind, partner_id, window_id, programme_version,"
                " points, balance_after, amount_minor, occurred_at, recorded_at, reverses, reference)"
                " SELECT member_id, :back, :kind, partner_id, :window, 1, :points, 0, 0, :at, :at, entry_id,"
                " 'back' FROM entry WHERE entry_id = :entry"
            ),
            {
                "back": back,
                "kind": int(EntryKind.REVERSAL),
                "window": int(f"{on:%Y%m%d}"),
                "points": points,
                "at": at,
                "entry": entry_id,
            },
        )
        connection.execute(
            text(
                "INSERT INTO posting (member_id, entry_id, line, debit, credit, points, issuer_id,"
                " issuer_terms, acceptor_id, acceptor_terms, unit, window_id, reversed_window_id,"
                " spendable_on, expires_on)"
                " SELECT member_id, :back, 1, credit, debit, :points, issuer_id, issuer_terms, acceptor_id,"
                " acceptor_terms, unit, :window, window_id, spendable_on, expires_on"
                " FROM posting WHERE entry_id = :entry"
            ),
            {"back": back, "points": points, "window": int(f"{on:%Y%m%d}"), "entry": entry_id},
        )
    return back


@pytest.mark.parametrize("whole_day", [False, True])
@pytest.mark.parametrize("priced", [False, True])
def test_what_was_returned_is_not_paid_again(database: Engine, *, whole_day: bool, priced: bool) -> None:
    """Points that came back while a dispute was open lessen it; it is so for a day's line and an entry."""
    entry_id = settled(database)
    case = raised(database, wish(None if whole_day else entry_id))
    assert case.dispute.amount == 750
    take_back(database, entry_id, 40_000, TODAY.date())
    if priced:
        put_clock(database, TODAY + timedelta(days=1))
    with database.begin() as connection:
        done = disputes.answer(
            connection, case.dispute.dispute_id, partner_id=B, to="accepted", text="yes", at=TODAY
        )
    assert done.last.awarded == 450
    assert [row[2] for row in adjustments(database)] == [Decimal(450)]
    assert found_wrong(database) == []


def test_an_acceptor_disputes_a_return(database: Engine) -> None:
    """Who took a redemption back, and should not have paid, gets the credit again, with its fee."""
    entry_id = settled(database)
    back = take_back(database, entry_id, 100_000, TODAY.date())
    put_clock(database, TODAY + timedelta(days=1))
    with pytest.raises(DisputeRefused) as refused:
        raised(database, wish(back, "a"))  # A received it
    assert refused.value.code == "dispute_nothing_paid"
    case = raised(database, wish(back, "b", raised_by_id=B, against_id=A))
    assert (case.dispute.amount, case.dispute.credited_id) == (Decimal(750), B)
    with database.begin() as connection:
        disputes.answer(
            connection,
            case.dispute.dispute_id,
            partner_id=A,
            to="accepted",
            text="yes",
            at=network_now(connection),
        )
        credited = connection.execute(text("SELECT credited_amount FROM money_adjustment")).scalar_one()
    assert credited == 750
    assert [row[:3] for row in adjustments(database)] == [(A, B, Decimal(750))]
    assert found_wrong(database) == []


def test_points_paid_into_the_pool_are_the_issuers_money(database: Engine) -> None:
    """With half of it paid through the pool the issuer still disputes all that the acceptor got."""
    entry_id = settled(database, share="0.5")
    assert raised(database, wish(entry_id)).dispute.amount == Decimal(750)


def attached(database: Engine, dispute_id: UUID, content: bytes, **changed: Any) -> Case:
    """A file that B attaches."""
    fields: dict[str, Any] = {
        "partner_id": B,
        "name": "receipt.pdf",
        "media_type": "application/pdf",
        "at": TODAY,
        **changed,
    }
    with database.begin() as connection:
        return disputes.attach(connection, dispute_id, content=content, **fields)


def owed_in(database: Engine, window_id: int, *flows: str) -> list[tuple[str, int, int, str]]:
    """A window's debts of some flows but those of nothing: flow, debtor, creditor, amount."""
    with database.connect() as connection:
        rows = connection.execute(
            text(
                "SELECT flow, debtor_id, creditor_id, amount FROM obligation WHERE window_id = :window_id"
                " AND flow = ANY(:flows) AND amount <> 0 ORDER BY 1, 2, 3"
            ),
            {"window_id": window_id, "flows": list(flows)},
        )
        return [(*row[:3], f"{row.amount:.2f}") for row in rows]


def sound_but_for_members(database: Engine) -> None:
    """Every check of the nights holds; the postings of these tests have no members."""
    with database.connect() as connection:
        assert [one for one in problems(connection) if one.check != "pool_covers_outstanding"] == []


def test_vat_goes_back_to_whom_it_came_from(database: Engine) -> None:
    """A quarter came through the pool, for whose VAT the operator stood in; the rate is of the line's day.

    750.00 bore 20 % of VAT: 112.50 of A, 37.50 of the operator. Of 600.00 that is 90.00 and 30.00,
    though the rate is 10 % by then.
    """
    taxed = msgspec.structs.replace(contract(B, rate="0.0075"), vat_codes=(("redemption", "std"),))
    set_up(database, [contract(A, share="0.25"), taxed, contract(C), contract(14)])
    with database.begin() as connection:
        for day, bps in ((date(2017, 1, 1), 2000), (date(2017, 5, 2), 1000)):
            rate = VatRate(vat_code="std", effective_on=day, rate_bps=bps)
            add_vat_rate(connection, rate, prepared_by="maker", activated_by="checker")
    post(database, [burn(A, B, 100_000)])
    put_clock(database, TODAY)
    assert owed_in(database, 20170501, "vat") == [("vat", OPERATOR, B, "37.50"), ("vat", A, B, "112.50")]
    case = raised(database, wish(None, amount=Decimal(600)))
    with database.begin() as connection:
        disputes.answer(
            connection, case.dispute.dispute_id, partner_id=B, to="accepted", text="yes", at=TODAY
        )
    put_clock(database, TODAY + timedelta(days=1))
    assert owed_in(database, 20170503, "adjustment", "vat") == [
        ("adjustment", B, A, "600.00"),
        ("vat", B, OPERATOR, "30.00"),
        ("vat", B, A, "90.00"),
    ]
    assert found_wrong(database) == []
    sound_but_for_members(database)


def said_by_operator(database: Engine, dispute_id: UUID, said: Literal["accept", "reject"]) -> None:
    """Anna prepares the operator's answer, bert approves it."""
    with database.begin() as connection:
        made = propose_answer(connection, dispute_id, answer=said, reason="as agreed", by="anna")
    with pytest.raises(SecondPersonNeeded), database.begin() as connection:
        decide(connection, made.proposal_id, sha256=made.sha256, by="anna", approve=True)
    with database.begin() as connection:
        decide(connection, made.proposal_id, sha256=made.sha256, by="bert", approve=True)


def test_a_fee_is_disputed_with_the_operator(database: Engine) -> None:
    """9.38 and VAT of 1.88: rejected by two, escalated, 5.00 awarded by two; its VAT goes back with it."""
    settled(database)
    fee: dict[str, Any] = {"raised_by_id": B, "against_id": OPERATOR, "flow": "fee"}
    case = raised(database, wish(None, **fee))
    assert (case.dispute.amount, case.dispute.currency) == (Decimal("9.38"), "EUR")
    dispute_id = case.dispute.dispute_id
    with pytest.raises(DisputeRefused) as refused, database.begin() as connection:
        disputes.answer(connection, dispute_id, partner_id=B, to="accepted", text="mine", at=TODAY)
    assert refused.value.code == "dispute_not_yours"
    said_by_operator(database, dispute_id, "reject")
    with database.begin() as connection:
        disputes.escalate(connection, dispute_id, partner_id=B, text="look again", at=TODAY)
        made = propose_decision(connection, dispute_id, awarded=Decimal(5), reason="half of it", by="anna")
    with database.begin() as connection:
        decide(connection, made.proposal_id, sha256=made.sha256, by="bert", approve=True)
    put_clock(database, TODAY + timedelta(days=1))
    assert owed_in(database, 20170503, "adjustment", "vat") == [
        ("adjustment", OPERATOR, B, "5.00"),
        ("vat", OPERATOR, B, "1.00"),
    ]
    assert found_wrong(database) == []
    sound_but_for_members(database)
    with database.connect() as connection:
        assert chain_faults(connection) == []


def test_what_the_operator_does_not_answer_it_pays_back(database: Engine) -> None:
    """VAT on a fee, and points issued into the pool: accepted in time by two, or by silence."""
    set_up(
        database,
        [
            msgspec.structs.replace(contract(A, share="0.5", vat_bps=2000), vat_codes=(("issue", "std"),)),
            contract(B, rate="0.0075", bps="125", vat_bps=2000),
            contract(C),
            contract(14),
        ],
    )
    with database.begin() as connection:
        rate = VatRate(vat_code="std", effective_on=date(2017, 1, 1), rate_bps=1000)
        add_vat_rate(connection, rate, prepared_by="maker", activated_by="checker")
    post(database, [sale(A, 10_000), burn(A, B, 100_000)])
    put_clock(database, TODAY)
    vat = raised(database, wish(None, "vat", raised_by_id=B, against_id=OPERATOR, flow="vat"))
    issue = raised(database, wish(None, "issue", against_id=OPERATOR, flow="issue"))
    assert (vat.dispute.amount, issue.dispute.amount) == (Decimal("1.88"), Decimal(50))
    said_by_operator(database, vat.dispute.dispute_id, "accept")
    put_clock(database, TODAY + timedelta(days=30))
    assert len(disputes.carry_on_due(database)) == 1
    put_clock(database, TODAY + timedelta(days=31))
    assert owed_in(database, 20170503, "adjustment", "vat") == [("adjustment", OPERATOR, B, "1.88")]
    assert owed_in(database, 20170602, "adjustment", "vat") == [
        ("adjustment", OPERATOR, A, "50.00"),
        ("vat", OPERATOR, A, "5.00"),
    ]
    sound_but_for_members(database)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"flow": "fee", "against_id": A}, "dispute_line_unknown"),
        ({"flow": "issue", "against_id": A}, "dispute_line_unknown"),
        ({"flow": "fee", "window_id": 20170530}, "dispute_line_unknown"),
        ({"flow": "fee", "window_id": 20170503}, "dispute_not_yet"),
        ({"flow": "fee", "window_id": 20170502}, "dispute_nothing_paid"),
        ({"flow": "vat", "against_id": A}, "dispute_nothing_paid"),
        ({"flow": "issue"}, "dispute_nothing_paid"),
        ({"flow": "redemption"}, "dispute_line_unknown"),
        ({"flow": "fee", "amount": Decimal("9.39")}, "dispute_too_much"),
    ],
)
def test_lines_with_the_operator_that_are_none(database: Engine, changed: dict[str, Any], code: str) -> None:
    """A fee is the operator's; of a night that is netted; and only what was paid."""
    settled(database)
    with pytest.raises(DisputeRefused) as refused:
        raised(database, wish(None, **{"raised_by_id": B, "against_id": OPERATOR, **changed}))
    assert refused.value.code == code


def test_a_fee_is_disputed_once(database: Engine) -> None:
    """A second dispute of the line is refused, of another line of the night not."""
    settled(database)
    fee: dict[str, Any] = {"raised_by_id": B, "against_id": OPERATOR, "flow": "fee"}
    raised(database, wish(None, "one", **fee, amount=Decimal(1)))
    with pytest.raises(DisputeRefused) as refused:
        raised(database, wish(None, "two", **fee))
    assert refused.value.code == "dispute_line_disputed"
    raised(database, wish(None, "three", **{**fee, "flow": "vat"}))


def test_evidence_is_of_its_kind_and_bounded(database: Engine) -> None:
    """Hashed, stored once, of known kinds, no larger than a megabyte, ten at most, while it is open."""
    case = raised(database, wish(settled(database)))
    dispute_id = case.dispute.dispute_id
    [one] = attached(database, dispute_id, PDF).evidence
    assert (one.sha256, one.size, one.attached_by) == (sha256(PDF).digest(), len(PDF), "partner:12")
    assert len(attached(database, dispute_id, PDF, name="again.pdf", partner_id=A).evidence) == 1
    with database.connect() as connection:
        held = dispute_store.load_content(connection, dispute_id, one.sha256)
    assert held == ("receipt.pdf", "application/pdf", PDF)
    for content, changed, code in (
        (b"<html>", {}, "evidence_unfit"),
        (b"<html>", {"media_type": "text/html"}, "evidence_unfit"),
        (b"a\0b", {"media_type": "text/plain"}, "evidence_unfit"),
        (b"", {}, "evidence_unfit"),
        (PDF + bytes(1 << 20), {}, "evidence_unfit"),
        (PDF, {"name": "../x.pdf"}, "evidence_unfit"),
        (PDF, {"partner_id": C}, "dispute_unknown"),
    ):
        with pytest.raises(DisputeRefused) as refused:
            attached(database, dispute_id, content, **changed)
        assert refused.value.code == code
    for number in range(9):
        attached(database, dispute_id, PDF + b"%d" % number)
    with pytest.raises(DisputeRefused, match="10 files"):
        attached(database, dispute_id, PDF + b"x")
    disputes_over = TODAY + timedelta(days=30)
    put_clock(database, disputes_over)
    disputes.carry_on_due(database)
    with pytest.raises(DisputeRefused) as over:
        attached(database, dispute_id, PDF + b"y")
    assert over.value.code == "dispute_over"


def test_the_database_refuses_what_the_service_would_not_do(database: Engine) -> None:
    """Events are added and never changed; none without its deadline, award or debt; evidence is its hash."""
    case = raised(database, wish(settled(database)))
    event = (
        "INSERT INTO dispute_event (dispute_id, sequence, state, text, answer_until, by, at, awarded)"
        " VALUES (:id, :sequence, :state, 'x', {until}, 'x', now(), {awarded})"
    )
    for sequence, state, until, awarded in (
        (1, "raised", "now()", "NULL"),  # a second first
        (2, "raised", "now()", "NULL"),
        (2, "rejected", "NULL", "NULL"),
        (2, "accepted", "NULL", "NULL"),
        (2, "accepted", "NULL", "5"),  # no debt
    ):
        with pytest.raises(IntegrityError), database.begin() as connection:
            connection.execute(
                text(event.format(until=until, awarded=awarded)),
                {"id": case.dispute.dispute_id, "sequence": sequence, "state": state},
            )
    for change in ("UPDATE dispute_event SET text = 'y'", "DELETE FROM dispute_event", "DELETE FROM dispute"):
        with pytest.raises(DBAPIError), database.begin() as connection:
            connection.execute(text(change))
    with pytest.raises(IntegrityError, match="dispute_evidence_hash"), database.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO dispute_evidence VALUES (:id, sha256('a'), 'n', 'text/plain', 'b', 'x', now())"
            ),
            {"id": case.dispute.dispute_id},
        )


def test_verify_tells_a_debt_that_no_dispute_awards(database: Engine) -> None:
    """A cent more in the debt, a debt of no dispute, and a move that there is not: each is named."""
    case = raised(database, wish(settled(database)))
    with database.begin() as connection:
        disputes.answer(
            connection, case.dispute.dispute_id, partner_id=B, to="accepted", text="yes", at=TODAY
        )
    assert found_wrong(database) == []
    for planted, told in (
        ("UPDATE money_adjustment SET amount = amount + 0.01", "disputes_are_paid"),
        ("UPDATE money_adjustment SET debtor_id = 13", "disputes_are_paid"),
        ("UPDATE money_adjustment SET credited_amount = 0", "disputes_are_paid"),
        (
            "UPDATE dispute_event SET adjustment_id = NULL, awarded = 0 WHERE sequence = 2",
            "disputes_are_paid",
        ),
        ("UPDATE dispute_event SET sequence = 3 WHERE sequence = 2", "disputes_move_as_agreed"),
        ("UPDATE dispute_event SET by = 'worker' WHERE sequence = 2", "disputes_move_as_agreed"),
        ("UPDATE dispute_event SET state = 'decided' WHERE sequence = 2", "disputes_move_as_agreed"),
    ):
        with as_owner(database) as connection:
            connection.execute(text("ALTER TABLE money_adjustment DISABLE TRIGGER USER"))
            connection.execute(text("ALTER TABLE dispute_event DISABLE TRIGGER USER"))
            connection.execute(text(planted))
            assert [problem.check for check in DISPUTE_CHECKS for problem in faults(connection, check)] == [
                told
            ], planted
            connection.rollback()


def test_a_day_of_nothing_is_no_line(database: Engine) -> None:
    """A date on which nothing was redeemed there, and an entry that is none, are unknown lines."""
    settled(database)
    for wanted in (
        wish(None, window_id=20170502),
        wish(mint(TODAY, 1)),
        wish(None, raised_by_id=B, against_id=A),
    ):
        with pytest.raises(DisputeRefused) as refused:
            raised(database, wanted)
        assert refused.value.code == "dispute_line_unknown"
