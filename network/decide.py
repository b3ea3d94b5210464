"""Commands become decisions; a batch is folded so that each command sees its predecessors (pure)."""

from collections.abc import Callable, Sequence
from typing import Any

from network.accrual import accrue
from network.identity import enrol
from network.model import (
    Accrue,
    Command,
    Decision,
    Enrol,
    LedgerState,
    Minted,
    Redeem,
    Rejected,
    Reverse,
)
from network.redemption import redeem
from network.reversal import reverse
from network.rules import Folded, Rules

Rule = Callable[[Folded, Any, Minted, Rules], Decision | Rejected]

RULES: dict[type[Command], Rule] = {Enrol: enrol, Accrue: accrue, Redeem: redeem, Reverse: reverse}


def decide(folded: Folded, command: Command, minted: Minted, rules: Rules) -> Decision | Rejected:
    """Judge one command on the state folded so far; mutates nothing."""
    return RULES[type(command)](folded, command, minted, rules)


def decide_batch(
    state: LedgerState, commands: Sequence[tuple[Command, Minted]], rules: Rules
) -> list[Decision | Rejected]:
    """Judge a batch in order.

    A batch of n gives what n batches of one would give; a refusal leaves no trace for its neighbours.

    Args:
        state: All that the commands can see, loaded under lock.
        commands: Each with the ids minted for it. A request appears once: replays were answered before.
        rules: The live rules.
    Returns:
        One decision or refusal per command, in order.
    """
    folded = Folded(state)
    outcomes: list[Decision | Rejected] = []
    for command, minted in commands:
        outcome = decide(folded, command, minted, rules)
        if isinstance(outcome, Decision):
            folded.apply(outcome)
        outcomes.append(outcome)
    return outcomes
