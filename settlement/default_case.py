"""What a default case of a run would do: from what the night left to the lines that are decided (pure).

The ladder and unwinding are settlement.default's; here they meet a run: payments that are instructed, parts
of them that were paid, cases decided before. Two parties never bear a loss. What falls on the pool the
operator bears, because the members' points stay good; and what falls on the hub's FX account, which is ours.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Literal

import msgspec

from partners.model import FX_ID, HUB_ID, OPERATOR_ID, POOL_ID, SAFEGUARD_ID
from settlement.default import CLAIMS, FEES, Claim, Cover, Ladder, climb
from settlement.errors import CannotUnwind, NothingMissing
from settlement.model import Obligation, Position
from settlement.money import exactly, from_minor
from settlement.money_model import DefaultOverlay, FxConversion, Rung
from settlement.netting import multilateral_positions, round_positions
from settlement.set_off import directed

Way = Literal["ladder", "unwind"]
WAYS: tuple[Way, ...] = ("ladder", "unwind")


_KEPT = (HUB_ID, FX_ID, POOL_ID, SAFEGUARD_ID)
"""Who is kept whole, whatever a debtor does: the hub and its accounts for others."""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a run in one currency when a debtor does not pay. Minor units, unless Decimals.

    `payments`: what each participant is to be paid (below zero: to pay) now, cases decided before included;
    of the debtor, what is missing. `debts`: the gross debts of the night, with ranks. `paid`: what the
    debtor has paid, and was paid for it. `before`: debtors of earlier cases of the run; the others among them
    miss nothing more. `covered`: what each paid, and what deposit, fund and hub paid for it. `to_operator`:
    the contract says that the operator bears what the debtor's points cost while it is suspended.
    """

    debtor_id: int
    digits: int
    payments: Mapping[int, int]
    debts: Sequence[Claim[int]]
    deposits: Mapping[int, int]
    guarantee: Mapping[int, int]
    paid: int = 0
    before: Sequence[int] = ()
    covered: Mapping[int, int] = {}
    to_operator: bool = False


class Paid(msgspec.Struct, frozen=True, kw_only=True):
    """What the debtor's creditors get of what they are owed, in fractions, as text."""

    creditor_id: int
    first: bool
    owed: str
    gets: str


class Simulation(msgspec.Struct, frozen=True, kw_only=True):
    """What a case would do. `after` is what each would be paid then (below zero: pay), in minor units.

    `suspends`: whether the debtor may no longer issue and accept: its own deposit was not enough. `outside`:
    debts that unwinding gives back to the pairs: debtor, creditor, amount in major units.
    """

    window_id: int
    revision: int
    debtor_id: int
    currency: str
    way: Way
    carry_minor: int
    missing_minor: int
    suspends: bool
    to_operator: bool
    lines: tuple[DefaultOverlay, ...]
    before: Mapping[int, int]
    after: Mapping[int, int]
    vector: tuple[Paid, ...]
    outside: tuple[tuple[int, int, str], ...] = ()


@exactly
def debts_of(
    currency: str,
    digits: int,
    positions: Iterable[Position],
    obligations: Iterable[Obligation],
    conversions: Iterable[FxConversion] = (),
) -> list[Claim[int]]:
    """The gross debts that make a night's positions in one currency, none below zero.

    Obligations by pair; fees and VAT to the operator, first; what was carried on, to or from the hub;
    what was converted, to or from the hub's FX account.
    """
    debts = _of_obligations(one for one in obligations if one.currency == currency)
    owed: list[tuple[int, int, Decimal, int]] = []
    for one in positions:
        if one.currency == currency:
            fees = from_minor(one.fee_minor + one.vat_minor, digits)
            owed.append((one.participant_id, OPERATOR_ID, fees, FEES))
            deferred = from_minor(one.deferred_in_minor, digits)
            owed.append((one.participant_id, HUB_ID, -deferred, CLAIMS))
    for conversion in conversions:
        if conversion.to_currency == currency:
            owed.append((conversion.participant_id, FX_ID, -conversion.to_amount, CLAIMS))
        elif conversion.from_currency == currency:
            owed.append((conversion.participant_id, FX_ID, conversion.from_amount, CLAIMS))
    for debtor, creditor, amount, rank in owed:
        if amount and debtor != creditor:
            pair = (debtor, creditor) if amount > 0 else (creditor, debtor)
            debts.append((*pair, abs(amount), rank))
    return debts


