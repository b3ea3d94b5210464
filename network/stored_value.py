"""Stored value: money is loaded, spent, paid back, and what was spent comes back (pure).

It is never points: its postings are of units of their own, in minor units of the currency of the issuer's
terms, and its issuer is who took the money. Each day's loads are a lot, and with them what was given on top,
which is of another unit, is spent after them, and is never paid out in money.
"""

from collections.abc import Sequence
from datetime import date, timedelta

import msgspec

from network.commands import LoadValue, Merge, RefundValue, Reverse, SpendValue
from network.draft import activity, coming_back, draft, draft_at_till
from network.draw import parts
from network.model import IMMEDIATELY, NEVER, STORED, AccountKind, EntryKind, Posting, Unit, ValueLot
from network.outcomes import UNCHANGED, Decision, Minted, RecordedEntry, Rejected
from network.programme.offers import StoredValue, ValueBonus
from network.rules import Folded, Rules

VALUED = (LoadValue, SpendValue, RefundValue, Reverse, Merge)
"""Commands that look at the stored value of their members."""
VALUE_KINDS = (EntryKind.LOAD, EntryKind.SPEND)
"""Entries of stored value that can be reversed."""


def load_value(folded: Folded, command: LoadValue, minted: Minted, rules: Rules) -> Decision | Rejected:
    """Judge a load: the till's partner issues it, and owes it at night; what is on top its funder does."""
    terms = rules.terms_at_sale(
        command.partner_id, command.outlet_code, command.currency, command.occurred_at, folded.moment.now
    )
    if isinstance(terms, Rejected):
        return terms
    ended = rules.issues_no_more(command.partner_id, command.occurred_at)
    if ended is not None:
        return ended
    offered = rules.programme.stored_value
    if offered is None or offered.currency != command.currency:
        return Rejected("stored_value_not_offered")
    if offered.loads_at is not None and command.partner_id not in offered.loads_at:
        return Rejected("stored_value_not_here")
    if not offered.least_minor <= command.amount_minor <= offered.most_minor:
        return Rejected("load_out_of_range")
    member_id = folded.member_of_card(command.card_number)
    if isinstance(member_id, Rejected):
        return member_id
    bonus, funder_terms = _bonus(offered, command, rules, terms.terms_version)
    on_top = 0 if bonus is None else bonus.value_minor
    there = sum(lot.remaining for lot in folded.value(member_id))
    if there + command.amount_minor + on_top > offered.most_balance_minor:
        return Rejected("stored_value_full")
    # ---- valid from here ----
    paid = Posting(
        line=1,
        debit=AccountKind.ISSUED,
        credit=AccountKind.MEMBER,
        points=command.amount_minor,
        issuer_id=command.partner_id,
        issuer_terms=terms.terms_version,
        spendable_on=folded.today,
        expires_on=NEVER,
        window_id=folded.moment.window_id,
        unit=Unit.VALUE,
    )
    postings = [paid]
    if bonus is not None:
        funded = {"issuer_id": bonus.funder_id or command.partner_id, "issuer_terms": funder_terms, "line": 2}
        if on_top:
            postings.append(msgspec.structs.replace(paid, points=on_top, unit=Unit.BONUS, **funded))
        else:
            expiry = rules.programme.expiry_rule(folded.member(member_id).tier)
            postings.append(
                msgspec.structs.replace(
                    paid,
                    points=bonus.points,
                    unit=Unit.POINTS,
                    spendable_on=IMMEDIATELY,
                    expires_on=expiry.expires_on(folded.today),
                    **funded,
                )
            )
    return Decision(
        entry=draft_at_till(folded, command, minted, rules, EntryKind.LOAD, member_id),
        postings=tuple(postings),
        # points that live with activity would be dead at once, at a member that never did anything else
        account=activity(folded, rules, member_id) if postings[-1].unit is Unit.POINTS else UNCHANGED,
    )


def _bonus(
    offered: StoredValue, command: LoadValue, rules: Rules, own_terms: int
) -> tuple[ValueBonus | None, int]:
    """What a load gives on top, and its funder's terms; nothing where the funder cannot pay that day."""
    bonus = offered.bonus_for(command.amount_minor)
    if bonus is None or bonus.funder_id in (0, command.partner_id):
        return bonus, own_terms
    terms = rules.contract(bonus.funder_id, command.occurred_at)
    if (
        terms is None
        or terms.currency != command.currency
        or bonus.funder_id in rules.at_cap
        or rules.inactive(bonus.funder_id) is not None
        or rules.issues_no_more(bonus.funder_id, command.occurred_at) is not None
    ):
        return None, 0
    return bonus, terms.terms_version


