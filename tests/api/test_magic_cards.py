"""Cards of the test mode: there is one for each refusal that a command with a card may have."""

import ast
from typing import get_args

from api.magic import MAGIC_CARDS
from config.settings import PROJECT
from network.presence import Problem

NOT_BY_CARD = {
    # of entries and holds that a command names
    "already_unmerged",
    "entry_already_reversed",
    "entry_has_no_lines",
    "entry_not_reversible",
    "entry_unknown",
    "hold_closed",
    "hold_lapsed",
    "hold_unknown",
    "line_already_returned",
    "line_unknown",
    "more_than_held",
    "more_than_is_left",
    "not_a_merge",
    "nothing_pending",
    "one_measure_only",
    "points_already_spent",
    "returned_by_lines",
    "rewards_are_reversed_by_points",
    "sales_are_reversed_by_amount",
    # the operator's
    "tier_not_over",
    "tier_unknown",
    # of approvals, provoked by their ids and by asking
    "approval_unknown",
    "too_many_approvals",
}


def test_every_refusal_has_its_card() -> None:
    """Each reason that the rules or what stands before them give, but for those that no card decides."""
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
    assert (reasons | before) - NOT_BY_CARD - codes == set(), "add them at the end of api/magic.py"
    assert len(codes) == len(MAGIC_CARDS)
