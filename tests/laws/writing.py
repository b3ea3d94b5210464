"""How the model writes an entry: its lines, the TRANSFERs of other members, and deficits paid first."""

from typing import Any
from uuid import UUID

from tests.laws.book import MEMBER_BITS, NEVER, Answer, Ask, Book, Name
from tests.laws.records import ALWAYS, Debt, LotKey, Part

Line = tuple[Any, ...]
"""Number, debit, credit, points, the lot's four, acceptor, terms and category, two windows, unit, whose."""


class Writing:
    """An entry while it is written. Lines take effect at once; `finish` pays deficits and notes the entry."""

    def __init__(self, book: Book, name: Name, kind: str, ask: Ask, member: int, **more: Any) -> None:
        self.book = book
        self.name = name
        self.member = member
        self.lines: dict[int, list[Line]] = {member: []}
        self.line = 0
        self.cures = kind != "UNMERGE"
        self.answer: Answer = {
            "entry_id": name,
            "kind": kind,
            "member_id": member,
            "partner_id": ask["partner_id"],
            "reference": ask.get("reference"),
            "window_id": book.window_id,
            "programme_version": book.world.schemes[-1].version,
            "points": 0,
            "balance_after": 0,
            "amount_minor": 0,
            "currency": None,
            "outlet_code": None,
            "occurred_at": ask.get("occurred_at", book.now),
            "recorded_at": book.now,
            "reverses": None,
            "hold_id": None,
            "parent_id": None,
            "counterpart_id": None,
            **more,
        }

    def move(
        self,
        debit: str,
        credit: str,
        points: int,
        lot: LotKey,
        *,
        of: int | None = None,
        part: Part | None = None,
        undone: int | None = None,
        contributor: int | None = None,
        unit: str = "POINTS",
    ) -> None:
        """Move points as the next line; between another member's MEMBER account and ours through TRANSIT.

        Args:
            debit: From this kind of account.
            credit: To this one.
            points: So many.
            lot: Of this lot.
            of: Whose MEMBER account it is, if not the entry's member's.
            part: Names the acceptor.
            undone: The window of the line that this one undoes.
            contributor: Whose points these were, where no MEMBER account is moved.
            unit: Or what it is instead of points.
        """
        self.line += 1
        if of not in {None, self.member} and debit == "MEMBER":
            self.write(of, self.line, "MEMBER", "TRANSIT", points, lot, unit=unit)
            debit, contributor = "TRANSIT", of
        elif of not in {None, self.member} and credit == "MEMBER":
            self.write(of, self.line, "TRANSIT", "MEMBER", points, lot, unit=unit)
            credit, contributor = "TRANSIT", of
        acceptor = (None, None) if part is None else (part.acceptor, part.acceptor_terms)
        category = 0 if part is None else part.category
        self.write(
            *(self.member, self.line, debit, credit, points, lot),
            *(*acceptor, undone, contributor, category, unit),
        )

    def across(self, giver: int, lot: LotKey, taker: int, theirs: LotKey, points: int) -> None:
        """Move points from a lot of one to a lot of the other; one of the two is the entry's member."""
        self.line += 1
        self.write(giver, self.line, "MEMBER", "TRANSIT", points, lot)
        self.write(taker, self.line, "TRANSIT", "MEMBER", points, theirs)

    def write(
        self,
        member: int,
        number: int,
        debit: str,
        credit: str,
        points: int,
        lot: LotKey,
        acceptor: int | None = None,
        acceptor_terms: int | None = None,
        undone: int | None = None,
        contributor: int | None = None,
        category: int = 0,
        unit: str = "POINTS",
    ) -> None:
        """Write a line of the entry or of a TRANSFER, and change the member's lots, or its stored value's."""
        lots: dict[Any, int] = self.book.lots[member] if unit == "POINTS" else self.book.value[member]
        key = lot if unit == "POINTS" else (unit, *lot)
        if debit == "MEMBER":
            lots[key] -= points
            if lots[key] < 0:
                raise ArithmeticError(f"the model took {-lots[key]} points too many of {key}")
        if credit == "MEMBER":
            lots[key] = lots.get(key, 0) + points
        windows = (self.book.window_id, undone)
        to = (acceptor, acceptor_terms, category)
        line = (number, debit, credit, points, *lot, *to, *windows, unit, contributor)
        self.lines.setdefault(member, []).append(line)

    def owe(self, member: int, issuer: int, terms: int, points: int) -> None:
        """From now on a member owes points: more of a debt that is open, or one that this entry opens."""
        owed = self.book.owed[member]
        self.book.saw(f"deficit added to by {self.answer['kind']}", when=(issuer, terms) in owed)
        debt = owed.setdefault((issuer, terms), Debt(self.id_of(member), 0))
        debt.points += points

    def pay(self, member: int, issuer: int, terms: int, points: int) -> None:
        """A member owes fewer points; a debt that is paid is forgotten, and with it its age."""
        owed = self.book.owed[member]
        owed[issuer, terms].points -= points
        if not owed[issuer, terms].points:
            del owed[issuer, terms]

    def id_of(self, member: int) -> Any:
        """What the entry is called at a member: its own id, or its TRANSFER's."""
        if member == self.member:
            return self.name
        if isinstance(self.name, UUID):
            return UUID(int=self.name.int // 2**MEMBER_BITS * 2**MEMBER_BITS + member)
        return (member, f"transfer of {self.name[1]}")

    def finish(self) -> Answer:
        """Pay deficits out of what came, and note the entry and its TRANSFERs."""
        for member, lines in self.lines.items():
            if self.cures:
                self._cure(member, lines)
            answer = self.answer if member == self.member else self._transfer(member)
            points = [line for line in lines if line[-2] == "POINTS"]
            came = sum(line[3] for line in points if line[2] == "MEMBER")
            went = sum(line[3] for line in points if line[1] == "MEMBER")
            answer.update(points=came - went, balance_after=self.book.spendable([member]))
            name = self.id_of(member)
            (self.book.entries if isinstance(name, UUID) else self.book.unasked)[name] = answer
            self.book.moves[name] = lines
        return self.answer

    def _transfer(self, member: int) -> Answer:
        """The entry of another member. Of a parent without a known id it is named at the checkpoint."""
        parent = self.name
        return {
            **self.answer,
            "entry_id": self.id_of(member),
            "kind": "TRANSFER",
            "member_id": member,
            "reference": f"transfer {parent.hex}" if isinstance(parent, UUID) else None,
            "amount_minor": 0,
            "currency": None,
            "outlet_code": None,
            "reverses": None,
            "hold_id": None,
            "parent_id": parent,
            "counterpart_id": self.member,
        }

    def _cure(self, member: int, lines: list[Line]) -> None:
        """What a member owes is paid, oldest first, with what its lines credited, in their order."""
        came = [[line[4:8], line[3]] for line in lines if (line[2], line[-2]) == ("MEMBER", "POINTS")]
        for _, issuer, terms in self.book.debts(member):
            left = self.book.owed[member][issuer, terms].points
            while left and came:
                lot, there = came[0]
                points = min(there, left)
                now = max(
                    one.version
                    for one in self.book.world.partners[issuer].terms
                    if one.since <= self.book.today
                )
                number = max(line[0] for line in lines)
                self.write(member, number + 1, "MEMBER", "ACCEPTED", points, lot, issuer, now)
                self.write(member, number + 2, "ISSUED", "DEFICIT", points, (issuer, terms, ALWAYS, NEVER))
                self.pay(member, issuer, terms, points)
                left -= points
                came[0][1] -= points
                if not came[0][1]:
                    came.pop(0)
