"""Points on paper: turned into a voucher, spent by it at any of its partners, given back, or lapsed (pure).

What a voucher is made of waits in escrow, account VOUCHER, with issuer and terms. It is priced when it is
used, at the terms of the partner that takes it. A voucher's rules are those of the version that made it.
"""

from uuid import UUID

import msgspec

from network.commands import Convert, IssueVoucher, LapseVoucher, ReturnVoucher, UseVoucher
from network.draft import activity, coming_back, draft, drawn
from network.draw import live
from network.errors import InvariantBroken
from network.model import AccountKind, EntryKind, Posting
from network.outcomes import Decision, Minted, RecordedEntry, Rejected, VoucherState
from network.programme.codes import VoucherKind
from network.redemption import draw_own, unproven
from network.rules import Folded, Rules

_ENDED = {
    "used": Rejected("voucher_used"),
    "returned": Rejected("voucher_returned"),
    "lapsed": Rejected("voucher_lapsed"),
}


def issue_voucher(folded: Folded, command: IssueVoucher, minted: Minted, rules: Rules) -> Decision | Rejected:
    """Judge that a member turns points of its own into a voucher: whole steps, as many as it likes."""
    refused = rules.refusal(command.partner_id, command.occurred_at, folded.moment.now)
    if refused is not None:
        return refused
    kind = rules.programme.vouchers.get(command.voucher)
    if kind is None:
        return Rejected("voucher_kind_unknown")
    member_id = folded.member_of_card(command.card_number, spending=True)
    if isinstance(member_id, Rejected):
        return member_id
    missing = unproven(command, rules)
    if missing is not None:
        return missing
    if command.points % kind.points:
        return Rejected("not_in_whole_steps")
    return _made(folded, command, minted, rules, member_id, kind, command.points)


def convert(folded: Folded, command: Convert, minted: Minted, rules: Rules) -> Decision | Rejected:
    """Judge what a quarter's end makes of a member's points."""
    if command.programme_version is not None:
        judge = rules.programmes.get(command.programme_version)
        if judge is None:
            return Rejected("programme_not_read")
        rules = msgspec.structs.replace(rules, programme=judge)
    conversion = rules.programme.conversion
    if conversion is None or not folded.knows(command.member_id):
        return Rejected("nothing_to_convert")
    spendable = sum(lot.remaining for lot in live(folded.lots(command.member_id), folded.today))
    points = conversion.points_of(spendable)
    if not points:
        return Rejected("nothing_to_convert")
    return _made(folded, command, minted, rules, command.member_id, conversion.kind, points)


def _made(
    folded: Folded,
    command: IssueVoucher | Convert,
    minted: Minted,
    rules: Rules,
    member_id: int,
    kind: VoucherKind,
    points: int,
) -> Decision | Rejected:
    draws = draw_own(folded, member_id, points, minted)
    if draws is None:
        return Rejected("insufficient_points")
    # ---- valid from here ----
    first, last = kind.days(folded.today)
    return Decision(
        entry=draft(
            folded,
            command,
            minted,
            rules,
            EntryKind.VOUCHER,
            member_id,
            amount_minor=kind.worth(points),
            currency=kind.currency,
        ),
        postings=drawn(draws, member_id, AccountKind.VOUCHER, folded.moment.window_id),
        voucher=VoucherState(name=kind.name, starts_on=first, ends_on=last),
    )


def use_voucher(folded: Folded, command: UseVoucher, minted: Minted, rules: Rules) -> Decision | Rejected:
    """Judge a payment by voucher: all of it, once. A redemption of the member whose points it is made of."""
    terms = rules.terms_at_sale(
        command.partner_id, command.outlet_code, command.currency, command.occurred_at, folded.moment.now
    )
    if isinstance(terms, Rejected):
        return terms
    ended = rules.accepts_no_more(command.partner_id, command.occurred_at)
    if ended is not None:
        return ended
    found = _open(folded, command.voucher_id, rules)
    if isinstance(found, Rejected):
        return found
    made, state, kind = found
    if folded.today < state.starts_on:
        return Rejected("voucher_not_yet")
    if kind.partners is not None and command.partner_id not in kind.partners:
        return Rejected("voucher_not_taken_here")
    if command.currency != made.entry.currency:
        return Rejected("voucher_in_another_currency")
    if command.amount_minor < max(kind.minimum_basket_minor, made.entry.amount_minor):
        return Rejected("basket_too_small")
    # ---- valid from here ----
    entry = draft(
        folded,
        command,
        minted,
        rules,
        EntryKind.REDEMPTION,
        made.entry.member_id,
        amount_minor=made.entry.amount_minor,
        currency=command.currency,
        outlet_code=command.outlet_code,
    )
    return Decision(
        entry=msgspec.structs.replace(entry, hold_id=made.entry.entry_id),
        postings=_moved(
            folded, made, AccountKind.ACCEPTED, acceptor=(command.partner_id, terms.terms_version)
        ),
        account=activity(folded, rules, made.entry.member_id),
        voucher=msgspec.structs.replace(state, ended_as="used"),
    )


