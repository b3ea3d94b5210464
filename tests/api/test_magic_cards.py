"""Cards of the test mode: there is one for each refusal that a command with a card may have."""

import ast
from typing import get_args

from api.magic import MAGIC_CARDS
from config.settings import PROJECT
from network.presence import Problem

UNAVAILABLE, LOCKED = 6330999900000309, 6330999925592033


def test_every_refusal_has_its_card() -> None:
    """Each reason that the rules or what stands before them give; numbers stay what they were."""
    reasons = {
        call.args[0].value
        for path in (PROJECT / "network").rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id == "Rejected"
        and call.args
        and isinstance(call.args[0], ast.Constant)
    }
    before = {code for group in get_args(Problem) for code in (get_args(group) or [group])}
    codes = set(MAGIC_CARDS.values())
    assert (reasons | before) - codes == set()
    assert len(codes) == len(MAGIC_CARDS)
    assert len(reasons) > 60
    numbers = {code: number for number, code in MAGIC_CARDS.items()}
    assert numbers["card_unknown"] == 6330999900000002
    assert numbers["unavailable"] == UNAVAILABLE
    assert numbers["spending_locked"] == LOCKED
