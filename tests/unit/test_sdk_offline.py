"""What the SDK checks and keeps by itself: webhooks, proofs, key files, addresses."""

import hmac
import os
import stat
import subprocess
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st
from tessera_client import (
    ProofInvalid,
    Unusable,
    WebhookInvalid,
    check_proof,
    load_key,
    load_public_key,
    new_key,
    public_text,
    sign_webhook,
    verify_webhook,
    write_key,
)
from tessera_client.address import read_address
from tessera_client.proofs import root_by_path

from settlement import merkle
from settlement.canonical import canonical_json
from settlement.proof import PostingProof, Proof, check, seal_body, to_json
from settlement.seal import NO_SEAL, Signer
from tests.signing import NOW, RFC_KEY

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - of the specification's example
ID, AT, PAYLOAD = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
OTHER = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
FIELDS = {"webhook-id": ID, "webhook-timestamp": str(AT), "webhook-signature": SIGNATURE}


def verified(
    secrets: str | list[str] = SECRET, *, payload: bytes = PAYLOAD, at: float = AT, **changed: str
) -> Any:
    """The specification's example, some of it changed."""
    fields = {**FIELDS, **{name.replace("_", "-"): value for name, value in changed.items()}}
    return verify_webhook(payload, fields, secrets, now=lambda: at)


def test_the_specifications_example() -> None:
    """The published vector of Standard Webhooks is made and verified."""
    assert sign_webhook(PAYLOAD, ID, AT, SECRET) == SIGNATURE
    event = verified()
    assert (event.id, event.timestamp, event.json()) == (ID, AT, {"test": 2432232314})


def test_names_of_fields_are_of_any_case() -> None:
    """Frameworks spell header names as they like."""
    fields = {name.title(): value for name, value in FIELDS.items()}
    assert verify_webhook(PAYLOAD, fields, SECRET, now=lambda: AT).id == ID


def test_secrets_are_rotated() -> None:
    """Any of several secrets, and any of several signatures, is enough; others beside it do no harm."""
    assert verified([OTHER, SECRET]).id == ID
    assert verified(webhook_signature=f"v1a,xxxx v1,AAAA {SIGNATURE}").id == ID
    with pytest.raises(WebhookInvalid, match="fits none"):
        verified([OTHER])


@pytest.mark.parametrize(
    "changed",
    [
        {"payload": PAYLOAD + b" "},
        {"webhook_id": "msg_other"},
        {"webhook_timestamp": str(AT + 1)},
        {"webhook_timestamp": "1e9"},
        {"webhook_timestamp": "-1"},
        {"webhook_signature": SIGNATURE.replace("v1,", "v2,")},
        {"webhook_signature": SIGNATURE.removeprefix("v1,")},
        {"webhook_signature": "v1,"},
        {"webhook_signature": ""},
        {"webhook_signature": "v1,ü"},
        {"at": AT + 301},
        {"at": AT - 301},
    ],
)
def test_other_webhooks_are_refused(changed: dict[str, Any]) -> None:
    """Another byte, id or time, another version, no signature, too old, from the future."""
    with pytest.raises(WebhookInvalid):
        verified(**changed)


def test_ed25519_webhooks() -> None:
    """`v1a` verifies under the endpoint's public key alone: not under another, not for another body, id or
    time, not as a `v1`, and no `v1` under a public key, which is no secret."""
    private, other = (Ed25519PrivateKey.from_private_bytes(bytes([n] * 32)) for n in (1, 2))
    signed = b64encode(private.sign(b"%b.%d.%b" % (ID.encode(), AT, PAYLOAD))).decode()
    public, another = (
        f"whpk_{b64encode(one.public_key().public_bytes_raw()).decode()}" for one in (private, other)
    )
    asymmetric = f"v1a,{signed}"
    assert verified([public], webhook_signature=asymmetric).id == ID
    assert verified([another, public, SECRET], webhook_signature=f"v1,AAAA {asymmetric}").id == ID
    raw = private.public_key().public_bytes_raw()
    as_secret = b64encode(hmac.digest(raw, b"%b.%d.%b" % (ID.encode(), AT, PAYLOAD), "sha256")).decode()
    for keys, changed in (
        ([another], {"webhook_signature": asymmetric}),
        ([SECRET], {"webhook_signature": asymmetric}),
        ([public], {"webhook_signature": asymmetric, "payload": PAYLOAD + b" "}),
        ([public], {"webhook_signature": asymmetric, "webhook_id": "msg_other"}),
        ([public], {"webhook_signature": asymmetric, "webhook_timestamp": str(AT + 1)}),
        ([public], {"webhook_signature": f"v1,{signed}"}),
        ([public], {"webhook_signature": f"v1,{as_secret}"}),
        ([public], {"webhook_signature": f"v1a,{as_secret}"}),
        ([public], {"webhook_signature": "v1a,"}),
        ([public], {"webhook_signature": "v1a,***"}),
    ):
        with pytest.raises(WebhookInvalid):
            verified(keys, **changed)
    for bad in ("whpk_", "whpk_***", "whpk_AAAA"):
        with pytest.raises(Unusable):
            verified([bad], webhook_signature=asymmetric)


