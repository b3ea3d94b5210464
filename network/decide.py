"""Commands become decisions; a batch is folded so that each command sees its predecessors (pure)."""

from collections.abc import Callable, Sequence
from typing import Any

from network.accrual import accrue
from network.hold import capture, hold, lapse_hold, void
from network.identity import enrol
from network.model import (
    Accrue,
    Capture,
    Command,
    Decision,
    Enrol,
    Hold,
    Minted,
    RecordedEntry,
    Redeem,
    Rejected,
    Reverse,
    Void,
)
from network.redemption import redeem
from network.reversal import reverse
from network.rules import Folded, Rules

Rule = Callable[[Folded, Any, Minted, Rules], Decision | Rejected]

RULES: dict[type[Command], Rule] = {
    Enrol: enrol,
    Accrue: accrue,
    Redeem: redeem,
    Reverse: reverse,
    Hold: hold,
    Capture: capture,
    Void: void,
}


def decide(folded: Folded, command: Command, minted: Minted, rules: Rules) -> Decision | Rejected:
    """Judge one command on the state folded so far; mutates nothing."""
    return RULES[type(command)](folded, command, minted, rules)


def lapse_due(folded: Folded, due: Sequence[tuple[RecordedEntry, Minted]], rules: Rules) -> list[Decision]:
    """End the holds whose time is over, before anything else sees their members."""
    ended = []
    for held, minted in due:
        decision = lapse_hold(folded, held, minted, rules)
        folded.apply(decision)
        ended.append(decision)
    return ended


def decide_batch(
    folded: Folded, commands: Sequence[tuple[Command, Minted]], rules: Rules
) -> list[Decision | Rejected]:
    """Judge a batch in order.

    A batch of n gives what n batches of one would give; a refusal leaves no trace for its neighbours.

    Args:
        folded: The state that was loaded under lock; each decision is applied to it.
        commands: Each with the ids minted for it. A request appears once: replays were answered before.
        rules: The live rules.
    Returns:
        One decision or refusal per command, in order.
    """
    outcomes: list[Decision | Rejected] = []
    for command, minted in commands:
        outcome = decide(folded, command, minted, rules)
        if isinstance(outcome, Decision):
            folded.apply(outcome)
        outcomes.append(outcome)
    return outcomes
