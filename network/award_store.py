"""For what awards were given, and who referred whom, written with their entries."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Connection, text

from network.award_tables import award, referral
from network.bulk import insert_from_arrays
from network.ids import member_of
from network.model import EntryKind
from network.outcomes import Decision, Occasion
from network.pipeline import Pipeline

_OCCASION = ("award", "occasion", "role", "staff", "reason")
_AWARDS = insert_from_arrays(award, ("member_id", "entry_id", *_OCCASION))
_READ = text(f"SELECT {', '.join(_OCCASION)} FROM award WHERE member_id = :member AND entry_id = :entry")
_REFERRALS = insert_from_arrays(referral, ("member_id", "entry_id", "referrer_id"))


def save(pipeline: Pipeline, decisions: Sequence[Decision]) -> None:
    """Write the occasions of awards, and referrals; no statement where there are none."""
    given = [(one.entry, one.occasion) for one in decisions if one.occasion is not None]
    if given:
        arrays: dict[str, list[object]] = {
            "member_id": [entry.member_id for entry, _ in given],
            "entry_id": [entry.entry_id for entry, _ in given],
        }
        for name in _OCCASION:
            arrays[name] = [getattr(occasion, name) for _, occasion in given]
        pipeline.change(_AWARDS.statement, _AWARDS.bound(arrays), len(given), "occasions of awards")
    referred = [one.entry for one in decisions if one.entry.kind is EntryKind.REFERRAL]
    if referred:
        arrays = {
            "member_id": [entry.member_id for entry in referred],
            "entry_id": [entry.entry_id for entry in referred],
            "referrer_id": [entry.counterpart_id for entry in referred],
        }
        pipeline.change(_REFERRALS.statement, _REFERRALS.bound(arrays), len(referred), "referrals")


def occasion_of(connection: Connection, entry_id: UUID) -> Occasion | None:
    """For what an award was given; None where the entry is none."""
    wanted = {"member": member_of(entry_id), "entry": entry_id}
    row = connection.execute(_READ, wanted).mappings().one_or_none()
    return None if row is None else Occasion(**row)
