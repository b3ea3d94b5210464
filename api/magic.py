"""Cards of the test mode that provoke each refusal, whatever is in the ledger.

A command that names one of them is refused with its code and leaves nothing behind, so that its reference
may be used again. Other cards of the test mode are enrolled as in the live network.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from api.lanes.work import CarryOut
from network.engine import Outcome
from network.identity import card_number
from network.model import Command, Rejected, Reply

_FIRST = 99_990_000_000

# A number belongs to its code for good: add at the end, and leave a gap where a code goes.
_CODES = (
    "card_unknown",
    "card_blocked",
    "insufficient_points",
    "outlet_unknown",
    "no_contract_terms",
    "currency_not_contracted",
    "category_unknown",
    "partner_not_active",
    "partner_issues_no_more",
    "partner_accepts_no_more",
    "too_many_points",
    "occurred_in_future",
    "occurred_too_long_ago",
    "reference_reused",
    "lines_do_not_add_up",
    "too_many_holds",
    "recipient_unknown",
    "recipient_blocked",
    "same_member",
    "cause_unknown",
    "cause_not_active",
    "already_in_pool",
    "invitation_unknown",
    "invitation_lapsed",
    "pool_full",
    "not_in_pool",
    "account_in_pool",
    "account_has_merged",
    "partner_unknown",
    "programme_not_read",
    "unavailable",
)
MAGIC_CARDS: Mapping[int, str] = {card_number(_FIRST + place): code for place, code in enumerate(_CODES)}
"""The code that each card provokes."""


def provoked(command: Command) -> str | None:
    """The code that a command's card provokes."""
    card: Any = getattr(command, "card_number", None)
    return None if card is None else MAGIC_CARDS.get(card)


def provoking(carry_out: CarryOut) -> CarryOut:
    """What carries commands out, but those with a card that provokes something are refused so."""

    def carried_out(callers: Sequence[Sequence[Command]]) -> list[Outcome]:
        codes = [[provoked(command) for command in commands] for commands in callers]
        if not any(code for of_caller in codes for code in of_caller):
            return carry_out(callers)
        kept = [
            [command for command, code in zip(commands, of_caller, strict=True) if code is None]
            for commands, of_caller in zip(callers, codes, strict=True)
        ]
        left = iter(carry_out([commands for commands in kept if commands]))
        return [
            _merged(of_caller, next(left) if commands else [])
            for commands, of_caller in zip(kept, codes, strict=True)
        ]

    return carried_out


def _merged(codes: Sequence[str | None], outcome: Outcome) -> Outcome:
    if isinstance(outcome, Exception):
        return outcome
    replies = iter(outcome)
    return [next(replies) if code is None else Reply(outcome=Rejected(code)) for code in codes]
