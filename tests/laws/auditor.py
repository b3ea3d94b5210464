"""The auditor says what each reply must be before it looks at it; and what the ledger's books must sum to."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from network.outcomes import Reply
from tests.laws.book import Answer, Ask, Book, Prediction
from tests.laws.words import answer_of, move_of

Recorded = tuple[Answer, list[tuple[Any, ...]]]
"""An entry and its moves."""


class Auditor:
    """Predicts each reply, then looks at it."""

    def __init__(self, book: Book, tally: Counter[str]) -> None:
        self._book = book
        self._tally = tally
        self._counted = 0

    def look(self, ask: Ask, reply: Reply) -> None:
        """Compare a reply with what it must be; then learn the new entry's id, and the new member's card."""
        expected = self._book.predict(ask)
        given = answer_of(reply)
        if (given.get("refused"), reply.replayed) != (expected.answer.get("refused"), expected.replayed):
            raise AssertionError(_differ(ask, expected, given, replayed=reply.replayed))
        if expected.effect is not None:
            self._book.learn(expected, given["entry_id"])
        self._count(ask, expected)
        if expected.answer != given:
            raise AssertionError(_differ(ask, expected, given, replayed=reply.replayed))
        if "refused" in given:
            return
        if given["entry_id"].int % 2**40 != given["member_id"]:
            raise AssertionError(f"the id of {given} does not carry its member")
        if reply.postings and [move_of(one) for one in reply.postings] != self._book.moves[given["entry_id"]]:
            raise AssertionError(f"{ask}: the reply tells of {reply.postings}")
        self._look_at_card(ask, expected, reply)

    def _look_at_card(self, ask: Ask, expected: Prediction, reply: Reply) -> None:
        """An enrolment names its new card, a replay of it the same; no other reply names a wrong one."""
        member, enrolled = expected.answer["member_id"], reply.enrolled
        issued = self._book.issued
        if enrolled is None:
            if ask["kind"] == "enrol":
                raise AssertionError(f"{ask}: the reply names no card")
            return
        if ask["kind"] == "enrol" and expected.effect is not None:
            if enrolled.card_number in issued or member in issued.values():
                raise AssertionError(f"{ask}: card or member is not new: {enrolled}")
            self._book.cards[enrolled.card_number] = issued[enrolled.card_number] = member
        if issued.get(enrolled.card_number) != member:
            raise AssertionError(f"{ask}: the card of member {member} is not {enrolled.card_number}")

    def _count(self, ask: Ask, expected: Prediction) -> None:
        refused = expected.answer.get("refused")
        self._tally[f"command {ask['kind']}"] += 1
        outcome = f"accepted {ask['kind']}" if refused is None else f"refused {refused}"
        self._tally[outcome] += 1
        if expected.replayed:
            self._tally["replayed"] += 1
        book = self._book
        for name in list(book.moves)[self._counted :]:
            self._counted += 1
            answer = book.entries[name] if isinstance(name, UUID) else book.unasked[name]
            self._count_moves(answer["kind"], answer["member_id"], book.moves[name])

    def _count_moves(self, kind: str, member: int, moves: list[tuple[Any, ...]]) -> None:
        """How often points took ways that are not everybody's."""
        flows = {(line[1], line[2]) for line in moves}
        if ("DEFICIT", "ISSUED") in flows:
            self._tally[f"event deficit made by {kind}"] += 1
        if ("ISSUED", "DEFICIT") in flows and ("MEMBER", "ACCEPTED") in flows:
            self._tally[f"event deficit paid by {kind}"] += 1
        if len({line[-1] for line in moves}) > 1:
            self._tally[f"event {kind} of several members"] += 1
        if self._book.accounts[member].merged_into is not None:
            self._tally[f"event {kind} of one merged"] += 1


