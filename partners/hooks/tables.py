"""Tables of webhooks.

What belongs to a member carries its number first in the key, and is in the member's shard; endpoints are few,
and read by every node.
"""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)

from partners.tables import metadata

webhook_endpoint = Table(
    "webhook_endpoint",
    metadata,
    Column("endpoint_id", Uuid, primary_key=True),
    Column("partner_id", Integer, ForeignKey("partner.partner_id"), nullable=False),
    Column("reference", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("types", ARRAY(Text), nullable=False),
    Column("signature", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("because", Text, nullable=False, server_default=""),
    Column("made_at", DateTime(timezone=True), nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("rests_until", DateTime(timezone=True)),
    Column("delivered_at", DateTime(timezone=True)),
    Column("failed_at", DateTime(timezone=True)),
    Column("leased_by", Uuid),
    Column("leased_until", DateTime(timezone=True)),
    UniqueConstraint("partner_id", "reference", name="webhook_endpoint_reference_once"),
    CheckConstraint("signature IN ('v1', 'v1a')", name="webhook_endpoint_signature"),
    CheckConstraint("status IN ('active', 'disabled', 'deleted')", name="webhook_endpoint_status"),
    CheckConstraint("cardinality(types) > 0", name="webhook_endpoint_wants"),
    CheckConstraint("(leased_by IS NULL) = (leased_until IS NULL)", name="webhook_endpoint_lease_whole"),
)
"""Where a partner is told. `failures`: since the last success, in a row; while it rests, nothing is sent.

Its lease is the right to deliver to it: one worker at a time has it, so that order is kept.
"""

webhook_secret = Table(
    "webhook_secret",
    metadata,
    Column("endpoint_id", Uuid, ForeignKey("webhook_endpoint.endpoint_id"), nullable=False),
    Column("secret_id", Uuid, nullable=False),
    Column("reference", Text),
    Column("public_key", LargeBinary),
    Column("sealed", LargeBinary, nullable=False),
    Column("made_at", DateTime(timezone=True), nullable=False),
    Column("ends_at", DateTime(timezone=True)),
    PrimaryKeyConstraint("endpoint_id", "secret_id"),
    UniqueConstraint("endpoint_id", "reference", name="webhook_secret_reference_once"),
)
"""What an endpoint's deliveries are signed with, sealed under a key that is not in the database."""

webhook_event = Table(
    "webhook_event",
    metadata,
    Column("member_id", BigInteger, nullable=False),
    Column("event_id", Uuid, nullable=False),
    Column("partner_id", Integer, nullable=False),
    Column("type", Text, nullable=False),
    Column("body", Text),
    PrimaryKeyConstraint("member_id", "event_id", "partner_id"),
    Index("webhook_event_partner", "partner_id", "event_id"),
)
"""What partners with endpoints are told: the outbox, and the log that is replayed from.

Without `body` it is of the entry of the same id, which never changes. When it was is in the id.
"""

webhook_delivery = Table(
    "webhook_delivery",
    metadata,
    Column("member_id", BigInteger, nullable=False),
    Column("event_id", Uuid, nullable=False),
    Column("endpoint_id", Uuid, nullable=False),
    Column("place", BigInteger, Identity(), nullable=False),
    Column("state", Text, nullable=False, server_default="waiting"),
    Column("due_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    Column("attempts", SmallInteger, nullable=False, server_default="0"),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("begun_at", DateTime(timezone=True)),
    Column("finished_at", DateTime(timezone=True)),
    PrimaryKeyConstraint("member_id", "event_id", "endpoint_id"),
    CheckConstraint("state IN ('waiting', 'delivered', 'failed')", name="webhook_delivery_state"),
    CheckConstraint("(state = 'waiting') = (finished_at IS NULL)", name="webhook_delivery_finished"),
    Index(
        "webhook_delivery_due",
        "endpoint_id",
        "due_at",
        "place",
        postgresql_where=text("state = 'waiting'"),
    ),
    Index(
        "webhook_delivery_line",
        "endpoint_id",
        "member_id",
        "place",
        postgresql_where=text("state = 'waiting'"),
    ),
    Index("webhook_delivery_log", "endpoint_id", "event_id"),
)
"""One event on its way to one endpoint. `place`: its order, given under the lock of the member's account.

`attempts` counts on the schedule, from 0 again when it is sent anew; `tries` counts all there ever were.
"""

webhook_attempt = Table(
    "webhook_attempt",
    metadata,
    Column("member_id", BigInteger, nullable=False),
    Column("event_id", Uuid, nullable=False),
    Column("endpoint_id", Uuid, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("outcome", Text, nullable=False),
    Column("status", SmallInteger),
    Column("milliseconds", Integer, nullable=False),
    PrimaryKeyConstraint("member_id", "event_id", "endpoint_id", "attempt"),
)
"""What each attempt came to. No body and no answer is kept."""

webhook_replay = Table(
    "webhook_replay",
    metadata,
    Column("endpoint_id", Uuid, ForeignKey("webhook_endpoint.endpoint_id"), nullable=False),
    Column("reference", Text, nullable=False),
    Column("since", DateTime(timezone=True), nullable=False),
    Column("queued", Integer, nullable=False),
    Column("asked_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("endpoint_id", "reference"),
)
"""What partners had sent again, from an instant on."""
