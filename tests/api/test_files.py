"""Files: what is taken and what is not, each line's answer, the same file again, and what becomes of it."""

import errno
import gzip
import os
import signal
import stat
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from api.child import Server, running_server
from api.files import reading
from api.files.spool import Spooled
from api.problems import ProblemError
from network.batch import execute
from network.commands import Accrue
from network.rules import Rules
from network.service import set_clock
from partners import files
from tests.api.conftest import NDJSON, Till, a_sale, real_now
from tests.coalition import GROCER, PETROL, START, entry_of, sale
from tests.crash.site import children_of
from tests.integration.test_engine import assert_whole

Tills = Callable[[int], Till]
CSV = "text/csv"
HEAD = "type,reference,occurred_at,outlet,card,amount_minor,currency"


def sales(card: str, count: int, tag: str = "f") -> list[dict[str, Any]]:
    """Lines of sales of 5.00."""
    return [{"type": "accrual", **a_sale(card, 500, f"{tag}{n}")} for n in range(count)]


def ndjson(lines: list[dict[str, Any]]) -> bytes:
    """A file of lines."""
    return b"".join(msgspec.json.encode(line) + b"\n" for line in lines)


def row(card: str, reference: str, amount: str = "500") -> str:
    """A sale as a row of CSV."""
    return f"accrual,{reference},{START.isoformat()},main,{card},{amount},USD"


def lines_of(content: bytes) -> list[dict[str, Any]]:
    """The answers of a result."""
    return [msgspec.json.decode(line) for line in content.splitlines()]


def code_of(answer: Any) -> tuple[int, str]:
    """Status and code of a refusal."""
    return answer.status_code, answer.json()["code"]


def entries_of(database: Engine, kind: int = 2) -> int:
    """How many entries of a kind (sales) the ledger has."""
    with database.connect() as connection:
        count: int = connection.execute(
            text("SELECT count(*) FROM entry WHERE kind = :kind"), {"kind": kind}
        ).scalar_one()
    return count


def spooled(content: bytes) -> Spooled:
    """A body that was received."""
    file: SpooledTemporaryFile[bytes] = SpooledTemporaryFile(1 << 20)  # noqa: SIM115 - its caller closes it
    file.write(content)
    return Spooled(file)


def test_a_file_is_received_then_done_then_answered(till: Tills, database: Engine) -> None:
    """202 and an address; each line is answered in order; what is refused does not stop the others."""
    grocer = till(GROCER)
    card = grocer.enrol()["card"]
    lines = sales(card, 3)
    lines[1]["card"] = "6330001234567892"
    raw = ndjson(lines) + b'{"type":"accrual"}\n\n' + b"\xff\n" + ndjson(sales(card, 1, "last"))
    taken = grocer.batch(raw, idempotency_key="day-1")
    assert (taken["reference"], taken["lines"], taken["format"]) == ("day-1", 7, "ndjson")
    told = lines_of(grocer.answers(taken))
    assert [(one["line"], one["status"], one.get("code")) for one in told] == [
        (1, 201, None),
        (2, 422, "card_number_invalid"),
        (3, 201, None),
        (4, 422, "validation_failed"),
        (5, 400, "malformed_json"),
        (6, 400, "malformed_json"),
        (7, 201, None),
    ]
    assert [one["entry"]["balance"] for one in told if one["status"] == 201] == [5, 10, 15]
    state = grocer.get(f"/v1/batches/{taken['id']}").json()
    assert {name: state[name] for name in ("state", "answered", "accepted", "refused")} == {
        "state": "done",
        "answered": 7,
        "accepted": 3,
        "refused": 4,
    }
    with database.connect() as connection:
        assert list(files.faults(connection)) == []
        assert connection.execute(text("SELECT count(*) FROM file_part")).scalar_one() == 0
    assert_whole(database)


def test_the_same_file_is_the_same_batch(till: Tills, database: Engine) -> None:
    """By its reference, and without one by its content; other content under a reference is refused."""
    grocer = till(GROCER)
    card = grocer.enrol()["card"]
    raw = ndjson(sales(card, 2))
    first = grocer.batch(raw, idempotency_key="a")
    assert grocer.answers(first) == grocer.answers(grocer.batch(raw, idempotency_key="a"))
    packed = grocer.batch(gzip.compress(raw), idempotency_key="a", content_encoding="gzip")
    assert packed["id"] == first["id"]
    other = ndjson(sales(card, 3))
    refused = grocer.send("POST", "/v1/batches", other, content_type=NDJSON, idempotency_key="a")
    assert code_of(refused) == (422, "reference_reused")
    unnamed = grocer.batch(raw)
    assert unnamed["id"] != first["id"]
    assert grocer.batch(raw)["id"] == unnamed["id"]
    again = lines_of(grocer.answers(unnamed))
    assert [(one["status"], one["replayed"]) for one in again] == [(201, True)] * 2
    assert entries_of(database) == 2


