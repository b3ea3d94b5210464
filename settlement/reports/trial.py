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
from settlement.reports.pictures import BLUE, GREEN, GREY, ORANGE, as_svg, drawing, thousands
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
    made = [Cost(trial, directory, one, trial.last) for one in _payers(trial)]
    return sorted(made, key=lambda one: -abs(one.change))


def summary(trial: Trial, directory: Directory) -> Iterable[str]:
    """The result in lines for a terminal."""
    yield from _totals(trial)
    yield from _details(trial, directory)
    yield _liability_of(trial, directory)


def _totals(trial: Trial) -> Iterable[str]:
    before, after = trial.months_before.total(), trial.months_after.total()
    gain, lose, same = trial.members
    returned = f", {whole(trial.returns)} returns of them" if trial.returns else ""
    yield f"{whole(trial.sales)} sales of {trial.first} to {trial.last}{returned}"
    change = _more(after - before, whole(abs(after - before)))
    yield f"points: {whole(before)} as it was, {whole(after)} under the new file: {change}"
    yield f"members: {whole(gain)} gain, {whole(lose)} lose, {whole(same)} stay the same"


def _details(trial: Trial, directory: Directory) -> Iterable[str]:
    for one in costs(trial, directory):
        money = _more(one.change, f"{cents(abs(one.change))} {one.currency}")
        yield (
            f"  {one.name}: {whole(one.before)} points, then {whole(one.after)};"
            f" {money} at {one.price.normalize():f} a point"
        )
    for name in sorted({*trial.tiers_before, *trial.tiers_after}):
        was, will = trial.tiers_before[name], trial.tiers_after[name]
        yield f"  {name or 'no tier'}: {whole(was)} members, then {whole(will)}"
    for was_in, will_be_in in sorted(trial.moves):
        if was_in != will_be_in:
            many = whole(trial.moves[was_in, will_be_in])
            yield f"  from {was_in or 'no tier'} to {will_be_in or 'no tier'}: {many} members"


def _liability_of(trial: Trial, directory: Directory) -> str:
    more = sum((one.change for one in costs(trial, directory)), Decimal(0))
    change = _more(more, cents(abs(more)))
    return f"liability: {change} before breakage, at the issue prices of {trial.last}"


def _more(change: Decimal | int, text: str) -> str:
    return f"{text} {'less' if change < 0 else 'more'}"


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
        moves=[
            (was or "no tier", will or "no tier", many)
            for (was, will), many in sorted(trial.moves.items())
            if was != will
        ],
        lines=[*_totals(trial), _liability_of(trial, directory)],
        pictures=[
            ("Points by month", embed(_months(trial))),
            ("Cost per partner", embed(_costs(costs(trial, directory)))),
            ("Members by the change of their points", embed(_members(trial))),
            ("Members by tier, after the last sale", embed(_tiers(trial))),
            ("Liability for these points, month after month", embed(_liability(trial, directory))),
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
        axes.yaxis.set_major_formatter(thousands())
        axes.legend(frameon=False)
        return as_svg(figure)


def _costs(found: list[Cost]) -> bytes:
    with drawing((12, 0.6 + 0.4 * max(1, len(found)))) as figure:
        axes = figure.subplots()
        values = [float(one.change) for one in reversed(found)]
        colours = [ORANGE if value > 0 else GREEN for value in values]
        axes.barh([one.name for one in reversed(found)], values, color=colours)
        axes.set_xlabel("more (+) or less money for points, at the issue price")
        axes.xaxis.set_major_formatter(thousands())
        return as_svg(figure)


def _members(trial: Trial) -> bytes:
    with drawing((12, 4)) as figure:
        axes = figure.subplots()
        axes.hist([float(one) for one in trial.changes] or [0.0], bins=40, color=BLUE)
        axes.axvline(0, color=GREY)
        axes.set_xlabel("change of a member's points")
        axes.set_ylabel("members")
        axes.xaxis.set_major_formatter(thousands())
        axes.yaxis.set_major_formatter(thousands())
        return as_svg(figure)


def _tiers(trial: Trial) -> bytes:
    names = sorted({*trial.tiers_before, *trial.tiers_after})
    places = np.arange(len(names))
    with drawing((12, 0.8 + 0.5 * max(1, len(names)))) as figure:
        axes = figure.subplots()
        axes.barh(places + 0.2, [float(trial.tiers_before[one]) for one in names], 0.4, color=GREY)
        axes.barh(places - 0.2, [float(trial.tiers_after[one]) for one in names], 0.4, color=BLUE)
        axes.set_yticks(places, [one or "no tier" for one in names])
        axes.set_xlabel("members: as it was (grey), new file (blue)")
        axes.xaxis.set_major_formatter(thousands())
        return as_svg(figure)


def _liability(trial: Trial, directory: Directory) -> bytes:
    """What partners would owe for all points given so far, less what returns took back; before breakage."""
    months = sorted({*trial.months_before, *trial.months_after})
    places = np.arange(len(months))
    prices = {one: float(Cost(trial, directory, one, trial.last).price) for one in _payers(trial)}
    with drawing((12, 4)) as figure:
        axes = figure.subplots()
        sides = ((trial.funded_before, GREY, "as it was"), (trial.funded_after, BLUE, "new file"))
        for funded, colour, label in sides:
            owed = [sum(funded[month, one] * price for one, price in prices.items()) for month in months]
            axes.plot(places, np.cumsum(owed), color=colour, label=label)
        axes.set_xticks(places, [f"{one:%Y-%m}" for one in months])
        axes.set_ylabel("money, at the issue prices")
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(thousands())
        axes.legend(frameon=False)
        return as_svg(figure)


def _payers(trial: Trial) -> list[int]:
    return sorted({*trial.payers_before, *trial.payers_after})
