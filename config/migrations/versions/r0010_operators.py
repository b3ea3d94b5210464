"""Operators: people, their secrets and sessions, proposals for four eyes, and the chained record of it all.

Revision ID: 0010
Revises: 0009
"""

from alembic import op
from sqlalchemy import text

from config.roles import application_role, grant_to_application, reader_role

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_TABLES = """
CREATE TABLE operator (
    operator_id text NOT NULL,
    role text NOT NULL,
    status text NOT NULL,
    added_by text NOT NULL,
    added_at timestamptz NOT NULL,
    PRIMARY KEY (operator_id),
    CONSTRAINT operator_id_is_a_login CHECK (operator_id ~ '^[a-z][a-z0-9._-]{0,31}$'),
    CONSTRAINT operator_role_known CHECK (role IN ('viewer', 'maker', 'checker', 'admin')),
    CONSTRAINT operator_status_known CHECK (status IN ('enrolling', 'active', 'disabled')),
    CONSTRAINT operator_added_by_another CHECK (added_by <> operator_id)
);

CREATE TABLE operator_credential (
    operator_id text NOT NULL,
    password_hash text,
    totp_secret bytea,
    totp_step bigint DEFAULT 0 NOT NULL,
    enrolment_hash bytea,
    enrolment_ends_at timestamptz,
    PRIMARY KEY (operator_id),
    FOREIGN KEY (operator_id) REFERENCES operator (operator_id)
);

CREATE TABLE sign_in_guard (
    guarded text NOT NULL,
    failed integer NOT NULL,
    tried_at timestamptz NOT NULL,
    locked_until timestamptz,
    PRIMARY KEY (guarded)
);

CREATE TABLE operator_session (
    session_id uuid NOT NULL,
    operator_id text NOT NULL,
    started_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    ended_at timestamptz,
    ended_because text,
    PRIMARY KEY (session_id),
    FOREIGN KEY (operator_id) REFERENCES operator (operator_id),
    CONSTRAINT operator_session_ended_whole CHECK ((ended_at IS NULL) = (ended_because IS NULL))
);
CREATE INDEX operator_session_live ON operator_session (operator_id) WHERE ended_at IS NULL;

CREATE TABLE operator_refresh (
    token_hash bytea NOT NULL,
    session_id uuid NOT NULL,
    issued_at timestamptz NOT NULL,
    used_at timestamptz,
    PRIMARY KEY (token_hash),
    FOREIGN KEY (session_id) REFERENCES operator_session (session_id)
);

CREATE TABLE proposal (
    proposal_id uuid NOT NULL,
    kind text NOT NULL,
    subject text NOT NULL,
    content text NOT NULL,
    sha256 bytea NOT NULL,
    prepared_by text NOT NULL,
    prepared_at timestamptz NOT NULL,
    decided_by text,
    decided_at timestamptz,
    approved boolean,
    PRIMARY KEY (proposal_id),
    CONSTRAINT proposal_four_eyes CHECK (approved IS NOT TRUE OR decided_by <> prepared_by),
    CONSTRAINT proposal_hash CHECK (sha256 = sha256(convert_to(content, 'UTF8'))),
    CONSTRAINT proposal_decided_whole CHECK (
        (decided_by IS NULL) = (decided_at IS NULL) AND (decided_by IS NULL) = (approved IS NULL)
    )
);
CREATE UNIQUE INDEX proposal_open_once ON proposal (kind, subject) WHERE decided_by IS NULL;

CREATE TABLE operator_audit (
    seq bigint NOT NULL,
    at timestamptz NOT NULL,
    done_by text NOT NULL,
    action text NOT NULL,
    subject text NOT NULL,
    record text NOT NULL,
    previous_hash bytea NOT NULL,
    hash bytea NOT NULL,
    PRIMARY KEY (seq),
    CONSTRAINT operator_audit_one_follows UNIQUE (previous_hash)
);
CREATE INDEX operator_audit_subject ON operator_audit (subject, seq);

CREATE TABLE operator_audit_head (
    head_id smallint NOT NULL,
    seq bigint NOT NULL,
    hash bytea NOT NULL,
    PRIMARY KEY (head_id),
    CONSTRAINT operator_audit_head_is_one CHECK (head_id = 1)
);
INSERT INTO operator_audit_head VALUES (1, 0, decode(repeat('00', 32), 'hex'));
"""

