"""Whose accounts a command opens, whatever becomes of it (pure).

Before it is judged, the holds of all of them whose time is over are ended: each is locked and read.
"""

from collections.abc import Iterable
from uuid import UUID

from network.commands import (
    Capture,
    Command,
    Convert,
    EndPlan,
    Enrol,
    Gift,
    Hold,
    Invite,
    Join,
    KeepPledge,
    LapseVoucher,
    Merge,
    PayOut,
    Redeem,
    Refer,
    Release,
    ReturnVoucher,
    Reverse,
    ReviewTier,
    Treat,
    Unmerge,
    UseVoucher,
    Void,
)
from network.ids import member_of
from network.rules import Folded

SPENDING = (Redeem, Hold)
"""Commands that draw from a whole pool."""


OF_MEMBER = (ReviewTier, Treat, PayOut, KeepPledge, Convert)
"""Commands that name their member by its number: the night's."""
_OF_PAPER = (UseVoucher, ReturnVoucher, LapseVoucher)
_WITHOUT_CARD = frozenset({EndPlan, Enrol, Reverse, Capture, Void, Release, Unmerge, *OF_MEMBER, *_OF_PAPER})
_WITH_TWO_CARDS = {
    Gift: "to_card_number",
    Invite: "to_card_number",
    Merge: "merged_card_number",
    Refer: "referrer_card_number",
}
_NAMES_AN_ENTRY = {
    Reverse: "entry_id",
    Release: "entry_id",
    Unmerge: "entry_id",
    EndPlan: "membership_id",
    Capture: "hold_id",
    Void: "hold_id",
    Join: "invitation_id",
    **dict.fromkeys(_OF_PAPER, "voucher_id"),
}


def cards_of(command: Command) -> tuple[int, ...]:
    """The cards a command names; the first is its own member's."""
    kind = type(command)
    guardian: int = getattr(command, "guardian_card", 0)
    if kind in _WITHOUT_CARD:
        return (guardian,) if guardian else ()
    own: int = command.card_number  # type: ignore[union-attr]  # the others have one
    named = (own, getattr(command, _WITH_TWO_CARDS[kind])) if kind in _WITH_TWO_CARDS else (own,)
    return (*named, guardian) if guardian else named


def named_by(command: Command) -> UUID | None:
    """The earlier entry that a command names."""
    name = _NAMES_AN_ENTRY.get(type(command))
    return None if name is None else getattr(command, name)


def named_members(folded: Folded, command: Command) -> set[int]:
    """The members of the cards and of the id that a command names."""
    named = {folded.member_behind(number) for number in cards_of(command)}
    entry_id = named_by(command)
    if entry_id is not None:
        named.add(member_of(entry_id))
    if isinstance(command, OF_MEMBER):
        named.add(command.member_id)
    return {member_id for member_id in named if member_id}


def touched(folded: Folded, commands: Iterable[Command]) -> set[int]:
    """Every member whose account commands open; some may not be there, or not loaded yet."""
    members: set[int] = set()
    for command in commands:
        members |= _opened(folded, command)
    return closed(folded, members)


def _opened(folded: Folded, command: Command) -> set[int]:
    """Whose accounts one command opens by itself, before any hold is ended."""
    members = named_members(folded, command)
    if getattr(command, "guardian_card", 0):
        # Who has been merged since is asked for by whom the guardian's card opens now.
        members |= {folded.member(one).guardian_id or 0 for one in members if folded.knows(one)} - {0}
    entry_id = named_by(command)
    if isinstance(command, SPENDING):
        members |= _pools(folded, members)
    elif isinstance(command, Join):
        members |= _pools(folded, {member_of(command.invitation_id)})
    recorded = None if entry_id is None else folded.recorded(entry_id)
    if recorded is not None:
        members |= _contributors(folded, [recorded.entry.entry_id])
        members |= {recorded.entry.counterpart_id or 0} - {0}
    return members


def closed(folded: Folded, members: Iterable[int]) -> set[int]:
    """Members, whom they were merged into, and whose points their ended holds have; and so on."""
    found: set[int] = set()
    left = set(members)
    while left:
        found |= left
        more: set[int] = set()
        for member_id in left:
            if folded.knows(member_id):
                more |= {folded.owner(member_id)} | _contributors(folded, folded.due(member_id))
        left = more - found
    return found


def _pools(folded: Folded, members: Iterable[int]) -> set[int]:
    return {mate for member_id in members if folded.knows(member_id) for mate in folded.pool(member_id)}


def _contributors(folded: Folded, entry_ids: Iterable[UUID]) -> set[int]:
    found = set()
    for entry_id in entry_ids:
        recorded = folded.recorded(entry_id)
        if recorded is not None:
            found |= {p.contributor_id for p in recorded.postings if p.contributor_id is not None}
    return found
