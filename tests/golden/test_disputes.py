"""Disputes that read as ledgers, on a real PostgreSQL: each file in disputes/ is one test.

A line at the margin is done; the indented lines under it are what then comes of it.

contract P rate R fee BPS vat BPS    terms of partner P, funded on redeem; fees are on credits alone; with
                                     `redemptions VAT`, redemptions at P bear that VAT, in basis points
on DATE                              it is noon of that date; the nights before it are settled
redeem P at Q POINTS                 points of P are redeemed at Q; redemptions are counted from 1
P disputes [AMOUNT of] N against Q   the N-th redemption; or `DATE`: all of P's points at Q of that day
P accepts | P rejects | P escalates  the last dispute
MAKER awards AMOUNT, CHECKER approves
silence                              the clock moves what is due
night DATE                           positions of that night: credits, debits, fee, VAT, final; not empty ones
verify                               what the checks of nights and disputes find: nothing
"""

from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import msgspec
import pytest
from sqlalchemy import Engine, text

from network.model import EntryKind
from network.service import network_now, set_clock, window_id_of
from partners.model import VatRate
from partners.rates_store import add_vat_rate
from settlement import disputes, store
from settlement.dispute_decisions import decide, propose_decision
from settlement.dispute_store import Case
from settlement.disputes import Wish
from settlement.errors import DisputeRefused
from settlement.money import fixed_scale, from_minor
from settlement.service import clear_due
from settlement.verify import problems
from tests.factories import A, B, C, D, contract
from tests.integration.test_night import PROGRAMME, burn, post, set_up

SCENARIOS = sorted((Path(__file__).parent / "disputes").glob("*.ledger"))
PARTNERS = {"A": A, "B": B, "C": C, "D": D}
_DONE = {"accepts": "accepted", "rejects": "rejected", "escalates": "escalated"}
NAMES = {**{number: name for name, number in PARTNERS.items()}, 1: "operator", 2: "pool"}


