"""What members say of themselves at a partner's desk, with their consent; and how they take it back."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec
from fastapi import APIRouter, Request, Response
from msgspec import Meta
from sqlalchemy import text

from api.bodies import read_body
from api.bodies.fields import CardNumber, Word, card_of
from api.openapi import post_docs
from api.problems import ProblemError
from api.routes.commands import require_no_guessing
from api.routes.disputes import Raw
from api.routes.reads import json_response
from api.service import partner_of, service_of
from network import facts
from network.service import network_now

router = APIRouter(prefix="/v1", tags=["Members"])

_MEMBER = text("SELECT member_id FROM card WHERE card_number = :card")
Value = Annotated[str, Meta(pattern="^[!-~]( ?[!-~]){0,63}(?!\\n)$")]


class MemberFactsBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a member says of itself, by name; null takes it back. `consent`: the words that it agreed to."""

    card: CardNumber
    facts: Annotated[
        Mapping[Word, Value | None],
        Meta(min_length=1, max_length=20, description='By name; "birthday" as 2000-02-29. Null withdraws.'),
    ]
    consent: Annotated[str, Meta(pattern="^[!-~]( ?[!-~]){0,199}(?!\\n)$")] | None = None


class MemberFactsDoneBody(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept now, and what was withdrawn, by name; what it says is never answered."""

    card: str
    told: Sequence[str]
    withdrawn: Sequence[str]


TYPES = (MemberFactsBody, MemberFactsDoneBody)
_SAID = msgspec.json.Decoder(MemberFactsBody)


@router.post("/member-facts", **post_docs("MemberFactsDoneBody", 200, "MemberFactsBody"))
def tell_facts(request: Request, raw: Raw) -> Response:
    """Keep what a member says of itself, with its consent, or forget it.

    Segments of the programme may ask for it. Who withdraws a fact leaves every segment that needs it at once.
    """
    said = read_body(raw, _SAID)
    told = {name: value for name, value in said.facts.items() if value is not None}
    gone = sorted(said.facts.keys() - told.keys())
    if told and said.consent is None:
        raise ProblemError("validation_failed", "facts are kept with the words that the member agreed to")
    card, by, service = card_of(said.card), partner_of(request), service_of(request)
    require_no_guessing(service, by)
    with service.database.begin() as connection:
        member_id = connection.execute(_MEMBER, {"card": card}).scalar_one_or_none()
        if member_id is None:
            service.limits.cards.spend(by, service.limits.now())
            raise ProblemError("card_unknown")
        at = network_now(connection)
        try:
            facts.tell(connection, member_id, told, consent=said.consent or "", by=by, at=at)
        except facts.FactUnfit as error:
            raise ProblemError("fact_unfit", str(error)) from error
        withdrawn = facts.withdraw(connection, member_id, gone, at=at) if gone else []
    return json_response(MemberFactsDoneBody(card=said.card, told=sorted(told), withdrawn=withdrawn))
