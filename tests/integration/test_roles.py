"""Privileges on the real PostgreSQL: what the application and the reader cannot do, whatever they send.

What the application can do is shown by all other tests: their `database` is under its role.
"""

import secrets
from collections.abc import Iterator
from datetime import UTC, date, datetime

import pytest
from pydantic import SecretStr
from sqlalchemy import URL, Connection, Engine, text
from sqlalchemy.exc import DBAPIError, ProgrammingError

from config.database import acting_as, ensure_schema, make_engine, migrate, open_database
from config.errors import DatabaseError
from config.roles import application_role, reader_role
from config.settings import Settings
from network.ids import floor_of
from network.service import ensure_partitions
from settlement.service import clear
from tests.coalition import START, new_card, run, sale, set_up
from tests.conftest import SCHEMA

LATER = date(2031, 7, 1)
"""A month whose partitions the template does not have."""
APPEND_ONLY = (
    "entry",
    "posting",
    "contract_terms",
    "programme_version",
    "window_total",
    "window_activity",
    "obligation",
    "net_position",
    "settlement_step",
    "operator_audit",
    "operator_audit_head",
    "fx_conversion",
    "instruction",
    "instruction_payment",
    "money_entry",
    "money_posting",
    "money_adjustment",
    "payment_file",
    "payment_file_line",
    "bank_statement",
    "bank_transaction",
    "bank_booking",
    "bank_exception",
)
HIDDEN = {
    "raffle_seed",
    "operator_credential",
    "operator_refresh",
    "sign_in_guard",
    "member_login",
    "member_code",
    "member_refresh",
    "member_passkey",
    "member_challenge",
    "webhook_secret",
}
"""What the reader does not see: addresses of members, and secrets, if only their hashes."""
PARTITIONED = ("entry", "posting")


def partitions(connection: Connection, parent: str) -> list[str]:
    """The partitions of a table, by name."""
    query = text(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = CAST(:parent AS regclass)"
    )
    return list(connection.execute(query, {"parent": parent}).scalars())


def changes_of(connection: Connection, table: str) -> Iterator[str]:
    """UPDATE of each column, DELETE and TRUNCATE of a table."""
    columns = text(
        "SELECT attname FROM pg_attribute"
        " WHERE attrelid = CAST(:table AS regclass) AND attnum > 0 AND NOT attisdropped"
    )
    for column in connection.execute(columns, {"table": table}).scalars():
        yield f"UPDATE {table} SET {column} = {column}"
    yield f"DELETE FROM {table}"
    yield f"TRUNCATE {table}"


def refused(database: Engine, statement: str) -> bool:
    """Whether the database denies a statement for want of a privilege."""
    try:
        with database.begin() as connection:
            connection.execute(text(statement))
    except ProgrammingError as error:
        return getattr(error.orig, "sqlstate", "") == "42501"
    return False


def test_what_is_written_can_only_be_added_to(database: Engine) -> None:
    """As the application, no column of these tables is updated, no row deleted, nothing truncated.

    That holds for the parent, for each partition, and for one that the application had made later.
    """
    with database.begin() as connection:
        ensure_partitions(connection, LATER, LATER)
    with database.connect() as connection:
        leaves = [leaf for parent in PARTITIONED for leaf in partitions(connection, parent)]
        assert {"entry_p203107", "posting_p203107", "posting_p201705"} <= set(leaves)
        statements = [
            statement for table in (*APPEND_ONLY, *leaves) for statement in changes_of(connection, table)
        ]
    assert len(statements) > 400
    assert [statement for statement in statements if not refused(database, statement)] == []