@pytest.mark.parametrize("secret", ["whsec_", "", "whsec_***"])
def test_no_secret_is_no_secret(secret: str) -> None:
    """An empty secret would let anybody sign; it is an error of ours, not of the webhook."""
    with pytest.raises(Unusable):
        verified(secret)


NETWORK = Signer(RFC_KEY)
LEAVES: list[dict[str, int | str | None]] = [
    {"entry": f"ent_{number // 2:032x}", "line": number % 2 + 1, "window": 7, "points": number, "note": "ü"}
    for number in range(11)
]


def a_proof(entry: str = "ent_" + "0" * 31 + "3") -> Proof:
    """The server's proof of an entry of two postings among eleven."""
    hashes = [merkle.leaf_hash(canonical_json(leaf)) for leaf in LEAVES]
    seal = NETWORK.seal(7, tree_size=len(hashes), root=merkle.root_of(hashes), previous_hash=NO_SEAL, at=NOW)
    return Proof(
        format="tessera-proof-2",
        entry=entry,
        seal=seal_body(seal, NETWORK.public_key),
        postings=[
            PostingProof(
                index=number,
                leaf=leaf,
                leaf_hash=hashes[number].hex(),
                path=[one.hex() for one in merkle.path_of(hashes, number)],
            )
            for number, leaf in enumerate(LEAVES)
            if leaf["entry"] == entry
        ],
    )


def test_a_proof_of_the_server_holds() -> None:
    """What the server writes, the SDK proves, with the key from elsewhere."""
    proven = check_proof(to_json(a_proof()), NETWORK.public_key, entry="ent_" + "0" * 31 + "3")
    assert (proven.window, [leaf["points"] for leaf in proven.postings]) == (7, [6, 7])
    assert proven.root == a_proof().seal.root


def test_a_proof_is_of_the_network_and_of_the_entry() -> None:
    """Signed by another key, or of another entry, it proves nothing to us."""
    with pytest.raises(ProofInvalid, match="names the key"):
        check_proof(to_json(a_proof()), bytes(32))
    with pytest.raises(ProofInvalid, match="not of ent_1"):
        check_proof(to_json(a_proof()), NETWORK.public_key, entry="ent_1")


def _fields_of(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where the plain values of a document are."""
    if isinstance(value, dict):
        return [found for name, one in value.items() for found in _fields_of(one, (*at, name))]
    if isinstance(value, list):
        return [found for place, one in enumerate(value) for found in _fields_of(one, (*at, place))]
    return [at]


PLAIN = msgspec.json.decode(to_json(a_proof()))


@pytest.mark.parametrize("at", _fields_of(PLAIN), ids=lambda at: ".".join(map(str, at)))
def test_whatever_is_changed_in_a_proof_is_found(at: tuple[Any, ...]) -> None:
    """Each field of a proof changed by a little: refused here, and by the server's own check."""
    changed = msgspec.json.decode(msgspec.json.encode(PLAIN))
    holder = changed
    for step in at[:-1]:
        holder = holder[step]
    before = holder[at[-1]]
    holder[at[-1]] = (
        before + 1 if isinstance(before, int) else ("0" if before[0] != "0" else "1") + before[1:]
    )
    content = msgspec.json.encode(changed)
    with pytest.raises(ProofInvalid):
        check_proof(content, NETWORK.public_key)
    assert check(content, NETWORK.public_key).faults


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no proof"),
        (b"[" * 100_000, "no proof"),
        (b"\xff", "no proof"),
        (to_json(a_proof()).replace(b'"entry"', b'"entry": "x", "entry"', 1), "no proof"),
        (msgspec.json.encode({**PLAIN, "format": "tessera-proof-3"}), "format"),
        (msgspec.json.encode({**PLAIN, "postings": []}), "no posting"),
        (msgspec.json.encode({**PLAIN, "postings": PLAIN["postings"] + PLAIN["postings"][:1]}), "twice"),
    ],
)
def test_what_is_no_proof(content: bytes, says: str) -> None:
    """Files that can be read in two ways, or not at all, prove nothing and break nothing."""
    with pytest.raises(ProofInvalid, match=says):
        check_proof(content, NETWORK.public_key)


