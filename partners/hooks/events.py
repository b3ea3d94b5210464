"""What partners can be told of, and who wants to hear it (pure)."""

import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec

EVENT_TYPES: Mapping[str, str] = {
    "entry.enrolment": "A member was enrolled by you.",
    "entry.accrual": "A sale of yours was recorded, zero points included.",
    "entry.redemption": "Points were taken in payment at your outlet.",
    "entry.reversal": "An entry was undone by you, in full or in part.",
    "entry.hold": "Points were reserved for a sale of yours.",
    "entry.capture": "Held points were taken in payment.",
    "entry.void": "Held points were given back by you.",
    "entry.hold_lapse": "A hold of yours ran out of time; its points went back.",
    "entry.release": "Points that were pending for an event of yours can be spent.",
    "entry.gift": "A member gave points to another by you.",
    "entry.transfer": "The other member's half of a gift, merge or pooled reward of yours.",
    "entry.donation": "A member gave points to a cause by you.",
    "entry.award": "You gave a member points that were no sale's: by staff, or for an occasion.",
    "entry.referral": "A member said at your till who had brought it.",
    "entry.stake": "A member staked points on a match by you.",
    "entry.voucher": "A member turned points into a voucher by you.",
    "entry.voucher_end": "A member gave a voucher back by you, unused.",
    "entry.pledge": "A member made or ended a standing pledge by you.",
    "entry.plan_membership": "A member bought or renewed a paid plan from you.",
    "entry.plan_refund": "A paid plan was ended by you before its time.",
    "entry.load": "A member loaded stored value at your till.",
    "entry.spend": "Stored value was taken in payment at your till.",
    "entry.refund": "Stored value was paid back to a member at your till.",
    "entry.pool_invitation": "A member was asked into a pool by you.",
    "entry.pool_join": "A member joined a pool by you.",
    "entry.pool_leave": "A member left its pool by you.",
    "entry.merge": "Two accounts were made one by you.",
    "entry.unmerge": "A merge of yours was undone.",
    "points.expired": "Points that you issued to a member have lapsed.",
    "statement.ready": "A night is netted: your statement of that business date can be read.",
    "dispute.raised": "A dispute was raised by you, or against you.",
    "dispute.accepted": "A dispute of yours was accepted, in words or by silence.",
    "dispute.rejected": "A dispute of yours was rejected.",
    "dispute.escalated": "A dispute of yours waits for the operator's decision.",
    "dispute.decided": "A dispute of yours is decided.",
    "key.registered": "A signing key of yours was registered.",
    "key.revoked": "A signing key of yours was revoked.",
    "exposure.warning": "What you owe unsettled comes near your cap.",
    "webhook.test": "You asked for it, to try an endpoint.",
}
"""Every type of event, and what it says. A type that is not here cannot be published."""

EVERYTHING = "*"
_VERSION = 7 << 76
_VARIANT = 0b10 << 62
_MEMBER_BITS = 40
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def family_of(event_type: str) -> str:
    """What an endpoint asks for that wants all of a kind: `entry.*`."""
    return event_type.partition(".")[0] + ".*"


WANTABLE = frozenset({EVERYTHING, *EVENT_TYPES, *map(family_of, EVENT_TYPES)})
"""All that an endpoint may ask for: types, families of types, everything."""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One event for one partner, as whoever publishes it says it.

    `data`: what is encoded as JSON; nothing that is not the partner's to see. `member_id`: whose it is, since
    events of one member reach an endpoint in order. `event_id`: a UUIDv7 with that number; None: a new one.
    """

    partner_id: int
    type: str
    data: Mapping[str, object] | msgspec.Struct
    member_id: int = 0
    event_id: UUID | None = None


def new_event_id(at: datetime, member_id: int = 0, randbits: Callable[[int], int] = secrets.randbits) -> UUID:
    """A UUIDv7 laid out as all ids of ours: the member's number in its last 40 bits (0: of no member)."""
    if not 0 <= member_id < 1 << _MEMBER_BITS:
        raise ValueError(f"member number {member_id} does not fit {_MEMBER_BITS} bits")
    noise = randbits(34)
    milliseconds = (at - _EPOCH) // timedelta(milliseconds=1)
    early, late = noise >> 22, (noise & 0x3FFFFF) << _MEMBER_BITS
    return UUID(int=milliseconds << 80 | _VERSION | early << 64 | _VARIANT | late | member_id)