def test_another_partners_file_is_not_there(till: Tills) -> None:
    """404 for its state and its result; and both may use the same reference."""
    grocer, petrol = till(GROCER), till(PETROL)
    raw = ndjson(sales(grocer.enrol()["card"], 1))
    mine, theirs = (one.batch(raw, idempotency_key="a") for one in (grocer, petrol))
    assert mine["id"] != theirs["id"]
    for target in (
        f"/v1/batches/{mine['id']}",
        mine["result"],
        "/v1/batches/bat_1",
        f"/v1/batches/{'a' * 36}",
    ):
        assert code_of(petrol.get(target)) == (404, "batch_unknown")


def test_csv_is_read_strictly(till: Tills) -> None:
    """A byte order mark, CRLF and quotes are taken; a line that can be read in two ways is refused alone."""
    grocer = till(GROCER)
    card = grocer.enrol()["card"]
    rows = [
        row(card, "c1"),
        row(card, "c2").replace("main", '"main"'),
        row(card, "c3", "0500"),
        row(card, "c4", "5.00"),
        row(card, "c5") + ",",
        row(card, 'c"6'),
        row(card, '"c7'),
        row(card, "=1+1"),
        row(card, "c9").replace("accrual", "sale"),
        row(card, "c\xff").encode("latin-1").decode("utf-8", "surrogateescape"),
    ]
    raw = "\r\n".join(["\N{BYTE ORDER MARK}" + HEAD, *rows]).encode("utf-8", "surrogateescape")
    told = lines_of(grocer.answers(grocer.batch(raw, CSV), "wait=30&format=ndjson"))
    assert [(one["status"], one.get("code")) for one in told] == [
        (201, None),
        (201, None),
        (422, "validation_failed"),
        (422, "validation_failed"),
        (400, "malformed_csv"),
        (400, "malformed_csv"),
        (400, "malformed_csv"),
        (201, None),
        (422, "validation_failed"),
        (400, "malformed_csv"),
    ]
    assert told[2]["errors"] == [{"pointer": "/amount_minor", "code": "invalid"}]


def test_csv_has_all_kinds_of_lines(till: Tills) -> None:
    """Empty cells are fields that are not there; lines of a sale are numbers with spaces between them."""
    grocer = till(GROCER)
    card = grocer.enrol()["card"]
    at = START.isoformat()
    raw = (
        "type,reference,occurred_at,outlet,card,amount_minor,currency,lines,points,category\n"
        f"accrual,a,{at},main,{card},1250,USD,999 251,,\n"
        f"redemption,r,{at},main,{card},5,USD,,5,\n"
        f"enrolment,e,{at},,,,,,,\n"
        f"enrolment,x,{at},main,,,,,,\n"
    )
    told = grocer.answers(grocer.batch(raw.encode(), CSV)).decode().splitlines()
    assert told[0] == (
        "line,status,code,detail,errors,replayed,id,kind,reference,points,balance,occurred_at,recorded_at,"
        "business_date,outlet,amount_minor,currency,reverses,hold,accrual,parent,invitation,pooled,pending,"
        "cured,owed,offline,shortfall,status_points,value_minor,bonus_minor,"
        "plan_from,plan_until,discount_minor,member,card,voucher,voucher_code,valid_from,valid_until"
    )
    cells = [dict(zip(told[0].split(","), one.split(","), strict=True)) for one in told[1:]]
    kinds = [(one["status"], one["kind"], one["points"]) for one in cells[:3]]
    assert kinds == [("201", "accrual", "12"), ("201", "redemption", "-5"), ("201", "enrolment", "0")]
    assert cells[2]["card"].startswith("6330")
    assert (cells[3]["status"], cells[3]["code"]) == ("422", "validation_failed")


def test_no_cell_that_we_write_is_a_formula(till: Tills) -> None:
    """A reference that begins like one has an apostrophe before it; a number below zero is a number."""
    grocer = till(GROCER)
    card = grocer.enrol()["card"]
    lines = [{"type": "accrual", **a_sale(card, 500, reference)} for reference in ("=1+1", "@x", "ok")]
    spent = {"type": "redemption", **a_sale(card, 5, "-5"), "points": 5}
    taken = grocer.batch(ndjson([*lines, spent]))
    told = [one.split(",") for one in grocer.answers(taken, "wait=30&format=csv").decode().splitlines()]
    place = told[0].index("reference")
    assert [one[place] for one in told[1:]] == ["'=1+1", "'@x", "ok", "'-5"]
    assert told[4][place + 1] == "-5"
    assert grocer.get(f"{taken['result']}?format=csv").headers["content-type"] == "text/csv; charset=utf-8"


