"""Checks of a live ledger: set-based, one query each, naming what is wrong and where.

Each check selects faults, so an empty answer is a pass. They read one snapshot (the caller opens a repeatable
read), so that tills may go on meanwhile.
"""

from network.check import Check, Problem, faults
from network.verify_accounts import ACCOUNTS
from network.verify_awards import AWARDS
from network.verify_codes import CODES
from network.verify_games import GAMES
from network.verify_hooks import HOOKS
from network.verify_ledger import LEDGER
from network.verify_links import LINKS
from network.verify_origins import ORIGINS
from network.verify_plans import PLANS
from network.verify_pledges import PLEDGES
from network.verify_programmes import PROGRAMMES
from network.verify_transfers import TRANSFERS

__all__ = ["CHECKS", "Check", "Problem", "faults"]

CHECKS = (
    *(*LEDGER, *LINKS, *ORIGINS, *TRANSFERS, *ACCOUNTS, *AWARDS, *GAMES, *HOOKS, *PLEDGES, *PLANS),
    *CODES,
    *PROGRAMMES,
)
