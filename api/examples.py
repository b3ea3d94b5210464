"""Examples of bodies, made of their schemas: each field by its name, in the form that its schema asks for.

Partners' bodies have examples that were written for them (api.openapi); all others, operators' and members',
get theirs here, so that none is without one and none is out of date.
"""

import re
from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]

_NIGHT = "2017-05-01"
_AT = "2017-05-01T10:15:00Z"
_SHA256 = "5f2b8f0e7f6f4d1c9a3b2e105f2b8f0e7f6f4d1c9a3b2e105f2b8f0e7f6f4d1c"
_UUID = "01595c8e7c1e7a3f9c2b5d0000000001"
BY_NAME: Mapping[str, tuple[Any, ...]] = {
    "access": ("eyJhbGciOiJFZERTQSIsInR5cCI6IuKApiIsImtpZCI6IuKApiJ9.…",),
    "account_name": ("Grocer Ltd",),
    "acceptor": ("hotel",),
    "action": ("night.approve",),
    "added_by": ("max",),
    "against": ("hotel",),
    "amount": ("12.50",),
    "approved_by": ("cleo",),
    "base": ("EUR",),
    "because": ("it answered 410",),
    "bic": ("MARKDEF1100",),
    "by": ("max",),
    "card": ("6330001234567895",),
    "cause": ("animals",),
    "code": ("123456", "12345678", "grocer"),
    "creditor": ("hotel",),
    "currency": ("USD",),
    "debtor": ("grocer",),
    "email": ("anna@example.com",),
    "entry": (f"ent_{_UUID}",),
    "evidence": ("ticket 4711",),
    "expires_in": (600,),
    "grocer": ("12.50",),
    "iban": ("DE02120300000000202051",),
    "id": (_UUID,),
    "issuer": ("grocer",),
    "kind": ("partner.suspend",),
    "legal_name": ("Grocer Ltd",),
    "login": ("max",),
    "member": (f"mbr_{_UUID}",),
    "message_id": ("TESSERA-20170501-1",),
    "month": ("2017-05",),
    "name": ("Grocer Ltd", "max"),
    "operator": ("max",),
    "other_iban": ("DE02120300000000202051",),
    "other_name": ("Hotel Ltd",),
    "outlet": ("330",),
    "participant": ("grocer",),
    "partner": ("grocer",),
    "pin": ("4711",),
    "prepared_by": ("max",),
    "proposed_by": ("max",),
    "public_key": ("JrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=", _SHA256),
    "proof": ("A" * 86 + "==",),
    "qr": ("6330001234567895.123456",),
    "quote": ("USD",),
    "rate": ("1.0876",),
    "read_by": ("max",),
    "reason": ("till 7 was down",),
    "reference": ("bank/2017-05-01/0001",),
    "refresh": ("rt_2f7c…",),
    "source": ("ECB",),
    "state": ("netted",),
    "step": ("netted",),
    "subject": ("grocer",),
    "text": ("The receipt is signed.",),
    "tier": ("gold",),
    "url": ("https://hooks.example.com/tessera",),
    "window": (20170501,),
    "window_id": (20170501,),
    "years": (1,),
}
"""What stands under a name; the first that its schema allows."""
_KEY = "grocer"
"""The name in an object that may have any."""


def example_of(schema: Schema, schemas: Mapping[str, Schema], name: str = "") -> Any:
    """A value that a schema allows.

    Args:
        schema: A JSON Schema as msgspec writes them.
        schemas: Those that it may refer to, by name.
        name: Of the field; "" for a whole body.
    """
    if "$ref" in schema:
        return example_of(schemas[schema["$ref"].rpartition("/")[2]], schemas, name)
    if "anyOf" in schema:
        some = [one for one in schema["anyOf"] if one.get("type") != "null"]
        return example_of(some[0], schemas, name)
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type", "object")
    if kind == "object":
        return _object(schema, schemas)
    if kind == "array":
        items = schema.get("prefixItems") or [schema.get("items") or {}]
        return [example_of(one, schemas, name) for one in items]
    known = [one for one in BY_NAME.get(name, ()) if _allows(schema, one)]
    if known:
        return known[0]
    return _text(schema, name) if kind == "string" else _plain(schema, name)


def _object(schema: Schema, schemas: Mapping[str, Schema]) -> dict[str, Any]:
    """Its fields that are always there, and of the others those that are known by name."""
    if "properties" not in schema:
        of_any = schema.get("additionalProperties")
        return {_KEY: example_of(of_any, schemas, _KEY)} if isinstance(of_any, Mapping) else {}
    required = schema.get("required", ())
    return {
        name: example_of(one, schemas, name)
        for name, one in schema["properties"].items()
        if name in required or name in BY_NAME
    }


def _allows(schema: Schema, value: Any) -> bool:
    if isinstance(value, str):
        pattern = schema.get("pattern")
        fits = schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value))
        return schema.get("type") == "string" and fits and (pattern is None or _fits(pattern, value))
    return schema.get("type") in ("integer", "number")


def _fits(pattern: str, value: str) -> bool:
    return re.search(pattern, value) is not None


_TEXTS = (
    *(_NIGHT, _AT, "12.50", _SHA256, "grocer", "USD", f"ent_{_UUID}", "A" * 44, "A" * 88),
    *("max", "4711", "12345678", "EUR", "FRA", "Y", _SHA256 * 2),
)


def _text(schema: Schema, name: str) -> str:
    form = {"date": _NIGHT, "date-time": _AT, "decimal": "12.50"}.get(schema.get("format", ""))
    if form is None and name.endswith(("_at", "_until")):
        form = _AT
    if form is None and name.endswith("_on"):
        form = _NIGHT
    if form is None and ("sha256" in name or name.endswith("hash")):
        form = _SHA256
    for one in (*([] if form is None else [form]), name.replace("_", " "), *_TEXTS):
        if _allows(schema, one):
            return one
    raise ValueError(f"no example for {name}, {dict(schema)}: give one in BY_NAME")


def _plain(schema: Schema, name: str) -> bool | int | float:
    if schema["type"] == "boolean":
        return False
    if schema["type"] == "number":
        return 0.5
    wanted = 1250 if name.endswith("_minor") else 1
    return int(min(max(wanted, schema.get("minimum", wanted)), schema.get("maximum", wanted)))
