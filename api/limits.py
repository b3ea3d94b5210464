"""How much may come under one key, how much may be refused at one address, how many cards may be guessed.

Each limit is a token bucket in the memory of one server: a network that runs several lets each have its own.
A bucket is one number, the time at which it would be full again (the generic cell rate algorithm), so that a
request costs one look into a dictionary.
"""

import math
from collections.abc import Callable, Hashable, Mapping
from ipaddress import IPv6Address

import msgspec

_MOST_HELD = 20_000
UNKNOWN_CARDS = frozenset({"card_unknown", "recipient_unknown", "voucher_unknown", "pack_unknown"})
_GUESSES = tuple(f'"code":"{code}"'.encode() for code in sorted(UNKNOWN_CARDS))


class Rate(msgspec.Struct, frozen=True):
    """So many in a second in the long run, and so many at once."""

    per_second: float
    burst: int


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of a server. Those of a key are far above what a chain of shops sends.

    `refused` is of requests that were refused at the door, by address: those that are in order are never
    counted, so that nobody behind the same proxy is kept out by a neighbour. `cards` is of cards that do not
    exist, by partner; lines of files have a count of their own. `members` is of requests to sign in, by
    address.
    """

    keys: Rate = Rate(1_000, 2_000)
    refused: Rate = Rate(5, 200)
    cards: Rate = Rate(2, 300)
    members: Rate = Rate(0.5, 30)


class Buckets:
    """Token buckets by key, empty ones being forgotten."""

    def __init__(self, rate: Rate) -> None:
        self.rate = rate
        self._step = 1 / rate.per_second
        self._room = (rate.burst - 1) * self._step
        self._full_at: dict[Hashable, float] = {}

    def take(self, key: Hashable, now: float) -> float:
        """Take a token: 0, or the seconds until there is one; then none is taken."""
        full_at = max(now, self._full_at.get(key, now))
        wait = full_at - now - self._room
        if wait > 0:
            return wait
        if len(self._full_at) >= _MOST_HELD:
            self._forget(now)
        self._full_at[key] = full_at + self._step
        return 0.0

    def wait(self, key: Hashable, now: float) -> float:
        """The seconds until there is a token, 0 where there is one; nothing is taken."""
        full_at = self._full_at.get(key)
        return 0.0 if full_at is None else max(0.0, full_at - now - self._room)

    def spend(self, key: Hashable, now: float, tokens: int = 1) -> None:
        """Take tokens that are owed already, even a burst that is not there: what came at once is paid."""
        full_at = max(now, self._full_at.get(key, now)) + tokens * self._step
        if len(self._full_at) >= _MOST_HELD:
            self._forget(now)
        self._full_at[key] = min(full_at, now + 2 * (self._room + self._step))

    def _forget(self, now: float) -> None:
        """Forget those that are full again; should all be in use, the oldest half."""
        kept = {key: at for key, at in self._full_at.items() if at > now}
        if len(kept) >= _MOST_HELD:
            kept = dict(list(kept.items())[_MOST_HELD // 2 :])
        self._full_at = kept


class Limits:
    """The buckets of one server."""

    def __init__(self, rates: Rates, monotonic: Callable[[], float]) -> None:
        self.keys = Buckets(rates.keys)
        self.refused = Buckets(rates.refused)
        self.cards = Buckets(rates.cards)
        self.members = Buckets(rates.members)
        self.now = monotonic

    def count_guesses(self, partner_id: int, answer: bytes) -> None:
        """Count what a refused command says of cards that do not exist."""
        found = sum(answer.count(code) for code in _GUESSES)
        if found:
            self.cards.spend(partner_id, self.now(), found)


def address_of(client: tuple[str, int] | None) -> str:
    """Whom a limit by address counts: the peer, of IPv6 its network of 64 bits, which is one customer's.

    What a header says of an address anybody could have written.
    """
    host = client[0] if client else ""
    if ":" not in host:
        return host
    try:
        return str(IPv6Address(int(IPv6Address(host.partition("%")[0])) >> 64 << 64))
    except ValueError:
        return host


def headers_of(name: str, rate: Rate, wait: float) -> Mapping[str, str]:
    """What goes with a 429: when to come back, and the limit that was met.

    Source: RFC 9110, 10.2.3; RateLimit header fields for HTTP (draft-ietf-httpapi-ratelimit-headers-10).
    """
    seconds = max(1, math.ceil(wait))
    window = max(1, math.ceil(rate.burst / rate.per_second))
    return {
        "retry-after": str(seconds),
        "ratelimit-policy": f'"{name}";q={rate.burst};w={window}',
        "ratelimit": f'"{name}";r=0;t={seconds}',
    }
