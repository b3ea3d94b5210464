"""Contracts: drafted by one person, activated or declined by another, never edited. Rates, by two as well.

Every function takes a transaction's connection and who acts, and never commits.
"""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, func, select, text, update

from partners import rates_store
from partners.drafts import body_of, first_day, hash_of, read_body
from partners.errors import (
    DraftUnfit,
    DraftUnknown,
    ProposalChanged,
    RateUnfit,
    SecondPersonNeeded,
    TermsNotAccepted,
)
from partners.model import FX_ID, Category, ContractDraft, FxRate, Participant, Terms, VatRate
from partners.people import approvals
from partners.people.approvals import content_of, propose
from partners.people.audit import audited
from partners.people.model import Proposal
from partners.rates import vat_bps
from partners.store import add_participants, add_terms, load_terms
from partners.tables import contract_draft

ADD_VAT, ADD_FX = "vat_rate.add", "fx_rate.add"
_HAS_FX = text("SELECT EXISTS (SELECT FROM partner WHERE partner_id = :fx)")
_LOCK = text("SELECT pg_advisory_xact_lock(hashtext('contract_terms'))")


class Days(msgspec.Struct, frozen=True):
    """Where the network is: its local date, and the business date that is open."""

    today: date
    open_on: date


def draft(connection: Connection, terms: Terms, *, by: str, at: datetime) -> ContractDraft:
    """Keep a version for another to activate.

    Raises:
        DraftUnfit: a VAT code has no rate yet, or the version does not follow the last one.
    """
    before = latest(connection, terms.partner_id)
    if terms.terms_version != (1 if before is None else before.terms_version + 1):
        raise DraftUnfit(f"version {terms.terms_version} does not follow what is there: draft it again")
    _require_codes(connection, terms)
    body = body_of(terms)
    made = ContractDraft(
        draft_id=connection.execute(select(func.gen_random_uuid())).scalar_one(),
        partner_id=terms.partner_id,
        terms_version=terms.terms_version,
        body=body,
        sha256=hash_of(body),
        prepared_by=by,
        prepared_at=at,
    )
    connection.execute(contract_draft.insert(), msgspec.structs.asdict(made))
    audited(
        connection,
        by=by,
        action="contract.drafted",
        subject=f"contract:{terms.partner_id}/{terms.terms_version}",
        before=before,
        after={"draft_id": made.draft_id, "sha256": made.sha256, "terms": terms},
    )
    return made


def activate(
    connection: Connection, draft_id: UUID, *, sha256: bytes, by: str, at: datetime, days: Days, currency: str
) -> Terms:
    """Put a draft into force from its day on. Contracts in a second currency bring the hub's FX account.

    Args:
        connection: A transaction.
        draft_id: Which.
        sha256: The hash as it was looked at.
        by: Who activates it; not who prepared it.
        at: The network's time.
        days: A version begins on a day that no till and no night has begun with.
        currency: The network's.
    Raises:
        DraftUnknown: there is none, or it was decided.
        ProposalChanged: the hash is another's, or another version came in between.
        SecondPersonNeeded: `by` prepared it.
        TermsNotAccepted: it begins too early.
        DraftUnfit: a VAT code has no rate.
    """
    connection.execute(_LOCK)
    found = _undecided(connection, draft_id)
    if found.sha256 != sha256:
        raise ProposalChanged("that is the hash of something else: look at the draft again")
    if found.prepared_by == by:
        raise SecondPersonNeeded(f"{by} prepared it: another must activate it")
    terms = read_body(found.body)
    before = latest(connection, terms.partner_id)
    if terms.terms_version != (1 if before is None else before.terms_version + 1):
        raise ProposalChanged(
            f"version {terms.terms_version} is taken: draft it again on what is in force now"
        )
    first = first_day(days.today, days.open_on, before)
    if terms.effective_on < first:
        raise TermsNotAccepted(
            f"the version is from {terms.effective_on}, which tills or nights have begun with: the first day "
            f"that is left is {first}; draft it again"
        )
    _require_codes(connection, terms)
    if terms.currency != currency:
        _open_fx_account(connection)
    add_terms(connection, [terms], prepared_by=found.prepared_by, activated_by=by)
    _decide(connection, found, by=by, at=at, activated=True)
    audited(
        connection,
        by=by,
        action="contract.activated",
        subject=f"contract:{terms.partner_id}/{terms.terms_version}",
        before=before,
        after={"draft_id": draft_id, "sha256": sha256, "prepared_by": found.prepared_by, "terms": terms},
    )
    return terms


