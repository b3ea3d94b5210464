"""A debtor may have another default case in a run: one waits at a time, and those approved stand.

Revision ID: 0027c
Revises: 0026c
"""

from alembic import op

revision = "0027c"
down_revision = "0026c"
branch_labels = None
depends_on = None

_INDEX = """
DROP INDEX default_case_one_live;
CREATE UNIQUE INDEX default_case_one_live ON default_case (window_id, revision, debtor_id, currency)
    WHERE approved IS NULL;
"""


def upgrade() -> None:
    """Make the index one over cases that wait."""
    op.get_bind().exec_driver_sql(_INDEX, execution_options={"no_parameters": True})
