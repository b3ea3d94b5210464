"""Laws of a default: the clearing vector, the rungs in cents, and circles set off, for any debts."""

from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from itertools import combinations
from random import Random

from hypothesis import example, given
from hypothesis import strategies as st

from settlement.clearing_vector import Payment, greatest_clearing
from settlement.default import CLAIMS, FEES, Claim, Cover, climb, unwind
from settlement.netting import multilateral_positions, round_positions
from settlement.set_off import set_off

PARTIES = (1, 2, 3, 4, 5)
Ranked = tuple[int, int, int, int]
ranked = st.lists(
    st.tuples(st.sampled_from(PARTIES), st.sampled_from(PARTIES), st.integers(0, 4), st.integers(0, 2)),
    max_size=14,
)
means = st.dictionaries(st.sampled_from(PARTIES), st.sampled_from((0, 0, 0, 1, 2, 5)))


def flows(debts: Iterable[Ranked], paid: dict[int, Fraction]) -> dict[int, dict[int, Fraction]]:
    """What a total payment of each debtor brings each creditor: rank by rank, in proportion within one."""
    found: dict[int, dict[int, Fraction]] = {}
    for debtor, total_paid in paid.items():
        left = total_paid
        own = [one for one in debts if one[0] == debtor and one[1] != debtor]
        for rank in sorted({one[3] for one in own}):
            total = sum(one[2] for one in own if one[3] == rank)
            part = min(left, Fraction(total))
            left -= part
            for _, creditor, amount, _ in (one for one in own if one[3] == rank and total):
                to = found.setdefault(debtor, {})
                to[creditor] = to.get(creditor, Fraction(0)) + part * amount / total
    return found


def received(by: dict[int, dict[int, Fraction]], party: int) -> Fraction:
    """What comes in to somebody."""
    return sum((one.get(party, Fraction(0)) for one in by.values()), Fraction(0))


def owed(debts: Iterable[Ranked]) -> dict[int, Fraction]:
    """All that each owes others."""
    found: dict[int, Fraction] = {}
    for debtor, creditor, amount, _ in debts:
        if debtor != creditor:
            found[debtor] = found.get(debtor, Fraction(0)) + amount
    return found


def totals(payments: Iterable[Payment[int]]) -> dict[int, Fraction]:
    """What each pays in all."""
    found: dict[int, Fraction] = {}
    for one in payments:
        found[one.debtor] = found.get(one.debtor, Fraction(0)) + one.paid
    return found


STARVED: list[Ranked] = [(1, 5, 5, 0), (1, 2, 4, 1), (2, 5, 9, 1)]
CIRCLE_WITH_A_DRAIN: list[Ranked] = [(1, 2, 4, 1), (2, 1, 4, 1), (1, 3, 2, 0), (4, 1, 1, 0)]


@given(ranked, means)
@example(CIRCLE_WITH_A_DRAIN, dict.fromkeys(PARTIES, 0))
@example(STARVED, {1: 1, 2: 5})
def test_limited_liability_priority_and_proportion(debts: list[Ranked], own: dict[int, int]) -> None:
    """Each pays all it owes or all it has, no more; ranks in order, and in proportion within a rank."""
    payments = greatest_clearing(debts, own)
    paid, due = totals(payments), owed(debts)
    by = flows(debts, paid)
    for debtor, total in paid.items():
        has = own[debtor] + received(by, debtor) if debtor in own else due[debtor]
        assert total == min(due[debtor], has)
    got: dict[int, dict[int, Fraction]] = {}
    for one in payments:
        to = got.setdefault(one.debtor, {})
        to[one.creditor] = to.get(one.creditor, Fraction(0)) + one.paid
        assert 0 <= one.paid <= one.owed
    assert {debtor: {who: sum_ for who, sum_ in to.items() if sum_} for debtor, to in got.items()} == {
        debtor: {who: sum_ for who, sum_ in by.get(debtor, {}).items() if sum_} for debtor in got
    }


@given(ranked, means)
@example(CIRCLE_WITH_A_DRAIN, dict.fromkeys(PARTIES, 0))
@example([(1, 2, 3, 0), (2, 1, 3, 0)], {1: 0, 2: 0})
def test_no_other_clearing_vector_exceeds(debts: list[Ranked], own: dict[int, int]) -> None:
    """Nobody could pay more: of every group with something left to pay, the next unit leaves the group.

    A greater vector would raise the payments of some group that gets all of the rise from the rise itself:
    its next units would stay in it. If there is no such group, no vector is greater; all groups are tried.
    """
    paid, due = totals(greatest_clearing(debts, own)), owed(debts)
    room = [party for party in paid if party in own and paid[party] < due[party]]
    tiny = Fraction(1, 10**9)
    now, then = (
        flows(debts, paid | {party: paid[party] + by for party in room}) for by in (Fraction(0), tiny)
    )
    for size in range(1, len(room) + 1):
        for group in combinations(room, size):
            kept = sum(
                then.get(party, {}).get(to, Fraction(0)) - now.get(party, {}).get(to, Fraction(0))
                for party in group
                for to in group
            )
            assert kept < tiny * size