def decline(connection: Connection, draft_id: UUID, *, by: str, at: datetime) -> ContractDraft:
    """Decline a draft; who prepared it may withdraw it so.

    Raises:
        DraftUnknown: there is none, or it was decided.
    """
    found = _undecided(connection, draft_id)
    _decide(connection, found, by=by, at=at, activated=False)
    audited(
        connection,
        by=by,
        action="contract.declined",
        subject=f"contract:{found.partner_id}/{found.terms_version}",
        before={"draft_id": draft_id, "prepared_by": found.prepared_by, "sha256": found.sha256},
        after={"activated": False},
    )
    return find(connection, draft_id)


def find(connection: Connection, draft_id: UUID) -> ContractDraft:
    """One draft.

    Raises:
        DraftUnknown: there is none.
    """
    row = connection.execute(
        select(contract_draft).where(contract_draft.c.draft_id == draft_id)
    ).one_or_none()
    if row is None:
        raise DraftUnknown(f"there is no draft {draft_id}")
    return _draft(row)


def drafts(connection: Connection, *, undecided: bool = False) -> list[ContractDraft]:
    """Drafts, the oldest first; or only those that wait."""
    query = select(contract_draft).order_by(contract_draft.c.prepared_at, contract_draft.c.draft_id)
    if undecided:
        query = query.where(contract_draft.c.decided_by.is_(None))
    return [_draft(row) for row in connection.execute(query)]


def latest(connection: Connection, partner_id: int) -> Terms | None:
    """The last version of a partner's contract, in force or still to come."""
    return next(iter(load_terms(connection).get(partner_id, [])[-1:]), None)


def propose_vat_rate(connection: Connection, rate: VatRate, *, open_on: date, by: str) -> Proposal:
    """Propose the rate of a VAT code from a day on.

    Raises:
        RateUnfit: it is none, or its day is not after the code's last rate, or nights may be past it.
        ProposalOpen: one of that code waits.
    """
    _require_vat(connection, rate, open_on)
    subject = f"vat:{rate.vat_code}"
    return propose(connection, kind=ADD_VAT, subject=subject, content=msgspec.structs.asdict(rate), by=by)


def propose_fixing(connection: Connection, rate: FxRate, *, by: str) -> Proposal:
    """Propose a fixing; its revision is the next of its day.

    Raises:
        RateUnfit: it is none.
        ProposalOpen: one of that source, pair and day waits.
    """
    made = msgspec.structs.replace(rate, revision=_revision(connection, rate))
    _require_fixing(made)
    subject = f"fx:{rate.source}/{rate.base}{rate.quote}/{rate.fixed_on}"
    return propose(connection, kind=ADD_FX, subject=subject, content=msgspec.structs.asdict(made), by=by)


def decide(
    connection: Connection, proposal_id: UUID, *, sha256: bytes, by: str, approve: bool, open_on: date
) -> Proposal:
    """Decide a proposal of KINDS, and do what is approved.

    Args:
        connection: A transaction.
        proposal_id: Which.
        sha256: The hash of the content as who decides has seen it.
        by: Who decides.
        approve: Whether it is to be.
        open_on: The business date that is open.

    Raises:
        ProposalChanged, RateUnfit: things have changed since.
        ProposalUnknown, ProposalDecided, SecondPersonNeeded: see approvals.decide.
    """
    decided = approvals.decide(connection, proposal_id, sha256=sha256, by=by, approve=approve, of=KINDS)
    if approve:
        _CARRY_OUT[decided.kind](connection, content_of(decided), decided.prepared_by, by, open_on)
    return decided


def add_category(connection: Connection, code: str, name: str, *, by: str) -> Category:
    """Add a category of redemption; contracts may then have a rate for it, and tills name it.

    Raises:
        RateUnfit: code or name is none, or the code is taken.
    """
    if not (code.isascii() and code.replace("-", "").replace("_", "").isalnum() and len(code) <= 32):
        raise RateUnfit(f"{code!r} is no code of a category: letters, digits, - and _, at most 32")
    if not name.strip() or code in {one.code for one in rates_store.load_categories(connection)}:
        raise RateUnfit(f"the category {code!r} is there already, or has no name")
    made = Category(category=rates_store.next_category(connection), code=code, name=name.strip())
    rates_store.add_category(connection, made)
    audited(connection, by=by, action="category.added", subject=f"category:{code}", after=made)
    return made


def _add_vat(
    connection: Connection, content: Mapping[str, Any], prepared_by: str, by: str, open_on: date
) -> None:
    rate = VatRate(
        vat_code=content["vat_code"],
        effective_on=date.fromisoformat(content["effective_on"]),
        rate_bps=content["rate_bps"],
    )
    _require_vat(connection, rate, open_on)
    rates_store.add_vat_rate(connection, rate, prepared_by=prepared_by, activated_by=by)
    audited(connection, by=by, action="vat_rate.added", subject=f"vat:{rate.vat_code}", after=rate)


