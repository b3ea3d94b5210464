"""What in a newer description would break a program written against an older one (pure).

Whatever a client may send by the old description must be taken by the new one; whatever the new one answers
must be what the old one said. Fields may be added to answers, optional ones to requests, and addresses and
statuses of refusals to both.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

Schema = Mapping[str, Any]

_METHODS = ("get", "put", "post", "delete", "patch", "head", "options")
_LOWER = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_UPPER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_SAME = ("pattern", "format")
_ANYTHING: Schema = {}


class Break(msgspec.Struct, frozen=True, order=True):
    """What breaks, and where."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def breaks(old: Schema, new: Schema) -> list[Break]:
    """All breaking changes between two OpenAPI 3.1 descriptions, in order."""
    return sorted(set(_Comparison(old, new).document()))


class _Comparison:
    def __init__(self, old: Schema, new: Schema) -> None:
        self._roots = {"old": old, "new": new}

    def document(self) -> Iterator[Break]:
        """Compare addresses; names of path parameters do not count."""
        new = {_nameless(path): methods for path, methods in self._roots["new"]["paths"].items()}
        for path, methods in self._roots["old"]["paths"].items():
            after = new.get(_nameless(path))
            if after is None:
                yield Break(path, "the address is gone")
                continue
            for method in _METHODS:
                where = f"{method.upper()} {path}"
                if method in methods and method not in after:
                    yield Break(where, "the method is gone")
                elif method in methods:
                    yield from self._operation(where, methods[method], after[method])

    def _operation(self, where: str, old: Schema, new: Schema) -> Iterator[Break]:
        if _names(old.get("security")) != _names(new.get("security")):
            yield Break(where, "who may call it is proven in another way")
        yield from self._parameters(where, old, new)
        yield from self._request(where, old.get("requestBody"), new.get("requestBody"))
        for status, response in old["responses"].items():
            after = new["responses"].get(status)
            if after is None:
                yield Break(f"{where} {status}", "the status is gone")
            else:
                yield from self._response(f"{where} {status}", response, after)
        for status in new["responses"]:
            if status < "300" and status not in old["responses"]:
                yield Break(f"{where} {status}", "another status says that it is done")

    def _parameters(self, where: str, old: Schema, new: Schema) -> Iterator[Break]:
        before, after = (
            {(one["in"], one["name"]): one for one in operation.get("parameters", ()) if one["in"] != "path"}
            for operation in (old, new)
        )
        for key, one in before.items():
            there = f"{where} {key[0]} {key[1]}"
            if key not in after:
                yield Break(there, "the parameter is gone")
            else:
                asked = (one.get("schema", _ANYTHING), after[key].get("schema", _ANYTHING))
                yield from self._within(there, *asked, "old", "new")
        for key, one in after.items():
            was = before.get(key, _ANYTHING).get("required", False)
            if one.get("required", False) and not was:
                yield Break(f"{where} {key[0]} {key[1]}", "the parameter is required now")

    def _request(self, where: str, old: Schema | None, new: Schema | None) -> Iterator[Break]:
        if new is not None and new.get("required", False) and not (old or _ANYTHING).get("required", False):
            yield Break(where, "a body is required now")
        if old is None:
            return
        for media_type, content in old["content"].items():
            after = None if new is None else new["content"].get(media_type)
            if after is None:
                yield Break(where, f"{media_type} is not taken any more")
            else:
                asked = (content.get("schema", _ANYTHING), after.get("schema", _ANYTHING))
                yield from self._within(f"{where} body", *asked, "old", "new")

    def _response(self, where: str, old: Schema, new: Schema) -> Iterator[Break]:
        for name in old.get("headers", ()):
            if name not in new.get("headers", ()):
                yield Break(where, f"the header {name} is gone")
        for media_type, content in old.get("content", {}).items():
            after = new.get("content", {}).get(media_type)
            if after is None:
                yield Break(where, f"{media_type} is not answered any more")
            else:
                said = (after.get("schema", _ANYTHING), content.get("schema", _ANYTHING))
                yield from self._within(where, *said, "new", "old")

    def _within(
        self,
        where: str,
        narrow: Schema,
        wide: Schema,
        of_narrow: str,
        of_wide: str,
        seen: frozenset[str] = frozenset(),
    ) -> Iterator[Break]:
        """Why not every value of one schema is one of the other.

        Args:
            where: For the reader.
            narrow: Whose values are looked at.
            wide: What they must be.
            of_narrow, of_wide: "old" or "new": whose schemas they are, for references.
            seen: Pairs of references that are being compared further out.
        """
        pair = f"{narrow.get('$ref')} {wide.get('$ref')}"
        if "$ref" in narrow and "$ref" in wide:
            if pair in seen:
                return
            seen = seen | {pair}
        narrow, wide = self._resolved(narrow, of_narrow), self._resolved(wide, of_wide)
        branches = _branches(wide)
        if len(branches) == 1 and len(_branches(narrow)) == 1:
            yield from self._plain(where, _branches(narrow)[0], branches[0], of_narrow, of_wide, seen)
            return
        for one in _branches(narrow):
            found = [list(self._within(where, one, each, of_narrow, of_wide, seen)) for each in branches]
            if all(found):
                closest = min(found, key=len)
                yield from closest if len(branches) == 1 else [_kind(where, one, of_narrow)]

    def _plain(
        self, where: str, narrow: Schema, wide: Schema, of_narrow: str, of_wide: str, seen: frozenset[str]
    ) -> Iterator[Break]:
        yield from _values(where, narrow, wide, of_narrow)
        if "items" in wide and "array" in (_types(narrow) or {"array"}):
            items = narrow.get("items", _ANYTHING)
            yield from self._within(f"{where}[]", items, wide["items"], of_narrow, of_wide, seen)
        yield from self._fields(where, narrow, wide, of_narrow, of_wide, seen)

    def _fields(
        self, where: str, narrow: Schema, wide: Schema, of_narrow: str, of_wide: str, seen: frozenset[str]
    ) -> Iterator[Break]:
        held, known = narrow.get("properties", {}), wide.get("properties", {})
        for name, schema in known.items():
            there = f"{where}/{name}"
            if name in held:
                yield from self._within(there, held[name], schema, of_narrow, of_wide, seen)
            elif of_narrow == "new" and held:
                yield Break(there, "the field is gone")
            if name in wide.get("required", ()) and name not in narrow.get("required", ()):
                if of_narrow == "old":
                    yield Break(there, "the field is required now")
                elif name in held:
                    yield Break(there, "the field may be missing now")
        if wide.get("additionalProperties") is False:
            yield from _closed(where, narrow, held.keys() - known.keys(), of_narrow)

    def _resolved(self, schema: Schema, of: str) -> Schema:
        while "$ref" in schema:
            found: Any = self._roots[of]
            for part in schema["$ref"].removeprefix("#/").split("/"):
                found = found[part]
            schema = found
        return schema


