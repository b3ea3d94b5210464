"""Lines of schemes' scenarios about causes, stored value and paid plans; see tests.golden.test_programmes.

N MEMBER pledges PER_CENT to CAUSE as PLEDGE at PARTNER | N MEMBER ends PLEDGE at PARTNER
N MEMBER loads|spends AMOUNT at PARTNER | N MEMBER refunded AMOUNT at PARTNER
N MEMBER buys plan PLAN AMOUNT at PARTNER | N ends plan LINE at PARTNER
MEMBER plans                    its paid plans: first and last day
MEMBER value                    its stored value: paid, on top, and what would be paid back
CAUSE raised                    what everybody can see of a cause
"""

from typing import Any, Protocol

from starlette.testclient import TestClient

from tests.api.conftest import Till

_PATHS = {"loads": "/v1/loads", "spends": "/v1/spends", "refunded": "/v1/refunds"}


class Stage(Protocol):
    """What these lines need of the stage."""

    client: TestClient
    tills: dict[str, Till]
    sellers: dict[str, str]
    entries: dict[str, dict[str, Any]]

    def post(self, number: str, partner: str, path: str, **fields: Any) -> str:
        """Send a command; what came of it."""

    def member(self, name: str) -> tuple[int, str]:
        """A member's number and card."""

    def at(self) -> str:
        """Now."""


def line(stage: Stage, words: list[str]) -> str | None:
    """Carry a line out; None where it is none of these."""
    fields: dict[str, Any]
    match words:
        case [number, member, "pledges", share, "to", cause, "as", pledge, "at", partner]:
            fields = {"pledge": pledge, "cause": cause, "per_cent": int(share)}
        case [number, member, "ends", pledge, "at", partner]:
            fields = {"pledge": pledge, "per_cent": 0}
        case [number, member, "loads" | "spends" | "refunded" as verb, amount, "at", partner]:
            stage.sellers[number] = partner
            sale = {"outlet": "main", "currency": "USD", "amount_minor": int(amount.replace(".", ""))}
            card = stage.member(member)[1]
            return stage.post(number, partner, _PATHS[verb], occurred_at=stage.at(), card=card, **sale)
        case [number, member, "buys", "plan", plan, amount, "at", partner]:
            fields = {"outlet": "main", "currency": "USD", "amount_minor": int(amount.replace(".", ""))}
            fields |= {"card": stage.member(member)[1], "plan": plan, "occurred_at": stage.at()}
            return _days(stage, number, stage.post(number, partner, "/v1/plan-memberships", **fields))
        case [number, "ends", "plan", bought, "at", partner]:
            ended = {"occurred_at": stage.at(), "membership": stage.entries[bought]["id"]}
            return _days(stage, number, stage.post(number, partner, "/v1/plan-refunds", **ended))
        case [member, "value"]:
            return ", ".join(map(_stored, _balance(stage, member)["stored_value"])) or "nothing"
        case [member, "plans"]:
            has = _balance(stage, member)["plans"]
            return ", ".join(f"{one['plan']} {one['starts_on']} to {one['ends_on']}" for one in has) or "none"
        case [cause, "raised"]:
            answer = stage.client.get(f"/causes/{cause}").json()
            amounts = [f"{amount} {currency}" for currency, amount in answer["amounts"].items()]
            return ", ".join([f"{answer['points']} points", *amounts])
        case _:
            return None
    card = stage.member(member)[1]
    return stage.post(number, partner, "/v1/pledges", occurred_at=stage.at(), card=card, **fields)


def _balance(stage: Stage, member: str) -> dict[str, Any]:
    till = next(iter(stage.tills.values()))
    found = till.get(f"/v1/cards/{stage.member(member)[1]}").json()["member"]
    balance: dict[str, Any] = till.get(f"/v1/members/{found}/balance").json()
    return balance


def _days(stage: Stage, number: str, came: str) -> str:
    entry = stage.entries.get(number, {})
    if "plan_from" not in entry:
        return came
    return f"{came} for {entry['plan_from']} to {entry['plan_until']}"


def _stored(has: dict[str, Any]) -> str:
    paid, bonus, back = (has[name] / 100 for name in ("paid_minor", "bonus_minor", "refundable_minor"))
    return f"{paid:.2f} paid, {bonus:.2f} on top, {back:.2f} refundable {has['currency']}"


def moved(row: Any) -> str:
    """A posting of money as a line says it."""
    what = {3: "value", 4: "on top", 5: "fee"}[row.unit]
    verb = {
        (2, 1): "+{} {} {}",
        (1, 2): "-{} {} {}",
        (1, 3): "-{} {} {}",
        (3, 1): "+{} {} {}",
        (2, 3): "+{} {} {}",
        (3, 2): "-{} {} {}",
    }[row.debit, row.credit]
    return verb.format(f"{row.points / 100:.2f}", what, row.code)
