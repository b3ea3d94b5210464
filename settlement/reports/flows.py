"""How postings are read as the history of points: pieces of SQL that go over `posting p`."""

from network.model import WITH_ACTIVITY, AccountKind
from settlement.model import OUTSTANDING
from settlement.survival import OPEN_ENDED

_OUT = ", ".join(str(int(kind)) for kind in OUTSTANDING)
IN_OUT, FROM_OUT = f"(p.credit IN ({_OUT}))", f"(p.debit IN ({_OUT}))"
CAUSE = f"""CASE WHEN {IN_OUT} THEN 'issued' WHEN p.credit = {int(AccountKind.ACCEPTED)} THEN 'redeemed'
    WHEN p.credit = {int(AccountKind.LAPSED)} THEN 'lapsed' ELSE 'taken_back' END"""
"""What a posting between points that are out and others is; what comes back from a return is out again."""


def days_left(on: str) -> str:
    """Days that points have left, seen from a date; what has no date of expiry is OPEN_ENDED."""
    return (
        f"CASE WHEN p.expires_on >= DATE '{WITH_ACTIVITY}' THEN {OPEN_ENDED}"
        f" ELSE greatest(p.expires_on - {on}, 0) END"
    )
