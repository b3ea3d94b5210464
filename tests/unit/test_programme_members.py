"""Segments, triggers, surprises and referrals by literals: days of birthdays, files, and what is refused."""

from datetime import UTC, date, datetime
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pytest

from config.settings import PROJECT
from network.commands import Award, Command, Refer, Treat
from network.decide import decide
from network.errors import ProgrammeInvalid
from network.outcomes import CardState, LedgerState, MemberState, Minted, Moment, Rejected
from network.programme.compiled import compile_programme
from network.programme.counters import EVER
from network.programme.members import birthday_in, birthdays_on, born_by
from network.programme.spec import read_programme, write_programme
from network.rules import Folded, Rules
from partners.model import Directory
from tests.coalition import CODES, GROCER, HOTEL, open_terms, participants

HEAD = """
name = "members"
[earn.default]
[expiry]
months = 3
"""
AWARDS = (
    HEAD
    + """
[[trigger]]
id = "birthday"
says = "x"
occasion = "birthday"
points = 150
fund = "hotel"
[[trigger]]
id = "friend"
says = "x"
occasion = "referral"
points = 50
referrer_points = 100
fund = "hotel"
[[trigger]]
id = "sorry"
says = "x"
occasion = "recovery"
points = 40
fund = "issuer"
[[surprise]]
id = "gift"
says = "x"
partners = ["hotel"]
most_points = 100
each = { points = 150, period = "month" }
together = { points = 180, period = "month" }
"""
)
NOW = datetime(2017, 5, 2, 12, tzinfo=UTC)
CARDS = {6330000000000001: 7, 6330000000000002: 8}
FIRST, SECOND = CARDS
MAY = date(2017, 5, 1)


def rules_of(source: str = AWARDS) -> Rules:
    """The coalition's rules under a programme."""
    ids = {code: number for number, code in CODES.items()}
    programme = compile_programme(read_programme(source), 1, ids)
    terms = {one.partner_id: (one,) for one in open_terms()}
    directory = Directory(
        participants={one.partner_id: one for one in participants()}, outlets=frozenset(), terms=terms
    )
    return Rules(
        directory=directory, programme=programme, programmes={1: programme}, time_zone=ZoneInfo("Etc/UTC")
    )


def judged(command: Command, member_id: int = 7, **state: object) -> tuple[object, ...]:
    """What a command comes to: issuer and points of each posting, or the refusal."""
    members = {number: MemberState(member_id=number, balance=0, lots=()) for number in (7, 8)}
    loaded = LedgerState(
        moment=Moment(now=NOW, window_id=20170502, business_date=NOW.date(), lapsed_through=NOW.date()),
        cards={number: CardState(whose, active=True) for number, whose in CARDS.items()},
        members=members,
        recorded={},
    )
    folded = Folded(msgspec.structs.replace(loaded, **state))
    outcome = decide(folded, command, Minted(entry_id=UUID(int=1 << 80 | member_id)), rules_of())
    if isinstance(outcome, Rejected):
        return (outcome.reason,)
    return tuple((one.issuer_id, one.points) for one in outcome.postings)


def treat(award: str = "birthday", occasion: str = "2017", role: str = "") -> Treat:
    """What a night gives."""
    return Treat(
        partner_id=1, reference="t", occurred_at=NOW, member_id=7, award=award, occasion=occasion, role=role
    )


def award(**fields: object) -> Award:
    """What a partner gives."""
    given = {"partner_id": HOTEL, "reference": "a", "occurred_at": NOW, "card_number": FIRST, **fields}
    return msgspec.convert({"type": "award", **given}, Award)


def gift(points: int, **fields: object) -> Award:
    """A surprise by anna."""
    return award(**{"award": "gift", "points": points, "staff": "anna", "reason": "a late room", **fields})


def refer(card: int, referrer: int) -> Refer:
    """A referral."""
    return Refer(
        partner_id=HOTEL, reference="r", occurred_at=NOW, card_number=card, referrer_card_number=referrer
    )


