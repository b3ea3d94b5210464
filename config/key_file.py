"""Private keys in PEM files that their owner alone may read; they are in no repository or database."""

import os
import secrets
import stat
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from config.errors import KeyFileError

OWNER_ONLY = 0o600


def load_key(path: Path, *, name: str, made_by: str) -> Ed25519PrivateKey:
    """Read a key.

    Args:
        path: Its file.
        name: What the key is called in errors: "network key".
        made_by: The command that makes one.
    Raises:
        KeyFileError: it is not there, others may read it, or it is no Ed25519 private key.
    """
    try:
        with path.expanduser().open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & ~OWNER_ONLY:
                raise KeyFileError(
                    f"the {name} {path} has mode {mode:o}, so others may have read it: chmod 600 {path},"
                    f" or make a new key with `{made_by}`"
                )
            content = file.read()
    except OSError as error:
        raise KeyFileError(
            f"cannot read the {name} {path}: {error.strerror}; `{made_by}` makes one"
        ) from error
    try:
        key = load_pem_private_key(content, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyFileError(f"{path} is no private key in PEM without a password") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(f"{path} is a private key, but none of Ed25519: make one with `{made_by}`")
    return key


def make_key(path: Path, *, name: str) -> Ed25519PrivateKey:
    """Make a new key in a new file; folders that are missing are made.

    The file is there whole or not at all, so that of several who make it at once one does.

    Raises:
        KeyFileError: there is a file already, or it cannot be written.
    """
    path = path.expanduser()
    key = Ed25519PrivateKey.generate()
    content = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    unnamed = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        made = os.open(unnamed, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
        try:
            with os.fdopen(made, "wb") as file:
                file.write(content)
                os.fsync(file.fileno())
            path.hardlink_to(unnamed)
        finally:
            unnamed.unlink()
    except OSError as error:
        raise KeyFileError(f"cannot make the {name} {path}: {error.strerror}") from error
    return key