def _add_fixing(
    connection: Connection, content: Mapping[str, Any], prepared_by: str, by: str, open_on: date
) -> None:
    del open_on  # a fixing counts for nights that are not netted yet, whatever its day
    rate = FxRate(
        source=content["source"],
        base=content["base"],
        quote=content["quote"],
        fixed_on=date.fromisoformat(content["fixed_on"]),
        revision=content["revision"],
        rate=Decimal(content["rate"]),
    )
    if rate.revision != _revision(connection, rate):
        raise ProposalChanged("the day was fixed anew meanwhile: propose it again")
    rates_store.add_fixings(connection, [rate], prepared_by=prepared_by, activated_by=by)
    subject = f"fx:{rate.source}/{rate.base}{rate.quote}/{rate.fixed_on}"
    audited(connection, by=by, action="fx_rate.added", subject=subject, after=rate)


_CARRY_OUT: Mapping[str, Callable[[Connection, Mapping[str, Any], str, str, date], None]] = {
    ADD_VAT: _add_vat,
    ADD_FX: _add_fixing,
}
KINDS = tuple(_CARRY_OUT)


def _require_vat(connection: Connection, rate: VatRate, open_on: date) -> None:
    known = rates_store.load_vat_rates(connection).get(rate.vat_code, [])
    if not rate.vat_code.strip() or not 0 <= rate.rate_bps <= 10_000:
        raise RateUnfit(f"{rate.rate_bps} is no rate in basis points of a code {rate.vat_code!r}: 0 to 10000")
    if known and rate.effective_on <= known[-1].effective_on:
        raise RateUnfit(
            f"{rate.vat_code} has a rate from {known[-1].effective_on} on: give a later day than that"
        )
    if rate.effective_on < open_on and known:
        raise RateUnfit(f"nights before {open_on} are worked out: a rate changes from then on, or later")


def _require_fixing(rate: FxRate) -> None:
    if rate.base == rate.quote or not rate.source.strip() or rate.rate <= 0:
        raise RateUnfit(f"{rate.source} {rate.base} {rate.quote} {rate.rate} is no fixing of two currencies")
    if rate.rate != round(rate.rate, 10) or rate.rate >= Decimal(10) ** 14:
        raise RateUnfit(f"{rate.rate} has more digits than a fixing: 14, and 10 decimals")


def _revision(connection: Connection, rate: FxRate) -> int:
    of_day = rates_store.load_fixings(connection, since=rate.fixed_on, through=rate.fixed_on)
    same = [
        one.revision
        for one in of_day.get(rate.source, [])
        if (one.base, one.quote) == (rate.base, rate.quote)
    ]
    return max(same, default=0) + 1


def _require_codes(connection: Connection, terms: Terms) -> None:
    rates = rates_store.load_vat_rates(connection)
    missing = [code for _, code in terms.vat_codes if vat_bps(rates, code, terms.effective_on) is None]
    if missing:
        raise DraftUnfit(
            f"vat_codes: {', '.join(sorted(set(missing)))} has no rate on {terms.effective_on}: add it first"
        )


def _open_fx_account(connection: Connection) -> None:
    if not connection.execute(_HAS_FX, {"fx": FX_ID}).scalar_one():
        account = Participant(partner_id=FX_ID, code="hub-fx", name="FX account of the hub", kind="fx")
        add_participants(connection, [account])


def _undecided(connection: Connection, draft_id: UUID) -> ContractDraft:
    row = connection.execute(
        select(contract_draft).where(contract_draft.c.draft_id == draft_id).with_for_update()
    ).one_or_none()
    if row is None:
        raise DraftUnknown(f"there is no draft {draft_id}")
    if row.decided_by is not None:
        word = "activated" if row.activated else "declined"
        raise DraftUnknown(f"{row.decided_by} {word} the draft before")
    return _draft(row)


def _decide(connection: Connection, of: ContractDraft, *, by: str, at: datetime, activated: bool) -> None:
    connection.execute(
        update(contract_draft)
        .where(contract_draft.c.draft_id == of.draft_id)
        .values(decided_by=by, decided_at=at, activated=activated)
    )


def _draft(row: Any) -> ContractDraft:
    values = {name: getattr(row, name) for name in ContractDraft.__struct_fields__}
    return ContractDraft(**{**values, "sha256": bytes(values["sha256"])})
