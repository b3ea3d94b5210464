"""Contracts, categories, VAT and exchange rates: drafted or proposed by one, put into force by another."""

import json
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from fastapi import Query, Request, Response
from msgspec import Meta
from sqlalchemy import Connection

from api.bodies import read_body
from api.operator.desk import (
    EVERYBODY,
    Raw,
    answered,
    desk_of,
    guarded,
    make_router,
    sha256_of,
    uuid_of,
    who_of,
)
from api.operator.people import ProposedBody
from api.operator.proposals import DecisionBody, show
from api.problems import FieldError, ProblemError
from network.service import network_now, open_date, read_network
from partners import contracts, drafts, rates_store
from partners.model import Category, ContractDraft, FxRate, Terms, VatRate
from partners.service import partner_of
from partners.store import load_terms
from settlement import exposure_rows
from settlement.previews import preview_of

router = make_router("Contracts")

Code = Annotated[str, Meta(min_length=1, max_length=64)]
Currency = Annotated[str, Meta(pattern="^[A-Z]{3}(?!\\n)$")]


class ContractBody(msgspec.Struct, frozen=True, kw_only=True):
    """Every version of a partner's contract, in force, past, and still to come; amounts are texts."""

    data: list[Terms]


class NewDraftBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to change: terms by their names, amounts as texts. The rest is as in the version before.

    `funding` may stand for `funding_share` (on_redeem, on_issue, split); `category_rates` are by category
    code, `vat_codes` by flow.
    """

    terms: msgspec.Raw


class DraftBody(msgspec.Struct, frozen=True, kw_only=True):
    """A version as it was drafted, what it says in plain language, and the hash by which it is activated."""

    id: str
    partner_id: int
    terms_version: int
    terms: msgspec.Raw
    sha256: str
    prepared_by: str
    prepared_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    activated: bool | None
    preview: str = ""


class DraftsBody(msgspec.Struct, frozen=True, kw_only=True):
    """Drafts, oldest first, without their previews."""

    data: list[DraftBody]


class CategoriesBody(msgspec.Struct, frozen=True, kw_only=True):
    """The network's categories of redemption."""

    data: list[Category]


class NewCategoryBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A code that tills name, and a name that people read."""

    code: Code
    name: Annotated[str, Meta(min_length=1, max_length=200)]


class VatRatesBody(msgspec.Struct, frozen=True, kw_only=True):
    """Every rate of every VAT code."""

    data: list[VatRate]


class NewVatRateBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A code's rate from a day on: 2000 is 20 per cent."""

    vat_code: Code
    effective_on: date
    rate_bps: Annotated[int, Meta(ge=0, le=10_000)]


class FixingsBody(msgspec.Struct, frozen=True, kw_only=True):
    """Fixings, every revision: one `base` is `rate` of `quote`."""

    data: list[FxRate]


class NewFixingBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A fixing of a named source; of one day the last counts. The rate is a text."""

    source: Code
    base: Currency
    quote: Currency
    fixed_on: date
    rate: Annotated[str, Meta(pattern="^[0-9]{1,14}([.][0-9]{1,10})?(?!\\n)$")]


_DRAFT = msgspec.json.Decoder(NewDraftBody)
_DECISION = msgspec.json.Decoder(DecisionBody)
_CATEGORY = msgspec.json.Decoder(NewCategoryBody)
_VAT = msgspec.json.Decoder(NewVatRateBody)
_FIXING = msgspec.json.Decoder(NewFixingBody)
TYPES = (
    ContractBody,
    NewDraftBody,
    DraftBody,
    DraftsBody,
    CategoriesBody,
    NewCategoryBody,
    VatRatesBody,
    NewVatRateBody,
    FixingsBody,
    NewFixingBody,
)


@router.get("/partners/{code}/contract", **guarded(*EVERYBODY, answer=ContractBody))
def contract(code: str, request: Request) -> Response:
    """Every version of a partner's contract."""
    with desk_of(request).database.connect() as connection:
        partner_id = partner_of(connection, code).partner_id
        return answered(ContractBody(data=list(load_terms(connection).get(partner_id, ()))))


@router.post("/partners/{code}/contract", **guarded("maker", answer=DraftBody, body=NewDraftBody))
def draft(code: str, request: Request, raw: Raw) -> Response:
    """Draft a version, for a checker to activate; the answer says what it would do."""
    given = _given(bytes(read_body(raw, _DRAFT).terms))
    with desk_of(request).database.begin() as connection:
        partner_id = partner_of(connection, code).partner_id
        terms = drafts.terms_of(
            given,
            partner_id=partner_id,
            before=contracts.latest(connection, partner_id),
            categories=rates_store.load_categories(connection),
        )
        made = contracts.draft(connection, terms, by=who_of(request).operator_id, at=network_now(connection))
        return answered(_show(made, preview_of(connection, terms, other=None)))


@router.get("/contracts", **guarded(*EVERYBODY, answer=DraftsBody))
def list_drafts(
    request: Request,
    waiting: Annotated[bool, Query(description="Only those that wait.")] = False,  # noqa: FBT002
) -> Response:
    """What was drafted, and who decided."""
    with desk_of(request).database.connect() as connection:
        found = contracts.drafts(connection, undecided=waiting)
    return answered(DraftsBody(data=[_show(one) for one in found]))


@router.get("/contracts/{draft}", **guarded(*EVERYBODY, answer=DraftBody))
def one_draft(
    draft: str,
    request: Request,
    other: Annotated[str | None, Query(max_length=64, description="A partner, for an example.")] = None,
    points: Annotated[int, Query(ge=1, le=10**9)] = 10_000,
) -> Response:
    """A draft in plain language, with the hash by which it is activated."""
    with desk_of(request).database.connect() as connection:
        found = contracts.find(connection, uuid_of(draft, "draft_unknown"))
        terms = drafts.read_body(found.body)
        return answered(_show(found, preview_of(connection, terms, other=other, points=points)))


