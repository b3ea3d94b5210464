"""Requests about stored value: load, spend, refund. Amounts are money, never points."""

from api.bodies.fields import Amount, CardNumber, Currency, Outlet, Request, card_of, utc
from network.commands import Command, LoadValue, RefundValue, SpendValue


class _AtTill(Request, frozen=True):
    """Where, whose, and how much."""

    outlet: Outlet
    card: CardNumber
    amount_minor: Amount
    currency: Currency

    def _as(
        self, kind: type[LoadValue] | type[SpendValue] | type[RefundValue], partner_id: int
    ) -> LoadValue | SpendValue | RefundValue:
        return kind(
            partner_id=partner_id,
            reference=self.reference,
            occurred_at=utc(self.occurred_at),
            outlet_code=self.outlet,
            card_number=card_of(self.card),
            amount_minor=self.amount_minor,
            currency=self.currency,
        )


class LoadBody(_AtTill, frozen=True, tag_field="type", tag="load"):
    """A member has paid your till money that it will spend later."""

    def command(self, partner_id: int) -> Command:
        """The command it asks for."""
        return self._as(LoadValue, partner_id)


class SpendBody(_AtTill, frozen=True, tag_field="type", tag="spend"):
    """Stored value pays for a sale, or for part of it."""

    def command(self, partner_id: int) -> Command:
        """The command it asks for."""
        return self._as(SpendValue, partner_id)


class RefundBody(_AtTill, frozen=True, tag_field="type", tag="refund"):
    """Your till pays stored value back to its member in money, as far as the balance says it may."""

    def command(self, partner_id: int) -> Command:
        """The command it asks for."""
        return self._as(RefundValue, partner_id)
