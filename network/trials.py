"""A new programme tried on what was sold: points, who pays, who gains and loses, before anybody pays for it.

Recorded sales are read member by member, a few thousand at a time, and judged twice: by the version that
judged them, and by the new file. So memory holds one member's counters, however long the ledger is. Tender,
channel and lines are as they were recorded. A return takes back, on either side, what that side's rules gave
for what comes back; of what was sold before the first date it takes nothing.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import date
from itertools import groupby
from uuid import UUID

import msgspec
from sqlalchemy import Connection, text

from network.judging import Judgement, judgement_of, parts_of
from network.model import Entry, EntryKind, Unit
from network.outcomes import RecordedEntry
from network.programme.compiled import Programme
from network.programme.counters import period_of
from network.programme.counting import Counts, budgets_of, counts_of, less
from network.programme.judge import again, judge
from network.programme.rule import Outcome, Plan
from network.programme.sale import NO_FACTS, Facts, Sale, metres_of, rest_of, sale_of
from network.rules import Rules
from network.store import ENTRY_FIELDS, read_entry

FETCHED = 5_000
_OF_THE_DAYS = " WHERE e.kind IN (:sold, :returned) AND w.business_date BETWEEN :first AND :last"
_COUNT = text(f"SELECT count(*) FROM entry e JOIN clearing_window w USING (window_id){_OF_THE_DAYS}")
_SALES = text(
    f"SELECT {', '.join(f'e.{name}' for name in ENTRY_FIELDS)}, j.judgement,"
    " CASE WHEN e.kind = :returned THEN ARRAY(SELECT l.line FROM entry_line l"
    " WHERE l.member_id = e.member_id AND l.entry_id = e.reverses AND l.returned_by = e.entry_id) END"
    " AS lines"
    " FROM entry e JOIN clearing_window w USING (window_id)"
    " LEFT JOIN judgement j ON j.member_id = e.member_id AND j.entry_id = e.entry_id"
    f"{_OF_THE_DAYS}"
    # of one millisecond the ids do not say which was first: a sale is before its return
    " ORDER BY e.member_id, e.recorded_at, e.kind, e.entry_id"
)


class Trial(msgspec.Struct, kw_only=True):
    """What came out. Points by month, by who pays, and by rule: as it was, and as it would be.

    `members`: how many gain, lose, and stay the same. `changes`: of each member's points. Tiers are where
    members would stand after the last sale; `moves` counts members by their tier on both sides. `funded`:
    points by month and who pays. `returns`: that were replayed.
    """

    first: date
    last: date
    sales: int = 0
    returns: int = 0
    funded_before: Counter[tuple[date, int]] = msgspec.field(default_factory=Counter)
    funded_after: Counter[tuple[date, int]] = msgspec.field(default_factory=Counter)
    moves: Counter[tuple[str, str]] = msgspec.field(default_factory=Counter)
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


class _Sold(msgspec.Struct):
    """A sale as one side judged it, and what returns have left of it: its amount, and lines that came back.

    `plan` is None where a plain rule judged it: then `facts` and `outcome` say nothing.
    """

    programme: Programme
    plan: Plan | None
    sale: Sale
    facts: Facts
    outcome: Outcome
    remains: tuple[Sale, Outcome]
    gone: frozenset[int] = frozenset()


class _Side:
    """One programme over the sales of one member after another; budgets are for all members."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.budgets: Counts = {}
        self.counters: Counts = {}
        self.tier = ""
        self.sold: dict[UUID, _Sold] = {}

    def begin(self) -> None:
        """Another member: nothing is counted yet."""
        self.counters, self.tier, self.sold = {}, "", {}

    def points(
        self, programme: Programme, entry: Entry, details: Judgement
    ) -> tuple[dict[int, int], list[tuple[str, int]]]:
        """Points of a sale by who pays, and by rule."""
        plan = programme.plans.get(entry.partner_id)
        sale = sale_of(
            partner_id=entry.partner_id,
            outlet_code=entry.outlet_code or "",
            amount_minor=entry.amount_minor,
            details=details.details,
            at=entry.occurred_at,
            time_zone=self.rules.time_zone,
        )
        if plan is None:
            self._keep(entry, _Sold(programme, None, sale, NO_FACTS, Outcome(), (sale, Outcome())))
            many = programme.earn_rule(entry.partner_id).points_for(entry.amount_minor, sale.day)
            return ({entry.partner_id: many} if many else {}), [("earn", many)]
        facts = self._facts(programme, plan, sale, entry, details)
        outcome = judge(plan, sale, facts)
        self._keep(entry, _Sold(programme, plan, sale, facts, outcome, (sale, outcome)))
        _add(self.counters, counts_of(plan, sale, facts, outcome))
        _add(self.budgets, budgets_of(plan, sale, outcome))
        self._rise(programme, sale)
        payers = _payers(plan, outcome)
        by_rule = [(one.rule, one.points) for one in outcome.awards if plan.rule(one.rule).unit == "points"]
        return payers, by_rule

    def _keep(self, entry: Entry, sold: _Sold) -> None:
        self.sold[entry.entry_id] = sold

    def taken_back(
        self, entry: Entry, lines: Collection[int]
    ) -> tuple[dict[int, int], list[tuple[str, int]]]:
        """Points that a return takes back (below zero), by who pays and by rule; none of a sale before all.

        Args:
            entry: The return.
            lines: Those of the sale that came back.
        """
        sold = None if entry.reverses is None else self.sold.get(entry.reverses)
        if sold is None:
            return {}, []
        was, outcome = sold.remains
        left = max(0, was.amount_minor - entry.amount_minor)
        if sold.plan is None:
            rule = sold.programme.earn_rule(was.partner_id)
            many = rule.points_for(left, was.day) - rule.points_for(was.amount_minor, was.day)
            sold.remains = (msgspec.structs.replace(was, amount_minor=left), outcome)
            return ({was.partner_id: many} if many else {}), [("earn", many)]
        sold.gone |= frozenset(lines)
        items = range(1, len(sold.sale.details.items) + 1)
        rest = rest_of(sold.sale, left, frozenset(items) - sold.gone)
        after = again(sold.plan, rest, sold.facts, sold.outcome)
        before, now = (
            counts_of(sold.plan, one, sold.facts, each) for one, each in ((was, outcome), (rest, after))
        )
        _add(self.counters, less(before, now))
        _add(self.budgets, less(budgets_of(sold.plan, was, outcome), budgets_of(sold.plan, rest, after)))
        sold.remains = (rest, after)
        payers = _changed(_payers(sold.plan, outcome), _payers(sold.plan, after))
        given = {one.rule: one.points for one in outcome.awards}
        by_rule = [
            (one.rule, one.points - given.get(one.rule, 0))
            for one in after.awards
            if sold.plan.rule(one.rule).unit == "points"
        ]
        return payers, by_rule

    def _facts(self, programme: Programme, plan: Plan, sale: Sale, entry: Entry, details: Judgement) -> Facts:
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
            unfunded=self._unfunded(plan, entry, details),
            metres=metres_of(sale.details),
            coupons=details.facts.coupons,
        )

    def _unfunded(self, plan: Plan, entry: Entry, details: Judgement) -> tuple[int, ...]:
        """Who could not pay then: as the sale's record says, and whoever had no terms that day."""
        without = {one for one in plan.funders if self.rules.contract(one, entry.occurred_at) is None}
        return tuple(sorted(without | set(details.facts.unfunded)))

    def _rise(self, programme: Programme, sale: Sale) -> None:
        ladder = programme.ladder

        def amount(name: str, period: date) -> int:
            return self.counters.get((name, period), 0)

        reached = ladder.reached(amount, sale.day) if ladder.tiers else -1
        if reached > ladder.place(self.tier):
            self.tier = ladder.tiers[reached].name


