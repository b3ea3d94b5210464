"""The evaluation on a real PostgreSQL: every figure worked out by hand, or by a naive count."""

from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import openpyxl
import pytest
from sqlalchemy import Engine, text
from typer.testing import CliRunner

from api.cli import app
from network.experiment import Experiment
from network.rules import Rules
from network.service import set_clock
from network.surveys import (
    Answer,
    ExperimentUnfit,
    SurveyUnfit,
    Taken,
    add_answers,
    add_experiment,
    read_answers,
)
from settlement.reports.errors import NothingToReport
from settlement.reports.evaluation import Evaluation, read_evaluation
from settlement.reports.evaluation_page import write_evaluation
from tests.coalition import PETROL, burn, new_card, run, sale, set_up, undo
from tests.conftest import as_owner
from tests.people import faults_of, settle_in

MAY, JUNE, JULY = date(2017, 5, 1), date(2017, 6, 1), date(2017, 7, 1)
END = date(2017, 9, 30)
A, B, C, D, E = range(5)


@pytest.fixture
def live(database: Engine) -> Rules:
    """The coalition, from 1 May 2017."""
    return set_up(database)


@pytest.fixture
def cards(database: Engine, live: Rules) -> list[int]:
    """Five members of 1 May."""
    return [new_card(database, live, f"enrol-{number}") for number in range(5)]


def noon(month: int, day: int) -> datetime:
    """Noon of a day of 2017."""
    return datetime(2017, month, day, 12, tzinfo=UTC)


def trade(database: Engine, live: Rules, cards: list[int]) -> None:
    """What five members buy; A brings a part of its last purchase back, D never buys."""
    sales = [
        (noon(5, 2), A, 1_000),
        (noon(5, 5), B, 4_000),
        (noon(5, 9), E, 700),
        (noon(6, 1), C, 6_000),
        (noon(6, 3), A, 2_000),
        (noon(7, 3), A, 3_000),
        (noon(7, 10), B, 5_000),
    ]
    for number, (at, member, amount_minor) in enumerate(sales):
        with database.begin() as connection:
            set_clock(connection, at)
        entry = run(
            database, live, sale(cards[member], amount_minor, f"sale-{number}", partner_id=PETROL, at=at)
        )
        if number == 5:
            run(database, live, undo(entry, "return", at=at, amount_minor=500))
    # neither spending nor returning points is a purchase
    reward = run(database, live, burn(cards[B], 10, "burn", at=noon(7, 10)))
    run(database, live, undo(reward, "reward-back", at=noon(7, 10)))
    run(database, live, sale(cards[D], 0, "nothing", at=noon(7, 10)))


def read(database: Engine, on: date = END) -> Evaluation:
    """The evaluation, as a report reads it."""
    with database.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        return read_evaluation(connection, on)


def test_every_figure_by_hand(database: Engine, live: Rules, cards: list[int]) -> None:
    """May 57.00 of three, June 80.00 of two, July 75.00 of two; E after May and C after June are lost."""
    trade(database, live, cards)
    found = read(database)
    assert [(one.month, one.members, one.new, one.purchases, one.spent_minor) for one in found.months] == [
        (MAY, 3, 3, 3, 5_700),
        (JUNE, 2, 1, 2, 8_000),
        (JULY, 2, 0, 2, 7_500),
    ]
    third = Fraction(1, 3)
    assert [tuple(one) for one in found.cohorts] == [
        (MAY, 3, [1, third, 2 * third, 0, 0]),
        (JUNE, 1, [1, 0, 0, 0]),
    ]
    assert [(one.month, one.members, one.lost) for one in found.lost] == [(MAY, 3, 1), (JUNE, 2, 1)]
    assert (found.members, found.often, found.repeat_rate) == (4, {1: 2, 2: 1, 3: 1}, Fraction(1, 2))
    assert found.churn == Fraction(2, 5)
    # 212.00 in seven months of members, and 1 / (2/5) of them to come
    assert found.expected == Fraction(21_200, 7) * Fraction(5, 2)
    assert found.major(found.expected) == Decimal("75.71")
    assert [(one.tenth, one.spent_minor) for one in found.tenths] == [
        (1, 9_000),
        (2, 6_000),
        (3, 5_500),
        (4, 700),
    ]


