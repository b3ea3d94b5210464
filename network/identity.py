"""Who a member is: card numbers and enrolment (pure)."""

from network.commands import Enrol
from network.guardian import enrolled_as
from network.model import Entry, EntryKind
from network.outcomes import Decision, Minted, Rejected
from network.rules import Folded, Rules, is_timely

CARD_PREFIX = 6330
_BODIES = 10**11
_TWICE = {str(digit): digit * 2 - 9 * (digit > 4) for digit in range(10)}
"""The digit sum of a doubled digit."""


def check_digit(body: int) -> int:
    """The Luhn check digit of a number (ISO/IEC 7812-1, annex B)."""
    digits = str(body)[::-1]
    return -(sum(map(_TWICE.__getitem__, digits[::2])) + sum(map(int, digits[1::2]))) % 10


def card_number(body: int) -> int:
    """A 16-digit card number of the network from 11 digits of its own.

    Raises:
        ValueError: the body has more than 11 digits.
    """
    if not 0 <= body < _BODIES:
        raise ValueError(f"a card's own part has 11 digits, not {body}")
    unchecked = CARD_PREFIX * _BODIES + body
    return unchecked * 10 + check_digit(unchecked)


def is_card_number(number: int) -> bool:
    """Whether 16 digits carry a right check digit."""
    return len(str(number)) == 16 and check_digit(number // 10) == number % 10


def enrol(folded: Folded, command: Enrol, minted: Minted, rules: Rules) -> Decision | Rejected:
    """Make a member with one card and an empty account. The event is an entry without postings."""
    moment = folded.moment
    refused = rules.inactive(command.partner_id) or is_timely(command.occurred_at, moment.now)
    if refused is not None:
        return refused
    account = enrolled_as(folded, command, rules)
    if isinstance(account, Rejected):
        return account
    return Decision(
        entry=Entry(
            entry_id=minted.entry_id,
            member_id=minted.member_id,
            kind=EntryKind.ENROLMENT,
            partner_id=command.partner_id,
            reference=command.reference,
            window_id=moment.window_id,
            programme_version=rules.programme.version,
            points=0,
            balance_after=0,
            amount_minor=0,
            currency=None,
            outlet_code=None,
            occurred_at=command.occurred_at,
            recorded_at=moment.now,
        ),
        enrolled=minted,
        account=account,
    )
