"""Dated contract terms: which version is in force, and which may follow."""

from datetime import date
from decimal import Decimal

import pytest

from partners.errors import TermsNotAccepted
from partners.model import Terms
from partners.terms import require_superseding, terms_on


def terms(version: int, effective_on: date) -> Terms:
    """A version of one partner's contract."""
    return Terms(
        partner_id=11,
        terms_version=version,
        effective_on=effective_on,
        currency="USD",
        funding_share=Decimal(1),
        issue_price=Decimal("0.0100"),
        reimbursement_rate=Decimal("0.0080"),
    )


JANUARY = terms(1, date(2017, 1, 1))
MAY = terms(2, date(2017, 5, 1))
JULY = terms(3, date(2017, 7, 1))


@pytest.mark.parametrize(
    ("on", "version"),
    [
        (date(2016, 12, 31), None),
        (date(2017, 1, 1), 1),
        (date(2017, 4, 30), 1),
        (date(2017, 5, 1), 2),
        (date(2017, 6, 30), 2),
        (date(2017, 7, 1), 3),
        (date(2099, 1, 1), 3),
    ],
)
def test_the_last_version_that_has_begun_is_in_force(on: date, version: int | None) -> None:
    """A version holds from its day until the next one's, and before the first there is none."""
    found = terms_on([JANUARY, MAY, JULY], on)
    assert (found.terms_version if found else None) == version


def test_without_versions_nothing_is_in_force() -> None:
    """A partner without a contract has no terms."""
    assert terms_on([], date(2017, 1, 1)) is None


def test_versions_that_supersede_are_taken() -> None:
    """A first one, several at once, one after others, and numbers with a gap."""
    require_superseding([], [])
    require_superseding([], [JANUARY])
    require_superseding([], [JANUARY, MAY, JULY])
    require_superseding([JANUARY, MAY], [JULY])
    require_superseding([JANUARY], [JULY])


@pytest.mark.parametrize(
    ("known", "added"),
    [
        ([JANUARY, MAY], terms(2, date(2017, 7, 1))),
        ([JANUARY, MAY], terms(1, date(2017, 7, 1))),
        ([JANUARY, MAY], terms(3, date(2017, 5, 1))),
        ([JANUARY, MAY], terms(3, date(2017, 4, 30))),
        ([JANUARY, JULY], MAY),
    ],
    ids=["same number", "lower number", "same day", "earlier day", "in between"],
)
def test_a_version_that_would_price_anew_is_refused(known: list[Terms], added: Terms) -> None:
    """Neither an old number nor a day that is priced already can come again."""
    with pytest.raises(TermsNotAccepted, match="higher number and a later date"):
        require_superseding(known, [added])


def test_versions_added_at_once_supersede_each_other() -> None:
    """The rule holds inside one addition as well."""
    with pytest.raises(TermsNotAccepted, match="do not supersede terms 2 from 2017-05-01"):
        require_superseding([], [JANUARY, MAY, terms(3, date(2017, 3, 1))])
