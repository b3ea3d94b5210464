"""What evaluates a scheme: experiments with a control group, answers of surveys.

Revision ID: 0024
Revises: 0016
"""

from alembic import op

revision = "0024"
down_revision = "0016"
branch_labels = None
depends_on = None

_TABLES = """
CREATE TABLE experiment (
    name text PRIMARY KEY,
    control_bps integer NOT NULL,
    starts_on date NOT NULL,
    ends_on date,
    CONSTRAINT experiment_leaves_some_out CHECK (control_bps BETWEEN 1 AND 9999),
    CONSTRAINT experiment_ends_after_start CHECK (ends_on >= starts_on)
);

CREATE TABLE survey_answer (
    member_id bigint NOT NULL,
    survey text NOT NULL,
    score smallint NOT NULL,
    answered_on date NOT NULL,
    PRIMARY KEY (member_id, survey),
    CONSTRAINT survey_answer_score CHECK (score BETWEEN 0 AND 10)
);
"""


def upgrade() -> None:
    """Both are added to and never changed, which is what the application may do with any table."""
    op.execute(_TABLES)
