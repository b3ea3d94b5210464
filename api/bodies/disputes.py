"""Disputes as partners and operators send and read them."""

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Literal
from urllib.parse import quote

import msgspec
from msgspec import Meta
from starlette.responses import Response

from api.bodies.fields import EntryId, Reference
from api.problems import ProblemError
from network import ids
from network.service import date_of_window
from settlement.dispute import WAITS_FOR
from settlement.dispute_store import Case
from settlement.disputes import WORKER, partner_name
from settlement.money_model import DisputedFlow, DisputeState

Words = Annotated[
    str,
    Meta(
        max_length=1_000,
        pattern="^(?=[\\s\\S]*\\S)[^\\x00-\\x08\\x0b-\\x1f\\x7f]+(?!\\n)$",
        description="1 to 1000 characters, for people to read.",
    ),
]
Code = Annotated[str, Meta(pattern="^[!-~]{1,32}(?!\\n)$", description="A partner's code.")]
Money = Annotated[
    str,
    Meta(
        pattern="^[0-9]{1,12}(\\.[0-9]{1,12})?(?!\\n)$",
        description="In major units of the line's currency, exact: 12.3456.",
    ),
]


class NewDisputeBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """You paid on a line of your statement, and should not have. Name one line: an entry, or a date.

    `entry`: a redemption of your points at the other partner; or the return of one, which it gave you back
    and you had to pay. `business_date`: all of your points that were redeemed there that day; or by `line`
    what you paid that night: against the operator for points you `issue`d, as `fee`, as `vat`; against a
    partner as `vat` that you owed it.
    """

    reference: Reference
    against: Code
    entry: EntryId | None = None
    business_date: date | None = None
    line: Annotated[DisputedFlow, Meta(description="Besides `redemption`, of a business date only.")] = (
        "redemption"
    )
    amount: Annotated[Money | None, Meta(description="Left out: all that is left of the line.")] = None
    reason: Words


class AnswerBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Your answer to a dispute against you. If you accept it, you pay it back in the window open now."""

    answer: Literal["accept", "reject"]
    text: Words


class EscalationBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """You ask the operator to decide what was rejected."""

    text: Words


class DisputeEventBody(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a dispute. `by`: a partner's code, "operator", or "clock" where nobody answered."""

    state: DisputeState
    text: str
    by: str
    at: datetime
    answer_until: datetime | None


class EvidenceBody(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was attached; `sha256` is of its bytes and names it."""

    sha256: str
    name: str
    media_type: str
    size: int
    attached_by: str
    attached_at: datetime


class DisputeBody(msgspec.Struct, frozen=True, kw_only=True):
    """A dispute and all that became of it.

    `waits_for` has until just before `answer_until` to move; null where it is over, and only the operator has
    no such time. `awarded` is what was paid back, "0" where nothing was; `paid_on` is the business date whose
    statement shows it. `reference` is the one of whoever raised it.
    """

    id: str
    reference: str
    state: DisputeState
    waits_for: str | None
    answer_until: datetime | None
    raised_by: str
    against: str
    entry: str | None
    business_date: date
    line: DisputedFlow
    currency: str
    amount: str
    reason: str
    raised_at: datetime
    awarded: str | None
    paid_on: date | None
    events: list[DisputeEventBody]
    evidence: list[EvidenceBody]


class DisputePage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of disputes, the newest first."""

    data: list[DisputeBody]
    has_more: bool
    next_cursor: str | None


class DisputeDecisionBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be paid back, "0" for nothing, and why; both partners read that."""

    awarded: Money
    reason: Words


class DisputeAnswerBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The operator's answer to a dispute with itself, and why; the partner reads that."""

    answer: Literal["accept", "reject"]
    reason: Words


DISPUTE_BODIES = (NewDisputeBody, AnswerBody, EscalationBody, DisputeBody, DisputePage)
"""What partners send and read."""


def show_case(case: Case, codes: Mapping[int, str], *, names: bool = False) -> DisputeBody:
    """A dispute as it is answered.

    Args:
        case: The dispute.
        codes: Partners' codes by their ids.
        names: Whether operators are named: to each other they are, to partners they are the operator.
    """
    one, last = case.dispute, case.last
    parties = {partner_name(each): codes.get(each, str(each)) for each in (one.raised_by_id, one.against_id)}

    def who(by: str) -> str:
        if by in parties:
            return parties[by]
        return "clock" if by == WORKER else by if names else "operator"

    waiting = {
        "raiser": codes.get(one.raised_by_id),
        "other": codes.get(one.against_id),
        "operator": "operator",
        None: None,
    }
    return DisputeBody(
        id=ids.show("dsp", one.dispute_id),
        reference=one.reference,
        state=last.state,
        waits_for=waiting[WAITS_FOR[last.state]],
        answer_until=last.answer_until,
        raised_by=parties[partner_name(one.raised_by_id)],
        against=parties[partner_name(one.against_id)],
        entry=None if one.entry_id is None else ids.show("ent", one.entry_id),
        business_date=date_of_window(one.window_id),
        line=one.flow,
        currency=one.currency,
        amount=plain(one.amount),
        reason=one.reason,
        raised_at=one.raised_at,
        awarded=None if last.awarded is None else plain(last.awarded),
        paid_on=None if case.paid_in_window is None else date_of_window(case.paid_in_window),
        events=[
            DisputeEventBody(
                state=each.state,
                text=each.text,
                by=who(each.by),
                at=each.at,
                answer_until=each.answer_until,
            )
            for each in case.events
        ],
        evidence=[
            EvidenceBody(
                sha256=each.sha256.hex(),
                name=each.name,
                media_type=each.media_type,
                size=each.size,
                attached_by=who(each.attached_by),
                attached_at=each.attached_at,
            )
            for each in case.evidence
        ],
    )


def plain(amount: Decimal) -> str:
    """An amount without an exponent and without zeros at its end: 750, 93.75."""
    shown = f"{amount:f}"
    return shown.rstrip("0").rstrip(".") if "." in shown else shown


def file_answer(found: tuple[str, str, bytes] | None) -> Response:
    """A file that nobody's browser shows or guesses about.

    Raises:
        ProblemError: evidence_unknown.
    """
    if found is None:
        raise ProblemError("evidence_unknown")
    name, media_type, content = found
    headers = {
        "content-disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}",
        "x-content-type-options": "nosniff",
        "content-security-policy": "sandbox",
    }
    return Response(content, media_type=media_type, headers=headers)


def hash_of(shown: str) -> bytes:
    """The hash in an address; what is none names no file."""
    try:
        return bytes.fromhex(shown)
    except ValueError:
        return b""