def test_only_named_columns_change_in_the_other_tables(database: Engine) -> None:
    """Every change that the application may make is listed here: a new one is a decision."""
    granted = {}
    with database.connect() as connection:
        tables = connection.execute(
            text(
                "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p')"
                " AND relnamespace = CAST(current_schema() AS regnamespace) ORDER BY relname"
            )
        ).scalars()
        every = {table: list(changes_of(connection, table)) for table in tables}
    for table, statements in every.items():
        allowed = [statement.split(" = ")[0] for statement in statements if not refused(database, statement)]
        if allowed:
            granted[table] = allowed
    assert granted == {
        "abuse_case": ["UPDATE abuse_case SET released_by", "UPDATE abuse_case SET released_at"],
        "account": [
            "UPDATE account SET balance",
            "UPDATE account SET pending_until",
            "UPDATE account SET active_until",
            "UPDATE account SET deficit",
            "UPDATE account SET pool_id",
            "UPDATE account SET merged_into",
            "UPDATE account SET merge_id",
            "UPDATE account SET tier",
            "UPDATE account SET tier_until",
            "UPDATE account SET child_until",
            "UPDATE account SET guardian_id",
        ],
        "adjustment": [
            "UPDATE adjustment SET decided_by",
            "UPDATE adjustment SET decided_at",
            "UPDATE adjustment SET approved",
        ],
        "bank_account": [
            "UPDATE bank_account SET decided_by",
            "UPDATE bank_account SET decided_at",
            "UPDATE bank_account SET approved",
            "UPDATE bank_account SET in_use_from",
            "UPDATE bank_account SET withdrawn_by",
            "UPDATE bank_account SET withdrawn_at",
        ],
        "bank_rejection": [
            "UPDATE bank_rejection SET decided_by",
            "UPDATE bank_rejection SET decided_at",
            "UPDATE bank_rejection SET approved",
        ],
        "bank_resolution": [
            "UPDATE bank_resolution SET decided_by",
            "UPDATE bank_resolution SET decided_at",
            "UPDATE bank_resolution SET approved",
        ],
        "calendar_exception": [
            "UPDATE calendar_exception SET is_open",
            "UPDATE calendar_exception SET reason",
            "UPDATE calendar_exception SET added_by",
            "DELETE FROM calendar_exception",
        ],
        "card": ["UPDATE card SET member_id", "UPDATE card SET status"],
        "clearing_window": [
            "UPDATE clearing_window SET closed_at",
            "UPDATE clearing_window SET lapsed_through",
        ],
        "contract_draft": [
            "UPDATE contract_draft SET decided_by",
            "UPDATE contract_draft SET decided_at",
            "UPDATE contract_draft SET activated",
        ],
        "currency_calendar": [
            "UPDATE currency_calendar SET calendar",
            "UPDATE currency_calendar SET value_days",
        ],
        "default_case": [
            "UPDATE default_case SET decided_by",
            "UPDATE default_case SET decided_at",
            "UPDATE default_case SET approved",
        ],
        "deficit": ["UPDATE deficit SET entry_id", "UPDATE deficit SET points"],
        "entry_line": ["UPDATE entry_line SET returned_by"],
        "exposure": [
            "UPDATE exposure SET owed",
            "UPDATE exposure SET held",
            "UPDATE exposure SET points",
            "UPDATE exposure SET deposit",
            "UPDATE exposure SET moved_by_tills",
        ],
        "file_answer": ["DELETE FROM file_answer"],
        "file_batch": [
            "UPDATE file_batch SET answered",
            "UPDATE file_batch SET refused",
            "UPDATE file_batch SET finished_at",
            "UPDATE file_batch SET kept_until",
            "UPDATE file_batch SET expired_at",
            "DELETE FROM file_batch",
        ],
        "file_part": ["DELETE FROM file_part"],
        "game_match": [
            "UPDATE game_match SET state",
            "UPDATE game_match SET result",
            "UPDATE game_match SET decided_at",
            "UPDATE game_match SET settled_at",
        ],
        "hold": ["UPDATE hold SET captured", "UPDATE hold SET returned"],
        "idempotency": [
            "UPDATE idempotency SET refusal",
            "UPDATE idempotency SET retried_by",
            "DELETE FROM idempotency",
        ],
        "invitation": ["UPDATE invitation SET joined_by"],
        "lot": ["UPDATE lot SET remaining"],
        "member": ["UPDATE member SET status"],
        "member_fact": [
            "UPDATE member_fact SET value",
            "UPDATE member_fact SET consent",
            "UPDATE member_fact SET told_by",
            "UPDATE member_fact SET consented_at",
            "UPDATE member_fact SET withdrawn_at",
        ],
        "member_segment": [
            "DELETE FROM member_segment",
        ],
        "plan_membership": [
            "UPDATE plan_membership SET ends_on",
            "UPDATE plan_membership SET ended_by",
        ],
        "pledge": [
            "UPDATE pledge SET ended_by",
            "UPDATE pledge SET ended_window",
            "UPDATE pledge SET through",
            "UPDATE pledge SET earned",
            "UPDATE pledge SET given",
        ],
        "member_counter": ["UPDATE member_counter SET value"],
        "member_challenge": ["DELETE FROM member_challenge"],
        "member_passkey": [
            "UPDATE member_passkey SET sign_count",
            "UPDATE member_passkey SET used_at",
            "DELETE FROM member_passkey",
        ],
        "member_approval": [
            "UPDATE member_approval SET ends_at",
            "UPDATE member_approval SET answered_at",
            "UPDATE member_approval SET approved",
            "UPDATE member_approval SET used_for",
        ],
        "member_code": [
            "UPDATE member_code SET code_hash",
            "UPDATE member_code SET sent_at",
            "UPDATE member_code SET ends_at",
            "UPDATE member_code SET tries",
            "DELETE FROM member_code",
        ],
        "member_login": [
            "UPDATE member_login SET email",
            "UPDATE member_login SET card_step",
            "UPDATE member_login SET card_used_for",
            "UPDATE member_login SET pin_hash",
            "UPDATE member_login SET proof_tries",
            "UPDATE member_login SET proof_tried_at",
            "DELETE FROM member_login",
        ],
        "member_refresh": ["UPDATE member_refresh SET used_at"],
        "member_session": [
            "UPDATE member_session SET ended_at",
            "UPDATE member_session SET ended_because",
        ],
        "network": ["UPDATE network SET clock", "UPDATE network SET caps_basis"],
        "operator": ["UPDATE operator SET role", "UPDATE operator SET status"],
        "operator_credential": [
            "UPDATE operator_credential SET password_hash",
            "UPDATE operator_credential SET totp_secret",
            "UPDATE operator_credential SET totp_step",
            "UPDATE operator_credential SET enrolment_hash",
            "UPDATE operator_credential SET enrolment_ends_at",
        ],
        "operator_refresh": ["UPDATE operator_refresh SET used_at"],
        "operator_session": [
            "UPDATE operator_session SET ended_at",
            "UPDATE operator_session SET ended_because",
        ],
        "partner": ["UPDATE partner SET status"],
        "partner_key": ["UPDATE partner_key SET revoked_at"],
        "pending": ["UPDATE pending SET released", "UPDATE pending SET cancelled"],
        "proposal": [
            "UPDATE proposal SET decided_by",
            "UPDATE proposal SET decided_at",
            "UPDATE proposal SET approved",
        ],
        "raffle": [
            "UPDATE raffle SET closed_at",
            "UPDATE raffle SET tickets_sha256",
            "UPDATE raffle SET revealed_at",
            "UPDATE raffle SET seed",
        ],
        "raffle_ticket": ["UPDATE raffle_ticket SET place"],
        "reversed_points": [
            "UPDATE reversed_points SET points",
            "UPDATE reversed_points SET amount_minor",
        ],
        "conversion_refusal": ["DELETE FROM conversion_refusal"],
        "pack_use": ["DELETE FROM pack_use"],
        "voucher": ["UPDATE voucher SET ended_as", "UPDATE voucher SET ended_by"],
        "rule_budget": ["UPDATE rule_budget SET points"],
        "run_approval": [
            "UPDATE run_approval SET decided_by",
            "UPDATE run_approval SET decided_at",
            "UPDATE run_approval SET approved",
            "UPDATE run_approval SET reason",
        ],
        "segment_state": [
            "UPDATE segment_state SET found_on",
            "UPDATE segment_state SET members",
            "UPDATE segment_state SET needs",
            "DELETE FROM segment_state",
        ],
        "settlement_run": ["UPDATE settlement_run SET state"],
        "sign_in_guard": [
            "UPDATE sign_in_guard SET failed",
            "UPDATE sign_in_guard SET tried_at",
            "UPDATE sign_in_guard SET locked_until",
        ],
        "webhook_attempt": ["DELETE FROM webhook_attempt"],
        "webhook_delivery": [
            "UPDATE webhook_delivery SET state",
            "UPDATE webhook_delivery SET due_at",
            "UPDATE webhook_delivery SET attempts",
            "UPDATE webhook_delivery SET tries",
            "UPDATE webhook_delivery SET begun_at",
            "UPDATE webhook_delivery SET finished_at",
            "DELETE FROM webhook_delivery",
        ],
        "webhook_endpoint": [
            "UPDATE webhook_endpoint SET status",
            "UPDATE webhook_endpoint SET because",
            "UPDATE webhook_endpoint SET changed_at",
            "UPDATE webhook_endpoint SET failures",
            "UPDATE webhook_endpoint SET rests_until",
            "UPDATE webhook_endpoint SET delivered_at",
            "UPDATE webhook_endpoint SET failed_at",
            "UPDATE webhook_endpoint SET leased_by",
            "UPDATE webhook_endpoint SET leased_until",
        ],
        "webhook_event": ["DELETE FROM webhook_event"],
        "webhook_secret": ["UPDATE webhook_secret SET ends_at", "DELETE FROM webhook_secret"],
    }


