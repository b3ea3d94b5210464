"""The what-if file: every bad line is named, and good ones are netted exactly, per currency."""

import io
import json
import re
from decimal import Decimal

import pytest
from rich.console import Console

from settlement.net_file import DebtLine, read
from settlement.net_json import as_json, faults_as_json
from settlement.net_report import report
from settlement.net_view import render, render_faults
from settlement.table_file import Faults

KIND = ", and kind if you like"
HEADER = "debtor,creditor,amount,currency\n"
WORKED_NIGHT = HEADER + "".join(
    f"{pair[0]},{pair[1]},{amount},EUR\n"
    for pair, amount in (
        *(("AB", "937.5075"), ("AC", "342.8305"), ("AD", "61.25")),
        *(("BA", "790.12"), ("BC", "283.3305"), ("BD", "86.415")),
        *(("CA", "488.888"), ("CB", "583.3275"), ("CD", "30.247")),
        *(("DA", "80.056"), ("DB", "150.1575"), ("DC", "472.2175")),
    )
)


def debts(content: str | bytes) -> tuple[DebtLine, ...]:
    """The debts of a file that is good."""
    found = read(content)
    assert not isinstance(found, Faults), found
    return found


def faults(content: str | bytes) -> list[tuple[int, str]]:
    """Line and problem of everything wrong with a file."""
    found = read(content)
    assert isinstance(found, Faults), found
    return [(one.line, one.problem) for one in found.faults]


def fault(line: str) -> str:
    """What is wrong with a line that is the second of its file."""
    [(number, problem)] = faults(HEADER + line + "\n")
    assert number == 2
    return problem


def printed(text: object) -> str:
    """What a terminal of 100 columns would show."""
    console = Console(file=io.StringIO(), width=100, color_system=None)
    console.print(text)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_worked_night_as_a_file() -> None:
    """Gross 4306.3470, bilateral 1117.9610, multilateral 528.6030, and payments by largest remainder."""
    assert as_json(report(debts(WORKED_NIGHT))) == {
        "currencies": [
            {
                "currency": "EUR",
                "minor_digits": 2,
                "debts": 12,
                "gross": "4306.3470",
                "fees": "0.0000",
                "bilateral": {
                    "total": "1117.9610",
                    "nets": [
                        {"debtor": "A", "creditor": "B", "amount": "147.3875"},
                        {"debtor": "C", "creditor": "A", "amount": "146.0575"},
                        {"debtor": "C", "creditor": "B", "amount": "299.9970"},
                        {"debtor": "D", "creditor": "A", "amount": "18.8060"},
                        {"debtor": "D", "creditor": "B", "amount": "63.7425"},
                        {"debtor": "D", "creditor": "C", "amount": "441.9705"},
                    ],
                },
                "multilateral": {
                    "total": "528.6030",
                    "positions": [
                        {"participant": "A", "claims": "17.4760", "exact": "17.4760", "rounded": "17.48"},
                        {"participant": "B", "claims": "511.1270", "exact": "511.1270", "rounded": "511.13"},
                        {"participant": "C", "claims": "-4.0840", "exact": "-4.0840", "rounded": "-4.09"},
                        {
                            "participant": "D",
                            "claims": "-524.5190",
                            "exact": "-524.5190",
                            "rounded": "-524.52",
                        },
                    ],
                },
                "payments": {
                    "total": "528.61",
                    "to_hub": [
                        {"participant": "C", "amount": "4.09"},
                        {"participant": "D", "amount": "524.52"},
                    ],
                    "from_hub": [
                        {"participant": "A", "amount": "17.48"},
                        {"participant": "B", "amount": "511.13"},
                    ],
                },
                "number_of_payments": {"debt_by_debt": 12, "pair_by_pair": 6, "through_the_hub": 4},
            }
        ]
    }


def test_currencies_are_netted_apart_to_their_own_minor_units() -> None:
    """Yen without decimals, dinars with three, sorted by currency."""
    nets = report(
        debts(HEADER + "A,B,100.6,JPY\nB,C,100.6,JPY\nA,B,1.2345,KWD\nA,B,2.00,EUR\n"),
    )
    assert [(net.currency, net.minor_digits, net.pay_in, net.pay_out) for net in nets] == [
        ("EUR", 2, (("A", Decimal("2.00")),), (("B", Decimal("2.00")),)),
        ("JPY", 0, (("A", Decimal(101)),), (("C", Decimal(101)),)),
        ("KWD", 3, (("A", Decimal("1.234")),), (("B", Decimal("1.234")),)),
    ]


