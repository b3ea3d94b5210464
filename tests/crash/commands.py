"""What the clients of a crash run ask for. A new kind of command is one more row of KINDS."""

from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.coalition import OUTLET

CURRENCY = "USD"
_REMEMBERED = 200
"""Answers of each kind that a client can refer to later (an entry to reverse, a hold to capture)."""


@dataclass
class World:
    """What one client knows: its cards, and the last answers it was given, by kind."""

    cards: list[str]
    answers: dict[str, deque[Mapping[str, Any]]] = field(
        default_factory=lambda: defaultdict(lambda: deque(maxlen=_REMEMBERED))
    )

    def learn(self, answer: Mapping[str, Any]) -> None:
        """Remember an entry that was answered, and the card of a new member."""
        self.answers[str(answer["kind"])].append(answer)
        if "card" in answer:
            self.cards.append(str(answer["card"]))

    def any_of(self, random: Random, *kinds: str) -> Mapping[str, Any] | None:
        """Some earlier answer of these kinds, or None where there is none yet."""
        known = [answer for kind in kinds for answer in self.answers[kind]]
        return random.choice(known) if known else None


@dataclass(frozen=True)
class Kind:
    """A kind of command.

    Attributes:
        name: As the answer's `kind` and a file line's `type` say it.
        path: Where it is posted.
        weight: How often it is asked for, beside the others.
        fields: Its fields beside reference and occurred_at; None where nothing can be asked yet.
        in_files: Whether a file may hold it.
    """

    name: str
    path: str
    weight: int
    fields: Callable[[World, Random], dict[str, Any] | None]
    in_files: bool = True


def _sale(world: World, random: Random) -> dict[str, Any]:
    return {
        "outlet": OUTLET,
        "card": random.choice(world.cards),
        "amount_minor": random.randint(1, 20_000),
        "currency": CURRENCY,
    }


def _reward(world: World, random: Random) -> dict[str, Any]:
    points = random.randint(1, 120)
    return {**_sale(world, random), "points": points, "amount_minor": points}


def _return(world: World, random: Random) -> dict[str, Any] | None:
    """Of any entry, in full or in part, also of one that was returned before: refused, and so it stays."""
    known = world.any_of(random, "accrual", "redemption", "capture")
    if known is None:
        return None
    fields = {"entry": known["id"]}
    if random.random() < 0.5:
        part = "amount_minor" if known["kind"] == "accrual" else "points"
        fields[part] = random.randint(1, 60)
    return fields


def _hold(world: World, random: Random) -> dict[str, Any]:
    return {**_reward(world, random), "minutes": random.choice((1, 30, 1_000))}


def _capture(world: World, random: Random) -> dict[str, Any] | None:
    """Of any hold, also of one that is used up, voided or lapsed."""
    known = world.any_of(random, "hold")
    points = random.randint(1, 60)
    return None if known is None else {"hold": known["id"], "points": points, "amount_minor": points}


def _void(world: World, random: Random) -> dict[str, Any] | None:
    known = world.any_of(random, "hold")
    return None if known is None else {"hold": known["id"]}


KINDS = (
    Kind("enrolment", "/v1/members", 4, lambda *_: {}),
    Kind("accrual", "/v1/accruals", 60, _sale),
    Kind("redemption", "/v1/redemptions", 24, _reward),
    Kind("reversal", "/v1/reversals", 12, _return),
    Kind("hold", "/v1/holds", 10, _hold),
    Kind("capture", "/v1/captures", 8, _capture),
    Kind("void", "/v1/voids", 4, _void),
)
BY_NAME = {kind.name: kind for kind in KINDS}


@dataclass(frozen=True)
class Command:
    """One command with the reference and the fields that it keeps, however often it is sent."""

    kind: str
    fields: Mapping[str, Any]

    @property
    def reference(self) -> str:
        """The partner's own name for it."""
        return str(self.fields["reference"])

    @property
    def line(self) -> dict[str, Any]:
        """As a line of a file."""
        return {"type": self.kind, **self.fields}


def draw(world: World, random: Random, reference: str, occurred_at: str, *, in_file: bool = False) -> Command:
    """Some command under a reference of its own."""
    kinds = [kind for kind in KINDS if kind.in_files or not in_file]
    while True:
        [kind] = random.choices(kinds, [kind.weight for kind in kinds])
        fields = kind.fields(world, random)
        if fields is not None:
            return Command(kind.name, {"reference": reference, "occurred_at": occurred_at, **fields})
