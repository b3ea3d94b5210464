"""What a window's postings that count money make whom owe whom (pure).

Amounts are minor units of the currency of the issuer's terms; here issuer is who took or gave the money.

    load         issuer → safeguarding account: who took a member's money, or gives it value on top
    load undone  the same with the sign turned; so also value on top that a refund ends
    spend        safeguarding account → acceptor; so also a refund: who paid the member is its acceptor
    spend undone the same with the sign turned
    plan         issuer → acceptor: who took the fee of a paid plan owes it to who honours the plan
    plan ended   the same with the sign turned: who pays a part back gets it from who had the fee
    transfer     nothing: what comes back to a member that is merged passes through TRANSIT

Neither fees of the operator nor VAT are on them: prices of contracts are for points.
"""

from collections.abc import Iterable, Mapping

from network.model import AccountKind, Unit
from partners.model import SAFEGUARD_ID
from settlement.clearing import TermsByVersion
from settlement.errors import FlowUnknown, TermsMissing
from settlement.model import Flow, PricedLine, ValueTotal
from settlement.money import exactly, from_minor, minor_digits

_STORED: Mapping[tuple[int, int], tuple[Flow | None, int]] = {
    (AccountKind.ISSUED, AccountKind.MEMBER): ("load", 1),
    (AccountKind.MEMBER, AccountKind.ISSUED): ("load", -1),
    (AccountKind.MEMBER, AccountKind.ACCEPTED): ("value", 1),
    (AccountKind.ACCEPTED, AccountKind.MEMBER): ("value", -1),
    (AccountKind.ACCEPTED, AccountKind.TRANSIT): ("value", -1),
    (AccountKind.TRANSIT, AccountKind.MEMBER): (None, 0),
}
_FEES: Mapping[tuple[int, int], tuple[Flow | None, int]] = {
    (AccountKind.ISSUED, AccountKind.ACCEPTED): ("plan", 1),
    (AccountKind.ACCEPTED, AccountKind.ISSUED): ("plan", -1),
}
_EVENTS: Mapping[int, Mapping[tuple[int, int], tuple[Flow | None, int]]] = {
    Unit.VALUE: _STORED,
    Unit.BONUS: _STORED,
    Unit.FEE: _FEES,
}
"""What a posting of a unit means by (debit, credit), and the sign of its money."""


@exactly
def value_flows(totals: Iterable[ValueTotal], terms: TermsByVersion) -> list[PricedLine]:
    """The money flows of a window's totals of money; the points of each are zero.

    Raises:
        FlowUnknown: accounts between which no money flow is agreed.
        TermsMissing: a total names terms that are not there, or value was spent at nobody.
    """
    lines = []
    for total in totals:
        event = _EVENTS.get(total.unit, {}).get((total.debit, total.credit))
        if event is None:
            raise FlowUnknown(
                f"unit {total.unit} moved from account kind {total.debit} to {total.credit} (issuer "
                f"{total.issuer_id}): no money flow is agreed for that"
            )
        flow, sign = event
        version = terms.get((total.issuer_id, total.issuer_terms))
        if version is None or (flow in ("value", "plan") and total.acceptor_id is None):
            raise TermsMissing(
                f"postings of money name terms {total.issuer_terms} of partner {total.issuer_id} and "
                f"acceptor {total.acceptor_id}: one of the two is not there"
            )
        if flow is None or total.minor == 0:
            continue
        debtor = SAFEGUARD_ID if flow == "value" else total.issuer_id
        creditor = SAFEGUARD_ID if flow == "load" or total.acceptor_id is None else total.acceptor_id
        amount = from_minor(sign * total.minor, minor_digits(version.currency))
        lines.append(PricedLine(flow, debtor, creditor, 0, amount, None, version.currency))
    return lines