def _of_obligations(obligations: Iterable[Obligation]) -> list[Claim[int]]:
    """Gross debts by pair; VAT that is the operator's ranks first."""
    of: dict[int, list[tuple[int, int, Decimal]]] = {FEES: [], CLAIMS: []}
    for one in obligations:
        first = one.flow == "vat" and OPERATOR_ID in (one.debtor_id, one.creditor_id)
        of[FEES if first else CLAIMS].append((one.debtor_id, one.creditor_id, one.amount))
    return [(*pair, amount, rank) for rank, gross in of.items() for pair, amount in directed(gross).items()]


@exactly
def simulate(
    facts: Facts, *, window_id: int, revision: int, currency: str, way: Way, carry_minor: int
) -> Simulation:
    """Work out what a case would do.

    Args:
        facts: What is known of the run.
        window_id, revision, currency: Which run, and of it which payments.
        way: Up the ladder, or unwinding, the last resort.
        carry_minor: The most that the hub lends until the next night.
    Raises:
        NothingMissing: the debtor has nothing to pay.
        CannotUnwind: a part was paid, or another case was decided.
    """
    missing = -facts.payments.get(facts.debtor_id, 0)
    if missing <= 0:
        raise NothingMissing(
            f"participant {facts.debtor_id} has nothing to pay in {currency} that is not booked"
        )
    parties = {HUB_ID, OPERATOR_ID, *(party for debt in facts.debts for party in debt[:2])}
    payments = {**dict.fromkeys(parties, 0), **facts.payments}
    # What is carried on this night is the hub's: with it, payments sum to zero.
    payments[HUB_ID] -= sum(payments.values())
    outside: tuple[tuple[int, int, str], ...] = ()
    if way == "ladder":
        ladder = _ladder(facts, payments, carry_minor)
        losses = _without_deposits(facts, payments, ladder)
        shared: list[tuple[Rung, Mapping[int, int]]] = [("loss", _bearers(losses, facts))]
    else:
        unwound, outside = _unwound(facts, payments)
        left = {**payments, facts.debtor_id: -(missing - sum(unwound.values()))}
        ladder = _cover_rest(facts, left)
        shared = [("unwind", unwound), ("loss", _bearers(ladder.losses, facts))]
    lines = _lines(
        [("deposit", ladder.deposits), ("guarantee", ladder.guarantee), ("carry", ladder.carried), *shared]
    )
    borne: dict[int, int] = {}
    for line in lines:
        if line.rung in ("loss", "unwind"):
            borne[line.participant_id] = borne.get(line.participant_id, 0) + line.amount_minor
    return Simulation(
        window_id=window_id,
        revision=revision,
        debtor_id=facts.debtor_id,
        currency=currency,
        way=way,
        carry_minor=carry_minor,
        missing_minor=missing,
        suspends=any(line.rung != "deposit" for line in lines),
        to_operator=facts.to_operator,
        lines=lines,
        before={party: amount for party, amount in sorted(payments.items()) if party != HUB_ID},
        after={
            party: (0 if party == facts.debtor_id else amount) - borne.get(party, 0)
            for party, amount in sorted(payments.items())
            if party != HUB_ID
        },
        vector=tuple(
            Paid(creditor_id=one.creditor, first=one.rank == FEES, owed=str(one.owed), gets=str(one.paid))
            for one in ladder.payments
            if one.debtor == facts.debtor_id
        ),
        outside=outside,
    )


def _ladder(facts: Facts, payments: Mapping[int, int], carry_minor: int) -> Ladder[int]:
    cover = Cover(
        deposits=facts.deposits,
        guarantee=facts.guarantee,
        carry_minor=carry_minor,
        paid={**facts.covered, facts.debtor_id: facts.paid},
    )
    return climb(payments, facts.debts, {facts.debtor_id, *facts.before}, cover, facts.digits)


