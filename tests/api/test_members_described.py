"""Members' addresses hold what their description says, whatever is sent: as test_openapi for partners."""

from collections import Counter
from typing import Any

import msgspec
import schemathesis
from schemathesis import Case, GenerationMode
from schemathesis.config import SchemathesisConfig
from sqlalchemy import Engine
from starlette.testclient import TestClient

from api.app import create_app
from api.description import PROBLEM_JSON
from api.limits import Rate, Rates
from network.rules import Rules
from tests.api.conftest import AUTHORITY, real_now, till_of
from tests.api.office import Clock
from tests.api.test_members import EMAIL, Phone
from tests.api.test_openapi import CONFIG, can_be_wrong, tried
from tests.coalition import GROCER
from tests.people import KEYS


def sent(phone: Phone, case: Case[Any]) -> Any:
    """The answer to a request of schemathesis' making, by who is signed in."""
    made: dict[str, Any] = case.as_transport_kwargs(base_url=f"https://{AUTHORITY}")
    body = msgspec.json.encode(made["json"]) if "json" in made else made.get("data", b"")
    of_body = {"Content-Type": "application/json"} if body else {}
    return phone.client.request(
        made["method"], made["url"], content=body, headers={**phone.bearer(), **of_body}
    )


def test_whatever_is_sent_to_members_addresses(database: Engine, live: Rules) -> None:
    """Well-formed and malformed requests to each: none is a 500, each refusal is a problem, and what the
    description forbids is refused."""
    clock, mails = Clock(real_now()), list[tuple[str, str, str]]()

    def send_mail(to: str, subject: str, said: str) -> None:
        mails.append((to, subject, said))

    app = create_app(
        database,
        authority=AUTHORITY,
        now=clock,
        operator_keys=KEYS,
        send_mail=send_mail,
        rates=Rates(members=Rate(1_000, 10_000)),
    )
    statuses: Counter[tuple[GenerationMode, int]] = Counter()
    with TestClient(app, base_url=f"https://{AUTHORITY}", raise_server_exceptions=False) as client:
        phone, grocer = Phone(client, clock, mails), till_of(database, client, GROCER)
        login = {"member": grocer.enrol()["member"], "email": EMAIL}
        assert grocer.post("/v1/member-logins", **login).status_code == 200
        phone.sign_in()
        described = client.get("/openapi.json").json()
        own = {path: does for path, does in described["paths"].items() if path.startswith("/m/")}
        del own["/m/sign-out"]  # which would end the session of all others
        made = {**described, "paths": own}
        schema = schemathesis.openapi.from_dict(made, config=SchemathesisConfig.from_dict(CONFIG))
        for found in schema.get_all_operations():
            operation: Any = found.ok()  # type: ignore[union-attr]  # else the test fails, as it should
            for mode in GenerationMode if can_be_wrong(operation) else [GenerationMode.POSITIVE]:

                def send(case: Case[Any], *, mode: GenerationMode = mode, of: str = operation.label) -> None:
                    answer = sent(phone, case)
                    statuses[mode, answer.status_code] += 1
                    assert answer.status_code < 500, (of, answer.text)
                    assert mode.is_positive or answer.status_code >= 400, (of, answer.text)
                    if answer.status_code >= 400:
                        assert answer.headers["content-type"] == PROBLEM_JSON, of

                tried(operation, mode, send)
    assert {status for _, status in statuses} >= {200, 202, 400, 401, 404, 422}
    assert sum(statuses.values()) > 150
