"""Changes of the API's description: each kind that breaks partners' programs is found, and no other."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tests.openapi.breaks import breaks
from tests.openapi.release import description, released

Document = dict[str, Any]

OLD: Document = {
    "openapi": "3.1.0",
    "paths": {
        "/v1/sales/{id}": {
            "get": {
                "security": [{"signature": []}],
                "parameters": [
                    {"in": "path", "name": "id", "required": True, "schema": {"type": "string"}},
                    {
                        "in": "query",
                        "name": "limit",
                        "schema": {"type": "integer", "minimum": 1, "maximum": 100},
                    },
                ],
                "responses": {
                    "200": {
                        "headers": {"Request-Id": {}},
                        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Sale"}}},
                    },
                    "404": {"content": {"application/problem+json": {"schema": {"type": "object"}}}},
                },
            },
            "post": {
                "security": [{"signature": []}],
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/NewSale"}}},
                },
                "responses": {"201": {}},
            },
        },
        "/v1/free": {"post": {"requestBody": {"content": {"text/csv": {}}}, "responses": {"200": {}}}},
    },
    "components": {
        "schemas": {
            "NewSale": {
                "type": "object",
                "additionalProperties": False,
                "required": ["card"],
                "properties": {
                    "card": {"type": "string", "pattern": "^[0-9]+$", "maxLength": 16},
                    "kind": {"enum": ["earn", "burn"]},
                    "note": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
                    "lines": {"type": "array", "items": {"type": "integer"}, "maxItems": 5},
                    "at": {"type": "string"},
                },
            },
            "Sale": {
                "type": "object",
                "required": ["id", "state", "points"],
                "properties": {
                    "id": {"type": "string"},
                    "state": {"enum": ["open", "done"]},
                    "points": {"type": "integer"},
                    "note": {"type": "string"},
                    "parent": {"anyOf": [{"$ref": "#/components/schemas/Sale"}, {"type": "null"}]},
                },
            },
        }
    },
}


def _get(document: Document) -> Document:
    found: Document = document["paths"]["/v1/sales/{id}"]["get"]
    return found


def _post(document: Document) -> Document:
    found: Document = document["paths"]["/v1/sales/{id}"]["post"]
    return found


def _sent(document: Document) -> Document:
    found: Document = document["components"]["schemas"]["NewSale"]
    return found


def _said(document: Document) -> Document:
    found: Document = document["components"]["schemas"]["Sale"]
    return found


def _put(of: Callable[[Document], Document], *path: str, value: Any) -> Callable[[Document], None]:
    def change(document: Document) -> None:
        holder = of(document)
        for name in path[:-1]:
            holder = holder[name]
        holder[path[-1]] = value

    return change


def _drop(of: Callable[[Document], Document], *path: str) -> Callable[[Document], None]:
    def change(document: Document) -> None:
        holder = of(document)
        for name in path[:-1]:
            holder = holder[name]
        del holder[path[-1]]

    return change


def _all(document: Document) -> Document:
    return document


_LIMIT = {"in": "query", "name": "limit", "schema": {"type": "integer", "minimum": 1, "maximum": 50}}
_GET, _POST = "GET /v1/sales/{id}", "POST /v1/sales/{id}"
BREAKING = {
    "address gone": (_drop(_all, "paths", "/v1/free"), "/v1/free: the address is gone"),
    "method gone": (_drop(_all, "paths", "/v1/sales/{id}", "get"), f"{_GET}: the method is gone"),
    "status gone": (_drop(_get, "responses", "404"), f"{_GET} 404: the status is gone"),
    "another success": (
        _put(_post, "responses", "202", value={}),
        f"{_POST} 202: another status says that it is done",
    ),
    "header gone": (_drop(_get, "responses", "200", "headers"), f"{_GET} 200: the header Request-Id is gone"),
    "media type of an answer gone": (
        _put(_get, "responses", "404", "content", value={}),
        f"{_GET} 404: application/problem+json is not answered any more",
    ),
    "media type of a request gone": (
        _put(_post, "requestBody", "content", value={"text/csv": {}}),
        f"{_POST}: application/json is not taken any more",
    ),
    "body required": (
        _put(_all, "paths", "/v1/free", "post", "requestBody", "required", value=True),
        "POST /v1/free: a body is required now",
    ),
    "other security": (
        _put(_get, "security", value=[{"token": []}]),
        f"{_GET}: who may call it is proven in another way",
    ),
    "parameter gone": (_put(_get, "parameters", value=[]), f"{_GET} query limit: the parameter is gone"),
    "parameter required": (
        _put(_post, "parameters", value=[{"in": "query", "name": "x", "required": True}]),
        f"{_POST} query x: the parameter is required now",
    ),
    "parameter narrowed": (
        _put(_get, "parameters", value=[_LIMIT]),
        f"{_GET} query limit: maximum is 50 now",
    ),
    "field required": (
        _put(_sent, "required", value=["card", "kind"]),
        f"{_POST} body/kind: the field is required now",
    ),
    "new required field": (
        lambda document: _sent(document).update(
            required=["card", "till"],
            properties={**_sent(document)["properties"], "till": {"type": "string"}},
        ),
        f"{_POST} body/till: the field is required now",
    ),
    "field of a request gone": (
        _drop(_sent, "properties", "kind"),
        f"{_POST} body/kind: the field is not taken any more",
    ),
    "type narrowed": (
        _put(_sent, "properties", "note", value={"type": "string"}),
        f"{_POST} body/note: null is not taken any more",
    ),
    "type changed": (
        _put(_sent, "properties", "card", "type", value="integer"),
        f"{_POST} body/card: string is not taken any more",
    ),
    "value of an enumeration gone": (
        _put(_sent, "properties", "kind", "enum", value=["earn"]),
        f"{_POST} body/kind: values are not taken any more: it is one of ['earn'] now",
    ),
    "pattern changed": (
        _put(_sent, "properties", "card", "pattern", value="^[0-9]{16}$"),
        f"{_POST} body/card: pattern is ^[0-9]{{16}}$ now",
    ),
    "format added": (
        _put(_sent, "properties", "at", "format", value="date-time"),
        f"{_POST} body/at: format is date-time now",
    ),
    "bound lowered": (
        _put(_sent, "properties", "card", "maxLength", value=12),
        f"{_POST} body/card: maxLength is 12 now",
    ),
    "bound raised": (
        _put(_sent, "properties", "card", "minLength", value=12),
        f"{_POST} body/card: minLength is 12 now",
    ),
    "items narrowed": (
        _put(_sent, "properties", "lines", "items", "minimum", value=1),
        f"{_POST} body/lines[]: minimum is 1 now",
    ),
    "field of an answer gone": (_drop(_said, "properties", "note"), f"{_GET} 200/note: the field is gone"),
    "field of an answer may be missing": (
        _put(_said, "required", value=["id", "state"]),
        f"{_GET} 200/points: the field may be missing now",
    ),
    "answer's type widened": (
        _put(_said, "properties", "points", "type", value=["integer", "null"]),
        f"{_GET} 200/points: it may be integer/null now",
    ),
    "answer may be null": (
        _put(_said, "properties", "id", value={"anyOf": [{"type": "string"}, {"type": "null"}]}),
        f"{_GET} 200/id: it may be null now",
    ),
    "answer's values are new": (
        _put(_said, "properties", "state", "enum", value=["open", "done", "lost"]),
        f"{_GET} 200/state: values are new: it is one of ['open', 'done', 'lost'] now",
    ),
}


@pytest.mark.parametrize("name", BREAKING)
def test_what_breaks_is_found(name: str) -> None:
    """Each kind of break is named, with the place; nothing else is."""
    change, says = BREAKING[name]
    new = copy.deepcopy(OLD)
    change(new)
    assert says in {str(one) for one in breaks(OLD, new)}
    assert {str(one).partition(": ")[2] for one in breaks(OLD, new)} == {says.partition(": ")[2]}


def test_free_bodies_may_not_be_closed() -> None:
    """Where unknown fields were passed over, refusing them breaks who sends some."""
    old, new = copy.deepcopy(OLD), copy.deepcopy(OLD)
    del _sent(old)["additionalProperties"]
    assert [str(one) for one in breaks(old, new)] == [f"{_POST} body: unknown fields are refused now"]


HARMLESS: dict[str, Callable[[Document], object]] = {
    "nothing": lambda document: None,
    "a new address": _put(_all, "paths", "/v1/new", value={"get": {"responses": {"200": {}}}}),
    "a new refusal": _put(_post, "responses", "429", value={}),
    "a new optional field": _put(_sent, "properties", "till", value={"type": "string"}),
    "a new field of an answer": _put(_said, "properties", "till", value={"type": "string"}),
    "a field that is not required any more": _put(_sent, "required", value=[]),
    "a field of an answer that is always there": _put(
        _said, "required", value=["id", "state", "points", "note"]
    ),
    "a wider request": _put(_sent, "properties", "card", "maxLength", value=32),
    "a wider type": _put(_sent, "properties", "at", "type", value=["string", "null"]),
    "a new value that is taken": _put(_sent, "properties", "kind", "enum", value=["earn", "burn", "hold"]),
    "a narrower answer": _put(_said, "properties", "state", "enum", value=["done"]),
    "other words": _put(_sent, "properties", "card", "description", value="The card."),
    "another name in a path": lambda document: document["paths"].update(
        {"/v1/sales/{sale}": document["paths"].pop("/v1/sales/{id}")}
    ),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_does_not_break_is_passed_over(name: str) -> None:
    """What a program written against the old description never notices."""
    new = copy.deepcopy(OLD)
    HARMLESS[name](new)
    assert breaks(OLD, new) == []


def test_nothing_breaks_what_was_released() -> None:
    """The API as it is now serves every program written against the last released description."""
    assert [str(one) for one in breaks(released(), description())] == []


def test_the_released_description_would_notice() -> None:
    """The test above can fail: a field taken out of the description of today is found."""
    now = description()
    del now["components"]["schemas"]["EntryBody"]["properties"]["balance"]
    assert any("/balance: the field is gone" in str(one) for one in breaks(released(), now))
