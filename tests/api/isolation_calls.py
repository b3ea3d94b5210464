"""How to call every address of the partner API with what is another partner's, for tests.api.test_isolation.

Whoever adds an address adds its line to CALLS. A line makes, of what one partner has, the requests by which
another could try to get at it; of an address that names nothing of anybody's, an ordinary request of the
caller's own. Nothing of the answer is expected here: what may not happen is the same for all.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from tests.api.conftest import a_sale
from tests.coalition import START

AT = START.isoformat()
JSON = "application/json"


@dataclass
class Own:
    """What a partner has: ids of each kind, and everything that nobody else may ever be shown."""

    code: str
    card: str = ""
    other_card: str = ""
    member: str = ""
    sale: str = ""
    reward: str = ""
    hold: str = ""
    invitation: str = ""
    merge: str = ""
    dispute: str = ""
    evidence: str = ""
    cursor: str = ""
    key_id: str = ""
    batch: str = ""
    endpoint: str = ""
    approval: str = ""
    event: str = ""
    secrets: set[str] = field(default_factory=set)


NOBODYS = Own(
    code="",
    card="",
    member="mbr_" + "0" * 32,
    sale="ent_" + "0" * 32,
    reward="ent_" + "0" * 32,
    hold="ent_" + "0" * 32,
    invitation="ent_" + "0" * 32,
    merge="ent_" + "0" * 32,
    dispute="dsp_" + "0" * 32,
    evidence="0" * 64,
    cursor="A" * 32,
    key_id="nobodys",
    batch="bat_" + "0" * 32,
    endpoint="whe_" + "0" * 32,
    approval="apv_" + "0" * 32,
    event="evt_" + "0" * 32,
)
"""Ids of the right form that nobody has."""


@dataclass(frozen=True)
class Call:
    """A request: its target, and its body if it has one."""

    target: str
    body: bytes = b""
    content_type: str = JSON


def _json(target: str, **fields: Any) -> Call:
    return Call(target, msgspec.json.encode(fields))


Calls = Callable[[Own, Own, str], Iterator[Call]]
"""Of the caller's own things, of the other's (or nobody's), and a reference that was not used yet."""


def _command(path: str, **fields: Callable[[Own, Own], Any]) -> Calls:
    def calls(mine: Own, others: Own, reference: str) -> Iterator[Call]:
        made = {name: one(mine, others) for name, one in fields.items()}
        yield _json(path, reference=reference, occurred_at=AT, **made)

    return calls


def _sale_like(path: str, **more: Any) -> Calls:
    def calls(mine: Own, others: Own, reference: str) -> Iterator[Call]:
        yield _json(path, **a_sale(mine.card, 500, reference, **more))

    return calls


def _event(mine: Own, others: Own, reference: str) -> Iterator[Call]:
    fields = {"outlet": "main", "card": mine.card, "currency": "USD", "event": "app-login"}
    yield _json("/v1/member-events", reference=reference, occurred_at=AT, **fields)


def _quote(mine: Own, others: Own, reference: str) -> Iterator[Call]:
    basket = {"outlet": "main", "card": mine.card, "currency": "USD", "amount_minor": 500}
    yield _json("/v1/quotes", occurred_at=AT, **basket)


def _reversals(mine: Own, others: Own, reference: str) -> Iterator[Call]:
    for number, entry in enumerate((others.sale, others.reward, others.hold, others.merge)):
        yield _json("/v1/reversals", reference=f"{reference}-{number}", occurred_at=AT, entry=entry)


def _entries(mine: Own, others: Own, reference: str) -> Iterator[Call]:
    yield Call("/v1/entries?limit=100")
    yield Call("/v1/entries?business_date=2017-05-01")
    yield Call(f"/v1/entries?cursor={others.cursor}")


def _each_entry(suffix: str) -> Calls:
    def calls(mine: Own, others: Own, reference: str) -> Iterator[Call]:
        for entry in (others.sale, others.reward, others.hold, others.invitation, others.merge):
            yield Call(f"/v1/entries/{entry}{suffix}")

    return calls


def _at(target: Callable[[Own, Own], str]) -> Calls:
    def calls(mine: Own, others: Own, reference: str) -> Iterator[Call]:
        yield Call(target(mine, others))

    return calls


def _file(mine: Own, others: Own, reference: str) -> Iterator[Call]:
    lines = [
        {"type": "reversal", "reference": f"{reference}-1", "occurred_at": AT, "entry": others.sale},
        {"type": "void", "reference": f"{reference}-2", "occurred_at": AT, "hold": others.hold},
    ]
    raw = b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
    yield Call("/v1/batches", raw, "application/x-ndjson")


def _disputes(mine: Own, others: Own, reference: str) -> Iterator[Call]:
    given = {"against": "petrol", "reason": "not mine"}
    yield _json("/v1/disputes", reference=reference, entry=others.reward, **given)


def _bare(target: Callable[[Own], str], **fields: Any) -> Calls:
    """A request about one thing of the other's; with a reference where it takes a body."""

    def calls(mine: Own, others: Own, reference: str) -> Iterator[Call]:
        made = {"reference": reference, **fields} if fields else None
        yield Call(target(others)) if made is None else _json(target(others), **made)

    return calls


_HOOKS = "/v1/webhook-endpoints"
FORGED_VOUCHER = "00NJ-Q4EF-GFA7-XRAT-X000-0000-1NXB-2TB1-4N6E-Y3NT"
FORGED_PACK = "0070-04K7-5VNN-6E14"
_TILL: Mapping[str, Callable[[Own, Own], Any]] = {
    "outlet": lambda *_: "main",
    "currency": lambda *_: "USD",
}
CALLS: Mapping[tuple[str, str], Calls] = {
    ("GET", "/v1/clock"): _at(lambda *_: "/v1/clock"),
    ("GET", "/v1/batches/{batch}"): _bare(lambda o: f"/v1/batches/{o.batch}"),
    ("GET", "/v1/batches/{batch}/result"): _bare(lambda o: f"/v1/batches/{o.batch}/result"),
    ("GET", "/v1/webhook-endpoints"): _at(lambda *_: _HOOKS),
    ("POST", "/v1/webhook-endpoints"): lambda m, o, r: iter(
        [_json(_HOOKS, reference=r, url="https://hooks.example.com/mine", events=["entry.accrual"])]
    ),
    ("GET", "/v1/webhook-endpoints/{endpoint}"): _bare(lambda o: f"{_HOOKS}/{o.endpoint}"),
    ("DELETE", "/v1/webhook-endpoints/{endpoint}"): _bare(lambda o: f"{_HOOKS}/{o.endpoint}"),
    ("POST", "/v1/webhook-endpoints/{endpoint}/enablement"): _bare(
        lambda o: f"{_HOOKS}/{o.endpoint}/enablement"
    ),
    ("POST", "/v1/webhook-endpoints/{endpoint}/secrets"): _bare(
        lambda o: f"{_HOOKS}/{o.endpoint}/secrets", overlap_hours=1
    ),
    ("POST", "/v1/webhook-endpoints/{endpoint}/tests"): _bare(lambda o: f"{_HOOKS}/{o.endpoint}/tests"),
    ("POST", "/v1/webhook-endpoints/{endpoint}/replays"): _bare(
        lambda o: f"{_HOOKS}/{o.endpoint}/replays", since=AT
    ),
    ("GET", "/v1/webhook-endpoints/{endpoint}/deliveries"): _bare(
        lambda o: f"{_HOOKS}/{o.endpoint}/deliveries"
    ),
    ("GET", "/v1/events"): _at(lambda *_: "/v1/events?limit=100"),
    ("GET", "/v1/events/{event}"): _bare(lambda o: f"/v1/events/{o.event}"),
    ("POST", "/v1/events/{event}/resend"): _bare(lambda o: f"/v1/events/{o.event}/resend"),
    ("POST", "/v1/members"): _command("/v1/members"),
    ("POST", "/v1/accruals"): _sale_like("/v1/accruals"),
    ("POST", "/v1/member-events"): _event,
    ("POST", "/v1/quotes"): _quote,
    ("POST", "/v1/redemptions"): _sale_like("/v1/redemptions", points=1),
    ("POST", "/v1/holds"): _sale_like("/v1/holds", points=1),
    ("POST", "/v1/captures"): _command(
        "/v1/captures", hold=lambda _, o: o.hold, points=lambda *_: 1, amount_minor=lambda *_: 1
    ),
    ("POST", "/v1/voids"): _command("/v1/voids", hold=lambda _, o: o.hold),
    ("POST", "/v1/reversals"): _reversals,
    ("POST", "/v1/releases"): _command("/v1/releases", accrual=lambda _, o: o.sale),
    ("POST", "/v1/gifts"): _command(
        "/v1/gifts", card=lambda m, _: m.card, to_card=lambda m, _: m.other_card, points=lambda *_: 1
    ),
    ("POST", "/v1/vouchers"): _command(
        "/v1/vouchers", card=lambda m, _: m.card, voucher=lambda *_: "clubcard", points=lambda *_: 150
    ),
    # Whoever has a voucher's code may use it; what nobody has is a code that we never sealed.
    ("POST", "/v1/voucher-uses"): _command(
        "/v1/voucher-uses", **_TILL, code=lambda *_: FORGED_VOUCHER, amount_minor=lambda *_: 500
    ),
    ("POST", "/v1/voucher-returns"): _command("/v1/voucher-returns", code=lambda *_: FORGED_VOUCHER),
    ("POST", "/v1/serial-codes"): _command(
        "/v1/serial-codes", **_TILL, card=lambda m, _: m.card, code=lambda *_: FORGED_PACK
    ),
    ("POST", "/v1/donations"): _command(
        "/v1/donations", card=lambda m, _: m.card, cause=lambda *_: "grocer", points=lambda *_: 1
    ),
    ("POST", "/v1/pledges"): _command(
        "/v1/pledges", card=lambda m, _: m.card, pledge=lambda *_: "any", per_cent=lambda *_: 0
    ),
    ("POST", "/v1/plan-memberships"): _sale_like("/v1/plan-memberships", plan="any"),
    ("POST", "/v1/plan-refunds"): _command("/v1/plan-refunds", membership=lambda _, o: o.sale),
    ("POST", "/v1/loads"): _sale_like("/v1/loads"),
    ("POST", "/v1/spends"): _sale_like("/v1/spends"),
    ("POST", "/v1/refunds"): _sale_like("/v1/refunds"),
    ("POST", "/v1/pool-invitations"): _command(
        "/v1/pool-invitations", card=lambda m, _: m.card, to_card=lambda m, _: m.other_card
    ),
    ("POST", "/v1/pool-joins"): _command(
        "/v1/pool-joins", card=lambda m, _: m.card, invitation=lambda _, o: o.invitation
    ),
    ("POST", "/v1/pool-leaves"): _command("/v1/pool-leaves", card=lambda m, _: m.other_card),
    ("POST", "/v1/merges"): _command("/v1/merges", card=lambda m, _: m.card, merged_card=lambda m, _: m.card),
    ("POST", "/v1/unmerges"): _command("/v1/unmerges", merge=lambda _, o: o.merge),
    ("POST", "/v1/awards"): _command(
        "/v1/awards", card=lambda m, _: m.card, award=lambda *_: "surprise", case=lambda *_: "1"
    ),
    ("GET", "/v1/matches"): _at(lambda *_: "/v1/matches"),
    ("POST", "/v1/stakes"): _command(
        "/v1/stakes", card=lambda m, _: m.card, match=lambda *_: "mat_" + "0" * 32, outcome=lambda *_: "home"
    ),
    ("POST", "/v1/referrals"): _command(
        "/v1/referrals", card=lambda m, _: m.other_card, referrer_card=lambda m, _: m.card
    ),
    ("POST", "/v1/member-facts"): lambda m, o, r: iter(
        [_json("/v1/member-facts", card=m.card, facts={"household": "family"}, consent="terms 1")]
    ),
    ("POST", "/v1/batches"): _file,
    ("GET", "/v1/cards/{number}"): _at(lambda m, _: f"/v1/cards/{m.card}"),
    ("GET", "/v1/entries"): _entries,
    ("GET", "/v1/entries/{entry}"): _each_entry(""),
    ("GET", "/v1/entries/{entry}/proof"): _each_entry("/proof"),
    ("GET", "/v1/entries/{entry}/explanation"): _each_entry("/explanation"),
    ("GET", "/v1/members/{member}/balance"): _at(lambda m, o: f"/v1/members/{o.member or m.member}/balance"),
    ("GET", "/v1/disputes"): _at(lambda *_: "/v1/disputes?limit=100"),
    ("POST", "/v1/disputes"): _disputes,
    ("GET", "/v1/disputes/{dispute}"): _at(lambda _, o: f"/v1/disputes/{o.dispute}"),
    ("POST", "/v1/disputes/{dispute}/answers"): lambda m, o, r: iter(
        [_json(f"/v1/disputes/{o.dispute}/answers", answer="accept")]
    ),
    ("POST", "/v1/disputes/{dispute}/escalations"): lambda m, o, r: iter(
        [_json(f"/v1/disputes/{o.dispute}/escalations", text="mine")]
    ),
    ("POST", "/v1/disputes/{dispute}/evidence"): lambda m, o, r: iter(
        [Call(f"/v1/disputes/{o.dispute}/evidence?name=a.pdf", b"%PDF-1.7 x", "application/pdf")]
    ),
    ("GET", "/v1/disputes/{dispute}/evidence/{sha256}"): _at(
        lambda _, o: f"/v1/disputes/{o.dispute}/evidence/{o.evidence}"
    ),
    ("POST", "/v1/approvals"): lambda m, o, r: iter(
        [
            _json(
                "/v1/approvals",
                **{k: v for k, v in a_sale(m.card, 5, r, points=5).items() if k != "occurred_at"},
            )
        ]
    ),
    ("GET", "/v1/approvals/{approval}"): _bare(lambda o: f"/v1/approvals/{o.approval}"),
    ("POST", "/v1/member-logins"): lambda m, o, r: iter(
        [_json("/v1/member-logins", member=o.member, email=f"{r}@example.com")]
    ),
    ("GET", "/v1/keys"): _at(lambda *_: "/v1/keys"),
    ("POST", "/v1/keys"): lambda m, o, r: iter(
        [_json("/v1/keys", key_id=o.key_id, public_key="A" * 43 + "=", proof="A" * 86 + "==")]
    ),
    ("POST", "/v1/key-revocations"): lambda m, o, r: iter([_json("/v1/key-revocations", key_id=o.key_id)]),
}
