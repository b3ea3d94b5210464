"""A member registers the code on a pack: it earns once, by the programme's rules (pure)."""

import msgspec

from network.codes import MOST_PACK
from network.commands import Accrue
from network.judging import judged
from network.model import Entry
from network.outcomes import Decision, Rejected
from network.rules import Folded, Rules


def registered(
    folded: Folded, command: Accrue, entry: Entry, rules: Rules, terms_version: int
) -> Decision | Rejected:
    """Judge a registration. A code that would earn nothing is not used up: its member may come again.

    Args:
        folded: The state, which knows whose codes were used before.
        command: What was sent; its details name the pack, if the code was opened.
        entry: Its entry, but for what its postings say.
        rules: The live rules.
        terms_version: Of the partner's contract on the day.
    """
    pack = None if command.details is None else command.details.pack
    if pack is None:
        return Rejected("pack_unknown")
    campaign = rules.programme.packs.get(pack >> MOST_PACK.bit_length())
    if campaign is None or pack & MOST_PACK >= campaign.packs:
        return Rejected("pack_unknown")
    if not campaign.first_on <= rules.local_date(command.occurred_at) <= campaign.last_on:
        return Rejected("pack_not_open")
    if folded.is_used(pack):
        return Rejected("pack_used")
    plan = rules.programme.plans.get(command.partner_id)
    if plan is None:
        return Rejected("pack_earns_nothing")
    decision = judged(folded, command, entry, plan, rules, terms_version)
    if isinstance(decision, Decision) and not decision.postings:
        return Rejected("pack_earns_nothing")
    return decision if isinstance(decision, Rejected) else msgspec.structs.replace(decision, pack=pack)
