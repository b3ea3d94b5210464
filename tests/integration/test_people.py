"""Operators on the real PostgreSQL: how they come, sign in, stay so, and go."""

import base64
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import Engine, text

from partners.errors import (
    NameInvalid,
    NotAllowed,
    OperatorKnown,
    PasswordUnfit,
    PeopleError,
    ProposalChanged,
    SecondPersonNeeded,
    SignInRefused,
    TokenRefused,
    TooManyTries,
)
from partners.people import operators
from partners.people.codes import code_at, step_of
from partners.people.model import Role, SignedIn, Tokens
from partners.people.operators import (
    add_from_host,
    begin_enrolment,
    change_password,
    decide,
    disable,
    finish_enrolment,
    operator_of,
    propose_add,
    propose_enable,
    propose_reset,
    propose_role,
    reset_from_host,
)
from partners.people.sessions import authenticate, refresh, sign_in, sign_out
from tests.people import KEYS, NOW, PASSWORD, Person, enter, faults_of, join, later, session


def enrol(database: Engine, name: str, secret: str, at: datetime = NOW) -> Person:
    """Enrol as people do: what the authenticator is shown is all that the person learns."""
    uri = begin_enrolment(database, KEYS, name=name, secret=secret, password=PASSWORD, now=at)
    [shown] = parse_qs(urlsplit(uri).query)["secret"]
    person = Person(name, base64.b32decode(shown))
    finish_enrolment(database, KEYS, name=name, secret=secret, code=person.code(at), now=at)
    return person


def host_adds(database: Engine, name: str, role: Role = "admin") -> str:
    """What the machine's own rights add; the secret."""
    with database.begin() as connection:
        return add_from_host(connection, name, role, NOW)


def who(database: Engine, tokens: Tokens, at: datetime = NOW) -> SignedIn:
    """Whom an access token proves."""
    with database.connect() as connection:
        return authenticate(connection, KEYS, tokens.access, at)


def test_the_first_admins_come_from_the_machine(database: Engine) -> None:
    """Until two admins are active the machine adds admins, and nobody else; then it adds no one."""
    first = host_adds(database, "Anna ")
    with pytest.raises(NotAllowed, match="only admins"):
        host_adds(database, "vera", "viewer")
    enrol(database, "anna", first)
    enrol(database, "bert", host_adds(database, "bert"))
    with pytest.raises(NotAllowed, match="2 active admins"):
        host_adds(database, "carl")
    join(database, "max", "maker")
    with database.begin() as connection:
        disable(connection, "bert", by="anna", now=NOW)
    with pytest.raises(NotAllowed, match="only admins"), database.begin() as connection:
        reset_from_host(connection, "max", NOW)
    assert faults_of(database) == []


def test_one_who_has_lost_all_is_reset_from_the_machine(database: Engine) -> None:
    """One of two admins lost the phone: the machine lets it enrol anew, and the old secrets are gone."""
    anna, bert = join(database, "anna", "admin"), join(database, "bert", "admin")
    with database.begin() as connection:
        secret = reset_from_host(connection, "bert", NOW)
    with pytest.raises(SignInRefused):
        enter(database, bert)
    enrol(database, "bert", secret)
    join(database, "carl", "admin")
    with pytest.raises(NotAllowed), database.begin() as connection:
        reset_from_host(connection, anna.name, NOW)


def test_an_operator_comes_by_two_admins(database: Engine) -> None:
    """Each has seen one half of the secret, and neither half enrols; both do, once."""
    join(database, "anna", "admin")
    join(database, "bert", "admin")
    with database.begin() as connection:
        made, one = propose_add(connection, "max", "maker", by="anna")
    with pytest.raises(SecondPersonNeeded), database.begin() as connection:
        decide(connection, made.proposal_id, sha256=made.sha256, by="anna", approve=True, now=NOW)
    with database.begin() as connection:
        _, other = decide(connection, made.proposal_id, sha256=made.sha256, by="bert", approve=True, now=NOW)
    for wrong in (one, f"{one}-", f"-{other}", f"{one}-{one}", f"{other}-{one}"):
        with pytest.raises(SignInRefused):
            begin_enrolment(database, KEYS, name="max", secret=wrong, password=PASSWORD, now=NOW)
    at = later(10)
    max_ = enrol(database, "max", f"{one}-{other}", at)
    with pytest.raises(SignInRefused):
        begin_enrolment(database, KEYS, name="max", secret=f"{one}-{other}", password=PASSWORD, now=at)
    with pytest.raises(SignInRefused, match="wrong"):
        enter(database, max_, at)  # the code of the enrolment was used there
    assert (
        who(database, enter(database, max_, at + timedelta(minutes=1)), at + timedelta(minutes=1)).role
        == "maker"
    )
    with pytest.raises(OperatorKnown), database.begin() as connection:
        propose_add(connection, "MAX", "admin", by="anna")
    assert faults_of(database) == []


