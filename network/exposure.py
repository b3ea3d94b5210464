"""What decisions do to the exposure of capped partners, and which accruals a cap refuses (pure).

Priced here as the night prices it (settlement.clearing), but posting by posting and at once:

    issue       the issuer owes price * s, and its fee for each point; so many more points are outstanding
    redemption  the issuer owes rate * (1 - s), the acceptor is owed the rate and owes its fee on it; the
                points are no longer outstanding. Nothing between issuer and acceptor where they are one
    hold        the points are no longer outstanding, and what their capture will cost is held
    lapse       the points are no longer outstanding; who gets the pool's money for them is known at night
    sale, reward, capture: the partner's fee for each, of its contract of the day it occurred
    VAT         on fees, and on the flows for which a contract names a code
    money       stored value and paid plans: who took or gave it owes it, who honours it is owed it, as it is

`settlement.exposure` counts the same from a window's totals, with the night's own rules; `verify` compares.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import date
from decimal import Decimal, localcontext

import msgspec

from network.caps import EXACT, NOTHING, ZERO, Exposure, Holding, Holdings, exposure_of, worth
from network.commands import Accrue, Command, PayOut, Reverse
from network.errors import RulesStale
from network.model import MONEY, AccountKind, EntryKind, Posting, Unit
from network.outcomes import Decision, Moment, Rejected
from network.rules import Folded, Rules
from partners.currencies import minor_digits
from partners.model import Terms, VatFlow
from partners.rates import vat_bps
from partners.terms import terms_on

_ISSUED, _ACCEPTED, _HELD = AccountKind.ISSUED, AccountKind.ACCEPTED, AccountKind.HELD
_OUT = frozenset(
    {
        AccountKind.MEMBER,
        AccountKind.PENDING,
        AccountKind.STAKED,
        AccountKind.TRANSIT,
        AccountKind.VOUCHER,
    }
)
"""Accounts of points that are outstanding and have no price of their own yet."""
_RAISING = _OUT | {AccountKind.ACCEPTED}
"""Where points and money come to that somebody is to pay: members, and who honours a paid plan."""
_CHARGED = frozenset({EntryKind.ACCRUAL, EntryKind.REDEMPTION, EntryKind.CAPTURE})
_ONE_BPS = Decimal("0.0001")

Again = Callable[[frozenset[int]], Decision | Rejected]
"""Judges a command where some partners cannot pay for points."""
Holder = tuple[int, str]
"""A partner and a currency."""
_Key = tuple[AccountKind, AccountKind, int, int, int | None, int | None, int, int | None]


class Change(msgspec.Struct, frozen=True):
    """What decisions add to sums of capped partners. `raised`: the same, only what is above zero.

    No order of the decisions brings a partner higher than its sums and all of `raised`.
    """

    added: dict[Holder, Holding]
    raised: dict[Holder, Holding]

    @property
    def partners(self) -> set[int]:
        """Whose sums change."""
        return {partner_id for partner_id, _ in self.added}


class Pricing:
    """Prices decisions of one batch; `on` is the business date, which VAT goes by."""

    def __init__(self, rules: Rules, on: date) -> None:
        self._rules = rules
        self._capped = rules.caps.partners
        self._on = on

    def change(self, folded: Folded, decisions: Iterable[Decision]) -> Change:
        """What decisions that were applied add to the sums of capped partners; empty for most batches."""
        if not self._capped:
            return Change({}, {})
        points: dict[tuple[bool, _Key], int] = {}
        pieces: dict[tuple[int, date], int] = {}
        capped = self._capped
        for decision in decisions:
            entry = decision.entry
            if entry.partner_id in capped and entry.kind in _CHARGED:
                occurred_at = entry.occurred_at
                if entry.kind is EntryKind.CAPTURE and entry.hold_id is not None:
                    hold = folded.recorded(entry.hold_id)
                    occurred_at = occurred_at if hold is None else hold.entry.occurred_at
                day = (entry.partner_id, self._rules.local_date(occurred_at))
                pieces[day] = pieces.get(day, 0) + 1
            for one in (decision, *decision.linked):
                for posting in one.postings:
                    known = posting.issuer_id in capped or posting.acceptor_id in capped
                    if known and posting.unit is not Unit.STATUS:
                        key = (posting.unit in MONEY, _key(posting))
                        points[key] = points.get(key, 0) + posting.points
        change = Change({}, {})
        with localcontext(EXACT):
            for (is_money, summed), count in points.items():
                (self._money if is_money else self._price)(change, summed, count)
            for (partner_id, day_on), count in pieces.items():
                version = self._on_day(partner_id, day_on)
                self._fee(change, version, count * version.fee_per_transaction)
        return change

    def _price(self, change: Change, key: _Key, count: int) -> None:
        debit, credit, issuer_id, issuer_terms, acceptor_id, acceptor_terms, category, reversed_in = key
        issuer = self._version(issuer_id, issuer_terms)
        rest = 1 - issuer.funding_share
        out = count * ((credit in _OUT) - (debit in _OUT))
        if out:
            self._add(change, issuer_id, issuer.currency, Holding(points=out * rest))
        if _ISSUED in (debit, credit):
            if AccountKind.DEFICIT not in (debit, credit):
                self._issue(change, issuer, count if debit is _ISSUED else -count, reversed_in)
            return
        if acceptor_id is None or acceptor_terms is None:
            return
        acceptor = self._version(acceptor_id, acceptor_terms)
        cost = dict(acceptor.category_rates).get(category, acceptor.reimbursement_rate) * count
        if issuer_id != acceptor_id:
            held = cost * rest * ((credit is _HELD) - (debit is _HELD))
            self._add(change, issuer_id, acceptor.currency, Holding(held=held))
        if _ACCEPTED in (debit, credit):
            signed = cost if credit is _ACCEPTED else -cost
            self._redemption(change, issuer, acceptor, signed, reversed_in)

    def _money(self, change: Change, key: _Key, minor: int) -> None:
        """Money in minor units of the issuer's currency, which no contract prices and no fee is on."""
        debit, credit, issuer_id, issuer_terms, acceptor_id, *_ = key
        currency = self._version(issuer_id, issuer_terms).currency
        amount = Decimal(minor).scaleb(-minor_digits(currency))
        taken = (debit is _ISSUED) - (credit is _ISSUED)
        self._add(change, issuer_id, currency, Holding(owed=amount * taken))
        if acceptor_id is not None:
            honoured = (credit is _ACCEPTED) - (debit is _ACCEPTED)
            self._add(change, acceptor_id, currency, Holding(owed=-amount * honoured))

    def _issue(self, change: Change, issuer: Terms, count: int, reversed_in: int | None) -> None:
        paid = count * issuer.issue_price * issuer.funding_share
        vat = paid * self._vat(issuer, "issue", reversed_in)
        self._add(change, issuer.partner_id, issuer.currency, Holding(owed=paid + vat))
        self._fee(change, issuer, count * issuer.fee_per_issued_point)

    def _redemption(
        self, change: Change, issuer: Terms, acceptor: Terms, cost: Decimal, reversed_in: int | None
    ) -> None:
        taxed = 1 + self._vat(acceptor, "redemption", reversed_in)
        funded = cost * issuer.funding_share
        direct = cost - funded if issuer.partner_id != acceptor.partner_id else ZERO
        self._add(change, issuer.partner_id, acceptor.currency, Holding(owed=direct * taxed))
        self._add(change, acceptor.partner_id, acceptor.currency, Holding(owed=-(direct + funded) * taxed))
        if issuer.partner_id != acceptor.partner_id:
            self._fee(change, acceptor, cost * acceptor.fee_bps_of_credits * _ONE_BPS)

    def _fee(self, change: Change, version: Terms, fee: Decimal) -> None:
        if fee:
            now = self._on_day(version.partner_id, self._on)
            code = dict(now.vat_codes).get("fee")
            bps = now.vat_bps if code is None else vat_bps(self._rules.caps.vat, code, self._on) or 0
            owed = Holding(owed=fee * (1 + bps * _ONE_BPS))
            self._add(change, version.partner_id, version.currency, owed)

    def _add(self, change: Change, partner_id: int, currency: str, holding: Holding) -> None:
        if partner_id not in self._capped or holding == NOTHING:
            return
        key = (partner_id, currency)
        change.added[key] = change.added.get(key, NOTHING).plus(holding)
        above = Holding(*(max(ZERO, part) for part in msgspec.structs.astuple(holding)))
        change.raised[key] = change.raised.get(key, NOTHING).plus(above)

    def _vat(self, version: Terms, flow: VatFlow, reversed_in: int | None) -> Decimal:
        code = next((code for taxed, code in version.vat_codes if taxed == flow), None)
        if code is None:
            return ZERO
        on = self._on if reversed_in is None else _date(reversed_in)
        return (vat_bps(self._rules.caps.vat, code, on) or 0) * _ONE_BPS

    def _version(self, partner_id: int, terms_version: int) -> Terms:
        for version in self._rules.directory.terms.get(partner_id, ()):
            if version.terms_version == terms_version:
                return version
        raise RulesStale(f"terms {terms_version} of partner {partner_id} are newer than the rules")

    def _on_day(self, partner_id: int, on: date) -> Terms:
        """The version in force on a day; before the first, that one, as the night has it."""
        versions = self._rules.directory.terms[partner_id]
        return terms_on(versions, on) or versions[0]


