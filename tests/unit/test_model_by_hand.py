"""The naive model against cases worked out by hand from docs/points.md: the judge is judged too."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from tests.laws.book import NEVER, WITH_ACTIVITY, Answer, Book
from tests.laws.kinds import BY_TIME, JUDGES
from tests.laws.records import ALWAYS, Debt
from tests.laws.world import OPERATOR, START, Expiry, World, partners, scheme

END = date(2017, 1, 31)
"""Points of January expire with it."""
GROCER = (11, 2, ALWAYS, END)
"""The lot of a sale at the grocer on the first day."""


class Hand:
    """A model with three members, whose cards are 1, 2 and 3; ids are numbered."""

    def __init__(
        self, *, clawback: str = "deficit", most_owed: int = 10_000, expiry: Expiry | None = None
    ) -> None:
        live = scheme(
            1,
            expiry=expiry or Expiry("months", 0),
            silver=Expiry("activity", 1),
            grace_days=5,
            clawback=clawback,
            most_owed=most_owed,
            generous=False,
        )
        self.book = Book(World("Etc/UTC", time(0), [live], partners()), START, {**JUDGES, **BY_TIME})
        self.number = 0
        for member in (1, 2, 3):
            self.do("enrol", member)
            self.book.cards[member] = self.book.issued[member] = member

    def do(self, kind: str, member: int, partner_id: int = 11, **fields: Any) -> Answer:
        """Ask, and let the entry have the next id that carries `member`."""
        self.number += 1
        ask = {"kind": kind, "partner_id": partner_id, "reference": f"r{self.number}", **fields}
        prediction = self.book.predict({"occurred_at": self.book.now, **ask})
        self.book.learn(prediction, UUID(int=self.number << 40 | member))
        return prediction.answer

    def earn(self, member: int, points: int, partner_id: int = 11, lines: tuple[int, ...] = ()) -> Answer:
        """A sale of so many dollars."""
        return self.do("accrue", member, partner_id, **_till(member, 100 * points), lines=lines)

    def pay(self, member: int, points: int, kind: str = "redeem", **more: Any) -> Answer:
        """Points pay, or are held, at the petrol station."""
        own = {"lines": ()} if kind == "redeem" else {"minutes": 60}
        return self.do(kind, member, 12, **{**_till(member, 3 * points), "points": points, **own, **more})

    def undo(self, original: Answer, partner_id: int | None = None, **measure: Any) -> Answer:
        """An entry is returned."""
        fields = {"amount_minor": None, "points": None, "lines": (), **measure}
        who = original["partner_id"] if partner_id is None else partner_id
        return self.do("reverse", original["member_id"], who, entry_id=original["entry_id"], **fields)

    def moves(self, entry: Answer, member: int | None = None) -> list[tuple[Any, ...]]:
        """Number, debit, credit, points, contributor of an entry's lines, or of its TRANSFER's."""
        name = entry["entry_id"]
        if member is not None:
            name = UUID(int=name.int >> 40 << 40 | member)
        return [(*line[:4], line[-1]) for line in self.book.moves[name]]


def _till(card: int, amount: int) -> dict[str, Any]:
    return {"outlet_code": "main", "card_number": card, "currency": "USD", "amount_minor": amount}


def _pool(hand: Hand) -> None:
    invited = hand.do("invite", 1, card_number=1, to_card_number=2)
    hand.do("join", 2, card_number=2, invitation_id=invited["entry_id"])


def test_a_pool_pays_with_its_own_points_first_then_its_mates() -> None:
    """Lots that die together: the payer's go first, the mate's through TRANSIT with an entry of its own."""
    hand = Hand()
    _pool(hand)
    hand.earn(1, 10)
    hand.earn(2, 10)
    assert hand.pay(2, 21) == {"refused": "insufficient_points"}
    paid = hand.pay(2, 14)
    assert (paid["points"], paid["balance_after"]) == (-10, 0)
    assert hand.moves(paid) == [(1, "MEMBER", "ACCEPTED", 10, None), (2, "TRANSIT", "ACCEPTED", 4, 1)]
    assert hand.moves(paid, 1) == [(2, "MEMBER", "TRANSIT", 4, None)]
    back = hand.undo(paid, points=5)
    assert (back["points"], back["amount_minor"], back["balance_after"]) == (1, 15, 1)
    assert hand.book.lots[1] == {GROCER: 10}


def test_what_is_owed_is_paid_by_the_next_credit() -> None:
    """Ten of ten points spent, five of them owed: the next seven leave two, and say for whom."""
    hand = Hand()
    sale = hand.earn(1, 10)
    hand.pay(1, 10)
    owed = hand.undo(sale, amount_minor=500)
    assert (owed["points"], hand.moves(owed)) == (0, [(1, "DEFICIT", "ISSUED", 5, None)])
    paid = hand.earn(1, 7, partner_id=16)
    assert (paid["points"], paid["balance_after"]) == (2, 2)
    assert hand.book.moves[paid["entry_id"]] == [
        (1, "ISSUED", "MEMBER", 7, 16, 2, ALWAYS, END, None, None, 0, 20170111, None, "POINTS", None),
        (2, "MEMBER", "ACCEPTED", 5, 16, 2, ALWAYS, END, 11, 2, 0, 20170111, None, "POINTS", None),
        (3, "ISSUED", "DEFICIT", 5, 11, 2, ALWAYS, NEVER, None, None, 0, 20170111, None, "POINTS", None),
    ]
    assert hand.book.owed[1] == {}


def test_a_second_return_adds_to_what_is_owed_and_the_oldest_debt_is_paid_first() -> None:
    """Five and then three owed for the grocer's, two for the cause's in between: the grocer's eight go first.

    Once they are paid, the next debt to the grocer is younger than that to the cause.
    """
    hand = Hand()
    groceries, charity = hand.earn(1, 10), hand.earn(1, 2, partner_id=16)
    hand.pay(1, 12)
    first = hand.undo(groceries, amount_minor=500)
    second = hand.undo(charity)
    hand.undo(groceries, amount_minor=300)
    grocer, cause = (11, 2), (16, 2)
    assert hand.book.owed[1] == {grocer: Debt(first["entry_id"], 8), cause: Debt(second["entry_id"], 2)}
    hand.earn(1, 9, partner_id=16)
    assert hand.book.owed[1] == {cause: Debt(second["entry_id"], 1)}
    third = hand.undo(groceries, amount_minor=200)
    assert hand.book.owed[1][grocer] == Debt(third["entry_id"], 2)
    hand.earn(1, 1, partner_id=16)
    assert hand.book.owed[1] == {grocer: Debt(third["entry_id"], 2)}


def test_nobody_owes_more_than_the_programme_lets_it() -> None:
    """Of ten points missing seven are owed, then none of three more; the sale is returned all the same."""
    hand = Hand(most_owed=7)
    sale, other = hand.earn(1, 10), hand.earn(1, 3, partner_id=16)
    hand.pay(1, 13)
    assert hand.moves(hand.undo(sale)) == [(1, "DEFICIT", "ISSUED", 7, None)]
    back = hand.undo(other)
    assert (back["amount_minor"], back["points"], hand.moves(back)) == (300, 0, [])
    assert hand.undo(other) == {"refused": "entry_already_reversed"}


def test_points_are_refused_or_left_where_the_programme_owes_nothing() -> None:
    """`refuse` refuses the return of a spent sale; `within_balance` takes what is there."""
    hand = Hand(clawback="refuse")
    sale = hand.earn(1, 10)
    hand.pay(1, 4)
    assert hand.undo(sale) == {"refused": "points_already_spent"}
    hand.book.world.schemes[-1].clawback = "within_balance"
    assert hand.undo(sale)["points"] == -6


def test_a_gift_that_lived_with_activity_gets_the_givers_day() -> None:
    """A silver giver's points live to the end of February; so do they with a recipient who is not silver."""
    hand = Hand()
    hand.do("set_tier", 1, OPERATOR, card_number=1, tier="silver")
    hand.earn(1, 10)
    assert hand.book.lots[1] == {(11, 2, ALWAYS, WITH_ACTIVITY): 10}
    given = hand.do("gift", 1, card_number=1, to_card_number=2, points=3)
    assert (given["points"], given["balance_after"], given["counterpart_id"]) == (-3, 7, 2)
    assert hand.moves(given, 2) == [(1, "TRANSIT", "MEMBER", 3, None)]
    assert hand.book.lots[2] == {(11, 2, ALWAYS, date(2017, 2, 28)): 3}


