"""Files: what partners sent, in parts, until it is carried out, and the answers to its lines for a month.

Revision ID: 0019
Revises: 0017
"""

from alembic import op
from sqlalchemy import text

from config.roles import grant_to_application

revision = "0019"
down_revision = "0017"
branch_labels = None
depends_on = None

# Parts and answers are packed before they are stored: the server need not try it again (STORAGE EXTERNAL).
_TABLES = """
CREATE TABLE file_batch (
    partner_id INTEGER NOT NULL,
    batch_id UUID NOT NULL,
    file_key UUID NOT NULL,
    reference TEXT NOT NULL,
    format TEXT NOT NULL,
    columns TEXT NOT NULL,
    content_sha256 BYTEA NOT NULL,
    lines INTEGER NOT NULL,
    answered INTEGER DEFAULT '0' NOT NULL,
    refused INTEGER DEFAULT '0' NOT NULL,
    received_at TIMESTAMP WITH TIME ZONE NOT NULL,
    finished_at TIMESTAMP WITH TIME ZONE,
    kept_until TIMESTAMP WITH TIME ZONE,
    expired_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (partner_id, batch_id),
    CONSTRAINT file_batch_key_once UNIQUE (partner_id, file_key),
    CONSTRAINT file_batch_format CHECK (format IN ('ndjson', 'csv')),
    CONSTRAINT file_batch_columns CHECK ((format = 'csv') = (columns <> '')),
    CONSTRAINT file_batch_hash CHECK (octet_length(content_sha256) = 32),
    CONSTRAINT file_batch_lines CHECK (lines BETWEEN 1 AND 100000),
    CONSTRAINT file_batch_answered CHECK (refused BETWEEN 0 AND answered AND answered <= lines),
    CONSTRAINT file_batch_finished CHECK ((finished_at IS NOT NULL) = (answered = lines)),
    CONSTRAINT file_batch_kept CHECK ((kept_until IS NOT NULL) = (finished_at IS NOT NULL)),
    CONSTRAINT file_batch_expired CHECK (expired_at >= kept_until)
);
CREATE INDEX file_batch_waiting ON file_batch (partner_id, batch_id) WHERE finished_at IS NULL;
CREATE INDEX file_batch_over ON file_batch (kept_until) WHERE expired_at IS NULL AND kept_until IS NOT NULL;

CREATE TABLE file_part (
    partner_id INTEGER NOT NULL,
    batch_id UUID NOT NULL,
    first_line INTEGER NOT NULL,
    content BYTEA NOT NULL,
    PRIMARY KEY (partner_id, batch_id, first_line)
);
ALTER TABLE file_part ALTER COLUMN content SET STORAGE EXTERNAL;

CREATE TABLE file_answer (
    partner_id INTEGER NOT NULL,
    batch_id UUID NOT NULL,
    first_line INTEGER NOT NULL,
    last_line INTEGER NOT NULL,
    content BYTEA NOT NULL,
    PRIMARY KEY (partner_id, batch_id, first_line),
    CONSTRAINT file_answer_lines CHECK (first_line BETWEEN 1 AND last_line)
);
ALTER TABLE file_answer ALTER COLUMN content SET STORAGE EXTERNAL;
"""
_GRANTS = {
    "file_batch": "UPDATE (answered, refused, finished_at, kept_until, expired_at), DELETE",
    "file_part": "DELETE",
    "file_answer": "DELETE",
}


def upgrade() -> None:
    """Make the tables; the application moves a file on, and removes what is over."""
    connection = op.get_bind()
    # Without a parameter list: only so does the driver send several statements at once.
    connection.exec_driver_sql(_TABLES, execution_options={"no_parameters": True})
    schema = str(connection.scalar(text("SELECT current_schema()")))
    grant_to_application(connection, schema, _GRANTS)
