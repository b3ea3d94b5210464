"""Lines of schemes' scenarios about causes, stored value and paid plans; see tests.golden.test_programmes.

N MEMBER pledges PER_CENT to CAUSE as PLEDGE at PARTNER | N MEMBER ends PLEDGE at PARTNER
CAUSE raised                    what everybody can see of a cause
"""

from typing import Any, Protocol

from starlette.testclient import TestClient


class Stage(Protocol):
    """What these lines need of the stage."""

    client: TestClient

    def post(self, number: str, partner: str, path: str, **fields: Any) -> str:
        """Send a command; what came of it."""

    def member(self, name: str) -> tuple[int, str]:
        """A member's number and card."""

    def at(self) -> str:
        """Now."""


def line(stage: Stage, words: list[str]) -> str | None:
    """Carry a line out; None where it is none of these."""
    match words:
        case [number, member, "pledges", share, "to", cause, "as", pledge, "at", partner]:
            fields: dict[str, Any] = {"pledge": pledge, "cause": cause, "per_cent": int(share)}
        case [number, member, "ends", pledge, "at", partner]:
            fields = {"pledge": pledge, "per_cent": 0}
        case [cause, "raised"]:
            answer = stage.client.get(f"/causes/{cause}").json()
            amounts = [f"{amount} {currency}" for currency, amount in answer["amounts"].items()]
            return ", ".join([f"{answer['points']} points", *amounts])
        case _:
            return None
    card = stage.member(member)[1]
    return stage.post(number, partner, "/v1/pledges", occurred_at=stage.at(), card=card, **fields)
