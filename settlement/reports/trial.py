"""The page of a simulated programme: points, cost per partner, who gains and loses, tiers, liability."""

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np

from network.trials import Trial
from partners.model import Directory
from partners.terms import terms_on
from settlement.reports.network import embed
from settlement.reports.pictures import BLUE, GREEN, GREY, ORANGE, as_svg, drawing
from settlement.reports.show import PAGES, cents, whole, write_whole


class Cost:
    """What one partner would pay for the points that it funds, at its terms of the last day."""

    def __init__(self, trial: Trial, directory: Directory, partner_id: int, on: date) -> None:
        self.name = directory.participants[partner_id].name
        self.before = trial.payers_before[partner_id]
        self.after = trial.payers_after[partner_id]
        terms = terms_on(directory.terms.get(partner_id, ()), on)
        self.price = Decimal(0) if terms is None else terms.issue_price
        self.currency = "" if terms is None else terms.currency

    @property
    def change(self) -> Decimal:
        """More (+) or less money, at the issue price."""
        return (self.after - self.before) * self.price


def costs(trial: Trial, directory: Directory) -> list[Cost]:
    """What changes for each partner that pays, the largest change first."""
    partners = sorted({*trial.payers_before, *trial.payers_after})
    made = [Cost(trial, directory, one, trial.last) for one in partners]
    return sorted(made, key=lambda one: -abs(one.change))


def summary(trial: Trial, directory: Directory) -> Iterable[str]:
    """The result in lines for a terminal."""
    before, after = trial.months_before.total(), trial.months_after.total()
    gain, lose, same = trial.members
    yield f"{whole(trial.sales)} sales of {trial.first} to {trial.last}"
    more_points = whole(after - before)
    yield f"points: {whole(before)} as it was, {whole(after)} under the new file: {more_points} more"
    yield f"members: {whole(gain)} gain, {whole(lose)} lose, {whole(same)} stay the same"
    for one in costs(trial, directory):
        yield (
            f"  {one.name}: {whole(one.before)} points, then {whole(one.after)};"
            f" {cents(one.change)} {one.currency} more at {one.price.normalize():f} a point"
        )
    for name in sorted({*trial.tiers_before, *trial.tiers_after}):
        was, will = trial.tiers_before[name], trial.tiers_after[name]
        yield f"  {name or 'no tier'}: {whole(was)} members, then {whole(will)}"
    more = sum((one.change for one in costs(trial, directory)), Decimal(0))
    yield f"liability: {cents(more)} more before breakage, at the issue prices of {trial.last}"


def write_trial(trial: Trial, directory: Directory, name: str, path: Path) -> Path:
    """Write the page with its pictures; it needs nothing else."""
    page = PAGES.get_template("trial.html.j2").render(
        trial=trial,
        name=name,
        costs=costs(trial, directory),
        rules=trial.rules_after.most_common(),
        tiers=[
            (one or "no tier", trial.tiers_before[one], trial.tiers_after[one])
            for one in sorted({*trial.tiers_before, *trial.tiers_after})
        ],
        lines=list(summary(trial, directory)),
        pictures=[
            ("Points by month", embed(_months(trial))),
            ("Cost per partner", embed(_costs(costs(trial, directory)))),
            ("Members by the change of their points", embed(_members(trial))),
        ],
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_whole(path, page.encode())


def _months(trial: Trial) -> bytes:
    months = sorted({*trial.months_before, *trial.months_after})
    places = np.arange(len(months))
    with drawing((12, 4)) as figure:
        axes = figure.subplots()
        before = [float(trial.months_before[one]) for one in months]
        after = [float(trial.months_after[one]) for one in months]
        axes.bar(places - 0.2, before, 0.4, color=GREY, label="as it was")
        axes.bar(places + 0.2, after, 0.4, color=BLUE, label="new file")
        axes.set_xticks(places, [f"{one:%Y-%m}" for one in months])
        axes.set_ylabel("points")
        axes.legend(frameon=False)
        return as_svg(figure)


def _costs(found: list[Cost]) -> bytes:
    with drawing((12, 0.6 + 0.4 * max(1, len(found)))) as figure:
        axes = figure.subplots()
        values = [float(one.change) for one in reversed(found)]
        colours = [ORANGE if value > 0 else GREEN for value in values]
        axes.barh([one.name for one in reversed(found)], values, color=colours)
        axes.set_xlabel("more (+) or less money for points, at the issue price")
        return as_svg(figure)


def _members(trial: Trial) -> bytes:
    with drawing((12, 4)) as figure:
        axes = figure.subplots()
        axes.hist([float(one) for one in trial.changes] or [0.0], bins=40, color=BLUE)
        axes.axvline(0, color=GREY)
        axes.set_xlabel("change of a member's points")
        axes.set_ylabel("members")
        return as_svg(figure)
