"""Completes the OpenAPI description: what holds for every address, which no route says for itself.

Signatures, the problems that any signed request may meet, the header fields of answers, and examples of every
problem, out of the one table of them.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from api.examples import example_of
from api.openapi import EXAMPLES
from api.problems import TABLES, Problem, problem
from partners.signature_fields import MAX_COMPONENTS, MAX_HEADER_BYTES, TAG

PROBLEM_JSON = "application/problem+json"
_REF = "#/components/schemas/{name}"
_ANY_SIGNED = (401, 429, 431, 500, 503)
"""Statuses that any signed request may be answered with."""
_WITH_BODY = (408, 413, 415)
_NAMED = re.compile("`([a-z_]+)`")
_DESCRIPTION = """
Every request under `/v1` is signed by RFC 9421 HTTP Message Signatures with an Ed25519 key of the partner.
The signature covers `@method @authority @path @query`, with a body also `content-type content-digest`
(RFC 9530), with that header also `idempotency-key`; its parameters are `created`, `keyid`
and `tag="loyalty-v1"`.

Every write carries your own `reference`. The same reference with the same content gives the same answer and
does nothing twice, so after a timeout send it again.

A refusal is a problem (RFC 9457); its `code` says which, and does not change. Fields may be added to answers,
and codes to problems: pass over what you do not know. Quote `request_id` when you ask about an answer.
"""
_SIGNATURE = f"""
HTTP Message Signatures (RFC 9421) with Ed25519, in one profile. Two header fields are sent, each with exactly
one signature, of any label:

    Signature-Input: sig1=("@method" "@authority" "@path" "@query" "content-type" "content-digest")\\
        ;created=1618884473;keyid="your-key-id";tag="{TAG}"
    Signature: sig1=:<64 bytes in base64>:

(on one line each). What is signed is the signature base of section 2.5: one line per component, as
`"@method": POST`, and last `"@signature-params": ` with what is behind the label. `@authority` is the host in
lower case, with its port unless that is the scheme's own; `@path` and `@query` are as sent, percent-encoded,
the query with its question mark, `?` alone where there is none. A request with a body covers `content-type`
and `content-digest` too, and one with an `Idempotency-Key` covers that.

