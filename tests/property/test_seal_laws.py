"""Laws of trees, seals and proofs: what was sealed is proven, and what was changed never is."""

from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from settlement.canonical import canonical_json
from settlement.merkle import Frontier, leaf_hash, path_of, root_by_path, root_of
from settlement.proof import FORMATS, Leaf, PostingProof, Proof, check, seal_body, to_json
from settlement.seal import NO_SEAL, VERSION, Signer

SIGNER = Signer(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
AT = datetime(2017, 5, 2, tzinfo=UTC)
LEAVES = st.lists(st.binary(max_size=12), min_size=1, max_size=70)


def naive_root(leaves: list[bytes]) -> bytes:
    """The Merkle tree hash word by word from RFC 6962, 2.1."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return sha256(b"\0" + leaves[0]).digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return sha256(b"\1" + naive_root(leaves[:split]) + naive_root(leaves[split:])).digest()


def flipped(data: bytes, bit: int) -> bytes:
    """Bytes with one bit turned."""
    place = bit // 8 % len(data)
    return data[:place] + bytes([data[place] ^ 1 << bit % 8]) + data[place + 1 :]


@given(st.lists(st.binary(max_size=12), max_size=70), st.integers(0, 4))
def test_the_root_is_the_definition_s(leaves: list[bytes], height: int) -> None:
    """At once, leaf by leaf, and by blocks of any power of two, the root is what the RFC defines."""
    hashes = [leaf_hash(leaf) for leaf in leaves]
    block = 1 << height
    tree = Frontier()
    for start in range(0, len(hashes), block):
        tree.add(root_of(hashes[start : start + block]))
    assert tree.root() == root_of(hashes) == naive_root(leaves)


@given(LEAVES, st.integers(0, 5))
def test_every_leaf_is_proven_also_by_blocks(leaves: list[bytes], height: int) -> None:
    """The path of each leaf leads to the root; a path put together from a block's two parts is the same."""
    hashes = [leaf_hash(leaf) for leaf in leaves]
    block = 1 << height
    blocks = [hashes[start : start + block] for start in range(0, len(hashes), block)]
    roots = [root_of(one) for one in blocks]
    for index, one in enumerate(hashes):
        path = path_of(hashes, index)
        assert root_by_path(one, index, len(hashes), path) == naive_root(leaves)
        number, place = divmod(index, block)
        assert [*path_of(blocks[number], place), *path_of(roots, number)] == path


@given(st.lists(st.binary(max_size=12), min_size=1, max_size=70, unique=True), st.data())
def test_a_changed_bit_is_never_proven(leaves: list[bytes], draw: st.DataObject) -> None:
    """Leaf hash, any hash of the path, the index, the root: with one bit changed nothing fits any more.

    The leaves differ, as postings do: where two are equal, each is in the other's place as well.
    """
    hashes = [leaf_hash(leaf) for leaf in leaves]
    index = draw.draw(st.integers(0, len(leaves) - 1))
    path, root = path_of(hashes, index), root_of(hashes)
    bit = draw.draw(st.integers(0, 255))
    assert root_by_path(flipped(hashes[index], bit), index, len(leaves), path) != root
    assert root_by_path(hashes[index], index, len(leaves), path) != flipped(root, bit)
    assert root_by_path(hashes[index], index ^ 1 << bit % 8, len(leaves), path) != root
    for place in range(len(path)):
        changed = [*path[:place], flipped(path[place], bit), *path[place + 1 :]]
        assert root_by_path(hashes[index], index, len(leaves), changed) != root
        assert root_by_path(hashes[index], index, len(leaves), path[:place] + path[place + 1 :]) != root
    other = draw.draw(st.integers(0, 200).filter(lambda size: size != len(leaves)))
    # A path says how many levels there are, not how many leaves: that is why a seal signs the size.
    if root_by_path(hashes[index], index, other, path) == root:
        assert index < other
        assert len(path_of([bytes(32)] * other, index)) == len(path)


FIGURES = st.one_of(st.none(), st.integers(0, 10**12), st.text(max_size=8))


@st.composite
def proofs(draw: st.DrawFn) -> Proof:
    """A proof of a few postings among others, under a seal."""
    size = draw(st.integers(1, 20))
    entry = "ent_01595c8e7c1e7a3f9c2b5d0000000001"
    leaves: list[Leaf] = [
        {"entry": entry, "line": number, "points": draw(FIGURES), "window": 20170501}
        for number in range(size)
    ]
    hashes = [leaf_hash(canonical_json(leaf)) for leaf in leaves]
    seal = SIGNER.seal(20170501, tree_size=size, root=root_of(hashes), previous_hash=NO_SEAL, at=AT)
    proven = sorted(draw(st.sets(st.integers(0, size - 1), min_size=1, max_size=3)))
    return Proof(
        format=FORMATS[VERSION],
        entry=entry,
        seal=seal_body(seal, SIGNER.public_key),
        postings=[
            PostingProof(
                index=index,
                leaf=leaves[index],
                leaf_hash=hashes[index].hex(),
                path=[one.hex() for one in path_of(hashes, index)],
            )
            for index in proven
        ],
    )


@given(proofs())
def test_every_proof_holds_however_its_file_is_laid_out(proof: Proof) -> None:
    """With the key from the file or from elsewhere; indented, packed, or with its fields in another order."""
    packed = msgspec.json.encode(proof)
    turned = dict(reversed(msgspec.to_builtins(proof).items()))
    for content in (to_json(proof), packed, msgspec.json.encode(turned)):
        assert check(content).faults == []
        assert check(content, SIGNER.public_key).faults == []


@settings(max_examples=300)
@given(proofs(), st.integers(0, 10**6), st.integers(1, 255))
def test_a_file_with_a_changed_byte_never_passes_for_another(proof: Proof, place: int, change: int) -> None:
    """Whatever byte is changed to whatever: the check finds it, or the file says just what it said before."""
    content = bytearray(to_json(proof))
    content[place % len(content)] ^= change
    checked = check(bytes(content), SIGNER.public_key)
    if not checked.faults:
        assert checked.proof == proof


@given(proofs(), st.data())
def test_every_changed_figure_is_found(proof: Proof, draw: st.DataObject) -> None:
    """Any number of a proof, size and index included, put to any other number."""
    plain: Any = msgspec.to_builtins(proof)
    posting = draw.draw(st.sampled_from(plain["postings"]))
    holder, field = draw.draw(
        st.sampled_from(
            [
                *((plain["seal"], name) for name in ("window", "tree_size")),
                *((posting["leaf"], name) for name in ("line", "points", "window")),
                (posting, "index"),
            ]
        )
    )
    holder[field] = draw.draw(st.integers(0, 40).filter(lambda other: other != holder[field]))
    assert check(msgspec.json.encode(plain)).faults


@given(proofs())
def test_a_proof_under_another_s_seal_is_found(proof: Proof) -> None:
    """Signed by a key that is not the network's: it holds by itself, and not with the network's key."""
    other = Signer(Ed25519PrivateKey.from_private_bytes(bytes(32)))
    seal = other.seal(
        20170501,
        tree_size=proof.seal.tree_size,
        root=bytes.fromhex(proof.seal.root),
        previous_hash=NO_SEAL,
        at=AT,
    )
    forged = msgspec.structs.replace(proof, seal=seal_body(seal, other.public_key))
    assert check(to_json(forged)).faults == []
    told = check(to_json(forged), SIGNER.public_key).faults
    assert [fault.where for fault in told] == ["seal"]
    assert "the key you gave" in told[0].detail
