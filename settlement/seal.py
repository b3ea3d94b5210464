"""Seals: what the network signs about a closed window, and how a seal is checked (pure).

A statement names the window, the size and root of its Merkle tree and the hash of the seal before, so that
seals are a chain. Its canonical bytes are hashed and signed with the network's Ed25519 key.
"""

from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from partners.keys import is_signed as is_signature
from partners.keys import public_key
from settlement.canonical import canonical_json, instant_text

NO_SEAL = bytes(32)
"""What the first seal names as the one before it."""
VERSIONS = (1, 2)
VERSION = VERSIONS[-1]
"""What leaves a window is sealed with now (settlement.leaves); seals of earlier versions stand for good."""
_PURPOSE = b"tessera window seal v1\n"


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """What is signed. Hashes are hexadecimal; `previous` is the hash of the seal before.

    `version` is that of the leaves: which facts of a posting are under the seal.
    """

    window: int
    tree_size: int
    root: str
    previous: str
    signed_at: str
    key_id: str
    version: int

    def to_bytes(self) -> bytes:
        """The canonical bytes: hashed as they are, signed behind a line that says what for."""
        return canonical_json(msgspec.structs.asdict(self))

    def hash(self) -> bytes:
        """The hash of the seal, which the next one names."""
        return sha256(self.to_bytes()).digest()


class Seal(msgspec.Struct, frozen=True, kw_only=True):
    """A window's seal as it is kept."""

    window_id: int
    tree_size: int
    root: bytes
    previous_hash: bytes
    seal_hash: bytes
    signed_at: datetime
    key_id: str
    signature: bytes
    version: int

    @property
    def statement(self) -> Statement:
        """What was signed, as the fields have it."""
        return Statement(
            window=self.window_id,
            tree_size=self.tree_size,
            root=self.root.hex(),
            previous=self.previous_hash.hex(),
            signed_at=instant_text(self.signed_at),
            key_id=self.key_id,
            version=self.version,
        )


class Signer(msgspec.Struct, frozen=True):
    """The network's key, ready to sign."""

    private_key: Ed25519PrivateKey

    @property
    def public_key(self) -> bytes:
        """The public half, 32 bytes."""
        return self.private_key.public_key().public_bytes_raw()

    @property
    def key_id(self) -> str:
        """The name of the key."""
        return key_id_of(self.public_key)

    def seal(
        self,
        window_id: int,
        *,
        tree_size: int,
        root: bytes,
        previous_hash: bytes,
        at: datetime,
        version: int = VERSION,
    ) -> Seal:
        """Seal a window. `previous_hash` is NO_SEAL for the first."""
        statement = Statement(
            window=window_id,
            tree_size=tree_size,
            root=root.hex(),
            previous=previous_hash.hex(),
            signed_at=instant_text(at),
            key_id=self.key_id,
            version=version,
        )
        return Seal(
            window_id=window_id,
            tree_size=tree_size,
            root=root,
            previous_hash=previous_hash,
            seal_hash=statement.hash(),
            signed_at=at,
            key_id=self.key_id,
            signature=self.private_key.sign(_PURPOSE + statement.to_bytes()),
            version=version,
        )


def key_id_of(raw_public_key: bytes) -> str:
    """A key's name follows from its bytes, so that no other key can take it."""
    return f"net-{sha256(raw_public_key).hexdigest()[:32]}"


def is_signed(statement: Statement, signature: bytes, raw_public_key: bytes) -> bool:
    """Whether a key signed a statement."""
    key = public_key(raw_public_key)
    return key is not None and is_signature(key, _PURPOSE + statement.to_bytes(), signature)


def seal_faults(
    statement: Statement,
    *,
    seal_hash: str,
    signature: bytes,
    raw_public_key: bytes,
    instead: Mapping[str, int | str],
) -> list[str]:
    """What is wrong with a seal by itself; nothing where it holds.

    Args:
        statement: What the seal says.
        seal_hash: Its hash as kept beside it, hexadecimal.
        signature: 64 bytes.
        raw_public_key: The key that it names.
        instead: What some fields should say; if the signature fits with one of them, that one was changed.
    """
    if key_id_of(raw_public_key) != statement.key_id:
        named = key_id_of(raw_public_key)
        return [f"key_id is {statement.key_id}, and the key is {named}: the name or the key was changed"]
    hashed = statement.hash().hex() == seal_hash
    if is_signed(statement, signature, raw_public_key):
        said = f"its hash is {statement.hash().hex()}, and {seal_hash} is kept: the hash was changed"
        return [] if hashed else [said]
    for field, value in instead.items():
        changed = getattr(statement, field)
        meant = msgspec.structs.replace(statement, **{field: value})
        if changed != value and is_signed(meant, signature, raw_public_key):
            return [f"{field} says {changed}, and {value} was signed: {field} was changed"]
    if hashed:
        return [f"signature is not one of {statement.key_id}: the signature was changed, or never made"]
    return ["hash and signature do not fit: window, tree_size, root, previous or signed_at was changed"]
