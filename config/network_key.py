"""The network's private key, by which windows are sealed: a file that its owner alone may read."""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from config.key_file import load_key, make_key


def load_network_key(path: Path) -> Ed25519PrivateKey:
    """Read the network's key.

    Raises:
        KeyFileError: it is not there, others may read it, or it is no Ed25519 private key.
    """
    return load_key(path, name="network key", made_by="tessera keys")


def make_network_key(path: Path) -> Ed25519PrivateKey:
    """Make a new key in a new file; folders that are missing are made.

    Raises:
        KeyFileError: there is a file already, or it cannot be written.
    """
    return make_key(path, name="network key")


def load_or_make_network_key(path: Path) -> Ed25519PrivateKey:
    """The key of a file; a new one where there is no file."""
    return load_network_key(path) if path.expanduser().exists() else make_network_key(path)
