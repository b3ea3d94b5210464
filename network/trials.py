"""A new programme tried on what was sold: points, who pays, who gains and loses, before anybody pays for it.

Recorded sales are read member by member, a few thousand at a time, and judged twice: by the version that
judged them, and by the new file. So memory holds one member's counters, however long the ledger is. Tender,
channel and lines are as they were recorded. Returns are not replayed, on either side.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import date
from itertools import groupby

import msgspec
from sqlalchemy import Connection, text

from network.judging import Judgement, judgement_of, parts_of
from network.model import Entry, EntryKind, RecordedEntry, Unit
from network.programme.compiled import Programme
from network.programme.counters import period_of
from network.programme.counting import Counts, budgets_of, counts_of
from network.programme.judge import judge
from network.programme.rule import Plan
from network.programme.sale import Facts, Sale, metres_of, sale_of
from network.rules import Rules
from network.store import ENTRY_FIELDS, read_entry

FETCHED = 5_000
_SALES = text(
    f"SELECT {', '.join(f'e.{name}' for name in ENTRY_FIELDS)}, j.judgement"
    " FROM entry e JOIN clearing_window w USING (window_id)"
    " LEFT JOIN judgement j ON j.member_id = e.member_id AND j.entry_id = e.entry_id"
    " WHERE e.kind = :kind AND w.business_date BETWEEN :first AND :last"
    " ORDER BY e.member_id, e.entry_id"
)


class Trial(msgspec.Struct, kw_only=True):
    """What came out. Points by month, by who pays, and by rule: as it was, and as it would be.

    `members`: how many gain, lose, and stay the same. `changes`: of each member's points. Tiers are where
    members would stand after the last sale.
    """

    first: date
    last: date
    sales: int = 0
    months_before: Counter[date] = msgspec.field(default_factory=Counter)
    months_after: Counter[date] = msgspec.field(default_factory=Counter)
    payers_before: Counter[int] = msgspec.field(default_factory=Counter)
    payers_after: Counter[int] = msgspec.field(default_factory=Counter)
    rules_after: Counter[str] = msgspec.field(default_factory=Counter)
    tiers_before: Counter[str] = msgspec.field(default_factory=Counter)
    tiers_after: Counter[str] = msgspec.field(default_factory=Counter)
    changes: list[int] = msgspec.field(default_factory=list)

    @property
    def members(self) -> tuple[int, int, int]:
        """Members who gain, who lose, and who stay as they are."""
        gain = sum(change > 0 for change in self.changes)
        lose = sum(change < 0 for change in self.changes)
        return gain, lose, len(self.changes) - gain - lose


class _Side:
    """One programme over the sales of one member after another; budgets are for all members."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.budgets: Counts = {}
        self.counters: Counts = {}
        self.tier = ""

    def begin(self) -> None:
        """Another member: nothing is counted yet."""
        self.counters, self.tier = {}, ""

    def points(
        self, programme: Programme, entry: Entry, details: Judgement
    ) -> tuple[dict[int, int], list[tuple[str, int]]]:
        """Points of a sale by who pays, and by rule."""
        plan = programme.plans.get(entry.partner_id)
        if plan is None:
            on = self.rules.local_date(entry.occurred_at)
            many = programme.earn_rule(entry.partner_id).points_for(entry.amount_minor, on)
            return ({entry.partner_id: many} if many else {}), [("earn", many)]
        sale = sale_of(
            partner_id=entry.partner_id,
            outlet_code=entry.outlet_code or "",
            amount_minor=entry.amount_minor,
            details=details.details,
            at=entry.occurred_at,
            time_zone=self.rules.time_zone,
        )
        facts = self._facts(programme, plan, sale, details)
        outcome = judge(plan, sale, facts)
        for key, change in counts_of(plan, sale, facts, outcome).items():
            self.counters[key] = self.counters.get(key, 0) + change
        for key, change in budgets_of(plan, sale, outcome).items():
            self.budgets[key] = self.budgets.get(key, 0) + change
        self._rise(programme, sale)
        payers: dict[int, int] = {}
        for part, many in parts_of(plan, outcome, entry.partner_id).items():
            if part.unit is Unit.POINTS:
                payers[part.funder_id] = payers.get(part.funder_id, 0) + many
        by_rule = [(one.rule, one.points) for one in outcome.awards if plan.rule(one.rule).unit == "points"]
        return payers, by_rule

    def _facts(self, programme: Programme, plan: Plan, sale: Sale, details: Judgement) -> Facts:
        named = {
            name: self.counters.get((name, period_of(period, sale.day)), 0)
            for name, period in plan.periods.items()
        }
        budgets = {
            rule.id: rule.budget[0] - self.budgets.get((rule.id, period_of(rule.budget[1], sale.day)), 0)
            for rule in plan.on(sale.day)[1]
            if rule.budget is not None
        }
        return Facts(
            tier=self.tier,
            alliance_tier=sale.details.alliance_tier or programme.ladder.alliance(self.tier),
            segments=details.facts.segments,
            plans=details.facts.plans,
            counters=named,
            budgets=budgets,
            unfunded=details.facts.unfunded,
            metres=metres_of(sale.details),
            coupons=details.facts.coupons,
        )

    def _rise(self, programme: Programme, sale: Sale) -> None:
        ladder = programme.ladder

        def amount(name: str, period: date) -> int:
            return self.counters.get((name, period), 0)

        reached = ladder.reached(amount, sale.day) if ladder.tiers else -1
        if reached > ladder.place(self.tier):
            self.tier = ladder.tiers[reached].name


def simulate(connection: Connection, rules: Rules, programme: Programme, first: date, last: date) -> Trial:
    """Try a programme on the sales of some business dates.

    Args:
        connection: The ledger; only read.
        rules: The live rules, with all versions.
        programme: The new file, compiled for this network.
        first: The first business date.
        last: The last one.
    """
    trial = Trial(first=first, last=last)
    before, after = _Side(rules), _Side(rules)
    for _, sales in groupby(_read(connection, first, last), key=lambda one: one.entry.member_id):
        before.begin()
        after.begin()
        change = 0
        for recorded in sales:
            entry, details = recorded.entry, judgement_of(recorded)
            month = rules.local_date(entry.occurred_at).replace(day=1)
            judged = rules.programmes[entry.programme_version]
            was, _ = before.points(judged, entry, details)
            will, by_rule = after.points(programme, entry, details)
            trial.sales += 1
            trial.months_before[month] += sum(was.values())
            trial.months_after[month] += sum(will.values())
            trial.payers_before.update(was)
            trial.payers_after.update(will)
            trial.rules_after.update(dict(by_rule))
            change += sum(will.values()) - sum(was.values())
        trial.changes.append(change)
        trial.tiers_before[before.tier] += 1
        trial.tiers_after[after.tier] += 1
    return trial


def _read(connection: Connection, first: date, last: date) -> Iterator[RecordedEntry]:
    wanted = {"kind": int(EntryKind.ACCRUAL), "first": first, "last": last}
    asked = connection.execute(_SALES, wanted, execution_options={"yield_per": FETCHED})
    with asked as rows:
        for row in rows.mappings():
            yield RecordedEntry(entry=read_entry(row), postings=(), judgement=row["judgement"])
