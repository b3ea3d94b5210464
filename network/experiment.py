"""Experiments: which members have no part in something, so that it can be seen what it changed (pure).

Who is in the control group follows from the experiment's name and the member's number alone, so that tills,
reports and outsiders find the same without a table of members.
"""

from datetime import date
from hashlib import sha256

import msgspec

WHOLE_BPS = 10_000


class Experiment(msgspec.Struct, frozen=True, kw_only=True):
    """`control_bps` ten-thousandths of the members are left out from a day on, until a day or for good."""

    name: str
    control_bps: int
    starts_on: date
    ends_on: date | None = None

    def is_control(self, member_id: int) -> bool:
        """Whether a member is in the control group."""
        return draw(self.name, member_id) < self.control_bps


def draw(name: str, member_id: int) -> int:
    """A member's number in an experiment, 0 to 9,999, as good as drawn by lot.

    Source: the first four bytes of SHA-256 of `name:member`, modulo 10,000 (2^32 is not a multiple of it: the
    difference between two numbers' chances is less than one in 400,000).
    """
    return int.from_bytes(sha256(f"{name}:{member_id}".encode()).digest()[:4], "big") % WHOLE_BPS
