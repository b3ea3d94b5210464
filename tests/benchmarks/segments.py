"""How long the night's segments and occasions take on a ledger of the demo, beside a bare sum over its sales.

    make demo-year
    TESSERA_SCHEMA=tessera_demo .venv/bin/python -m tests.benchmarks.segments

It tells of every member a day of birth and a household (a fifth withholds them), makes a programme with
segments and triggers live, and gives what is due: so the ledger is another one afterwards, though whole.
"""

import argparse
import sys
import time
from collections.abc import Callable
from datetime import date, timedelta
from typing import TypeVar

from sqlalchemy import Connection, Engine, text

from config.database import open_database
from config.settings import load_settings
from network.model import EntryKind
from network.programme.members import birthdays_on
from network.segments import find_segments
from network.service import apply_programme, load_rules, network_now
from network.triggers import give_due
from tests.benchmarks.rows import make_console

Done = TypeVar("Done")
ROUNDS = 3
PROGRAMME = """
name = "nightly"
[birthdays]
leap = "28-february"
[earn.default]
[expiry]
months = 3
[[segment]]
id = "lately"
says = "Bought in the last 30 days"
when = { seen = { at_most = 30 } }
[[segment]]
id = "gone"
says = "Has not bought for 90 days"
when = { seen = { at_least = 90 } }
[[segment]]
id = "often"
says = "50 purchases and more in a year"
when = { sales = { at_least = 50, days = 365 } }
[[segment]]
id = "much"
says = "1,000.00 and more in a year"
when = { money_minor = { at_least = 100000, days = 365 } }
[[segment]]
id = "best"
says = "Lately, often and much"
when = { seen = { at_most = 30 }, sales = { at_least = 50 }, money_minor = { at_least = 100000 } }
[[segment]]
id = "drivers"
says = "Buys fuel"
when = { partners = ["petrol"], sales = { at_least = 6, days = 180 } }
[[segment]]
id = "families"
says = "Says that it is a family"
when = { facts = { household = ["family"] } }
[[segment]]
id = "young"
says = "18 to 29 years old"
when = { age = { at_least = 18, at_most = 29 } }
[[segment]]
id = "young-often"
says = "18 to 29 years old, and 50 purchases in a year"
when = { age = { at_least = 18, at_most = 29 }, sales = { at_least = 50, days = 365 } }
[[segment]]
id = "good-families"
says = "Families that spend 1,000.00 in a year"
when = { facts = { household = ["family"] }, money_minor = { at_least = 100000, days = 365 } }
[[trigger]]
id = "birthday"
says = "150 points on a birthday"
occasion = "birthday"
points = 150
fund = "supermarket"
[[trigger]]
id = "anniversary"
says = "50 points for a year more"
occasion = "anniversary"
points = 50
fund = "supermarket"
[[trigger]]
id = "come-back"
says = "200 points to come back, after 60 days"
occasion = "lapse"
after_days = 60
points = 200
fund = "supermarket"
"""
_FACTS = text(
    "INSERT INTO member_fact (member_id, name, value, consent, told_by, consented_at)"
    " SELECT m.member_id, f.name, f.value, 'words of the benchmark', :by, :at FROM member m CROSS JOIN"
    " LATERAL (VALUES ('birthday', (date '1940-01-01' + (m.member_id * 7919 % 25000)::integer)::text),"
    " ('household', (ARRAY['family', 'couple', 'single'])[m.member_id % 3 + 1])) AS f (name, value)"
    " WHERE m.member_id % 5 <> 0 ON CONFLICT DO NOTHING"
)
_BARE = text(
    "SELECT count(*) FROM (SELECT member_id, count(*), sum(amount_minor), max(occurred_at) FROM entry"
    f" WHERE kind = {int(EntryKind.ACCRUAL)} GROUP BY member_id) AS m"
)
_COUNTS = text(f"SELECT count(DISTINCT member_id), count(*) FROM entry WHERE kind = {int(EntryKind.ACCRUAL)}")
_SILENT = text(
    "SELECT count(*) FROM member_segment s JOIN segment_state c USING (segment)"
    " WHERE c.needs <> '{}' AND NOT EXISTS (SELECT FROM member_fact f WHERE f.member_id = s.member_id)"
)
_GIVEN = text(
    "SELECT a.member_id, substr(f.value, 6) FROM award a LEFT JOIN member_fact f"
    " ON f.member_id = a.member_id AND f.name = 'birthday' WHERE a.award = 'birthday' AND a.occasion = :year"
)


def main() -> int:
    """Measure, and print a line for each part."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args()
    console = make_console()
    with open_database(load_settings()) as database:
        on = _prepare(database)
        with database.connect() as connection:
            rules = load_rules(connection)
            members, sales = connection.execute(_COUNTS).one()
            connection.rollback()
            bare = min(_timed(lambda: connection.execute(_BARE).scalar_one())[0] for _ in range(ROUNDS))
        live = rules.programme
        console.print(f"{members:,} members, {sales:,} sales; as of {on}")
        console.print(f"a bare sum of sales by member: {bare:.2f} s")
        took, found = min(
            (_timed(lambda: find_segments(database, live.segments, on, live.leap)) for _ in range(ROUNDS)),
            key=lambda one: one[0],
        )
        for one in found:
            console.print(f"  {one.segment}: {one.members:,}")
        console.print(f"{len(found)} segments: {took:.2f} s, {took / bare:.1f} of it")
        took, given = _timed(lambda: give_due(database, rules, on))
        console.print(f"what is due of {len(live.triggers)} triggers: {took:.2f} s, {given:,} given")
        took, given = _timed(lambda: give_due(database, rules, on))
        console.print(f"the same again: {took:.2f} s, {given:,} given")
        with database.connect() as connection:
            return _checked(connection, on, rules.programme.leap)


def _prepare(database: Engine) -> date:
    with database.begin() as connection:
        at = network_now(connection)
        payer = "SELECT partner_id FROM partner WHERE code = 'supermarket'"
        connection.execute(_FACTS, {"by": connection.execute(text(payer)).scalar_one(), "at": at})
        apply_programme(connection, PROGRAMME, at=at, applied_by="benchmark")
        connection.execute(text("ANALYZE member_fact"))
        return at.date()


def _timed(work: Callable[[], Done]) -> tuple[float, Done]:
    started = time.perf_counter()
    done = work()
    return time.perf_counter() - started, done


def _checked(connection: Connection, on: date, leap: str) -> int:
    """Whether nobody without consent is in a segment, and birthday points went to birthdays of the week."""
    silent = connection.execute(_SILENT).scalar_one()
    week = {
        f"{month:02}-{number:02}"
        for back in range(7)
        for month, number in birthdays_on(on - timedelta(days=back), leap)  # type: ignore[arg-type]
    }
    wrong = [row for row in connection.execute(_GIVEN, {"year": f"{on.year:04}"}) if row[1] not in week]
    if silent or wrong:
        sys.stderr.write(f"{silent} in segments without consent, {len(wrong)} birthdays on another day\n")
    return 1 if silent or wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
