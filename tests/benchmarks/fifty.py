"""A programme for measuring: a partner with nothing but [earn], three with fifty rules that give or not."""

import msgspec

from tests.benchmarks.load import Load
from tests.benchmarks.measures import earns, load
from tests.benchmarks.site import Site, key_id_of
from tests.coalition import BANK, CODES, HOTEL, PETROL, PROGRAMME

RULES = 50
_GROUPS = 4
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_NEVER_MET = (
    'categories = ["kind-{n}"]',
    'tenders = ["voucher-{n}"]',
    'channels = ["app-{n}"]',
    'offers = ["offer-{n}"]',
    "hours = {{ since = 0{group}:00:00, until = 0{group}:00:01 }}",
    'tiers = ["tier-{group}"]',
    "minimum_minor = {large}",
    'weekdays = ["{day}"]\nminimum_minor = {large}',
    'segments = ["group-{group}"]',
    'segments = ["group-{group}"]\nminimum_minor = {large}',
)
"""Conditions of the kinds that programmes have, which the measured sales do not meet."""


class Giving(msgspec.Struct, frozen=True):
    """How many of a partner's fifty rules give on every sale, and whether each of them has a cap a month."""

    partner_id: int
    rules: int
    capped: bool = False


ONE, FIVE, CAPPED = Giving(PETROL, 1), Giving(HOTEL, 5), Giving(BANK, 5, capped=True)


def fifty_each() -> str:
    """The programme's text. Of rules that do not give a fifth has a cap, so what they gave is asked for."""
    names = ", ".join(f'"tier-{n}"' for n in range(_GROUPS))
    head = PROGRAMME.replace('name = "test"', f'name = "test"\ntiers = [{names}]')
    segments = (_segment(n) for n in range(_GROUPS))
    rules = (
        _gives(n, one) if n < one.rules else _is_silent(n, one)
        for one in (ONE, FIVE, CAPPED)
        for n in range(RULES)
    )
    return "\n".join((head, *segments, *rules))


def _segment(n: int) -> str:
    return f'[[segment]]\nid = "group-{n}"\nsays = "x"\n[segment.when]\ntiers = ["tier-{n}"]\n'


def _gives(n: int, one: Giving) -> str:
    cap = 'cap = [{ points = 1000000, period = "month" }]\n' if one.capped else ""
    code = CODES[one.partner_id]
    return (
        f'[[rule]]\nid = "{code}-gives-{n}"\nsays = "a point for each whole 5.00"\nkind = "promotion"\n'
        f'award = {{ points = 1, per = 500 }}\n{cap}[rule.when]\npartners = ["{code}"]\n'
    )


def _is_silent(n: int, one: Giving) -> str:
    when = _NEVER_MET[n % len(_NEVER_MET)].format(
        n=n, group=n % _GROUPS, large=90_000_000 + n, day=_DAYS[n % 7]
    )
    cap = 'cap = [{ points = 1000, period = "month" }]\n' if n % 5 == 0 else ""
    code = CODES[one.partner_id]
    return (
        f'[[rule]]\nid = "{code}-silent-{n}"\nsays = "doubles"\nkind = "promotion"\n'
        f'award = {{ times = "2" }}\n{cap}[rule.when]\npartners = ["{code}"]\n{when}\n'
    )


def earns_under(site: Site, one: Giving, tag: str, count: int, connections: int) -> Load:
    """Signed earns of the partner that has these rules."""
    theirs = msgspec.structs.replace(site, key_id=key_id_of(one.partner_id))
    return load(site, earns(theirs, f"{tag}-{one.partner_id}", count), connections)
