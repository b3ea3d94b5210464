"""Values of the partners room."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Literal

import msgspec

OPERATOR_ID = 1
"""Participant id of the network operator, who keeps fees and the pool's margin."""
POOL_ID = 2
"""Participant id of the pool, whose safeguarded account holds what was paid for points at their issue."""
FIRST_PARTNER_ID = 11

ParticipantKind = Literal["partner", "operator", "pool"]
BreakageRecipient = Literal["operator", "issuer"]


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


class PartnerKey(msgspec.Struct, frozen=True, kw_only=True):
    """An Ed25519 public key (32 raw bytes) that signs for a partner between two instants."""

    key_id: str
    partner_id: int
    public_key: bytes
    not_before: datetime
    not_after: datetime | None = None
    revoked_at: datetime | None = None


class Directory(msgspec.Struct, frozen=True, kw_only=True):
    """All that the hub needs to know of partners, as one immutable snapshot.

    `terms` are sorted by `effective_on` within a partner; `outlets` holds (partner_id, outlet_code).
    """

    participants: Mapping[int, Participant]
    outlets: frozenset[tuple[int, str]]
    terms: Mapping[int, Sequence[Terms]]

    @property
    def by_code(self) -> dict[str, int]:
        """Partners' ids by their codes."""
        return {one.code: one.partner_id for one in self.participants.values() if one.kind == "partner"}
