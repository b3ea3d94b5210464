"""Stakes by literals and by law: what each gets of a match, and that no point comes from nowhere."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from network.commands import PayOut, Stake
from network.decide import decide
from network.errors import ProgrammeInvalid
from network.model import AccountKind, Lot, Part
from network.outcomes import CardState, LedgerState, MatchState, MemberState, Minted, Moment, Rejected
from network.programme.counters import EVER
from network.programme.games import Bet, pro_rata, shares
from network.programme.spec import read_programme
from network.rules import Folded
from tests.coalition import GROCER, HOTEL
from tests.unit.test_programme_members import FIRST, HEAD, NOW, rules_of

MAY, JUNE, PAST = date(2017, 5, 31), date(2017, 6, 30), date(2017, 4, 30)
NEVER_PENDING = date(1970, 1, 1)
MATCH = UUID(int=77)


def part(points: int, issuer_id: int = HOTEL, expires_on: date = JUNE) -> Part:
    """Points of a lot."""
    return Part(expires_on, issuer_id, 1, NEVER_PENDING, points)


def bet(number: int, outcome: str, *parts: Part) -> Bet:
    """A stake of member `number`."""
    return Bet(stake_id=UUID(int=number), member_id=number, outcome=outcome, parts=parts)


def test_a_pot_is_shared_in_proportion_to_the_last_point() -> None:
    """Rounded down, and what is left goes to who lost most by that; of equals, to the first."""
    assert pro_rata(100, [100]) == [100]
    assert pro_rata(250, [100, 50]) == [167, 83]
    assert pro_rata(200, [50, 50, 50]) == [67, 67, 66]
    assert pro_rata(150, [100, 50]) == [100, 50]


def test_who_was_right_keeps_its_lots_and_gets_what_lapses_first() -> None:
    """Member 2's and 3's stakes go to member 1, the one that lapses in May before the grocer's in June."""
    bets = [
        bet(2, "away", part(50, GROCER)),
        bet(1, "home", part(50)),
        bet(3, "away", part(20, HOTEL, MAY), part(30)),
    ]
    [won] = shares(bets, "home", pays="pool")
    assert won.bet.member_id == 1
    assert won.back == (part(50), part(20, HOTEL, MAY), part(50, GROCER), part(30))
    assert (won.lost, won.issued) == ((), 0)


@pytest.mark.parametrize("result", [None, "draw"])
def test_stakes_go_back_where_nothing_or_nobody_was_right(result: str | None) -> None:
    """Of a match that was called off, or in a pool where nobody was right: each its own lots."""
    bets = [bet(1, "home", part(50)), bet(2, "away", part(50, GROCER, MAY))]
    back = shares(bets, result, pays="pool")
    assert [(share.bet.member_id, share.back) for share in back] == [
        (1, (part(50),)),
        (2, (part(50, GROCER, MAY),)),
    ]


def test_fixed_odds_are_paid_by_the_funder_who_takes_what_is_lost() -> None:
    """At 2.55 fifty become 127: the stake, and 77 new points, rounded down; the other stake is spent."""
    bets = [bet(1, "home", part(50)), bet(2, "away", part(50, GROCER))]
    won, lost = shares(bets, "home", pays="odds", odds=255)
    assert (won.back, won.issued, won.lost) == ((part(50),), 77, ())
    assert (lost.back, lost.issued, lost.lost) == ((), 0, (part(50, GROCER),))
    assert shares(bets, None, pays="odds", odds=255)[1].back == (part(50, GROCER),)


def test_a_gift_is_for_the_side_that_won() -> None:
    """Nobody staked anything, and only who was right gets new points; a match called off gives none."""
    bets = [bet(1, "odd"), bet(2, "even")]
    [won] = shares(bets, "even", pays="gift", gift=30)
    assert (won.bet.member_id, won.issued) == (2, 30)
    assert shares(bets, None, pays="gift", gift=30) == []


