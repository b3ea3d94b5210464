"""Points pay for a sale (pure)."""

from network.draw import draw_lots
from network.model import AccountKind, Decision, Entry, EntryKind, Minted, Posting, Redeem, Rejected
from network.rules import Folded, Rules


def redeem(folded: Folded, command: Redeem, minted: Minted, rules: Rules) -> Decision | Rejected:
    """Judge a redemption. Every draw keeps its issuer and terms; the acceptor's terms are chosen here.

    Returns:
        An entry with one posting MEMBER → ACCEPTED for each lot drawn; or why not.
    """
    moment = folded.moment
    terms = rules.terms_at_sale(
        command.partner_id, command.outlet_code, command.currency, command.occurred_at, moment.now
    )
    if isinstance(terms, Rejected):
        return terms
    member_id = folded.member_of_card(command.card_number)
    if isinstance(member_id, Rejected):
        return member_id
    today = rules.local_date(moment.now)
    draws = draw_lots(folded.lots(member_id), command.points, on=today, entry_id=minted.entry_id)
    if draws is None:
        return Rejected("insufficient_points")
    # ---- valid from here ----
    return Decision(
        entry=Entry(
            entry_id=minted.entry_id,
            member_id=member_id,
            kind=EntryKind.REDEMPTION,
            partner_id=command.partner_id,
            reference=command.reference,
            window_id=moment.window_id,
            programme_version=rules.programme.version,
            points=-command.points,
            balance_after=folded.balance(member_id, today) - command.points,
            amount_minor=command.amount_minor,
            currency=command.currency,
            outlet_code=command.outlet_code,
            occurred_at=command.occurred_at,
            recorded_at=moment.now,
        ),
        postings=tuple(
            Posting(
                line=line,
                debit=AccountKind.MEMBER,
                credit=AccountKind.ACCEPTED,
                points=draw.points,
                issuer_id=draw.lot.issuer_id,
                issuer_terms=draw.lot.terms_version,
                spendable_on=draw.lot.spendable_on,
                expires_on=draw.lot.expires_on,
                acceptor_id=command.partner_id,
                acceptor_terms=terms.terms_version,
                window_id=moment.window_id,
            )
            for line, draw in enumerate(draws, start=1)
        ),
    )