class Guard:
    """Refuses what would take a partner over its limit, command by command, on sums read under their lock."""

    def __init__(self, rules: Rules, moment: Moment, today: date, holdings: dict[int, Holdings]) -> None:
        """`holdings`: of capped partners, as they stand before the batch; those of others are not tested."""
        self._rules = rules
        self._today = today
        self._pricing = Pricing(rules, moment.business_date)
        self._holdings = holdings
        self._taken = 0

    def judge(
        self, folded: Folded, command: Command, decision: Decision, again: Again
    ) -> Decision | Rejected:
        """The decision; or `cap_reached`, where it issues points that its issuer may not come to owe.

        A sponsor has no say in another's sale: where only it would go over, its rules do not apply, and the
        sale is judged again without them. Redemptions and returns are never refused: what they raise is on
        record, and seen.

        Args:
            again: Judges the command anew, where partners that it names cannot pay.
        """
        at_cap: frozenset[int] = frozenset()
        outcome: Decision | Rejected = decision
        while isinstance(outcome, Decision):
            over = self._over(folded, command, outcome)
            if not over:
                return outcome
            sponsors = over - at_cap - {command.partner_id}
            if not sponsors:
                return Rejected("cap_reached")
            at_cap |= sponsors
            outcome = again(at_cap)
        return outcome

    def _over(self, folded: Folded, command: Command, decision: Decision) -> set[int]:
        """Issuers that a decision would take over their limits."""
        issuers = issuers_of(command, decision) & self._holdings.keys()
        if not issuers:
            return set()
        self._take(folded)
        added = self._pricing.change(folded, [decision]).added
        return {issuer_id for issuer_id in issuers if self._goes_over(issuer_id, added)}

    def _goes_over(self, issuer_id: int, added: Mapping[Holder, Holding]) -> bool:
        """Whether an issuer would come higher, and over its limit, and its contract refuses that."""
        before = self._exposure(issuer_id, self._holdings[issuer_id])
        if before is None or before.limit is None or before.at_cap != "refuse":
            return False
        after = self._exposure(issuer_id, plus(self._holdings[issuer_id], issuer_id, added))
        return after is not None and after.amount > before.limit and after.amount > before.amount

    def _take(self, folded: Folded) -> None:
        """Take into account what was applied since the last look."""
        fresh = folded.decided[self._taken :]
        self._taken += len(fresh)
        added = self._pricing.change(folded, fresh).added
        for partner_id in {partner_id for partner_id, _ in added} & self._holdings.keys():
            self._holdings[partner_id] = plus(self._holdings[partner_id], partner_id, added)

    def _exposure(self, partner_id: int, holdings: Holdings) -> Exposure | None:
        valued = worth(self._rules.caps, self._rules.directory, partner_id, self._today)
        return None if valued is None else exposure_of(holdings, valued)


