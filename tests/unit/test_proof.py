"""A proof file that was changed: the check names what."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from settlement.canonical import canonical_json
from settlement.merkle import leaf_hash, path_of, root_of
from settlement.proof import FORMATS, Leaf, PostingProof, Proof, check, seal_body
from settlement.seal import NO_SEAL, VERSION, VERSIONS, Signer, is_signed, key_id_of

SIGNER = Signer(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
ENTRY = "ent_01595c8e7c1e7a3f9c2b5d0000000001"


FIRST = """
{"format": "tessera-proof-1", "entry": "ent_01595c8e7c1e7a3f9c2b5d0000000001",
 "seal": {
  "window": 20170501, "tree_size": 5,
  "root": "77a35cc9b27614917e706fc4c9459a0c9f68af3c671f57ceb070359b647e3ff8",
  "previous": "0000000000000000000000000000000000000000000000000000000000000000",
  "signed_at": "2017-05-02T00:00:00.000000+00:00",
  "key_id": "net-56475aa75463474c0285df5dbf2bcab7",
  "hash": "374a5ec2738bc41dd7fa2867ab3f54c70a9468a2cd8a90a7fc9b8189c4dfaa51",
  "signature": "adfa6a491bc31fdc98c7bb99f0818db505b6162837e49cea5c9203cd59fd7e60\
e6d898903e1466e5c8e5fee87cc2e6be735f9d62de03f56ef2179928c4138509",
  "public_key": "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8"},
 "postings": [{
  "index": 2,
  "leaf": {"entry": "ent_01595c8e7c1e7a3f9c2b5d0000000001", "line": 2, "points": 20, "window": 20170501},
  "leaf_hash": "3c0d9d080d4b08a08baa3e820a77855715d455c18dd964f73c2f857c23e557cb",
  "path": ["ff167f3636a0b238cc4bf91e6e702c65a5d8602071ad51a0d0096477d65833ce",
           "c861a104253888fd09d14bdc771eb5fed8aa9cc74dd31b12c6a36a64dcb520e2",
           "0636e5c3371a6759867673c309fa67a2780d9671e266ee93bfc2af72c0a91baf"]}]}
"""


def document(version: int = VERSION) -> Any:
    """A proof of posting 2 of 5, as plain JSON values."""
    leaves: list[Leaf] = [
        {"entry": ENTRY, "line": number, "points": 10 * number, "window": 20170501} for number in range(5)
    ]
    hashes = [leaf_hash(canonical_json(leaf)) for leaf in leaves]
    seal = SIGNER.seal(
        20170501,
        tree_size=5,
        root=root_of(hashes),
        previous_hash=NO_SEAL,
        at=datetime(2017, 5, 2, tzinfo=UTC),
        version=version,
    )
    posting = PostingProof(
        index=2,
        leaf=leaves[2],
        leaf_hash=hashes[2].hex(),
        path=[one.hex() for one in path_of(hashes, 2)],
    )
    proof = Proof(
        format=FORMATS[version],
        entry=ENTRY,
        seal=seal_body(seal, SIGNER.public_key),
        postings=[posting],
    )
    return msgspec.to_builtins(proof)


def told(changed: Any) -> list[tuple[str, str]]:
    """What the check says of plain JSON values."""
    return [(fault.where, fault.detail) for fault in check(msgspec.json.encode(changed)).faults]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_statement_that_is_signed_is_this_text(version: int) -> None:
    """Literal bytes, of each version of leaves: seals made today are checked in years."""
    seal = SIGNER.seal(
        20170501,
        tree_size=0,
        root=bytes(32),
        previous_hash=NO_SEAL,
        at=datetime(2017, 5, 2, 0, 0, 1, 5, tzinfo=UTC),
        version=version,
    )
    zeros = "0" * 64
    assert seal.statement.to_bytes().decode() == (
        '{"key_id":"net-56475aa75463474c0285df5dbf2bcab7",'
        f'"previous":"{zeros}","root":"{zeros}","signed_at":"2017-05-02T00:00:01.000005+00:00",'
        f'"tree_size":0,"version":{version},"window":20170501}}'
    )
    assert is_signed(seal.statement, seal.signature, SIGNER.public_key)
    assert not is_signed(seal.statement, seal.signature, bytes(32))


def test_a_key_is_named_by_its_bytes() -> None:
    """The name is part of the SHA-256 of the public key."""
    assert key_id_of(SIGNER.public_key) == SIGNER.key_id == "net-56475aa75463474c0285df5dbf2bcab7"


@pytest.mark.parametrize("version", VERSIONS)
def test_a_whole_proof_holds(version: int) -> None:
    """Nothing is told of a file as it was written, of today's leaves or of those before."""
    whole = document(version)
    assert told(whole) == []
    assert whole["format"] == f"tessera-proof-{version}"


