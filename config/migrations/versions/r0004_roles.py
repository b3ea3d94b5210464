"""Roles: what the application may, table by table; partitions made on its behalf; no table is ever emptied.

Revision ID: 0004
Revises: 0003
"""

from alembic import op
from sqlalchemy import Connection, text

from config.roles import application_role, ensure_roles, grant_to_application, reader_role

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# All that the application may change. Entries, postings, terms, programmes and what a night put out are not
# here: rows are only added to them. A closed window's row is kept by its trigger, which only the owner could
# disable; the open one's must change.
_CHANGES = {
    "account": "UPDATE (balance, pending_until)",
    "card": "UPDATE (status)",
    "clearing_window": "UPDATE (closed_at, lapsed_through)",
    "hold": "UPDATE (captured, returned)",
    "idempotency": "UPDATE (refusal), DELETE",
    "lot": "UPDATE (remaining)",
    "member": "UPDATE (status)",
    "network": "UPDATE (clock)",
    "partner": "UPDATE (status)",
    "partner_key": "UPDATE (revoked_at)",
    "reversed_points": "UPDATE (points, amount_minor)",
    "settlement_run": "UPDATE (state)",
}

# Rows of every table can be added and read; that holds for tables and partitions to come as well.
_GRANTS = """
REVOKE ALL ON ALL TABLES IN SCHEMA "{schema}" FROM PUBLIC, "{app}", "{reader}";
GRANT USAGE ON SCHEMA "{schema}" TO "{app}", "{reader}";
GRANT SELECT ON ALL TABLES IN SCHEMA "{schema}" TO "{app}", "{reader}";
GRANT INSERT ON ALL TABLES IN SCHEMA "{schema}" TO "{app}";
REVOKE INSERT ON schema_revision FROM "{app}";
GRANT USAGE ON ALL SEQUENCES IN SCHEMA "{schema}" TO "{app}";
ALTER DEFAULT PRIVILEGES IN SCHEMA "{schema}" GRANT SELECT, INSERT ON TABLES TO "{app}";
ALTER DEFAULT PRIVILEGES IN SCHEMA "{schema}" GRANT SELECT ON TABLES TO "{reader}";
ALTER DEFAULT PRIVILEGES IN SCHEMA "{schema}" GRANT USAGE ON SEQUENCES TO "{app}";
"""

# Runs as the owner, because only an owner can attach a partition; so it takes nothing but the name of a
# partitioned table of this schema and a month. The bounds are network.ids.floor_of of the months' first
# instants. A parent's TRUNCATE trigger does not fire for a partition, hence one for each.
_MAKE_PARTITION = """
CREATE FUNCTION make_partition(parent text, month date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = "{schema}", pg_temp AS $$
DECLARE
    first timestamp := date_trunc('month', month::timestamp);
    leaf text := parent || to_char(first, '"_p"YYYYMM');
    bounds text[] := ARRAY(
        SELECT lpad(to_hex(extract(epoch FROM at)::bigint * 1000), 12, '0') || repeat('0', 20)
        FROM unnest(ARRAY[first, first + interval '1 month']) WITH ORDINALITY AS u (at, n) ORDER BY n
    );
BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_class
        WHERE relname = parent AND relkind = 'p' AND relnamespace = '"{schema}"'::regnamespace
    ) THEN
        RAISE EXCEPTION '% is no partitioned table of this schema', parent;
    END IF;
    -- Servers that start at once ask for the same month: they take turns, and the second finds it made.
    PERFORM pg_advisory_xact_lock(7264, hashtext('{schema}'))
        WHERE to_regclass(format('%I', leaf)) IS NULL;
    IF to_regclass(format('%I', leaf)) IS NOT NULL THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', leaf, parent);
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
        parent, leaf, bounds[1]::uuid, bounds[2]::uuid);
    PERFORM never_empties(leaf);
END
$$;
"""
_NEVER_EMPTIES = """
CREATE FUNCTION never_empties(emptied text) RETURNS void
LANGUAGE plpgsql SET search_path = "{schema}", pg_temp AS $$
BEGIN
    EXECUTE format('CREATE TRIGGER %I BEFORE TRUNCATE ON %I EXECUTE FUNCTION refuse_change()',
        left(emptied, 48) || '_never_empties', emptied);
END
$$;
"""
_EXECUTABLE = """
REVOKE ALL ON FUNCTION make_partition(text, date), never_empties(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION make_partition(text, date) TO "{app}";
"""
_OUTPUTS = ("net_position", "obligation", "settlement_step", "window_activity", "window_total")
_LEAVES = (
    "SELECT c.relname FROM pg_class c WHERE c.relispartition AND c.relkind = 'r'"
    " AND c.relnamespace = CAST(current_schema() AS regnamespace)"
)


def upgrade() -> None:
    """Make the roles if they are missing, and grant each what it needs and no more."""
    connection = op.get_bind()
    schema = str(connection.scalar(text("SELECT current_schema()")))
    ensure_roles(connection, schema)
    names = {"schema": schema, "app": application_role(schema), "reader": reader_role(schema)}
    for script in (_GRANTS, _NEVER_EMPTIES, _MAKE_PARTITION, _EXECUTABLE):
        _run(connection, script.format(**names))
    grant_to_application(connection, schema, _CHANGES)
    for table in (*_OUTPUTS, *connection.execute(text(_LEAVES)).scalars()):
        connection.execute(text("SELECT never_empties(:table)"), {"table": table})


def _run(connection: Connection, script: str) -> None:
    # Without a parameter list: only so does the driver send several statements at once.
    connection.exec_driver_sql(script, execution_options={"no_parameters": True})
