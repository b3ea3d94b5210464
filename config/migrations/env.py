"""Alembic's entry: runs the revisions on the connection that config.database.migrate hands over.

The schema is the first of the connection's search_path; the version table lies in it too. No room's tables
are imported here, since config stands below them all; a test compares the outcome with them.
"""

from alembic import context

context.configure(connection=context.config.attributes["connection"], version_table="schema_revision")
with context.begin_transaction():
    context.run_migrations()
