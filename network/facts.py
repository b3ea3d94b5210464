"""What members say of themselves, each with the words to which they consented; and how they take it back.

A fact that is withdrawn is gone at once, and with it the member's place in every segment that needs it.
"""

from collections.abc import Mapping
from datetime import date, datetime

import msgspec
from sqlalchemy import Connection, text

from network.errors import NetworkError
from network.programme.spec_members import BIRTHDAY

SEGMENTS_LOCK = 0x7E55_0027
"""Held by whoever finds segments anew; shared by whoever withdraws a fact."""
_SHARE = text(f"SELECT pg_advisory_xact_lock_shared({SEGMENTS_LOCK})")
_TELL = text(
    "INSERT INTO member_fact (member_id, name, value, consent, told_by, consented_at)"
    " VALUES (:member, :name, :value, :consent, :by, :at) ON CONFLICT (member_id, name) DO UPDATE"
    " SET value = excluded.value, consent = excluded.consent, told_by = excluded.told_by,"
    " consented_at = excluded.consented_at, withdrawn_at = NULL"
)
_WITHDRAW = text(
    "UPDATE member_fact SET value = NULL, withdrawn_at = :at"
    " WHERE member_id = :member AND name = ANY(CAST(:names AS text[])) AND value IS NOT NULL RETURNING name"
)
_LEAVE = text(
    "DELETE FROM member_segment s USING segment_state c WHERE s.member_id = :member"
    " AND c.segment = s.segment AND c.needs && CAST(:names AS text[])"
)
_FACTS = text(
    "SELECT name, value, consent, consented_at FROM member_fact"
    " WHERE member_id = :member AND value IS NOT NULL ORDER BY name"
)


class FactUnfit(NetworkError):
    """A fact that cannot be what it says."""


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """What a member has told, and to which words it consented then."""

    name: str
    value: str
    consent: str
    consented_at: datetime


def tell(
    connection: Connection, member_id: int, facts: Mapping[str, str], *, consent: str, by: int, at: datetime
) -> None:
    """Keep what a member says of itself; what it said before of the same is replaced.

    Args:
        connection: A transaction.
        member_id: Whose.
        facts: By name; a birthday as 2000-02-29.
        consent: The words, or their version, to which the member consented.
        by: The partner that heard it.
        at: When.
    Raises:
        FactUnfit: that is no day of birth.
    """
    born = facts.get(BIRTHDAY)
    if born is not None and not _is_birthday(born, at.date()):
        raise FactUnfit(f"{born!r} is no day of birth: write it as 2000-02-29")
    for name, value in sorted(facts.items()):
        told = {"member": member_id, "name": name, "value": value, "consent": consent, "by": by, "at": at}
        connection.execute(_TELL, told)


def withdraw(connection: Connection, member_id: int, names: list[str], *, at: datetime) -> list[str]:
    """Forget facts of a member, who is in no segment any more that needs them; those that were there.

    Args:
        connection: A transaction.
        member_id: Whose.
        names: Which.
        at: When.
    """
    connection.execute(_SHARE)
    wanted = {"member": member_id, "names": names}
    gone = sorted(connection.execute(_WITHDRAW, {**wanted, "at": at}).scalars())
    connection.execute(_LEAVE, wanted)
    return gone


def facts_of(connection: Connection, member_id: int) -> list[Fact]:
    """What a member has told and not withdrawn."""
    return [Fact(**row) for row in connection.execute(_FACTS, {"member": member_id}).mappings()]


def _is_birthday(value: str, today: date) -> bool:
    try:
        born = date.fromisoformat(value)
    except ValueError:
        return False
    return value == born.isoformat() and date(1900, 1, 1) <= born <= today
