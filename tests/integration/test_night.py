"""The night on a real PostgreSQL: exact, idempotent, resumable, and one result however many workers race."""

import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random

import msgspec
import pytest
from sqlalchemy import Engine, text

from config.database import make_engine
from network import tables
from network.bulk import insert_from_arrays, insert_rows
from network.errors import WindowOrder
from network.ids import mint
from network.model import NEVER, EntryKind
from network.service import Network, create_network, open_first_window, window_id_of
from partners.model import Participant, Terms
from partners.store import add_participants, add_terms
from settlement import store
from settlement.errors import NightOutOfOrder, PositionsNotZero, RateMissing
from settlement.model import NightResult
from settlement.reports.night import write_operator_report
from settlement.service import clear, clear_due, close_step, net_step, price_step
from tests.conftest import SCHEMA, Run, database_on
from tests.factories import (
    ACCEPTED,
    ISSUED,
    LAPSED,
    MEMBER,
    OPERATOR,
    POOL,
    A,
    B,
    C,
    D,
    contract,
    owed,
    row,
)

FIRST = date(2017, 5, 1)
OPENED = datetime(2017, 5, 1, tzinfo=UTC)
OVER = datetime(2017, 5, 2, tzinfo=UTC)
"""The cut-off of the first business date."""
PROGRAMME = 1


@pytest.fixture
def second_database(server: Run) -> Iterator[Engine]:
    """Another database like `database`, to compare with."""
    with database_on(server, template=server.template) as url:
        engine = make_engine(url, schema=SCHEMA)
        yield engine
        engine.dispose()


class Movement(msgspec.Struct, frozen=True):
    """An entry with one posting, or with none where `points` is 0."""

    kind: EntryKind
    partner_id: int
    points: int
    issuer: int
    acceptor: int | None = None
    issuer_terms: int = 1


def sale(issuer: int, points: int, *, issuer_terms: int = 1) -> Movement:
    """Points issued at the issuer's own till."""
    return Movement(EntryKind.ACCRUAL, issuer, points, issuer, issuer_terms=issuer_terms)


def burn(issuer: int, acceptor: int, points: int) -> Movement:
    """Points of an issuer accepted at a till."""
    return Movement(EntryKind.REDEMPTION, acceptor, points, issuer, acceptor)


def lapse(issuer: int, points: int) -> Movement:
    """Points that expired."""
    return Movement(EntryKind.EXPIRY, OPERATOR, points, issuer)


def set_up(
    database: Engine,
    terms: Sequence[Terms],
    *,
    time_zone: str = "Etc/UTC",
    cut_off: time = time(),
    first: date = FIRST,
) -> None:
    """A network of four partners whose first window is 1 May 2017, unless said otherwise."""
    with database.begin() as connection:
        create_network(
            connection,
            Network(
                name="test",
                time_zone=time_zone,
                cut_off=cut_off,
                currency="EUR",
                clock=datetime.combine(first, time(), tzinfo=UTC),
            ),
        )
        add_participants(
            connection,
            [
                Participant(partner_id=OPERATOR, code="operator", name="Operator", kind="operator"),
                Participant(partner_id=POOL, code="pool", name="Pool", kind="pool"),
                *(Participant(partner_id=one, code=f"p{one}", name=f"Partner {one}") for one in (A, B, C, D)),
            ],
        )
        add_terms(connection, terms, prepared_by="maker", activated_by="checker")
        open_first_window(connection, first, datetime.combine(first, time(), tzinfo=UTC))


_ACCOUNTS = {
    EntryKind.ACCRUAL: (ISSUED, MEMBER),
    EntryKind.REDEMPTION: (MEMBER, ACCEPTED),
    EntryKind.EXPIRY: (MEMBER, LAPSED),
}