class Player:
    """Does what a scenario's lines say, and writes what comes of it."""

    def __init__(self, database: Engine) -> None:
        self.database = database
        self.terms: list[list[str]] = []
        self.today = date(2017, 5, 1)
        self.dispute: UUID | None = None

    def do(self, words: list[str]) -> list[str]:
        """One line; what comes of it."""
        match words:
            case ["contract", *_]:
                self.terms.append(words)
                return []
            case ["on", day]:
                return self.move_on(date.fromisoformat(day))
            case ["redeem", issuer, "at", acceptor, points]:
                post(
                    self.database,
                    [burn(PARTNERS[issuer], PARTNERS[acceptor], int(points))],
                    on=self.today,
                    at=datetime.combine(self.today, time(12, 0, len(self.redeemed())), tzinfo=UTC),
                )
                return []
            case [raiser, "disputes", *line, "against", other]:
                return self.tell(lambda: self.dispute_line(raiser, line, other))
            case [who, "accepts" | "rejects" | "escalates" as verb]:
                return self.tell(lambda: self.answer(PARTNERS[who], _DONE[verb]))
            case [maker, "awards", amount, checker, "approves"]:
                return self.tell(lambda: self.decide(maker, Decimal(amount.rstrip(",")), checker))
            case ["silence"]:
                return [] if not disputes.carry_on_due(self.database) else self.standing()
            case ["night", day]:
                return self.positions(date.fromisoformat(day))
            case ["verify"]:
                with self.database.connect() as connection:
                    return [f"{one.check} {one.where} {one.detail}" for one in problems(connection)]
        raise AssertionError(f"no such line: {words}")

    def move_on(self, day: date) -> list[str]:
        """Noon of a date; the first time the network is made."""
        if self.terms:
            figures = [dict(zip(words[2::2], words[3::2], strict=True)) for words in self.terms]
            set_up(
                self.database,
                [
                    msgspec.structs.replace(
                        contract(
                            PARTNERS[words[1]], rate=one["rate"], bps=one["fee"], vat_bps=int(one["vat"])
                        ),
                        vat_codes=(("redemption", words[1]),) if "redemptions" in one else (),
                    )
                    for words, one in zip(self.terms, figures, strict=True)
                ],
            )
            with self.database.begin() as connection:
                for words, one in zip(self.terms, figures, strict=True):
                    rate = VatRate(
                        vat_code=words[1], effective_on=day, rate_bps=int(one.get("redemptions", 0))
                    )
                    add_vat_rate(connection, rate, prepared_by="maker", activated_by="checker")
            self.terms = []
        now = datetime.combine(day, time(12), tzinfo=UTC)
        with self.database.begin() as connection:
            set_clock(connection, now)
        clear_due(self.database, now, programme_version=PROGRAMME)
        self.today = day
        return []

    def redeemed(self) -> list[UUID]:
        """Redemptions, in order."""
        with self.database.connect() as connection:
            found = connection.execute(
                text("SELECT entry_id FROM entry WHERE kind = :kind ORDER BY recorded_at, entry_id"),
                {"kind": int(EntryKind.REDEMPTION)},
            )
            return list(found.scalars())

    def dispute_line(self, raiser: str, line: list[str], other: str) -> None:
        """Raise a dispute."""
        amount = Decimal(line[0]) if line[1:2] == ["of"] else None
        is_entry = line[-1].isdigit()
        wish = Wish(
            reference=f"{raiser} {' '.join(line)}",
            raised_by_id=PARTNERS[raiser],
            against_id=PARTNERS[other],
            entry_id=self.redeemed()[int(line[-1]) - 1] if is_entry else None,
            window_id=None if is_entry else window_id_of(date.fromisoformat(line[-1])),
            amount=amount,
            reason="not ours",
        )
        with self.database.begin() as connection:
            case, _ = disputes.raise_dispute(connection, wish, at=network_now(connection))
        self.dispute = case.dispute.dispute_id

    def answer(self, partner_id: int, to: str) -> None:
        """Answer or escalate the last dispute."""
        assert self.dispute is not None
        with self.database.begin() as connection:
            at = network_now(connection)
            if to == "escalated":
                disputes.escalate(connection, self.dispute, partner_id=partner_id, text=to, at=at)
            else:
                disputes.answer(
                    connection,
                    self.dispute,
                    partner_id=partner_id,
                    to="accepted" if to == "accepted" else "rejected",
                    text=to,
                    at=at,
                )

    def decide(self, maker: str, awarded: Decimal, checker: str) -> None:
        """Two people decide."""
        assert self.dispute is not None
        with self.database.begin() as connection:
            made = propose_decision(connection, self.dispute, awarded=awarded, reason="as shown", by=maker)
        with self.database.begin() as connection:
            decide(connection, made.proposal_id, sha256=made.sha256, by=checker, approve=True)

    def tell(self, act: object) -> list[str]:
        """Where the dispute stands then, or why it could not be."""
        assert callable(act)
        try:
            act()
        except DisputeRefused as error:
            return [f"refused: {error.code}"]
        return self.standing()

    def standing(self) -> list[str]:
        """Where the last dispute stands."""
        assert self.dispute is not None
        with self.database.connect() as connection:
            case: Case = disputes.case_of(connection, self.dispute)
        one, last = case.dispute, case.last
        if last.answer_until is not None:
            return [f"{last.state} {one.amount:f} {one.currency} until {last.answer_until:%Y-%m-%d %H:%M}"]
        if last.awarded is None:
            return [f"{last.state} {one.amount:f} {one.currency}"]
        if case.paid_in_window is None:
            return [f"{last.state} nothing"]
        paid = f"{NAMES[one.against_id]} pays {NAMES[one.raised_by_id]} {last.awarded:f} {one.currency}"
        return [f"{last.state} {paid} in window {case.paid_in_window}"]

    def positions(self, day: date) -> list[str]:
        """A night's positions."""
        with self.database.connect() as connection:
            night = store.read_night(connection, window_id_of(day))
        lines = []
        for one in night.positions:
            minors = (one.fee_minor, one.vat_minor, one.final_minor)
            if not (one.credits or one.debits or any(minors)):
                continue
            fee, vat, final = (fixed_scale(from_minor(minor, 2), 2) for minor in minors)
            lines.append(
                f"{NAMES[one.participant_id]} credits {fixed_scale(one.credits, 4)}"
                f" debits {fixed_scale(one.debits, 4)} fee {fee} vat {vat} final {final}"
            )
        return lines


def test_there_are_scenarios() -> None:
    """The folder was found: an empty list would pass by saying nothing."""
    assert len(SCENARIOS) >= 4


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_scenario(path: Path, database: Engine) -> None:
    """What comes of each line is what stands under it."""
    player = Player(database)
    came: list[str] = []
    expected: list[str] = []
    for raw in path.read_text().splitlines():
        line = raw.partition("#")[0].rstrip()
        if not line:
            continue
        if line.startswith(" "):
            expected.append(f"  {' '.join(line.split())}")
            continue
        came.append(line)
        expected.append(line)
        came.extend(f"  {one}" for one in player.do(line.split()))
    assert came == expected
