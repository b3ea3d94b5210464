"""Seals: the signed Merkle root of each closed window, chained, with the tree at the height of blocks.

Revision ID: 0003
Revises: 0002
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_TABLES = """
CREATE TABLE network_key (
    key_id text NOT NULL,
    public_key bytea NOT NULL,
    added_at timestamptz NOT NULL,
    PRIMARY KEY (key_id),
    CONSTRAINT network_key_32_bytes CHECK (octet_length(public_key) = 32)
);

CREATE TABLE window_seal (
    window_id integer NOT NULL,
    tree_size bigint NOT NULL,
    root bytea NOT NULL,
    previous_hash bytea NOT NULL,
    seal_hash bytea NOT NULL,
    signed_at timestamptz NOT NULL,
    key_id text NOT NULL,
    signature bytea NOT NULL,
    PRIMARY KEY (window_id),
    FOREIGN KEY (key_id) REFERENCES network_key (key_id),
    CONSTRAINT window_seal_size CHECK (tree_size >= 0),
    CONSTRAINT window_seal_lengths CHECK (
        octet_length(root) = 32 AND octet_length(previous_hash) = 32 AND octet_length(seal_hash) = 32
        AND octet_length(signature) = 64
    )
);

CREATE TABLE window_seal_block (
    window_id integer NOT NULL,
    block integer NOT NULL,
    first_member bigint NOT NULL,
    first_entry uuid NOT NULL,
    first_line smallint NOT NULL,
    root bytea NOT NULL,
    marks bytea NOT NULL,
    PRIMARY KEY (window_id, block)
);

CREATE TRIGGER network_key_never_changes BEFORE UPDATE OR DELETE ON network_key
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER window_seal_never_changes BEFORE UPDATE OR DELETE ON window_seal
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER window_seal_block_never_changes BEFORE UPDATE OR DELETE ON window_seal_block
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER network_key_never_empties BEFORE TRUNCATE ON network_key EXECUTE FUNCTION refuse_change();
CREATE TRIGGER window_seal_never_empties BEFORE TRUNCATE ON window_seal EXECUTE FUNCTION refuse_change();
CREATE TRIGGER window_seal_block_never_empties BEFORE TRUNCATE ON window_seal_block
    EXECUTE FUNCTION refuse_change();
"""


def upgrade() -> None:
    """Make the tables; nobody changes or empties them."""
    # As it stands, without a parameter list: only so does the driver send several statements at once.
    op.get_bind().exec_driver_sql(_TABLES, execution_options={"no_parameters": True})