@pytest.mark.parametrize(
    ("year", "leap", "day"),
    [
        (2016, "28-february", date(2016, 2, 29)),
        (2016, "1-march", date(2016, 2, 29)),
        (2017, "28-february", date(2017, 2, 28)),
        (2017, "1-march", date(2017, 3, 1)),
        (2100, "1-march", date(2100, 3, 1)),
    ],
)
def test_who_was_born_on_29_february_has_a_birthday_each_year(year: int, leap: str, day: date) -> None:
    """On the day itself where there is one, and else on the day that the file names."""
    assert birthday_in(date(2000, 2, 29), year, leap) == day  # type: ignore[arg-type]
    assert (2, 29) in birthdays_on(day, leap)  # type: ignore[arg-type]


def test_every_day_of_birth_has_one_birthday_in_each_year() -> None:
    """Over four years, by both ways, each of the 366 days is somebody's birthday exactly once a year."""
    for leap in ("28-february", "1-march"):
        for year in (2016, 2017, 2018, 2100):
            days = [date.fromordinal(date(year, 1, 1).toordinal() + n) for n in range(366)]
            found = [one for day in days if day.year == year for one in birthdays_on(day, leap)]
            assert len(found) == len(set(found)) == 366


@pytest.mark.parametrize(
    ("on", "years", "leap", "last"),
    [
        (date(2017, 5, 2), 16, "28-february", date(2001, 5, 2)),
        (date(2018, 2, 28), 18, "28-february", date(2000, 2, 29)),
        (date(2018, 2, 28), 18, "1-march", date(2000, 2, 28)),
        (date(2018, 3, 1), 18, "1-march", date(2000, 3, 1)),
        (date(2016, 2, 28), 16, "28-february", date(2000, 2, 28)),
        (date(2016, 2, 29), 16, "28-february", date(2000, 2, 29)),
        (date(2016, 2, 29), 17, "28-february", date(1999, 2, 28)),
    ],
)
def test_ages_go_by_the_same_birthdays(on: date, years: int, leap: str, last: date) -> None:
    """Who is so many years old on a day was born on that day at the latest."""
    assert born_by(on, years, leap) == last  # type: ignore[arg-type]


def test_a_night_gives_what_the_file_says_and_its_funder_issues_it() -> None:
    """The funder is the issuer; a referral gives each side its own."""
    assert judged(treat()) == ((HOTEL, 150),)
    assert judged(treat("friend", "8", "referred")) == ((HOTEL, 50),)
    assert judged(treat("friend", "8", "referrer")) == ((HOTEL, 100),)


@pytest.mark.parametrize("command", [treat(), award(award="sorry", case="1")])
def test_an_occasion_gives_once(command: Treat | Award) -> None:
    """What was counted for the occasion is refused, whatever its reference; another occasion is not."""
    name = "award birthday 2017" if isinstance(command, Treat) else f"award sorry {HOTEL}/1"
    assert judged(command, counters={(7, name, EVER): 1}) == ("already_awarded",)
    assert judged(command, counters={(8, name, EVER): 1}) != ("already_awarded",)


@pytest.mark.parametrize(
    ("command", "refused"),
    [
        (treat("none"), "award_unknown"),
        (treat("sorry"), "award_unknown"),
        (award(award="birthday", case="1"), "award_unknown"),
        (award(award="sorry"), "award_by_case"),
        (award(award="sorry", case="1", points=500), "award_by_case"),
        (gift(100, partner_id=GROCER), "award_unknown"),
        (gift(101), "award_too_large"),
        (gift(50, staff=""), "award_by_staff"),
        (gift(50, reason=""), "award_by_staff"),
        (gift(0), "award_by_staff"),
        (gift(50, case="1"), "award_by_staff"),
        (refer(SECOND, SECOND), "same_member"),
        (refer(FIRST, SECOND), "referrer_came_later"),
    ],
)
def test_what_is_refused(command: Command, refused: str) -> None:
    """Each by its own reason."""
    assert judged(command) == (refused,)


