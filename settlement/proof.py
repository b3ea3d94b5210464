"""Proofs: that an entry's postings are under a seal, in a file that anybody can check (pure).

A proof holds each posting as it was hashed, its path to the root, and the seal over the root. To check it
takes no database and no setting, but the network's public key, which is better had from the network itself
than out of the file.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec

from settlement.canonical import canonical_json
from settlement.merkle import leaf_hash, root_by_path
from settlement.seal import VERSIONS, Seal, Statement, seal_faults

FORMATS: Mapping[int, str] = {version: f"tessera-proof-{version}" for version in VERSIONS}
"""What a file says it is, by the version of its leaves (settlement.leaves); each can be checked for good."""
Hash = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
_Signature = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{128}\Z")]
Leaf = dict[str, int | str | None]
"""A posting as it is hashed: its canonical JSON is the leaf. What it holds: settlement.leaves."""


class SealBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A seal in a proof. All but `hash`, `signature` and `public_key` is what was signed."""

    window: int
    tree_size: int
    root: Hash
    previous: Hash
    signed_at: str
    key_id: str
    hash: Hash
    signature: _Signature
    public_key: Hash

    def statement(self, version: int) -> Statement:
        """What was signed, as the fields have it; the version is the file's format."""
        names = (name for name in Statement.__struct_fields__ if name != "version")
        return Statement(version=version, **{name: getattr(self, name) for name in names})


class PostingProof(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A posting, its number among the window's postings, and its path to the root."""

    index: int
    leaf: Leaf
    leaf_hash: Hash
    path: list[Hash]


class Proof(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The proof of an entry: what the API answers, and what a proof file holds."""

    format: str
    entry: str
    seal: SealBody
    postings: list[PostingProof]

    @property
    def version(self) -> int:
        """The version of its leaves."""
        return next(version for version, name in FORMATS.items() if name == self.format)


class Fault(msgspec.Struct, frozen=True):
    """What does not hold, and where."""

    where: str
    detail: str


class Checked(msgspec.Struct, frozen=True):
    """What a check found. `proof` is None where the file could not be read as one."""

    proof: Proof | None
    faults: Sequence[Fault]


def seal_body(seal: Seal, raw_public_key: bytes) -> SealBody:
    """A kept seal as a proof shows it."""
    signed = msgspec.structs.asdict(seal.statement)
    del signed["version"]
    return SealBody(
        **signed,
        hash=seal.seal_hash.hex(),
        signature=seal.signature.hex(),
        public_key=raw_public_key.hex(),
    )


def to_json(proof: Proof) -> bytes:
    """A proof as its file: JSON for eyes, too."""
    return msgspec.json.format(msgspec.json.encode(proof), indent=2) + b"\n"


def check(content: bytes, trusted_key: bytes | None = None) -> Checked:
    """Check a proof file: each posting against the root, the root against the signature.

    Args:
        content: The file.
        trusted_key: The network's public key, 32 bytes, from elsewhere; without it, the one in the file.
    """
    try:
        proof = _read(content)
    except (ValueError, RecursionError) as error:
        return Checked(None, [Fault("file", f"it is no proof: {error}")])
    faults = [*_key_faults(proof.seal, trusted_key)]
    led_to = [_root_of(posting, proof.seal.tree_size) for posting in proof.postings]
    windows = {posting.leaf.get("window") for posting in proof.postings}
    instead: dict[str, int | str] = {}
    for version in VERSIONS:
        if version != proof.version:
            instead["version"] = version
    if len(set(led_to)) == 1 and led_to[0] is not None:
        instead["root"] = led_to[0]
    if len(windows) == 1 and isinstance(window := windows.pop(), int):
        instead["window"] = window
    faults += [
        Fault("seal", fault)
        for fault in seal_faults(
            proof.seal.statement(proof.version),
            seal_hash=proof.seal.hash,
            signature=bytes.fromhex(proof.seal.signature),
            raw_public_key=bytes.fromhex(proof.seal.public_key),
            instead=instead,
        )
    ]
    if not proof.postings:
        faults.append(Fault("file", "it holds no posting, so it proves nothing"))
    for posting, led in zip(proof.postings, led_to, strict=True):
        where = f"posting line {posting.leaf.get('line')}"
        faults += [Fault(where, fault) for fault in _posting_faults(proof, posting, led)]
    return Checked(proof, faults)


def _read(content: bytes) -> Proof:
    """A proof from JSON that can be read in one way only."""
    proof = msgspec.json.decode(content, type=Proof)
    json.loads(content, object_pairs_hook=_without_doubles)
    if proof.format not in FORMATS.values():
        raise ValueError(f"its format is {proof.format!r}, and this reads {', '.join(FORMATS.values())}")
    return proof


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"it has {name!r} twice")
    return dict(pairs)


def _key_faults(seal: SealBody, trusted_key: bytes | None) -> list[Fault]:
    if trusted_key is None or seal.public_key == trusted_key.hex():
        return []
    detail = f"public_key in the file is {seal.public_key}, and the key you gave is {trusted_key.hex()}"
    return [Fault("seal", detail)]


def _root_of(posting: PostingProof, tree_size: int) -> str | None:
    """The root that a posting's own bytes lead to."""
    path = [bytes.fromhex(one) for one in posting.path]
    root = root_by_path(leaf_hash(canonical_json(posting.leaf)), posting.index, tree_size, path)
    return None if root is None else root.hex()


def _posting_faults(proof: Proof, posting: PostingProof, led_to: str | None) -> list[str]:
    seal = proof.seal
    faults = []
    for name, value in (("entry", proof.entry), ("window", seal.window)):
        if posting.leaf.get(name) != value:
            faults.append(f"its {name} is {posting.leaf.get(name)}, and the proof is of {value}")
    if led_to is None:
        says = f"no path of {len(posting.path)} hashes leads from number {posting.index} of {seal.tree_size}"
        return [*faults, f"{says} to a root: index, tree_size or path was changed"]
    hashed = leaf_hash(canonical_json(posting.leaf)).hex()
    if led_to == seal.root:
        said = f"its hash is {hashed}, and leaf_hash says {posting.leaf_hash}: leaf_hash was changed"
        return faults if hashed == posting.leaf_hash else [*faults, said]
    path = [bytes.fromhex(one) for one in posting.path]
    by_hash = root_by_path(bytes.fromhex(posting.leaf_hash), posting.index, seal.tree_size, path)
    if by_hash is not None and by_hash.hex() == seal.root:
        faults.append(f"its hash is {hashed}, and {posting.leaf_hash} was sealed: the posting was changed")
    else:
        faults.append(f"it leads to root {led_to}, and the seal has {seal.root}: path, index or root differ")
    return faults