def test_an_enrolment_ends(database: Engine) -> None:
    """A secret is good for two days, and with a second factor that was shown to work."""
    secret = host_adds(database, "anna")
    with pytest.raises(SignInRefused):
        begin_enrolment(
            database, KEYS, name="anna", secret=secret, password=PASSWORD, now=NOW + timedelta(days=2)
        )
    with pytest.raises(PasswordUnfit):
        begin_enrolment(database, KEYS, name="anna", secret=secret, password=PASSWORD[:11], now=NOW)
    with pytest.raises(SignInRefused):
        finish_enrolment(database, KEYS, name="anna", secret=secret, code="000000", now=NOW)
    uri = begin_enrolment(database, KEYS, name="anna", secret=secret, password=PASSWORD, now=NOW)
    code = "000000" if "000000" not in uri else "111111"
    with pytest.raises(SignInRefused):
        finish_enrolment(database, KEYS, name="anna", secret=secret, code=code, now=NOW)
    with pytest.raises(SignInRefused):
        sign_in(database, KEYS, name="anna", password=PASSWORD, code=code, now=NOW)


def test_whatever_is_wrong_is_told_in_the_same_words(database: Engine) -> None:
    """Login, password, code, a disabled operator: one text. With all of it right a session begins."""
    anna = join(database, "anna", "admin")
    join(database, "bert", "admin")
    said = set()
    right = {"name": "anna", "password": PASSWORD, "code": anna.code(NOW)}
    for wrong in (
        {"name": "nobody"},
        {"name": "not a login \x00"},
        {"password": PASSWORD + "!"},
        {"code": anna.code(later(5))},
    ):
        with pytest.raises(SignInRefused) as refused:
            sign_in(database, KEYS, **{**right, **wrong}, now=NOW)
        said.add(str(refused.value))
    assert who(database, sign_in(database, KEYS, **right, now=NOW)).operator_id == "anna"
    with database.begin() as connection:
        disable(connection, "anna", by="bert", now=NOW)
    with pytest.raises(SignInRefused) as refused:
        sign_in(database, KEYS, **{**right, "code": anna.code(later(1))}, now=later(1))
    assert said == {str(refused.value)}


def test_a_code_is_good_once(database: Engine) -> None:
    """The same code again, and one from before it, are refused; the next is taken. Ten at once: one."""
    anna = join(database, "anna", "viewer")
    enter(database, anna)
    for at in (NOW, later(0.4)):
        with pytest.raises(SignInRefused):
            sign_in(database, KEYS, name="anna", password=PASSWORD, code=anna.code(NOW), now=at)
    with pytest.raises(SignInRefused):
        sign_in(database, KEYS, name="anna", password=PASSWORD, code=anna.code(later(-0.5)), now=NOW)
    enter(database, anna, later(1))

    def attempt(_: int) -> bool:
        try:
            enter(database, anna, later(2))
        except PeopleError:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(attempt, range(4))) == 1


