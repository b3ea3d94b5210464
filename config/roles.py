"""The roles under which our processes act: the owner migrates, the application works, the reader looks.

Both are group roles without a login, named after the schema, because roles belong to the whole cluster. A
connection acts as one from its first statement (see config.database.acting_as). What they may is granted by
migrations: a new table can be read and added to, and nothing else, until a revision grants more.
"""

from collections.abc import Mapping

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from config.errors import DatabaseError


def application_role(schema: str) -> str:
    """The role of server, worker and commands: it adds rows, and changes only what must change."""
    return f"{schema}_app"


def reader_role(schema: str) -> str:
    """The role of `tessera verify` and of reports: it reads, and nothing else."""
    return f"{schema}_reader"


def ensure_roles(connection: Connection, schema: str) -> None:
    """Make the schema's two roles where they are missing, and let the role that migrates act as them.

    Raises:
        DatabaseError: it may not, or a role of that name is a superuser; the error says what to run.
    """
    roles = (application_role(schema), reader_role(schema))
    for role in roles:
        # Another database's migration may make it at this moment: then it is there, which is all we need.
        if not _is_there(connection, role):
            _attempt(connection, f'CREATE ROLE "{role}" NOLOGIN')
        _attempt(connection, f'GRANT "{role}" TO CURRENT_USER')
        if not _attempt(connection, f'SET LOCAL ROLE "{role}"', undone=True):
            raise DatabaseError(_what_to_run(connection, roles))
        if connection.scalar(text("SELECT rolsuper FROM pg_roles WHERE rolname = :role"), {"role": role}):
            raise DatabaseError(f'the role {role} is a superuser: ALTER ROLE "{role}" NOSUPERUSER')


def grant_to_application(connection: Connection, schema: str, privileges: Mapping[str, str]) -> None:
    """Let the application change what must change: privileges by table, as UPDATE (balance)."""
    for table, granted in privileges.items():
        connection.exec_driver_sql(f'GRANT {granted} ON "{table}" TO "{application_role(schema)}"')


def _is_there(connection: Connection, role: str) -> bool:
    return bool(connection.scalar(text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": role}))


def _attempt(connection: Connection, statement: str, *, undone: bool = False) -> bool:
    """Run a statement that may fail, without failing the transaction around it."""
    nested = connection.begin_nested()
    try:
        connection.exec_driver_sql(statement)
    except DBAPIError:
        nested.rollback()
        return False
    if undone:
        nested.rollback()
    else:
        nested.commit()
    return True


def _what_to_run(connection: Connection, roles: tuple[str, ...]) -> str:
    owner = connection.scalar(text("SELECT current_user"))
    making = " ".join(f'CREATE ROLE "{role}" NOLOGIN;' for role in roles if not _is_there(connection, role))
    names = ", ".join(f'"{role}"' for role in roles)
    return (
        f"{owner} may not make the roles that Tessera works under; let an administrator run: "
        f'{making} GRANT {names} TO "{owner}";   (or: ALTER ROLE "{owner}" CREATEROLE;), then try again'
    )
