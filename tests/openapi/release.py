"""Release the partner API's description: `make release-openapi` writes what is served now.

Whatever was released is kept: the tests hold each later description against it. To release what breaks it,
say so: `make release-openapi BREAKING=yes`, and tell partners.
"""

import sys
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import create_engine

from api.app import create_app
from config.settings import PROJECT
from tests.hooks import HOOK_KEY
from tests.openapi.breaks import breaks
from tests.people import KEYS

RELEASED = PROJECT / "docs" / "partners" / "openapi-released.json"
_OTHERS = ("/operator", "/m/")
_IN_FILES = {"$ref": "#/components/schemas/LineAnswer"}
"""A line of an answer that is a file, which no schema can say."""
_PRUNED = ("schemas", "examples")
_BREAKING = "--breaking"


def description() -> dict[str, Any]:
    """What is served, as far as it is signed by partners: no word about operators; no database is asked."""
    nowhere = create_engine("postgresql+psycopg://nobody@127.0.0.1:1/none")
    app = create_app(
        nowhere,
        authority="api.example.com",
        now=lambda: datetime(2026, 1, 1, tzinfo=UTC),
        hook_key=HOOK_KEY,
        operator_keys=KEYS,
    )
    made: dict[str, Any] = app.describe()
    paths = {path: does for path, does in made["paths"].items() if not path.startswith(_OTHERS)}
    parts: dict[str, dict[str, Any]] = made["components"]
    named = _named_by([paths, _IN_FILES], parts)
    kept = {
        kind: {name: one for name, one in held.items() if kind not in _PRUNED or (kind, name) in named}
        for kind, held in parts.items()
    }
    return {**made, "paths": paths, "components": kept}


def _named_by(value: Any, parts: dict[str, dict[str, Any]]) -> set[tuple[str, str]]:
    """The parts that something refers to, and what those refer to: kind and name of each."""
    found: set[tuple[str, str]] = set()
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            waiting += one.values()
            reference = one.get("$ref")
            if isinstance(reference, str):
                kind, name = reference.split("/")[-2:]
                if (kind, name) not in found:
                    found.add((kind, name))
                    waiting.append(parts[kind][name])
        elif isinstance(one, list):
            waiting += one
    return found


def released() -> dict[str, Any]:
    """What was released last."""
    found: dict[str, Any] = msgspec.json.decode(RELEASED.read_bytes())
    return found


def _without_examples(value: Any) -> Any:
    """What is compared: examples break nobody, and are most of the text."""
    if isinstance(value, dict):
        kept = {name: _without_examples(one) for name, one in value.items()}
        return {name: one for name, one in kept.items() if name not in {"example", "examples"}}
    return [_without_examples(one) for one in value] if isinstance(value, list) else value


def main(arguments: list[str]) -> int:
    """Write the file, unless it would break who built on the last one."""
    now = description()
    found = breaks(released(), now) if RELEASED.exists() else []
    for one in found:
        sys.stderr.write(f"breaks: {one}\n")
    if found and _BREAKING not in arguments:
        sys.stderr.write(f"{len(found)} changes break programs of partners: nothing was released\n")
        return 1
    RELEASED.parent.mkdir(parents=True, exist_ok=True)
    kept = msgspec.json.encode(_without_examples(now), order="sorted")
    RELEASED.write_bytes(msgspec.json.format(kept, indent=1) + b"\n")
    sys.stdout.write(f"released: {RELEASED.relative_to(PROJECT)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
