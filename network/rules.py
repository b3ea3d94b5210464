"""What every rule may look at: the live rules, and the state folded so far (pure)."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from msgspec import UnsetType

from network.caps import Caps
from network.commands import Accrue, Command, Hold, Redeem
from network.draw import lot_key
from network.model import (
    STORED,
    WITH_ACTIVITY,
    AccountKind,
    EntryKind,
    Lot,
    Membership,
    Posting,
    Unit,
    ValueLot,
)
from network.outcomes import (
    UNCHANGED,
    AccountChange,
    Decision,
    Deficit,
    HoldState,
    InvitationState,
    LedgerState,
    LineState,
    MatchState,
    MemberState,
    Minted,
    Moment,
    RecordedEntry,
    Rejected,
    Retried,
    Reversed,
)
from network.programme.compiled import Programme
from network.programme.counters import OF_RULES
from partners.model import Directory, Terms
from partners.terms import terms_on

RETRYING = (Accrue, Redeem, Hold)
"""Commands that may name a refused request that they try again."""
MOST_POINTS = 10**12
"""Of one sale; a night sums some millions of them within 64 bits."""
OLDEST = timedelta(days=30)
"""A till may report a sale this late."""
FURTHEST_AHEAD = timedelta(minutes=10)
"""A till's clock may run ahead this far."""


def is_timely(occurred_at: datetime, now: datetime, oldest: timedelta = OLDEST) -> Rejected | None:
    """Why something cannot be taken for when it happened; None where it can."""
    if occurred_at > now + FURTHEST_AHEAD:
        return Rejected("occurred_in_future")
    if occurred_at < now - oldest:
        return Rejected("occurred_too_long_ago")
    return None


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """The live rules of the network, one immutable snapshot per batch.

    `versions`: the first day of each version of the programme, in order, where there are several. `at_cap`:
    partners for whose points no room is left, while one command is judged again (network.exposure.Guard).
    """

    directory: Directory
    programme: Programme
    programmes: Mapping[int, Programme]
    time_zone: ZoneInfo
    versions: tuple[tuple[date, int], ...] = ()
    caps: Caps = msgspec.field(default_factory=Caps)
    at_cap: frozenset[int] = frozenset()

    def on(self, moment: Moment) -> "Rules":
        """The rules of the day a batch happens on; the same where only one version was ever applied."""
        return self.on_day(self.local_date(moment.now))

    def on_day(self, today: date) -> "Rules":
        """The rules of a local day."""
        if not self.versions:
            return self
        live = [version for effective_on, version in self.versions if effective_on <= today]
        if not live or live[-1] == self.programme.version:
            return self
        return msgspec.structs.replace(self, programme=self.programmes[live[-1]])

    def local_date(self, at: datetime) -> date:
        """The day an instant falls on in the network's time zone."""
        return at.astimezone(self.time_zone).date()

    def inactive(self, partner_id: int) -> Rejected | None:
        """Why a partner cannot act in the network; None where it can."""
        participant = self.directory.participants.get(partner_id)
        if participant is None:
            return Rejected("partner_unknown")  # its key is newer than these rules
        return None if participant.status == "active" else Rejected("partner_not_active")

    def issues_no_more(self, partner_id: int, at: datetime) -> Rejected | None:
        """Why a partner cannot issue points for what happened at an instant, if it is leaving."""
        leaving = self.directory.exits.get(partner_id)
        if leaving is None or self.local_date(at) <= leaving.last_earn_on:
            return None
        return Rejected("partner_issues_no_more")

    def accepts_no_more(self, partner_id: int, at: datetime) -> Rejected | None:
        """Why a partner cannot accept points for what happened at an instant, if it is leaving."""
        leaving = self.directory.exits.get(partner_id)
        if leaving is None or self.local_date(at) <= leaving.last_burn_on:
            return None
        return Rejected("partner_accepts_no_more")

    def contract(self, partner_id: int, at: datetime) -> Terms | None:
        """A partner's terms in force on the day of an instant."""
        return terms_on(self.directory.terms.get(partner_id, ()), self.local_date(at))

    def refusal(self, partner_id: int, occurred_at: datetime, now: datetime) -> Rejected | None:
        """Why nothing can be taken from a partner for when it happened; None where it can."""
        return is_timely(occurred_at, now) or self.inactive(partner_id)

    def terms_at_sale(
        self,
        partner_id: int,
        outlet_code: str,
        currency: str,
        occurred_at: datetime,
        now: datetime,
        oldest: timedelta = OLDEST,
    ) -> Terms | Rejected:
        """The terms that price what happened at a till, or why it cannot be taken.

        Source: terms go by occurred_at in the network's time zone, at most 30 days back, or as many as the
        contract says if they are fewer, and 10 minutes ahead. A claim has `oldest`.
        """
        refused = is_timely(occurred_at, now, oldest) or self.inactive(partner_id)
        if refused is not None:
            return refused
        if (partner_id, outlet_code) not in self.directory.outlets:
            return Rejected("outlet_unknown")
        terms = self.contract(partner_id, occurred_at)
        if terms is None:
            return Rejected("no_contract_terms")
        if (
            terms.late_days < OLDEST.days
            and oldest is OLDEST
            and occurred_at < now - timedelta(days=terms.late_days)
        ):
            return Rejected("occurred_too_long_ago")
        if terms.currency != currency:
            return Rejected("currency_not_contracted")
        return terms


