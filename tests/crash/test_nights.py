"""The short form of the nights that `make crash` kills: processes alone, at any moment."""

from random import Random

from tests.conftest import Run, database_on
from tests.crash.nights import Nights, disturb, settled_in_peace


def test_a_night_that_is_killed_at_any_moment_ends_as_any_other(server: Run) -> None:
    """Some kills of one or both of its processes; hashes, rows and money are those of a night in peace."""
    seen = Nights()
    with (
        database_on(server, template=server.template) as peace,
        database_on(server, template=server.template) as url,
    ):
        disturb(url, settled_in_peace(peace), seen, Random(3), kills=6, others={})
    assert (seen.wrong, seen.nights) == ([], 1)
    assert seen.kills.total() >= 1
