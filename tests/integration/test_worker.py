"""The worker: catches up at once, ends when told, and leaves whole nights."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from datetime import time as local_time
from pathlib import Path
from queue import SimpleQueue
from zoneinfo import ZoneInfo

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine, text

from api.nightly import folder_of, write_missing_nights
from api.worker import next_nudges, nudge, run_worker
from network.errors import NotReady
from network.service import Network, network_now, set_clock
from settlement.runs import reopen
from settlement.seal import Signer
from settlement.sealing import load_seals
from settlement.service import clear_due
from tests.coalition import START, new_card, run, sale, set_up
from tests.conftest import as_owner

PATIENCE_SECONDS = 60


def settled(database: Engine) -> list[int]:
    """Windows whose night is done."""
    query = text("SELECT window_id FROM settlement_run WHERE state = 'netted' ORDER BY 1")
    with database.connect() as connection:
        return list(connection.execute(query).scalars())


def business_until(database: Engine, at: datetime) -> None:
    """A sale on the first day, and the network's clock put to an instant."""
    live = set_up(database)
    run(database, live, sale(new_card(database, live), 5_000, "sale"))
    with database.begin() as connection:
        set_clock(connection, at)


def wait_for(ready: Callable[[], bool]) -> None:
    """Wait until something is so, bounded."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not ready():
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.05)


def test_missed_nights_are_caught_up_at_the_start(database: Engine, tmp_path: Path) -> None:
    """No cut-off needs to come: three missed nights are settled at once, and the worker ends when told."""
    business_until(database, START + timedelta(days=3))
    stop: SimpleQueue[None] = SimpleQueue()
    worker = threading.Thread(target=run_worker, args=(database, tmp_path), kwargs={"stop": stop})
    worker.start()
    try:
        wait_for(lambda: len(settled(database)) == 3)
    finally:
        stop.put(None)
        worker.join(PATIENCE_SECONDS)
    assert not worker.is_alive()
    assert settled(database) == [20170501, 20170502, 20170503]


def test_sigterm_ends_the_process_with_success(database: Engine, database_url: str, tmp_path: Path) -> None:
    """A worker as an operator starts it settles, gets SIGTERM, and leaves with status 0."""
    business_until(database, START + timedelta(days=2))
    worker = subprocess.Popen(
        [sys.executable, "-m", "api.cli", "worker"],
        env={
            **os.environ,
            "TESSERA_DATABASE_URL": database_url,
            "TESSERA_SCHEMA": "tessera",
            "TESSERA_HOME": str(tmp_path),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    last = tmp_path / "statements" / "tessera" / "2017-05-02" / "_night.html"
    try:
        wait_for(lambda: last.exists() or worker.poll() is not None)
        worker.send_signal(signal.SIGTERM)
        told, _ = worker.communicate(timeout=PATIENCE_SECONDS)
    finally:
        worker.kill()
        worker.wait()
    assert worker.returncode == 0, told
    assert "the worker has ended" in told
    assert settled(database) == [20170501, 20170502]
    written = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.glob("statements/**/grocer.csv"))
    assert written == [f"statements/tessera/2017-05-0{day}/grocer.csv" for day in (1, 2)]


def test_statements_that_are_missing_are_written_whoever_settled(database: Engine, tmp_path: Path) -> None:
    """A night settled elsewhere, or cut off before its files were whole, gets them at the next nudge."""
    business_until(database, START + timedelta(days=2))
    with database.connect() as connection:
        now = network_now(connection)
    clear_due(database, now)
    nudge(database, tmp_path)
    report = tmp_path / "2017-05-01" / "_night.html"
    first = report.read_bytes()
    report.unlink()
    (tmp_path / "2017-05-01" / "hotel.csv").write_text("half a")
    nudge(database, tmp_path)
    assert report.read_bytes() == first
    assert (tmp_path / "2017-05-01" / "hotel.csv").read_text() != "half a"


def test_a_night_that_is_done_again_has_new_statements(database: Engine, tmp_path: Path) -> None:
    """Reopened, priced and netted anew: its files are of the new revision; what did not change is left."""
    business_until(database, START + timedelta(days=2))
    with database.connect() as connection:
        now = network_now(connection)
    nudge(database, tmp_path)
    first, second = (tmp_path / f"2017-05-0{day}" / "_night.html" for day in (1, 2))
    assert (b'content="1/' in first.read_bytes(), b'content="1/' in second.read_bytes()) == (True, True)
    untouched = first.stat().st_mtime_ns
    reopen(database, date(2017, 5, 2), reason="wrong fixing", by="anna", at=now)
    nudge(database, tmp_path)
    assert b'content="2/' in second.read_bytes()
    assert first.stat().st_mtime_ns == untouched
    assert write_missing_nights(database, tmp_path) == []


def test_two_ledgers_never_share_a_folder(database: Engine, tmp_path: Path) -> None:
    """Another database with a schema of this name was here first: this one writes beside it, every time."""
    ours, theirs = tmp_path / "tessera", tmp_path / "theirs"
    business_until(database, START + timedelta(days=1))
    assert folder_of(database, ours) == ours
    assert folder_of(database, ours) == ours
    theirs.mkdir()
    (theirs / ".ledger").write_text("8d3c1c52-0000-4000-8000-000000000000")
    beside = folder_of(database, theirs)
    assert beside.parent == tmp_path
    assert beside.name.startswith("theirs-")
    assert folder_of(database, theirs) == beside
    nudge(database, beside)
    assert not (theirs / "2017-05-01").exists()
    assert (beside / "2017-05-01" / "_night.html").exists()
    assert sorted(path.name for path in theirs.iterdir()) == [".ledger"]
    (tmp_path / "no folder").write_text("")
    assert folder_of(database, tmp_path / "no folder") == tmp_path / "no folder"


def test_a_night_that_cannot_be_written_keeps_no_other_back(
    database: Engine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Of three nights the second contradicts itself: it is logged, the others have their files."""
    business_until(database, START + timedelta(days=3))
    with database.begin() as connection:
        now = network_now(connection)
    clear_due(database, now)
    with as_owner(database) as connection:
        connection.execute(
            text(
                "UPDATE net_position SET exact = exact + 1 WHERE window_id = 20170502 AND participant_id = 11"
            )
        )
    nudge(database, tmp_path)
    assert sorted(path.parent.name for path in tmp_path.glob("*/_night.html")) == ["2017-05-01", "2017-05-03"]
    assert "the night of window 20170502 was not written" in caplog.text


