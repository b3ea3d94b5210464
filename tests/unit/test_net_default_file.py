"""What `tessera net` says of a default and of circles: the worked night, currencies, hostile files."""

import io
import json
from fractions import Fraction
from typing import Any

import pytest
from rich.console import Console

from settlement.net_file import DebtLine, DepositLine, read, read_deposits
from settlement.net_json import as_json
from settlement.net_report import default_report, report
from settlement.net_view import render
from settlement.table_file import Faults

HEADER = "debtor,creditor,amount,currency,kind\n"
WORKED_NIGHT = (
    HEADER
    + "".join(
        f"{pair[0]},{pair[1]},{amount},EUR,\n"
        for pair, amount in (
            *(("AB", "937.5075"), ("AC", "342.8305"), ("AD", "61.25")),
            *(("BA", "790.12"), ("BC", "283.3305"), ("BD", "86.415")),
            *(("CA", "488.888"), ("CB", "583.3275"), ("CD", "30.247")),
            *(("DA", "80.056"), ("DB", "150.1575"), ("DC", "472.2175")),
        )
    )
    + "".join(
        f"{party},operator,{fee},EUR,fee\n{party},operator,{vat},EUR,VAT\n"
        for party, fee, vat in (
            *(("A", "143.17", "28.63"), ("B", "88.84", "17.77")),
            *(("C", "54.04", "10.81"), ("D", "27.14", "5.43")),
        )
    )
)
DEPOSITS = "participant,amount,currency\nD,300,EUR\n"


def debts(content: str) -> tuple[DebtLine, ...]:
    """The debts of a file that is good."""
    found = read(content)
    assert not isinstance(found, Faults), found
    return found


def deposits(content: str) -> tuple[DepositLine, ...]:
    """The deposits of a file that is good."""
    found = read_deposits(content)
    assert not isinstance(found, Faults), found
    return found


def faults(content: str) -> list[tuple[int, str | None, str]]:
    """Line, field and problem of everything wrong with a file of deposits."""
    found = read_deposits(content)
    assert isinstance(found, Faults), found
    return [(one.line, one.field, one.problem) for one in found.faults]


def said(content: str, debtor: str, cover: str) -> Any:
    """The JSON form of a default, as a program reads it: no number is a float."""
    lines = debts(content)
    found = as_json(report(lines, circles=True), default_report(lines, [debtor], deposits(cover)))
    return json.loads(json.dumps(found), parse_float=pytest.fail)


def printed(text: object) -> str:
    """What a terminal of 100 columns would show."""
    console = Console(file=io.StringIO(), width=100, color_system=None)
    console.print(text)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_worked_night_with_fees_and_a_default() -> None:
    """Gross to payments as published, then D's default: rungs, finals, and the night without it."""
    both = said(WORKED_NIGHT, "D", DEPOSITS)
    [net], [default] = both["currencies"], both["defaults"]
    assert (net["gross"], net["bilateral"]["total"], net["multilateral"]["total"], net["fees"]) == (
        *("4306.3470", "1117.9610", "528.6030", "375.8300"),
    )
    assert net["payments"]["total"] == "780.35"
    assert net["set_off"]["left"] == "885.4885"
    assert default["missing"] == "557.09"
    assert [(rung["rung"], rung["total"], rung["still_missing"]) for rung in default["ladder"]] == [
        *(("deposit", "300.00", "257.09"), ("guarantee fund", "0.00", "257.09")),
        *(("carry", "0.00", "257.09"), ("loss share", "257.09", "0.00")),
    ]
    assert {one["participant"]: one["amount"] for one in default["ladder"][3]["parts"]} == {
        "A": "29.30",
        "B": "54.96",
        "C": "172.83",
    }
    assert {one["participant"]: one["after"] for one in default["positions"]} == {
        "A": "-183.62",
        "B": "349.56",
        "C": "-241.77",
        "D": "0.00",
        "operator": "375.83",
    }
    assert {one["participant"]: one["amount"] for one in default["unwinding"]["before_fees"]} == {
        "A": "-1.3300",
        "B": "447.3845",
        "C": "-446.0545",
        "operator": "0.0000",
    }


def test_the_vector_is_exact_in_json() -> None:
    """What creditors get is a fraction as text, and a decimal cut off beside it."""
    [default] = said(WORKED_NIGHT, "D", DEPOSITS)["defaults"]
    of_d = {one["creditor"]: one for one in default["clearing_vector"] if one["debtor"] == "D"}
    assert (of_d["A"]["owed"], of_d["A"]["paid_decimal"]) == ("10007/125", "50.7555")
    assert of_d["operator"] == {
        "debtor": "D",
        "creditor": "operator",
        "kind": "fees",
        "owed": "3257/100",
        "paid": "3257/100",
        "paid_decimal": "32.5700",
    }
    assert sum(Fraction(one["paid"]) for one in of_d.values()) == Fraction("477.912")


