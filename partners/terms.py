"""Which version of a contract is in force on a day, and which versions may follow (pure)."""

from collections.abc import Sequence
from datetime import date
from itertools import pairwise

from partners.errors import TermsNotAccepted
from partners.model import Terms


def terms_on(versions: Sequence[Terms], on: date) -> Terms | None:
    """The version in force on a day, or None before the first.

    Args:
        versions: One partner's versions, by `effective_on`, ascending.
        on: The occurred-at date in the network's time zone.
    """
    for terms in reversed(versions):
        if terms.effective_on <= on:
            return terms
    return None


def require_superseding(known: Sequence[Terms], added: Sequence[Terms]) -> None:
    """Make sure that new versions of one partner come after all others, in number and in date.

    A version slipped in between would price anew what was priced already.

    Raises:
        TermsNotAccepted: a new version's number or date is not after its predecessor's.
    """
    for before, after in pairwise([*known[-1:], *added]):
        if after.terms_version <= before.terms_version or after.effective_on <= before.effective_on:
            raise TermsNotAccepted(
                f"terms {after.terms_version} of partner {after.partner_id} from {after.effective_on} do not "
                f"supersede terms {before.terms_version} from {before.effective_on}: "
                "give them a higher number and a later date"
            )
