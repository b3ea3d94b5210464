"""Checks of the outbox: what a partner is told is its own."""

from network.check import Check
from network.model import AccountKind, EntryKind
from network.outbox import EXPIRED, TYPE_OF

_KINDS = ", ".join(f"({int(kind)}, '{event_type}')" for kind, event_type in TYPE_OF.items())

HOOKS = (
    Check(
        name="events_are_their_partners",
        says="an entry is told to its own partner, and what lapsed to who had issued it",
        faults=f"""
            SELECT format('event %s of partner %s', v.event_id, v.partner_id), CASE
                WHEN e.entry_id IS NULL THEN format('%s of no entry', v.type)
                ELSE format('%s of an entry of kind %s of partner %s', v.type, e.kind, e.partner_id) END
            FROM webhook_event v LEFT JOIN entry e ON e.member_id = v.member_id AND e.entry_id = v.event_id
            WHERE v.body IS NULL AND CASE
                WHEN e.entry_id IS NULL THEN true
                WHEN v.type = '{EXPIRED}' THEN e.kind <> {int(EntryKind.EXPIRY)} OR NOT EXISTS (
                    SELECT FROM posting p WHERE p.member_id = e.member_id AND p.entry_id = e.entry_id
                        AND p.issuer_id = v.partner_id AND p.credit = {int(AccountKind.LAPSED)})
                ELSE e.partner_id <> v.partner_id OR (e.kind, v.type) NOT IN (VALUES {_KINDS}) END
        """,
    ),
    Check(
        name="deliveries_are_their_partners",
        says="every delivery is of an event of the partner whose endpoint it goes to",
        faults="""
            SELECT format('event %s to endpoint %s', d.event_id, d.endpoint_id), CASE
                WHEN p.endpoint_id IS NULL THEN 'there is no such endpoint'
                ELSE format('partner %s has no such event', p.partner_id) END
            FROM webhook_delivery d LEFT JOIN webhook_endpoint p USING (endpoint_id)
            LEFT JOIN webhook_event v ON v.member_id = d.member_id AND v.event_id = d.event_id
                AND v.partner_id = p.partner_id
            WHERE v.event_id IS NULL
        """,
    ),
)
"""What the database answers by itself."""
