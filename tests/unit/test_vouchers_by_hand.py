"""The naive model of vouchers against cases worked out by hand from docs/paper.md."""

from datetime import date, timedelta

from tests.laws.book import Answer
from tests.laws.world import CURRENCY, OUTLET
from tests.unit.test_model_by_hand import Hand

NOTE, LATE = 5, 7
"""Points in a step of both vouchers: worth 0.20 anywhere; 0.10, in three days, at two tills."""


def made(hand: Hand, points: int, name: str = "note") -> Answer:
    """A voucher of the first member's."""
    return hand.do("issue_voucher", 1, card_number=1, voucher=name, points=points)


def used(hand: Hand, voucher: Answer, minor: int, partner_id: int = 11) -> Answer:
    """It pays for a basket."""
    till = {"outlet_code": OUTLET, "currency": CURRENCY, "amount_minor": minor}
    return hand.do("use_voucher", 1, partner_id, code="x", voucher_id=voucher["entry_id"], **till)


def test_a_voucher_pays_once_all_of_it_and_for_no_smaller_basket() -> None:
    """Ten of twelve points are worth 0.40; 0.39 is too small; what it paid for comes back as points."""
    hand = Hand()
    hand.earn(1, 12)
    assert made(hand, 12) == {"refused": "not_in_whole_steps"}
    assert made(hand, 15) == {"refused": "insufficient_points"}
    voucher = made(hand, 10)
    assert (voucher["points"], voucher["balance_after"], voucher["amount_minor"]) == (-10, 2, 40)
    assert used(hand, voucher, 39) == {"refused": "basket_too_small"}
    paid = used(hand, voucher, 40, 12)
    assert (paid["kind"], paid["points"], paid["amount_minor"]) == ("REDEMPTION", 0, 40)
    assert hand.moves(paid) == [(1, "VOUCHER", "ACCEPTED", 10, None)]
    assert used(hand, voucher, 40) == {"refused": "voucher_used"}
    back = hand.undo(paid, points=4)
    assert (back["points"], back["amount_minor"]) == (4, 16)


def test_a_voucher_has_days_and_places() -> None:
    """Not before its third day, not at the grocer, and not after the end of the next month."""
    hand = Hand()
    hand.earn(1, 14)
    voucher = made(hand, 14, "late")
    assert used(hand, voucher, 300, 12) == {"refused": "voucher_not_yet"}
    hand.book.now += timedelta(days=3)
    assert used(hand, voucher, 300) == {"refused": "voucher_not_taken_here"}
    assert used(hand, voucher, 299, 12) == {"refused": "basket_too_small"}
    hand.book.now += timedelta(days=45)
    assert hand.book.today == date(2017, 2, 28)
    assert "refused" not in used(hand, voucher, 300, 12)


def test_a_voucher_that_is_over_lapses_or_comes_back_as_its_programme_said() -> None:
    """On the first of March: of the one the points lapse; of the other they live five days more."""
    hand = Hand()
    hand.earn(1, 12)
    note, late = made(hand, NOTE), made(hand, LATE, "late")
    hand.book.now += timedelta(days=49)
    assert used(hand, note, 300) == {"refused": "voucher_lapsed"}
    hand.book.sweep(date(2017, 3, 1))
    over = [hand.book.unasked[1, f"voucher {one['entry_id'].hex} over"] for one in (note, late)]
    flows = [[line[1:4] for line in hand.book.moves[one["entry_id"]]] for one in over]
    assert flows == [[("VOUCHER", "LAPSED", NOTE)], [("VOUCHER", "MEMBER", LATE)]]
    assert hand.book.spendable([1]) == LATE
    hand.book.now += timedelta(days=6)
    assert hand.book.spendable([1]) == 0


def test_what_a_voucher_is_made_of_comes_to_whom_its_member_was_merged_into() -> None:
    """Five points of the first member's are the second's when the voucher is given back."""
    hand = Hand()
    hand.earn(1, 5)
    voucher = made(hand, 5)
    hand.do("merge", 2, card_number=2, merged_card_number=1)
    back = hand.do("return_voucher", 1, code="x", voucher_id=voucher["entry_id"])
    assert (back["kind"], back["points"], hand.moves(back)) == (
        "VOUCHER_END",
        0,
        [(1, "VOUCHER", "TRANSIT", 5, 2)],
    )
    assert hand.book.spendable([2]) == 5