def test_a_circle_of_debts_needs_no_payment() -> None:
    """A owes B owes C owes A: positions of nothing."""
    [net] = report(debts(HEADER + "A,B,5,EUR\nB,C,5,EUR\nC,A,5,EUR\n"))
    assert [net.gross, net.bilateral, net.multilateral, net.paid] == [15, 15, 0, 0]
    assert "nobody pays" in printed(render([net]))


def test_spreadsheet_exports_are_read() -> None:
    """A byte order mark, CRLF, columns in any order and case, quoted commas, blank rows and spaces."""
    content = (
        "\ufeffCurrency, Amount ,CREDITOR,Debtor\r\n"
        'EUR,"12.50","Meyer, Sons & Co", Cafe\u0301 \r\n'
        "\r\n"
        ",,,\r\n"
        "EUR,00.00000001,B,A\r\n"
    )
    expected = (
        DebtLine(
            line=2, debtor="Caf\u00e9", creditor="Meyer, Sons & Co", amount=Decimal("12.50"), currency="EUR"
        ),
        DebtLine(line=5, debtor="A", creditor="B", amount=Decimal("0.00000001"), currency="EUR"),
    )
    assert debts(content) == expected
    assert debts(content.encode()) == expected


def test_every_bad_line_is_named_with_its_number() -> None:
    """Not only the first; several problems of one line are told apart, and good lines are not told."""
    content = HEADER + (
        'A,B,10.00,EUR\n,B,x,EUR\nC,"D\nE",1,EUR\nA,B,10.00,euro\nA,A,-1,EUR\nA,B,10.00,EUR\n'
    )
    assert faults(content) == [
        (3, "debtor is missing"),
        (3, "amount 'x' is not a number: write digits with a point, such as 1234.50"),
        (4, "creditor 'D\\nE' has characters that cannot be printed"),
        (6, "currency 'euro' is no ISO 4217 code: three capital letters, such as EUR"),
        (7, "amount '-1' is below zero: turn debtor and creditor round"),
        (7, "debtor and creditor are both 'A'"),
    ]


@pytest.mark.parametrize(
    "amount",
    ["NaN", "Infinity", "inf", "1e5", "0x10", "1_000", "+5", "1.", ".5", "٣", "1 2", "--1", "=1+1", "ten"],
)
def test_what_is_no_plain_number_is_refused(amount: str) -> None:
    """Whatever a decimal library would also take is not what an operator meant."""
    assert "is not a number: write" in fault(f"A,B,{amount},EUR")


@pytest.mark.parametrize("amount", ["0", "0.00", "000"])
def test_a_debt_of_nothing_is_refused(amount: str) -> None:
    """A zero is more often a slip than a debt."""
    assert fault(f"A,B,{amount},EUR") == "amount is zero: leave the line out"


def test_separators_of_thousands_are_refused_with_a_proposal() -> None:
    """Quoted, the number is understood and still not guessed; unquoted, it makes a field too many."""
    assert fault('A,B,"1,234.50",EUR') == (
        "amount '1,234.50' is not a number: write 1234.50, if that is meant: no separators"
    )
    assert fault("A,B,1,234.50,EUR") == (
        "5 fields, and the header has 4; a name with a comma needs quotes, an amount has none: 1234.50"
    )


def test_more_than_eight_decimals_are_refused() -> None:
    """Eight decimals are exact; nine are too many, and nineteen digits before the point too."""
    assert debts(HEADER + "A,B,999999999999999999.12345678,EUR\n")[0].amount == Decimal(
        "999999999999999999.12345678"
    )
    assert fault("A,B,1.123456789,EUR") == "amount '1.123456789' has 9 decimals; at most 8 are taken"
    assert "is not a number" in fault("A,B,1234567890123456789,EUR")


@pytest.mark.parametrize("currency", ["eur", "EU", "EURO", "E1R", "€", "ÄÖÜ"])
def test_currencies_have_the_shape_of_iso_4217(currency: str) -> None:
    """Three capital letters of A to Z."""
    assert "is no ISO 4217 code" in fault(f"A,B,1,{currency}")


