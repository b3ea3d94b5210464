"""A partner's list against ours: what is the same, what differs, and files that cannot be read."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settlement.reconcile import Difference, Faults, Item, Side, read, reconcile
from settlement.reports.show import csv_bytes

OURS = b"""\
business_date,reference,entry,event,outlet,occurred_at,points,amount,currency
2017-05-01,s1,ent_01,accruals,main,2017-05-01T09:00:00+00:00,250,250.00,USD
2017-05-01,s2,ent_02,accruals,main,2017-05-01T09:00:00+00:00,50,50.50,USD
2017-05-01,'=r1,ent_03,redemptions,main,2017-05-01T09:00:00+00:00,-101,1.01,USD
2017-05-01,r2,ent_04,redemptions,main,2017-05-01T09:00:00+00:00,-7,0.07,USD
"""


def items(content: bytes) -> list[Item]:
    """A list that can be read."""
    found = read(content, "list")
    assert not isinstance(found, Faults), found
    return found


def test_what_differs_is_named_line_by_line() -> None:
    """Other points, another amount, one line too few and one too many, one twice; the rest is the same."""
    theirs = b"""\
reference;points;amount
s1;250;250.0
s2;51;50.50
=r1;-101;1.02
s1;250;250.00
x9;;9.99
"""
    found = reconcile(items(OURS), items(theirs))
    assert found.compared == ["points", "amount"]
    assert found.same == 1
    assert found.ours == Side(4, 192, Decimal("301.58"))
    assert found.theirs == Side(5, 450, Decimal("561.51"))
    assert found.differences == [
        Difference(
            what="differs",
            reference="=r1",
            column="amount",
            ours="1.01",
            theirs="1.02",
            our_line=4,
            their_line=4,
        ),
        Difference(what="only in ours", reference="r2", ours="-7 points 0.07 USD", our_line=5),
        Difference(
            what="differs", reference="s2", column="points", ours="50", theirs="51", our_line=3, their_line=3
        ),
        Difference(what="only in theirs", reference="x9", theirs="9.99", their_line=6),
        Difference(what="twice", reference="s1", their_line=5),
    ]


def test_the_same_list_has_no_difference() -> None:
    """Ours against itself; in other order, with a byte order mark, tabs, and spaces around cells."""
    head, *lines = OURS.decode().splitlines()
    turned = "\ufeff" + "\n".join([head, *reversed(lines)]).replace(",", " \t ")
    found = reconcile(items(OURS), items(turned.encode()))
    assert (found.same, found.differences) == (4, [])
    assert found.compared == ["entry", "points", "amount", "currency"]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"ref,points\ns1,1\n", "line 1: there is no column 'reference' in ['ref', 'points']"),
        (b"reference,points,points\ns1,1,2\n", "line 1: there are two columns 'points'"),
        (b"reference,points\ns1\n", "line 2: 1 cells under 2 titles"),
        (b"reference,points\n,1\n", "line 2: the reference is empty"),
        (b"reference,points\ns1,1.5\n", "line 2: 1.5 points are not whole"),
        (
            b"reference,amount\ns1,1.5\ns2,1e\n",
            "line 3: amount '1e' is no number: write 1234.50",
        ),
        (b"reference,amount\ns1,NaN\n", "line 2: amount 'NaN' is no number: write 1234.50"),
        (b"reference,amount\ns1,1_0\n", "line 2: amount '1_0' is no number: write 1234.50"),
        (b"reference\ns\x001\n", "line 2: it holds a NUL"),
        (b"reference\ns\xff\n", "it is not UTF-8: byte 11 is 0xff"),
        (b'reference\n"s1\n', "line 2: unexpected end of data"),
        (b"", "line 1: there is no column 'reference' in []"),
    ],
)
def test_a_list_that_cannot_be_read_is_told_where(content: bytes, fault: str) -> None:
    """Nothing is compared before every line is understood."""
    assert read(content, "theirs.csv") == Faults("theirs.csv", [fault])


@given(
    st.dictionaries(
        st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=12),
        st.tuples(st.integers(-(10**9), 10**9), st.decimals(0, 10**6, places=2)),
        max_size=20,
    )
)
def test_what_we_write_is_read_as_it_was(lines: dict[str, tuple[int, Decimal]]) -> None:
    """Any reference that the API takes comes through the file's escaping, and finds itself."""
    rows = [(name, *values) for name, values in lines.items()]
    found = items(csv_bytes(("reference", "points", "amount"), rows))
    assert [(one.reference, one.points, one.amount) for one in found] == rows
    assert reconcile(found, found).differences == []
