"""From what a rule wants to a whole decision: transfers, cures, and what the entry says of them (pure).

A rule says which points move, as if every lot it touches were its own member's; `completed` does the rest.
"""

from collections.abc import Sequence

import msgspec

from network import ids
from network.commands import Accrue, BuyPlan, Command, Hold, LoadValue, Redeem, RefundValue, SpendValue
from network.draw import Draw
from network.errors import NotRead
from network.expiry import expiry_of_returned
from network.model import IMMEDIATELY, NEVER, AccountKind, Entry, EntryKind, Posting, Unit
from network.outcomes import UNCHANGED, AccountChange, Decision, Deficit, Minted
from network.rules import Folded, Rules, lot_change, open_deficits

_MOVES_WITHOUT_CREDIT = frozenset({EntryKind.UNMERGE})
"""Entries whose credits are no new points, so that they cure nothing."""


def draft(
    folded: Folded,
    command: Command,
    minted: Minted,
    rules: Rules,
    kind: EntryKind,
    member_id: int,
    *,
    amount_minor: int = 0,
    currency: str | None = None,
    outlet_code: str | None = None,
) -> Entry:
    """An entry that says all but what its postings will: points and balance."""
    return Entry(
        entry_id=minted.entry_id,
        member_id=member_id,
        kind=kind,
        partner_id=command.partner_id,
        reference=command.reference,
        window_id=folded.moment.window_id,
        programme_version=rules.programme.version,
        points=0,
        balance_after=0,
        amount_minor=amount_minor,
        currency=currency,
        outlet_code=outlet_code,
        occurred_at=command.occurred_at,
        recorded_at=folded.moment.now,
    )


def draft_at_till(
    folded: Folded,
    command: Accrue | Redeem | Hold | LoadValue | SpendValue | RefundValue | BuyPlan,
    minted: Minted,
    rules: Rules,
    kind: EntryKind,
    member_id: int,
) -> Entry:
    """The same, of what happens at a till: with its amount, currency and outlet."""
    return draft(
        folded,
        command,
        minted,
        rules,
        kind,
        member_id,
        amount_minor=command.amount_minor,
        currency=command.currency,
        outlet_code=command.outlet_code,
    )


def activity(folded: Folded, rules: Rules, member_id: int) -> AccountChange:
    """What earning or spending today does for points that live with activity."""
    member = folded.member(member_id)
    until = rules.programme.expiry_rule(member.tier).active_until(folded.today)
    if until is None or until <= member.active_until:
        return UNCHANGED
    return AccountChange(active_until=until)


def drawn(
    draws: Sequence[Draw],
    member_id: int,
    credit: AccountKind,
    window_id: int,
    acceptor: tuple[int, int] | None = None,
    reversed_window_id: int | None = None,
    first_line: int = 1,
    category: int = 0,
) -> tuple[Posting, ...]:
    """Draws as postings MEMBER → credit; another's name their contributor."""
    acceptor_id, acceptor_terms = (None, None) if acceptor is None else acceptor
    return tuple(
        Posting(
            line=line,
            debit=AccountKind.MEMBER,
            credit=credit,
            points=draw.points,
            issuer_id=draw.lot.issuer_id,
            issuer_terms=draw.lot.terms_version,
            spendable_on=draw.lot.spendable_on,
            expires_on=draw.lot.expires_on,
            acceptor_id=acceptor_id,
            acceptor_terms=acceptor_terms,
            category=category,
            window_id=window_id,
            reversed_window_id=reversed_window_id,
            contributor_id=None if draw.member_id == member_id else draw.member_id,
        )
        for line, draw in enumerate(draws, start=first_line)
    )


def coming_back(
    folded: Folded,
    rules: Rules,
    member_id: int,
    aside: Sequence[tuple[Posting, int]],
    debit: AccountKind,
    *,
    reverses: bool = False,
) -> tuple[Posting, ...]:
    """Parts of what earlier postings took, as postings debit → MEMBER of whoever has the owner's points now.

    Args:
        member_id: The entry's member.
        aside: The earlier postings, each with the points that come back of it.
        debit: Where the points are.
        reverses: Whether this undoes what those postings cost.
    """
    postings = []
    for line, (earlier, points) in enumerate(aside, start=1):
        owner = folded.owner(member_id if earlier.contributor_id is None else earlier.contributor_id)
        postings.append(
            msgspec.structs.replace(
                earlier,
                line=line,
                debit=debit,
                credit=AccountKind.MEMBER,
                points=points,
                expires_on=earlier.expires_on
                if folded.lives(earlier.expires_on, owner)
                else expiry_of_returned(folded.today, rules.programme.grace_days),
                window_id=folded.moment.window_id,
                reversed_window_id=earlier.window_id if reverses else None,
                contributor_id=None if owner == member_id else owner,
            )
        )
    return tuple(postings)


def transfer(parent: Entry, member_id: int) -> Entry:
    """Another member's entry that belongs to one."""
    return msgspec.structs.replace(
        parent,
        entry_id=ids.sibling(parent.entry_id, member_id),
        member_id=member_id,
        kind=EntryKind.TRANSFER,
        reference=f"transfer {parent.entry_id.hex}",
        amount_minor=0,
        currency=None,
        outlet_code=None,
        reverses=None,
        hold_id=None,
        parent_id=parent.entry_id,
        counterpart_id=parent.member_id,
    )


