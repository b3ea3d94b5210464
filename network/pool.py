"""Household pools: invitation, consent, leaving (pure).

A pool is a right to draw: points stay in their members' accounts, with issuer, terms and expiry. What one
spends is drawn from all of them, earliest expiry first, and each is told by an entry of its own. So who
leaves has what is left of what it put in.
"""

from datetime import timedelta

import msgspec

from network.commands import Invite, Join, Leave
from network.draft import draft
from network.model import EntryKind
from network.outcomes import UNCHANGED, AccountChange, Decision, Minted, Rejected
from network.rules import Folded, Rules

MOST_MEMBERS = 8
"""Of one pool."""
INVITED = timedelta(days=14)
"""How long an invitation can be taken."""


def invite(folded: Folded, command: Invite, minted: Minted, rules: Rules) -> Decision | Rejected:
    """Judge an invitation. Who invites consents by that, and founds a pool if it is in none."""
    member_id = _member(folded, command, rules)
    if isinstance(member_id, Rejected):
        return member_id
    other = folded.recipient_of_card(command.to_card_number)
    if isinstance(other, Rejected):
        return other
    if other == member_id:
        return Rejected("same_member")
    pool_id = folded.member(member_id).pool_id
    if pool_id is not None and folded.member(other).pool_id == pool_id:
        return Rejected("already_in_pool")
    # ---- valid from here ----
    entry = draft(folded, command, minted, rules, EntryKind.POOL_INVITATION, member_id)
    return Decision(
        entry=msgspec.structs.replace(entry, counterpart_id=other),
        account=AccountChange(pool_id=minted.entry_id) if pool_id is None else UNCHANGED,
        invites_to=minted.entry_id if pool_id is None else pool_id,
    )


def join(folded: Folded, command: Join, minted: Minted, rules: Rules) -> Decision | Rejected:
    """Judge the consent of who was invited."""
    member_id = _member(folded, command, rules)
    if isinstance(member_id, Rejected):
        return member_id
    recorded = folded.recorded(command.invitation_id)
    if recorded is None or recorded.invitation is None or recorded.entry.counterpart_id != member_id:
        return Rejected("invitation_unknown")
    invitation, pool_id = recorded.entry, recorded.invitation.pool_id
    if recorded.invitation.used or folded.moment.now - invitation.recorded_at > INVITED:
        return Rejected("invitation_lapsed")
    if folded.member(member_id).pool_id is not None:
        return Rejected("already_in_pool")
    if folded.member(invitation.member_id).pool_id != pool_id:
        return Rejected("invitation_lapsed")
    if len(folded.pool(invitation.member_id)) >= MOST_MEMBERS:
        return Rejected("pool_full")
    # ---- valid from here ----
    entry = draft(folded, command, minted, rules, EntryKind.POOL_JOIN, member_id)
    return Decision(
        entry=msgspec.structs.replace(
            entry, counterpart_id=invitation.member_id, parent_id=invitation.entry_id
        ),
        account=AccountChange(pool_id=pool_id),
    )


def leave(folded: Folded, command: Leave, minted: Minted, rules: Rules) -> Decision | Rejected:
    """Judge that a member leaves its pool, with what is left of its points."""
    member_id = _member(folded, command, rules)
    if isinstance(member_id, Rejected):
        return member_id
    if folded.member(member_id).pool_id is None:
        return Rejected("not_in_pool")
    # ---- valid from here ----
    return Decision(
        entry=draft(folded, command, minted, rules, EntryKind.POOL_LEAVE, member_id),
        account=AccountChange(pool_id=None),
    )


def _member(folded: Folded, command: Invite | Join | Leave, rules: Rules) -> int | Rejected:
    refused = rules.refusal(command.partner_id, command.occurred_at, folded.moment.now)
    return folded.member_of_card(command.card_number) if refused is None else refused