def test_what_a_hold_returns_late_goes_with_grace_to_who_stays() -> None:
    """One holds, is merged into two, and its hold ends in February: two has the points for five more days."""
    hand = Hand()
    hand.earn(1, 10)
    held = hand.pay(1, 10, kind="hold", minutes=60 * 24 * 40)
    merged = hand.do("merge", 2, card_number=2, merged_card_number=1)
    assert (hand.moves(merged), hand.moves(merged, 1), hand.book.cards[1]) == ([], [], 2)
    hand.book.now = START + timedelta(days=30)
    back = hand.do("void", 1, 12, hold_id=held["entry_id"])
    assert (back["points"], hand.moves(back)) == (0, [(1, "HELD", "TRANSIT", 10, 2)])
    assert hand.moves(back, 2) == [(1, "TRANSIT", "MEMBER", 10, None)]
    assert hand.book.lots[2] == {(11, 2, ALWAYS, date(2017, 2, 15)): 10}


def test_a_merge_brings_points_and_debts_and_is_undone_as_far_as_they_are_there() -> None:
    """Five owed and eight of the cause's: three are left, of which two are spent before they part again."""
    hand = Hand()
    sale = hand.earn(1, 5)
    hand.pay(1, 5)
    hand.earn(1, 8, partner_id=16)
    hand.undo(sale)
    merged = hand.do("merge", 2, card_number=2, merged_card_number=1)
    assert (merged["points"], merged["balance_after"]) == (3, 3)
    assert hand.moves(merged) == [
        (1, "TRANSIT", "MEMBER", 8, None),
        (2, "DEFICIT", "ISSUED", 5, None),
        (3, "MEMBER", "ACCEPTED", 5, None),
        (4, "ISSUED", "DEFICIT", 5, None),
    ]
    assert hand.moves(merged, 1) == [(1, "MEMBER", "TRANSIT", 8, None), (2, "ISSUED", "DEFICIT", 5, None)]
    assert hand.do("merge", 3, card_number=3, merged_card_number=1) == {"refused": "account_has_merged"}
    hand.pay(2, 2)
    apart = hand.do("unmerge", 2, entry_id=merged["entry_id"])
    assert (apart["points"], hand.moves(apart)) == (-1, [(1, "MEMBER", "TRANSIT", 1, None)])
    assert (hand.book.cards[1], sum(hand.book.lots[1].values())) == (1, 1)


