"""Cards of the test mode that provoke each refusal, whatever is in the ledger.

A command that names one of them is refused with its code and leaves nothing behind, so that its reference
may be used again. Other cards of the test mode are enrolled as in the live network.
"""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

from api.problems import PROBLEMS
from network.commands import Command
from network.identity import card_number

_FIRST = 99_990_000_000

# A number belongs to its code for good: those of later codes come of their names.
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
_BEYOND, _ROOM = _FIRST + 1_000, 8_000_000


def _later() -> list[str]:
    """What the rules and what stands before them may refuse besides: a new refusal has its card by itself."""
    of_rules = list(PROBLEMS)[list(PROBLEMS).index("reference_reused") :]
    return [code for code in of_rules if PROBLEMS[code][0] in (404, 409, 422) and code not in _CODES]


def _number(code: str) -> int:
    name = int.from_bytes(blake2b(code.encode(), digest_size=8).digest())
    return card_number(_BEYOND + name % _ROOM)


MAGIC_CARDS: Mapping[int, str] = {
    **{card_number(_FIRST + place): code for place, code in enumerate(_CODES)},
    **{_number(code): code for code in _later()},
}
"""The code that each card provokes."""


def provoked(commands: Sequence[Command]) -> Mapping[int, str]:
    """What commands are refused for by their cards, by place (an api.lanes.refusing.Judge)."""
    cards: list[Any] = [getattr(command, "card_number", None) for command in commands]
    return {place: MAGIC_CARDS[card] for place, card in enumerate(cards) if card in MAGIC_CARDS}
