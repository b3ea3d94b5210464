"""Which version of a contract is in force on a day (pure)."""

from collections.abc import Sequence
from datetime import date

from partners.model import Terms


def terms_on(versions: Sequence[Terms], on: date) -> Terms | None:
    """The version in force on a day, or None before the first.

    Args:
        versions: One partner's versions, by `effective_on`, ascending.
        on: The occurred-at date in the network's time zone.
    """
    for terms in reversed(versions):
        if terms.effective_on <= on:
            return terms
    return None