@router.post("/contracts/{draft}/activate", **guarded("checker", answer=DraftBody, body=DecisionBody))
def activate(draft: str, request: Request, raw: Raw) -> Response:
    """Put exactly this draft into force, from its day on."""
    said, draft_id = read_body(raw, _DECISION), uuid_of(draft, "draft_unknown")
    with desk_of(request).database.begin() as connection:
        exposure_rows.stop_tills(connection)
        contracts.activate(
            connection,
            draft_id,
            sha256=sha256_of(said.sha256),
            by=who_of(request).operator_id,
            at=network_now(connection),
            days=_days(connection),
            currency=read_network(connection).currency,
        )
        exposure_rows.contracts_changed(connection)
        return answered(_show(contracts.find(connection, draft_id)))


@router.post("/contracts/{draft}/decline", **guarded("maker", "checker", answer=DraftBody))
def decline(draft: str, request: Request) -> Response:
    """Decline a draft; a maker withdraws its own."""
    who, draft_id = who_of(request), uuid_of(draft, "draft_unknown")
    with desk_of(request).database.begin() as connection:
        found = contracts.find(connection, draft_id)
        if who.role == "maker" and found.prepared_by != who.operator_id:
            raise ProblemError("not_allowed", "a maker withdraws only what it prepared itself")
        made = contracts.decline(connection, draft_id, by=who.operator_id, at=network_now(connection))
        return answered(_show(made))


@router.get("/categories", **guarded(*EVERYBODY, answer=CategoriesBody))
def list_categories(request: Request) -> Response:
    """Kinds of redemption that contracts may price apart."""
    with desk_of(request).database.connect() as connection:
        return answered(CategoriesBody(data=rates_store.load_categories(connection)))


@router.post("/categories", **guarded("maker", answer=Category, body=NewCategoryBody))
def add_category(request: Request, raw: Raw) -> Response:
    """Add a category; it prices nothing before a contract has a rate for it."""
    said = read_body(raw, _CATEGORY)
    with desk_of(request).database.begin() as connection:
        made = contracts.add_category(connection, said.code, said.name, by=who_of(request).operator_id)
        return answered(made)


@router.get("/vat-rates", **guarded(*EVERYBODY, answer=VatRatesBody))
def list_vat_rates(request: Request) -> Response:
    """Every rate of every VAT code, by code and day."""
    with desk_of(request).database.connect() as connection:
        found = rates_store.load_vat_rates(connection)
    return answered(VatRatesBody(data=[rate for rates in found.values() for rate in rates]))


@router.post("/vat-rates", **guarded("maker", answer=ProposedBody, body=NewVatRateBody))
def propose_vat_rate(request: Request, raw: Raw) -> Response:
    """Propose the rate of a VAT code from a day on."""
    said = read_body(raw, _VAT)
    rate = VatRate(vat_code=said.vat_code, effective_on=said.effective_on, rate_bps=said.rate_bps)
    with desk_of(request).database.begin() as connection:
        made = contracts.propose_vat_rate(
            connection, rate, open_on=open_date(connection), by=who_of(request).operator_id
        )
    return answered(ProposedBody(proposal=show(made)))


@router.get("/fx-rates", **guarded(*EVERYBODY, answer=FixingsBody))
def list_fixings(
    request: Request,
    first: Annotated[date, Query(description="The first day.")],
    last: Annotated[date, Query(description="The last day.")],
) -> Response:
    """Fixings of some days, by source."""
    with desk_of(request).database.connect() as connection:
        found = rates_store.load_fixings(connection, since=first, through=last)
    return answered(FixingsBody(data=[rate for rates in found.values() for rate in rates]))


@router.post("/fx-rates", **guarded("maker", answer=ProposedBody, body=NewFixingBody))
def propose_fixing(request: Request, raw: Raw) -> Response:
    """Propose a fixing; a night uses the last one on or before its day."""
    said = read_body(raw, _FIXING)
    rate = FxRate(
        source=said.source,
        base=said.base,
        quote=said.quote,
        fixed_on=said.fixed_on,
        revision=1,
        rate=Decimal(said.rate),
    )
    with desk_of(request).database.begin() as connection:
        made = contracts.propose_fixing(connection, rate, by=who_of(request).operator_id)
    return answered(ProposedBody(proposal=show(made)))


def _given(raw: bytes) -> dict[str, object]:
    """Terms by name, numbers exactly as they were written."""
    given = json.loads(raw, parse_float=Decimal)
    if not isinstance(given, dict):
        raise ProblemError("validation_failed", "terms are an object", [FieldError("/terms", "type")])
    return given


def _days(connection: Connection) -> contracts.Days:
    zone = ZoneInfo(read_network(connection).time_zone)
    return contracts.Days(
        today=network_now(connection).astimezone(zone).date(), open_on=open_date(connection)
    )


def _show(made: ContractDraft, preview: str = "") -> DraftBody:
    draft_id: UUID = made.draft_id
    return DraftBody(
        id=str(draft_id),
        partner_id=made.partner_id,
        terms_version=made.terms_version,
        terms=msgspec.Raw(made.body.encode()),
        sha256=made.sha256.hex(),
        prepared_by=made.prepared_by,
        prepared_at=made.prepared_at,
        decided_by=made.decided_by,
        decided_at=made.decided_at,
        activated=made.activated,
        preview=preview,
    )