def _without_deposits(facts: Facts, payments: Mapping[int, int], ladder: Ladder[int]) -> dict[int, int]:
    """What parties lose beside deposits.

    What an earlier debtor loses is paid from its deposit, or passed on: it pays nothing in for it. One that
    fails by it is not among the ladder's losers, and loses what it was to be paid.
    """
    others = {party for party in facts.before if party != facts.debtor_id}
    failed = {party: payments.get(party, 0) - ladder.finals[party] for party in others - ladder.losses.keys()}
    return failed | {
        party: amount - (ladder.deposits.get(party, 0) if party in others else 0)
        for party, amount in ladder.losses.items()
    }


def _unwound(
    facts: Facts, payments: Mapping[int, int]
) -> tuple[dict[int, int], tuple[tuple[int, int, str], ...]]:
    """What each bears where the debtor's debts and claims are taken out, and these."""
    if facts.paid or facts.before:
        raise CannotUnwind(
            f"participant {facts.debtor_id} has paid a part, or another case of the run was decided: "
            "go up the ladder"
        )
    touched = sorted(debt[:3] for debt in facts.debts if goes_back(debt, {facts.debtor_id}))
    positions = multilateral_positions(touched)
    rounded = round_positions(positions, facts.digits)
    borne = {
        party: one.final_minor
        for party, one in rounded.items()
        if party != facts.debtor_id and one.final_minor
    }
    outside = tuple((debtor, creditor, f"{amount:f}") for debtor, creditor, amount in touched)
    return borne, outside


def goes_back(debt: Claim[int], unwound: Collection[int]) -> bool:
    """Whether a debt is one that unwinding somebody gives back to its pair: no fee, nor with what is ours."""
    debtor, creditor, _, rank = debt
    kept = {debtor, creditor} & set(_KEPT)
    return rank == CLAIMS and (debtor in unwound or creditor in unwound) and not kept


def _cover_rest(facts: Facts, left: dict[int, int]) -> Ladder[int]:
    """Fees, and what is owed to pool, hub and FX account, stay due: deposit and fund pay them first."""
    debts = [
        (debtor, creditor, amount, rank)
        for debtor, creditor, amount, rank in facts.debts
        if debtor == facts.debtor_id and (rank == FEES or creditor in _KEPT)
    ]
    rest = -left[facts.debtor_id]
    if rest <= 0:  # by a cent of rounding, or because others owe it more: the operator's
        given = {OPERATOR_ID: rest} if rest else {}
        return Ladder(
            debtors=(facts.debtor_id,),
            missing_minor=0,
            deposits={},
            lent={},
            guarantee={},
            carried={},
            losses=given,
            finals=left,
            payments=(),
        )
    debts = debts or [(facts.debtor_id, OPERATOR_ID, from_minor(rest, facts.digits), FEES)]
    finals = {**{creditor: 0 for _, creditor, _, _ in debts}, facts.debtor_id: -rest}
    finals[OPERATOR_ID] = finals.get(OPERATOR_ID, 0) + rest
    cover = Cover(deposits=facts.deposits, guarantee=facts.guarantee)
    return climb(finals, debts, {facts.debtor_id}, cover, facts.digits)


def _bearers(losses: Mapping[int, int], facts: Facts) -> dict[int, int]:
    """Who bears losses in the end: not the pool, not our FX account, and by contract the operator alone.

    Nor who is paid in another currency only: the FX account stood between, and that is ours.
    """
    found: dict[int, int] = {}
    for party, amount in losses.items():
        ours = facts.to_operator or party in _KEPT or party not in facts.payments
        bearer = OPERATOR_ID if ours else party
        found[bearer] = found.get(bearer, 0) + amount
    return found


def _lines(rungs: Iterable[tuple[Rung, Mapping[int, int]]]) -> tuple[DefaultOverlay, ...]:
    parts = [(rung, party, amount) for rung, of in rungs for party, amount in sorted(of.items()) if amount]
    return tuple(
        DefaultOverlay(line=line, rung=rung, participant_id=party, amount_minor=amount)
        for line, (rung, party, amount) in enumerate(parts, start=1)
    )
