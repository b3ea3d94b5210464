"""What the clients of a crash run ask for. A new kind of command is one more row of KINDS."""

from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.coalition import BANK, CODES, OUTLET, PETROL

CURRENCY = "USD"
RETURNABLE = ("accrual", "redemption", "capture", "donation", "load", "spend")
_REMEMBERED = 200
"""Answers of each kind that a client can refer to later (an entry to reverse, a hold to capture)."""


@dataclass
class World:
    """What one client knows: its cards, and the last answers it was given, by kind."""

    cards: list[str]
    answers: dict[str, deque[Mapping[str, Any]]] = field(
        default_factory=lambda: defaultdict(lambda: deque(maxlen=_REMEMBERED))
    )
    abroad: deque[Mapping[str, Any]] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    """Sales and rewards of other partners, as on the receipts that members bring."""

    def learn(self, asked: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
        """Remember an entry with what was asked for, and the card of a new member."""
        self.answers[str(answer["kind"])].append({**asked, **answer})
        if "card" in answer:
            self.cards.append(str(answer["card"]))

    def any_of(self, random: Random, *kinds: str) -> Mapping[str, Any] | None:
        """Some earlier answer of these kinds, or None where there is none yet."""
        known = [answer for kind in kinds for answer in self.answers[kind]]
        return random.choice(known) if known else None


@dataclass(frozen=True)
class Kind:
    """A kind of command.

    Attributes:
        name: As the answer's `kind` and a file line's `type` say it.
        path: Where it is posted.
        weight: How often it is asked for, beside the others.
        fields: Its fields beside reference and occurred_at; None where nothing can be asked yet.
        in_files: Whether a file may hold it.
    """

    name: str
    path: str
    weight: int
    fields: Callable[[World, Random], dict[str, Any] | None]
    in_files: bool = True


def _at_till(world: World, random: Random, amount_minor: int) -> dict[str, Any]:
    return {
        "outlet": OUTLET,
        "card": random.choice(world.cards),
        "amount_minor": amount_minor,
        "currency": CURRENCY,
    }


def _sale(world: World, random: Random) -> dict[str, Any]:
    amount_minor = random.randint(1, 20_000)
    return {**_at_till(world, random, amount_minor), **_lines(random, amount_minor)}


def _event(world: World, random: Random) -> dict[str, Any]:
    """Something that is no sale: it earns nothing here, and is on record all the same."""
    known = _at_till(world, random, 1)
    return {**{name: known[name] for name in ("outlet", "card", "currency")}, "event": "login"}


def _reward(world: World, random: Random) -> dict[str, Any]:
    points = random.randint(1, 120)
    return {**_at_till(world, random, points), "points": points, **_lines(random, points)}


def _lines(random: Random, whole: int) -> dict[str, Any]:
    """Lines that add up to the whole, for some; now and then they do not."""
    if whole < 3 or random.random() < 0.7:
        return {}
    first, second = random.randint(1, whole // 3), random.randint(1, whole // 3)
    return {"lines": [first, second, whole - first - second + (random.random() < 0.02)]}


def _return(world: World, random: Random) -> dict[str, Any] | None:
    """Of any entry, in full or in part, also of one that was returned before: refused, and so it stays."""
    known = world.any_of(random, *RETURNABLE)
    if world.abroad and random.random() < 0.2:
        known = random.choice(world.abroad)
    if known is None:
        return None
    fields: dict[str, Any] = {"entry": known["id"]}
    if "lines" in known and random.random() < 0.8:
        fields["lines"] = random.sample(range(1, len(known["lines"]) + 1), random.randint(1, 2))
    elif random.random() < 0.5:
        part = "amount_minor" if known["kind"] in ("accrual", "load", "spend") else "points"
        fields[part] = random.randint(1, 60)
    return fields


def _hold(world: World, random: Random) -> dict[str, Any]:
    points = random.randint(1, 120)
    minutes = random.choice((1, 30, 1_000))
    return {**_at_till(world, random, points), "points": points, "minutes": minutes}


def _capture(world: World, random: Random) -> dict[str, Any] | None:
    """Of any hold, also of one that is used up, voided or lapsed."""
    known = world.any_of(random, "hold")
    points = random.randint(1, 60)
    return None if known is None else {"hold": known["id"], "points": points, "amount_minor": points}


def _void(world: World, random: Random) -> dict[str, Any] | None:
    known = world.any_of(random, "hold")
    return None if known is None else {"hold": known["id"]}


def _release(world: World, random: Random) -> dict[str, Any] | None:
    """Of an accrual whose points are pending until an event, or were."""
    waiting = [known for known in world.answers["accrual"] if known.get("pending")]
    return {"accrual": random.choice(waiting)["id"]} if waiting else None


def _gift(world: World, random: Random) -> dict[str, Any]:
    return {**_pair(world, random), "points": random.randint(1, 60)}


def _donation(world: World, random: Random) -> dict[str, Any]:
    cause = random.choice((CODES[BANK], CODES[BANK], CODES[PETROL]))
    return {"card": random.choice(world.cards), "cause": cause, "points": random.randint(1, 40)}


def _pledge(world: World, random: Random) -> dict[str, Any]:
    """Of a programme that offers none: refused, and so it stays; or an end, which is always taken."""
    fields = {"card": random.choice(world.cards), "pledge": "for-a-cause", "per_cent": random.choice((0, 10))}
    return {**fields, "cause": CODES[BANK]} if fields["per_cent"] else fields


def _plan(world: World, random: Random) -> dict[str, Any]:
    return {**_at_till(world, random, 9_900), "plan": random.choice(("plus", "plus", "none"))}


def _plan_end(world: World, random: Random) -> dict[str, Any] | None:
    """Of any plan, also of one that was ended before."""
    known = world.any_of(random, "plan_membership")
    return None if known is None else {"membership": known["id"]}


def _money(world: World, random: Random) -> dict[str, Any]:
    """Stored value to load, spend or pay back; refused where there is none, or not so much."""
    return _at_till(world, random, random.randint(1, 3_000))


def _pair(world: World, random: Random) -> dict[str, Any]:
    """Two cards, now and then of one member."""
    return {"card": random.choice(world.cards), "to_card": random.choice(world.cards)}


def _join(world: World, random: Random) -> dict[str, Any] | None:
    known = world.any_of(random, "pool_invitation")
    return None if known is None else {"card": known["to_card"], "invitation": known["id"]}


def _leave(world: World, random: Random) -> dict[str, Any]:
    return {"card": random.choice(world.cards)}


def _merge(world: World, random: Random) -> dict[str, Any]:
    """A new account goes into some other: so there are always enough of them."""
    return {"card": random.choice(world.cards), "merged_card": random.choice(world.cards[-5:])}


def _unmerge(world: World, random: Random) -> dict[str, Any] | None:
    known = world.any_of(random, "merge")
    return None if known is None else {"merge": known["id"]}


def _award(world: World, random: Random) -> dict[str, Any]:
    """No programme of a crash run has awards: it is refused, and stays so."""
    return {"card": random.choice(world.cards), "award": "surprise", "case": str(random.randint(1, 99))}


def _stake(world: World, random: Random) -> dict[str, Any]:
    """No match is open in a crash run: it is refused, and stays so."""
    return {"card": random.choice(world.cards), "match": "mat_" + "0" * 32, "outcome": "home"}


def _referral(world: World, random: Random) -> dict[str, Any]:
    return {"card": random.choice(world.cards), "referrer_card": random.choice(world.cards)}


def _voucher(world: World, random: Random) -> dict[str, Any]:
    """In steps of ten points, now and then in none."""
    points = random.choice((10, 20, 30, 15))
    return {"card": random.choice(world.cards), "voucher": "paper", "points": points}


def _voucher_use(world: World, random: Random) -> dict[str, Any] | None:
    """Of any voucher, also of one that is used up; by whichever partner."""
    known = world.any_of(random, "voucher")
    if known is None or "code" not in known:  # answers to files tell none
        return None
    basket = {"amount_minor": random.randint(50, 2_000), "currency": CURRENCY}
    return {"outlet": OUTLET, "code": known["code"], **basket}


def _voucher_return(world: World, random: Random) -> dict[str, Any] | None:
    known = world.any_of(random, "voucher")
    return None if known is None or "code" not in known else {"code": known["code"]}


def _serial_code(world: World, random: Random) -> dict[str, Any]:
    """One that is on no pack: refused, and so it stays."""
    known = {"outlet": OUTLET, "card": random.choice(world.cards), "currency": CURRENCY}
    return {**known, "code": "0070-04K7-5VNN-6E14"}


KINDS = (
    Kind("enrolment", "/v1/members", 5, lambda *_: {}),
    Kind("accrual", "/v1/accruals", 60, _sale),
    Kind("event", "/v1/member-events", 2, _event),
    Kind("redemption", "/v1/redemptions", 24, _reward),
    Kind("reversal", "/v1/reversals", 14, _return),
    Kind("hold", "/v1/holds", 10, _hold),
    Kind("capture", "/v1/captures", 8, _capture),
    Kind("void", "/v1/voids", 4, _void),
    Kind("release", "/v1/releases", 4, _release),
    Kind("gift", "/v1/gifts", 5, _gift),
    Kind("donation", "/v1/donations", 3, _donation),
    Kind("pledge", "/v1/pledges", 2, _pledge),
    Kind("plan_membership", "/v1/plan-memberships", 2, _plan),
    Kind("plan_refund", "/v1/plan-refunds", 1, _plan_end),
    Kind("load", "/v1/loads", 4, _money),
    Kind("spend", "/v1/spends", 4, _money),
    Kind("refund", "/v1/refunds", 2, _money),
    Kind("pool_invitation", "/v1/pool-invitations", 3, _pair),
    Kind("pool_join", "/v1/pool-joins", 4, _join),
    Kind("pool_leave", "/v1/pool-leaves", 1, _leave),
    Kind("merge", "/v1/merges", 2, _merge),
    Kind("unmerge", "/v1/unmerges", 1, _unmerge),
    Kind("award", "/v1/awards", 2, _award),
    Kind("stake", "/v1/stakes", 1, _stake),
    Kind("referral", "/v1/referrals", 1, _referral),
    # a file's answers do not tell the code, which has to come again when asked again
    Kind("voucher", "/v1/vouchers", 4, _voucher, in_files=False),
    Kind("voucher_use", "/v1/voucher-uses", 4, _voucher_use),
    Kind("voucher_return", "/v1/voucher-returns", 1, _voucher_return),
    Kind("serial_code", "/v1/serial-codes", 1, _serial_code),
)
BY_NAME = {kind.name: kind for kind in KINDS}


@dataclass(frozen=True)
class Command:
    """One command with the reference and the fields that it keeps, however often it is sent."""

    kind: str
    fields: Mapping[str, Any]

    @property
    def reference(self) -> str:
        """The partner's own name for it."""
        return str(self.fields["reference"])

    @property
    def line(self) -> dict[str, Any]:
        """As a line of a file."""
        return {"type": self.kind, **self.fields}


def draw(world: World, random: Random, reference: str, occurred_at: str, *, in_file: bool = False) -> Command:
    """Some command under a reference of its own."""
    kinds = [kind for kind in KINDS if kind.in_files or not in_file]
    while True:
        [kind] = random.choices(kinds, [kind.weight for kind in kinds])
        fields = kind.fields(world, random)
        if fields is not None:
            return Command(kind.name, {"reference": reference, "occurred_at": occurred_at, **fields})