def test_a_closed_window_stays_closed(database: Engine) -> None:
    """The columns that close a window cannot be written again once it is closed."""
    live = set_up(database)
    run(database, live, sale(new_card(database, live), 500, "s"))
    over = datetime(2017, 5, 2, tzinfo=UTC)
    with database.begin() as connection:
        connection.execute(text("UPDATE network SET clock = :over"), {"over": over})
    clear(database, START.date(), at=over)
    for change in ("closed_at = NULL", "lapsed_through = '2030-01-01'"):
        with pytest.raises(DBAPIError, match="never changed"), database.begin() as connection:
            connection.execute(text(f"UPDATE clearing_window SET {change} WHERE window_id = 20170501"))


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE posting DISABLE TRIGGER ALL",
        "ALTER TABLE posting DETACH PARTITION posting_p201705",
        "DROP TABLE posting_p201705",
        "DROP TRIGGER posting_never_changes ON posting",
        "CREATE TABLE mine (n integer)",
        "INSERT INTO schema_revision VALUES ('9999')",
        "SELECT setval('member_id_seq', 1)",
        "SELECT never_empties('account')",
        "SET session_replication_role = replica",
        "ALTER TABLE posting OWNER TO CURRENT_USER",
        "DROP FUNCTION refuse_change() CASCADE",
    ],
)
def test_the_application_cannot_lift_the_rules(database: Engine, statement: str) -> None:
    """It owns nothing: no trigger is disabled, no partition detached, no privilege given."""
    with (
        pytest.raises(ProgrammingError, match=r"permission denied|must be owner"),
        database.begin() as connection,
    ):
        connection.execute(text(statement))


