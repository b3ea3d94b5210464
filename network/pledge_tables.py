"""Tables of pledges and causes: who gives which share to whom, and what each cause was given."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Column,
    Integer,
    Numeric,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)

from network.tables import metadata

pledge = Table(
    "pledge",
    metadata,
    Column("member_id", BigInteger, nullable=False),
    Column("entry_id", Uuid, nullable=False),
    Column("offer", Text, nullable=False),
    Column("cause_id", Integer, nullable=False),
    Column("per_cent", SmallInteger, nullable=False),
    Column("issuers", ARRAY(Integer), nullable=False),
    Column("from_window", Integer, nullable=False),
    Column("ended_by", Uuid),
    Column("ended_window", Integer),
    Column("through", Integer, nullable=False, server_default=text("0")),
    Column("earned", BigInteger, nullable=False, server_default=text("0")),
    Column("given", BigInteger, nullable=False, server_default=text("0")),
    PrimaryKeyConstraint("member_id", "entry_id"),
    CheckConstraint("per_cent BETWEEN 1 AND 100", name="pledge_share"),
    CheckConstraint("given >= 0", name="pledge_given_not_negative"),
    CheckConstraint("(ended_by IS NULL) = (ended_window IS NULL)", name="pledge_ended_whole"),
)
"""A pledge, from the entry that made it to the one that ended it. `issuers`: whose points count; {} is all.

It is of whole windows, from the one it was made in and without the one it was ended in: entries of one
millisecond have no order.

`earned`: what was earned under it in windows up to `through`; `given`: what it has given, however much came
back of what was earned.
"""

cause_total = Table(
    "cause_total",
    metadata,
    Column("cause_id", Integer, nullable=False),
    Column("window_id", Integer, nullable=False),
    Column("currency", Text, nullable=False),
    Column("points", BigInteger, nullable=False),
    Column("amount", Numeric, nullable=False),
    PrimaryKeyConstraint("cause_id", "window_id", "currency"),
)
"""What a cause was given in a closed window, less what came back; `amount`: what it is paid for that, exact
major units. A reference table where tables are sharded."""