def spend_value(folded: Folded, command: SpendValue, minted: Minted, rules: Rules) -> Decision | Rejected:
    """Judge a spend: the oldest load first, paid value before what was given on top of it.

    It goes on where the live programme has no stored value any more: the money is the member's.
    """
    terms = rules.terms_at_sale(
        command.partner_id, command.outlet_code, command.currency, command.occurred_at, folded.moment.now
    )
    if isinstance(terms, Rejected):
        return terms
    ended = rules.accepts_no_more(command.partner_id, command.occurred_at)
    if ended is not None:
        return ended
    offered = rules.programme.stored_value
    if offered is not None and offered.spends_at is not None and command.partner_id not in offered.spends_at:
        return Rejected("stored_value_not_here")
    member_id = folded.member_of_card(command.card_number, spending=True)
    if isinstance(member_id, Rejected):
        return member_id
    draws = _draw(sorted(_in(folded, member_id, command.currency, rules), key=_age), command.amount_minor)
    if draws is None:
        return Rejected("insufficient_value")
    # ---- valid from here ----
    accepted = (command.partner_id, terms.terms_version)
    return Decision(
        entry=draft_at_till(folded, command, minted, rules, EntryKind.SPEND, member_id),
        postings=_taken(draws, AccountKind.ACCEPTED, folded.moment.window_id, accepted),
    )


def refund_value(folded: Folded, command: RefundValue, minted: Minted, rules: Rules) -> Decision | Rejected:
    """Judge a refund: the till's partner pays the member, and gets it at night like one that honours value.

    The newest load first. What was given on top of a load that is touched goes back to who paid for it.
    """
    terms = rules.terms_at_sale(
        command.partner_id, command.outlet_code, command.currency, command.occurred_at, folded.moment.now
    )
    if isinstance(terms, Rejected):
        return terms
    offered = rules.programme.stored_value
    if offered is not None and offered.loads_at is not None and command.partner_id not in offered.loads_at:
        return Rejected("stored_value_not_here")
    member_id = folded.member_of_card(command.card_number, spending=True)
    if isinstance(member_id, Rejected):
        return member_id
    lots = _in(folded, member_id, command.currency, rules)
    can = refundable(lots, offered, folded.today)
    draws = _draw(sorted(can, key=_age, reverse=True), command.amount_minor)
    if draws is None:
        return Rejected("not_refundable")
    # ---- valid from here ----
    days = {lot.loaded_on for lot, _ in draws}
    ends = [
        (lot, lot.remaining) for lot in sorted(lots, key=_age) if _is_bonus(lot) and lot.loaded_on in days
    ]
    window_id = folded.moment.window_id
    paid = _taken(draws, AccountKind.ACCEPTED, window_id, (command.partner_id, terms.terms_version))
    return Decision(
        entry=draft_at_till(folded, command, minted, rules, EntryKind.REFUND, member_id),
        postings=(*paid, *_taken(ends, AccountKind.ISSUED, window_id, first_line=len(paid) + 1)),
    )


def refundable(lots: Sequence[ValueLot], offered: StoredValue | None, today: date) -> list[ValueLot]:
    """What of a member's stored value is paid back on a day; all of it where none is offered any more.

    Args:
        lots: All that it has of one currency.
        offered: The live programme's.
        today: The network-local date.
    """
    paid = [lot for lot in lots if lot.unit is Unit.VALUE]
    if offered is None or offered.refund == "always":
        return paid
    if sum(lot.remaining for lot in paid) < offered.refund_below_minor:
        return paid
    if offered.refund == "never":
        return []
    return [lot for lot in paid if lot.loaded_on + timedelta(days=offered.refund_days) >= today]


