"""The one table of problems: whatever the rules may refuse has its code, its status and its title there."""

import ast
from collections.abc import Iterator
from pathlib import Path

import network
from api.advice import ADVICE
from api.problems import PROBLEMS, TABLES

ROOM = Path(network.__file__).parent
_STATUS = {
    **dict.fromkeys(("entry_unknown", "hold_unknown", "invitation_unknown", "match_unknown"), 404),
    **dict.fromkeys(("voucher_unknown", "pack_unknown"), 404),
    "programme_not_read": 503,
}
"""All others are 422."""


def refusals() -> Iterator[tuple[str, str]]:
    """Every reason that the network's code gives to Rejected, and the file that gives it."""
    for path in sorted(ROOM.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Rejected":
                for argument in node.args:
                    for part in ast.walk(argument):
                        if isinstance(part, ast.Constant) and isinstance(part.value, str):
                            yield part.value, path.name


def test_every_refusal_has_its_problem() -> None:
    """No rule can refuse what the API cannot say; what is not there is 404, what time cures is 503."""
    found = set(refusals())
    assert len(found) > 20
    missing = {f"{code} in {name}" for code, name in found if code not in PROBLEMS}
    assert missing == set()
    assert {code: PROBLEMS[code][0] for code, _ in found} == {
        code: _STATUS.get(code, 422) for code, _ in found
    }


def test_every_title_is_a_sentence_of_its_own() -> None:
    """An operator at a till reads the title alone: no two codes share one, and none ends in a full stop."""
    titles = [title for table in TABLES for _, title in table.values()]
    assert len({code for table in TABLES for code in table}) == len(titles)
    assert len(set(titles)) == len(titles)
    assert [title for title in titles if not title[:1].isupper() or title.endswith(".")] == []


def test_every_code_says_where_it_comes_from_and_what_to_do() -> None:
    """The catalogue has no gap: each code has a cause and a way on; no advice is of a code that is gone."""
    codes = {code for table in TABLES for code in table}
    assert codes - set(ADVICE) == set()
    assert set(ADVICE) - codes == set()
    parts = [part for advice in ADVICE.values() for part in advice]
    assert [part for part in parts if part[-1] not in ".:"] == []
