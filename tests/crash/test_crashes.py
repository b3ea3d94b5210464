"""The short form of `make crash`: each kind of victim once, and everything holds."""

from pathlib import Path

from config.cluster import postgres_home
from config.settings import PROJECT
from tests.conftest import given_home
from tests.crash.harness import VICTIMS, Plan, run


def test_kill_9_of_anything_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """API, postmaster, backend, checkpointer and others killed under load; answers and laws stand."""
    plan = Plan(
        kills=len(VICTIMS),
        seconds_max=60,
        home=postgres_home(PROJECT, given_home()),
        folder=tmp_path,
        servers=1,
    )
    report = run(plan)
    assert report.wrong == []
    assert report.sent_again > 0, "no request was cut off: the kills prove nothing"
    assert report.nights > 0
    assert report.replayed == len(report.told) > 0