@pytest.mark.parametrize(
    ("header", "named"),
    [
        ("type,reference,occurred_at,price", "'price' is no column"),
        ("type,reference,occurred_at,card,card", "'card' stands twice"),
        ("type,reference", "'occurred_at' is missing"),
        ('type,"reference,occurred_at', "not CSV"),
        ("type;reference;occurred_at", "'type;reference;occurred_at' is no column"),
        ("", "'type' is missing"),
        ("x" * 5_000, "more than 4,096 bytes"),
    ],
)
def test_a_header_says_what_it_must(till: Tills, header: str, named: str) -> None:
    """An unknown, doubled or missing column: the whole file is refused, and says which."""
    answer = till(GROCER).send("POST", "/v1/batches", f"{header}\na,b,c\n".encode(), content_type=CSV)
    assert code_of(answer) == (422, "file_unreadable")
    assert named in answer.json()["detail"]


def test_what_is_no_file_is_told_so_and_leaves_nothing(till: Tills, database: Engine) -> None:
    """Empty, of another type, a header alone, packed badly or beyond measure, changed: nothing is kept."""
    grocer = till(GROCER)

    def send(raw: bytes, content_type: str = NDJSON, **signing: Any) -> Any:
        return grocer.send("POST", "/v1/batches", raw, content_type=content_type, **signing)

    line = ndjson(sales("6330001234567895", 1))
    packed = gzip.compress(line)
    assert code_of(send(b"")) == (415, "media_type_unsupported")
    assert code_of(send(HEAD.encode(), CSV)) == (422, "file_unreadable")
    assert code_of(send(line, "application/json")) == (415, "media_type_unsupported")
    assert code_of(send(line, idempotency_key="k" * 129)) == (422, "validation_failed")
    for broken in (line, packed[:-9], packed + b"more", b"\x1f\x8b" + bytes(40)):
        assert code_of(send(broken, content_encoding="gzip")) == (400, "malformed_gzip")
    bomb = gzip.compress(bytes(8 << 20), 9)
    assert code_of(send(bomb, content_encoding="gzip")) == (413, "body_too_large")
    assert code_of(send(gzip.compress(b"\n" * 100_001), content_encoding="gzip")) == (413, "body_too_large")
    changed = grocer.client.post("/v1/batches", content=line + b" ", headers=signed_file(grocer, line))
    assert code_of(changed) == (401, "digest_mismatch")
    with database.connect() as connection:
        for table in ("file_batch", "file_part", "file_answer"):
            assert connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() == 0


def signed_file(till: Till, raw: bytes, authority: str = "api.example.com") -> dict[str, str]:
    """The fields of a signed file."""
    from tests.signing import sign_request  # noqa: PLC0415 - beside its only use

    return sign_request(
        till.private_key,
        till.key_id,
        method="POST",
        authority=authority,
        path="/v1/batches",
        body=raw,
        content_type=NDJSON,
        created=int(real_now().timestamp()),
    )


@given(
    st.lists(st.one_of(st.binary(max_size=60), st.just(b"y" * 20_000)), min_size=1, max_size=30),
    st.integers(1, 200),
    st.sampled_from([40, 100, 300_000]),
)
def test_lines_survive_any_packing_and_cutting(pieces: list[bytes], piece: int, part: int) -> None:
    """However a file is packed and read, its lines are the same, the longest cut at the same place."""
    content = b"\n".join(pieces)
    expected = [one[: reading.LONGEST_LINE + 1] for one in content.split(b"\n")]
    if not expected[-1]:
        expected.pop()
    if not expected:
        return
    with pytest.MonkeyPatch.context() as changed:
        changed.setattr(reading, "_PIECE", piece * 97)
        changed.setattr(reading, "PART_BYTES", part)
        for body, gzipped in (
            (content, False),
            (gzip.compress(content[:50]) + gzip.compress(content[50:]), True),
        ):
            file = spooled(body)
            looked = reading.look_through(file, "ndjson", gzipped=gzipped)
            assert looked.lines == len(expected)
            found: list[bytes] = []
            for first, one in reading.parts(file, "ndjson", gzipped=gzipped):
                assert first == len(found) + 1
                found += reading.split(one)
            assert found == expected
            file.file.close()


