"""The operators' key: it signs their sessions, and what is derived of it keeps their second factors.

It is not the network's key, because a key has one use. All servers and commands of a network read the same
file; it is made by whoever needs it first. Without it everybody signs in and enrols anew.
"""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from config.errors import KeyFileError
from config.key_file import load_key, make_key

_NAME, _MADE_BY = "operators' key", "tessera serve"


def load_or_make_operator_key(path: Path) -> Ed25519PrivateKey:
    """The key of a file; a new one where there is no file.

    Raises:
        KeyFileError: others may read it, it is no Ed25519 private key, or it cannot be made.
    """
    if not path.expanduser().exists():
        try:
            return make_key(path, name=_NAME)
        except KeyFileError:
            if not path.expanduser().exists():
                raise  # otherwise somebody else made it just now
    return load_key(path, name=_NAME, made_by=_MADE_BY)
