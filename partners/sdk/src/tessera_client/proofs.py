"""Proofs checked offline: that an entry of yours is under the network's seal, as it was answered to you.

A proof holds each posting of the entry, its path to the root of the window's Merkle tree (RFC 6962), and the
seal: the network's signature of that root. What is needed beside the file is the network's public key.
"""

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tessera_client.errors import ProofInvalid

FORMATS: Mapping[str, int] = {"tessera-proof-1": 1, "tessera-proof-2": 2}
"""What a proof says it is, and the version of the leaves in it."""
_PURPOSE = b"tessera window seal v1\n"
_HASH_BYTES = 32
_ENCODER = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))


class _Seal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    window: int
    tree_size: int
    root: str
    previous: str
    signed_at: str
    key_id: str
    hash: str
    signature: str
    public_key: str


class _Posting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    index: int
    leaf: dict[str, int | str | None]
    leaf_hash: str
    path: list[str]


class _Proof(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    format: str
    entry: str
    seal: _Seal
    postings: list[_Posting]


class Proven(msgspec.Struct, frozen=True):
    """What a proof proves: these postings of the entry are in the window that was sealed at that instant."""

    entry: str
    window: int
    signed_at: str
    root: str
    seal_hash: str
    postings: Sequence[Mapping[str, int | str | None]]


def check_proof(content: bytes, network_key: bytes, *, entry: str | None = None) -> Proven:
    """Check a proof.

    Args:
        content: The proof as it came, or its file.
        network_key: The network's public key, 32 bytes, from where you trust it: never out of the file.
        entry: Which entry it must be of.
    Raises:
        ProofInvalid: it does not hold; the text says where.
    """
    proof = _read(content)
    seal = proof.seal
    if entry is not None and proof.entry != entry:
        raise ProofInvalid(f"it is of {proof.entry}, not of {entry}")
    if seal.public_key != network_key.hex():
        raise ProofInvalid(f"it names the key {seal.public_key}, and the network's is {network_key.hex()}")
    statement = _statement(proof)
    if sha256(statement).hexdigest() != seal.hash:
        raise ProofInvalid("the seal's hash is not that of what it says")
    try:
        key = Ed25519PublicKey.from_public_bytes(network_key)
        key.verify(bytes.fromhex(seal.signature), _PURPOSE + statement)
    except (InvalidSignature, ValueError) as error:
        raise ProofInvalid("the seal was not signed by the network's key") from error
    if not proof.postings:
        raise ProofInvalid("it holds no posting, so it proves nothing")
    for posting in proof.postings:
        _check_posting(posting, proof)
    places = [posting.index for posting in proof.postings]
    if len(set(places)) != len(places):
        raise ProofInvalid("a posting is in it twice")
    leaves = [posting.leaf for posting in proof.postings]
    return Proven(proof.entry, seal.window, seal.signed_at, seal.root, seal.hash, leaves)


def _read(content: bytes) -> _Proof:
    """A proof from JSON that can be read in one way only."""
    try:
        proof = msgspec.json.decode(content, type=_Proof)
        json.loads(content, object_pairs_hook=_without_doubles)
    except (ValueError, RecursionError) as error:
        raise ProofInvalid(f"it is no proof: {error}") from error
    if proof.format not in FORMATS:
        raise ProofInvalid(f"its format is {proof.format!r}, and this reads {', '.join(FORMATS)}")
    return proof


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return found


def _statement(proof: _Proof) -> bytes:
    """What was signed, behind the line that says what for."""
    seal = proof.seal
    return _canonical(
        {
            "window": seal.window,
            "tree_size": seal.tree_size,
            "root": seal.root,
            "previous": seal.previous,
            "signed_at": seal.signed_at,
            "key_id": seal.key_id,
            "version": FORMATS[proof.format],
        }
    )


def _check_posting(posting: _Posting, proof: _Proof) -> None:
    line = posting.leaf.get("line")
    if posting.leaf.get("entry") != proof.entry or posting.leaf.get("window") != proof.seal.window:
        raise ProofInvalid(f"posting line {line} is of another entry or window")
    hashed = sha256(b"\0" + _canonical(posting.leaf)).digest()
    try:
        path = [bytes.fromhex(one) for one in posting.path]
    except ValueError as error:
        raise ProofInvalid(f"the path of posting line {line} holds what is no hash") from error
    root = root_by_path(hashed, posting.index, proof.seal.tree_size, path)
    if root is None or root.hex() != proof.seal.root:
        raise ProofInvalid(
            f"posting line {line} does not lead to the root: it, its number or path was changed"
        )
    if hashed.hex() != posting.leaf_hash:
        raise ProofInvalid(f"leaf_hash of posting line {line} is not the posting's hash")


def root_by_path(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """The root that a leaf hash and its audit path lead to; None where no such path fits such a tree.

    Source: RFC 9162, 2.1.3.2.
    """
    if not 0 <= index < size or any(len(beside) != _HASH_BYTES for beside in path):
        return None
    last, root = size - 1, leaf
    for beside in path:
        if last == 0:
            return None
        if index & 1 or index == last:
            root = sha256(b"\1" + beside + root).digest()
            while not index & 1 and index:
                index >>= 1
                last >>= 1
        else:
            root = sha256(b"\1" + root + beside).digest()
        index >>= 1
        last >>= 1
    return root if last == 0 else None


def _canonical(value: object) -> bytes:
    """JSON in the manner of RFC 8785: sorted names, no spaces."""
    try:
        return _ENCODER.encode(value).encode()
    except UnicodeEncodeError as error:
        raise ProofInvalid("a text in it is half of a character") from error