def test_currencies_default_apart() -> None:
    """D owes yen and dinars: each to its own minor unit, with the deposit of that currency alone."""
    content = HEADER + "D,A,100.6,JPY,\nD,B,1.2345,KWD,claim\nA,B,5,EUR,\n"
    both = said(
        content, "D", "participant,amount,currency,kind\nD,40,JPY,\nD,9,EUR,\nZ,1.000,KWD,guarantee\n"
    )
    assert [net["currency"] for net in both["currencies"]] == ["EUR", "JPY", "KWD"]
    assert [
        (one["currency"], one["missing"], [rung["total"] for rung in one["ladder"]])
        for one in both["defaults"]
    ] == [
        ("JPY", "101", ["40", "0", "0", "61"]),
        ("KWD", "1.235", ["0.000", "1.000", "0.000", "0.235"]),
    ]


def test_every_rung_may_be_given() -> None:
    """Deposit, guarantee and carry of a file: kinds in any case, and what the fund gives in proportion."""
    cover = "kind,participant,amount,currency\nDeposit,D,1,EUR\nguarantee,A,4,EUR\n"
    cover += "guarantee,B,2,EUR\nCARRY,hub,2,EUR\n"
    [default] = said(HEADER + "D,A,10,EUR,\n", "D", cover)["defaults"]
    assert [
        (rung["rung"], {one["participant"]: one["amount"] for one in rung["parts"]})
        for rung in default["ladder"]
    ] == [
        ("deposit", {"D": "1.00"}),
        ("guarantee fund", {"A": "4.00", "B": "2.00"}),
        ("carry", {"D": "2.00"}),
        ("loss share", {"A": "1.00"}),
    ]


def test_the_terminal_shows_rungs_vector_and_unwinding() -> None:
    """Every figure of the worked default is drawn, and the circles that are struck out."""
    lines = debts(WORKED_NIGHT)
    defaults = default_report(lines, ["D"], deposits(DEPOSITS))
    shown = printed(render(report(lines, circles=True), defaults))
    for figure in (
        *("557.09", "300.00", "257.09", "29.30", "54.96", "172.83", "-183.62", "+349.56", "-241.77"),
        *("32.5700", "63 %", "100 %", "-1.3300", "+447.3845", "-446.0545", "885.4885", "A > B > D > C > A"),
        "D does not pay",
    ):
        assert figure in shown, figure


def test_deposits_are_read_strictly() -> None:
    """Each bad field is named with its line and column; a second line for the same thing is a slip."""
    content = (
        "participant,amount,currency,kind\n"
        "D,300.001,EUR,\nD,1.5,JPY,\n,x,euro,bond\nA,-1,EUR,\nB,5,EUR,\nB,6,EUR,deposit\nB,6,EUR,guarantee\n"
        "C,0.00,EUR,\nC,1,EUR,carry,1\n"
    )
    assert faults(content) == [
        (2, "amount", "amount '300.001' has 3 decimals; at most 2 are taken"),
        (3, "amount", "amount '1.5' has 1 decimals; at most 0 are taken"),
        (4, "participant", "participant is missing"),
        (4, "amount", "amount 'x' is not a number: write digits with a point, such as 1234.50"),
        (4, "currency", "currency 'euro' is no ISO 4217 code: three capital letters, such as EUR"),
        (4, "kind", "kind 'bond' is unknown: write deposit, guarantee, carry"),
        (5, "amount", "amount '-1' is below zero: what is there cannot be less than nothing"),
        (7, "participant", "line 6 has this participant, currency and kind"),
        (
            10,
            None,
            "5 fields, and the header has 4; a name with a comma needs quotes, an amount has none: 1234.50",
        ),
    ]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "the file is empty; its first line must be participant,amount,currency"),
        ("participant,amount,currency\n", "the file has a header and no deposits"),
        ("D,300,EUR\n", "the first line must be a header: participant,amount,currency"),
        ("participant,amount\nD,1\n", "column currency is missing"),
    ],
)
def test_heads_of_deposits_are_told(content: str, problem: str) -> None:
    """A file of nothing, and one without its columns."""
    assert faults(content)[0][2] == problem


def test_unknown_kinds_of_debts_are_told() -> None:
    """A kind is one of three words."""
    found = read(HEADER + "A,B,1,EUR,interest\n")
    assert isinstance(found, Faults)
    assert [(one.line, one.field, one.problem) for one in found.faults] == [
        (2, "kind", "kind 'interest' is unknown: write claim, fee, vat")
    ]


def test_names_of_a_default_cannot_command_the_terminal() -> None:
    """Square brackets in names are text in every table."""
    lines = debts(HEADER + "[red]D,[b]A,5,EUR,\n[b]A,[red]D,2,EUR,\n")
    shown = printed(render(report(lines, circles=True), default_report(lines, ["[red]D"], ())))
    assert shown.count("[red]D") >= 7


def test_a_thousand_lines_of_debtors_are_settled_together() -> None:
    """Sixty who all do not pay, everybody owing many: exact, and the cents still sum."""
    rows = "".join(
        f"P{one:02},P{(one * 7 + step * 11) % 60:02},{one * 13 % 89 + step}.{step:04},EUR,\n"
        for one in range(60)
        for step in range(1, 13)
        if (one * 7 + step * 11) % 60 != one
    )
    lines = debts(HEADER + rows)
    names = sorted({line.debtor for line in lines})[:45]
    [default] = default_report(lines, names, deposits("participant,amount,currency\nP01,5,EUR\n"))
    assert sum(default.ladder.finals.values()) == sum(default.ladder.deposits.values())