def test_partitions_come_only_where_they_belong(database: Engine) -> None:
    """The application may have a month made, of a partitioned table of ours, at the month's exact bounds."""
    with database.begin() as connection:
        ensure_partitions(connection, date(2031, 11, 30), date(2032, 1, 1))
        ensure_partitions(connection, date(2031, 12, 31), date(2031, 12, 31))
        bounds = connection.execute(
            text("SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname = 'posting_p203112'")
        ).scalar_one()
        assert len(partitions(connection, "entry")) == 16 + 3
    first, following = (
        floor_of(datetime(year, month, 1, tzinfo=UTC)) for year, month in ((2031, 12), (2032, 1))
    )
    assert bounds == f"FOR VALUES FROM ('{first}') TO ('{following}')"
    for parent in ("account", "pg_class", "no_such"):
        with pytest.raises(DBAPIError, match="is no partitioned table"), database.begin() as connection:
            connection.execute(text("SELECT make_partition(:parent, '2031-12-01')"), {"parent": parent})


def test_a_table_to_come_can_be_read_and_added_to_and_no_more(
    database: Engine, owner_database: Engine
) -> None:
    """What a later revision makes is append-only for the application and visible to the reader, unasked."""
    with owner_database.begin() as connection:
        connection.execute(text("CREATE TABLE later (n integer)"))
    with database.begin() as connection:
        connection.execute(text("INSERT INTO later VALUES (1)"))
        assert connection.scalar(text("SELECT n FROM later")) == 1
    with database.connect() as connection:
        assert all(refused(database, statement) for statement in changes_of(connection, "later"))


def test_the_reader_only_reads(migrated_url: URL) -> None:
    """It sees every table but those with secrets; every write, sequence and partition is denied to it."""
    reader = make_engine(migrated_url, schema=SCHEMA, role=reader_role(SCHEMA))
    with reader.connect() as connection:
        tables = list(
            connection.execute(
                text(
                    "SELECT c.oid::regclass::text FROM pg_class c WHERE c.relkind IN ('r', 'p')"
                    " AND c.relnamespace = CAST(current_schema() AS regnamespace)"
                )
            ).scalars()
        )
        for table in tables:
            if table not in HIDDEN:
                connection.execute(text(f"SELECT count(*) FROM {table}"))
        statements = [statement for table in tables for statement in changes_of(connection, table)]
    statements += [f"INSERT INTO {table} DEFAULT VALUES" for table in tables]
    statements += [f"SELECT count(*) FROM {table}" for table in HIDDEN]
    statements += ["SELECT nextval('member_id_seq')", "SELECT make_partition('entry', '2031-12-01')"]
    assert [statement for statement in statements if not refused(reader, statement)] == []
    reader.dispose()