def test_a_file_of_the_first_format_is_checked_for_good() -> None:
    """A proof as it was written before leaves had a second version, literally."""
    assert check(FIRST.encode(), SIGNER.public_key).faults == []


ZEROS = "0" * 64
CHANGES = [
    ("entry", "ent_0", "posting line 2", "and the proof is of ent_0"),
    ("format", "tessera-proof-3", "file", "'tessera-proof-3'"),
    ("format", "tessera-proof-1", "seal", "version says 1, and 2 was signed: version was changed"),
    ("postings", [], "file", "it holds no posting"),
    ("seal.window", 20170502, "seal", "window says 20170502, and 20170501 was signed: window was changed"),
    ("seal.tree_size", 6, "seal", "window, tree_size, root, previous or signed_at was changed"),
    ("seal.root", ZEROS, "seal", f"root says {ZEROS}, and "),
    ("seal.previous", "1" * 64, "seal", "window, tree_size, root, previous or signed_at was changed"),
    ("seal.signed_at", "2017-05-02", "seal", "previous or signed_at was changed"),
    ("seal.key_id", "net-0", "seal", "key_id is net-0, and the key is net-56475aa7"),
    ("seal.hash", ZEROS, "seal", f"and {ZEROS} is kept: the hash was changed"),
    ("seal.signature", "00" * 64, "seal", "the signature was changed, or never made"),
    ("seal.public_key", ZEROS, "seal", "the name or the key was changed"),
    ("seal.extra", 1, "file", "unknown field `extra`"),
    ("seal.root", "A" * 64, "file", "$.seal.root"),
    ("postings.0.index", 3, "posting line 2", "path, index or root differ"),
    ("postings.0.index", 4, "posting line 2", "index, tree_size or path was changed"),
    ("postings.0.leaf.points", 21, "posting line 2", "was sealed: the posting was changed"),
    ("postings.0.leaf.note", "x", "posting line 2", "was sealed: the posting was changed"),
    ("postings.0.leaf.window", 20170502, "posting line 2", "its window is 20170502"),
    ("postings.0.leaf.points", 20.0, "file", "$.postings[0].leaf"),
    ("postings.0.leaf_hash", ZEROS, "posting line 2", "leaf_hash was changed"),
    ("postings.0.path.0", ZEROS, "posting line 2", "path, index or root differ"),
    ("postings.0.path", [], "posting line 2", "no path of 0 hashes leads from number 2 of 5"),
]


@pytest.mark.parametrize(("field", "value", "where", "detail"), CHANGES)
def test_what_was_changed_is_named(field: str, value: object, where: str, detail: str) -> None:
    """Every field of a proof, changed alone: told at its place, in words that say what."""
    changed = document()
    *way, last = field.split(".")
    holder = changed
    for step in way:
        holder = holder[int(step)] if step.isdigit() else holder[step]
    holder[int(last) if last.isdigit() else last] = value
    said = told(changed)
    assert any(place == where and detail in text for place, text in said), said


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"\xff", b"{", b'{"format": 1}', b"[" * 100_000, b'"\\ud800"'],
)
def test_what_is_no_proof_is_told_so(content: bytes) -> None:
    """Anything at all may be in a file: it is an answer, never a traceback."""
    checked = check(content)
    assert checked.proof is None
    assert [fault.where for fault in checked.faults] == ["file"]


def test_a_name_that_comes_twice_is_refused() -> None:
    """Whoever reads the first and whoever reads the last would see different postings."""
    content = msgspec.json.encode(document()).replace(b'"points":20', b'"points":99,"points":20')
    [fault] = check(content).faults
    assert fault.detail == "it is no proof: it has 'points' twice"
