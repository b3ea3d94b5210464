"""The load itself: it asks for everything a partner can, and reads what others have sold."""

from collections import Counter
from pathlib import Path
from random import Random

import msgspec

from api.bodies import COMMANDS, LINE
from tests.crash.commands import KINDS, RETURNABLE, World, draw
from tests.crash.journal import Line, Tail

CARDS = ["6330001234567895", "6330001234567903", "6330001234567911"]
ENTRY = f"ent_{7:032x}"
PAPER = "00NJ-Q4EF-GFA7-XRAT-X000-0000-1NXB-2TB1-4N6E-Y3NT"


def known_world() -> World:
    """A world where every kind was answered once, and another partner has sold something."""
    world = World(list(CARDS))
    for kind in KINDS:
        asked = {"to_card": CARDS[1], "lines": [5, 6], "code": PAPER}
        world.learn(asked, {"id": ENTRY, "kind": kind.name, "pending": 3})
    world.abroad.append({"id": ENTRY, "kind": "accrual"})
    return world


def test_every_command_of_the_api_is_asked_for_and_can_be_read() -> None:
    """A kind that the load forgot would not be tested at all; one that is malformed would only be refused."""
    names: Counter[str] = Counter()
    world, random = known_world(), Random(7)
    for number in range(3_000):
        command = draw(world, random, f"r-{number}", "2017-05-29T12:00:00Z")
        LINE.decode(msgspec.json.encode(command.line)).command(11)
        names[command.kind] += 1
    assert set(names) == {kind.name for kind in KINDS}
    assert len(KINDS) == len(COMMANDS)
    assert set(RETURNABLE) <= set(names)


def test_a_new_world_asks_for_nothing_that_is_not_there() -> None:
    """Before the first answer nothing can be reversed, captured, joined or undone."""
    world, random = World(list(CARDS)), Random(7)
    asked = {draw(world, random, f"r-{number}", "2017-05-29T12:00:00Z").kind for number in range(1_000)}
    assert asked & {"reversal", "capture", "void", "release", "pool_join", "unmerge"} == set()


def test_a_growing_journal_is_read_on_by_whole_lines(tmp_path: Path) -> None:
    """Half a line waits for its end; nothing is read twice; a journal that is not there yet has no news."""
    path = tmp_path / "grocer.journal"
    tail = Tail(path)
    assert tail.news() == []
    first, second = (msgspec.json.encode(Line(kind=kind)) + b"\n" for kind in ("gift", "merge"))
    path.write_bytes(first + second[:5])
    assert [line.kind for line in tail.news()] == ["gift"]
    assert tail.news() == []
    path.write_bytes(first + second)
    assert [line.kind for line in tail.news()] == ["merge"]
