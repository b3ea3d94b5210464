"""Children: from which age one may be a member, alone or under a guardian, who acts for it (pure).

Of a date of birth nothing is kept but the day from which a child acts for itself, and who its guardian is;
of who is old enough when it enrols, nothing.
"""

from network.commands import (
    Command,
    Donate,
    Enrol,
    Gift,
    Hold,
    Invite,
    IssueVoucher,
    Join,
    Leave,
    Pledge,
    Redeem,
    Stake,
)
from network.outcomes import UNCHANGED, AccountChange, Rejected
from network.programme.members import birthday_in
from network.rules import Folded, Rules

ACTING = (Redeem, Hold, IssueVoucher, Gift, Donate, Invite, Join, Leave, Pledge, Stake, IssueVoucher)
"""What a member does with its points or its pool; for a child its guardian does it, with its own card.

A stake names no guardian: a child makes none.
"""


def enrolled_as(folded: Folded, command: Enrol, rules: Rules) -> AccountChange | Rejected:
    """How the account of a new member begins: its own, or under a guardian until a birthday.

    Returns:
        What its account says; or that its age is not said or too low, or that its guardian is missing, not
        known, blocked, or a child. Where the programme names no ages, a guardian is not asked for.
    """
    ages = rules.programme.ages
    if ages is None:
        return UNCHANGED
    if command.born_on is None:
        return Rejected("birth_date_needed")
    today = rules.local_date(command.occurred_at)
    year, leap = command.born_on.year, rules.programme.leap
    alone_from = birthday_in(command.born_on, year + ages.minimum, leap)
    if today >= alone_from:
        return UNCHANGED
    youngest = ages.with_guardian_from
    if youngest is None or today < birthday_in(command.born_on, year + youngest, leap):
        return Rejected("too_young")
    if not command.guardian_card:
        return Rejected("guardian_needed")
    guardian = folded.member_of_card(command.guardian_card)
    if isinstance(guardian, Rejected) or is_child(folded, guardian):
        return Rejected("guardian_unfit")
    return AccountChange(guardian_id=guardian, child_until=alone_from)


def is_child(folded: Folded, member_id: int) -> bool:
    """Whether a member is under a guardian today."""
    return folded.member(member_id).child_until > folded.today


def refused_to_child(folded: Folded, command: Command) -> Rejected | None:
    """Why a command cannot be a child's doing; None where it is not, or its guardian does it."""
    if not isinstance(command, ACTING):
        return None
    member_id = folded.member_behind(command.card_number)
    if member_id is None or not is_child(folded, member_id):
        return None
    shown = getattr(command, "guardian_card", 0)
    if not shown:
        return Rejected("guardian_needed")
    who = folded.member_of_card(shown)
    guardian = folded.member(member_id).guardian_id
    if isinstance(who, Rejected) or guardian is None or who not in {guardian, folded.owner(guardian)}:
        return Rejected("guardian_unfit")
    return None
