"""Nights that processes take on and SIGKILL ends: in the middle of every step and after it, two at once."""

from collections.abc import Iterator
from random import Random

import pytest
from sqlalchemy import Engine, text

from config.database import make_engine
from config.roles import application_role
from network.verify import faults
from settlement import store
from settlement.model import STEPS, Step
from settlement.verify_money import MONEY_CHECKS
from tests.conftest import SCHEMA, Run, as_owner, database_on
from tests.crash.steps import BOOKED_IN, BOOKED_OUT, STOPS, WINDOW, go, is_done, state
from tests.crash.workers import caught, held, wait_gone, workers
from tests.integration.test_night import WORKED_TERMS, post, set_up, worked_night

# What the last write of each stop is into.
LAST = dict.fromkeys(STEPS, "settlement_step") | dict.fromkeys((BOOKED_IN, BOOKED_OUT), "money_posting")
_LEAVES = text(
    "SELECT c.relname, i.indexrelid::regclass::text AS name FROM pg_inherits h"
    " JOIN pg_class c ON c.oid = h.inhrelid JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary"
    " WHERE h.inhparent IN ('posting'::regclass, 'entry'::regclass) AND c.reltuples <> 0"
)
_WRITTEN = (
    *("settlement_run", "settlement_step", "window_total", "window_activity", "obligation", "net_position"),
    *("run_approval", "money_entry", "money_posting", "instruction", "instruction_payment"),
)


@pytest.fixture
def undisturbed(server: Run) -> Iterator[Engine]:
    """Another database, whose night nobody disturbs."""
    with database_on(server, template=server.template) as url:
        engine = make_engine(url, schema=SCHEMA, role=application_role(SCHEMA))
        yield engine
        engine.dispose()


def hashes(database: Engine) -> dict[Step, str]:
    """The hash of every step that is done."""
    with database.connect() as connection:
        return {step: one.hex() for step, one in store.load_hashes(connection, [WINDOW])[WINDOW].items()}


def counts(database: Engine) -> dict[str, int]:
    """Rows of what a run writes."""
    with database.connect() as connection:
        return {
            name: connection.execute(text(f"SELECT count(*) FROM {name}")).scalar_one() for name in _WRITTEN
        }


def shuffle_rows(database: Engine) -> None:
    """Put the rows of entries and postings into another order on disk."""
    with as_owner(database) as connection:
        connection.execute(text("ANALYZE entry"))
        connection.execute(text("ANALYZE posting"))
        for leaf in connection.execute(_LEAVES).all():
            connection.execute(text(f"CREATE INDEX shuffled ON {leaf.relname} (md5(entry_id::text))"))
            connection.execute(text(f"CLUSTER {leaf.relname} USING shuffled"))
            connection.execute(text("DROP INDEX shuffled"))


def order_on_disk(database: Engine) -> list[int]:
    """Members of the postings, in the order in which they lie."""
    with database.connect() as connection:
        return list(
            connection.execute(text("SELECT member_id FROM posting ORDER BY tableoid, ctid")).scalars()
        )


def test_sigkill_in_every_step_and_after_it(
    database: Engine, owner_database: Engine, undisturbed: Engine
) -> None:
    """Two processes at each step: one dies in it and leaves nothing, the other does it and dies after it.

    A run that was killed twenty times, over rows in another order, ends with the hashes of one that nobody
    disturbed; and once more changes nothing.
    """
    shuffled = worked_night()
    Random(5).shuffle(shuffled)
    for engine, movements in ((database, shuffled), (undisturbed, worked_night())):
        set_up(engine, WORKED_TERMS)
        post(engine, movements)
    before = order_on_disk(database)
    shuffle_rows(database)
    assert order_on_disk(database) != before == sorted(before)
    url = database.url.render_as_string(hide_password=False)
    killed: list[str] = []
    for stop in STOPS:
        with workers(url, stop, f"first {stop}", f"second {stop}") as both:
            with held(owner_database, LAST[stop]):
                name = caught(owner_database, LAST[stop])
                was = counts(database)
                both.pop(name).kill()
                killed.append(name)
            wait_gone(owner_database, name)
            [(name, other)] = both.items()
            assert other.said() == "done"
            assert counts(database) != was
            killed.append(name)
        assert is_done(database, stop)
    assert len(killed) == 2 * len(STOPS)
    go(undisturbed, "settled")
    assert list(hashes(database)) == list(hashes(undisturbed))
    assert hashes(database) == hashes(undisturbed)
    assert counts(database) == counts(undisturbed)
    done = counts(database)
    with workers(url, "settled", "once", "more") as both:
        assert [one.said() for one in both.values()] == ["done", "done"]
    assert (hashes(database), counts(database)) == (hashes(undisturbed), done)
    with database.connect() as connection:
        assert [str(one) for check in MONEY_CHECKS for one in faults(connection, check)] == []
    assert state(database) == "settled"
