"""What a batch writes of pledges. Rows of members change under the lock of their account."""

from collections.abc import Sequence

from sqlalchemy import text

from network import pledge_tables  # noqa: F401 - so that its tables are among the others
from network.outcomes import Decision
from network.pipeline import Pipeline

_MAKE = text(
    "INSERT INTO pledge (member_id, entry_id, offer, cause_id, per_cent, issuers, from_window)"
    " VALUES (:member, :entry, :offer, :cause, :per_cent, CAST(:issuers AS integer[]), :window)"
)
_END = text(
    "UPDATE pledge SET ended_by = :entry, ended_window = :window"
    " WHERE member_id = :member AND offer = :offer AND ended_by IS NULL"
)
_GIVE = text("UPDATE pledge SET given = given + :points WHERE member_id = :member AND entry_id = :pledge")


def save(pipeline: Pipeline, decisions: Sequence[Decision]) -> None:
    """Write pledges that were made or ended, and what was given for some: each is rare, or the night's."""
    for decision in decisions:
        entry, made = decision.entry, decision.pledged
        if made is not None:
            whose = {"member": entry.member_id, "entry": entry.entry_id, "offer": made.offer}
            whose["window"] = entry.window_id
            pipeline.ask(_END, whose)
            if made.per_cent:
                issuers = "{" + ",".join(map(str, made.issuers)) + "}"
                how = {"cause": made.cause_id, "per_cent": made.per_cent, "issuers": issuers}
                pipeline.change(_MAKE, {**whose, **how}, 1, "pledge made")
        if decision.keeps is not None:
            points = sum(posting.points for posting in decision.postings)
            gives = {"member": entry.member_id, "pledge": decision.keeps, "points": points}
            pipeline.change(_GIVE, gives, 1, "pledge kept")