def test_what_is_still_owed_of_a_merge_goes_back_when_it_is_undone() -> None:
    """One brings three owed, of two who owes six: two pays five, so of the four left one takes back three.

    Merged again, the first merge's id undoes nothing any more.
    """
    hand = Hand()
    sales = {member: hand.earn(member, points) for member, points in ((1, 3), (2, 6))}
    hand.pay(1, 3)
    hand.pay(2, 6)
    own = {member: hand.undo(sale)["entry_id"] for member, sale in sales.items()}
    pair = {"card_number": 2, "merged_card_number": 1}
    merged = hand.do("merge", 2, **pair)
    assert (hand.book.owed[1], hand.book.owed[2]) == ({}, {(11, 2): Debt(own[2], 9)})
    hand.earn(2, 5)
    apart = hand.do("unmerge", 2, entry_id=merged["entry_id"])
    assert hand.moves(apart) == [(1, "ISSUED", "DEFICIT", 3, None)]
    assert hand.moves(apart, 1) == [(1, "DEFICIT", "ISSUED", 3, None)]
    transfer = UUID(int=apart["entry_id"].int >> 40 << 40 | 1)
    assert (hand.book.owed[1], hand.book.owed[2]) == (
        {(11, 2): Debt(transfer, 3)},
        {(11, 2): Debt(own[2], 1)},
    )
    again = hand.do("merge", 2, **pair)
    assert hand.do("unmerge", 2, entry_id=merged["entry_id"]) == {"refused": "already_unmerged"}
    assert hand.do("unmerge", 2, entry_id=again["entry_id"])["counterpart_id"] == 1


def test_an_invitation_is_into_one_pool_and_for_one_consent() -> None:
    """Who has left does not come back by the same one; none holds for a pool that the inviter is in since."""
    hand = Hand()
    event = {"card_number": 1, "to_card_number": 2}
    first, second = hand.do("invite", 1, **event), hand.do("invite", 1, **event)
    joined = hand.do("join", 2, card_number=2, invitation_id=first["entry_id"])
    assert (joined["counterpart_id"], joined["parent_id"]) == (1, first["entry_id"])
    again = {"card_number": 2, "invitation_id": first["entry_id"]}
    assert hand.do("join", 2, **again) == {"refused": "invitation_lapsed"}
    hand.do("leave", 2, card_number=2)
    assert hand.do("join", 2, **again) == {"refused": "invitation_lapsed"}
    hand.do("leave", 1, card_number=1)
    hand.do("invite", 1, card_number=1, to_card_number=3)
    other = {"card_number": 2, "invitation_id": second["entry_id"]}
    assert hand.do("join", 2, **other) == {"refused": "invitation_lapsed"}
    hand.do("join", 2, card_number=2, invitation_id=hand.do("invite", 1, **event)["entry_id"])
    assert hand.book.pool(1) == [1, 2]


