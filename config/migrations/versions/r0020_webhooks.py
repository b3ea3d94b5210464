"""Webhooks: endpoints, what signs for them, the outbox of events, deliveries, and what each attempt came to.

Revision ID: 0020
Revises: 0014
"""

from alembic import op
from sqlalchemy import text

from config.roles import application_role, grant_to_application, reader_role

revision = "0020"
down_revision = "0014"
branch_labels = None
depends_on = None

_TABLES = """
CREATE TABLE webhook_endpoint (
    endpoint_id uuid NOT NULL,
    partner_id integer NOT NULL,
    reference text NOT NULL,
    url text NOT NULL,
    types text[] NOT NULL,
    signature text NOT NULL,
    description text NOT NULL,
    status text NOT NULL,
    because text DEFAULT '' NOT NULL,
    made_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    failures integer DEFAULT 0 NOT NULL,
    rests_until timestamptz,
    delivered_at timestamptz,
    failed_at timestamptz,
    leased_by uuid,
    leased_until timestamptz,
    PRIMARY KEY (endpoint_id),
    FOREIGN KEY (partner_id) REFERENCES partner (partner_id),
    CONSTRAINT webhook_endpoint_reference_once UNIQUE (partner_id, reference),
    CONSTRAINT webhook_endpoint_signature CHECK (signature IN ('v1', 'v1a')),
    CONSTRAINT webhook_endpoint_status CHECK (status IN ('active', 'disabled', 'deleted')),
    CONSTRAINT webhook_endpoint_wants CHECK (cardinality(types) > 0),
    CONSTRAINT webhook_endpoint_lease_whole CHECK ((leased_by IS NULL) = (leased_until IS NULL))
);

CREATE TABLE webhook_secret (
    endpoint_id uuid NOT NULL,
    secret_id uuid NOT NULL,
    reference text,
    public_key bytea,
    sealed bytea NOT NULL,
    made_at timestamptz NOT NULL,
    ends_at timestamptz,
    PRIMARY KEY (endpoint_id, secret_id),
    FOREIGN KEY (endpoint_id) REFERENCES webhook_endpoint (endpoint_id),
    CONSTRAINT webhook_secret_reference_once UNIQUE (endpoint_id, reference)
);

CREATE TABLE webhook_event (
    member_id bigint NOT NULL,
    event_id uuid NOT NULL,
    partner_id integer NOT NULL,
    type text NOT NULL,
    body text,
    PRIMARY KEY (member_id, event_id, partner_id)
);
CREATE INDEX webhook_event_partner ON webhook_event (partner_id, event_id);

CREATE TABLE webhook_delivery (
    member_id bigint NOT NULL,
    event_id uuid NOT NULL,
    endpoint_id uuid NOT NULL,
    place bigint GENERATED ALWAYS AS IDENTITY NOT NULL,
    state text DEFAULT 'waiting' NOT NULL,
    due_at timestamptz DEFAULT now() NOT NULL,
    attempts smallint DEFAULT '0' NOT NULL,
    tries integer DEFAULT 0 NOT NULL,
    begun_at timestamptz,
    finished_at timestamptz,
    PRIMARY KEY (member_id, event_id, endpoint_id),
    CONSTRAINT webhook_delivery_state CHECK (state IN ('waiting', 'delivered', 'failed')),
    CONSTRAINT webhook_delivery_finished CHECK ((state = 'waiting') = (finished_at IS NULL))
);
CREATE INDEX webhook_delivery_due ON webhook_delivery (endpoint_id, due_at, place) WHERE state = 'waiting';
CREATE INDEX webhook_delivery_line ON webhook_delivery (endpoint_id, member_id, place)
    WHERE state = 'waiting';
CREATE INDEX webhook_delivery_log ON webhook_delivery (endpoint_id, event_id);

CREATE TABLE webhook_attempt (
    member_id bigint NOT NULL,
    event_id uuid NOT NULL,
    endpoint_id uuid NOT NULL,
    attempt integer NOT NULL,
    at timestamptz NOT NULL,
    outcome text NOT NULL,
    status smallint,
    milliseconds integer NOT NULL,
    PRIMARY KEY (member_id, event_id, endpoint_id, attempt)
);

CREATE TABLE webhook_replay (
    endpoint_id uuid NOT NULL,
    reference text NOT NULL,
    since timestamptz NOT NULL,
    queued integer NOT NULL,
    asked_at timestamptz NOT NULL,
    PRIMARY KEY (endpoint_id, reference),
    FOREIGN KEY (endpoint_id) REFERENCES webhook_endpoint (endpoint_id)
);
"""
# Events are only added, and go when their time is over; secrets are of the application alone.
_HIDDEN = 'REVOKE SELECT ON webhook_secret FROM "{reader}";'
_CHANGES = {
    "webhook_endpoint": (
        "UPDATE (status, because, changed_at, failures, rests_until, delivered_at, failed_at, leased_by,"
        " leased_until)"
    ),
    "webhook_secret": "UPDATE (ends_at), DELETE",
    "webhook_event": "DELETE",
    "webhook_delivery": "UPDATE (state, due_at, attempts, tries, begun_at, finished_at), DELETE",
    "webhook_attempt": "DELETE",
}


def upgrade() -> None:
    """Make the tables, and grant the application what it must change."""
    connection = op.get_bind()
    schema = str(connection.scalar(text("SELECT current_schema()")))
    hidden = _HIDDEN.format(app=application_role(schema), reader=reader_role(schema))
    for script in (_TABLES, hidden):
        # Without a parameter list: only so does the driver send several statements at once.
        connection.exec_driver_sql(script, execution_options={"no_parameters": True})
    grant_to_application(connection, schema, _CHANGES)