def post(
    database: Engine, movements: Sequence[Movement], *, on: date = FIRST, at: datetime | None = None
) -> None:
    """Write movements into a window as they come, each by a member of its own; at noon unless said."""
    at = datetime.combine(on, time(12), tzinfo=UTC) if at is None else at
    entries: list[dict[str, object]] = []
    postings: list[dict[str, object]] = []
    for member_id, one in enumerate(movements, start=1):
        entry_id = mint(at, member_id)
        debit, credit = _ACCOUNTS[one.kind]
        entries.append(
            {
                "member_id": member_id,
                "entry_id": entry_id,
                "kind": int(one.kind),
                "partner_id": one.partner_id,
                "window_id": window_id_of(on),
                "programme_version": PROGRAMME,
                "points": one.points if credit == MEMBER else -one.points,
                "balance_after": 0,
                "amount_minor": 100,
                "occurred_at": at,
                "recorded_at": at,
                "reference": f"{on} {member_id}",
            }
        )
        if one.points:
            postings.append(
                {
                    "member_id": member_id,
                    "entry_id": entry_id,
                    "line": 1,
                    "debit": int(debit),
                    "credit": int(credit),
                    "points": one.points,
                    "issuer_id": one.issuer,
                    "issuer_terms": one.issuer_terms,
                    "acceptor_id": one.acceptor,
                    "acceptor_terms": None if one.acceptor is None else 1,
                    "category": 0,
                    "unit": 1,
                    "window_id": window_id_of(on),
                    "spendable_on": FIRST,
                    "expires_on": NEVER,
                }
            )
    with database.begin() as connection:
        for table, rows in ((tables.entry, entries), (tables.posting, postings)):
            if rows:
                arrays = {name: [one[name] for one in rows] for name in rows[0]}
                insert_rows(connection, insert_from_arrays(table, tuple(arrays)), arrays)


def clear_first(database: Engine) -> NightResult:
    """Settle the first business date at its cut-off."""
    return clear(database, FIRST, at=OVER, programme_version=PROGRAMME)


def finals(night: NightResult) -> dict[int, int]:
    """Final positions that are not zero, in cents."""
    return {one.participant_id: one.final_minor for one in night.positions if one.final_minor}


WORKED_TERMS = [
    contract(partner_id, rate=rate, per_point="0.0004", per_transaction="0.015", bps="125", vat_bps=2000)
    for partner_id, rate in ((A, "0.0080"), (B, "0.0075"), (C, "0.0085"), (D, "0.0070"))
]
WORKED_BURNS = {
    (A, B): 125_001,
    (A, C): 40_333,
    (A, D): 8_750,
    (B, A): 98_765,
    (B, C): 33_333,
    (B, D): 12_345,
    (C, A): 61_111,
    (C, B): 77_777,
    (C, D): 4_321,
    (D, A): 10_007,
    (D, B): 20_021,
    (D, C): 55_555,
}
WORKED_SALES = {A: (300_000, 412), B: (150_000, 530), C: (90_001, 287), D: (60_007, 61)}


def worked_night() -> list[Movement]:
    """The worked night as single movements: points in uneven parts, transactions as many as it says."""
    movements = [burn(issuer, acceptor, points) for (issuer, acceptor), points in WORKED_BURNS.items()]
    for partner_id, (points, transactions) in WORKED_SALES.items():
        sales = transactions - sum(acceptor == partner_id for _, acceptor in WORKED_BURNS)
        movements += [sale(partner_id, 1)] * (sales - 2)
        movements += [sale(partner_id, 0), sale(partner_id, points - (sales - 2))]
    return movements


def test_worked_night_comes_out_to_the_cent(database: Engine) -> None:
    """From single postings to payments: gross, nets, fees, VAT, positions, each as worked by hand."""
    set_up(database, WORKED_TERMS)
    post(database, worked_night())
    night = clear_first(database)
    assert (night.gross, night.bilateral, night.multilateral) == (
        Decimal("4306.3470"),
        Decimal("1117.9610"),
        Decimal("528.6030"),
    )
    assert finals(night) == {OPERATOR: 37583, A: -15432, B: 40452, C: -6894, D: -55709}
    assert night.payment_minor == 78035
    assert {one.participant_id: (one.fee_minor, one.vat_minor, one.exact) for one in night.positions} == {
        OPERATOR: (-31319, -6264, Decimal("375.83")),
        POOL: (0, 0, Decimal(0)),
        A: (14317, 2863, Decimal("-154.3240")),
        B: (8884, 1777, Decimal("404.5170")),
        C: (5404, 1081, Decimal("-68.9340")),
        D: (2714, 543, Decimal("-557.0890")),
    }


