"""Who asks whom: the profile and the keys in the partner's folder, and what overrides them."""

import argparse
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tessera_client.client import Client
from tessera_client.errors import Unusable
from tessera_client.keys import load_key

_FILE = "profile.json"
_NO_KEY = "no key yet: tessera-partner keys new --id ID --url URL"


class _Kept(msgspec.Struct, frozen=True, omit_defaults=True):
    url: str = ""
    key_id: str = ""


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """The service, the key's id and its file; empty where nothing says so."""

    home: Path
    url: str = ""
    key_id: str = ""
    key_file: Path | None = None

    @classmethod
    def of(cls, given: argparse.Namespace, environment: Mapping[str, str]) -> "Profile":
        """Options first, then the environment, then the profile that is kept.

        Raises:
            Unusable: the profile cannot be read.
        """
        home = given.home or environment.get("TESSERA_PARTNER_HOME") or Path.home() / ".tessera-partner"
        kept = _read(Path(home) / _FILE)
        file = given.key or environment.get("TESSERA_KEY")
        return cls(
            home=Path(home),
            url=given.url or environment.get("TESSERA_URL") or kept.url,
            key_id=given.key_id or environment.get("TESSERA_KEY_ID") or kept.key_id,
            key_file=None if file is None else Path(file),
        )

    def file_of(self, key_id: str) -> Path:
        """Where a key is kept.

        Raises:
            Unusable: an id with that in it is no file's name; name the file with --key.
        """
        if not key_id or key_id.startswith(".") or {"/", "\\", "\0"} & set(key_id):
            raise Unusable(f"a key of id {key_id!r} cannot be kept here: name its file with --key")
        return self.home / f"{key_id}.pem"

    def private_key(self) -> Ed25519PrivateKey:
        """The key that signs.

        Raises:
            Unusable: there is none, or its file cannot be used.
        """
        if not self.key_id:
            raise Unusable(_NO_KEY)
        return load_key(self.key_file or self.file_of(self.key_id))

    def client(self) -> Client:
        """A client that signs with the key.

        Raises:
            Unusable: service or key are not known, or cannot be used.
        """
        if not self.key_id:
            raise Unusable(_NO_KEY)
        if not self.url:
            raise Unusable("which service? give --url https://api.example.com; `keys new --url` remembers it")
        return Client(self.url, self.key_id, self.private_key())

    def keep(self, *, url: str, key_id: str) -> None:
        """Remember service and key.

        Raises:
            Unusable: it cannot be written.
        """
        path = self.home / _FILE
        beside = path.with_suffix(".new")
        try:
            self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(msgspec.json.encode(_Kept(url, key_id)) + b"\n")
            beside.replace(path)
        except OSError as error:
            raise Unusable(f"cannot write {path}: {error.strerror}") from error


def _read(path: Path) -> _Kept:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Kept)
    except FileNotFoundError:
        return _Kept()
    except (OSError, msgspec.DecodeError) as error:
        raise Unusable(f"{path} cannot be read: {error}") from error