def test_what_is_not_over_is_not_told(database: Engine, live: Rules, cards: list[int]) -> None:
    """On 30 August July is the last whole month, and only May's members can be lost: nobody knows of June."""
    trade(database, live, cards)
    found = read(database, date(2017, 8, 30))
    assert (found.through, [one.month for one in found.lost]) == (JULY, [])
    assert read(database, date(2017, 8, 31)).through == date(2017, 8, 1)
    assert [one.month for one in read(database, date(2017, 8, 31)).lost] == [MAY]


def test_a_merged_member_is_one(database: Engine, live: Rules, cards: list[int]) -> None:
    """What C bought counts as A's once A has taken C in: three members, and A bought four times."""
    trade(database, live, cards)
    with as_owner(database) as connection:
        connection.execute(
            text(
                "UPDATE account SET merged_into = (SELECT member_id FROM card WHERE card_number = :to),"
                " merge_id = gen_random_uuid(), balance = 0"
                " WHERE member_id = (SELECT member_id FROM card WHERE card_number = :of)"
            ),
            {"to": cards[A], "of": cards[C]},
        )
    assert read(database).often == {1: 1, 2: 1, 4: 1}


def test_nothing_bought_is_nothing_to_report(database: Engine, live: Rules, cards: list[int]) -> None:
    """No page is made of nothing, before the first night and after it."""
    with database.connect() as connection:
        with pytest.raises(NothingToReport, match="no night has been cleared"):
            read_evaluation(connection, None)
        with pytest.raises(NothingToReport, match="nothing was bought in USD"):
            read_evaluation(connection, END)


def test_groups_are_as_drawn_and_compared_as_counted(database: Engine, live: Rules, cards: list[int]) -> None:
    """The database draws as the rule does, and its sums are those of a naive count over forty members."""
    members = [new_card(database, live, f"more-{number}") for number in range(35)]
    made = Experiment(name="it's spring", control_bps=4_000, starts_on=JUNE)
    with database.begin() as connection:
        add_experiment(connection, made, by="anna")
        ids = {
            row.card_number: row.member_id
            for row in connection.execute(text("SELECT card_number, member_id FROM card"))
        }
    changes: dict[int, int] = dict.fromkeys(ids.values(), 0)
    at = noon(5, 31)
    for number, card in enumerate([*cards, *members]):
        before, after = 100 * number, 5_000 - 37 * number
        for name, moment, amount in (("before", at, before), ("after", noon(6, 1), after)):
            with database.begin() as connection:
                set_clock(connection, noon(6, 1))
            if amount:
                run(database, live, sale(card, amount, f"{name}-{number}", at=moment))
        changes[ids[card]] = after - before
    [compared] = read(database, date(2017, 6, 2)).compared
    assert compared.days == 2
    assert compared.effect is not None
    for is_control, group in ((True, compared.effect.control), (False, compared.effect.treated)):
        drawn = [change for member, change in changes.items() if made.is_control(member) is is_control]
        assert len(drawn) > 5
        assert (group.members, group.changed) == (len(drawn), sum(drawn))
        assert group.squares == sum(change * change for change in drawn)


def test_an_experiment_is_set_up_once_and_ahead(database: Engine, live: Rules) -> None:
    """Not again, not in the past, not of everybody, not backwards; and each is on the operators' record."""
    good = Experiment(name="spring", control_bps=1_000, starts_on=MAY)
    wrong = {
        "there is an experiment spring already": good,
        "today is 2017-05-01": Experiment(name="past", control_bps=1, starts_on=date(2017, 4, 30)),
        "less than all": Experiment(name="all", control_bps=10_000, starts_on=MAY),
        "before it starts": Experiment(name="back", control_bps=1, starts_on=JUNE, ends_on=MAY),
        "printable": Experiment(name="a\nb", control_bps=1, starts_on=MAY),
    }
    with database.begin() as connection:
        add_experiment(connection, good, by="anna")
    for says, unfit in wrong.items():
        with database.begin() as connection, pytest.raises(ExperimentUnfit, match=says):
            add_experiment(connection, unfit, by="anna")
    with database.connect() as connection:
        said = connection.execute(
            text("SELECT done_by, action, subject FROM operator_audit ORDER BY seq")
        ).all()
        assert [tuple(row) for row in said] == [("anna", "experiment.added", "experiment:spring")]