def issuers_of(command: Command, decision: Decision | Rejected) -> set[int]:
    """Who issues points or takes money by a command, sponsors among them.

    Of returns and payouts nobody: none is refused. The partner of a sale is among them also where it earns
    nothing: its fee raises what it owes.
    """
    if isinstance(command, Reverse | PayOut):
        return set()
    issuers = {command.partner_id} if isinstance(command, Accrue) else set()
    if isinstance(decision, Decision):
        issuers |= {
            one.issuer_id
            for of in (decision, *decision.linked)
            for one in of.postings
            if one.debit is _ISSUED and one.credit in _RAISING and one.unit is not Unit.STATUS
        }
    return issuers


def plus(holdings: Holdings, partner_id: int, added: Mapping[Holder, Holding]) -> dict[str, Holding]:
    """A partner's sums with what is added to them."""
    after = dict(holdings)
    with localcontext(EXACT):
        for (of, currency), holding in added.items():
            if of == partner_id:
                after[currency] = after.get(currency, NOTHING).plus(holding)
    return after


def might_exceed(
    change: Change, before: Mapping[int, Holdings], issuers: Iterable[int], rules: Rules, today: date
) -> set[int]:
    """Issuers of a batch that may have been over their limit somewhere within it, and whose contract refuses.

    Not all of them were: but one that is not among them was at no moment, in whatever order.
    """
    found = set()
    for partner_id in issuers:
        valued = worth(rules.caps, rules.directory, partner_id, today)
        if valued is None or valued.cap is None or valued.at_cap != "refuse" or partner_id not in before:
            continue
        highest = exposure_of(plus(before[partner_id], partner_id, change.raised), valued)
        if highest.limit is not None and highest.amount > highest.limit:
            found.add(partner_id)
    return found


def _key(posting: Posting) -> _Key:
    return (
        posting.debit,
        posting.credit,
        posting.issuer_id,
        posting.issuer_terms,
        posting.acceptor_id,
        posting.acceptor_terms,
        posting.category,
        posting.reversed_window_id,
    )


def _date(window_id: int) -> date:
    return date(window_id // 10_000, window_id // 100 % 100, window_id % 100)
