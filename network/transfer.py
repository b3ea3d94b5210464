"""Points go from one member to another with issuer, terms and expiry: gift, merge, unmerge (pure)."""

from collections.abc import Sequence

import msgspec
from msgspec import UnsetType

from network.commands import Gift, Merge, Unmerge
from network.draft import draft, owed_posting, transfer
from network.draw import Draw, lot_key
from network.guardian import is_child
from network.judging import Judgement, judgement_of, raised, written
from network.model import WITH_ACTIVITY, AccountKind, EntryKind, Lot, Posting, Unit
from network.outcomes import UNCHANGED, AccountChange, CardMove, Decision, Deficit, Minted, Rejected
from network.programme.counting import Counts
from network.redemption import draw_own, unproven
from network.rules import Folded, Rules


def gift(folded: Folded, command: Gift, minted: Minted, rules: Rules) -> Decision | Rejected:
    """Judge a gift: own points only, in the order of a redemption."""
    pair = two_members(folded, command.card_number, command.to_card_number, command, rules)
    if isinstance(pair, Rejected):
        return pair
    giver, receiver = pair
    unshown = unproven(command, rules)
    if unshown is not None:
        return unshown
    draws = draw_own(folded, giver, command.points, minted)
    if draws is None:
        return Rejected("insufficient_points")
    # ---- valid from here ----
    entry = draft(folded, command, minted, rules, EntryKind.GIFT, giver)
    entry = msgspec.structs.replace(entry, counterpart_id=receiver)
    leaving, arriving = _moved(draws, folded.moment.window_id)
    return Decision(
        entry=entry,
        postings=leaving,
        linked=(Decision(entry=transfer(entry, receiver), postings=arriving),),
    )


def two_members(
    folded: Folded, card_number: int, other_card_number: int, command: Gift | Merge, rules: Rules
) -> tuple[int, int] | Rejected:
    """The two members of a command, who are not one."""
    refused = rules.refusal(command.partner_id, command.occurred_at, folded.moment.now)
    if refused is not None:
        return refused
    member_id = folded.member_of_card(card_number, spending=isinstance(command, Gift))
    if isinstance(member_id, Rejected):
        return member_id
    other = folded.recipient_of_card(other_card_number, blocked_too=isinstance(command, Merge))
    if isinstance(other, Rejected):
        return other
    return Rejected("same_member") if member_id == other else (member_id, other)


def _moved(
    draws: Sequence[Draw], window_id: int, unit: Unit = Unit.POINTS, first_line: int = 1
) -> tuple[tuple[Posting, ...], tuple[Posting, ...]]:
    """Draws as MEMBER → TRANSIT of who had them, and as TRANSIT → MEMBER of who gets them.

    Points that lived with the activity of one account take its last day along: expiry travels with a point.
    """
    leaving = tuple(
        _posting(line, draw, window_id, unit) for line, draw in enumerate(draws, start=first_line)
    )
    arriving = tuple(
        msgspec.structs.replace(
            posting,
            debit=AccountKind.TRANSIT,
            credit=AccountKind.MEMBER,
            expires_on=draw.lot.lives_until if draw.lot.expires_on == WITH_ACTIVITY else draw.lot.expires_on,
        )
        for posting, draw in zip(leaving, draws, strict=True)
    )
    return leaving, arriving


def _posting(line: int, draw: Draw, window_id: int, unit: Unit) -> Posting:
    lot = draw.lot
    return Posting(
        line=line,
        debit=AccountKind.MEMBER,
        credit=AccountKind.TRANSIT,
        points=draw.points,
        issuer_id=lot.issuer_id,
        issuer_terms=lot.terms_version,
        spendable_on=lot.spendable_on,
        expires_on=lot.expires_on,
        window_id=window_id,
        unit=unit,
    )


def merge(folded: Folded, command: Merge, minted: Minted, rules: Rules) -> Decision | Rejected:
    """Judge that two accounts are one person's: all of the one goes to the other."""
    pair = two_members(folded, command.card_number, command.merged_card_number, command, rules)
    if isinstance(pair, Rejected):
        return pair
    staying, merged = pair
    if is_child(folded, staying) or is_child(folded, merged):
        return Rejected("account_of_child")
    if folded.member(merged).pool_id is not None:
        return Rejected("account_in_pool")
    if folded.member(merged).has_merged:
        return Rejected("account_has_merged")
    if folded.value(merged):
        return Rejected("account_has_value")
    if any(max(one.starts_on, folded.today) <= one.ends_on for one in folded.memberships(merged)):
        return Rejected("account_has_plan")
    # ---- valid from here ----
    entry = draft(folded, command, minted, rules, EntryKind.MERGE, staying)
    entry = msgspec.structs.replace(entry, counterpart_id=merged)
    window_id = folded.moment.window_id
    lots = sorted(
        (lot for lot in folded.lots(merged) if lot.remaining),
        key=lambda lot: (lot.issuer_id, lot.terms_version, lot.spendable_on, lot.expires_on),
    )
    leaving, arriving = _moved([Draw(merged, lot, lot.remaining) for lot in lots], window_id)
    status = [Draw(merged, lot, lot.remaining) for lot in sorted(folded.member(merged).status, key=lot_key)]
    parted, joined = _moved(status, window_id, Unit.STATUS, len(leaving) + 1)
    leaving, arriving = (*leaving, *parted), (*arriving, *joined)
    counted = folded.counted(merged)
    owed = folded.member(merged).deficits
    lines = list(enumerate(owed, start=len(leaving) + 1))
    return Decision(
        entry=entry,
        postings=(
            *arriving,
            *(owed_posting(one, one.points, line, window_id, cures=False) for line, one in lines),
        ),
        deficits=tuple(msgspec.structs.replace(one, entry_id=entry.entry_id) for one in owed),
        linked=(
            Decision(
                entry=transfer(entry, merged),
                postings=(
                    *leaving,
                    *(owed_posting(one, one.points, line, window_id, cures=True) for line, one in lines),
                ),
                cured=tuple(owed),
                account=AccountChange(merged_into=staying, merge_id=entry.entry_id),
                counted={key: -value for key, value in counted.items()},
            ),
        ),
        cards=CardMove(issued_to=merged, before=merged, after=staying),
        account=_the_better(folded, rules, staying, merged, counted),
        counted=counted,
        judgement=written(Judgement(moved=tuple((*key, value) for key, value in sorted(counted.items()))))
        if counted
        else None,
    )