def test_a_bomb_is_refused_before_it_has_gone_off() -> None:
    """Of 300 MB of zeros only what a file may be is ever unpacked, and no more than a piece at a time."""
    bomb = gzip.compress(bytes(300 << 20), 9)
    file = spooled(bomb)
    unpacked = reading._Unpacked(file.file)

    def pieces() -> Iterator[int]:
        while piece := unpacked.read(1 << 16):
            yield len(piece)

    sizes: list[int] = []
    with pytest.raises(ProblemError, match="body_too_large"):
        sizes.extend(pieces())
    assert max(sizes, default=0) <= 1 << 16
    assert sum(sizes) <= 8 << 20
    file.file.close()


def test_a_spooled_file_is_nobodys_but_ours(
    till: Tills, database: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it is read it has no name and is its owner's alone; a full disk is told, and harms nothing."""
    seen: list[os.stat_result] = []
    look_through = reading.look_through

    def seen_through(file: Spooled, *how: Any, **more: Any) -> Any:
        seen.append(os.fstat(file.file.fileno()))
        return look_through(file, *how, **more)

    monkeypatch.setattr(reading, "look_through", seen_through)
    grocer = till(GROCER)
    raw = ndjson(sales(grocer.enrol()["card"], 2_000))
    assert len(raw) > 256 << 10
    taken = grocer.batch(raw)
    assert [(stat.S_IMODE(one.st_mode), one.st_nlink, one.st_size) for one in seen] == [(0o600, 0, len(raw))]
    assert len(lines_of(grocer.answers(taken))) == 2_000

    def full(spooled: Spooled, pieces: list[bytes]) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("api.files.spool._write", full)
    answer = grocer.send("POST", "/v1/batches", raw + raw, content_type=NDJSON)
    assert (code_of(answer), answer.headers["retry-after"]) == ((507, "storage_full"), "300")
    assert entries_of(database) == 2_000


def test_too_many_files_wait(till: Tills, database: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A partner whose files are not carried out is told so, no other; nothing of it is stored."""
    monkeypatch.setattr(files, "MOST_WAITING", 1)
    monkeypatch.setattr("partners.files.claim", lambda connection, partner_id: False)
    grocer, petrol = till(GROCER), till(PETROL)
    grocer.batch(b"{}\n")
    answer = grocer.send("POST", "/v1/batches", b"{} \n", content_type=NDJSON)
    assert (code_of(answer), answer.headers["retry-after"]) == ((429, "files_waiting"), "30")
    assert petrol.batch(b"{}\n")["state"] == "received"
    waits = grocer.get(f"{grocer.batch(b'{}' + bytes([10]))['result']}?wait=1")
    assert (code_of(waits), waits.headers["retry-after"]) == ((409, "batch_not_done"), "1")
    with database.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM file_batch")).scalar_one() == 2


def test_answers_are_kept_for_a_month(till: Tills, database: Engine) -> None:
    """To the last hour they are there; then they are gone, which is said; after 400 days none knows it."""
    grocer = till(GROCER)
    taken = grocer.batch(ndjson(sales(grocer.enrol()["card"], 1)))
    grocer.answers(taken)

    def later(**after: Any) -> Any:
        with database.begin() as connection:
            set_clock(connection, START + timedelta(**after))
            at = START + timedelta(**after)
            files.expire(connection, at)
        return grocer.get(taken["result"])

    assert later(days=30, hours=23).status_code == 200
    gone = later(days=31, seconds=1)
    assert code_of(gone) == (410, "batch_expired")
    assert grocer.get(f"/v1/batches/{taken['id']}").json()["state"] == "done"
    with database.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM file_answer")).scalar_one() == 0
        assert list(files.faults(connection)) == []
    assert code_of(later(days=399)) == (410, "batch_expired")
    assert code_of(later(days=401)) == (404, "batch_unknown")


def test_a_locked_row_and_a_broken_line_hold_no_file_up(
    till: Tills, database: Engine, live: Rules, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line that breaks something is told so, and its neighbours are carried out."""
    from network import decide  # noqa: PLC0415 - its table is what is broken

    grocer = till(GROCER)
    card = grocer.enrol()["card"]
    rule = decide.RULES[Accrue]

    def breaks(folded: Any, command: Any, minted: Any, rules: Any) -> Any:
        if command.reference == "f1":
            raise ZeroDivisionError
        return rule(folded, command, minted, rules)

    monkeypatch.setitem(decide.RULES, Accrue, breaks)
    told = grocer.file(sales(card, 3))
    assert [one["status"] for one in told] == [201, 500, 201]
    monkeypatch.undo()
    assert entry_of(execute(database, [sale(int(card), 500, "f1")], live)[0]).points == 5


@pytest.fixture
def served(database: Engine, database_url: str, tmp_path: Path) -> Callable[[], Any]:
    """Starts servers of their own on the test's ledger."""
    environment = {"TESSERA_DATABASE_URL": database_url, "TESSERA_SCHEMA": "tessera"}
    return lambda: running_server(environment, tmp_path / "api.log")


def post_file(server: Server, till: Till, raw: bytes) -> dict[str, Any]:
    """Post a file to a server of its own."""
    answer = httpx.post(
        f"{server.base_url}/v1/batches",
        content=raw,
        headers=signed_file(till, raw, server.authority),
        timeout=60,
    )
    assert answer.status_code == 202, answer.text
    taken: dict[str, Any] = answer.json()
    return taken


def answered(database: Engine) -> int:
    """Lines whose answers are noted."""
    with database.connect() as connection:
        lines: int = connection.execute(
            text("SELECT coalesce(max(answered), 0) FROM file_batch")
        ).scalar_one()
    return lines


def until(true: Callable[[], bool]) -> None:
    """Wait for something that must come about."""
    deadline = time.monotonic() + 90
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_file_survives_who_carries_it_out(
    till: Tills, database: Engine, served: Callable[[], Any], live: Rules
) -> None:
    """SIGKILL to its lane, then to the server; who comes next goes on, and nothing is done twice."""
    grocer = till(GROCER)
    card = grocer.enrol()["card"]
    count = 6_000
    raw = ndjson(sales(card, count))
    grocer.client.__exit__(None, None, None)  # the fixture's own server would carry it out
    with served() as server:
        taken = post_file(server, grocer, raw)
        until(lambda: entries_of(database) > 0)
        for lane in children_of(server.process_id):
            os.kill(lane, signal.SIGKILL)
        assert answered(database) < count
        until(lambda: entries_of(database) > 1_000)
        server.kill()
        assert post_again(taken, database)
    with served() as server:
        until(lambda: answered(database) == count)
        assert post_file(server, grocer, raw)["id"] == taken["id"]
    assert entries_of(database) == count
    with database.connect() as connection:
        assert list(files.faults(connection)) == []
        batch = files.find(connection, GROCER, files_id(taken))
        assert batch is not None
        told: list[dict[str, Any]] = []
        while len(told) < count:
            found = files.answers_from(connection, batch, len(told) + 1)
            assert found is not None
            told += lines_of(found[1])
    assert [(one["line"], one["status"]) for one in told] == [(n + 1, 201) for n in range(count)]
    assert [one["entry"]["reference"] for one in told] == [f"f{n}" for n in range(count)]
    del live


def files_id(taken: dict[str, Any]) -> Any:
    """The id behind a file's public one."""
    from network import ids  # noqa: PLC0415 - beside its only use

    return ids.read("bat", taken["id"])


def post_again(taken: dict[str, Any], database: Engine) -> bool:
    """Whether the file is in the database whole, though who took it is gone."""
    with database.connect() as connection:
        batch = files.find(connection, GROCER, files_id(taken))
        return batch is not None and batch.lines == taken["lines"]


def test_of_two_servers_one_carries_a_file_out(
    till: Tills, database: Engine, served: Callable[[], Any], live: Rules
) -> None:
    """Whoever takes it, one does it, and both know when it is done."""
    grocer = till(GROCER)
    card = grocer.enrol()["card"]
    raw = ndjson(sales(card, 2_000))
    with served() as server:
        taken = post_file(server, grocer, raw)
        here = lines_of(grocer.answers(taken))
        assert [one["status"] for one in here] == [201] * 2_000
        assert not any(one.get("replayed") for one in here)
    assert entries_of(database) == 2_000
    del live


def test_a_claim_is_one_connections(database: Engine) -> None:
    """A partner's files are one connection's at a time, and another's once it has ended."""
    with database.connect() as other:
        with database.connect() as first:
            first.detach()
            assert files.claim(first, GROCER)
            assert not files.claim(other, GROCER)
            assert files.claim(other, PETROL)
        until(lambda: files.claim(other, GROCER))
        other.detach()


def test_times_of_files_are_the_networks(till: Tills) -> None:
    """Received and kept by the network's clock, which a demo or test sets."""
    grocer = till(GROCER)
    taken = grocer.batch(ndjson(sales(grocer.enrol()["card"], 1)))
    grocer.answers(taken)
    state = grocer.get(f"/v1/batches/{taken['id']}").json()
    kept = datetime.fromisoformat(state["result_until"]) - datetime.fromisoformat(state["finished_at"])
    assert (kept, datetime.fromisoformat(state["received_at"]).astimezone(UTC)) == (timedelta(days=31), START)
