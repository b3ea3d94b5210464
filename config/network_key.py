"""The network's private key: a PEM file that its owner alone may read. It is in no repository or database."""

import os
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


def load_network_key(path: Path) -> Ed25519PrivateKey:
    """Read the network's key.

    Raises:
        KeyFileError: it is not there, others may read it, or it is no Ed25519 private key.
    """
    try:
        with path.expanduser().open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & ~OWNER_ONLY:
                raise KeyFileError(
                    f"the network key {path} has mode {mode:o}, so others may have read it: chmod 600 {path},"
                    " or make a new key with `tessera keys`"
                )
            content = file.read()
    except OSError as error:
        raise KeyFileError(
            f"cannot read the network key {path}: {error.strerror}; `tessera keys` makes one"
        ) from error
    try:
        key = load_pem_private_key(content, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyFileError(f"{path} is no private key in PEM without a password") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(f"{path} is a private key, but none of Ed25519: make one with `tessera keys`")
    return key


def make_network_key(path: Path) -> Ed25519PrivateKey:
    """Make a new key in a new file; folders that are missing are made.

    Raises:
        KeyFileError: there is a file already, or it cannot be written.
    """
    path = path.expanduser()
    key = Ed25519PrivateKey.generate()
    content = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        made = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
        with os.fdopen(made, "wb") as file:
            file.write(content)
            os.fsync(file.fileno())
    except OSError as error:
        raise KeyFileError(f"cannot make the network key {path}: {error.strerror}") from error
    return key


def load_or_make_network_key(path: Path) -> Ed25519PrivateKey:
    """The key of a file; a new one where there is no file."""
    return load_network_key(path) if path.expanduser().exists() else make_network_key(path)