def _the_better(folded: Folded, rules: Rules, staying: int, merged: int, counted: Counts) -> AccountChange:
    """The tier after a merge: what both together reach, or the higher of the two for as long as it lasts."""
    change = raised(folded, rules, staying, counted, UNCHANGED)
    ladder, other = rules.programme.ladder, folded.member(merged)
    now = folded.member(staying).tier if isinstance(change.tier, UnsetType) else change.tier
    on_it = not now or ladder.place(now) >= 0
    if not on_it or ladder.place(other.tier) <= ladder.place(now):
        return change
    return AccountChange(tier=other.tier, tier_until=other.tier_until)


def unmerge(folded: Folded, command: Unmerge, minted: Minted, rules: Rules) -> Decision | Rejected:
    """Judge that a merge was a mistake: cards go back, and of each lot and counter what is left of it."""
    refused = rules.refusal(command.partner_id, command.occurred_at, folded.moment.now)
    if refused is not None:
        return refused
    recorded = folded.recorded(command.entry_id)
    if recorded is None or recorded.entry.partner_id != command.partner_id:
        return Rejected("entry_unknown")
    staying, merged = recorded.entry.member_id, recorded.entry.counterpart_id
    if recorded.entry.kind is not EntryKind.MERGE or merged is None:
        return Rejected("not_a_merge")
    if folded.member(merged).merge_id != recorded.entry.entry_id:
        return Rejected("already_unmerged")
    # ---- valid from here ----
    entry = draft(folded, command, minted, rules, EntryKind.UNMERGE, staying)
    entry = msgspec.structs.replace(entry, counterpart_id=merged)
    window_id = folded.moment.window_id
    came = [p for p in recorded.postings if p.debit is AccountKind.TRANSIT]
    of_points = [p for p in came if p.unit is Unit.POINTS]
    leaving, arriving = _moved(_left_of(of_points, folded.lots(staying), staying), window_id)
    of_status = [p for p in came if p.unit is Unit.STATUS]
    status = _left_of(of_status, folded.member(staying).status, staying)
    parted, joined = _moved(status, window_id, Unit.STATUS, len(leaving) + 1)
    leaving, arriving = (*leaving, *parted), (*arriving, *joined)
    back = {
        (name, period): min(value, max(0, folded.counter(staying, name, period)))
        for name, period, value in judgement_of(recorded).moved
    }
    owed = _still_owed(recorded.postings, folded.member(staying).deficits)
    its = transfer(entry, merged)
    lines = list(enumerate(owed, start=len(leaving) + 1))
    return Decision(
        entry=entry,
        postings=(
            *leaving,
            *(owed_posting(one, one.points, line, window_id, cures=True) for line, one in lines),
        ),
        cured=tuple(owed),
        linked=(
            Decision(
                entry=its,
                postings=(
                    *arriving,
                    *(owed_posting(one, one.points, line, window_id, cures=False) for line, one in lines),
                ),
                deficits=tuple(msgspec.structs.replace(one, entry_id=its.entry_id) for one in owed),
                account=raised(folded, rules, merged, back, AccountChange(merged_into=None, merge_id=None)),
                counted=back,
            ),
        ),
        cards=CardMove(issued_to=merged, before=staying, after=merged),
        counted={key: -value for key, value in back.items()},
    )


def _still_owed(merge: Sequence[Posting], deficits: Sequence[Deficit]) -> list[Deficit]:
    """Of each deficit that a merge moved, what is still open, and at most what came."""
    found = {(one.issuer_id, one.terms_version): one for one in deficits}
    owed = []
    for posting in merge:
        one = found.get((posting.issuer_id, posting.issuer_terms))
        if posting.debit is AccountKind.DEFICIT and one is not None:
            owed.append(msgspec.structs.replace(one, points=min(one.points, posting.points)))
    return owed


def _left_of(came: Sequence[Posting], lots: Sequence[Lot], member_id: int) -> list[Draw]:
    """Of each lot that postings fed, what is left of it now, and at most what came."""
    there = {lot_key(lot): lot for lot in lots}
    left = {key: lot.remaining for key, lot in there.items()}
    draws = []
    for posting in came:
        key = (posting.issuer_id, posting.issuer_terms, posting.spendable_on, posting.expires_on)
        points = min(posting.points, left.get(key, 0))
        if points:
            left[key] -= points
            draws.append(Draw(member_id, there[key], points))
    return draws
