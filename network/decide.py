"""Commands become decisions; a batch is folded so that each command sees its predecessors (pure)."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import msgspec

from network.abuse import watched
from network.accrual import accrue, release
from network.adjustment import adjust, review_tier, set_tier
from network.awarding import award, refer, treat
from network.commands import (
    Accrue,
    Adjust,
    Award,
    BuyPlan,
    Capture,
    Command,
    Convert,
    Donate,
    EndPlan,
    Enrol,
    Gift,
    Hold,
    Invite,
    IssueVoucher,
    Join,
    KeepPledge,
    LapseVoucher,
    Leave,
    LoadValue,
    Merge,
    PayOut,
    Pledge,
    Redeem,
    Refer,
    RefundValue,
    Release,
    ReturnVoucher,
    Reverse,
    ReviewTier,
    SetTier,
    SpendValue,
    Stake,
    Treat,
    Unmerge,
    UseVoucher,
    Void,
)
from network.draft import completed
from network.errors import InvariantBroken
from network.exposure import Guard
from network.guardian import refused_to_child
from network.hold import capture, hold, lapse_hold, void
from network.identity import enrol
from network.outcomes import Decision, Minted, Rejected
from network.paid_plan import buy_plan, end_plan
from network.pledge import keep_pledge, pledge
from network.pool import invite, join, leave
from network.redemption import donate, redeem
from network.reversal import reverse
from network.rules import Folded, Rules
from network.staking import pay_out, stake
from network.stored_value import load_value, refund_value, spend_value
from network.touch import touched
from network.transfer import gift, merge, unmerge
from network.voucher import convert, issue_voucher, lapse_voucher, return_voucher, use_voucher

Rule = Callable[[Folded, Any, Minted, Rules], Decision | Rejected]

RULES: dict[type[Command], Rule] = {
    Enrol: enrol,
    Accrue: accrue,
    Redeem: redeem,
    Reverse: reverse,
    Hold: hold,
    Capture: capture,
    Void: void,
    Release: release,
    Gift: gift,
    Donate: donate,
    Invite: invite,
    Join: join,
    Leave: leave,
    Merge: merge,
    Unmerge: unmerge,
    Adjust: adjust,
    SetTier: set_tier,
    ReviewTier: review_tier,
    Treat: treat,
    Award: award,
    Refer: refer,
    Stake: stake,
    PayOut: pay_out,
    Pledge: pledge,
    KeepPledge: keep_pledge,
    BuyPlan: buy_plan,
    EndPlan: end_plan,
    LoadValue: load_value,
    SpendValue: spend_value,
    RefundValue: refund_value,
    IssueVoucher: issue_voucher,
    Convert: convert,
    UseVoucher: use_voucher,
    ReturnVoucher: return_voucher,
    LapseVoucher: lapse_voucher,
}

STRUCTURAL = (Invite, Join, Leave, Merge, Unmerge)
"""Commands that change who belongs to whom, and so what others of a batch would have to load: each is one."""


def decide(folded: Folded, command: Command, minted: Minted, rules: Rules) -> Decision | Rejected:
    """Judge one command on the state folded so far; mutates nothing."""
    outcome = _refused(folded, command) or RULES[type(command)](folded, command, minted, rules)
    if isinstance(outcome, Decision):
        outcome = watched(folded, outcome, rules)
    return outcome if isinstance(outcome, Rejected) else completed(folded, outcome, rules)


def _refused(folded: Folded, command: Command) -> Rejected | None:
    """Why a command is not judged at all: another stands in its place, or a child cannot do this."""
    return folded.retry_refused(command) or refused_to_child(folded, command)


def _again(
    folded: Folded, command: Command, minted: Minted, rules: Rules, at_cap: frozenset[int]
) -> Decision | Rejected:
    """Judge a command again, where some partners have no room for more points."""
    return decide(folded, command, minted, msgspec.structs.replace(rules, at_cap=at_cap))


def end_due(folded: Folded, members: Iterable[int], rules: Rules) -> None:
    """End the holds of members whose time is over, before anything else sees them."""
    for member_id in sorted(members):
        due = folded.due(member_id)
        for hold_id in sorted(due):
            reserved = folded.recorded(hold_id)
            if reserved is None:
                raise InvariantBroken(f"hold {hold_id} is over and was not loaded")
            folded.apply(completed(folded, lapse_hold(folded, reserved, due.pop(hold_id), rules), rules))


def decide_batch(
    folded: Folded, commands: Sequence[tuple[Command, Minted]], rules: Rules, guard: Guard | None = None
) -> list[Decision | Rejected]:
    """Judge a batch in order.

    A batch of n gives what n batches of one would give; a refusal leaves no trace for its neighbours.

    Args:
        folded: The state that was loaded under lock; decisions are applied to it, those that end holds too.
        commands: Each with the ids minted for it. A request appears once: replays were answered before.
        rules: The live rules.
        guard: Tests accruals against caps; without one none is refused for that.
    Returns:
        One decision or refusal per command, in order.
    """
    outcomes: list[Decision | Rejected] = []
    for command, minted in commands:
        if folded.any_due:
            end_due(folded, touched(folded, [command]), rules)
        outcome = decide(folded, command, minted, rules)
        if guard is not None and isinstance(outcome, Decision):
            outcome = guard.judge(folded, command, outcome, partial(_again, folded, command, minted, rules))
        if isinstance(outcome, Decision):
            folded.apply(outcome)
        outcomes.append(outcome)
    return outcomes