@pytest.mark.parametrize("name", ["anna", "nobody"])
def test_after_five_wrong_tries_none_is_had(database: Engine, name: str) -> None:
    """Right or wrong, there or not, the answer is one; after half a minute a try, then twice as long."""
    anna = join(database, "anna", "viewer")

    def attempt(at: datetime, password: str) -> type[PeopleError] | None:
        try:
            sign_in(database, KEYS, name=name, password=password, code=anna.code(at), now=at)
        except PeopleError as error:
            return type(error)
        return None

    assert [attempt(NOW, "wrong") for _ in range(6)] == [SignInRefused] * 5 + [TooManyTries]
    assert attempt(later(0.4), PASSWORD) is TooManyTries
    assert attempt(later(0.6), "wrong") is SignInRefused
    assert attempt(later(1.5), PASSWORD) is TooManyTries
    welcome = attempt(later(2), PASSWORD)
    assert welcome is (None if name == "anna" else SignInRefused)
    if name == "anna":
        assert attempt(later(3), "wrong") is SignInRefused  # and the count began anew
        with database.connect() as connection:
            locked = connection.scalar(
                text("SELECT count(*) FROM operator_audit WHERE action = 'sign_in.locked'")
            )
        assert locked == 2


def test_many_tries_at_once_are_no_more_than_five(database: Engine) -> None:
    """Twelve guesses side by side: five are judged, the others find the door closed."""
    join(database, "anna", "viewer")

    def attempt(_: int) -> type[PeopleError] | None:
        try:
            sign_in(database, KEYS, name="anna", password=PASSWORD[1:], code="123456", now=NOW)
        except PeopleError as error:
            return type(error)
        return None

    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(attempt, range(12)))
    assert (got.count(SignInRefused), got.count(TooManyTries)) == (5, 7)


def test_a_refresh_token_is_good_once_and_its_reuse_ends_the_session(database: Engine) -> None:
    """Each use gives new tokens; one that comes again ends the session, for thief and robbed alike."""
    join(database, "anna", "viewer")
    first = session(database, "anna")
    second = refresh(database, KEYS, first.refresh, later(9))
    assert who(database, second, later(15)).operator_id == "anna"
    for unknown in ("", "rt_" + "0" * 64, second.refresh[:-1], second.refresh + " "):
        with pytest.raises(TokenRefused):
            refresh(database, KEYS, unknown, later(10))
    with pytest.raises(TokenRefused):
        refresh(database, KEYS, first.refresh, later(10))
    with pytest.raises(TokenRefused):
        refresh(database, KEYS, second.refresh, later(11))
    with pytest.raises(TokenRefused, match="ended"):
        who(database, second, later(11))
    with database.connect() as connection:
        because = connection.scalar(text("SELECT ended_because FROM operator_session"))
    assert because == "refresh token reused"
    assert faults_of(database) == []


def test_a_session_ends_by_itself(database: Engine) -> None:
    """After two hours without use, and after twelve with."""
    join(database, "anna", "viewer")
    given = session(database, "anna")
    with pytest.raises(TokenRefused):
        who(database, given, later(10))
    with pytest.raises(TokenRefused):
        refresh(database, KEYS, given.refresh, later(120))
    for hours in range(1, 12):
        given = refresh(database, KEYS, given.refresh, later(60 * hours))
    with pytest.raises(TokenRefused):
        refresh(database, KEYS, given.refresh, later(60 * 12))
    with pytest.raises(TokenRefused):
        who(database, given, later(60 * 12))


def test_signing_out_and_letting_go_work_at_once(database: Engine) -> None:
    """An access token whose session has ended proves nothing, though its ten minutes are not over."""
    join(database, "anna", "admin")
    join(database, "bert", "maker")
    mine, other = session(database, "bert"), session(database, "bert")
    with database.begin() as connection:
        sign_out(connection, authenticate(connection, KEYS, mine.access, NOW), NOW)
    with pytest.raises(TokenRefused):
        who(database, mine)
    assert who(database, other).role == "maker"
    with pytest.raises(NotAllowed), database.begin() as connection:
        disable(connection, "anna", by="anna", now=NOW)
    with database.begin() as connection:
        disable(connection, "bert", by="anna", now=NOW)
    with pytest.raises(TokenRefused):
        who(database, other)
    with pytest.raises(TokenRefused):
        refresh(database, KEYS, other.refresh, NOW)
    assert faults_of(database) == []


