"""Answers of members and experiments, as they are read in and set up."""

import csv
import io
from collections.abc import Sequence
from datetime import date

import msgspec
from sqlalchemy import Connection, text

from network.bulk import Insert, insert_from_arrays
from network.errors import NetworkError
from network.experiment import WHOLE_BPS, Experiment
from network.service import network_now
from network.tables import survey_answer
from partners.people.audit import audited

COLUMNS = ("card", "score", "answered_on")
MOST_ANSWERS = 1_000_000
_MOST_FAULTS = 20
_LONGEST_NAME = 64

_MEMBERS = text(
    "SELECT u.place, coalesce(a.merged_into, c.member_id) AS member_id"
    " FROM unnest(CAST(:cards AS bigint[])) WITH ORDINALITY AS u (card_number, place)"
    " JOIN card c USING (card_number) JOIN account a ON a.member_id = c.member_id AND a.unit = 1"
)
_ANSWER: Insert = insert_from_arrays(
    survey_answer, ("member_id", "survey", "score", "answered_on"), "ON CONFLICT DO NOTHING"
)
_TODAY = text("SELECT timezone(time_zone, CAST(:now AS timestamptz))::date FROM network")
_EXPERIMENT = text(
    "INSERT INTO experiment (name, control_bps, starts_on, ends_on)"
    " VALUES (:name, :control_bps, :starts_on, :ends_on) ON CONFLICT DO NOTHING"
)
_EXPERIMENTS = text("SELECT name, control_bps, starts_on, ends_on FROM experiment ORDER BY starts_on, name")


class SurveyUnfit(NetworkError):
    """Answers that cannot be read; the text says which lines, and why."""


class ExperimentUnfit(NetworkError):
    """An experiment that cannot be set up."""


class Answer(msgspec.Struct, frozen=True):
    """What a member answered: how likely it is to recommend the scheme."""

    card_number: int
    score: int
    answered_on: date


class Taken(msgspec.Struct, frozen=True):
    """What became of answers: new ones, those of members who had answered already, and of unknown cards."""

    new: int
    again: int
    unknown: int


def read_answers(source: bytes, name: str) -> list[Answer]:
    """Read a file of answers: CSV with the columns card, score (0 to 10) and answered_on (2017-05-31).

    Raises:
        SurveyUnfit: it is no such file; the first twenty faults, each with its line.
    """
    try:
        content = source.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SurveyUnfit(f"{name}: not UTF-8, at byte {error.start}") from error
    rows = csv.reader(io.StringIO(content, newline=""), strict=True)
    answers: list[Answer] = []
    faults: list[str] = []
    try:
        if tuple(next(rows, ())) != COLUMNS:
            raise SurveyUnfit(f"{name}, line 1: the columns must be {','.join(COLUMNS)}")
        for row in rows:
            if len(answers) == MOST_ANSWERS:
                raise SurveyUnfit(f"{name}: more than {MOST_ANSWERS:,} answers; cut it in parts")
            try:
                answers.append(_answer(row))
            except ValueError as error:
                faults.append(f"line {rows.line_num}: {error}")
    except csv.Error as error:
        raise SurveyUnfit(f"{name}, line {rows.line_num}: {error}") from error
    if faults:
        more = f"; and {len(faults) - _MOST_FAULTS} more" if len(faults) > _MOST_FAULTS else ""
        raise SurveyUnfit(f"{name}: {'; '.join(faults[:_MOST_FAULTS])}{more}")
    return answers


def _answer(row: Sequence[str]) -> Answer:
    if len(row) != len(COLUMNS):
        raise ValueError(f"{len(row)} cells, and there are {len(COLUMNS)} columns")
    card, score, answered_on = row
    if not (card.isascii() and card.isdigit() and len(card) == 16):
        raise ValueError("a card is 16 digits")
    if not (score.isascii() and score.isdigit() and len(score) <= 2 and int(score) <= 10):
        raise ValueError(f"a score is 0 to 10, not {score!r}")
    try:
        return Answer(int(card), int(score), date.fromisoformat(answered_on))
    except ValueError:
        raise ValueError(f"{answered_on!r} is no date; write it as 2017-05-31") from None


def add_answers(connection: Connection, survey: str, answers: Sequence[Answer], *, by: str) -> Taken:
    """Keep answers; who has answered this survey before keeps the first answer.

    Args:
        connection: A transaction of the caller's.
        survey: Its name.
        answers: In any order.
        by: The operator who read them in.
    Raises:
        SurveyUnfit: the name is none, or an answer is of tomorrow or later.
    """
    _check_name(survey, SurveyUnfit)
    today: date = connection.execute(_TODAY, {"now": network_now(connection)}).scalar_one()
    late = max((one.answered_on for one in answers), default=today)
    if late > today:
        raise SurveyUnfit(f"an answer is of {late}, and today is {today}")
    cards = [one.card_number for one in answers]
    found = {row.place: row.member_id for row in connection.execute(_MEMBERS, {"cards": cards})}
    first: dict[int, Answer] = {}
    for place, answer in enumerate(answers, start=1):
        if place in found:
            first.setdefault(found[place], answer)
    written = _insert(connection, survey, first)
    taken = Taken(new=written, again=len(found) - written, unknown=len(answers) - len(found))
    audited(connection, by=by, action="survey.imported", subject=f"survey:{survey}", after=taken)
    return taken


def _insert(connection: Connection, survey: str, answers: dict[int, Answer]) -> int:
    """Insert answers by member; how many were new."""
    arrays: dict[str, Sequence[object]] = {
        "member_id": list(answers),
        "survey": [survey] * len(answers),
        "score": [one.score for one in answers.values()],
        "answered_on": [one.answered_on for one in answers.values()],
    }
    return connection.execute(_ANSWER.statement, _ANSWER.bound(arrays)).rowcount if answers else 0


def add_experiment(connection: Connection, made: Experiment, *, by: str) -> None:
    """Set up an experiment. Who is in which group follows from its name, so it is never changed.

    Raises:
        ExperimentUnfit: the name is taken or is none, or it leaves out nobody or everybody, or it has begun.
    """
    _check_name(made.name, ExperimentUnfit)
    if not 0 < made.control_bps < WHOLE_BPS:
        raise ExperimentUnfit("a control group is more than none and less than all of the members")
    if made.ends_on is not None and made.ends_on < made.starts_on:
        raise ExperimentUnfit(f"it would end on {made.ends_on}, before it starts on {made.starts_on}")
    today: date = connection.execute(_TODAY, {"now": network_now(connection)}).scalar_one()
    if made.starts_on < today:
        raise ExperimentUnfit(f"it cannot start on {made.starts_on}: today is {today}")
    if not connection.execute(_EXPERIMENT, msgspec.structs.asdict(made)).rowcount:
        raise ExperimentUnfit(f"there is an experiment {made.name} already: choose another name")
    audited(connection, by=by, action="experiment.added", subject=f"experiment:{made.name}", after=made)


def load_experiments(connection: Connection) -> list[Experiment]:
    """All experiments, in order of their beginnings."""
    return [Experiment(**row._asdict()) for row in connection.execute(_EXPERIMENTS)]


def _check_name(name: str, error: type[NetworkError]) -> None:
    if not (0 < len(name) <= _LONGEST_NAME and name.isprintable() and name == name.strip()):
        raise error(f"a name is 1 to {_LONGEST_NAME} printable characters, not {name!r}")