class Folded:
    """The state a command sees: what was loaded, and what its predecessors in the batch did to it.

    What is available is always derived from here, never carried beside it.
    """

    def __init__(self, loaded: LedgerState, today: date | None = None) -> None:
        """`today` is the network-local date; without it the business date."""
        self.loaded = loaded
        self._members = dict(loaded.members)
        self._cards = dict(loaded.cards)
        self.today = loaded.moment.business_date if today is None else today
        self.moment: Moment = loaded.moment
        self._balances = {member_id: member.balance for member_id, member in loaded.members.items()}
        self._lots = {
            member_id: {lot_key(lot): lot.remaining for lot in member.lots}
            for member_id, member in loaded.members.items()
            if member.lots is not None
        }
        self._value = {
            member_id: {value_key(lot): lot.remaining for lot in member.value}
            for member_id, member in loaded.members.items()
            if member.value
        }
        self._memberships = {
            member_id: {one.entry_id: one for one in member.memberships}
            for member_id, member in loaded.members.items()
            if member.memberships
        }
        self._recorded = dict(loaded.recorded)
        self._pools: dict[UUID, set[int]] = {}
        for member in loaded.members.values():
            self._enter_pool(member)
        self._due = {member_id: dict(due) for member_id, due in loaded.due.items()}
        self._counters = dict(loaded.counters)
        self._budgets = dict(loaded.budgets)
        self._used_packs = set(loaded.used_packs)
        self.decided: list[Decision] = []
        """All that was applied, in order."""

    def with_retried(self, retried: Mapping[tuple[int, str], Retried]) -> "Folded":
        """The same, loaded anew, with requests that commands try again."""
        return Folded(msgspec.structs.replace(self.loaded, retried=retried), self.today)

    def with_used(self, packs: frozenset[int]) -> "Folded":
        """The same, loaded anew, with packs whose codes were registered before."""
        return Folded(msgspec.structs.replace(self.loaded, used_packs=packs), self.today)

    # ---- members ----

    def member_behind(self, card_number: int) -> int | None:
        """The member of a card, blocked or not; None where the card is not known."""
        card = self._cards.get(card_number)
        return None if card is None else card.member_id

    def knows(self, member_id: int) -> bool:
        """Whether a member's account is there, and loaded."""
        return member_id in self._members

    def member_of_card(self, card_number: int, *, spending: bool = False) -> int | Rejected:
        """The member behind a card that may be used; `spending`: to take points from it."""
        card = self._cards.get(card_number)
        if card is None:
            return Rejected("card_unknown")
        if spending and card.locked:
            return Rejected("spending_locked")
        return card.member_id if card.active else Rejected("card_blocked")

    def recipient_of_card(self, card_number: int, *, blocked_too: bool = False) -> int | Rejected:
        """The other member of a command, behind its card."""
        card = self._cards.get(card_number)
        if card is None:
            return Rejected("recipient_unknown")
        return card.member_id if card.active or blocked_too else Rejected("recipient_blocked")

    def member(self, member_id: int) -> MemberState:
        """A member's account as it was loaded and has become; its balance and lots are asked for below."""
        return self._members[member_id]

    def owner(self, member_id: int) -> int:
        """Whose account holds what a member's entries once put there: another's, if it has been merged."""
        merged_into = self._members[member_id].merged_into
        return member_id if merged_into is None else merged_into

    def owed(self, member_id: int) -> Sequence[Deficit]:
        """What a member owes, the oldest first."""
        return self._members[member_id].deficits

    def in_pool(self, member_id: int) -> bool:
        """Whether a member, if it is there, is in a pool."""
        return member_id in self._members and self._members[member_id].pool_id is not None

    def pool(self, member_id: int) -> list[int]:
        """The members of a member's pool, itself first; it alone where it is in none."""
        pool_id = self._members[member_id].pool_id
        if pool_id is None:
            return [member_id]
        return [member_id, *sorted(self._pools[pool_id] - {member_id})]

    def _enter_pool(self, member: MemberState) -> None:
        if member.pool_id is not None:
            self._pools.setdefault(member.pool_id, set()).add(member.member_id)

    # ---- points ----

    def lots(self, member_id: int) -> list[Lot]:
        """A member's lots; loaded for every member whose points a command may take or return."""
        active_until = self._members[member_id].active_until
        return [
            Lot(*key, remaining, active_until if key[3] == WITH_ACTIVITY else key[3])
            for key, remaining in self._lots[member_id].items()
        ]

    def value(self, member_id: int) -> list[ValueLot]:
        """A member's stored value, lot by lot; loaded where a command may ask for it."""
        return [
            ValueLot(
                unit=unit,
                issuer_id=issuer_id,
                terms_version=version,
                loaded_on=loaded_on,
                remaining=remaining,
            )
            for (unit, issuer_id, version, loaded_on), remaining in self._value.get(member_id, {}).items()
            if remaining
        ]

    def memberships(self, member_id: int) -> list[Membership]:
        """A member's paid plans, those that are over lately too; loaded where a command or rule may ask."""
        return list(self._memberships.get(member_id, {}).values())

    def membership(self, member_id: int, entry_id: UUID) -> Membership | None:
        """A paid plan by the entry that bought it."""
        return self._memberships.get(member_id, {}).get(entry_id)

    def until(self, posting: Posting, member_id: int, decision: Decision) -> date:
        """The last day of the lot that a posting of a decision names."""
        if posting.expires_on != WITH_ACTIVITY:
            return posting.expires_on
        active = decision.account.active_until
        return self._members[member_id].active_until if isinstance(active, UnsetType) else active

    def lives(self, expires_on: date, owner: int) -> bool:
        """Whether points of a member that expire on a day live today."""
        until = self._members[owner].active_until if expires_on == WITH_ACTIVITY else expires_on
        return until >= self.today

    def balance(self, member_id: int, account: AccountChange = UNCHANGED) -> int:
        """Points a member can spend. Where lots are not loaded, none of them is dead or pending."""
        if member_id not in self._lots:
            return self._balances[member_id]
        active = account.active_until
        until = self._members[member_id].active_until if isinstance(active, UnsetType) else active
        return sum(
            remaining
            for (_, _, spendable_on, expires_on), remaining in self._lots[member_id].items()
            if spendable_on <= self.today <= (until if expires_on == WITH_ACTIVITY else expires_on)
        )

    @property
    def any_due(self) -> bool:
        """Whether any hold that was loaded has come to its end."""
        return bool(self._due)

    def due(self, member_id: int) -> dict[UUID, Minted]:
        """A member's holds that have come to their end, with what was minted to end each."""
        return self._due.get(member_id, {})

    def recorded(self, entry_id: UUID) -> RecordedEntry | None:
        """An entry a command refers to, loaded or made earlier in this batch."""
        return self._recorded.get(entry_id)

    def match(self, match_id: UUID) -> MatchState | None:
        """A match on which a command stakes; None where there is none."""
        return self.loaded.matches.get(match_id)

    def counter(self, member_id: int, name: str, period: date) -> int:
        """What has been counted for a member; loaded for whom a rule asks for it."""
        return self._counters.get((member_id, name, period), 0)

    def counted(self, member_id: int) -> dict[tuple[str, date], int]:
        """All that rules have counted for a member, where a merge has it loaded."""
        return {
            (name, period): value
            for (whose, name, period), value in self._counters.items()
            if whose == member_id and value and name.startswith(OF_RULES)
        }

    def given_by(self, rule_id: str, period: date) -> int:
        """Points that a rule with a budget has given to all members in a period; loaded where it may give."""
        return self._budgets.get((rule_id, period), 0)

    def is_used(self, pack: int) -> bool:
        """Whether the code on a pack was registered before."""
        return pack in self._used_packs

    def retry_refused(self, command: Command) -> Rejected | None:
        """Why a command cannot stand in the place of the request that it tries again, if it names one."""
        if not isinstance(command, RETRYING) or not command.retries:
            return None
        retried = self.loaded.retried.get((command.partner_id, command.retries))
        if retried is None:
            return Rejected("retried_unknown")
        if not retried.refused:
            return Rejected("retried_accepted")
        return Rejected("already_retried") if retried.taken else None

    # ---- what decisions do ----

    def apply(self, decision: Decision) -> None:
        """Take a decision into account for the commands that follow."""
        self.decided.append(decision)
        self._apply_points(decision)
        self._apply_account(decision)
        for one in decision.linked:
            self._apply_points(one)
            self._apply_account(one)
        entry = decision.entry
        self._recorded[entry.entry_id] = RecordedEntry(
            entry=entry,
            postings=decision.postings,
            hold=None if decision.lapses_at is None else HoldState(lapses_at=decision.lapses_at),
            pending=set_aside(decision) if entry.kind is EntryKind.ACCRUAL else 0,
            lines=tuple(map(LineState, decision.lines)),
            invitation=None if decision.invites_to is None else InvitationState(decision.invites_to),
            asked=decision.asked,
            judgement=decision.judgement,
            voucher=decision.voucher if entry.kind is EntryKind.VOUCHER else None,
        )
        if decision.membership is not None:
            bought = self._memberships.setdefault(entry.member_id, {})
            bought[decision.membership.entry_id] = decision.membership
        for one in (decision, *decision.linked):
            for (name, period), change in one.counted.items():
                key = (one.counted_for or one.entry.member_id, name, period)
                self._counters[key] = self._counters.get(key, 0) + change
        if decision.pack is not None:
            self._used_packs.add(decision.pack)
        for budget, change in decision.spent.items():
            self._budgets[budget] = self._budgets.get(budget, 0) + change
        if entry.kind is EntryKind.POOL_JOIN and entry.parent_id is not None:
            self._use_invitation(entry.parent_id)
        if entry.reverses is not None:
            original = self._recorded[entry.reverses]
            self._recorded[entry.reverses] = msgspec.structs.replace(
                original,
                reversed=Reversed(
                    points=original.reversed.points + undone(decision),
                    amount_minor=original.reversed.amount_minor + entry.amount_minor,
                ),
                pending=original.pending - sum(pending_change(decision)),
                lines=tuple(
                    LineState(line.measure, line.returned or number in decision.returned_lines)
                    for number, line in enumerate(original.lines, start=1)
                ),
            )
        if entry.hold_id is not None:
            self._apply_to_aside(entry.hold_id, decision)

    def _apply_to_aside(self, aside_id: UUID, decision: Decision) -> None:
        """What an entry does to the hold, the voucher, or the pending points, that it names."""
        aside = self._recorded[aside_id]
        if aside.voucher is not None:
            self._recorded[aside_id] = msgspec.structs.replace(aside, voucher=decision.voucher)
            return
        if aside.hold is None:
            left = aside.pending - sum(pending_change(decision))
            self._recorded[aside_id] = msgspec.structs.replace(aside, pending=left)
            return
        after = hold_after(aside.hold, decision)
        self._recorded[aside_id] = msgspec.structs.replace(aside, hold=after)
        if after.captured + after.returned == held(aside.postings):
            holder = self._members[aside.entry.member_id]
            self._members[holder.member_id] = msgspec.structs.replace(
                holder, open_holds=holder.open_holds - 1
            )

    def _use_invitation(self, invitation_id: UUID) -> None:
        recorded = self._recorded[invitation_id]
        if recorded.invitation is not None:
            used = InvitationState(recorded.invitation.pool_id, used=True)
            self._recorded[invitation_id] = msgspec.structs.replace(recorded, invitation=used)

    def _apply_points(self, decision: Decision) -> None:
        member_id = decision.entry.member_id
        if decision.enrolled is not None:
            self._members[member_id] = MemberState(member_id=member_id, balance=0, lots=())
            self._balances[member_id] = 0
            self._lots[member_id] = {}
        lots = self._lots.get(member_id)
        for posting in decision.postings:
            change = lot_change(posting)
            if change and posting.spendable_on <= self.today:
                self._balances[member_id] += change
            if posting.unit in STORED and in_lot(posting):
                stored = self._value.setdefault(member_id, {})
                place = (posting.unit, posting.issuer_id, posting.issuer_terms, posting.spendable_on)
                stored[place] = stored.get(place, 0) + in_lot(posting)
            if change and lots is not None:
                key = (posting.issuer_id, posting.issuer_terms, posting.spendable_on, posting.expires_on)
                lots[key] = lots.get(key, 0) + change

    def _apply_account(self, decision: Decision) -> None:
        change = decision.account
        holds = decision.lapses_at is not None
        if change is UNCHANGED and not decision.deficits and not decision.cured and not holds:
            return
        member = self._members[decision.entry.member_id]
        fields = {
            name: value
            for name, value in msgspec.structs.asdict(change).items()
            if not isinstance(value, UnsetType)
        }
        changed = msgspec.structs.replace(
            member,
            **fields,
            deficits=open_deficits([*member.deficits, *decision.deficits], decision.cured),
            open_holds=member.open_holds + holds,
        )
        self._members[member.member_id] = changed
        if changed.pool_id != member.pool_id:
            if member.pool_id is not None:
                self._pools[member.pool_id].discard(member.member_id)
            self._enter_pool(changed)


