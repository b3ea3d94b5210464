"""A contract version as it is drafted, checked, written as one text, and read again (pure)."""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from hashlib import sha256

import msgspec

from partners.errors import DraftUnfit
from partners.model import Category, Terms
from partners.people.canonical import canonical

FUNDING = {"on_redeem": Decimal(0), "on_issue": Decimal(1)}
"""Ways of funding that are a share by themselves; `split` names its share."""
LATEST_REPORT_DAYS = 30
"""No till may report later than the ledger takes it."""
_CURRENCY = re.compile(r"[A-Z]{3}")
_PRICES = ("issue_price", "reimbursement_rate", "fee_per_issued_point", "fee_per_transaction")
_LIMITS = ("monthly_minimum", "deposit", "guarantee", "net_debit_cap")
_HIGHEST = {
    "fee_bps_of_credits": 10_000,
    "vat_bps": 10_000,
    "cap_warning_bps": 10_000,
    "cap_alarm_bps": 10_000,
    "minimum_payment_minor": 2**53,
    "dispute_days": 3650,
    "notice_days": 3650,
    "run_off_days": 3650,
    "late_days": LATEST_REPORT_DAYS,
    "offline_floor_points": 10**12,
}
_NOT_WRITTEN = ("partner_id", "terms_version")
_INTEGER_DIGITS = {8: 10, 4: 14}
"""Digits before the point that a column has, by those after it."""


def terms_of(
    given: Mapping[str, object], *, partner_id: int, before: Terms | None, categories: Iterable[Category] = ()
) -> Terms:
    """A whole version from what a file says: the version before, with these changes.

    Amounts are texts, or Decimals. `funding` may stand for `funding_share`; `category_rates` are by category
    code, and `vat_codes` by flow; both replace what was before as a whole.

    Raises:
        DraftUnfit: naming every fault.
    """
    values = dict(given)
    faults = [f"{name}: no contract has that term" for name in _unknown(values)]
    values = {name: value for name, value in values.items() if name in Terms.__struct_fields__}
    faults += _set_funding(given, values)
    values["category_rates"] = _category_rates(values, before, categories, faults)
    codes = values.get("vat_codes", before.vat_codes if before else ())
    values["vat_codes"] = sorted(codes.items()) if isinstance(codes, Mapping) else codes
    base: dict[str, object] = {} if before is None else msgspec.structs.asdict(before)
    version = 1 if before is None else before.terms_version + 1
    try:
        terms = msgspec.convert(
            {**base, **values, "partner_id": partner_id, "terms_version": version}, Terms, strict=False
        )
    except (msgspec.ValidationError, ArithmeticError) as error:
        raise DraftUnfit("; ".join([*faults, str(error)])) from error
    faults += terms_faults(terms)
    if before is not None and terms.effective_on <= before.effective_on:
        faults.append(
            f"effective_on: {terms.effective_on} is not after {before.effective_on}, the version before"
        )
    if faults:
        raise DraftUnfit("; ".join(faults))
    return terms


def terms_faults(terms: Terms) -> list[str]:
    """All that a version cannot say, in words; nothing where it is fit."""
    return [*_share_and_price_faults(terms), *_limit_faults(terms)]


def _share_and_price_faults(terms: Terms) -> Iterator[str]:
    if not _CURRENCY.fullmatch(terms.currency):
        yield f"currency: {terms.currency!r} is no code of three capital letters"
    for name in ("funding_share", "breakage_operator_share"):
        share = getattr(terms, name)
        if not (0 <= share <= 1 and _fits(share, 4)):
            yield f"{name}: {share} is not from 0 to 1 with at most 4 decimals"
    for name in _PRICES:
        yield from _amount_faults(name, getattr(terms, name), 8)
    for category, rate in terms.category_rates:
        yield from _amount_faults(f"category_rates {category}", rate, 8)
    yield from _amount_faults("fee_bps_of_credits", terms.fee_bps_of_credits, 4)


def _limit_faults(terms: Terms) -> Iterator[str]:
    for name in _LIMITS:
        yield from _amount_faults(name, getattr(terms, name), 4)
    for name, highest in _HIGHEST.items():
        if not 0 <= getattr(terms, name) <= highest:
            yield f"{name}: {getattr(terms, name)} is not from 0 to {highest}"
    if terms.cap_warning_bps > terms.cap_alarm_bps:
        yield "cap_warning_bps: the warning is above the alarm"
    if len({flow for flow, _ in terms.vat_codes}) != len(terms.vat_codes):
        yield "vat_codes: a flow is named twice"


def body_of(terms: Terms) -> str:
    """The one text of a version, which is hashed and approved."""
    return canonical(terms)


def hash_of(body: str) -> bytes:
    """What an activation names."""
    return sha256(body.encode()).digest()


def read_body(body: str) -> Terms:
    """The version that a text is of."""
    return msgspec.json.decode(body, type=Terms)


def _unknown(values: Mapping[str, object]) -> list[str]:
    known = {*Terms.__struct_fields__, "funding"} - set(_NOT_WRITTEN)
    return sorted(set(values) - known)


def _set_funding(given: Mapping[str, object], values: dict[str, object]) -> list[str]:
    """`funding` as a share; what is wrong with it."""
    way = given.get("funding")
    if way is None:
        return []
    if way in FUNDING:
        if "funding_share" in given:
            return [f"funding: {way} is a share by itself, leave funding_share out"]
        values["funding_share"] = FUNDING[str(way)]
        return []
    if way != "split":
        return [f"funding: {way!r} is none of on_redeem, on_issue, split"]
    return [] if "funding_share" in given else ["funding: split needs its funding_share"]


def _category_rates(
    values: Mapping[str, object], before: Terms | None, categories: Iterable[Category], faults: list[str]
) -> object:
    rates = values.get("category_rates", before.category_rates if before else ())
    if not isinstance(rates, Mapping):
        return rates
    numbers = {one.code: one.category for one in categories}
    faults.extend(
        f"category_rates: the network has no category {code!r}" for code in sorted(set(rates) - set(numbers))
    )
    return sorted((numbers[code], rate) for code, rate in rates.items() if code in numbers)


def _amount_faults(name: str, amount: Decimal | None, decimals: int) -> list[str]:
    if amount is None:
        return []
    if not amount.is_finite() or amount < 0 or not _fits(amount, decimals):
        return [f"{name}: {amount} is not from 0 with at most {decimals} decimals"]
    return []


def _fits(amount: Decimal, decimals: int) -> bool:
    whole = Decimal(10) ** _INTEGER_DIGITS[decimals]
    exponent = amount.as_tuple().exponent
    trailing = isinstance(exponent, int) and -exponent <= decimals
    return abs(amount) < whole and (trailing or amount == round(amount, decimals))


def first_day(today: date, open_on: date, before: Terms | None) -> date:
    """The first day that a version may be in force from: none that nights or tills have begun with.

    Args:
        today: The network's local date.
        open_on: The business date that is open.
        before: The version that it supersedes; a first contract may begin today.
    """
    latest = max(today, open_on)
    return latest if before is None else date.fromordinal(latest.toordinal() + 1)
