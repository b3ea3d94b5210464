"""What a new file changes, in plain words (pure)."""

from collections.abc import Iterator, Mapping
from typing import Any

from network.programme.spec import ProgrammeSpec

_NAMED = {"tier": "name"} | dict.fromkeys(
    (
        *("rule", "counter", "segment", "trigger", "surprise", "game", "draw", "pledge", "plan", "reward"),
        *("voucher", "coupon", "packs", "abuse"),
    ),
    "id",
)


def differences(before: ProgrammeSpec, after: ProgrammeSpec) -> list[str]:
    """What changes between two files, a sentence each; nothing where they say the same.

    Args:
        before: What is live.
        after: The new file.
    """
    old, new = (one.model_dump(mode="json", exclude_none=True) for one in (before, after))
    said = []
    for table, key in _NAMED.items():
        was = {one[key]: one for one in old.pop(table)}
        will = {one[key]: one for one in new.pop(table)}
        said += [f"New {table} {name}: {_says(will[name])}" for name in will if name not in was]
        said += [f"{table.capitalize()} {name} goes: {_says(was[name])}" for name in was if name not in will]
        for name, item in will.items():
            said += [f"{table.capitalize()} {name}: {one}" for one in _changes(was.get(name, item), item)]
        kept = [name for name in will if name in was]
        if kept != [name for name in was if name in will]:
            said.append(f"The order of {table}s changes: {', '.join(will)}")
    return said + [sentence[0].upper() + sentence[1:] for sentence in _changes(old, new)]


def _says(item: Mapping[str, Any]) -> str:
    said: str = item["says"]
    return said


def _changes(was: Mapping[str, Any], will: Mapping[str, Any], path: str = "") -> Iterator[str]:
    for name in [*was, *(one for one in will if one not in was)]:
        field = f"{path}{name}"
        one, other = was.get(name), will.get(name)
        if one == other:
            continue
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            yield from _changes(one, other, f"{field}.")
        elif one in (None, [], {}):
            yield f"{field} is now {_shown(other)}"
        elif other in (None, [], {}):
            yield f"{field} is no longer {_shown(one)}"
        else:
            yield f"{field} was {_shown(one)} and is now {_shown(other)}"


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_shown(one)}" for name, one in value.items())
    if isinstance(value, list):
        return "; ".join(_shown(one) for one in value)
    return str(value)
