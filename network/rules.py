"""What every rule may look at: the live rules, and the state folded so far (pure)."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from network.draw import lot_key, spendable_points
from network.errors import InvariantBroken
from network.model import (
    AccountKind,
    Decision,
    HoldState,
    LedgerState,
    Lot,
    Moment,
    Posting,
    RecordedEntry,
    Rejected,
    Reversed,
)
from network.programme.compiled import Programme
from partners.model import Directory, Terms
from partners.terms import terms_on

MOST_POINTS = 10**12
"""Of one sale; a night sums some millions of them within 64 bits."""
OLDEST = timedelta(days=30)
"""A till may report a sale this late."""
FURTHEST_AHEAD = timedelta(minutes=10)
"""A till's clock may run ahead this far."""


def is_timely(occurred_at: datetime, now: datetime) -> Rejected | None:
    """Why something cannot be taken for when it happened; None where it can."""
    if occurred_at > now + FURTHEST_AHEAD:
        return Rejected("occurred_in_future")
    if occurred_at < now - OLDEST:
        return Rejected("occurred_too_long_ago")
    return None


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """The live rules of the network, one immutable snapshot per batch."""

    directory: Directory
    programme: Programme
    programmes: Mapping[int, Programme]
    time_zone: ZoneInfo

    def local_date(self, at: datetime) -> date:
        """The day an instant falls on in the network's time zone."""
        return at.astimezone(self.time_zone).date()

    def inactive(self, partner_id: int) -> Rejected | None:
        """Why a partner cannot act in the network; None where it can."""
        participant = self.directory.participants.get(partner_id)
        if participant is None:
            return Rejected("partner_unknown")  # its key is newer than these rules
        return None if participant.status == "active" else Rejected("partner_not_active")

    def terms_at_sale(
        self, partner_id: int, outlet_code: str, currency: str, occurred_at: datetime, now: datetime
    ) -> Terms | Rejected:
        """The terms that price what happened at a till, or why it cannot be taken.

        Source: terms go by occurred_at in the network's time zone, at most 30 days back and 10 minutes ahead.
        """
        timely = is_timely(occurred_at, now)
        if isinstance(timely, Rejected):
            return timely
        inactive = self.inactive(partner_id)
        if inactive is not None:
            return inactive
        if (partner_id, outlet_code) not in self.directory.outlets:
            return Rejected("outlet_unknown")
        terms = terms_on(self.directory.terms.get(partner_id, ()), self.local_date(occurred_at))
        if terms is None:
            return Rejected("no_contract_terms")
        if terms.currency != currency:
            return Rejected("currency_not_contracted")
        return terms


class Folded:
    """The state a command sees: what was loaded, and what its predecessors in the batch did to it.

    What is available is always derived from here, never carried beside it.
    """

    def __init__(self, loaded: LedgerState, today: date | None = None) -> None:
        """`today` is the network-local date; without it the business date."""
        self._loaded = loaded
        self._today = loaded.moment.business_date if today is None else today
        self.moment: Moment = loaded.moment
        self._balances = {member_id: member.balance for member_id, member in loaded.members.items()}
        self._lots = {
            member_id: {lot_key(lot): lot for lot in member.lots}
            for member_id, member in loaded.members.items()
            if member.lots is not None
        }
        self._recorded = dict(loaded.recorded)

    def member_of_card(self, card_number: int) -> int | Rejected:
        """The member behind a card that may be used."""
        card = self._loaded.cards.get(card_number)
        if card is None:
            return Rejected("card_unknown")
        return card.member_id if card.active else Rejected("card_blocked")

    def lots(self, member_id: int) -> Sequence[Lot]:
        """A member's lots; loaded for every member whose points a command may take or return."""
        return tuple(self._lots[member_id].values())

    def balance(self, member_id: int, on: date) -> int:
        """Points a member can spend. Where lots are not loaded, none of them is dead or pending."""
        if member_id in self._lots:
            return spendable_points(self.lots(member_id), on)
        return self._balances[member_id]

    def recorded(self, entry_id: UUID) -> RecordedEntry | None:
        """An entry a command refers to, loaded or made earlier in this batch."""
        return self._recorded.get(entry_id)

    def apply(self, decision: Decision) -> None:
        """Take a decision into account for the commands that follow."""
        entry = decision.entry
        member_id = entry.member_id
        if decision.enrolled is not None:
            self._balances[member_id] = 0
            self._lots[member_id] = {}
        for posting in decision.postings:
            change = lot_change(posting)
            if posting.spendable_on <= self._today:
                self._balances[member_id] += change
            if member_id in self._lots:
                self._change_lot(member_id, posting, change)
        hold = None if decision.lapses_at is None else HoldState(lapses_at=decision.lapses_at)
        self._recorded[entry.entry_id] = RecordedEntry(entry=entry, postings=decision.postings, hold=hold)
        if entry.reverses is not None:
            original = self._recorded[entry.reverses]
            self._recorded[entry.reverses] = msgspec.structs.replace(
                original,
                reversed=Reversed(
                    points=original.reversed.points + abs(entry.points),
                    amount_minor=original.reversed.amount_minor + entry.amount_minor,
                ),
            )
        if entry.hold_id is not None:
            held = self._recorded[entry.hold_id]
            self._recorded[entry.hold_id] = msgspec.structs.replace(held, hold=hold_after(held, decision))

    def _change_lot(self, member_id: int, posting: Posting, change: int) -> None:
        key = (posting.issuer_id, posting.issuer_terms, posting.spendable_on, posting.expires_on)
        known = self._lots[member_id].get(key)
        remaining = change if known is None else known.remaining + change
        self._lots[member_id][key] = Lot(*key, remaining)


def lot_change(posting: Posting) -> int:
    """What a posting adds to (or takes from) the member's lot it names."""
    if posting.credit is AccountKind.MEMBER:
        return posting.points
    if posting.debit is AccountKind.MEMBER:
        return -posting.points
    return 0


def hold_after(held: RecordedEntry, decision: Decision) -> HoldState:
    """How far a hold is after an entry that captured or returned part of it."""
    if held.hold is None:
        raise InvariantBroken(f"entry {held.entry.entry_id} is no hold")
    captured, returned = hold_change(decision)
    return msgspec.structs.replace(
        held.hold, captured=held.hold.captured + captured, returned=held.hold.returned + returned
    )


def hold_change(decision: Decision) -> tuple[int, int]:
    """Points that an entry captured from its hold, and points that it returned."""
    captured = sum(p.points for p in decision.postings if p.credit is AccountKind.ACCEPTED)
    return captured, sum(p.points for p in decision.postings if p.credit is AccountKind.MEMBER)
