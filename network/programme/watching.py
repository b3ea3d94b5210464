"""What a programme watches for, compiled (pure)."""

from collections.abc import Mapping, Sequence

import msgspec

from network.programme.spec_abuse import AbuseSpec, Then, Watch


class Suspicion(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is watched for; `at`: the partners where it is, None for all. See AbuseSpec."""

    id: str
    watch: Watch
    more_than: int
    period: str
    at: frozenset[int] | None
    then: Then
    givers: int = 2

    def concerns(self, partner_id: int) -> bool:
        """Whether it is watched at a partner."""
        return self.at is None or partner_id in self.at


def suspicions_of(specs: Sequence[AbuseSpec], partner_ids: Mapping[str, int]) -> tuple[Suspicion, ...]:
    """What a file watches for, in its order."""
    return tuple(
        Suspicion(
            id=one.id,
            watch=one.watch,
            more_than=one.more_than or 0,
            period=one.period,
            at=None if one.at is None else frozenset(partner_ids[code] for code in one.at),
            then=one.then,
            givers=one.givers or 2,
        )
        for one in specs
    )
