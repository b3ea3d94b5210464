"""Merkle trees as RFC 6962 hashes them: root, inclusion proof, and its check (pure).

A leaf is hashed behind a byte 0 and a node behind a byte 1, so that no node passes for a leaf. A tree of n
leaves splits at the largest power of two below n. So whatever block of 2^k leaves begins at a multiple of 2^k
is a subtree, and a tree can be built, or proven from, block by block.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()
"""The root of a tree without leaves."""


def leaf_hash(data: bytes) -> bytes:
    """The hash of a leaf."""
    return sha256(b"\0" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of a node over its two children."""
    return sha256(b"\1" + left + right).digest()


def root_of(hashes: Sequence[bytes]) -> bytes:
    """The root over leaf hashes, or over roots of blocks of 2^k leaves, of which only the last is shorter."""
    if not hashes:
        return EMPTY_ROOT
    level = hashes
    while len(level) > 1:
        level = _level_above(level)
    return level[0]


class Frontier:
    """A root that grows by one subtree at a time; it holds one hash for each bit of their number."""

    def __init__(self) -> None:
        self._subtrees: list[tuple[int, bytes]] = []

    def add(self, subtree: bytes) -> None:
        """Add the next leaf hash, or the root of the next block; all blocks but the last have 2^k leaves."""
        height = 0
        while self._subtrees and self._subtrees[-1][0] == height:
            subtree = node_hash(self._subtrees.pop()[1], subtree)
            height += 1
        self._subtrees.append((height, subtree))

    def root(self) -> bytes:
        """The root over all that was added."""
        if not self._subtrees:
            return EMPTY_ROOT
        *before, (_, root) = self._subtrees
        for _, subtree in reversed(before):
            root = node_hash(subtree, root)
        return root


def path_of(hashes: Sequence[bytes], index: int) -> list[bytes]:
    """The audit path of one of `hashes`: what it is hashed with on the way to their root, from the bottom.

    Of a leaf in a tree of blocks: its path among the leaves of its block, then the block's among the blocks.

    Raises:
        IndexError: there is no such leaf.
    Source: RFC 6962, 2.1.1.
    """
    if not 0 <= index < len(hashes):
        raise IndexError(f"leaf {index} of a tree of {len(hashes)}")
    return path_up(levels_of(hashes), index)


def levels_of(hashes: Sequence[bytes]) -> list[Sequence[bytes]]:
    """All levels of a tree from its leaves up, without the root: for the paths of many leaves."""
    levels = []
    level = hashes
    while len(level) > 1:
        levels.append(level)
        level = _level_above(level)
    return levels


def path_up(levels: Sequence[Sequence[bytes]], index: int) -> list[bytes]:
    """The audit path of a leaf by the levels of its tree."""
    path = []
    for level in levels:
        beside = index ^ 1
        if beside < len(level):
            path.append(level[beside])
        index >>= 1
    return path


def root_by_path(leaf: bytes, index: int, size: int, path: Iterable[bytes]) -> bytes | None:
    """The root that a leaf hash and its audit path lead to; None where no such path fits such a tree.

    The root binds leaf, index and path. Trees of some other sizes have paths of the very same shape, so the
    size must come from where the root came from, and be vouched for together with it.

    Source: RFC 9162, 2.1.3.2.
    """
    if not 0 <= index < size or len(leaf) != HASH_BYTES:
        return None
    last = size - 1
    root = leaf
    for beside in path:
        if last == 0 or len(beside) != HASH_BYTES:
            return None
        if index & 1 or index == last:
            root = node_hash(beside, root)
            while not index & 1 and index:
                index >>= 1
                last >>= 1
        else:
            root = node_hash(root, beside)
        index >>= 1
        last >>= 1
    return root if last == 0 else None


def _level_above(level: Sequence[bytes]) -> list[bytes]:
    """Pairs hashed; one that is left over goes up as it is."""
    above = [
        sha256(b"\1" + left + right).digest() for left, right in zip(level[::2], level[1::2], strict=False)
    ]
    if len(level) % 2:
        above.append(level[-1])
    return above