POOLED_TERMS = [
    contract(A, share="1", price="0.0100", rate="0.0080"),
    contract(B, share="0", price="0.0100", rate="0.0075"),
    contract(C, share="0.5", price="0.0090", rate="0.0095"),
    contract(D, share="1", price="0.0098", rate="0.0090", breakage_to="issuer"),
]


def test_partners_that_fund_on_issue_and_on_redeem_share_a_night(database: Engine) -> None:
    """Obligations of every kind in one window, and the pool left with what is outstanding is worth."""
    set_up(database, POOLED_TERMS)
    post(
        database,
        [
            *(sale(A, 10_000), sale(B, 10_000), sale(C, 10_000), sale(D, 10_000)),
            *(burn(A, B, 2_000), burn(B, A, 2_000), burn(C, A, 1_000), burn(A, C, 400), burn(B, B, 300)),
            *(lapse(A, 100), lapse(C, 200), lapse(D, 500)),
        ],
    )
    night = clear_first(database)
    assert [row(one) for one in night.obligations] == [
        owed("issue", A, POOL, 10_000, "100.00"),
        owed("issue", C, POOL, 10_000, "45.00"),
        owed("issue", D, POOL, 10_000, "98.00"),
        owed("lapse", POOL, OPERATOR, 300, "1.90"),
        owed("lapse", POOL, D, 500, "4.90"),
        owed("margin", POOL, OPERATOR, 3_400, "5.70"),
        owed("redemption", POOL, A, 1_000, "4.00"),
        owed("redemption", POOL, B, 2_000, "15.00"),
        owed("redemption", POOL, C, 400, "3.80"),
        owed("redemption", B, A, 2_000, "16.00"),
        owed("redemption", B, B, 300, "2.25"),
        owed("redemption", C, A, 1_000, "4.00"),
    ]
    # Outstanding: A 7,500 at .0100, C 8,800 at .0045, D 9,500 at .0098.
    assert finals(night) == {POOL: 20_770, OPERATOR: 760, A: -7_600, B: -100, C: -4_520, D: -9_310}


def test_worked_breakage_comes_out_of_two_nights(database: Engine) -> None:
    """50,000 points of A lapse, 400.00: the operator has 60 %, the rest goes by what was accepted in May."""
    with_breakage = msgspec.structs.replace(
        contract(A, share="1", price="0.0080", rate="0.0080", breakage_to="acceptors"),
        breakage_operator_share=Decimal("0.6"),
    )
    last_of_may, first_of_june = date(2017, 5, 31), date(2017, 6, 1)
    set_up(database, [with_breakage, *(contract(one) for one in (B, C, D))], first=last_of_may)
    post(database, [burn(A, B, 30_000), burn(A, C, 12_345), burn(A, D, 7_655)], on=last_of_may)
    clear_due(database, datetime(2017, 6, 1, tzinfo=UTC), programme_version=PROGRAMME)
    post(database, [lapse(A, 50_000)], on=first_of_june)
    [night] = clear_due(database, datetime(2017, 6, 2, tzinfo=UTC), programme_version=PROGRAMME)
    assert {one.creditor_id: one.amount for one in night.obligations} == {
        OPERATOR: Decimal("240.00"),
        B: Decimal("96.00"),
        C: Decimal("39.50"),
        D: Decimal("24.50"),
    }
    assert finals(night) == {POOL: -40000, OPERATOR: 24000, B: 9600, C: 3950, D: 2450}


def test_clearing_again_changes_nothing(database: Engine) -> None:
    """The second time gives the same value, the same hashes, and writes no row."""
    set_up(database, WORKED_TERMS)
    post(database, worked_night())
    night = clear_first(database)
    rows = counts(database)
    assert clear(database, FIRST, at=OVER + timedelta(days=9), programme_version=2) == night
    assert counts(database) == rows
    assert set(night.hashes) == {"closed", "priced", "netted"}
    assert all(len(sha256) == 32 for sha256 in night.hashes.values())


