"""The ledger beside what the clients were told. Pure: answers and rows in, what is wrong out."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ACCEPTED = 201
_SHOWN = (
    *("id", "kind", "reference", "points", "balance", "amount_minor", "business_date"),
    *("reverses", "hold", "accrual", "invitation", "pooled", "pending", "cured", "owed"),
)
"""Fields of an answer that the ledger's row must equal."""
_ALWAYS_TWO = frozenset({"gift", "merge", "unmerge"})
"""Kinds that always make an entry of another member too."""


@dataclass(frozen=True)
class Told:
    """What a client was told about one command: the status, and the entry or the code of the refusal."""

    partner_id: int
    kind: str
    fields: Mapping[str, Any]
    status: int
    answer: Mapping[str, Any]

    @property
    def reference(self) -> str:
        """The partner's own name for the command."""
        return str(self.fields["reference"])


@dataclass(frozen=True)
class Row:
    """An entry of the ledger, its values as an answer shows them."""

    partner_id: int
    shown: Mapping[str, Any]


@dataclass(frozen=True)
class Transfer:
    """An entry of another member that an entry made: what came to it (+) or left it (-) thereby."""

    partner_id: int
    parent: str
    moved: int


def compare(told: Iterable[Told], rows: Sequence[Row]) -> list[str]:
    """What was acknowledged and is not there, is there twice or otherwise, or that nobody was told of."""
    wrong = []
    ledger: dict[tuple[int, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        ledger.setdefault((row.partner_id, str(row.shown["reference"])), []).append(row.shown)
    for one in told:
        name = f"{one.kind} {one.reference} of partner {one.partner_id}"
        found = ledger.pop((one.partner_id, one.reference), [])
        if one.status != ACCEPTED:
            if found:
                wrong.append(f"{name}: refused ({one.answer}), but in the ledger {len(found)} times")
        elif not found:
            wrong.append(f"{name}: acknowledged, but lost")
        elif len(found) > 1:
            wrong.append(f"{name}: {len(found)} times in the ledger")
        elif differs := [field for field in _SHOWN if one.answer.get(field) != found[0].get(field)]:
            wrong.append(
                f"{name}: "
                + ", ".join(
                    f"{field} answered {one.answer.get(field)}, is {found[0].get(field)}" for field in differs
                )
            )
    wrong += [
        f"{reference} of partner {partner_id}: in the ledger, but no client was told"
        for partner_id, reference in ledger
    ]
    ids = Counter(str(row.shown["id"]) for row in rows)
    wrong += [
        f"entry {entry_id}: stands for {count} requests" for entry_id, count in ids.items() if count > 1
    ]
    return wrong


def compare_transfers(told: Iterable[Told], transfers: Iterable[Transfer]) -> list[str]:
    """Where what other members gained or lost is not what the answers say left or came.

    Nothing that passes between members is lost or doubled on its way, and each entry has its own transfers.
    """
    wrong = []
    made: dict[str, list[Transfer]] = {}
    for transfer in transfers:
        made.setdefault(transfer.parent, []).append(transfer)
    for one in told:
        if one.status != ACCEPTED:
            continue
        name = f"{one.kind} {one.reference} of partner {one.partner_id}"
        found = made.pop(str(one.answer["id"]), [])
        if any(transfer.partner_id != one.partner_id for transfer in found):
            wrong.append(f"{name}: a transfer of it is another partner's")
        if one.kind in _ALWAYS_TWO and len(found) != 1:
            wrong.append(f"{name}: has {len(found)} transfers and not one")
        moved, expected = sum(transfer.moved for transfer in found), _passed_on(one)
        if moved != expected:
            wrong.append(f"{name}: its transfers move {moved} points, and it says {expected}")
    wrong += [f"transfer of {parent}: belongs to no entry that a client was told of" for parent in made]
    return wrong


def _passed_on(told: Told) -> int:
    """What other members gained (+) or lost (-) by an entry, as its own answer says."""
    if told.kind in _ALWAYS_TWO:
        return -int(told.answer["points"]) - int(told.answer.get("cured", 0))
    return int(told.answer.get("pooled", 0))


def same(told: Told, status: int, answer: Mapping[str, Any]) -> str | None:
    """None where a replay gave the first answer again, else how it differs."""
    if (status, answer) == (told.status, told.answer):
        return None
    return (
        f"{told.kind} {told.reference} of partner {told.partner_id}: answered {told.status} {told.answer},"
        f" and on replay {status} {answer}"
    )