parts = st.builds(
    Part,
    st.sampled_from([MAY, JUNE]),
    st.sampled_from([GROCER, HOTEL]),
    st.just(1),
    st.just(NEVER_PENDING),
    st.integers(1, 500),
)
bets_drawn = st.lists(
    st.tuples(st.sampled_from(["home", "draw", "away"]), st.lists(parts, min_size=1, max_size=3)),
    min_size=1,
    max_size=12,
).map(lambda made: [bet(n, outcome, *of) for n, (outcome, of) in enumerate(made, start=1)])


def by_lot(of: list[tuple[Part, ...]]) -> Counter[Part]:
    """Points by what makes a lot one."""
    total: Counter[Part] = Counter()
    for one in (one for parts_ in of for one in parts_):
        total[msgspec.structs.replace(one, points=0)] += one.points
    return total


@given(bets_drawn, st.sampled_from(["home", "draw", "away", None]))
def test_nothing_is_minted_and_nothing_is_lost(bets: list[Bet], result: str | None) -> None:
    """Of every issuer, terms and expiry exactly what was staked comes back, in whatever order."""
    paid = shares(bets, result, pays="pool")
    assert by_lot([share.back for share in paid]) == by_lot([one.parts for one in bets])
    assert all(share.issued == 0 and share.lost == () for share in paid)
    assert shares(bets[::-1], result, pays="pool") == paid
    right = sum(one.points for one in bets if one.outcome == result)
    pot = sum(one.points for one in bets)
    for share in paid:
        got = sum(one.points for one in share.back)
        assert got >= share.bet.points
        if right:
            assert abs(got * right - pot * share.bet.points) < right


@given(bets_drawn, st.sampled_from(["home", "away", None]), st.integers(100, 900))
def test_at_fixed_odds_each_stake_comes_back_or_is_spent(
    bets: list[Bet], result: str | None, odds: int
) -> None:
    """Whole, by lot; and new points are the odds' and no more."""
    paid = shares(bets, result, pays="odds", odds=odds)
    assert by_lot([(*share.back, *share.lost) for share in paid]) == by_lot([one.parts for one in bets])
    for share in paid:
        most = share.bet.points * odds // 100 - share.bet.points if share.bet.outcome == result else 0
        assert share.issued == most


# ---- the rules ----


def judged(command: Stake | PayOut, *, now: datetime = NOW, head: str = HEAD, **state: Any) -> Any:
    """What a command comes to for a member with 60 points of the hotel, of May, and 70 of the grocer."""
    lots = (Lot(HOTEL, 1, NEVER_PENDING, MAY, 60, MAY), Lot(GROCER, 1, NEVER_PENDING, JUNE, 70, JUNE))
    loaded = LedgerState(
        moment=Moment(now=now, window_id=20170502, business_date=now.date(), lapsed_through=now.date()),
        cards={FIRST: CardState(7, active=True)},
        members={7: MemberState(member_id=7, balance=130, lots=lots)},
        recorded={},
        matches={
            MATCH: MatchState((HOTEL,), ("home", "away"), "open", NOW + timedelta(hours=1), 50, 3),
        },
    )
    folded = Folded(msgspec.structs.replace(loaded, **state))
    outcome = decide(folded, command, Minted(entry_id=UUID(int=1 << 80 | 7)), rules_of(head))
    return outcome.reason if isinstance(outcome, Rejected) else outcome


def staked(**changed: Any) -> Stake:
    """A stake on the home side."""
    given_ = {"outcome": "home", "stakes": 2, "match_id": MATCH, "partner_id": HOTEL, **changed}
    return Stake(reference="s", occurred_at=NOW, card_number=FIRST, **given_)