@given(ranked, means)
def test_the_vector_is_below_every_round_of_paying(debts: list[Ranked], own: dict[int, int]) -> None:
    """From paying all, let each round pay what the last one brought: that only falls, never below ours."""
    ours, paid = totals(greatest_clearing(debts, own)), owed(debts)
    for _ in range(12):
        by = flows(debts, paid)
        paid = {
            party: min(total, own[party] + received(by, party)) if party in own else total
            for party, total in owed(debts).items()
        }
        assert all(ours.get(party, 0) <= total for party, total in paid.items())


@given(ranked, means, st.randoms(use_true_random=False))
def test_order_of_debts_does_not_matter(debts: list[Ranked], own: dict[int, int], random: Random) -> None:
    """Shuffled, the same vector in the same order."""
    shuffled = random.sample(debts, len(debts))
    assert greatest_clearing(shuffled, own) == greatest_clearing(debts, own)


@given(ranked, means, st.sampled_from(PARTIES))
def test_who_is_worth_more_harms_nobody(debts: list[Ranked], own: dict[int, int], who: int) -> None:
    """More means for one debtor never lower anybody's payment."""
    if who in own:
        before, after = (
            totals(greatest_clearing(debts, own)),
            totals(greatest_clearing(debts, own | {who: own[who] + 1})),
        )
        assert all(after[party] >= paid for party, paid in before.items())


OPERATOR = 1
PARTNERS = (11, 12, 13, 14)
amounts = st.decimals(min_value="0.0001", max_value="5000", places=4)
claims = st.lists(
    st.tuples(st.sampled_from(PARTNERS), st.sampled_from(PARTNERS), amounts), min_size=1, max_size=20
)
fees = st.dictionaries(st.sampled_from(PARTNERS), st.decimals(min_value="0.01", max_value="300", places=2))
minor = st.dictionaries(st.sampled_from(PARTNERS), st.integers(0, 300_000))


@st.composite
def nights(draw: st.DrawFn) -> tuple[list[Claim[int]], dict[int, int], Cover[int], set[int]]:
    """Debts with fees, their rounded positions, what stands behind debtors, and who does not pay."""
    debts: list[Claim[int]] = [(*one, CLAIMS) for one in draw(claims) if one[0] != one[1]]
    debts += [(party, OPERATOR, fee, FEES) for party, fee in draw(fees).items()]
    exact = dict.fromkeys((OPERATOR, *PARTNERS), Decimal(0)) | multilateral_positions(
        (debtor, creditor, amount) for debtor, creditor, amount, _ in debts
    )
    finals = {party: one.final_minor for party, one in round_positions(exact, 2).items()}
    cover = Cover(deposits=draw(minor), guarantee=draw(minor), carry_minor=draw(st.integers(0, 1000)))
    return debts, finals, cover, draw(st.sets(st.sampled_from(PARTNERS), min_size=1, max_size=3))


Night = tuple[list[Claim[int]], dict[int, int], Cover[int], set[int]]


@given(nights())
def test_a_default_sums_to_zero_to_the_cent(night: Night) -> None:
    """What everybody bears and what covers is what is missing: not a cent appears or vanishes."""
    debts, finals, cover, debtors = night
    ladder = climb(finals, debts, debtors, cover, 2)
    covered = sum(sum(one.values()) for one in (ladder.deposits, ladder.guarantee, ladder.carried))
    assert sum(ladder.finals.values()) == covered
    assert sum(ladder.guarantee.values()) == sum(ladder.lent.values())
    assert sum(ladder.carried.values()) <= cover.carry_minor
    assert all(amount <= cover.deposits[party] for party, amount in ladder.deposits.items())
    assert all(amount <= cover.guarantee[party] for party, amount in ladder.guarantee.items())
    for party, final in finals.items():
        if party not in debtors:
            assert ladder.finals[party] == final - ladder.losses.get(party, 0)
        else:
            assert 0 <= ladder.finals[party] <= max(0, final)


