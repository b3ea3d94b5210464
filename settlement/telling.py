"""What partners with webhooks are told of nights and disputes, in the transaction that makes it so."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from network import ids
from network.service import date_of_window
from partners.hooks.events import Told
from partners.hooks.outbox import publish
from partners.model import FIRST_PARTNER_ID
from settlement.model import Position
from settlement.money_model import Dispute, DisputeEvent


def tell_statements(
    connection: Connection, window_id: int, revision: int, positions: Sequence[Position], *, at: datetime
) -> None:
    """Each partner of a netted night: that its statement is there, and its own position."""
    own: dict[int, list[dict[str, object]]] = {}
    for one in positions:
        if one.participant_id >= FIRST_PARTNER_ID:
            shown = {"currency": one.currency, "payment_minor": one.payment_minor}
            own.setdefault(one.participant_id, []).append(shown)
    told = [
        Told(
            partner_id=partner_id,
            type="statement.ready",
            data={
                "business_date": date_of_window(window_id).isoformat(),
                "revision": revision,
                "positions": shown,
            },
        )
        for partner_id, shown in sorted(own.items())
    ]
    publish(connection, told, at=at)


def tell_dispute(connection: Connection, one: Dispute, event: DisputeEvent) -> None:
    """Both parties of a dispute: what became of it, and until when somebody has time to answer."""
    until = event.answer_until
    data = {
        "dispute": ids.show("dsp", one.dispute_id),
        "state": event.state,
        "business_date": date_of_window(one.window_id).isoformat(),
        "entry": None if one.entry_id is None else ids.show("ent", one.entry_id),
        "currency": one.currency,
        "amount": f"{one.amount:f}",
        "awarded": None if event.awarded is None else f"{event.awarded:f}",
        "answer_until": None if until is None else until.isoformat(),
    }
    told = [
        Told(partner_id=partner_id, type=f"dispute.{event.state}", data={"role": role, **data})
        for partner_id, role in ((one.raised_by_id, "raiser"), (one.against_id, "other"))
    ]
    publish(connection, told, at=event.at)
