"""Passwords: Argon2id, with the parameters of RFC 9106's second profile (64 MiB, three passes, four lanes).

What they are is asked of length alone: at least twelve characters. Rules about kinds of characters make
passwords that are written down.
"""

import unicodedata
from functools import lru_cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.profiles import RFC_9106_LOW_MEMORY

from partners.errors import PasswordUnfit

SHORTEST, LONGEST = 12, 128
_HASHER = PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)


def hash_password(password: str, *, operator_id: str) -> str:
    """The hash to keep, with its salt and parameters.

    Raises:
        PasswordUnfit: too short, too long, one character over and over, or the login.
    """
    known = _known(password)
    if not SHORTEST <= len(known) <= LONGEST:
        raise PasswordUnfit(f"a password has {SHORTEST} to {LONGEST} characters: four or five words are easy")
    if len(set(known)) < 5 or known.casefold().replace(operator_id, "").strip("0123456789!. ") == "":
        raise PasswordUnfit("that is too easy to guess: take four or five words that do not belong together")
    return _HASHER.hash(known)


def is_password(stored: str | None, given: str) -> bool:
    """Whether a password is the one whose hash is stored; without one it takes as long, and is not."""
    try:
        _HASHER.verify(stored or _nobodys(), _known(given))
    except (VerificationError, InvalidHashError):
        return False
    return stored is not None


def is_outdated(stored: str) -> bool:
    """Whether a hash was made with parameters that are not today's."""
    return _HASHER.check_needs_rehash(stored)


def _known(password: str) -> str:
    """One spelling of what is typed; keyboards differ in how they compose letters."""
    return unicodedata.normalize("NFKC", password[: LONGEST * 4])


@lru_cache(maxsize=1)
def _nobodys() -> str:
    return _HASHER.hash("a password that nobody has")
