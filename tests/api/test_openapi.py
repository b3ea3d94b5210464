"""The description of the API is true: a tool that only reads it sends what it allows and forbids, signed.

Schemathesis makes requests out of the description alone, valid and invalid ones, and holds every answer
against it: status, type, header fields, schema; nothing may be a 500, and what it forbids must be refused.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
import requests
import schemathesis
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # has no types
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from sqlalchemy import Engine
from starlette.testclient import TestClient
from tessera_client import Accrual, Client, Enrolment, Signer, new_key
from tessera_client.messages import Request

from api.description import PROBLEM_JSON
from network.rules import Rules
from tests.api.conftest import real_now
from tests.api.office import Office
from tests.api.served import register, served
from tests.coalition import GROCER, START

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
# Signatures are made by `Signing`, not made up.
CONFIG = {"generation": {"with-security-parameters": False}}
EXAMPLES = 12
"""Of each operation and kind of request."""
_FILES = (
    "application/x-ndjson",
    "application/jsonl",
    "text/csv",
    "application/pdf",
    "image/png",
    "image/jpeg",
)


@schemathesis.serializer(*_FILES)
def as_it_is(context: schemathesis.SerializationContext, value: Any) -> bytes:
    """A file's bytes, which the description calls a string."""
    if isinstance(value, bytes):
        return value
    return value.encode() if isinstance(value, str) else msgspec.json.encode(value)


