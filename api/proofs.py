"""What `tessera keys`, `seal` and `proof` print. To check a proof takes no database and no settings."""

from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine

from network import ids
from settlement.proof import Proof, check, to_json
from settlement.seal import Seal, Signer
from settlement.sealing import read_proof


class UnusableFile(Exception):
    """A file that was named on the command line cannot be used."""


class UnknownEntry(Exception):
    """What was given is no id of an entry."""


def print_key(signer: Signer, path: Path, *, made: bool, console: Console) -> None:
    """Show the public half of the network's key, for whoever checks proofs."""
    console.print(f"{'made' if made else 'there is'} the network key {signer.key_id}", highlight=False)
    console.print(f"private: {path} (keep it; whoever has it can seal)", highlight=False, soft_wrap=True)
    console.print("public, for partners and auditors:")
    console.print(public_pem(signer.public_key), highlight=False, end="")


def public_pem(raw: bytes) -> str:
    """A public key as PEM."""
    key = Ed25519PublicKey.from_public_bytes(raw)
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def print_seals(seals: Sequence[Seal], console: Console) -> None:
    """Show new seals, a line each."""
    for seal in seals:
        console.print(
            f"window {seal.window_id}: {seal.tree_size} postings, root {seal.root.hex()}",
            highlight=False,
            soft_wrap=True,
        )
    console.print(f"{len(seals)} sealed" if seals else "nothing was left to seal", highlight=False)


def write_proof(database: Engine, entry: str, out: Path | None) -> bytes:
    """The proof of an entry, also into a file where one is named.

    Raises:
        UnknownEntry, UnusableFile, SettlementError: there is no proof, or nowhere to put it.
    """
    entry_id = ids.read("ent", entry)
    if entry_id is None:
        raise UnknownEntry(
            f"{entry!r} is no entry: write ent_ and 32 hexadecimal digits, as the API shows it"
        )
    with database.connect() as connection:
        content = to_json(read_proof(connection, entry_id))
    if out is not None:
        try:
            out.write_bytes(content)
        except OSError as error:
            raise UnusableFile(f"cannot write {out}: {error.strerror}") from error
    return content


def check_file(file: Path, key_file: Path | None, console: Console) -> bool:
    """Check a proof file and say what it proves, or exactly what does not hold.

    Raises:
        UnusableFile: a file cannot be read, or the key's is no Ed25519 public key.
    """
    content = _read(file)
    trusted = None if key_file is None else _public_key(key_file)
    checked = check(content, trusted)
    for fault in checked.faults:
        console.print(f"BROKEN {fault.where}: {fault.detail}", markup=False, highlight=False, soft_wrap=True)
    if checked.faults or checked.proof is None:
        console.print("the proof does not hold", style="bold red")
        return False
    _print_proven(checked.proof, console)
    if trusted is None:
        console.print(
            f"The key {checked.proof.seal.key_id} came out of the file itself: compare it with the network's,"
            " or give the network's with --key.",
            highlight=False,
        )
    return True


def check_lines(file: Path, key_file: Path | None) -> tuple[int, list[str]]:
    """Check a file of proofs, one a line: how many there are, and what is wrong with which.

    Raises:
        UnusableFile: a file cannot be read, or the key's is no Ed25519 public key.
    """
    trusted = None if key_file is None else _public_key(key_file)
    lines = _read(file).splitlines()
    faults = []
    for number, line in enumerate(lines, start=1):
        found = check(line, trusted).faults
        if found:
            faults.append(f"BROKEN line {number}, {found[0].where}: {found[0].detail}")
    return len(lines), faults


def _print_proven(proof: Proof, console: Console) -> None:
    table = Table("Line", "Number", "Points", "Issuer", "Debit", "Credit", "Expires on")
    for one in proof.postings:
        names = ("points", "issuer", "debit", "credit", "expires_on")
        table.add_row(str(one.leaf.get("line")), str(one.index), *(str(one.leaf.get(name)) for name in names))
    seal = proof.seal
    console.print(f"ok     entry {proof.entry}", highlight=False, soft_wrap=True)
    console.print(table)
    console.print(
        f"is among the {seal.tree_size} postings of window {seal.window}, sealed at {seal.signed_at}\n"
        f"under the root {seal.root}\nby the key {seal.key_id}",
        highlight=False,
        soft_wrap=True,
    )


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UnusableFile(f"cannot read {file}: {error.strerror}") from error


def _public_key(file: Path) -> bytes:
    try:
        key = load_pem_public_key(_read(file))
    except ValueError as error:
        raise UnusableFile(f"{file} is no public key in PEM; `tessera keys` prints the network's") from error
    if not isinstance(key, Ed25519PublicKey):
        raise UnusableFile(f"{file} is a public key, but none of Ed25519")
    return key.public_bytes_raw()