def completed(folded: Folded, decision: Decision, rules: Rules) -> Decision:
    """A decision whose points move through TRANSIT where they must, cure deficits, and are counted."""
    for posting in decision.postings:
        if posting.contributor_id is not None:
            decision = _shared(decision)
            break
    if decision.linked:
        cures = decision.entry.kind not in _MOVES_WITHOUT_CREDIT
        linked = tuple(_counted(folded, _cured(folded, one, rules, cures=cures)) for one in decision.linked)
        decision = msgspec.structs.replace(decision, linked=linked)
    return _counted(folded, _cured(folded, decision, rules))


def _shared(decision: Decision) -> Decision:
    """What the entry does to other members' lots goes through TRANSIT, and stands in entries of their own."""
    own = []
    linked = {one.entry.member_id: one for one in decision.linked}
    for posting in decision.postings:
        other = posting.contributor_id
        if other is None or AccountKind.MEMBER not in (posting.debit, posting.credit):
            own.append(posting)
            continue
        comes = posting.credit is AccountKind.MEMBER
        side = {"credit" if comes else "debit": AccountKind.TRANSIT}
        own.append(msgspec.structs.replace(posting, **side))
        its = msgspec.structs.replace(
            posting,
            **{"debit" if comes else "credit": AccountKind.TRANSIT},
            acceptor_id=None,
            acceptor_terms=None,
            category=0,
            reversed_window_id=None,
            contributor_id=None,
        )
        before = linked.get(other) or Decision(entry=transfer(decision.entry, other))
        postings = sorted((*before.postings, its), key=lambda one: one.line)
        linked[other] = msgspec.structs.replace(before, postings=tuple(postings))
    return msgspec.structs.replace(decision, postings=tuple(own), linked=tuple(linked.values()))


def _cured(folded: Folded, decision: Decision, rules: Rules, *, cures: bool = True) -> Decision:
    """New points pay what the member owes, the oldest first; the acceptor is who is owed."""
    if decision.enrolled is not None or not cures:
        return decision
    deficits = folded.member(decision.entry.member_id).deficits
    if not deficits and not decision.deficits:
        return decision
    owed = open_deficits([*deficits, *decision.deficits], ())
    credited = [p for p in decision.postings if p.credit is AccountKind.MEMBER and p.unit is Unit.POINTS]
    unused = [p.points for p in credited]
    line = max((p.line for p in decision.postings), default=0)
    postings: list[Posting] = []
    cured: list[Deficit] = []
    for deficit in owed:
        left = deficit.points
        for place, posting in enumerate(credited):
            points = min(left, unused[place])
            if points == 0:
                continue
            left -= points
            unused[place] -= points
            postings += _cure(posting, deficit, points, line, folded, rules)
            line += 2
            cured.append(msgspec.structs.replace(deficit, points=points))
    return msgspec.structs.replace(
        decision, postings=(*decision.postings, *postings), cured=(*decision.cured, *cured)
    )


def _cure(
    credit: Posting, deficit: Deficit, points: int, line: int, folded: Folded, rules: Rules
) -> tuple[Posting, Posting]:
    terms = rules.contract(deficit.issuer_id, folded.moment.now)
    if terms is None:
        raise NotRead(f"points of partner {deficit.issuer_id} are owed, whose terms are not read yet")
    paid = msgspec.structs.replace(
        credit,
        line=line + 1,
        debit=AccountKind.MEMBER,
        credit=AccountKind.ACCEPTED,
        points=points,
        acceptor_id=deficit.issuer_id,
        acceptor_terms=terms.terms_version,
        category=0,
        reversed_window_id=None,
        contributor_id=None,
    )
    return paid, owed_posting(deficit, points, line + 2, folded.moment.window_id, cures=True)


def owed_posting(deficit: Deficit, points: int, line: int, window_id: int, *, cures: bool) -> Posting:
    """ISSUED → DEFICIT, which cures, or DEFICIT → ISSUED: no member's lot, so its days are neutral."""
    accounts = (AccountKind.ISSUED, AccountKind.DEFICIT)
    debit, credit = accounts if cures else accounts[::-1]
    return Posting(
        line=line,
        debit=debit,
        credit=credit,
        points=points,
        issuer_id=deficit.issuer_id,
        issuer_terms=deficit.terms_version,
        spendable_on=IMMEDIATELY,
        expires_on=NEVER,
        window_id=window_id,
    )


def _counted(folded: Folded, decision: Decision) -> Decision:
    """The entry says how its postings change what the member has, and what it can spend then."""
    if decision.enrolled is not None:
        return decision
    member_id = decision.entry.member_id
    points, after = 0, folded.balance(member_id, decision.account)
    for posting in decision.postings:
        change = lot_change(posting)
        points += change
        # dead lots that the sweep has not come to may move too: into a merge, and out of it
        if change and posting.spendable_on <= folded.today <= folded.until(posting, member_id, decision):
            after += change
    entry = msgspec.structs.replace(decision.entry, points=points, balance_after=after)
    return msgspec.structs.replace(decision, entry=entry)