@given(size=st.integers(1, 70), data=st.data())
def test_paths_lead_to_the_root(size: int, data: st.DataObject) -> None:
    """For every tree and leaf the SDK finds the server's root; under another number or size it does not."""
    hashes = [merkle.leaf_hash(b"%d" % number) for number in range(size)]
    index = data.draw(st.integers(0, size - 1))
    path = merkle.path_of(hashes, index)
    assert root_by_path(hashes[index], index, size, path) == merkle.root_of(hashes)
    other = data.draw(st.integers(-2, 80))
    assert root_by_path(hashes[index], other, size, path) == merkle.root_by_path(
        hashes[index], other, size, path
    )
    if other != index:
        assert root_by_path(hashes[index], other, size, path) != merkle.root_of(hashes)


def test_a_key_is_kept_for_its_owner_alone(tmp_path: Path) -> None:
    """A new key's file has mode 600, is read back, and is never written over."""
    path, key = tmp_path / "keys" / "k.pem", new_key()
    write_key(path, key)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert public_text(load_key(path)) == public_text(key)
    with pytest.raises(Unusable, match="never written over"):
        write_key(path, new_key())
    path.chmod(0o640)
    with pytest.raises(Unusable, match="chmod 600"):
        load_key(path)


def test_a_key_of_openssl_is_read(tmp_path: Path) -> None:
    """What `openssl genpkey -algorithm ed25519` writes is a key like another."""
    path = tmp_path / "k.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(path)], check=True)
    path.chmod(0o600)
    assert len(load_key(path).public_key().public_bytes_raw()) == 32


def _pem(key: Any, *, password: bytes | None = None) -> bytes:
    hidden = BestAvailableEncryption(password) if password else NoEncryption()
    pem: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, hidden)
    return pem


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (lambda: b"no key", "no private key in PEM"),
        (lambda: _pem(generate_private_key(65537, 2048)), "none of Ed25519"),
        (lambda: _pem(Ed25519PrivateKey.generate(), password=b"secret"), "without a password"),
    ],
)
def test_other_files_are_no_keys(tmp_path: Path, content: Callable[[], bytes], says: str) -> None:
    """What cannot be used says why; so does a file that is not there."""
    path = tmp_path / "k.pem"
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
        file.write(content())
    with pytest.raises(Unusable, match=says):
        load_key(path)
    with pytest.raises(Unusable, match="cannot read"):
        load_key(tmp_path / "none.pem")


def test_the_networks_key_is_read(tmp_path: Path) -> None:
    """The public half as `tessera keys` prints it; a private key is none."""
    path = tmp_path / "net.pem"
    path.write_bytes(RFC_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    assert load_public_key(path) == NETWORK.public_key
    path.write_bytes(_pem(RFC_KEY))
    with pytest.raises(Unusable, match="no public key"):
        load_public_key(path)


@pytest.mark.parametrize(
    ("given", "authority"),
    [
        ("https://API.example.com", "api.example.com"),
        ("https://api.example.com:443/", "api.example.com"),
        ("https://api.example.com:8443", "api.example.com:8443"),
        ("http://127.0.0.1:8080", "127.0.0.1:8080"),
        ("http://localhost:80", "localhost"),
        ("http://[::1]:8080", "[::1]:8080"),
    ],
)
def test_addresses(given: str, authority: str) -> None:
    """The authority is what RFC 9421 says: in lower case, without the scheme's own port."""
    assert read_address(given).authority == authority


@pytest.mark.parametrize(
    "given",
    [
        "api.example.com",
        "https://",
        "ftp://api.example.com",
        "https://api.example.com/v1",
        "https://api.example.com?x=1",
        "https://user:secret@api.example.com",
        "http://api.example.com",
        "http://10.0.0.1",
        "https://a b",
        "",
    ],
)
def test_no_addresses(given: str) -> None:
    """A path or a password in the address, plain HTTP to elsewhere, no address: refused, with the reason."""
    with pytest.raises(Unusable):
        read_address(given)
