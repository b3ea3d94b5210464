"""Checks of the seals in a live database: every window hashed again, the chain, every signature.

What is wrong is named as closely as what is kept allows: the field of a seal, or the posting, found by the
marks of its block.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain

import msgspec
from sqlalchemy import Connection, text

from network.verify import Problem
from settlement.leaves import BLOCK, MARK_BYTES, Block, Key, block_of, key_of, stream_leaves, where
from settlement.merkle import EMPTY_ROOT, Frontier, leaf_hash, root_of
from settlement.seal import NO_SEAL, VERSION, VERSIONS, Seal, is_signed, seal_faults
from settlement.sealing import load_blocks, load_keys, load_seals

SEALS_HOLD = "seals_hold"
SEALS_SAY = (
    "every sealed window, hashed again, has the root that was signed, and each seal names the one before"
)
_SHOWN = 20
"""Postings named for one block; of the others there is a count."""
_CLOSED = text("SELECT window_id FROM clearing_window WHERE closed_at IS NOT NULL ORDER BY window_id")


class _Hashed(msgspec.Struct, frozen=True):
    """What a window's postings come to today: with kept blocks, whichever of them differ."""

    size: int
    root: bytes | None
    problems: Sequence[Problem]


def seal_problems(connection: Connection) -> Iterator[Problem]:
    """Check every seal, in order. Windows after the last seal are not judged: see unsealed_windows."""
    seals = {seal.window_id: seal for seal in load_seals(connection)}
    keys = load_keys(connection)
    closed = set(connection.execute(_CLOSED).scalars())
    before: bytes | None = NO_SEAL
    for window_id in sorted(closed | set(seals)):
        if window_id > max(seals, default=0):
            break
        seal = seals.get(window_id)
        if seal is None:
            yield _problem(window_id, "it has no seal, though a later window has: the seal was taken away")
            before = None
            continue
        raw_public_key = keys.get(seal.key_id, b"")
        yield from _faults(connection, seal, before, raw_public_key)
        signed = is_signed(seal.statement, seal.signature, raw_public_key)
        before = seal.statement.hash() if signed else seal.seal_hash


def _problem(window_id: int, detail: str) -> Problem:
    return Problem(check=SEALS_HOLD, where=f"window {window_id}, its seal", detail=detail)


def _faults(
    connection: Connection, seal: Seal, before: bytes | None, raw_public_key: bytes
) -> Iterator[Problem]:
    """What is wrong with one seal: with its row, its place in the chain, its postings."""
    version = _signed_version(seal, raw_public_key)
    hashed = _hash_window(connection, seal, version)
    instead: dict[str, int | str] = {"tree_size": hashed.size, "version": version}
    if hashed.root is not None:
        instead["root"] = hashed.root.hex()
    if before is not None:
        instead["previous"] = before.hex()
    own = seal_faults(
        seal.statement,
        seal_hash=seal.seal_hash.hex(),
        signature=seal.signature,
        raw_public_key=raw_public_key,
        instead=instead,
    )
    for fault in own:
        yield _problem(seal.window_id, fault)
    yield from hashed.problems
    if before is not None and seal.previous_hash != before and not any("previous" in fault for fault in own):
        detail = f"it names {seal.previous_hash.hex()} as the seal before, and that is {before.hex()}"
        yield _problem(seal.window_id, detail)
    if not own and not hashed.problems and (hashed.size, hashed.root) != (seal.tree_size, seal.root):
        root = "another root" if hashed.root is None else hashed.root.hex()
        detail = (
            f"its {hashed.size} postings hash to {root}, and {seal.tree_size} of {seal.root.hex()} were"
            " signed: postings were changed, and the blocks that would name them are gone or changed too"
        )
        yield _problem(seal.window_id, detail)


def _signed_version(seal: Seal, raw_public_key: bytes) -> int:
    """The version of leaves that was signed; where nothing fits, the one the seal says, if there is such."""
    for version in VERSIONS:
        meant = msgspec.structs.replace(seal.statement, version=version)
        if is_signed(meant, seal.signature, raw_public_key):
            return version
    return seal.version if seal.version in VERSIONS else VERSION


