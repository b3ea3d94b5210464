"""The webhooks' key: secrets of partners' endpoints are sealed under what is derived of it.

It signs nothing and is not in the database. Servers and workers of a network read the same file; it is made
by whoever needs it first. Without it every partner has to rotate its secrets.
"""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from config.errors import KeyFileError
from config.key_file import load_key, make_key

_NAME, _MADE_BY = "webhooks' key", "tessera serve"


def load_or_make_webhook_key(path: Path) -> Ed25519PrivateKey:
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