def _payers(plan: Plan, outcome: Outcome) -> dict[int, int]:
    """Points of an outcome by who pays for them."""
    payers: dict[int, int] = {}
    for part, many in parts_of(plan, outcome).items():
        if part.unit is Unit.POINTS:
            payers[part.funder_id] = payers.get(part.funder_id, 0) + many
    return payers


def _changed(before: Mapping[int, int], after: Mapping[int, int]) -> dict[int, int]:
    """What is between two sums of points by who pays."""
    return {who: after.get(who, 0) - before.get(who, 0) for who in {**before, **after}}


def _add(counts: Counts, changes: Counts) -> None:
    for key, change in changes.items():
        counts[key] = counts.get(key, 0) + change


def count_sales(connection: Connection, first: date, last: date) -> int:
    """Sales and returns of some business dates: how many there are to replay."""
    many: int = connection.execute(_COUNT, _wanted(first, last)).scalar_one()
    return many


def simulate(
    connection: Connection,
    rules: Rules,
    programme: Programme,
    first: date,
    last: date,
    replayed: Callable[[int], object] = lambda _: None,
) -> Trial:
    """Try a programme on the sales of some business dates.

    Args:
        connection: The ledger; only read.
        rules: The live rules, with all versions.
        programme: The new file, compiled for this network.
        first: The first business date.
        last: The last one.
        replayed: Told of sales and returns as they are replayed: how many since the last time.
    """
    trial = Trial(first=first, last=last)
    before, after = _Side(rules), _Side(rules)
    for _, sales in groupby(_read(connection, first, last), key=lambda one: one[0].entry.member_id):
        before.begin()
        after.begin()
        change = many = 0
        for recorded, lines in sales:
            many += 1
            entry, details = recorded.entry, judgement_of(recorded)
            month = rules.local_date(entry.occurred_at).replace(day=1)
            if entry.kind is EntryKind.REVERSAL:
                was, _ = before.taken_back(entry, lines)
                will, by_rule = after.taken_back(entry, lines)
                trial.returns += entry.reverses in after.sold
            else:
                was, _ = before.points(rules.programmes[entry.programme_version], entry, details)
                will, by_rule = after.points(programme, entry, details)
                trial.sales += 1
            for who, points in was.items():
                trial.funded_before[month, who] += points
                trial.payers_before[who] += points
            for who, points in will.items():
                trial.funded_after[month, who] += points
                trial.payers_after[who] += points
            trial.months_before[month] += sum(was.values())
            trial.months_after[month] += sum(will.values())
            for name, points in by_rule:
                trial.rules_after[name] += points
            change += sum(will.values()) - sum(was.values())
        trial.changes.append(change)
        trial.tiers_before[before.tier] += 1
        trial.tiers_after[after.tier] += 1
        trial.moves[before.tier, after.tier] += 1
        replayed(many)
    return trial


def _wanted(first: date, last: date) -> dict[str, object]:
    kinds = {"sold": int(EntryKind.ACCRUAL), "returned": int(EntryKind.REVERSAL)}
    return {**kinds, "first": first, "last": last}


def _read(connection: Connection, first: date, last: date) -> Iterator[tuple[RecordedEntry, Sequence[int]]]:
    """Sales and returns of each member in order, and of a return the lines that came back."""
    asked = connection.execute(_SALES, _wanted(first, last), execution_options={"yield_per": FETCHED})
    with asked as rows:
        for row in rows.mappings():
            recorded = RecordedEntry(entry=read_entry(row), postings=(), judgement=row["judgement"])
            yield recorded, row["lines"] or ()
