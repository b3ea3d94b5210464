"""Draws by literals: who wins by which seed, and what a file that was tampered with comes to."""

from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from api.cli_draw import draw_app
from network.errors import ProgrammeInvalid
from network.programme.raffle import Published, commitment_of, faults_of, hash_of, winners_of
from network.programme.spec import read_programme
from tests.unit.test_programme_members import HEAD

SEED = bytes(range(32))
TICKETS = ["ash", "birch", "cedar", "elm"]
TOLD = Published(
    draw="spring",
    prizes=2,
    commitment="630dcd2966c4336691125448bbb25b4ff412a49c732db2c8abc1b8581bd710dd",
    tickets=TICKETS,
    tickets_sha256=hash_of(TICKETS).hex(),
    seed=SEED.hex(),
    winners=winners_of(SEED, TICKETS, 2),
)


def test_winners_are_what_three_lines_say() -> None:
    """The lowest SHA-256 of seed, tickets' hash and ticket, written out by hand."""
    together = sha256(b"ash\nbirch\ncedar\nelm").digest()
    places = {ticket: sha256(SEED + together + ticket.encode()).digest() for ticket in TICKETS}
    assert winners_of(SEED, TICKETS, 2) == sorted(TICKETS, key=places.__getitem__)[:2]
    assert commitment_of(SEED).hex() == TOLD.commitment
    assert faults_of(TOLD) == []


def test_a_file_that_was_tampered_with_is_found_out() -> None:
    """Another seed, another ticket, another winner, a ticket twice, and no seed at all."""
    changed: list[tuple[dict[str, Any], str]] = [
        ({"seed": bytes(32).hex()}, "the seed is not the one whose hash was published"),
        ({"tickets": [*TICKETS, "fir"]}, "the tickets are not those whose hash was published"),
        ({"winners": ["ash", "ash"]}, "other tickets win"),
        ({"prizes": 1}, "other tickets win"),
        ({"tickets": [*TICKETS, "elm"]}, "a ticket stands twice"),
        ({"seed": ""}, "the seed is not revealed"),
        ({"seed": "xyz"}, "the seed is not hexadecimal"),
    ]
    for fields, told in changed:
        assert told in faults_of(msgspec.structs.replace(TOLD, **fields))


@given(st.binary(min_size=32, max_size=32), st.sets(st.text("abcdef", min_size=4), max_size=20), st.data())
def test_the_order_of_tickets_changes_nothing(seed: bytes, tickets: set[str], data: st.DataObject) -> None:
    """Each ticket wins at most once, as many as there are prizes, in whatever order the list comes."""
    prizes = data.draw(st.integers(1, 25))
    shuffled = data.draw(st.permutations(sorted(tickets)))
    won = winners_of(seed, shuffled, prizes)
    assert won == winners_of(seed, sorted(tickets), prizes)
    assert len(won) == len(set(won)) == min(prizes, len(tickets))
    assert set(won) <= tickets


def test_anybody_computes_a_published_file_again(tmp_path: Path) -> None:
    """The command needs no network: 0 where all comes out, 1 where not, 2 where it is no such file."""
    file = tmp_path / "spring.json"
    file.write_bytes(msgspec.json.encode(TOLD))
    done = CliRunner().invoke(draw_app, ["check", str(file)])
    assert (done.exit_code, done.output) == (0, "spring: 2 of 4 tickets win, as published\n")
    file.write_bytes(msgspec.json.encode(msgspec.structs.replace(TOLD, winners=TOLD.winners[::-1])))
    assert CliRunner().invoke(draw_app, ["check", str(file)]).exit_code == 1
    file.write_text("{}")
    assert CliRunner().invoke(draw_app, ["check", str(file)]).exit_code == 2


DRAW = """
[[draw]]
id = "spring"
says = "x"
of = "couples"
partners = ["hotel"]
threshold_minor = 100
first_on = 2017-05-02
winners = 1
prize = "x"
"""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("last_on = 2017-05-01", "last_on is before first_on"),
        ("last_on = 2017-05-31\npoints = 5", "points of a prize need fund"),
        ('last_on = 2017-05-31\nfund = "hotel"', "points of a prize need fund"),
    ],
)
def test_what_a_draw_cannot_say(text: str, told: str) -> None:
    """Days in order, and points with who pays them."""
    with pytest.raises(ProgrammeInvalid, match=told):
        read_programme(HEAD + DRAW + text)
