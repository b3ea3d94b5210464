"""Which account a participant is paid to, at an instant (pure).

An account that was just changed is not paid to at once: whoever took over a partner's mailbox, or a login of
the operator's, would have to stay unnoticed for the whole cooling-off time.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from settlement.bank.model import AccountState, AccountVersion

COOLING_OFF = timedelta(hours=72)
"""From approval to first use; a participant's first account, which replaces none, waits as long."""


def in_use(versions: Iterable[AccountVersion], at: datetime) -> Mapping[tuple[int, str], AccountVersion]:
    """The account in use at an instant, by participant and currency.

    Of those approved, out of their cooling-off time and not withdrawn within it, the one approved last.
    """
    found: dict[tuple[int, str], AccountVersion] = {}
    for one in versions:
        if not _usable(one, at):
            continue
        key = (one.participant_id, one.currency)
        if key not in found or _order(one) > _order(found[key]):
            found[key] = one
    return found


def state_of(version: AccountVersion, versions: Iterable[AccountVersion], at: datetime) -> AccountState:
    """How a proposal stands at an instant, among all versions of its participant and currency."""
    if version.approved is None:
        return "waits"
    if not version.approved:
        return "rejected"
    if version.withdrawn_at is not None:
        return "withdrawn"
    if not _usable(version, at):
        return "cooling"
    current = in_use(versions, at)[version.participant_id, version.currency]
    return "in_use" if current.account_id == version.account_id else "superseded"


def _usable(version: AccountVersion, at: datetime) -> bool:
    return version.in_use_from is not None and version.in_use_from <= at and version.withdrawn_at is None


def _order(version: AccountVersion) -> tuple[datetime | None, int]:
    return version.in_use_from, version.account_id
