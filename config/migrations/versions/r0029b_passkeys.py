"""Members' passkeys, and challenges that are good once.

Revision ID: 0029b
Revises: 0029
"""

from alembic import op
from sqlalchemy import text

from config.roles import grant_to_application, reader_role

revision = "0029b"
down_revision = "0029"
branch_labels = None
depends_on = None

_TABLES = """
CREATE TABLE member_passkey (
    member_id bigint NOT NULL,
    credential_id bytea NOT NULL,
    public_key bytea NOT NULL,
    sign_count bigint NOT NULL,
    name text NOT NULL,
    added_at timestamptz NOT NULL,
    used_at timestamptz,
    PRIMARY KEY (member_id, credential_id)
);

CREATE TABLE member_challenge (
    challenge_hash bytea NOT NULL,
    member_id bigint,
    ends_at timestamptz NOT NULL,
    PRIMARY KEY (challenge_hash)
);
CREATE INDEX member_challenge_ends ON member_challenge (ends_at);
REVOKE SELECT ON member_passkey, member_challenge FROM "{reader}";
"""

_CHANGES = {
    "member_passkey": "UPDATE (sign_count, used_at), DELETE",
    "member_challenge": "DELETE",
}


def upgrade() -> None:
    """Make both tables; the reader sees neither."""
    connection = op.get_bind()
    schema = str(connection.scalar(text("SELECT current_schema()")))
    # Without a parameter list: only so does the driver send several statements at once.
    connection.exec_driver_sql(
        _TABLES.format(reader=reader_role(schema)), execution_options={"no_parameters": True}
    )
    grant_to_application(connection, schema, _CHANGES)