def _differ(ask: Ask, expected: Prediction, given: Answer, *, replayed: bool) -> str:
    fields = {
        name: (expected.answer.get(name), given.get(name))
        for name in {**expected.answer, **given}
        if expected.answer.get(name) != given.get(name)
    }
    return (
        f"{ask}\nexpected (replayed {expected.replayed}): {expected.answer}\n"
        f"answered (replayed {replayed}): {given}\ndifferent (expected, answered): {fields}"
    )


def compare_entries(book: Book, entries: Sequence[Recorded]) -> None:
    """Every entry and posting is the model's. Those that nobody asked for are found by what names them."""
    by_time = [given for given, _ in entries if given["kind"] in {"HOLD_LAPSE", "VOUCHER_END"}]
    lapses = {g["entry_id"]: g["reference"] for g in by_time if g["entry_id"] not in book.entries}
    for given, moves in entries:
        entry_id, name, parent = given["entry_id"], given["entry_id"], given["parent_id"]
        if entry_id not in book.entries:
            name = (given["member_id"], given["reference"])
        if parent in lapses:
            name = (given["member_id"], f"transfer of {lapses[parent]}")
        expected = book.entries.get(name) or {**book.unasked.get(name, {}), "entry_id": entry_id}
        if parent in lapses:
            own = UUID(int=parent.int // 2**40 * 2**40 + given["member_id"])
            expected.update(reference=f"transfer {parent.hex}", parent_id=parent, entry_id=own)
        if expected != given:
            raise AssertionError(f"entry: expected {expected}\nfound {given}")
        if book.moves.get(name, []) != moves:
            raise AssertionError(f"{given}\nmoves: expected {book.moves.get(name, [])}\nfound {moves}")
    if len(entries) != len(book.entries) + len(book.unasked):
        asked, unasked = len(book.entries), len(book.unasked)
        raise AssertionError(f"{len(entries)} entries, expected {asked} and {unasked} unasked")


def count_issuers(entries: Sequence[Recorded], standing: dict[str, Any]) -> None:
    """Issued less reversed is accepted less returned, lapsed, held, pending, outstanding, less what is owed.

    Per unit, issuer and terms. And between two members' entries nothing is left on the way, line by line.
    """
    books: dict[tuple[str, int, int], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    on_the_way: dict[Any, int] = defaultdict(int)
    for given, moves in entries:
        for line, debit, credit, points, issuer, version, *_, unit, _ in moves:
            books[unit, issuer, version][debit] -= points
            books[unit, issuer, version][credit] += points
            name = (given["parent_id"] or given["entry_id"], line, unit, issuer, version)
            on_the_way[name] += points * ((credit == "TRANSIT") - (debit == "TRANSIT"))
    left = {name: points for name, points in on_the_way.items() if points}
    if left:
        raise AssertionError(f"left between members: {left}")
    outstanding = _outstanding(standing)
    owed: dict[tuple[str, int, int], int] = defaultdict(int)
    for (_, issuer, version), (_, points) in standing["owed"].items():
        owed["POINTS", issuer, version] += points
    for owner, accounts in books.items():
        there = (sum(accounts.values()), accounts["MEMBER"], -accounts["DEFICIT"])
        if there != (0, outstanding[owner], owed[owner]):
            raise AssertionError(
                f"issuer {owner}: {dict(accounts)}, outstanding {outstanding[owner]}, owed {owed[owner]}"
            )
    for account, what in (("HELD", "holds"), ("PENDING", "pending")):
        there = sum(points - went - back for points, went, back, *_ in standing[what].values())
        if there != sum(accounts[account] for accounts in books.values()):
            raise AssertionError(f"{there} points {account}, postings say otherwise")


def _outstanding(standing: dict[str, Any]) -> dict[tuple[str, int, int], int]:
    """What members have, by unit, issuer and terms."""
    outstanding: dict[tuple[str, int, int], int] = defaultdict(int)
    for (_, issuer, version, *_), points in standing["lots"].items():
        outstanding["POINTS", issuer, version] += points
    for (_, unit, issuer, version, *_), minor in standing["value"].items():
        outstanding[unit, issuer, version] += minor
    return outstanding