def test_a_member_has_only_so_many_holds_open() -> None:
    """Two are open, and there may be two: a third waits until one is closed; a mate's are its own."""
    hand = Hand()
    hand.book.world.most_open_holds = 2
    _pool(hand)
    hand.earn(1, 10)
    first, _ = hand.pay(1, 1, kind="hold"), hand.pay(1, 1, kind="hold")
    assert hand.pay(1, 100, kind="hold") == {"refused": "too_many_holds"}
    assert hand.pay(2, 1, kind="hold")["points"] == 0
    hand.do("void", 1, 12, hold_id=first["entry_id"])
    assert hand.pay(1, 1, kind="hold")["points"] == -1


def test_points_that_wait_are_released_or_go_first_when_the_sale_is_returned() -> None:
    """Thirty wait for a stay: twelve are cancelled with the price, the rest comes once."""
    hand = Hand()
    sale = hand.earn(1, 10, partner_id=13)
    assert (sale["points"], hand.moves(sale)) == (0, [(1, "ISSUED", "PENDING", 30, None)])
    assert hand.moves(hand.undo(sale, amount_minor=400)) == [(1, "PENDING", "ISSUED", 12, None)]
    event = hand.do("release", 1, 13, entry_id=sale["entry_id"])
    assert (event["points"], event["hold_id"]) == (18, sale["entry_id"])
    again = hand.do("release", 1, 13, entry_id=sale["entry_id"])
    assert again == {"refused": "nothing_pending"}


def test_lines_come_back_once_each() -> None:
    """By amount, unknown, twice: refused. The second of three, then the rest without a measure."""
    hand = Hand()
    assert hand.earn(1, 6, lines=(100, 200, 299)) == {"refused": "lines_do_not_add_up"}
    sale = hand.earn(1, 6, lines=(100, 200, 300))
    assert hand.undo(sale, amount_minor=100) == {"refused": "returned_by_lines"}
    assert hand.undo(sale, lines=(1,), amount_minor=100) == {"refused": "one_measure_only"}
    assert hand.undo(sale, lines=(4, 1)) == {"refused": "line_unknown"}
    assert hand.undo(sale, lines=(2, 2)) == {"refused": "line_already_returned"}
    assert hand.undo(sale, lines=(2,))["points"] == -2
    assert hand.undo(sale, lines=(2,)) == {"refused": "line_already_returned"}
    rest = hand.undo(sale)
    assert (rest["amount_minor"], rest["points"], rest["currency"]) == (400, -4, "USD")
    assert hand.undo(sale, lines=(2,)) == {"refused": "entry_already_reversed"}


def test_a_sale_is_returned_elsewhere_only_if_both_contracts_say_so() -> None:
    """The grocer's is taken by the petrol station, not by the hotel; the hotel's by nobody."""
    hand = Hand()
    groceries, stay = hand.earn(1, 4), hand.earn(1, 4, partner_id=13)
    assert hand.undo(groceries, partner_id=13) == {"refused": "entry_unknown"}
    assert hand.undo(stay, partner_id=12) == {"refused": "entry_unknown"}
    assert hand.undo(groceries, partner_id=99) == {"refused": "partner_unknown"}
    hand.book.world.partners[12].status = "suspended"
    assert hand.undo(groceries, partner_id=12) == {"refused": "partner_not_active"}
    hand.book.world.partners[12].status = "active"
    back = hand.undo(groceries, partner_id=12)
    assert (back["partner_id"], back["points"], back["reverses"]) == (12, -4, groceries["entry_id"])


def test_the_end_of_a_hold_is_seen_by_whoever_has_points_in_it() -> None:
    """Two holds one's points and leaves the pool; an hour later two's next command brings them back."""
    hand = Hand()
    _pool(hand)
    hand.earn(1, 10)
    held = hand.pay(2, 10, kind="hold")
    hand.do("leave", 2, card_number=2)
    hand.book.now = START + timedelta(hours=1)
    assert hand.pay(1, 10) == {"refused": "insufficient_points"}
    hand.earn(2, 1)
    lapse = hand.book.unasked[2, f"lapse {held['entry_id'].hex}"]
    assert (lapse["points"], lapse["recorded_at"]) == (0, datetime(2017, 1, 11, 16, tzinfo=UTC))
    assert hand.pay(1, 10)["points"] == -10