def test_who_pays_for_what_is_made_good_is_who_asks() -> None:
    """Of a recovery the issuer is the partner of the case."""
    assert judged(award(award="sorry", case="1", partner_id=GROCER)) == ((GROCER, 40),)


@pytest.mark.parametrize(
    ("points", "anna", "all_staff", "told"),
    [
        (100, 50, 50, ((HOTEL, 100),)),
        (100, 51, 51, ("award_budget_spent",)),
        (80, 0, 100, ((HOTEL, 80),)),
        (81, 0, 100, ("award_budget_spent",)),
    ],
)
def test_a_surprise_is_held_to_the_budgets_of_person_and_house(
    points: int, anna: int, all_staff: int, told: tuple[object, ...]
) -> None:
    """150 for anna and 180 for the house in May: the last point that fits is given, and not one more."""
    budgets = {(f"surprise gift {HOTEL} anna", MAY): anna, (f"surprise gift {HOTEL}", MAY): all_staff}
    assert judged(gift(points), budgets=budgets) == told


def test_a_member_names_one_referrer() -> None:
    """The second is refused; the first is an entry of both."""
    assert judged(refer(SECOND, FIRST), 8) == ()
    assert judged(refer(SECOND, FIRST), 8, counters={(8, "referred", EVER): 1}) == ("already_referred",)


SEGMENT = '[[segment]]\nid = "s"\nsays = "x"\n'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[[segment]]\nid = "s"\nsays = "x"\nwhen = {}', "segment.1.when: is empty"),
        ('[[segment]]\nid = "s"\nsays = "x"\nwhen = { facts = { birthday = ["x"] } }', "asks for the age"),
        ('[[segment]]\nid = "s"\nsays = "x"\nwhen = { tiers = ["gold"] }', "'gold' is none of the tiers"),
        (
            '[[segment]]\nid = "s"\nsays = "x"\nwhen = { age = { at_least = 9, at_most = 8 } }',
            "is below at_least",
        ),
        (
            SEGMENT
            + 'when = { seen = { at_most = 9 } }\n[[rule]]\nid = "r"\nsays = "x"\n'
            + 'award = { points = 1 }\nwhen = { segments = ["t"] }',
            "rule.1.when.segments.1: 't' is none of the segments: s",
        ),
        (
            '[[trigger]]\nid = "t"\nsays = "x"\noccasion = "lapse"\npoints = 5\nfund = "hotel"',
            'trigger.1: the occasion "lapse" needs after_days',
        ),
        (
            '[[trigger]]\nid = "t"\nsays = "x"\noccasion = "referral"\npoints = 5\nfund = "hotel"',
            "both sides get something",
        ),
        (
            '[[trigger]]\nid = "t"\nsays = "x"\noccasion = "birthday"\npoints = 5\nfund = "issuer"',
            "name the partner",
        ),
    ],
)
def test_what_a_file_cannot_say(text: str, told: str) -> None:
    """Line, field, and what was expected."""
    with pytest.raises(ProgrammeInvalid) as error:
        read_programme(HEAD + text)
    assert told in str(error.value)
    assert str(error.value).startswith("programme:")


def test_a_fund_must_be_a_partner() -> None:
    """Who pays is held against the network."""
    bad = '[[trigger]]\nid = "t"\nsays = "x"\noccasion = "birthday"\npoints = 5\nfund = "nobody"'
    with pytest.raises(ProgrammeInvalid, match="trigger t fund names nobody"):
        compile_programme(read_programme(HEAD + bad), 1, {"grocer": 11})


@pytest.mark.parametrize("name", ["club", "coffee", "resort", "hotel", "fashion"])
def test_files_with_occasions_games_and_draws_round_trip(name: str) -> None:
    """What is written of a file that was read reads as the same."""
    spec = read_programme((PROJECT / "config" / "programmes" / f"{name}.toml").read_text())
    assert read_programme(write_programme(spec)) == spec