def open_deficits(deficits: Iterable[Deficit], cured: Iterable[Deficit]) -> tuple[Deficit, ...]:
    """What is left of deficits, the oldest first. More of an open one keeps its age."""
    left: dict[tuple[int, int], Deficit] = {}
    for one in deficits:
        key = (one.issuer_id, one.terms_version)
        left[key] = (
            msgspec.structs.replace(left[key], points=left[key].points + one.points) if key in left else one
        )
    for part in cured:
        key = (part.issuer_id, part.terms_version)
        left[key] = msgspec.structs.replace(left[key], points=left[key].points - part.points)
    oldest = sorted(left.values(), key=lambda one: (one.entry_id.bytes, one.issuer_id, one.terms_version))
    return tuple(one for one in oldest if one.points)


def value_key(lot: ValueLot) -> tuple[Unit, int, int, date]:
    """What makes stored value one lot of a member's."""
    return (lot.unit, lot.issuer_id, lot.terms_version, lot.loaded_on)


def lot_change(posting: Posting) -> int:
    """What a posting adds to (or takes from) the member's lot of points it names."""
    return in_lot(posting) if posting.unit is Unit.POINTS else 0


def in_lot(posting: Posting) -> int:
    """What a posting adds to (or takes from) the member's lot it names, in the posting's unit."""
    if posting.credit is AccountKind.MEMBER:
        return posting.points
    if posting.debit is AccountKind.MEMBER:
        return -posting.points
    return 0


