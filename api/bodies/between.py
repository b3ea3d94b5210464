"""Requests between members: gifts, donations, pools, and accounts that are one person's."""

from api.bodies.fields import (
    ApprovalId,
    CardNumber,
    Cause,
    EntryId,
    Guardian,
    Pin,
    Points,
    Request,
    RotatingCode,
    approval_of,
    card_of,
    entry_id_of,
    guardian_of,
    utc,
)
from network.commands import Command, Donate, Gift, Invite, Join, Leave, Merge, Unmerge


class GiftBody(Request, frozen=True, tag_field="type", tag="gift"):
    """A member gives points of its own to another; they keep issuer and expiry."""

    card: CardNumber
    to_card: CardNumber
    points: Points
    guardian: Guardian | None = None
    code: RotatingCode | None = None
    pin: Pin | None = None
    approval: ApprovalId | None = None

    def command(self, partner_id: int) -> Command:
        """The command it asks for."""
        return Gift(
            partner_id=partner_id,
            reference=self.reference,
            occurred_at=utc(self.occurred_at),
            card_number=card_of(self.card),
            to_card_number=card_of(self.to_card, "/to_card"),
            points=self.points,
            guardian_card=guardian_of(self.guardian),
            code=self.code or "",
            pin=self.pin or "",
            approval=approval_of(self.approval),
        )


class DonationBody(Request, frozen=True, tag_field="type", tag="donation"):
    """A member gives points of its own to a cause: a partner whose contract accepts donations."""

    card: CardNumber
    cause: Cause
    points: Points
    guardian: Guardian | None = None
    code: RotatingCode | None = None
    pin: Pin | None = None
    approval: ApprovalId | None = None

    def command(self, partner_id: int) -> Command:
        """The command it asks for."""
        return Donate(
            partner_id=partner_id,
            reference=self.reference,
            occurred_at=utc(self.occurred_at),
            card_number=card_of(self.card),
            cause=self.cause,
            points=self.points,
            guardian_card=guardian_of(self.guardian),
            code=self.code or "",
            pin=self.pin or "",
            approval=approval_of(self.approval),
        )


class PoolInvitationBody(Request, frozen=True, tag_field="type", tag="pool_invitation"):
    """A member asks another into its pool, where each can spend the points of all. The first founds it."""

    card: CardNumber
    to_card: CardNumber
    guardian: Guardian | None = None

    def command(self, partner_id: int) -> Command:
        """The command it asks for."""
        return Invite(
            partner_id=partner_id,
            reference=self.reference,
            occurred_at=utc(self.occurred_at),
            card_number=card_of(self.card),
            to_card_number=card_of(self.to_card, "/to_card"),
            guardian_card=guardian_of(self.guardian),
        )


class PoolJoinBody(Request, frozen=True, tag_field="type", tag="pool_join"):
    """Who was invited consents, within 14 days."""

    card: CardNumber
    invitation: EntryId
    guardian: Guardian | None = None

    def command(self, partner_id: int) -> Command:
        """The command it asks for."""
        return Join(
            partner_id=partner_id,
            reference=self.reference,
            occurred_at=utc(self.occurred_at),
            card_number=card_of(self.card),
            invitation_id=entry_id_of(self.invitation, "/invitation"),
            guardian_card=guardian_of(self.guardian),
        )


class PoolLeaveBody(Request, frozen=True, tag_field="type", tag="pool_leave"):
    """A member leaves its pool with what is left of its own points."""

    card: CardNumber
    guardian: Guardian | None = None

    def command(self, partner_id: int) -> Command:
        """The command it asks for."""
        return Leave(
            partner_id=partner_id,
            reference=self.reference,
            occurred_at=utc(self.occurred_at),
            card_number=card_of(self.card),
            guardian_card=guardian_of(self.guardian),
        )


class MergeBody(Request, frozen=True, tag_field="type", tag="merge"):
    """Two accounts are one person's: points and cards of `merged_card`'s member go to `card`'s."""

    card: CardNumber
    merged_card: CardNumber

    def command(self, partner_id: int) -> Command:
        """The command it asks for."""
        return Merge(
            partner_id=partner_id,
            reference=self.reference,
            occurred_at=utc(self.occurred_at),
            card_number=card_of(self.card),
            merged_card_number=card_of(self.merged_card, "/merged_card"),
        )


class UnmergeBody(Request, frozen=True, tag_field="type", tag="unmerge"):
    """They were two people after all: cards go back, and what is left of the points."""

    merge: EntryId

    def command(self, partner_id: int) -> Command:
        """The command it asks for."""
        return Unmerge(
            partner_id=partner_id,
            reference=self.reference,
            occurred_at=utc(self.occurred_at),
            entry_id=entry_id_of(self.merge, "/merge"),
        )