def test_a_role_changes_by_two_admins_and_at_once(database: Engine) -> None:
    """The next request of a session that goes on has the new role; a stale proposal is refused."""
    for name in ("anna", "bert"):
        join(database, name, "admin")
    join(database, "max", "maker")
    given = session(database, "max")
    with database.begin() as connection:
        made = propose_role(connection, "max", "checker", by="anna")
        decide(connection, made.proposal_id, sha256=made.sha256, by="bert", approve=True, now=NOW)
    assert who(database, given).role == "checker"
    with database.begin() as connection:
        made = propose_role(connection, "max", "viewer", by="anna")
        connection.execute(text("UPDATE operator SET role = 'maker' WHERE operator_id = 'max'"))
    with pytest.raises(ProposalChanged), database.begin() as connection:
        decide(connection, made.proposal_id, sha256=made.sha256, by="bert", approve=True, now=NOW)
    assert faults_of(database) == [("operator max", "is active as maker, which the record does not say")]


@pytest.mark.parametrize("kind", ["reset", "enable"])
def test_who_comes_back_enrols_anew(database: Engine, kind: str) -> None:
    """After a reset or a time away old password and phone are of no use; two admins gave the secret."""
    for name in ("anna", "bert"):
        join(database, name, "admin")
    old = join(database, "max", "maker")
    with database.begin() as connection:
        if kind == "enable":
            disable(connection, "max", by="anna", now=NOW)
        propose = propose_reset if kind == "reset" else propose_enable
        made, one = propose(connection, "max", by="anna")
        _, other = decide(connection, made.proposal_id, sha256=made.sha256, by="bert", approve=True, now=NOW)
    with pytest.raises(SignInRefused):
        enter(database, old)
    new = enrol(database, "max", f"{one}-{other}", later(2))
    assert who(database, enter(database, new, later(3)), later(3)).role == "maker"
    assert faults_of(database) == []


def test_a_new_password_ends_the_other_sessions(database: Engine) -> None:
    """The old password and a code are asked for; then the old one is wrong, and this session goes on."""
    anna = join(database, "anna", "viewer")
    mine, other = session(database, "anna"), session(database, "anna")
    me, new = who(database, mine), "eleven grey herons, standing"
    for old, code in (("wrong", anna.code(NOW)), (PASSWORD, "000000")):
        with pytest.raises(SignInRefused):
            change_password(database, KEYS, me, old=old, new=new, code=code, now=NOW)
    with pytest.raises(PasswordUnfit):
        change_password(database, KEYS, me, old=PASSWORD, new="anna12345678", code=anna.code(NOW), now=NOW)
    change_password(database, KEYS, me, old=PASSWORD, new=new, code=anna.code(NOW), now=NOW)
    assert who(database, mine).operator_id == "anna"
    with pytest.raises(TokenRefused):
        who(database, other)
    with pytest.raises(SignInRefused):
        enter(database, anna, later(1))
    enter(database, anna, later(2), new)


def test_names_that_are_none_are_refused(database: Engine) -> None:
    """The machine's own name, blanks, letters that look like others."""
    for name in ("host", "unknown", "", "an na", "änna", "1anna", "a" * 33, "anna\n.x"):
        with pytest.raises(NameInvalid), database.begin() as connection:
            operator_of(connection, name)
    with pytest.raises(NameInvalid):
        host_adds(database, "host")


def test_what_is_secret_is_not_in_the_database(database: Engine) -> None:
    """A copy of every table holds no password, no second factor and no token that could be used."""
    secret = host_adds(database, "anna")
    anna = enrol(database, "anna", secret)
    given = enter(database, anna, later(1))
    held = []
    with database.connect() as connection:
        names = connection.execute(
            text(
                "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
                " AND tablename ~ 'operator|proposal'"
            )
        ).scalars()
        for name in list(names):
            held += [
                str(row) for row in connection.execute(text(f"SELECT to_jsonb(t) FROM {name} t")).scalars()
            ]
    everything = "\n".join(held)
    assert "argon2id" in everything
    for hidden in (PASSWORD, secret, secret.split("-")[0], anna.secret.hex(), given.refresh, given.access):
        assert hidden not in everything
    assert code_at(anna.secret, step_of(NOW)) not in everything
    assert operators.KINDS == ("operator.add", "operator.role", "operator.enable", "operator.reset")
