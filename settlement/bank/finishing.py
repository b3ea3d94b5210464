"""After something was booked: take windows as far as that allows, with the bank's objections."""

from collections.abc import Iterable
from datetime import date

import msgspec
from sqlalchemy import Engine

from network.service import date_of_window, network_now
from settlement import runs
from settlement.bank.resolving import objections
from settlement.errors import NotFinal
from settlement.model import Step


class Advanced(msgspec.Struct, frozen=True, kw_only=True):
    """Where a window's run is now; `objection`: what keeps it from being settled, where it is all paid."""

    business_date: date
    state: Step
    objection: str = ""


def advance_windows(database: Engine, window_ids: Iterable[int]) -> list[Advanced]:
    """Take each window's run to funded, paid and settled, as far as its payments are booked."""
    found = []
    for window_id in sorted(set(window_ids)):
        on = date_of_window(window_id)
        with database.connect() as connection:
            at = network_now(connection)
        try:
            state = runs.advance(database, on, at=at, objections=objections)
            found.append(Advanced(business_date=on, state=state))
        except NotFinal as error:
            found.append(Advanced(business_date=on, state="paid", objection=str(error)))
    return found
