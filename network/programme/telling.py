"""What a new file changes, and whom a segment is for, in plain words (pure)."""

from collections.abc import Iterator, Mapping
from typing import Any

from network.programme.spec import ProgrammeSpec
from network.programme.spec_members import OverDaysSpec, RangeSpec, SegmentWhenSpec

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


def conditions(when: SegmentWhenSpec) -> list[str]:
    """Who is in a segment: a phrase for each condition; all of them must hold."""
    said = []
    where = f" at {' or '.join(when.partners)}" if when.partners else ""
    if when.seen:
        said.append(f"last bought{where} {_range(when.seen)} days ago")
    if when.sales:
        said.append(f"bought{where} {_range(when.sales)} times {_lately(when.sales)}")
    if when.money_minor:
        money = f"{_range(when.money_minor)} minor units {_lately(when.money_minor)}"
        said.append(f"spent{where} {money}, less what came back")
    if when.tiers:
        said.append(f"is in tier {' or '.join(when.tiers)}")
    for name, values in (when.facts or {}).items():
        said.append(f"has told {name}: {' or '.join(values)}")
    if when.age:
        said.append(f"is {_range(when.age)} years old")
    return said


def _range(span: RangeSpec) -> str:
    if span.at_least is None:
        return f"at most {span.at_most:,}"
    if span.at_most is None:
        return f"at least {span.at_least:,}"
    return f"{span.at_least:,} to {span.at_most:,}"


def _lately(span: OverDaysSpec) -> str:
    return f"in the last {span.days} days"


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
