"""Undoing an entry, in full or in part, in today's window, at the original terms (pure)."""

from collections.abc import Sequence

import msgspec

from network.commands import Reverse
from network.draft import coming_back, draft, drawn, owed_posting, transfer
from network.draw import draw_clawback, parts, returnable
from network.judging import returned
from network.model import AccountKind, Entry, EntryKind, Lot, Posting, Unit
from network.outcomes import Decision, Deficit, Minted, RecordedEntry, Rejected
from network.rewards import put_back
from network.rules import Folded, Rules, is_timely
from network.stored_value import VALUE_KINDS, undo_value

_SPENDING = frozenset({EntryKind.REDEMPTION, EntryKind.CAPTURE, EntryKind.DONATION})


class _Part(msgspec.Struct, frozen=True):
    """What of an entry comes back: an amount of a sale or points of a reward, and which of its lines."""

    measure: int
    lines: tuple[int, ...]


def reverse(folded: Folded, command: Reverse, minted: Minted, rules: Rules) -> Decision | Rejected:
    """Judge the return of a sale or of a reward; again and again until nothing is left of it.

    A returned sale takes back what the same rules no longer give for the rest of it: what is pending until an
    event, then from its own lot, then from the same issuer's. Where these were spent, the programme refuses,
    takes what is there, or makes the rest a deficit. A returned reward gives its points back with their
    issuer, terms and expiry, last drawn first.
    """
    recorded = _reversible(folded, command, rules)
    if isinstance(recorded, Rejected):
        return recorded
    if recorded.entry.kind in VALUE_KINDS:
        return undo_value(folded, command, recorded, minted, rules)
    undo = _returned_sale if recorded.entry.kind is EntryKind.ACCRUAL else _returned_reward
    return undo(folded, command, recorded, minted, rules)


def _reversible(folded: Folded, command: Reverse, rules: Rules) -> RecordedEntry | Rejected:
    """The entry that is meant, if it may be returned to this partner."""
    untimely = is_timely(command.occurred_at, folded.moment.now)
    if untimely is not None:
        return untimely
    if command.partner_id not in rules.directory.participants:
        return Rejected("partner_unknown")  # its key is newer than these rules
    recorded = folded.recorded(command.entry_id)
    if recorded is None:
        return Rejected("entry_unknown")
    seller_id = recorded.entry.partner_id
    if seller_id != command.partner_id:
        seller = rules.contract(seller_id, command.occurred_at)
        taker = rules.contract(command.partner_id, command.occurred_at)
        if not (seller and seller.returned_elsewhere and taker and taker.takes_returns):
            return Rejected("entry_unknown")
        inactive = rules.inactive(command.partner_id)
        if inactive is not None:
            return inactive
    if recorded.entry.kind not in (EntryKind.ACCRUAL, *_SPENDING, *VALUE_KINDS):
        return Rejected("entry_not_reversible")
    return recorded


def _part(
    command: Reverse,
    recorded: RecordedEntry,
    left: int,
    given: int | None,
    other: int | None,
    wrong_measure: Rejected,
) -> _Part | Rejected:
    """How much comes back.

    Args:
        left: What has not come back yet.
        given: What the command says in the entry's own measure.
        other: What it says in the measure of the other kind of entry.
        wrong_measure: The refusal where it says that.
    """
    if sum(map(bool, (command.lines, command.amount_minor, command.points))) > 1:
        return Rejected("one_measure_only")
    if other is not None:
        return wrong_measure
    if left == 0:
        return Rejected("entry_already_reversed")
    if command.lines:
        return _lines(command, recorded)
    if recorded.lines and given is not None:
        return Rejected("returned_by_lines")
    if given is None:
        open_lines = (n for n, line in enumerate(recorded.lines, start=1) if not line.returned)
        return _Part(left, tuple(open_lines))
    return Rejected("more_than_is_left") if given > left else _Part(given, ())


