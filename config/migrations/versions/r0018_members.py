"""A network says its mode, and keys are of it; members sign in: logins, codes, sessions, locked cards.

Revision ID: 0018
Revises: 0016b
"""

from alembic import op
from sqlalchemy import text

from config.roles import application_role, grant_to_application, reader_role

revision = "0018"
down_revision = "0016b"
branch_labels = None
depends_on = None

_TABLES = """
ALTER TABLE network
    ADD COLUMN mode text DEFAULT 'live' NOT NULL,
    ADD CONSTRAINT network_mode_known CHECK (mode IN ('live', 'test'));

ALTER TABLE card
    DROP CONSTRAINT card_status_known,
    ADD CONSTRAINT card_status_known CHECK (status IN ('active', 'blocked', 'locked'));

CREATE TABLE member_login (
    member_id bigint NOT NULL,
    email text NOT NULL,
    added_by integer NOT NULL,
    added_at timestamptz NOT NULL,
    card_secret bytea NOT NULL,
    card_step bigint DEFAULT 0 NOT NULL,
    card_used_for bytea,
    PRIMARY KEY (member_id),
    CONSTRAINT member_login_email_once UNIQUE (email),
    CONSTRAINT member_login_email_is_lower CHECK (email = lower(email) AND length(email) <= 254)
);

CREATE TABLE member_code (
    guarded text NOT NULL,
    code_hash bytea NOT NULL,
    sent_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    tries integer DEFAULT 0 NOT NULL,
    PRIMARY KEY (guarded)
);

CREATE TABLE member_session (
    session_id uuid NOT NULL,
    member_id bigint NOT NULL,
    started_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    ended_at timestamptz,
    ended_because text,
    PRIMARY KEY (session_id),
    CONSTRAINT member_session_ended_whole CHECK ((ended_at IS NULL) = (ended_because IS NULL))
);
CREATE INDEX member_session_live ON member_session (member_id) WHERE ended_at IS NULL;

CREATE TABLE member_refresh (
    token_hash bytea NOT NULL,
    session_id uuid NOT NULL,
    issued_at timestamptz NOT NULL,
    used_at timestamptz,
    PRIMARY KEY (token_hash),
    FOREIGN KEY (session_id) REFERENCES member_session (session_id)
);
"""

# Whatever a program does: no test key among live ones, and no live key in a test network.
_MODES = """
CREATE FUNCTION key_is_of_the_mode() RETURNS trigger
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF starts_with(NEW.key_id, 'test_')
        <> (coalesce((SELECT mode FROM network), 'live') = 'test') THEN
        RAISE EXCEPTION 'key % is not of this network''s mode', NEW.key_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'partner_key_mode';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER partner_key_mode BEFORE INSERT ON partner_key
    FOR EACH ROW EXECUTE FUNCTION key_is_of_the_mode();
REVOKE SELECT ON member_login, member_code, member_refresh FROM "{reader}";
"""

_CHANGES = {
    "member_code": "UPDATE (code_hash, sent_at, ends_at, tries), DELETE",
    "member_login": "UPDATE (email, card_step, card_used_for), DELETE",
    "member_refresh": "UPDATE (used_at)",
    "member_session": "UPDATE (ended_at, ended_because)",
}


def upgrade() -> None:
    """Add the mode, the members' tables, and what the application may change of them."""
    connection = op.get_bind()
    schema = str(connection.scalar(text("SELECT current_schema()")))
    names = {"schema": schema, "app": application_role(schema), "reader": reader_role(schema)}
    # Without a parameter list: only so does the driver send several statements at once.
    for statements in (_TABLES, _MODES.format(**names)):
        connection.exec_driver_sql(statements, execution_options={"no_parameters": True})
    grant_to_application(connection, schema, _CHANGES)