def test_the_order_of_postings_does_not_show(database: Engine, second_database: Engine) -> None:
    """The same window, written in another order into another database, has the same hashes."""
    shuffled = worked_night()
    Random(7).shuffle(shuffled)
    nights = []
    for engine, movements in ((database, worked_night()), (second_database, shuffled)):
        set_up(engine, WORKED_TERMS)
        post(engine, movements)
        nights.append(clear_first(engine))
    assert nights[0].hashes == nights[1].hashes
    assert nights[0] == nights[1]


def test_another_window_has_other_hashes(database: Engine, second_database: Engine) -> None:
    """One point more is seen by the hashes of pricing and netting."""
    nights = []
    for engine, points in ((database, 1_000), (second_database, 1_001)):
        set_up(engine, WORKED_TERMS)
        post(engine, [burn(A, B, points)])
        nights.append(clear_first(engine))
    assert nights[0].hashes["closed"] == nights[1].hashes["closed"]
    assert nights[0].hashes["priced"] != nights[1].hashes["priced"]
    assert nights[0].hashes["netted"] != nights[1].hashes["netted"]


@pytest.mark.parametrize("done", [1, 2, 3])
def test_a_night_goes_on_at_the_first_step_not_done(
    database: Engine, second_database: Engine, done: int
) -> None:
    """Killed after any step, the night ends as it would have, with the same hashes."""
    for engine in (database, second_database):
        set_up(engine, WORKED_TERMS)
        post(engine, worked_night())
    steps: list[Callable[[], object]] = [
        lambda: close_step(database, FIRST, at=OVER),
        lambda: price_step(database, FIRST, at=OVER, programme_version=PROGRAMME),
        lambda: net_step(database, FIRST, at=OVER),
    ]
    for step in steps[:done]:
        step()
    assert clear_first(database) == clear_first(second_database)


def test_steps_do_not_run_ahead(database: Engine) -> None:
    """A window is priced only when it is closed, and netted only when it is priced."""
    set_up(database, WORKED_TERMS)
    with pytest.raises(NightOutOfOrder, match="not closed"):
        price_step(database, FIRST, at=OVER, programme_version=PROGRAMME)
    close_step(database, FIRST, at=OVER)
    with pytest.raises(NightOutOfOrder, match="not priced"):
        net_step(database, FIRST, at=OVER)


