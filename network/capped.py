"""A batch and the caps: which of its accruals fit, tested under the locks of the partners' rows.

Most batches are far from every cap. They are decided as if there were none; lock, look and change of the rows
travel with what is saved, and what the look shows is checked before the commit. Only a batch that might not
fit is decided on rows that were locked before: command by command, so that just those are refused that do not
fit, whoever else asked. It keeps these rows until it commits, so that two processes never both use the last
cent; which of two accruals gets it is who locks first.
"""

from collections.abc import Collection, Sequence
from collections.abc import Set as AbstractSet

from sqlalchemy import Connection

from network import exposure_store
from network.commands import Command
from network.decide import decide_batch
from network.exposure import Change, Guard, Pricing, issuers_of, might_exceed, plus
from network.outcomes import Decision, Minted, Rejected
from network.rules import Folded, Rules
from network.save import save

_NEAR = "tessera.near_cap"
"""On a connection: issuers whose last batch might not fit twice, so that the next one locks first."""


class AtCap(Exception):
    """Accruals may have taken partners over their limits: decide again, with their rows locked first."""

    def __init__(self, partners: set[int]) -> None:
        super().__init__(f"partners {sorted(partners)}")
        self.partners = partners


def within_caps(
    connection: Connection,
    folded: Folded,
    judged: Sequence[tuple[Command, Minted]],
    outcomes: list[Decision | Rejected],
    rules: Rules,
    at_cap: AbstractSet[int],
) -> tuple[Folded, list[Decision | Rejected]]:
    """Write what was decided; where a cap is near, decide again on rows that are locked, and write that.

    Far from every cap nothing is looked at before: the rows are locked, read and added to with what is saved.

    Args:
        folded, outcomes: The batch as it was decided without a look at caps.
        judged: Its commands, each with what was minted for it.
        at_cap: Partners that an earlier try has found to be near: their rows are locked first.

    Raises:
        AtCap: accruals that were decided without a look may not fit; nothing of this may be committed.
    """
    issuers = _issuers(judged, outcomes, rules)
    change = _change(folded, rules)
    if issuers & (at_cap | connection.info.get(_NEAR, set())):
        locked = issuers | change.partners | at_cap
        stood = exposure_store.lock(connection, locked)
        holdings = {partner_id: one.holdings for partner_id, one in stood.items()}
        if might_exceed(change, holdings, issuers, rules, folded.today):
            folded = Folded(folded.loaded, folded.today)
            guard = Guard(rules, folded.moment, folded.today, holdings)
            outcomes = decide_batch(folded, judged, rules, guard)
            change = _change(folded, rules)
            issuers |= _issuers(judged, outcomes, rules)
            if not change.partners <= locked:
                raise AtCap(change.partners)  # what others drew instead is locked in order, from the start
        _save(connection, folded, change, rules, issuers, tested=True)
    else:
        _save(connection, folded, change, rules, issuers, tested=False)
    return folded, outcomes


def save_exposed(connection: Connection, folded: Folded, rules: Rules) -> None:
    """Write decisions none of which is an accrual, and last what they do to capped partners."""
    _save(connection, folded, _change(folded, rules), rules, (), tested=True)


def _issuers(
    judged: Sequence[tuple[Command, Minted]], outcomes: Sequence[Decision | Rejected], rules: Rules
) -> set[int]:
    """The capped partners that issue points in a batch."""
    found: set[int] = set()
    for (command, _), outcome in zip(judged, outcomes, strict=True):
        found |= issuers_of(command, outcome)
    return found & rules.caps.partners


def _change(folded: Folded, rules: Rules) -> Change:
    return Pricing(rules, folded.moment.business_date).change(folded, folded.decided)


def _save(
    connection: Connection,
    folded: Folded,
    change: Change,
    rules: Rules,
    issuers: Collection[int],
    *,
    tested: bool,
) -> None:
    """Write decisions, and last what they do to capped partners."""
    stood = save(connection, folded.decided, folded.owed, rules.directory.hooks, change.added)
    if not stood:
        return
    before = {partner_id: one.holdings for partner_id, one in stood.items()}
    over = set() if tested else might_exceed(change, before, issuers, rules, folded.today)
    if over:
        raise AtCap(over)
    exposure_store.note_moves(connection, stood, change.added, rules, folded.moment)
    after = {partner_id: plus(of, partner_id, change.added) for partner_id, of in before.items()}
    near = connection.info.setdefault(_NEAR, set())
    near -= issuers
    near |= might_exceed(change, after, issuers, rules, folded.today)