def _closed(where: str, narrow: Schema, unknown: Iterable[str], of_narrow: str) -> Iterator[Break]:
    """Where a body takes the fields that it knows, and no others."""
    for name in unknown:
        yield Break(f"{where}/{name}", "the field is not taken any more")
    if of_narrow == "old" and narrow.get("additionalProperties") is not False and "properties" in narrow:
        yield Break(where, "unknown fields are refused now")


def _values(where: str, narrow: Schema, wide: Schema, of_narrow: str) -> Iterator[Break]:
    """Types, enumerations, bounds and forms."""
    has, may = _types(narrow), _types(wide)
    if may is not None and (has is None or not has <= may | ({"integer"} if "number" in may else set())):
        yield _kind(where, narrow, of_narrow)
    taken, given = _enum(wide), _enum(narrow)
    if taken is not None and (given is None or any(one not in taken for one in given)):
        word = "values are not taken any more" if of_narrow == "old" else "values are new"
        yield Break(where, f"{word}: it is one of {list(taken if of_narrow == 'old' else given or ())} now")
    for name in (*_LOWER, *_UPPER):
        if name in wide and not _bounded(name, narrow.get(name), wide[name]):
            limit = wide[name] if of_narrow == "old" else narrow.get(name)
            yield Break(where, f"{name} is {limit} now")
    for name in _SAME:
        if name in wide and narrow.get(name) != wide[name] and given is None:
            form = wide[name] if of_narrow == "old" else narrow.get(name)
            yield Break(where, f"{name} is {form} now")


def _bounded(name: str, narrow: Any, wide: Any) -> bool:
    if narrow is None:
        return False
    return bool(narrow >= wide) if name in _LOWER else bool(narrow <= wide)


def _kind(where: str, schema: Schema, of: str) -> Break:
    kinds = "/".join(sorted(_types(schema) or {"anything"}))
    return Break(where, f"{kinds} is not taken any more" if of == "old" else f"it may be {kinds} now")


def _types(schema: Schema) -> set[str] | None:
    given = schema.get("type")
    if given is None:
        return None
    return {given} if isinstance(given, str) else set(given)


def _enum(schema: Schema) -> Sequence[Any] | None:
    return [schema["const"]] if "const" in schema else schema.get("enum")


def _branches(schema: Schema) -> Sequence[Schema]:
    """What a value may be; the words beside a choice hold for each."""
    for name in ("anyOf", "oneOf"):
        if name in schema:
            rest = {
                key: value for key, value in schema.items() if key not in {name, "default", "description"}
            }
            return [{**rest, **one} for one in schema[name]]
    return [schema]


def _names(security: Sequence[Mapping[str, Any]] | None) -> set[str]:
    return {name for one in security or () for name in one}


def _nameless(path: str) -> str:
    return re.sub(r"{[^}]*}", "{}", path)
