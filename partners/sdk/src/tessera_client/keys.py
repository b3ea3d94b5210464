"""Key pairs: made here, kept in files that only their owner can read; the service gets the public half."""

import os
import stat
from base64 import b64encode
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from tessera_client.errors import Unusable

_OWNER_ONLY = 0o600


def new_key() -> Ed25519PrivateKey:
    """A new key pair."""
    return Ed25519PrivateKey.generate()


def write_key(path: Path, key: Ed25519PrivateKey) -> None:
    """Write a private key into a new file, as PEM, mode 600.

    Raises:
        Unusable: there is such a file, or it cannot be made.
    """
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Made with its mode, not changed to it: nobody reads it in between. Never over another key.
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY), "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError as error:
        raise Unusable(f"{path} is there already, and a key is never written over") from error
    except OSError as error:
        raise Unusable(f"cannot write {path}: {error.strerror}") from error


def load_key(path: str | Path) -> Ed25519PrivateKey:
    """Read a private key from a PEM file (PKCS 8, not encrypted), as `openssl genpkey` makes it, too.

    Raises:
        Unusable: there is no such file, others may read it, or it holds no Ed25519 key.
    """
    file = Path(path)
    content = _read(file)
    if os.name == "posix" and stat.S_IMODE(file.stat().st_mode) & 0o077:
        raise Unusable(f"others can read {file}, and who has it signs in your name: chmod 600 {file}")
    try:
        key = load_pem_private_key(content, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise Unusable(f"{file} is no private key in PEM without a password: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise Unusable(f"{file} is a private key, but none of Ed25519: openssl genpkey -algorithm ed25519")
    return key


def load_public_key(path: str | Path) -> bytes:
    """Read a public key from a PEM file: 32 bytes; `check_proof` takes the network's.

    Raises:
        Unusable: there is no such file, or it holds no Ed25519 public key.
    """
    try:
        key = load_pem_public_key(_read(Path(path)))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Unusable(f"{path} is no public key in PEM: {error}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise Unusable(f"{path} is a public key, but none of Ed25519")
    return key.public_bytes_raw()


def public_text(key: Ed25519PrivateKey) -> str:
    """The public half, 32 bytes in base64, as it is registered."""
    return b64encode(key.public_key().public_bytes_raw()).decode()


def possession_proof(key: Ed25519PrivateKey, partner_id: int, key_id: str) -> str:
    """The proof that one holds a new key's private half: its own signature, in base64.

    Signed are four lines, the last without a line feed: what for, the partner's number, the key's id, and the
    public half in hexadecimal.
    """
    public = key.public_key().public_bytes_raw().hex()
    return b64encode(
        key.sign(f"tessera key registration v1\n{partner_id}\n{key_id}\n{public}".encode())
    ).decode()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Unusable(f"cannot read {path}: {error.strerror}") from error
