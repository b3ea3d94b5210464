"""Which payments discharge a run's positions, and how far each is (pure)."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date

from settlement.errors import NotFinal
from settlement.model import Position
from settlement.money_model import Booked, DefaultOverlay, Direction, Final, Instruction
from settlement.references import creditor_reference, end_to_end_id

Case = tuple[int, int]
"""A default case: its debtor, and the minor units that it misses."""


def instruction(
    window_id: int,
    revision: int,
    participant_id: int,
    currency: str,
    direction: Direction,
    amount_minor: int,
    value_on: date,
    *,
    attempt: int = 1,
) -> Instruction:
    """One payment, with the names by which banks and payers know it."""
    return Instruction(
        end_to_end_id=end_to_end_id(
            window_id=window_id,
            revision=revision,
            participant_id=participant_id,
            currency=currency,
            direction=direction,
            attempt=attempt,
        ),
        window_id=window_id,
        revision=revision,
        participant_id=participant_id,
        currency=currency,
        direction=direction,
        attempt=attempt,
        amount_minor=amount_minor,
        value_on=value_on,
        reference=creditor_reference(
            window_id=window_id,
            revision=revision,
            participant_id=participant_id,
            currency=currency,
            direction=direction,
            attempt=attempt,
        ),
    )


def instruct_positions(
    window_id: int, revision: int, positions: Iterable[Position], value_on: Mapping[str, date]
) -> tuple[Instruction, ...]:
    """One payment for each position that is to be paid, in order of participant and currency."""
    return tuple(
        instruction(
            window_id,
            revision,
            one.participant_id,
            one.currency,
            "in" if one.payment_minor < 0 else "out",
            abs(one.payment_minor),
            value_on[one.currency],
        )
        for one in sorted(positions, key=lambda one: (one.participant_id, one.currency))
        if one.payment_minor
    )


def targets(
    payment_minor: int, relief_minor: int, booked_in_minor: int, booked_out_minor: int = 0
) -> tuple[int, int]:
    """What a participant is to pay in, and to be paid out, in all.

    What it paid in before a default case turned its position comes back with what it is to get; and what it
    was paid before it came to bear a loss, beyond what it is to get, it pays in.

    Args:
        payment_minor: Its position's payment; below zero it pays.
        relief_minor: What default cases give it (above zero) or let it bear.
        booked_in_minor: What the bank booked from it so far.
        booked_out_minor: What the bank booked to it so far.
    """
    now = payment_minor + relief_minor
    pays, gets = max(0, -now), max(0, now)
    back = max(0, booked_in_minor - pays) if relief_minor > 0 and now >= 0 else 0
    beyond = max(0, booked_out_minor - gets) if relief_minor < 0 else 0
    return pays + back + beyond, gets + back + beyond


def dues(instructions: Iterable[Instruction], target_minor: int, booked: Mapping[str, int]) -> dict[str, int]:
    """What is due on each attempt of one participant's payments one way, which in all come to a target.

    What was booked on an attempt is due on it. The rest is due on later attempts first: they stand for what
    came back of earlier ones, or add to them.
    """
    later_first = sorted(instructions, key=lambda one: -one.attempt)
    found = {one.end_to_end_id: booked.get(one.end_to_end_id, 0) for one in later_first}
    left = target_minor - sum(found.values())
    for one in later_first:
        most = one.amount_minor - found[one.end_to_end_id]
        more = max(-found[one.end_to_end_id], min(most, left))
        found[one.end_to_end_id] += more
        left -= more
    return found


def standing(
    instructions: Sequence[Instruction],
    payments: Mapping[tuple[int, str], int],
    relief: Mapping[tuple[int, str], int],
    booked: Mapping[str, int],
) -> list[Booked]:
    """Each of a run's instructions with what is due on it and what was booked, in their order.

    Args:
        instructions: All of some participants' in some currencies: what is due on one depends on the others.
        payments: Positions' payments by participant and currency; below zero it pays.
        relief: What default cases give each, or let it bear.
        booked: What the bank booked on each instruction, returns taken off.
    """
    due: dict[str, int] = {}
    by_party: dict[tuple[int, str], list[Instruction]] = {}
    for one in instructions:
        by_party.setdefault((one.participant_id, one.currency), []).append(one)
    for party, of in by_party.items():
        paid = {"in": 0, "out": 0}
        for one in of:
            paid[one.direction] += booked.get(one.end_to_end_id, 0)
        both = targets(payments.get(party, 0), relief.get(party, 0), paid["in"], paid["out"])
        for way, target in zip(("in", "out"), both, strict=True):
            due.update(dues([one for one in of if one.direction == way], target, booked))
    return [
        Booked(
            end_to_end_id=one.end_to_end_id,
            participant_id=one.participant_id,
            currency=one.currency,
            direction=one.direction,
            due_minor=due[one.end_to_end_id],
            booked_minor=booked.get(one.end_to_end_id, 0),
        )
        for one in instructions
    ]


def relief_of(missing: Iterable[Case], lines: Iterable[DefaultOverlay]) -> dict[int, int]:
    """What default cases in one currency give each participant (above zero) or let it bear, minor units.

    A debtor is relieved of what it misses; deposits, guarantees and what is carried are paid from elsewhere.
    """
    relief: dict[int, int] = {}
    for debtor_id, minor in missing:
        relief[debtor_id] = relief.get(debtor_id, 0) + minor
    for line in lines:
        if line.rung in ("loss", "unwind"):
            relief[line.participant_id] = relief.get(line.participant_id, 0) - line.amount_minor
    return relief


def finals(
    positions: Iterable[Position], booked: Sequence[Booked], covered: Mapping[str, int]
) -> tuple[Final, ...]:
    """What a run comes to in each currency.

    Args:
        positions: Of the run.
        booked: Each instruction, with what is due and what was booked.
        covered: What deposits, guarantees and carrying paid instead of debtors, by currency.
    Raises:
        NotFinal: a payment is missing or differs, or a currency does not add up.
    """
    wrong = [one for one in booked if one.due_minor != one.booked_minor]
    if wrong:
        first = wrong[0]
        raise NotFinal(
            f"{len(wrong)} payments differ from what is due: {first.end_to_end_id} is due with "
            f"{first.due_minor} {first.currency} minor units, and {first.booked_minor} were booked"
        )
    known = list(positions)
    found: list[Final] = []
    for currency in sorted({one.currency for one in known}):
        of = [one for one in known if one.currency == currency]
        paid = {
            way: sum(one.booked_minor for one in booked if (one.currency, one.direction) == (currency, way))
            for way in ("in", "out")
        }
        final = Final(
            currency=currency,
            paid_in_minor=paid["in"],
            paid_out_minor=paid["out"],
            deferred_in_minor=sum(one.deferred_in_minor for one in of),
            deferred_out_minor=sum(one.deferred_out_minor for one in of),
            covered_minor=covered.get(currency, 0),
        )
        left = (
            *(final.paid_out_minor, -final.paid_in_minor, final.deferred_out_minor),
            *(-final.deferred_in_minor, -final.covered_minor),
        )
        if sum(left) != 0:
            raise NotFinal(
                f"payments, carried and covered amounts leave {sum(left)} {currency} minor units over"
            )
        found.append(final)
    return tuple(found)