def test_missing_fields_are_named() -> None:
    """A short line, and one with holes."""
    assert faults(HEADER + "A,B\nA,,5,\n") == [
        (2, "amount is missing"),
        (2, "currency is missing"),
        (3, "creditor is missing"),
        (3, "currency is missing"),
    ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", [(1, "the file is empty; its first line must be debtor,creditor,amount,currency")]),
        (
            "\ufeff\r\n\r\n",
            [(1, "the file is empty; its first line must be debtor,creditor,amount,currency")],
        ),
        (HEADER, [(2, "the file has a header and no debts")]),
        ("A,B,5.00,EUR\n", [(1, "the first line must be a header: debtor,creditor,amount,currency")]),
        (
            "debtor;creditor;amount;currency\nA;B;5;EUR\n",
            [(1, "columns must be separated by commas: debtor,creditor,amount,currency")],
        ),
        (
            "debtor,amount,currency,note,Amount\nA,B,5,EUR\n",
            [
                (1, f"column 'note' is unknown; the columns are debtor,creditor,amount,currency{KIND}"),
                (1, "column creditor is missing"),
                (1, "column amount stands there 2 times"),
            ],
        ),
        (
            "debtor,creditor,amount,currency,\nA,B,5,EUR,\n",
            [(1, f"column '' is unknown; the columns are debtor,creditor,amount,currency{KIND}")],
        ),
    ],
)
def test_headers_must_name_the_four_columns(content: str, expected: list[tuple[int, str]]) -> None:
    """Empty files, other separators, missing, doubled and unknown columns are each told."""
    assert faults(content) == expected


def test_broken_quotes_are_told_where_they_open() -> None:
    """The line of the opening quote, not the end of the file; lines before it are still judged."""
    assert faults(HEADER + 'A,B,x,EUR\nA,"B,5,EUR\nA,C,6,EUR\n') == [
        (2, "amount 'x' is not a number: write digits with a point, such as 1234.50"),
        (3, "a quote is opened here and never closed"),
    ]
    [(line, problem)] = faults(HEADER + 'A,"B"b,5,EUR\nA,C,6,EUR\n')
    assert (line, problem[:8]) == (2, "not CSV:")


def test_other_encodings_are_told() -> None:
    """Bytes that are not UTF-8 are named by their line; UTF-16 says what to do."""
    assert faults((HEADER + "A,Café,5,EUR\n").encode("latin-1")) == [
        (2, "the file is not UTF-8 from here on; save it as CSV in UTF-8")
    ]
    assert faults(HEADER.encode("utf-16")) == [(1, "the file is UTF-16; save it as CSV in UTF-8")]


def test_nothing_from_the_file_can_command_the_terminal() -> None:
    """Escape sequences are refused and shown as text; square brackets are not taken for colours."""
    content = HEADER + "\x1b[31mA,B,5,EUR\nA,B," + "9" * 300 + ",EUR\n"
    told = read(content)
    assert isinstance(told, Faults)
    shown = printed(render_faults({"[bold]debts.csv": told}))
    assert "\x1b" not in shown
    assert "[bold]debts.csv:2: debtor '\\x1b[31mA' has characters" in shown
    assert "2 problems: nothing was netted" in shown
    assert len(shown) < 500
    assert "[red]A" in printed(render(report(debts(HEADER + "[red]A,B,5,EUR\n"))))


def test_the_terminal_shows_every_figure() -> None:
    """Totals with their share of gross, nets, positions and payments of the worked night."""
    shown = printed(render(report(debts(WORKED_NIGHT))))
    for figure in (
        *("4,306.3470", "1,117.9610", "26 %", "528.6030", "12 %", "147.3875", "441.9705"),
        *("+17.4760", "+17.48", "-4.0840", "-4.09", "-524.52", "511.13", "528.61"),
    ):
        assert figure in shown


def test_json_holds_no_floats() -> None:
    """Amounts are text in the JSON form, of results and of problems."""
    text = json.dumps(as_json(report(debts(WORKED_NIGHT))))
    assert json.loads(text, parse_float=pytest.fail)["currencies"][0]["gross"] == "4306.3470"
    bad = read(HEADER + "A,B,0,EUR\n")
    assert isinstance(bad, Faults)
    assert faults_as_json({"debts.csv": bad}) == {
        "errors": [
            {
                "file": "debts.csv",
                "line": 2,
                "field": "amount",
                "problem": "amount is zero: leave the line out",
            }
        ]
    }


def test_long_tables_are_cut_and_say_so() -> None:
    """Of 300 pairs 200 are drawn; totals count all, and a line says where the others are."""
    rows = "".join(f"D{number:03},C{number:03},1.00,EUR\n" for number in range(300))
    shown = printed(render(report(debts(HEADER + rows))))
    assert "and 100 more: --json has all" in shown
    assert "and 400 more: --json has all" in shown
    assert "and 100 more to the hub: --json has all" in shown
    assert "and 100 more from the hub: --json has all" in shown
    assert "D199" in shown
    assert "D200" not in shown
    assert re.search(r"paid in, and so out .* 300\.00", shown)
