"""Programmes for measuring: the plain one, and the same with fifty rules more, of which few or many give."""

from tests.coalition import PROGRAMME

RULES = 50
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_NEVER_MET = (
    'categories = ["kind-{n}"]',
    'tenders = ["voucher-{n}"]',
    'channels = ["app-{n}"]',
    'offers = ["offer-{n}"]',
    "hours = {{ since = 0{hour}:00:00, until = 0{hour}:00:01 }}",
    'tiers = ["tier-{group}"]',
    "minimum_minor = {large}",
    'weekdays = ["{day}"]\nminimum_minor = {large}',
    'segments = ["group-{group}"]',
    'partners = ["grocer"]\nsegments = ["group-{group}"]\nminimum_minor = {large}',
)
"""Conditions of the kinds that programmes have, which the measured sales do not meet."""
_GROUPS = 4


def with_rules(giving: int, *, capped: bool = False) -> str:
    """A programme's text.

    Args:
        giving: How many of its fifty rules give on every sale; the others are asked, and are not met. A
            fifth of these has a cap a month, so that it has to be known what they gave.
        capped: Whether those that give have one, too.
    """
    names = ", ".join(f'"tier-{n}"' for n in range(_GROUPS))
    head = PROGRAMME.replace('name = "test"', f'name = "test"\ntiers = [{names}]')
    segments = (_segment(n) for n in range(_GROUPS))
    rules = (_gives(n, capped) if n < giving else _is_silent(n) for n in range(RULES))
    return "\n".join((head, *segments, *rules))


def _segment(n: int) -> str:
    return f'[[segment]]\nid = "group-{n}"\nsays = "x"\n[segment.when]\ntiers = ["tier-{n}"]\n'


def _gives(n: int, capped: bool) -> str:
    cap = 'cap = [{ points = 1000000, period = "month" }]\n' if capped else ""
    return (
        f'[[rule]]\nid = "gives-{n}"\nsays = "a point for each whole 5.00"\nkind = "promotion"\n'
        f"award = {{ points = 1, per = 500 }}\n{cap}"
    )


def _is_silent(n: int) -> str:
    when = _NEVER_MET[n % len(_NEVER_MET)].format(
        n=n, hour=n % 5, group=n % _GROUPS, large=90_000_000 + n, day=_DAYS[n % 7]
    )
    cap = 'cap = [{ points = 1000, period = "month" }]\n' if n % 5 == 0 else ""
    return (
        f'[[rule]]\nid = "silent-{n}"\nsays = "doubles"\nkind = "promotion"\n'
        f'award = {{ times = "2" }}\n{cap}[rule.when]\n{when}\n'
    )