def undo_value(
    folded: Folded, command: Reverse, recorded: RecordedEntry, minted: Minted, rules: Rules
) -> Decision | Rejected:
    """Judge the reversal of a load, whole and by who took the money; or of a spend, by its amount."""
    if command.points is not None or command.lines:
        return Rejected("sales_are_reversed_by_amount")
    entry = recorded.entry
    left = entry.amount_minor - recorded.reversed.amount_minor
    if left == 0:
        return Rejected("entry_already_reversed")
    amount = left if command.amount_minor is None else command.amount_minor
    if amount > left:
        return Rejected("more_than_is_left")
    is_load = entry.kind is EntryKind.LOAD
    if is_load and command.partner_id != entry.partner_id:
        return Rejected("entry_unknown")
    if is_load and amount != left:
        return Rejected("loads_are_reversed_whole")
    undone = draft(
        folded,
        command,
        minted,
        rules,
        EntryKind.REVERSAL,
        entry.member_id,
        amount_minor=amount,
        currency=entry.currency,
        outlet_code=entry.outlet_code,
    )
    undone = msgspec.structs.replace(undone, reverses=entry.entry_id)
    if not is_load:
        back = parts(tuple(reversed(recorded.postings)), recorded.reversed.amount_minor, amount)
        postings = coming_back(folded, rules, entry.member_id, back, AccountKind.ACCEPTED, reverses=True)
        return Decision(entry=undone, postings=postings)
    given = (AccountKind.ISSUED, AccountKind.MEMBER)
    loaded = [one for one in recorded.postings if (one.debit, one.credit) == given]
    if not all(_still_there(folded, entry.member_id, one) for one in loaded):
        return Rejected("value_already_spent")
    return Decision(
        entry=undone,
        postings=tuple(
            msgspec.structs.replace(
                one,
                debit=AccountKind.MEMBER,
                credit=AccountKind.ISSUED,
                window_id=folded.moment.window_id,
                reversed_window_id=one.window_id,
            )
            for one in loaded
        ),
    )


def _still_there(folded: Folded, member_id: int, posting: Posting) -> bool:
    """Whether what a posting of a load gave is still in the lot that it fed."""
    key = (posting.issuer_id, posting.issuer_terms, posting.spendable_on)
    if posting.unit in STORED:
        return any(
            lot.unit is posting.unit
            and (lot.issuer_id, lot.terms_version, lot.loaded_on) == key
            and lot.remaining >= posting.points
            for lot in folded.value(member_id)
        )
    return any(
        (lot.issuer_id, lot.terms_version, lot.spendable_on, lot.expires_on) == (*key, posting.expires_on)
        and lot.remaining >= posting.points
        for lot in folded.lots(member_id)
    )


def _in(folded: Folded, member_id: int, currency: str, rules: Rules) -> list[ValueLot]:
    """A member's stored value of one currency."""
    known = {
        (partner_id, one.terms_version): one.currency
        for partner_id in {lot.issuer_id for lot in folded.value(member_id)}
        for one in rules.directory.terms.get(partner_id, ())
    }
    return [
        lot for lot in folded.value(member_id) if known.get((lot.issuer_id, lot.terms_version)) == currency
    ]


def _is_bonus(lot: ValueLot) -> bool:
    return lot.unit is Unit.BONUS


def _age(lot: ValueLot) -> tuple[date, Unit, int, int]:
    return (lot.loaded_on, lot.unit, lot.issuer_id, lot.terms_version)


def _draw(ordered: Sequence[ValueLot], minor: int) -> list[tuple[ValueLot, int]] | None:
    """Lots one after another until they come to an amount; None where they do not."""
    if sum(lot.remaining for lot in ordered) < minor:
        return None
    draws = []
    for lot in ordered:
        taken = min(lot.remaining, minor)
        minor -= taken
        if taken:
            draws.append((lot, taken))
    return draws


def _taken(
    draws: Sequence[tuple[ValueLot, int]],
    credit: AccountKind,
    window_id: int,
    acceptor: tuple[int, int] | None = None,
    first_line: int = 1,
) -> tuple[Posting, ...]:
    """Draws as postings MEMBER → credit."""
    acceptor_id, acceptor_terms = (None, None) if acceptor is None else acceptor
    return tuple(
        Posting(
            line=line,
            debit=AccountKind.MEMBER,
            credit=credit,
            points=minor,
            issuer_id=lot.issuer_id,
            issuer_terms=lot.terms_version,
            spendable_on=lot.loaded_on,
            expires_on=NEVER,
            acceptor_id=acceptor_id,
            acceptor_terms=acceptor_terms,
            window_id=window_id,
            unit=lot.unit,
        )
        for line, (lot, minor) in enumerate(draws, start=first_line)
    )
