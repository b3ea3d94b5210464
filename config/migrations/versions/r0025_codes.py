"""Vouchers, codes on packs, coupons, and the quarterly conversion of points.

Revision ID: 0025
Revises: 0027d
"""

from alembic import op
from sqlalchemy import text

from config.roles import grant_to_application

revision = "0025"
down_revision = "0027d"
branch_labels = None
depends_on = None

_TABLES = """
CREATE TABLE voucher (
    member_id bigint NOT NULL,
    entry_id uuid NOT NULL,
    name text NOT NULL,
    starts_on date NOT NULL,
    ends_on date NOT NULL,
    ended_as text DEFAULT '' NOT NULL,
    ended_by uuid,
    PRIMARY KEY (member_id, entry_id),
    CONSTRAINT voucher_ended_known CHECK (ended_as IN ('', 'used', 'returned', 'lapsed')),
    CONSTRAINT voucher_ended_by_an_entry CHECK ((ended_as = '') = (ended_by IS NULL))
);
CREATE INDEX voucher_open ON voucher (ends_on) WHERE ended_by IS NULL;

CREATE TABLE pack_use (
    pack bigint NOT NULL PRIMARY KEY,
    member_id bigint NOT NULL,
    entry_id uuid NOT NULL
);

CREATE TABLE coupon (
    member_id bigint NOT NULL,
    coupon text NOT NULL,
    first_on date NOT NULL,
    last_on date NOT NULL,
    given_at timestamptz NOT NULL,
    PRIMARY KEY (member_id, coupon),
    CONSTRAINT coupon_days CHECK (first_on <= last_on)
);

CREATE TABLE conversion_run (
    quarter date NOT NULL PRIMARY KEY,
    done_at timestamptz NOT NULL
);

CREATE TABLE conversion_refusal (
    member_id bigint NOT NULL PRIMARY KEY,
    refused_at timestamptz NOT NULL
);
"""
_CHANGES = {
    "voucher": "UPDATE (ended_as, ended_by)",
    "pack_use": "DELETE",
    "conversion_refusal": "DELETE",
}


def upgrade() -> None:
    """Make the tables, and grant the application what it must change in them."""
    connection = op.get_bind()
    # Without a parameter list: only so does the driver send several statements at once.
    connection.exec_driver_sql(_TABLES, execution_options={"no_parameters": True})
    schema = str(connection.scalar(text("SELECT current_schema()")))
    grant_to_application(connection, schema, _CHANGES)
