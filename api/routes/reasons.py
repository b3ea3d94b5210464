"""Why an entry is as it is, and what a basket would earn: answers without effect."""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Request, Response

from api.bodies import read_body
from api.bodies.fields import (
    Amount,
    Amounts,
    CardNumber,
    Choice,
    Coupons,
    Currency,
    Evidence,
    FlightBody,
    OccurredAt,
    Offer,
    Outlet,
    Units,
    Word,
)
from api.bodies.tills import AccrualBody
from api.openapi import post_docs, read_docs
from api.problems import ProblemError
from api.routes.commands import require_no_guessing
from api.routes.reads import json_response
from api.service import partner_of, service_of
from network import ids
from network.award_store import occasion_of
from network.basket import Flight
from network.batch import preview
from network.commands import Accrue, Redeem
from network.explaining import Explanation, explain
from network.model import Posting, Unit
from network.outcomes import Decision, RecordedEntry, Rejected
from network.programme.rewards import RewardOffer
from network.programme.rule import Step
from network.rewards import offers
from network.rules import Folded, Rules, set_aside
from network.store import load_entries

router = APIRouter(prefix="/v1", tags=["Reasons"])


class QuoteRequestBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A basket as it would be reported, and the card that would be shown; without an amount, only that."""

    occurred_at: OccurredAt
    outlet: Outlet
    card: CardNumber
    currency: Currency
    amount_minor: Amount | None = None
    lines: Amounts | None = None
    tender: Word | None = None
    channel: Word | None = None
    units: Units | None = None
    flight: FlightBody | None = None
    alliance_tier: Word | None = None
    offer: Offer | None = None
    evidence: Evidence | None = None
    choice: Choice | None = None
    coupons: Coupons | None = None


class QuoteBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the basket would earn, and what the card could spend here now. Nothing was done.

    `refused`: why it would earn nothing at all; `spending_refused`: why no points would be taken here.
    `waiting`: points that would wait for an event or a day. `tier`: the tier that the sale would reach.
    `discount_minor`: what the till would take off. `member_tier`, and what an alliance knows it as: what the
    member is entitled to at the counter. `rewards`: those of the programme that are to be had here, at each
    of their prices, whether the points suffice or not; tickets of the flight that was asked for.
    """

    points: int
    waiting: int = 0
    status: int = 0
    tier: str = ""
    refused: str = ""
    discount_minor: int = 0
    steps: Sequence[Step] = ()
    member_tier: str = ""
    alliance_tier: str = ""
    benefits: Sequence[str] = ()
    rewards: Sequence[RewardOffer] = ()
    spendable: int = 0
    spending_refused: str = ""


TYPES = (Explanation, QuoteRequestBody, QuoteBody)
_QUOTE = msgspec.json.Decoder(QuoteRequestBody)


async def _json(request: Request) -> bytes:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise ProblemError("media_type_unsupported", "send application/json")
    return await request.body()


@router.get("/entries/{entry}/explanation", **read_docs("Explanation"))
def explanation(entry: str, request: Request) -> Response:
    """Why one of your entries is as it is: which rules gave, which did not and why, and who pays."""
    entry_id = ids.read("ent", entry)
    if entry_id is None:
        raise ProblemError("entry_unknown")
    service = service_of(request)
    with service.database.connect() as connection:
        recorded = load_entries(connection, [entry_id]).get(entry_id)
        occasion = occasion_of(connection, entry_id)
    if recorded is None or recorded.entry.partner_id != partner_of(request):
        raise ProblemError("entry_unknown")
    return json_response(explain(recorded, service.rules(), occasion))


@router.post("/quotes", **post_docs("QuoteBody", 200, "QuoteRequestBody", 503))
def quote(request: Request, raw: Annotated[bytes, Depends(_json)]) -> Response:
    """Say what a basket would earn, and what its card could spend here, without effect."""
    said = read_body(raw, _QUOTE)
    service, partner_id = service_of(request), partner_of(request)
    require_no_guessing(service, partner_id)
    rules = service.rules()
    given = {name: value for name, value in msgspec.structs.asdict(said).items() if value is not None}
    earned = None
    if said.amount_minor is not None:
        sale = AccrualBody(reference="quote", **given).command(partner_id)
        assert isinstance(sale, Accrue)  # noqa: S101 - what that body makes
        earned = preview(service.database, sale, rules)[0]
    card = AccrualBody(reference="quote", **{**given, "amount_minor": 1, "lines": None}).command(partner_id)
    assert isinstance(card, Accrue)  # noqa: S101 - what that body makes
    reward = Redeem(
        partner_id=partner_id,
        reference="quote",
        occurred_at=card.occurred_at,
        outlet_code=card.outlet_code,
        card_number=card.card_number,
        points=1,
        amount_minor=1,
        currency=card.currency,
    )
    spent, folded = preview(service.database, reward, rules)
    found = _quoted(earned, rules)
    refused = spent.reason if isinstance(spent, Rejected) else ""
    if "card_unknown" in (refused, found.refused):
        service.limits.cards.spend(partner_id, service.limits.now())
    if refused and refused != "insufficient_points":
        return json_response(msgspec.structs.replace(found, spending_refused=refused))
    flight = None if card.details is None else card.details.flight
    return json_response(_at_counter(found, folded, reward, flight, rules))


def _quoted(earned: Decision | Rejected | None, rules: Rules) -> QuoteBody:
    """What a basket would earn."""
    if earned is None:
        return QuoteBody(points=0)
    if isinstance(earned, Rejected):
        return QuoteBody(points=0, refused=earned.reason)
    recorded = RecordedEntry(entry=earned.entry, postings=earned.postings, judgement=earned.judgement)
    tier = earned.account.tier
    return QuoteBody(
        points=earned.entry.points,
        waiting=set_aside(earned),
        status=_sum(earned.postings, Unit.STATUS),
        tier="" if isinstance(tier, msgspec.UnsetType) else tier,
        discount_minor=earned.discount_minor,
        steps=explain(recorded, rules).steps,
    )


def _at_counter(
    found: QuoteBody, folded: Folded, reward: Redeem, flight: Flight | None, rules: Rules
) -> QuoteBody:
    """The same, with what the member is entitled to here and can spend."""
    member_id = folded.member_behind(reward.card_number)
    if member_id is None:
        return found
    tier, ladder = folded.member(member_id).tier, rules.programme.ladder
    today = rules.local_date(reward.occurred_at)
    return msgspec.structs.replace(
        found,
        member_tier=tier,
        alliance_tier=ladder.alliance(tier),
        benefits=ladder.benefits(tier),
        rewards=tuple(offers(rules, reward.partner_id, tier, today, flight)),
        spendable=sum(folded.balance(one) for one in folded.pool(member_id)),
    )


def _sum(postings: Sequence[Posting], unit: Unit) -> int:
    return sum(one.points for one in postings if one.unit is unit)
