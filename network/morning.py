"""What the night does for members before the day begins: tiers, segments, and what is due for occasions."""

from datetime import date

from sqlalchemy import Engine

from network.errors import NotReady
from network.matches import settle
from network.reviews import review_tiers
from network.segments import find_segments
from network.service import load_rules
from network.triggers import give_due


def begin_day(database: Engine, on: date) -> None:
    """Review tiers, find segments anew, give what is due, pay matches that ended; nothing is done twice.

    Args:
        database: Where the ledger is.
        on: The day that begins. The programme that is live by the network's clock says what is done.
    """
    review_tiers(database, on)
    with database.connect() as connection:
        try:
            rules = load_rules(connection)
        except NotReady:
            return  # without a programme there are no segments, and nothing is due
    programme = rules.programme
    find_segments(database, programme.segments, on, programme.leap)
    give_due(database, rules, on)
    settle(database, rules)
