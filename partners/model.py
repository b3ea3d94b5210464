"""Values of the partners room."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Literal
from uuid import UUID

import msgspec

OPERATOR_ID = 1
"""Participant id of the network operator, who keeps fees and the pool's margin."""
POOL_ID = 2
"""Participant id of the pool, whose safeguarded account holds what was paid for points at their issue."""
HUB_ID = 0
"""The hub itself, in the money ledger only: whose settlement account all payments pass through."""
FX_ID = 3
"""Participant id of the hub's FX account, which stands between currencies."""
SAFEGUARD_ID = 4
"""Participant id of the safeguarding account: it holds what members have loaded and not spent yet."""
FIRST_PARTNER_ID = 11

ParticipantKind = Literal["partner", "operator", "pool", "fx", "safeguard"]
BreakageRecipient = Literal["operator", "issuer", "acceptors"]
VatFlow = Literal["fee", "issue", "redemption", "margin", "lapse"]
"""What a contract may name a VAT code for."""


class Participant(msgspec.Struct, frozen=True, kw_only=True):
    """A participant of clearing. `code` is its short public name ("petrol")."""

    partner_id: int
    code: str
    name: str
    kind: ParticipantKind = "partner"
    status: Literal["active", "suspended", "left"] = "active"


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """One dated version of a partner's contract. Money is per point, in major units of `currency`, less VAT.

    `funding_share`: the part of a point paid for at issue (1 = on_issue, 0 = on_redeem, between = split).
    `issue_price` holds for points this partner issues; `reimbursement_rate` for points it accepts.
    What it sold may be returned at another partner if its terms say `returned_elsewhere` and the other's
    `takes_returns`. `accepts_donations`: members may give their points to it, as to a cause.
    `category_rates`: rates per point of redemption categories, by number; others have `reimbursement_rate`.
    `vat_codes`: (flow, VAT code); `vat_bps` is the rate on fees where they have no code.
    `breakage_operator_share`: the operator's part of lapsed points' money; `breakage_to` gets the rest.
    `offline_floor_points`: of one redemption that a till may accept without a line, at its partner's risk.
    Limits are in major units of `currency`; no `net_debit_cap`: none. docs/night.md explains each term.
    """

    partner_id: int
    terms_version: int
    effective_on: date
    currency: str
    funding_share: Decimal
    issue_price: Decimal
    reimbursement_rate: Decimal
    fee_per_issued_point: Decimal = Decimal(0)
    fee_per_transaction: Decimal = Decimal(0)
    fee_bps_of_credits: Decimal = Decimal(0)
    vat_bps: int = 0
    breakage_to: BreakageRecipient = "operator"
    returned_elsewhere: bool = False
    takes_returns: bool = False
    accepts_donations: bool = False
    breakage_operator_share: Decimal = Decimal(0)
    monthly_minimum: Decimal = Decimal(0)
    deposit: Decimal = Decimal(0)
    guarantee: Decimal = Decimal(0)
    net_debit_cap: Decimal | None = None
    at_cap: Literal["refuse", "flag"] = "refuse"
    cap_warning_bps: int = 8000
    cap_alarm_bps: int = 9500
    fx_source: str = ""
    dispute_days: int = 30
    minimum_payment_minor: int = 0
    notice_days: int = 90
    run_off_days: int = 365
    suspended_cost_to: Literal["issuer", "operator"] = "issuer"
    late_days: int = 30
    offline_floor_points: int = 0
    category_rates: tuple[tuple[int, Decimal], ...] = ()
    vat_codes: tuple[tuple[VatFlow, str], ...] = ()


class ContractDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A version that one person has prepared; another activates it by its hash, or declines it.

    `body`: the Terms as canonical JSON; `sha256` is of it.
    """

    draft_id: UUID
    partner_id: int
    terms_version: int
    body: str
    sha256: bytes
    prepared_by: str
    prepared_at: datetime
    decided_by: str | None = None
    decided_at: datetime | None = None
    activated: bool | None = None


class Category(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of redemption that contracts may have a rate of its own for; numbers are from 1."""

    category: int
    code: str
    name: str


class VatRate(msgspec.Struct, frozen=True, kw_only=True):
    """The rate of a VAT code from a day on."""

    vat_code: str
    effective_on: date
    rate_bps: int


class FxRate(msgspec.Struct, frozen=True, kw_only=True):
    """A fixing: one unit of `base` is `rate` units of `quote`. Of one day the highest revision counts."""

    source: str
    base: str
    quote: str
    fixed_on: date
    revision: int
    rate: Decimal


class PartnerExit(msgspec.Struct, frozen=True, kw_only=True):
    """How a partner leaves. All days are local dates of the network, the last on which something is so.

    It issues until `last_earn_on` and accepts until `last_burn_on`; its points stay good and it pays for them
    until it has left. With `buy_out` it leaves after `last_burn_on` and pays for what is then outstanding;
    with `run_off` after `run_off_until`. What its points cost after that the operator pays in its place.
    """

    partner_id: int
    notice_on: date
    last_earn_on: date
    last_burn_on: date
    run_off_until: date
    mode: Literal["run_off", "buy_out"]


class PartnerKey(msgspec.Struct, frozen=True, kw_only=True):
    """An Ed25519 public key (32 raw bytes) that signs for a partner between two instants."""

    key_id: str
    partner_id: int
    public_key: bytes
    not_before: datetime
    not_after: datetime | None = None
    revoked_at: datetime | None = None


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook endpoint as far as the writing of events needs it: what its owner asked to be told.

    `wanted`: types, families (`entry.*`), or `*`. Where it is not `active`, events are logged and not sent.
    """

    endpoint_id: UUID
    wanted: frozenset[str]
    active: bool = True

    def wants(self, event_type: str) -> bool:
        """Whether its owner asked for events of a type."""
        wanted = self.wanted
        return event_type in wanted or "*" in wanted or f"{event_type.partition('.')[0]}.*" in wanted


Hooks = Mapping[int, Sequence[Subscription]]
"""Endpoints by partner; a partner that has none is not in it."""


class Directory(msgspec.Struct, frozen=True, kw_only=True):
    """All that the hub needs to know of partners, as one immutable snapshot.

    `terms` are sorted by `effective_on` within a partner; `outlets` holds (partner_id, outlet_code). `exits`
    has the partners that leave, or have left; `categories` the numbers of redemption categories by code;
    `hooks` who of them wants to be told what.
    """

    participants: Mapping[int, Participant]
    outlets: frozenset[tuple[int, str]]
    terms: Mapping[int, Sequence[Terms]]
    exits: Mapping[int, PartnerExit] = {}
    categories: Mapping[str, int] = {}
    hooks: Hooks = {}

    @property
    def by_code(self) -> dict[str, int]:
        """Partners' ids by their codes."""
        return {one.code: one.partner_id for one in self.participants.values() if one.kind == "partner"}