def test_a_stake_takes_what_lapses_first_and_keeps_what_it_is() -> None:
    """A hundred points: sixty of the hotel's and forty of the grocer's, each with its own day."""
    decision = judged(staked())
    assert [(one.issuer_id, one.points, one.expires_on) for one in decision.postings] == [
        (HOTEL, 60, MAY),
        (GROCER, 40, JUNE),
    ]
    assert {(one.debit, one.credit) for one in decision.postings} == {
        (AccountKind.MEMBER, AccountKind.STAKED)
    }
    assert decision.entry.points == -100


CLOSED = MatchState((HOTEL,), ("home", "away"), "cancelled", NOW + timedelta(hours=1), 50, 3)


@pytest.mark.parametrize(
    ("command", "state", "refused"),
    [
        (staked(outcome="win"), {}, "outcome_unknown"),
        (staked(match_id=UUID(int=78)), {}, "match_unknown"),
        (staked(partner_id=GROCER), {}, "match_unknown"),
        (staked(stakes=3), {}, "insufficient_points"),
        (staked(stakes=4), {}, "too_many_stakes"),
        (staked(), {"counters": {(7, f"stakes {MATCH.hex}", EVER): 2}}, "too_many_stakes"),
        (staked(), {"now": NOW + timedelta(hours=1)}, "match_closed"),
        (staked(), {"matches": {MATCH: CLOSED}}, "match_closed"),
    ],
)
def test_what_is_not_taken(command: Stake, state: dict[str, Any], refused: str) -> None:
    """Each by its own reason; at the very instant at which it closes a match is closed."""
    assert judged(command, **state) == refused


def test_a_stake_is_taken_until_the_last_millisecond() -> None:
    """Just before it closes."""
    late = NOW + timedelta(hours=1) - timedelta(milliseconds=1)
    assert judged(staked(stakes=1), now=late).entry.points == -50


def paid(*back: Part, issued: int) -> PayOut:
    """What comes of a stake that was right."""
    return PayOut(
        partner_id=1,
        reference="p",
        occurred_at=NOW,
        member_id=7,
        match_id=MATCH,
        stake_id=UUID(int=5),
        back=back,
        lost=(),
        issued=issued,
        funder_id=GROCER,
    )


def test_stakes_that_lapsed_meanwhile_live_on_for_the_days_of_grace() -> None:
    """A part that lapsed in April comes back until today, as no grace is given; one of June keeps its day."""
    decision = judged(paid(part(10, HOTEL, PAST), part(20), issued=5))
    assert [(one.debit, one.issuer_id, one.points, one.expires_on) for one in decision.postings] == [
        (AccountKind.STAKED, HOTEL, 10, NOW.date()),
        (AccountKind.STAKED, HOTEL, 20, JUNE),
        (AccountKind.ISSUED, GROCER, 5, date(2017, 8, 31)),
    ]
    assert NOW.tzinfo is UTC


def test_new_points_of_a_game_live_where_points_live_with_activity() -> None:
    """They would be dead at once, where points lapsed since the stake; a stake back is no activity."""
    active = HEAD.replace("months = 3", 'rule = "activity"\nmonths = 1')
    decided = [judged(paid(part(20), issued=issued), head=active) for issued in (5, 0)]
    assert [one.account.active_until for one in decided] == [date(2017, 6, 30), msgspec.UNSET]


GAME = '[[game]]\nid = "g"\nsays = "x"\npartners = ["hotel"]\n'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('pays = "pool"', "stake, its points, is for"),
        ('pays = "pool"\nstake = 50\nfund = "hotel"', "fund, who pays, is for"),
        ('pays = "odds"\nstake = 50', "fund, who pays, is for"),
        ('pays = "gift"\nfund = "hotel"', "gift, its points, is for"),
        ('pays = "gift"\ngift = 30\nfund = "hotel"\nmost_stakes = 2', "of what is free a member has one"),
    ],
)
def test_what_a_game_cannot_say(text: str, told: str) -> None:
    """What each way to pay needs, and what it has no use for."""
    with pytest.raises(ProgrammeInvalid, match=told):
        read_programme(HEAD + GAME + text)