def hold_after(hold: HoldState, decision: Decision) -> HoldState:
    """How far a hold is after an entry that captured or returned part of it."""
    captured, returned = hold_change(decision)
    return msgspec.structs.replace(hold, captured=hold.captured + captured, returned=hold.returned + returned)


def hold_change(decision: Decision) -> tuple[int, int]:
    """Points that an entry captured from its hold, and points that it returned."""
    moved = [p for p in decision.postings if p.debit is AccountKind.HELD]
    captured = sum(p.points for p in moved if p.credit is AccountKind.ACCEPTED)
    return captured, sum(p.points for p in moved) - captured


def held(postings: Iterable[Posting]) -> int:
    """Points that an entry put into its hold, of whomever they were."""
    return sum(p.points for p in postings if p.credit is AccountKind.HELD)


def set_aside(decision: Decision) -> int:
    """Points of an accrual that wait for their event."""
    return sum(p.points for p in decision.postings if p.credit is AccountKind.PENDING)


def pending_change(decision: Decision) -> tuple[int, int]:
    """Pending points that an entry released, and that it cancelled."""
    moved = [p for p in decision.postings if p.debit is AccountKind.PENDING]
    cancelled = sum(p.points for p in moved if p.credit is AccountKind.ISSUED)
    return sum(p.points for p in moved) - cancelled, cancelled


def undone(decision: Decision) -> int:
    """Points that a reversal undoes: of a reward what came back, of a sale what was taken back or is owed."""
    return sum(
        p.points
        for p in decision.postings
        if p.unit is Unit.POINTS and (p.debit is AccountKind.ACCEPTED or p.credit is AccountKind.ISSUED)
    )
