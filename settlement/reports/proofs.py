"""Proofs of many entries at once: one pass over a sealed window, whatever is wanted of it."""

from collections.abc import Collection, Iterator, Mapping, Sequence

import msgspec
from sqlalchemy import Connection, text

from network import ids
from settlement.errors import SealBroken
from settlement.leaves import BLOCK, Key, key_of, stream_leaves
from settlement.merkle import leaf_hash, levels_of, path_up, root_of
from settlement.proof import FORMATS, Leaf, PostingProof, Proof, seal_body
from settlement.seal import Seal
from settlement.sealing import load_keys, load_seals

FEW_POSTINGS = 50_000
"""A window of up to so many is joined to its entries one by one: a hash would read every entry there is."""
_PLAN = text("SELECT set_config('enable_hashjoin', :hash, true), set_config('enable_mergejoin', :hash, true)")


class Sealed(msgspec.Struct, frozen=True, kw_only=True):
    """A posting's place under its window's seal. The leaf itself is for who sent the entry."""

    index: int
    leaf_hash: bytes
    leaf: bytes
    path: Sequence[bytes]


def seal_places(
    connection: Connection, window_id: int, wanted: Collection[Key]
) -> tuple[Seal, Mapping[Key, Sealed]] | None:
    """Where postings stand under their window's seal; None where it has none yet.

    Raises:
        SealBroken: the window's postings are not what was sealed.
    """
    seals = load_seals(connection, [window_id])
    if not seals:
        return None
    connection.execute(_PLAN, {"hash": "off" if seals[0].tree_size <= FEW_POSTINGS else "on"})
    keys = frozenset(wanted)
    roots: list[bytes] = []
    found: dict[Key, tuple[int, int, bytes, bytes, list[bytes]]] = {}
    for number, leaves in enumerate(stream_leaves(connection, window_id, seals[0].version)):
        hashes = [leaf_hash(leaf) for leaf in leaves]
        roots.append(root_of(hashes))
        places = [(place, key) for place, key in enumerate(map(key_of, leaves)) if key in keys]
        levels = levels_of(hashes) if places else []
        for place, key in places:
            found[key] = (number, place, hashes[place], leaves[place], path_up(levels, place))
    connection.execute(_PLAN, {"hash": "on"})
    if root_of(roots) != seals[0].root:
        raise SealBroken(f"window {window_id}: its postings are not what was sealed: run tessera verify")
    tree = levels_of(roots)
    return seals[0], {
        key: Sealed(
            index=number * BLOCK + place, leaf_hash=hashed, leaf=leaf, path=[*path, *path_up(tree, number)]
        )
        for key, (number, place, hashed, leaf, path) in found.items()
    }


def proofs_of(
    connection: Connection, seal: Seal, places: Mapping[Key, Sealed], entries: Collection[Key]
) -> Iterator[Proof]:
    """Proofs of entries, in the order of their keys; each as the API would give it.

    Args:
        connection: Read from only.
        seal: The window's.
        places: Of all postings of the entries.
        entries: Any posting's key of each.
    """
    raw_public_key = load_keys(connection)[seal.key_id]
    by_entry: dict[tuple[int, object], list[Key]] = {}
    for key in sorted(places, key=lambda one: (one.member, one.entry.int, one.line)):
        by_entry.setdefault((key.member, key.entry), []).append(key)
    for entry in dict.fromkeys((key.member, key.entry) for key in entries):
        yield Proof(
            format=FORMATS[seal.version],
            entry=ids.show("ent", entry[1]),
            seal=seal_body(seal, raw_public_key),
            postings=[
                PostingProof(
                    index=places[key].index,
                    leaf=msgspec.json.decode(places[key].leaf, type=Leaf),
                    leaf_hash=places[key].leaf_hash.hex(),
                    path=[one.hex() for one in places[key].path],
                )
                for key in by_entry.get(entry, [])
            ],
        )
