"""RFC 6962 hashing, against the vectors that Certificate Transparency's own code is tested with."""

from collections.abc import Sequence

import pytest

from settlement.merkle import EMPTY_ROOT, Frontier, leaf_hash, node_hash, path_of, root_by_path, root_of

# Inputs, roots and audit paths: transparency-dev/merkle, testonly/constants.go and proof/verify_test.go.
LEAVES = [
    bytes.fromhex(leaf)
    for leaf in (
        *("", "00", "10", "2021", "3031", "40414243"),
        *("5051525354555657", "606162636465666768696a6b6c6d6e6f"),
    )
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
LEAF_HASHES = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
    "0298d122906dcfc10892cb53a73992fc5b9f493ea4c9badb27b791b4127a7fe7",
    "07506a85fd9dd2f120eb694f86011e5bb4662e5c415a62917033d4a9624487e7",
    "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    "4271a26be0d8a84f0bd54c8c302e7cb3a3b5d1fa6780a40bcce2873477dab658",
    "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f",
    "46f6ffadd3d06a09ff3c5860d2755c8b9819db7df44251788c7d8e3180de8eb1",
]
PATHS = {
    (0, 1): [],
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
    (1, 5): [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
"""Audit paths by (index, size)."""
SOME = bytes.fromhex("abacaba000000000000000000000000000000000000000000060061e00123456")


def hashes(size: int) -> list[bytes]:
    """The hashes of the first leaves."""
    return [leaf_hash(leaf) for leaf in LEAVES[:size]]


def path(index: int, size: int) -> list[bytes]:
    """A published path."""
    return [bytes.fromhex(one) for one in PATHS[index, size]]


def test_leaf_hashes_are_the_published_ones() -> None:
    """Each leaf behind a byte 0; an empty leaf is not an empty tree."""
    assert [one.hex() for one in hashes(8)] == LEAF_HASHES
    assert leaf_hash(b"") != EMPTY_ROOT


@pytest.mark.parametrize("size", range(9))
def test_roots_are_the_published_ones(size: int) -> None:
    """Of the empty tree and the first eight; at once, and grown leaf by leaf."""
    assert root_of(hashes(size)).hex() == ROOTS[size]
    tree = Frontier()
    for one in hashes(size):
        tree.add(one)
    assert tree.root().hex() == ROOTS[size]


@pytest.mark.parametrize("block", [2, 4])
def test_roots_of_blocks_make_the_same_root(block: int) -> None:
    """Eight leaves, and seven with a last block that is shorter, by blocks of two and of four."""
    for size in (7, 8):
        blocks = [root_of(hashes(size)[start : start + block]) for start in range(0, size, block)]
        assert root_of(blocks).hex() == ROOTS[size]


@pytest.mark.parametrize(("index", "size"), PATHS)
def test_audit_paths_are_the_published_ones(index: int, size: int) -> None:
    """The path is made as published, and leads to the published root."""
    assert path_of(hashes(size), index) == path(index, size)
    led_to = root_by_path(leaf_hash(LEAVES[index]), index, size, path(index, size))
    assert led_to is not None
    assert led_to.hex() == ROOTS[size]


def probes(index: int, size: int) -> list[tuple[str, bytes, int, int, Sequence[bytes]]]:
    """The ways to spoil a proof that the published tests try."""
    leaf, good, root = leaf_hash(LEAVES[index]), path(index, size), bytes.fromhex(ROOTS[size])
    spoilt: list[tuple[str, bytes, int, int, Sequence[bytes]]] = [
        ("index less one", leaf, index - 1, size, good),
        ("index and one", leaf, index + 1, size, good),
        ("index with another bit", leaf, index ^ 2, size, good),
        ("size doubled", leaf, index, size * 2, good),
        ("size halved", leaf, index, size // 2, good),
        ("wrong leaf", b"WrongLeaf", index, size, good),
        ("another leaf", SOME, index, size, good),
        ("garbage after", leaf, index, size, [*good, b""]),
        ("the root after", leaf, index, size, [*good, root]),
        ("garbage before", leaf, index, size, [b"", *good]),
        ("the root before", leaf, index, size, [root, *good]),
    ]
    for place, one in enumerate(good):
        changed = [*good[:place], bytes([one[0] ^ 8, *one[1:]]), *good[place + 1 :]]
        spoilt.append((f"a bit of hash {place}", leaf, index, size, changed))
    if good:
        spoilt.append(("a hash taken away", leaf, index, size, good[:-1]))
    if len(good) > 1:
        spoilt.append(("a hash put in", leaf, index, size, [good[0], SOME, *good[1:]]))
    return spoilt


@pytest.mark.parametrize(("index", "size"), PATHS)
def test_spoilt_proofs_lead_to_no_root_or_another(index: int, size: int) -> None:
    """Every probe of the published tests is turned away."""
    passed = [
        name
        for name, leaf, at, of, spoilt in probes(index, size)
        if root_by_path(leaf, at, of, spoilt) == bytes.fromhex(ROOTS[size])
    ]
    assert passed == []


def test_there_is_no_path_of_a_leaf_that_is_not_there() -> None:
    """Neither before the first nor after the last, and none in an empty tree."""
    for size, index in ((8, -1), (8, 8), (0, 0)):
        with pytest.raises(IndexError, match=f"leaf {index} of a tree of {size}"):
            path_of(hashes(size), index)
    assert root_by_path(SOME, 0, 0, []) is None


def test_a_node_passes_for_no_leaf() -> None:
    """The children of a node, given as a leaf, hash to something else."""
    left, right = hashes(2)
    assert leaf_hash(left + right) != node_hash(left, right)