def _hash_window(connection: Connection, seal: Seal, version: int) -> _Hashed:
    """Hash a window again, block by block as the seal kept them."""
    window_id = seal.window_id
    blocks = load_blocks(connection, window_id)
    leaves = _Leaves(stream_leaves(connection, window_id, version))
    kept_size = sum(one.size for one in blocks)
    if kept_size != seal.tree_size or [one.block for one in blocks] != list(range(len(blocks))):
        size, root = leaves.rest()
        says = f"its blocks are of {kept_size} postings, and {seal.tree_size} were sealed"
        lost = _problem(window_id, f"{says}: blocks were changed, taken away or added")
        return _Hashed(size, root, [] if size == kept_size else [lost])
    if not blocks:
        size, root = leaves.rest()
        return _Hashed(size, root, [])
    now: list[Block] = []
    wrong: list[tuple[Block, list[bytes]]] = []
    for kept, after in zip(blocks, [*blocks[1:], None], strict=True):
        block, mine = _take(leaves, kept, None if after is None else after.first)
        now.append(block)
        if block != kept:
            wrong.append((kept, mine))
    size = sum(one.size for one in now)
    in_place = all(one.size == kept.size for one, kept in zip(now, blocks, strict=True))
    computed = root_of([one.root for one in now]) if in_place else None
    if (size, computed) == (seal.tree_size, seal.root):
        # The postings are what was sealed, so it is the kept blocks that are not.
        detail = "its first key, root or marks were changed; its postings hold"
        problems = [_problem(window_id, f"of block {kept.block} {detail}") for kept, _ in wrong]
    else:
        problems = [problem for kept, mine in wrong for problem in _named(window_id, kept, mine)]
    return _Hashed(size, computed, problems)


def _take(leaves: "_Leaves", kept: Block, end: Key | None) -> tuple[Block, list[bytes]]:
    """The leaves of a kept block as they are now: as many as it had, else those before the next one's key."""
    mine = leaves.take(kept.size)
    block = _block_over(kept, mine)
    if block.root != kept.root or (end is None and not leaves.at_end()):
        leaves.put_back(mine)
        mine = leaves.take_before(end)
        block = _block_over(kept, mine)
    return block, mine


def _block_over(kept: Block, leaves: Sequence[bytes]) -> Block:
    if leaves:
        return block_of(kept.block, leaves)
    return msgspec.structs.replace(kept, root=EMPTY_ROOT, marks=b"")


def _named(window_id: int, kept: Block, leaves: Sequence[bytes]) -> Iterator[Problem]:
    """The postings of a block that are not those that were sealed, by their marks."""
    sealed = _split(kept.marks)
    now = [leaf_hash(leaf)[:MARK_BYTES] for leaf in leaves]
    extra, gone = Counter(now) - Counter(sealed), Counter(sealed) - Counter(now)
    named = [(place, leaf) for place, leaf in enumerate(leaves) if extra[now[place]]]
    missing = gone.total() - extra.total()
    says = "it was changed after it was sealed" if missing >= 0 else "it was changed or added after the seal"
    for _, leaf in named[:_SHOWN]:
        yield Problem(check=SEALS_HOLD, where=where(window_id, key_of(leaf)), detail=says)
    if len(named) > _SHOWN:
        yield _problem(
            window_id, f"of block {kept.block} {len(named) - _SHOWN} further postings were changed"
        )
    if missing > 0:
        places = [place for place, mark in enumerate(sealed) if gone[mark]]
        at = ", ".join(str(kept.block * BLOCK + place) for place in places[:_SHOWN])
        near = where(window_id, key_of(leaves[0])) if leaves else where(window_id, kept.first)
        yield _problem(window_id, f"{missing} of its postings are gone, of those numbered {at}, after {near}")
    if not named and missing <= 0:
        detail = (
            f"the postings of block {kept.block}, from {where(window_id, kept.first)}, are not those sealed"
        )
        yield _problem(window_id, detail)


def _split(marks: bytes) -> list[bytes]:
    return [marks[place : place + MARK_BYTES] for place in range(0, len(marks), MARK_BYTES)]


class _Leaves:
    """A window's leaves, taken block by block, so that one posting more or less moves no other block."""

    def __init__(self, stream: Iterator[list[bytes]]) -> None:
        self._stream = stream
        self._held: list[bytes] = []

    def take(self, size: int) -> list[bytes]:
        """The next so many leaves; fewer where the window ends."""
        self._fill(size)
        taken, self._held = self._held[:size], self._held[size:]
        return taken

    def take_before(self, end: Key | None) -> list[bytes]:
        """The next leaves whose keys are before `end`; without it, all that are left."""
        size = 0
        while self._fill(size + 1) and (end is None or key_of(self._held[size]) < end):
            size += 1
        return self.take(size)

    def put_back(self, leaves: list[bytes]) -> None:
        """Give leaves back that were taken last."""
        self._held = leaves + self._held

    def at_end(self) -> bool:
        """Whether all have been taken."""
        return not self._fill(1)

    def rest(self) -> tuple[int, bytes]:
        """How many leaves are left, and the root over them."""
        tree, size = Frontier(), 0
        for leaf in chain(self._held, chain.from_iterable(self._stream)):
            tree.add(leaf_hash(leaf))
            size += 1
        self._held = []
        return size, tree.root()

    def _fill(self, size: int) -> bool:
        """Hold at least so many leaves; false where there are fewer."""
        while len(self._held) < size:
            more = next(self._stream, None)
            if more is None:
                return False
            self._held += more
        return True