def test_answers_are_kept_once(database: Engine, live: Rules, cards: list[int]) -> None:
    """Of a member with two cards' answers the first counts; unknown cards are told; again adds nothing."""
    answers = [Answer(cards[A], 10, MAY), Answer(cards[B], 6, MAY), Answer(cards[A], 0, MAY)]
    answers.append(Answer(6330000000000000, 9, MAY))
    with database.begin() as connection:
        assert add_answers(connection, "spring", answers, by="anna") == Taken(2, 1, 1)
        assert add_answers(connection, "spring", answers, by="anna") == Taken(0, 3, 1)
        with pytest.raises(SurveyUnfit, match="today is 2017-05-01"):
            add_answers(connection, "spring", [Answer(cards[A], 1, JUNE)], by="anna")
    trade(database, live, cards)
    [survey] = read(database).surveys
    assert (survey.name, survey.promoter.score, survey.promoter.answers.asked) == ("spring", Decimal(0), 2)
    assert not faults_of(database)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (b"card;score;answered_on\n", "line 1: the columns must be card,score,answered_on"),
        (b"card,score,answered_on\n6330001234567895,11,2017-05-01\n", "line 2: a score is 0 to 10"),
        (b"card,score,answered_on\n633,1,2017-05-01\n", "line 2: a card is 16 digits"),
        (b"card,score,answered_on\n6330001234567895,1,1.5.17\n", "line 2: '1.5.17' is no date"),
        (b"card,score,answered_on\n6330001234567895,1\n", "line 2: 2 cells"),
        (b'card,score,answered_on\n"6330001234567895,1,2017-05-01\n', "line 2: unexpected end of data"),
        (b"\xff", "not UTF-8, at byte 0"),
        (b"", "line 1: the columns"),
    ],
)
def test_a_file_that_is_none_is_named(source: bytes, says: str) -> None:
    """Every fault says its line and what was expected; nothing of the file is taken."""
    with pytest.raises(SurveyUnfit, match=says):
        read_answers(source, "answers.csv")


def test_the_commands(
    database: Engine, database_url: str, live: Rules, cards: list[int], tmp_path: Path
) -> None:
    """An experiment added, a survey read in, and the page and workbook written, as an operator does it."""
    settle_in(database, tmp_path, "anna", "maker")
    environment = {
        "TESSERA_DATABASE_URL": database_url,
        "TESSERA_SCHEMA": "tessera",
        "TESSERA_HOME": str(tmp_path),
    }
    trade(database, live, cards)
    file = tmp_path / "answers.csv"
    file.write_text(f"card,score,answered_on\r\n{cards[A]},9,2017-06-01\r\n", encoding="utf-8")

    def tessera(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, arguments, env=environment)
        return result.exit_code, result.output

    assert tessera("survey", "import", str(file), "--survey", "summer") == (
        0,
        "1 answers are new, 0 were given before, 0 are of cards that nobody has\n",
    )
    added = tessera("experiment", "add", "drinks", "--control", "2.5", "--from", "2017-08-01")
    assert added == (0, "drinks: from 2017-08-01 on 2.5 % of the members are left out, by lot\n")
    assert tessera("experiment", "add", "x", "--control", "ten", "--from", "2017-08-01")[0] == 2
    assert "drinks  from 2017-08-01 open, 2.5 % left out" in tessera("experiment", "list")[1]
    status, said = tessera("report", "evaluation", "--date", "2017-09-30", "--out", str(tmp_path))
    page, book = (Path(line) for line in said.splitlines())
    assert (status, page.name, book.name) == (
        0,
        "_evaluation-2017-09-30.html",
        "_evaluation-2017-09-30.xlsx",
    )
    shown = page.read_text(encoding="utf-8")
    assert "<b>75.71</b>" in shown
    assert "<b>+100</b>" in shown
    assert "comparison needs two in each" in shown
    sheet = openpyxl.load_workbook(book)["Months"]
    assert [cell.value for cell in sheet[2]][1:5] == [3, 3, 3, 57]


def test_the_same_ledger_gives_the_same_bytes(
    database: Engine, live: Rules, cards: list[int], tmp_path: Path
) -> None:
    """A page and a workbook written twice differ in nothing."""
    trade(database, live, cards)
    written = []
    for name in ("one", "two"):
        with database.connect() as connection:
            written.append([path.read_bytes() for path in write_evaluation(connection, END, tmp_path / name)])
    assert written[0] == written[1]