`created` is Unix seconds, at most 300 ago and 60 ahead; `expires` may be given, at most 300 after `created`;
`alg` is `ed25519` or left out; `nonce` is any text; other parameters are refused. `Content-Digest` is sha-256
or sha-512 (RFC 9530). Header fields take {MAX_HEADER_BYTES} bytes at most, with {MAX_COMPONENTS} components.
"""
_PROFILE = {
    "rfc": 9421,
    "algorithm": "ed25519",
    "tag": TAG,
    "components": ["@method", "@authority", "@path", "@query"],
    "components_with_body": ["content-type", "content-digest"],
    "parameters": ["created", "keyid", "tag"],
    "optional_parameters": ["alg", "expires", "nonce"],
}
_HEADERS: dict[str, dict[str, Any]] = {
    "Request-Id": {
        "description": "The id of this request in our logs.",
        "schema": {"type": "string", "pattern": "^req_[0-9a-f]{24}$"},
        "example": "req_5f2b8f0e7f6f4d1c9a3b2e10",
    },
    "Idempotent-Replayed": {
        "description": "There, and `true`, where this is the remembered answer to an earlier request.",
        "schema": {"enum": ["true"]},
        "example": "true",
    },
    "Retry-After": {
        "description": "Seconds to wait before the same request is sent again.",
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
        "example": "1",
    },
    "RateLimit": {
        "description": "The limit that was met, what is left of it, and in how many seconds there is more.",
        "schema": {"type": "string"},
        "example": '"key";r=0;t=1',
    },
    "RateLimit-Policy": {
        "description": "The limit that was met: requests (`q`) in a window of seconds (`w`).",
        "schema": {"type": "string"},
        "example": '"key";q=2000;w=2',
    },
    "WWW-Authenticate": {
        "description": "That a signature is asked for.",
        "schema": {"enum": ["Signature"]},
        "example": "Signature",
    },
    "Allow": {
        "description": "The methods of this address.",
        "schema": {"type": "string"},
        "example": "POST",
    },
}
_OF_STATUS: dict[str, tuple[str, ...]] = {
    "401": ("WWW-Authenticate",),
    "405": ("Allow",),
    "429": ("Retry-After", "RateLimit", "RateLimit-Policy"),
    "503": ("Retry-After",),
}
_REPLAYED_AT = frozenset({"200", "201", "202"})


def describe(openapi: dict[str, Any], types: Sequence[Any]) -> dict[str, Any]:
    """Complete FastAPI's description with our schemas and with what holds for all addresses.

    Args:
        openapi: What FastAPI made of the routes; changed in place.
        types: The msgspec types that requests and answers are.
    """
    components = openapi.setdefault("components", {})
    components["schemas"] = {**components.get("schemas", {}), **_schemas(types)}
    components["headers"] = _HEADERS
    components["securitySchemes"] = {
        "httpSignature": {
            "type": "apiKey",
            "in": "header",
            "name": "Signature",
            "description": _SIGNATURE.strip(),
            "x-http-message-signature": _PROFILE,
        },
        "memberSession": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "Ten minutes of a session that `/m/sessions` began.",
        },
        "operatorSession": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "Ten minutes of a session that `/operator/login` began.",
        },
    }
    openapi["info"]["description"] = _DESCRIPTION.strip()
    for path, operation in _operations(openapi):
        responses = operation["responses"]
        if path.startswith("/v1/"):
            operation["security"] = [{"httpSignature": []}]
            with_body = _WITH_BODY if "requestBody" in operation else ()
            if _is_frameworks(responses.get("422", {})):
                responses["422"] = _problem_response(["validation_failed"])
            for status in (*_ANY_SIGNED, *with_body):
                codes = [code for code, (its, _) in TABLES[0].items() if its == status]
                if codes:
                    responses.setdefault(str(status), _problem_response(codes))
            operation["responses"] = responses = dict(sorted(responses.items()))
        for status, response in responses.items():
            _complete_response(status, response, replayable=operation.get("requestBody") is not None)
        _give_examples(operation, components["schemas"])
    named = {code for _, operation in _operations(openapi) for code in _codes(operation)}
    components["examples"] = {code: _example(code) for code in sorted(named)}
    _drop_unused(openapi)
    return openapi


def _give_examples(operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    """To each JSON body that has none; and those that were written as they are: the framework drops nulls."""
    bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
    for body in bodies:
        held = body.get("content", {}).get("application/json")
        if held is None or not held.get("schema"):
            continue
        name = held["schema"].get("$ref", "").rpartition("/")[2]
        if name in EXAMPLES:
            held["example"] = EXAMPLES[name]
        elif not held.keys() & {"example", "examples"}:
            held["example"] = example_of(held["schema"], schemas)


def _operations(openapi: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in openapi["paths"].items():
        for operation in methods.values():
            yield path, operation


def _schemas(types: Sequence[Any]) -> dict[str, Any]:
    _, schemas = msgspec.json.schema_components((*types, Problem), ref_template=_REF)
    for schema in schemas.values():
        # A single command's address says its type; only a file's lines must.
        if (
            "type" in schema.get("properties", {})
            and "required" in schema
            and "reference" in schema["required"]
        ):
            schema["required"] = [name for name in schema["required"] if name != "type"]
    return schemas


def _is_frameworks(response: dict[str, Any]) -> bool:
    """Whether a response is what FastAPI thinks that it answers to a wrong parameter."""
    schema = response.get("content", {}).get("application/json", {}).get("schema", {})
    return str(schema.get("$ref", "")).endswith("HTTPValidationError")


def _problem_response(codes: Sequence[str]) -> dict[str, Any]:
    """Problems that a request may meet, where its route has not said so."""
    return {
        "description": "One of: " + ", ".join(f"`{code}`" for code in codes),
        "content": {PROBLEM_JSON: {"schema": {"$ref": _REF.format(name="Problem")}}},
    }


def _complete_response(status: str, response: dict[str, Any], *, replayable: bool) -> None:
    """Add header fields, and to problems an example of each; take out what the framework thinks by itself."""
    content = response.get("content", {})
    if len(content) > 1 and content.get("application/json") == {"schema": {}}:
        del content["application/json"]
    names = ["Request-Id", *_OF_STATUS.get(status, ())]
    if replayable and status in _REPLAYED_AT:
        names.append("Idempotent-Replayed")
    headers = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
    response["headers"] = {**headers, **response.get("headers", {})}
    problems = response.get("content", {}).get(PROBLEM_JSON)
    if problems is not None and status != "default":
        codes = _NAMED.findall(response["description"])
        problems["examples"] = {code: {"$ref": f"#/components/examples/{code}"} for code in codes}


def _codes(operation: dict[str, Any]) -> Iterator[str]:
    for response in operation["responses"].values():
        yield from response.get("content", {}).get(PROBLEM_JSON, {}).get("examples", {})


def _example(code: str) -> dict[str, Any]:
    """A problem as it is answered."""
    value = msgspec.to_builtins(problem(code, request_id=_HEADERS["Request-Id"]["example"]))
    if code == "signature_time":
        value["server_time"] = 1618884473
    elif code == "validation_failed":
        value["errors"] = [{"pointer": "/amount_minor", "code": "invalid"}]
    elif code == "card_number_invalid":
        value["errors"] = [{"pointer": "/card", "code": "luhn"}]
    return {"summary": value["title"], "value": value}


def _drop_unused(openapi: dict[str, Any]) -> None:
    """FastAPI's own schema of a 422, which is nobody's answer here."""
    schemas = openapi["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