def test_writing_stops_between_nights_when_asked(database: Engine, tmp_path: Path) -> None:
    """A worker that is told to end leaves the nights to come for the next one."""
    business_until(database, START + timedelta(days=3))
    with database.begin() as connection:
        now = network_now(connection)
    clear_due(database, now)
    answers = iter([False, True])
    written = write_missing_nights(database, tmp_path, lambda: next(answers))
    assert [folder.name for folder in written] == ["2017-05-01"]


def test_a_folder_that_cannot_be_made_raises_nothing(
    database: Engine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the folder should be there is a file: every night is logged, and the worker goes on."""
    business_until(database, START + timedelta(days=1))
    (tmp_path / "file").write_text("")
    nudge(database, tmp_path / "file")
    assert settled(database) == [20170501]
    assert "was not written" in caplog.text


def test_a_nudge_that_fails_is_logged_and_the_next_one_works(
    database: Engine, owner_database: Engine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Contract terms that cannot be priced stop no worker; mended, the next nudge settles the night."""
    business_until(database, START + timedelta(days=1))
    rename = "UPDATE posting SET issuer_terms = issuer_terms + :by"
    with owner_database.begin() as connection:
        connection.execute(text("ALTER TABLE posting DISABLE TRIGGER USER"))
        connection.execute(text(rename), {"by": 8})
    nudge(database, tmp_path)
    assert "a night was not settled" in caplog.text
    assert "postings name terms 9 of partner" in caplog.text
    assert settled(database) == []
    with owner_database.begin() as connection:
        connection.execute(text(rename), {"by": -8})
    nudge(database, tmp_path)
    assert settled(database) == [20170501]


def test_a_nudge_seals_what_is_settled_with_the_key_there_is(database: Engine, tmp_path: Path) -> None:
    """Without a key the night is settled all the same; with one, the next nudge seals both nights.

    The statements of both, the one that was there already among them, then show their seals.
    """
    business_until(database, START + timedelta(days=1))
    nudge(database, tmp_path)
    assert settled(database) == [20170501]
    assert "Not sealed yet." in (tmp_path / "2017-05-01" / "grocer.html").read_text()
    with database.begin() as connection:
        set_clock(connection, START + timedelta(days=2))
    signer = Signer(Ed25519PrivateKey.generate())
    nudge(database, tmp_path, find_signer=lambda: signer)
    with database.connect() as connection:
        seals = load_seals(connection)
    assert [(seal.window_id, seal.tree_size, seal.key_id) for seal in seals] == [
        (20170501, 1, signer.key_id),
        (20170502, 0, signer.key_id),
    ]
    for day, seal in zip(("2017-05-01", "2017-05-02"), seals, strict=True):
        assert seal.root.hex() in (tmp_path / day / "grocer.html").read_text()


def test_a_nudge_makes_the_partitions_that_will_be_needed(database: Engine, tmp_path: Path) -> None:
    """Two months ahead of the network's clock, however far that has gone."""
    business_until(database, datetime(2018, 4, 20, tzinfo=UTC))
    nudge(database, tmp_path, stop=lambda: True)
    with database.connect() as connection:
        made = [
            connection.execute(text("SELECT to_regclass(:leaf)"), {"leaf": leaf}).scalar_one() is not None
            for leaf in ("posting_p201804", "entry_p201806", "posting_p201806", "posting_p201807")
        ]
    assert made == [True, True, True, False]


def test_a_database_without_a_network_is_refused(database: Engine, tmp_path: Path) -> None:
    """The worker says so instead of waiting for ever."""
    with pytest.raises(NotReady, match="holds no network"):
        run_worker(database, tmp_path)


def test_nudges_come_every_minute_and_at_the_local_cut_off() -> None:
    """Tallinn's cut-off at 03:30 is 00:30 UTC in summer and 01:30 in winter; between them, every minute."""
    network = Network(name="t", time_zone="Europe/Tallinn", cut_off=local_time(3, 30), currency="EUR")
    summer = next_nudges(network, datetime(2017, 7, 1, 0, 28, 50, tzinfo=UTC), 3)
    assert [at.astimezone(UTC).strftime("%H:%M:%S") for at in summer] == ["00:29:50", "00:30:00", "00:31:00"]
    winter = next_nudges(network, datetime(2017, 12, 1, 1, 29, 30, tzinfo=UTC), 1)
    assert [at.astimezone(ZoneInfo("Europe/Tallinn")).strftime("%H:%M:%S") for at in winter] == ["03:30:00"]