def _lines(command: Reverse, recorded: RecordedEntry) -> _Part | Rejected:
    if not recorded.lines:
        return Rejected("entry_has_no_lines")
    if not all(1 <= number <= len(recorded.lines) for number in command.lines):
        return Rejected("line_unknown")
    returned = any(recorded.lines[number - 1].returned for number in command.lines)
    if returned or len(set(command.lines)) < len(command.lines):
        return Rejected("line_already_returned")
    return _Part(sum(recorded.lines[number - 1].measure for number in command.lines), command.lines)


def _returned_sale(
    folded: Folded, command: Reverse, recorded: RecordedEntry, minted: Minted, rules: Rules
) -> Decision | Rejected:
    sale = recorded.entry
    left = sale.amount_minor - recorded.reversed.amount_minor
    part = _part(
        command,
        recorded,
        left,
        command.amount_minor,
        command.points,
        Rejected("sales_are_reversed_by_amount"),
    )
    if isinstance(part, Rejected):
        return part
    # The rules that judged the sale judge what remains of it.
    judge = rules.programmes.get(sale.programme_version)
    if judge is None:
        return Rejected("programme_not_read")  # another process has read it, and we shall in a moment
    entry = _entry(folded, command, minted, rules, sale, part.measure)
    if sale.partner_id in judge.plans:
        back = returned(recorded, judge, rules, part.measure, part.lines)
        decision = Decision(
            entry=entry,
            returned_lines=part.lines,
            counted=back.counted,
            counted_for=folded.owner(sale.member_id),
            spent=back.spent,
        )
        return _taken_back(folded, decision, recorded, back.points, rules)
    rule = judge.earn_rule(sale.partner_id)
    sold_on = rules.local_date(sale.occurred_at)
    points = rule.points_for(left, sold_on) - rule.points_for(left - part.measure, sold_on)
    decision = Decision(entry=entry, returned_lines=part.lines)
    if not points:
        return decision
    return _taken_back(folded, decision, recorded, [(recorded.postings[0], points)], rules)


def _taken_back(
    folded: Folded,
    decision: Decision,
    recorded: RecordedEntry,
    back: Sequence[tuple[Posting, int]],
    rules: Rules,
) -> Decision | Rejected:
    """Points of a returned sale: PENDING → ISSUED, MEMBER → ISSUED, and DEFICIT → ISSUED for what is owed.

    Args:
        folded: The state.
        decision: The return, without postings.
        recorded: The sale.
        back: The sale's postings with the points that are taken back of each.
        rules: The live rules.
    """
    window_id = folded.moment.window_id
    owner = folded.owner(decision.entry.member_id)
    postings: list[Posting] = []
    claims: dict[int, tuple[Posting, int]] = {}
    for origin, points in back:
        # Nobody spends status points: they are with the account that earned them, or where that is merged.
        there = points if origin.unit is not Unit.POINTS else 0
        if origin.credit is AccountKind.PENDING:
            there = min(recorded.pending, points)
        if there:
            own = origin.credit is AccountKind.PENDING or owner == decision.entry.member_id
            undone = _undone(origin, there, len(postings) + 1, window_id)
            postings.append(undone if own else msgspec.structs.replace(undone, contributor_id=owner))
        if points > there:
            first, more = claims.get(origin.issuer_id, (origin, 0))
            claims[origin.issuer_id] = (first, more + points - there)
    lots = folded.lots(owner) if claims else []
    missing: list[tuple[Posting, int]] = []
    for origin, points in claims.values():
        there = sum(lot.remaining for lot in returnable(lots, origin.issuer_id, folded.today))
        postings += _from_lots(folded, decision.entry, origin, min(points, there), lots, len(postings) + 1)
        if points > there:
            missing.append((origin, points - there))
    if missing and rules.programme.clawback == "refuse":
        return Rejected("points_already_spent")
    decision = msgspec.structs.replace(decision, postings=tuple(postings))
    if missing and rules.programme.clawback == "deficit":
        return _owing(folded, decision, owner, missing, rules.programme.most_owed)
    return decision


