"""What a programme offers beside rules, made ready: standing pledges (pure)."""

from collections.abc import Mapping, Sequence

import msgspec

from network.programme.spec_pledges import PledgeSpec
from network.programme.spec_rules import OPERATOR
from partners.model import OPERATOR_ID


class PledgeOffer(msgspec.Struct, frozen=True, kw_only=True):
    """A pledge that members may make; see PledgeSpec. `issuers`: whose points count, sorted; () is all."""

    says: str
    causes: frozenset[int]
    per_cents: frozenset[int]
    issuers: tuple[int, ...] = ()


def pledges_of(specs: Sequence[PledgeSpec], partner_ids: Mapping[str, int]) -> Mapping[str, PledgeOffer]:
    """The pledges of a file, by id."""
    known = {**partner_ids, OPERATOR: OPERATOR_ID}
    return {
        one.id: PledgeOffer(
            says=one.says,
            causes=frozenset(known[code] for code in one.causes),
            per_cents=frozenset(one.per_cents),
            issuers=tuple(sorted(known[code] for code in one.of or ())),
        )
        for one in specs
    }


def partners_of(specs: Sequence[PledgeSpec]) -> list[tuple[str, str]]:
    """Fields of pledges that name a partner, each with the code."""
    causes = [(f"pledge {one.id} causes", code) for one in specs for code in one.causes]
    return causes + [
        (f"pledge {one.id} of", code) for one in specs for code in one.of or () if code != OPERATOR
    ]
