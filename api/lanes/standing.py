"""What stands before the ledger in a lane of the live network: who is there, then codes on paper."""

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Engine

from api.lanes.coding import code_key, coding
from api.lanes.refusing import by_presence, refusing
from api.lanes.work import CarryOut


def standing(
    database: Engine, card_key: bytes, now: Callable[[], datetime]
) -> Callable[[CarryOut], CarryOut]:
    """Everything of it; `card_key` opens members' cards and seals codes, and may be empty: there are none."""
    if not card_key:
        return coding(b"")
    cards, paper = refusing(by_presence(database, card_key, now)), coding(code_key(card_key))
    return lambda carry_out: cards(paper(carry_out))
