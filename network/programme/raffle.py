"""Who wins a draw: by a seed whose hash was published before anybody took part (commit and reveal; pure).

    commitment = SHA-256(seed)
    tickets' hash = SHA-256(tickets in order of the alphabet, a line feed between them)
    a ticket's place = SHA-256(seed ‖ tickets' hash ‖ ticket); the lowest win

Whoever has the seed, the tickets and these three lines finds the same winners.
"""

from collections.abc import Sequence
from hashlib import sha256

import msgspec


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """What everybody may see of a draw; `seed` and `winners` once it is revealed. Hashes and seed in hex."""

    draw: str
    prizes: int
    commitment: str
    tickets: Sequence[str] = ()
    tickets_sha256: str = ""
    seed: str = ""
    winners: Sequence[str] = ()


def commitment_of(seed: bytes) -> bytes:
    """What is published of a seed beforehand."""
    return sha256(seed).digest()


def hash_of(tickets: Sequence[str]) -> bytes:
    """The hash of all tickets, in whatever order they come."""
    return sha256("\n".join(sorted(tickets)).encode()).digest()


def winners_of(seed: bytes, tickets: Sequence[str], prizes: int) -> list[str]:
    """The tickets that win, the first prize first.

    Args:
        seed: The seed.
        tickets: Each once, in any order.
        prizes: How many win, if there are so many.
    """
    mixed = seed + hash_of(tickets)
    return sorted(tickets, key=lambda ticket: sha256(mixed + ticket.encode()).digest())[:prizes]


def faults_of(told: Published) -> list[str]:
    """What of a published draw does not come out when it is computed again; nothing where all does."""
    faults = []
    if len(set(told.tickets)) != len(told.tickets):
        faults.append("a ticket stands twice")
    if hash_of(told.tickets).hex() != told.tickets_sha256:
        faults.append("the tickets are not those whose hash was published")
    try:
        seed = bytes.fromhex(told.seed)
    except ValueError:
        return [*faults, "the seed is not hexadecimal"]
    if not seed:
        return [*faults, "the seed is not revealed"]
    if commitment_of(seed).hex() != told.commitment:
        faults.append("the seed is not the one whose hash was published")
    if winners_of(seed, told.tickets, told.prizes) != list(told.winners):
        faults.append("other tickets win")
    return faults
