"""The network's private key lies in a file that nobody but its owner may read."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from config.errors import KeyFileError
from config.network_key import load_network_key, load_or_make_network_key, make_network_key


def test_a_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    """Mode 600 from its first moment, in a folder made for it; read again it is the same key."""
    path = tmp_path / "keys of ours" / "network.pem"
    made = load_or_make_network_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_or_make_network_key(path).private_bytes_raw() == made.private_bytes_raw()
    with pytest.raises(KeyFileError, match="File exists"):
        make_network_key(path)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o700])
def test_a_key_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    """Any bit beside reading and writing by the owner; the error says how to mend it."""
    path = tmp_path / "network.pem"
    make_network_key(path)
    path.chmod(mode)
    with pytest.raises(KeyFileError, match=f"has mode {mode:o}.*chmod 600"):
        load_network_key(path)


def test_what_is_no_ed25519_key_is_refused_by_name(tmp_path: Path) -> None:
    """No file, a folder, other text, and a key of another kind."""
    with pytest.raises(KeyFileError, match=r"No such file.*tessera keys"):
        load_network_key(tmp_path / "none.pem")
    with pytest.raises(KeyFileError, match="cannot read"):
        load_network_key(tmp_path)
    path = tmp_path / "network.pem"
    rsa = generate_private_key(65537, 2048)
    for content, says in (
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "no private key in PEM"),
        (b"not a key", "no private key in PEM"),
        (rsa.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), "none of Ed25519"),
    ):
        path.write_bytes(content)
        path.chmod(0o600)
        with pytest.raises(KeyFileError, match=says):
            load_network_key(path)