class Signing(requests.auth.AuthBase):
    """Signs whatever is about to be sent, as it will be sent."""

    def __init__(self, key_id: str, private_key: Ed25519PrivateKey) -> None:
        self._signer = Signer(key_id, private_key)

    def __call__(self, prepared: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the header fields."""
        address = urlsplit(str(prepared.url))
        body: Any = prepared.body or b""
        given = str(prepared.headers.get("Content-Type") or "application/json")
        request = Request(
            method=str(prepared.method),
            path=address.path or "/",
            query=address.query,
            body=body if isinstance(body, bytes) else body.encode(),
            content_type=given,
        )
        created = int(real_now().timestamp())
        signed = self._signer.sign(request, authority=address.netloc, created=created)
        prepared.headers.update(signed.headers)
        return prepared


class Known:
    """What is there to be found: valid requests get some of it, so that they are more than well-formed."""

    def __init__(self, client: Client) -> None:
        enrolled = client.send(Enrolment(reference="known-member", occurred_at=START))
        other = client.send(Enrolment(reference="known-other", occurred_at=START))
        sale = Accrual(
            reference="known-sale",
            occurred_at=START,
            outlet="main",
            card=str(enrolled.card),
            amount_minor=5_000_000,
            currency="USD",
        )
        entry = client.send(sale).id
        self._body = {
            "card": enrolled.card,
            "to_card": other.card,
            "outlet": "main",
            "currency": "USD",
            "occurred_at": START.isoformat(),
            "against": "petrol",
            "cause": "bank",
        }
        self._path = {"number": enrolled.card, "entry": entry, "member": enrolled.member}

    def into(self, case: Case[Any]) -> None:
        """Put what is known into a request, in place of what was made up; the other fields stay."""
        if isinstance(case.body, dict):
            case.body = {name: self._body.get(name, value) for name, value in case.body.items()}
        if case.path_parameters:
            for name in case.path_parameters:
                case.path_parameters[name] = self._path.get(name, case.path_parameters[name])


def tried(operation: Any, mode: GenerationMode, send: Callable[[Case[Any]], None]) -> None:
    """Send some requests to one address."""

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def run(case: Case[Any]) -> None:
        send(case)

    with suppress(Unsatisfiable):  # nothing about it can be wrong: it takes nothing
        run()


def can_be_wrong(operation: Any) -> bool:
    """Whether a request can be malformed by its description: a mere text in the path cannot, and thousands of
    tries to make one that is were half of this test's time."""
    described: dict[str, Any] = operation.definition.raw
    plain = {"type": "string"}
    given = [
        (one["in"], {name: value for name, value in one["schema"].items() if name != "title"})
        for one in described.get("parameters", ())
    ]
    return "requestBody" in described or any(one != ("path", plain) for one in given)


def test_schemathesis_finds_nothing(database: Engine, live: Rules) -> None:
    """Valid and invalid requests to every address of partners: each answer is as the description says."""
    key = new_key()
    key_id = register(database, GROCER, key)
    faults: dict[str, str] = {}
    statuses: set[int] = set()
    with served(database) as address, Client(address, key_id, key) as client:
        described = msgspec.json.decode(client.request(Request(method="GET", path="/openapi.json")).body)
        schema = schemathesis.openapi.from_dict(described, config=SchemathesisConfig.from_dict(CONFIG))
        known, auth = Known(client), Signing(key_id, key)
        sent = 0
        for found in schema.get_all_operations():
            operation: Any = found.ok()  # type: ignore[union-attr]  # else the test fails, as it should
            for mode in GenerationMode if can_be_wrong(operation) else [GenerationMode.POSITIVE]:

                def send(case: Case[Any], *, mode: GenerationMode = mode) -> None:
                    nonlocal sent
                    sent += 1
                    if mode.is_positive and sent % 2:
                        known.into(case)
                    answer = case.call(base_url=address, auth=auth)
                    statuses.add(answer.status_code)
                    # Any bytes are a file, if not a good one: nothing of it is forbidden by the description.
                    is_file = case.media_type not in (None, "application/json")
                    case.validate_response(answer, checks=CHECKS[:-1] if is_file else CHECKS)

                try:
                    tried(operation, mode, send)
                except FailureGroup as group:
                    faults[f"{operation.label} {mode}"] = "\n".join(map(str, group.exceptions))
    assert not faults, "\n\n".join(f"{name}\n{text}" for name, text in faults.items())
    assert {200, 201, 400, 404, 422} <= statuses


def _described(client: TestClient) -> dict[str, Any]:
    described: dict[str, Any] = client.get("/openapi.json").json()
    return described


def _responses(described: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            for status, response in operation["responses"].items():
                yield f"{method.upper()} {path}", status, response


def test_the_descriptions_are_openapi_3_1(client: TestClient, office: Office) -> None:
    """Partners' description and the operator's are valid, with no reference that leads nowhere."""
    for described in (_described(client), _described(office.client)):
        assert described["openapi"].startswith("3.1")
        OpenAPIV31SpecValidator(described).validate()


def test_every_route_and_status_is_described(client: TestClient) -> None:
    """Each address of partners: signed, with what any request may meet, header fields, and examples."""
    described = _described(client)
    held: dict[str, dict[str, dict[str, Any]]] = {}
    for name, status, response in _responses(described):
        assert "Request-Id" in response["headers"], (name, status)
        held.setdefault(name, {})[status] = response
        problems = response.get("content", {}).get(PROBLEM_JSON)
        if problems is not None:
            assert problems["examples"], (name, status)
    signed = {name: held[name] for name in held if " /v1/" in name}
    for name, responses in signed.items():
        assert {"401", "429", "431", "500", "503"} <= responses.keys(), name
        assert responses["401"]["headers"].keys() == {"Request-Id", "WWW-Authenticate"}
        assert {"Retry-After", "RateLimit", "RateLimit-Policy"} <= responses["429"]["headers"].keys()
        assert "Retry-After" in responses["503"]["headers"]
        done = [status for status in responses if status < "300"]
        assert len(done) == 1, name
        for media_type, content in responses[done[0]]["content"].items():
            if media_type == "application/json":
                assert "example" in content, name
        if name.startswith("POST"):
            assert {"408", "413", "415"} & responses.keys() >= {"413", "415"}, name
    assert len(signed) > 25
    scheme = described["components"]["securitySchemes"]["httpSignature"]
    assert scheme["x-http-message-signature"]["tag"] == "loyalty-v1"


def test_every_body_has_an_example_that_it_allows(client: TestClient, office: Office) -> None:
    """Partners', members' and operators': of each JSON body one, and its schema takes it."""
    checked = 0
    for described in (_described(client), _described(office.client)):
        schemas = {"components": described["components"]}
        for path, methods in described["paths"].items():
            for method, operation in methods.items():
                held = [operation.get("requestBody", {}), *operation["responses"].values()]
                for content in [each.get("content", {}).get("application/json") for each in held]:
                    if content is None or not content.get("schema"):
                        continue
                    checked += 1
                    validator = Draft202012Validator({**content["schema"], **schemas})
                    faults = [fault.message for fault in validator.iter_errors(content["example"])]
                    assert faults == [], (method, path, content["example"])
    assert checked > 180


def test_examples_of_problems_are_problems(client: TestClient) -> None:
    """Every example names its own code and the status under which it stands."""
    described = _described(client)
    examples = described["components"]["examples"]
    for name, status, response in _responses(described):
        for code in response.get("content", {}).get(PROBLEM_JSON, {}).get("examples", {}):
            value = examples[code]["value"]
            assert (value["code"], str(value["status"])) == (code, status), name
            assert value["title"]
            assert value["type"]


@pytest.mark.parametrize("unsigned", ["/health/live", "/openapi.json"])
def test_what_is_not_signed(client: TestClient, unsigned: str) -> None:
    """Health and the description itself need no signature."""
    assert client.get(unsigned).status_code == 200