def return_voucher(
    folded: Folded, command: ReturnVoucher, minted: Minted, rules: Rules
) -> Decision | Rejected:
    """Judge that a voucher is given back: whoever has it may, and the points are its member's again."""
    refused = rules.refusal(command.partner_id, command.occurred_at, folded.moment.now)
    if refused is not None:
        return refused
    found = _open(folded, command.voucher_id, rules)
    if isinstance(found, Rejected):
        return found
    made, state, _ = found
    return _ended(folded, command, minted, rules, made, msgspec.structs.replace(state, ended_as="returned"))


def lapse_voucher(folded: Folded, command: LapseVoucher, minted: Minted, rules: Rules) -> Decision | Rejected:
    """Judge the end of a voucher whose last day is over."""
    made = folded.recorded(command.voucher_id)
    if made is None or made.voucher is None:
        raise InvariantBroken(f"entry {command.voucher_id} is no voucher")
    state = made.voucher
    if state.ended_as or folded.today <= state.ends_on:
        return Rejected("voucher_not_over")
    if made.entry.programme_version not in rules.programmes:
        return Rejected("programme_not_read")
    return _ended(folded, command, minted, rules, made, msgspec.structs.replace(state, ended_as="lapsed"))


def _open(
    folded: Folded, voucher_id: UUID | None, rules: Rules
) -> tuple[RecordedEntry, VoucherState, VoucherKind] | Rejected:
    """The voucher that a code opened to, if it has not ended and its time is not over."""
    made = None if voucher_id is None else folded.recorded(voucher_id)
    if made is None or made.voucher is None:
        return Rejected("voucher_unknown")
    state = made.voucher
    if state.ended_as:
        return _ENDED[state.ended_as]
    if folded.today > state.ends_on:
        return Rejected("voucher_lapsed")  # the night has not come to it yet
    judge = rules.programmes.get(made.entry.programme_version)
    if judge is None:
        return Rejected("programme_not_read")
    return made, state, judge.vouchers[state.name]


def _ended(
    folded: Folded,
    command: ReturnVoucher | LapseVoucher,
    minted: Minted,
    rules: Rules,
    made: RecordedEntry,
    state: VoucherState,
) -> Decision:
    entry = draft(
        folded,
        command,
        minted,
        rules,
        EntryKind.VOUCHER_END,
        made.entry.member_id,
        amount_minor=made.entry.amount_minor,
        currency=made.entry.currency,
    )
    kind = rules.programmes[made.entry.programme_version].vouchers[state.name]
    if state.ended_as == "lapsed" and kind.lapses:
        postings = _moved(folded, made, AccountKind.LAPSED)
    else:
        back = [(one, one.points) for one in reversed(_escrowed(made))]
        postings = coming_back(folded, rules, made.entry.member_id, back, AccountKind.VOUCHER)
    return Decision(
        entry=msgspec.structs.replace(entry, hold_id=made.entry.entry_id), postings=postings, voucher=state
    )


def _escrowed(made: RecordedEntry) -> list[Posting]:
    """What a voucher is made of, in the order in which it was drawn."""
    return [one for one in made.postings if one.credit is AccountKind.VOUCHER]


def _moved(
    folded: Folded, made: RecordedEntry, credit: AccountKind, acceptor: tuple[int, int] | None = None
) -> tuple[Posting, ...]:
    """All that a voucher is made of, VOUCHER → credit."""
    acceptor_id, acceptor_terms = (None, None) if acceptor is None else acceptor
    return tuple(
        msgspec.structs.replace(
            one,
            line=line,
            debit=AccountKind.VOUCHER,
            credit=credit,
            acceptor_id=acceptor_id,
            acceptor_terms=acceptor_terms,
            window_id=folded.moment.window_id,
        )
        for line, one in enumerate(_escrowed(made), start=1)
    )