def test_no_role_of_ours_is_more_than_it_must_be(database: Engine) -> None:
    """Neither is a superuser, makes roles or databases, logs in, or passes by row security."""
    query = text(
        "SELECT rolname FROM pg_roles WHERE rolname = ANY(:names) AND NOT"
        " (rolsuper OR rolcreaterole OR rolcreatedb OR rolcanlogin OR rolbypassrls OR rolreplication)"
    )
    names = {application_role(SCHEMA), reader_role(SCHEMA)}
    with database.connect() as connection:
        assert set(connection.execute(query, {"names": list(names)}).scalars()) == names
        assert connection.scalar(text("SELECT current_user")) == application_role(SCHEMA)
        connection.execute(text("RESET ROLE"))
        assert connection.scalar(text("SELECT current_user")) == application_role(SCHEMA)


@pytest.fixture
def plain_login(owner_database: Engine, migrated_url: URL) -> Iterator[URL]:
    """The database's URL with a login of its own that is nothing but a member of the application's role."""
    name, password = f"tessera_till_{secrets.token_hex(4)}", secrets.token_hex(16)
    with owner_database.begin() as connection:
        connection.execute(text(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'"))
        connection.execute(text(f'GRANT "{application_role(SCHEMA)}" TO {name}'))
    yield migrated_url.set(username=name, password=password)
    with owner_database.begin() as connection:
        connection.execute(text(f"DROP ROLE {name}"))


def test_a_login_that_is_only_the_application_can_serve(plain_login: URL) -> None:
    """Where the owner has migrated, such a login finds the schema as it must be, and carries out sales."""
    settings = Settings(database_url=SecretStr(plain_login.render_as_string(hide_password=False)))
    with open_database(settings) as opened:
        migrate(opened)
        with acting_as(opened, application_role(SCHEMA), settings) as database:
            live = set_up(database)
            assert run(database, live, sale(new_card(database, live), 500, "s")).points == 5
        with (
            pytest.raises(DatabaseError, match=r"cannot act as the role tessera_reader.*GRANT"),
            acting_as(opened, reader_role(SCHEMA), settings),
        ):
            pass


def test_who_may_not_make_roles_is_told_what_to_run(owner_database: Engine, empty_database: URL) -> None:
    """An owner without CREATEROLE is refused with the statements for an administrator; then it works."""
    name, password = f"tessera_owner_{secrets.token_hex(4)}", secrets.token_hex(16)
    schema = f"plain_{secrets.token_hex(4)}"
    url = empty_database.set(username=name, password=password)
    roles = [application_role(schema), reader_role(schema)]
    engine = make_engine(url, schema=schema)
    with owner_database.begin() as connection:
        connection.execute(text(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'"))
        connection.execute(text(f'GRANT CREATE ON DATABASE "{empty_database.database}" TO {name}'))
    try:
        with engine.begin() as connection:
            ensure_schema(connection, schema)
        with pytest.raises(DatabaseError, match=f'CREATE ROLE "{roles[0]}" NOLOGIN;.* GRANT .* TO "{name}"'):
            migrate(engine)
        with owner_database.begin() as connection:
            for role in roles:
                connection.execute(text(f"CREATE ROLE {role} NOLOGIN"))
                connection.execute(text(f"GRANT {role} TO {name}"))
        migrate(engine)
        with engine.connect() as connection:
            connection.execute(text(f"SET ROLE {roles[0]}"))
            assert connection.scalar(text("SELECT count(*) FROM posting")) == 0
    finally:
        with engine.begin() as connection:
            connection.execute(text(f"DROP SCHEMA {schema} CASCADE"))
        engine.dispose()
        admin = make_engine(empty_database, schema="public")
        with admin.begin() as connection:
            connection.execute(text(f'REVOKE ALL ON DATABASE "{empty_database.database}" FROM {name}'))
            for role in (name, *roles):
                connection.execute(text(f"DROP ROLE IF EXISTS {role}"))
        admin.dispose()