# As the owner, because the application may add rows of the record and nothing else: neither it nor a slip of
# ours moves the head without a row that follows it and hashes to what it says.
_CHAIN = """
CREATE FUNCTION chain_operator_audit() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = "{schema}", pg_temp AS $$
BEGIN
    IF NEW.hash IS DISTINCT FROM sha256(NEW.previous_hash || convert_to(NEW.record, 'UTF8')) THEN
        RAISE EXCEPTION 'row % of the audit does not hash to what it says', NEW.seq
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    UPDATE operator_audit_head SET seq = NEW.seq, hash = NEW.hash
        WHERE seq = NEW.seq - 1 AND hash = NEW.previous_hash;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'row % of the audit does not follow the last one', NEW.seq
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION chain_operator_audit() FROM PUBLIC;
CREATE TRIGGER operator_audit_is_a_chain BEFORE INSERT ON operator_audit
    FOR EACH ROW EXECUTE FUNCTION chain_operator_audit();
CREATE TRIGGER operator_audit_never_changes BEFORE UPDATE OR DELETE ON operator_audit
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER operator_audit_never_empties BEFORE TRUNCATE ON operator_audit
    EXECUTE FUNCTION refuse_change();
CREATE TRIGGER operator_audit_head_stays BEFORE DELETE ON operator_audit_head
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER operator_audit_head_never_empties BEFORE TRUNCATE ON operator_audit_head
    EXECUTE FUNCTION refuse_change();
CREATE TRIGGER proposal_decided_for_good BEFORE UPDATE OR DELETE ON proposal
    FOR EACH ROW WHEN (OLD.decided_by IS NOT NULL) EXECUTE FUNCTION refuse_change();
CREATE TRIGGER proposal_never_empties BEFORE TRUNCATE ON proposal EXECUTE FUNCTION refuse_change();
CREATE TRIGGER operator_never_goes BEFORE DELETE ON operator FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER operator_session_ended_for_good BEFORE UPDATE OR DELETE ON operator_session
    FOR EACH ROW WHEN (OLD.ended_at IS NOT NULL) EXECUTE FUNCTION refuse_change();
CREATE TRIGGER operator_refresh_used_for_good BEFORE UPDATE OR DELETE ON operator_refresh
    FOR EACH ROW WHEN (OLD.used_at IS NOT NULL) EXECUTE FUNCTION refuse_change();
REVOKE INSERT ON operator_audit_head FROM "{app}";
REVOKE SELECT ON operator_credential, operator_refresh, sign_in_guard FROM "{reader}";
"""
_CHANGES = {
    "operator": "UPDATE (role, status)",
    "operator_credential": (
        "UPDATE (password_hash, totp_secret, totp_step, enrolment_hash, enrolment_ends_at)"
    ),
    "operator_refresh": "UPDATE (used_at)",
    "operator_session": "UPDATE (ended_at, ended_because)",
    "proposal": "UPDATE (decided_by, decided_at, approved)",
    "sign_in_guard": "UPDATE (failed, tried_at, locked_until)",
}


def upgrade() -> None:
    """Make the tables, the chain's trigger, and grant the application what it must change."""
    connection = op.get_bind()
    schema = str(connection.scalar(text("SELECT current_schema()")))
    names = {"schema": schema, "app": application_role(schema), "reader": reader_role(schema)}
    chain = _CHAIN.format(**names)
    for script in (_TABLES, chain):
        # Without a parameter list: only so does the driver send several statements at once.
        connection.exec_driver_sql(script, execution_options={"no_parameters": True})
    grant_to_application(connection, schema, _CHANGES)