def test_two_workers_racing_make_one_result(database: Engine) -> None:
    """Eight at once: all report the same night, and every row is there once."""
    set_up(database, WORKED_TERMS)
    post(database, worked_night())
    together = threading.Barrier(8)
    nights: list[NightResult] = []
    failures: list[Exception] = []

    def work() -> None:
        together.wait()
        try:
            nights.append(clear_first(database))
        except Exception as error:  # handed to the test's own thread
            failures.append(error)

    workers = [threading.Thread(target=work) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert failures == []
    assert nights == [nights[0]] * 8
    assert counts(database) == {
        "settlement_run": 1,
        "settlement_step": 3,
        "window_total": 16,
        "window_activity": 8,
        "obligation": 12,
        "net_position": 6,
    }


def test_missed_nights_are_caught_up_in_order(database: Engine) -> None:
    """The open window belongs to the first date; the others run empty, and a date not over stays open."""
    set_up(database, WORKED_TERMS)
    post(database, worked_night())
    now = datetime(2017, 5, 4, 9, 30, tzinfo=UTC)
    nights = clear_due(database, now, programme_version=PROGRAMME)
    assert [night.business_date.isoformat() for night in nights] == ["2017-05-01", "2017-05-02", "2017-05-03"]
    assert [night.payment_minor for night in nights] == [78035, 0, 0]
    assert clear_due(database, now, programme_version=PROGRAMME) == []
    with database.connect() as connection:
        assert store.first_unsettled(connection) == store.Unsettled(date(2017, 5, 4), None)


def test_catching_up_finishes_what_was_begun(database: Engine) -> None:
    """A night that was killed after its close is settled before the dates after it."""
    set_up(database, WORKED_TERMS)
    post(database, worked_night())
    close_step(database, FIRST, at=OVER)
    with pytest.raises(NightOutOfOrder, match="2017-05-01 is closed and not settled"):
        clear(database, date(2017, 5, 2), at=OVER + timedelta(days=1), programme_version=PROGRAMME)
    nights = clear_due(database, OVER + timedelta(days=1), programme_version=PROGRAMME)
    assert [night.payment_minor for night in nights] == [78035, 0]


def test_catching_up_stops_between_nights_when_asked(database: Engine) -> None:
    """A worker that is told to end leaves whole nights only."""
    set_up(database, WORKED_TERMS)
    answers: Iterator[bool] = iter([False, False, True])
    nights = clear_due(
        database, OVER + timedelta(days=5), programme_version=PROGRAMME, stop=lambda: next(answers)
    )
    assert [night.business_date.day for night in nights] == [1, 2]


def test_dates_end_at_the_networks_local_cut_off(database: Engine) -> None:
    """Half past three in Tallinn, summer time: 1 May ends at 00:30 UTC on 2 May."""
    set_up(database, WORKED_TERMS, time_zone="Europe/Tallinn", cut_off=time(3, 30))
    early, due = (datetime(2017, 5, 2, 0, minute, tzinfo=UTC) for minute in (29, 30))
    assert clear_due(database, early, programme_version=PROGRAMME) == []
    with pytest.raises(WindowOrder, match="is not over"):
        clear(database, FIRST, at=early, programme_version=PROGRAMME)
    assert len(clear_due(database, due, programme_version=PROGRAMME)) == 1


def test_an_empty_night_is_a_night(database: Engine) -> None:
    """Every participant has a position of nothing, and the run is complete."""
    set_up(database, WORKED_TERMS)
    night = clear_first(database)
    assert [one.participant_id for one in night.positions] == [OPERATOR, POOL, A, B, C, D]
    assert finals(night) == {}
    assert (night.obligations, night.gross, night.payment_minor) == ((), Decimal(0), 0)
    assert set(night.hashes) == {"closed", "priced", "netted"}


def test_fees_are_rounded_on_the_month_to_date(database: Engine) -> None:
    """Half a cent a night: a cent every other night, and anew in the next month."""
    set_up(database, [contract(A, per_transaction="0.005"), contract(B)])
    charged = []
    for offset in range(34):
        on = FIRST + timedelta(days=offset)
        post(database, [sale(A, 1)], on=on)
        at = datetime.combine(on + timedelta(days=1), time(), tzinfo=UTC)
        night = clear(database, on, at=at, programme_version=PROGRAMME)
        charged += [one.fee_minor for one in night.positions if one.participant_id == A]
    assert charged[:31] == [1, 0] * 15 + [1]
    assert charged[31:] == [1, 0, 1]


def test_fractions_are_carried_from_night_to_night(database: Engine) -> None:
    """A third of a cent a night is paid when it has become one, and the books stay exact."""
    set_up(database, [contract(A), contract(B, rate="0.0033")])
    paid = []
    for offset in range(6):
        on = FIRST + timedelta(days=offset)
        post(database, [burn(A, B, 1)], on=on)
        at = datetime.combine(on + timedelta(days=1), time(), tzinfo=UTC)
        night = clear(database, on, at=at, programme_version=PROGRAMME)
        paid += [one.final_minor for one in night.positions if one.participant_id == B]
    assert paid == [0, 1, 0, 0, 1, 0]
    assert night.positions[-4].participant_id == A
    with database.connect() as connection:
        carried = connection.execute(
            text("SELECT carried_out FROM net_position WHERE participant_id = :b ORDER BY window_id"),
            {"b": B},
        )
        assert list(carried.scalars()) == [
            Decimal(fraction) for fraction in ("0.0033", "-0.0034", "-0.0001", "0.0032", "-0.0035", "-0.0002")
        ]


def test_a_step_that_fails_writes_nothing(database: Engine) -> None:
    """A VAT code without a rate stops the pricing; the run stays where it was, and can go on."""
    taxed = msgspec.structs.replace(contract(B), vat_codes=(("redemption", "STD"),))
    set_up(database, [contract(A), taxed])
    post(database, [burn(A, B, 1)])
    with pytest.raises(RateMissing, match="VAT code STD has no rate on"):
        clear_first(database)
    assert counts(database) == {
        "settlement_run": 1,
        "settlement_step": 1,
        "window_total": 0,
        "window_activity": 0,
        "obligation": 0,
        "net_position": 0,
    }


def test_a_fraction_that_got_lost_stops_the_next_night(database: Engine, owner_database: Engine) -> None:
    """Carried fractions that do not sum to zero would make money: nothing is netted, all stays."""
    set_up(database, WORKED_TERMS)
    post(database, worked_night())
    clear_first(database)
    with owner_database.begin() as connection:
        connection.execute(
            text("UPDATE net_position SET carried_out = 0 WHERE participant_id = :a"), {"a": A}
        )
    with pytest.raises(PositionsNotZero, match=r"positions sum to 0\.0040"):
        clear(database, date(2017, 5, 2), at=OVER + timedelta(days=1), programme_version=PROGRAMME)
    with database.connect() as connection:
        assert store.first_unsettled(connection) == store.Unsettled(
            date(2017, 5, 2), OVER + timedelta(days=1)
        )
    assert counts(database)["net_position"] == 6


def counts(database: Engine) -> dict[str, int]:
    """Rows in the settlement tables."""
    with database.connect() as connection:
        return {
            name: connection.execute(text(f"SELECT count(*) FROM {name}")).scalar_one()
            for name in (
                *("settlement_run", "settlement_step", "window_total", "window_activity"),
                *("obligation", "net_position"),
            )
        }


def test_a_transaction_is_charged_by_the_terms_of_its_own_day(database: Engine) -> None:
    """Late tills and late hours: each sale costs what the version of its local day says, whatever the window.

    Cut-off 03:30 in Vienna. In the window of 1 May: a sale at 01:30 on 2 May, under the version of that day.
    In the window of 2 May: a sale of 1 May, reported late, under the version before.
    """
    dated = [
        contract(A, per_transaction="0.10"),
        contract(A, version=2, effective_on=date(2017, 5, 2), per_transaction="0.50"),
        contract(B),
    ]
    set_up(database, dated, time_zone="Europe/Vienna", cut_off=time(3, 30))
    happened = {FIRST: datetime(2017, 5, 1, 23, 30, tzinfo=UTC), date(2017, 5, 2): OPENED}
    charged = []
    for on, at in happened.items():
        post(database, [sale(A, 1)], on=on, at=at)
        over = datetime.combine(on + timedelta(days=1), time(1, 30), tzinfo=UTC)
        night = clear(database, on, at=over, programme_version=PROGRAMME)
        charged += [one.fee_minor for one in night.positions if one.participant_id == A]
    assert charged == [50, 10]


def test_gross_is_one_figure(database: Engine, tmp_path: Path) -> None:
    """Lapse and undone margin run between the same two: clear and the operator's report net them alike."""
    set_up(database, [contract(A, share="1", price="0.0100", rate="0.008"), contract(B, rate="0.0070")])
    post(database, [lapse(A, 1_000), burn(A, B, 5_000)])
    with database.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO posting SELECT member_id, entry_id, 2, 3, 1, 9000, issuer_id, issuer_terms,"
                " acceptor_id, acceptor_terms, 0, 1, window_id, 20170430, spendable_on, expires_on"
                " FROM posting WHERE acceptor_id = 12"
            )
        )
    night = clear_first(database)
    # pool to operator: lapse 10.00, margin -12.00; pool to B: -28.00
    assert (night.gross, night.bilateral) == (Decimal("30.00"), Decimal("30.00"))
    with database.connect() as connection:
        page = write_operator_report(connection, night.window_id, tmp_path).read_text()
    assert "<span>Gross obligations</span><b>30.00</b>" in page