@given(nights())
def test_rungs_come_in_order(night: Night) -> None:
    """Nobody lends while a debtor's deposit is unspent, and nobody loses while somebody lends."""
    debts, finals, cover, debtors = night
    ladder = climb(finals, debts, debtors, cover, 2)
    for party in {**ladder.lent, **ladder.carried}:
        assert ladder.deposits.get(party, 0) == cover.deposits.get(party, 0)
    if ladder.carried:
        assert sum(ladder.guarantee.values()) == sum(cover.guarantee.values())
    if ladder.losses:
        assert sum(ladder.carried.values()) == cover.carry_minor
        assert sum(ladder.guarantee.values()) == sum(cover.guarantee.values())


@given(nights())
def test_losses_are_what_the_vector_leaves_unpaid(night: Night) -> None:
    """In cents each creditor of one debtor bears its unpaid claims, to less than two cents; fees first."""
    debts, finals, cover, debtors = night
    debtor = min(debtors)
    ladder = climb(finals, debts, {debtor}, cover, 2)
    unpaid: dict[tuple[int, int], Fraction] = {}
    for one in ladder.payments:
        key = (one.creditor, one.rank)
        unpaid[key] = unpaid.get(key, Fraction(0)) + (one.owed - one.paid) * 100
    for party in finals:
        exact = unpaid.get((party, CLAIMS), Fraction(0)) + unpaid.get((party, FEES), Fraction(0))
        assert abs(exact - ladder.losses.get(party, 0)) < 2
    if unpaid.get((OPERATOR, FEES)):
        paid = [one.paid for one in ladder.payments if (one.debtor, one.rank) == (debtor, CLAIMS)]
        assert not any(paid)


@given(nights())
def test_unwinding_leaves_the_others_debts_alone(night: Night) -> None:
    """Positions before fees are those of the debts among the others, and what goes back is all the rest."""
    debts, _, cover, debtors = night
    unwound = unwind(debts, debtors, cover, 2)
    among = [(one[0], one[1], one[2]) for one in debts if one[3] == CLAIMS and not {*one[:2]} & debtors]
    positions = multilateral_positions(among)
    assert {party: amount for party, amount in unwound.positions.items() if amount} == {
        party: amount for party, amount in positions.items() if amount
    }
    all_of_them = sum(one[2] for one in debts if one[3] == CLAIMS)
    assert sum(one[2] for one in unwound.outside) + sum(one[2] for one in among) == all_of_them
    assert sum(unwound.finals.values()) == 0


signed = st.lists(
    st.tuples(
        st.sampled_from(PARTIES), st.sampled_from(PARTIES), st.decimals(min_value=-9, max_value=20, places=1)
    ),
    max_size=25,
)


@given(signed)
def test_setting_off_keeps_every_position_and_raises_no_debt(rows: list[tuple[int, int, Decimal]]) -> None:
    """Nobody is better or worse off, nobody owes more than it did, and the circles are what was struck."""
    off = set_off(rows)
    after = multilateral_positions((*pair, amount) for pair, amount in off.left.items())
    for party, position in multilateral_positions(rows).items():
        assert after.get(party, Decimal(0)) == position
    assert all(0 < amount <= off.before[pair] for pair, amount in off.left.items())
    struck = dict.fromkeys(off.before, Decimal(0))
    for circle in off.circles:
        assert circle.amount > 0
        assert len(set(circle.debtors)) == len(circle.debtors)
        for debtor, creditor in zip(circle.debtors, (*circle.debtors[1:], circle.debtors[0]), strict=True):
            struck[debtor, creditor] += circle.amount
    assert {pair: amount - struck[pair] for pair, amount in off.before.items()} == {
        pair: off.left.get(pair, Decimal(0)) for pair in off.before
    }


@given(signed)
def test_nothing_less_could_be_left(rows: list[tuple[int, int, Decimal]]) -> None:
    """No circle of changes, up to the old debt or down to nothing, would lower the sum of what is left.

    Such changes are arcs: a debt that may grow again costs 1, one that may shrink gains 1. What is left is
    the least exactly if no circle of arcs gains; shortest ways then settle within as many rounds as parties.
    """
    off = set_off(rows)
    arcs = [(*pair, 1) for pair, amount in off.before.items() if off.left.get(pair, 0) < amount]
    arcs += [(creditor, debtor, -1) for debtor, creditor in off.left]
    distance = dict.fromkeys(PARTIES, 0)
    for _ in PARTIES:
        before = dict(distance)
        for tail, head, cost in arcs:
            distance[head] = min(distance[head], distance[tail] + cost)
    assert distance == before


@given(signed, st.randoms(use_true_random=False))
def test_setting_off_does_not_depend_on_order(rows: list[tuple[int, int, Decimal]], random: Random) -> None:
    """Shuffled debts leave the same debts by the same circles."""
    assert set_off(random.sample(rows, len(rows))) == set_off(rows)
