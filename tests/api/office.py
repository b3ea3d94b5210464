"""Operators' desks over HTTP: people with sessions, and a clock that the test moves."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine
from starlette.testclient import TestClient

from partners.people.model import Role
from tests.people import Person, join, session


class Clock:
    """Real time as the application reads it."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def __call__(self) -> datetime:
        """What time it is."""
        return self.at

    def pass_(self, **how_long: float) -> None:
        """Let time pass."""
        self.at += timedelta(**how_long)


class Office:
    """The application, and the operators that the test lets in."""

    def __init__(self, client: TestClient, database: Engine, clock: Clock) -> None:
        self.client = client
        self.database = database
        self.clock = clock

    def person(self, name: str, role: Role) -> "Desk":
        """An operator with a session."""
        return Desk(self, join(self.database, name, role))


class Desk:
    """Sends requests as one operator."""

    def __init__(self, office: Office, person: Person) -> None:
        self.office = office
        self.person = person
        self.token = session(office.database, person.name, office.clock()).access

    def send(self, method: str, path: str, **more: Any) -> Any:
        """Any request, under the session's token."""
        headers = {"authorization": f"Bearer {self.token}", **more.pop("headers", {})}
        return self.office.client.request(method, f"/operator{path}", headers=headers, **more)

    def get(self, path: str) -> Any:
        """What a GET finds."""
        answer = self.send("GET", path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, **fields: Any) -> Any:
        """What a POST of JSON does."""
        answer = self.try_post(path, **fields)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def try_post(self, path: str, **fields: Any) -> Any:
        """The answer to a POST of JSON, whatever it is."""
        return self.send("POST", path, json=fields)

    def decide(self, proposal: Any, word: str = "approve") -> Any:
        """The answer to a decision on a proposal as it was answered."""
        return self.try_post(f"/proposals/{proposal['id']}/{word}", sha256=proposal["sha256"])