def _undone(origin: Posting, points: int, line: int, window_id: int) -> Posting:
    """A posting of a sale turned round."""
    return msgspec.structs.replace(
        origin,
        line=line,
        debit=origin.credit,
        credit=AccountKind.ISSUED,
        points=points,
        window_id=window_id,
        reversed_window_id=origin.window_id,
    )


def _from_lots(
    folded: Folded, entry: Entry, origin: Posting, points: int, lots: Sequence[Lot], first_line: int
) -> tuple[Posting, ...]:
    """Points of one issuer out of a member's lots: the sale's own lot first."""
    owner = folded.owner(entry.member_id)
    own = Lot(
        origin.issuer_id, origin.issuer_terms, origin.spendable_on, origin.expires_on, 0, origin.expires_on
    )
    return drawn(
        draw_clawback(owner, lots, origin.issuer_id, points, on=folded.today, own=own),
        entry.member_id,
        AccountKind.ISSUED,
        entry.window_id,
        reversed_window_id=origin.window_id,
        first_line=first_line,
    )


def _owing(
    folded: Folded,
    decision: Decision,
    owner: int,
    missing: Sequence[tuple[Posting, int]],
    most_owed: int,
) -> Decision:
    """What could not be taken back is owed by whoever has the member's points now, up to a ceiling."""
    room = max(0, most_owed - sum(one.points for one in folded.member(owner).deficits))
    entry = decision.entry if owner == decision.entry.member_id else transfer(decision.entry, owner)
    own: list[Posting] = []
    deficits: list[Deficit] = []
    for origin, points in missing:
        owing = min(points, room)
        room -= owing
        if not owing:
            continue
        deficit = Deficit(
            entry_id=entry.entry_id,
            issuer_id=origin.issuer_id,
            terms_version=origin.issuer_terms,
            points=owing,
        )
        line = len(decision.postings) + len(own) + 1
        own.append(
            msgspec.structs.replace(
                owed_posting(deficit, owing, line, decision.entry.window_id, cures=False),
                spendable_on=origin.spendable_on,
                expires_on=origin.expires_on,
                reversed_window_id=origin.window_id if entry is decision.entry else None,
            )
        )
        deficits.append(deficit)
    if not own:
        return decision
    if entry is not decision.entry:
        other = Decision(entry=entry, postings=tuple(own), deficits=tuple(deficits))
        return msgspec.structs.replace(decision, linked=(other,))
    return msgspec.structs.replace(decision, postings=(*decision.postings, *own), deficits=tuple(deficits))


def _returned_reward(
    folded: Folded, command: Reverse, recorded: RecordedEntry, minted: Minted, rules: Rules
) -> Decision | Rejected:
    reward = recorded.entry
    spent = sum(posting.points for posting in recorded.postings)
    back = recorded.reversed.points
    part = _part(
        command,
        recorded,
        spent - back,
        command.points,
        command.amount_minor,
        Rejected("rewards_are_reversed_by_points"),
    )
    if isinstance(part, Rejected):
        return part
    # Cumulative, so that the parts of a reward returned bit by bit add up to all of its amount.
    amount = reward.amount_minor * (back + part.measure) // spent - reward.amount_minor * back // spent
    returned = parts(tuple(reversed(recorded.postings)), back, part.measure)
    return Decision(
        entry=_entry(folded, command, minted, rules, reward, amount),
        postings=coming_back(folded, rules, reward.member_id, returned, AccountKind.ACCEPTED, reverses=True),
        returned_lines=part.lines,
        spent=put_back(recorded, part.measure),
    )


def _entry(
    folded: Folded, command: Reverse, minted: Minted, rules: Rules, original: Entry, amount_minor: int
) -> Entry:
    entry = draft(
        folded,
        command,
        minted,
        rules,
        EntryKind.REVERSAL,
        original.member_id,
        amount_minor=amount_minor,
        currency=original.currency,
        outlet_code=original.outlet_code,
    )
    return msgspec.structs.replace(entry, reverses=original.entry_id)
