"""Statements of our bank accounts: ISO 20022 camt.053.001.08, read and made sure of (pure).

A statement is taken only if it is true to itself: what it opened with plus everything booked is what it
closed with, the parts of an entry are the entry, every amount is in the account's own currency and in whole
minor units. What contradicts itself is refused as a whole, with the place; nothing is guessed.

Source: ISO 20022 message definition camt.053.001.08.
"""

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from xml.etree.ElementTree import Element

import msgspec

from settlement.bank.errors import AccountInvalid, StatementRefused
from settlement.bank.model import Statement, Transaction
from settlement.bank.numbers import read_iban
from settlement.bank.pain import MOST_MINOR, amount_text
from settlement.bank.tree import read_tree
from settlement.money import exactly, minor_digits
from settlement.references import read_reference, references_in

NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"
_LONGEST = 500
_AMOUNT = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,5})?")
_CURRENCY = re.compile(r"[A-Z]{3}")
_COUNT = re.compile(r"[0-9]{1,15}")
_SAYS_NOTHING = frozenset({"", "NOTPROVIDED"})
_BOOKED, _NOT_BOOKED = frozenset({"BOOK"}), frozenset({"PDNG", "INFO", "FUTR"})
_OPENING, _CLOSING = ("OPBD", "PRCD"), ("CLBD",)


class _Parts(msgspec.Struct, frozen=True):
    """What an entry says for all of its parts."""

    entry: int
    place: str
    sign: int
    currency: str
    booked_on: date
    value_on: date
    bank_reference: str
    undone: bool


def read_statements(data: bytes) -> tuple[Statement, ...]:
    """All statements of a file, in its order.

    Raises:
        StatementRefused: it is no camt.053.001.08, or a statement in it contradicts itself; says where.
    """
    root = read_tree(data)
    if root.tag != f"{{{NAMESPACE}}}Document":
        raise StatementRefused(
            f"the file begins with {root.tag[:120]!r}; ask the bank for statements as camt.053.001.08"
        )
    message = _child(root, "BkToCstmrStmt", "Document")
    found = message.findall(_path("Stmt"))
    if not found:
        raise StatementRefused("the file has no statement")
    statements = tuple(_statement(one, number) for number, one in enumerate(found, start=1))
    names = [(one.iban, one.currency, one.statement_id, one.page) for one in statements]
    if len(set(names)) < len(names):
        raise StatementRefused("the file has one statement twice, by its account, id and page")
    return statements


def _statement(element: Element, number: int) -> Statement:
    place = f"statement {number}"
    account = _child(element, "Acct", place)
    iban = _text(account, "Id/IBAN")
    try:
        iban = read_iban(iban)
    except AccountInvalid as error:
        raise StatementRefused(f"{place}: its account is not named by an IBAN: {error}") from error
    currency = _text(account, "Ccy") or _currency(_child(_child(element, "Bal", place), "Amt", place), place)
    opening, opening_on = _balance(element, _OPENING, currency, place)
    closing, closing_on = _balance(element, _CLOSING, currency, place)
    transactions: list[Transaction] = []
    booked: list[int] = []
    for count, entry in enumerate(element.findall(_path("Ntry")), start=1):
        status = _text(entry, "Sts/Cd") or _text(entry, "Sts/Prtry")
        if status in _NOT_BOOKED:
            continue
        if status not in _BOOKED:
            raise StatementRefused(f"{place}, entry {count}: its status is {status!r}, not BOOK")
        amount, parts = _entry(entry, count, f"{place}, entry {count}", currency)
        booked.append(amount)
        transactions.extend(one for one in parts if one.amount_minor)
    _check_sums(element, place, currency, opening, closing, booked)
    return Statement(
        statement_id=_needed(element, "Id", place),
        page=_count(_text(element, "StmtPgntn/PgNb") or "1", f"{place}, page"),
        iban=iban,
        currency=currency,
        created_at=_instant(_text(element, "CreDtTm"), place),
        opening_minor=opening,
        opening_on=opening_on,
        closing_minor=closing,
        closing_on=closing_on,
        transactions=tuple(transactions),
    )


def _entry(entry: Element, number: int, place: str, currency: str) -> tuple[int, list[Transaction]]:
    """What an entry moved, and its parts: one transaction for each detail, or one for an entry without."""
    sign = _sign(entry, place)
    amount = sign * _amount(_child(entry, "Amt", place), currency, place)
    booked_on = _day(entry, "BookgDt", place)
    parts = _Parts(
        entry=number,
        place=place,
        sign=sign,
        currency=currency,
        booked_on=booked_on,
        value_on=booked_on if entry.find(_path("ValDt")) is None else _day(entry, "ValDt", place),
        bank_reference=_text(entry, "AcctSvcrRef"),
        undone=_text(entry, "RvslInd") in {"true", "1"},
    )
    found = [
        (one, group) for group in entry.findall(_path("NtryDtls")) for one in group.findall(_path("TxDtls"))
    ]
    if not found:
        return amount, [_plain(entry, parts, amount)]
    details = [
        _detail(one, count, parts, amount if len(found) == 1 else None)
        for count, (one, _) in enumerate(found, start=1)
    ]
    total = sum(one.amount_minor for one in details)
    if total != amount:
        raise StatementRefused(
            f"{place}: its parts come to {amount_text(total, currency)},"
            f" the entry to {amount_text(amount, currency)}"
        )
    return amount, details


def _plain(entry: Element, parts: _Parts, amount: int) -> Transaction:
    """An entry without details: at most it names the group of payments that was booked in one sum."""
    text = _text(entry, "AddtlNtryInf")
    batch = entry.find(_path("NtryDtls/Btch"))
    counted = "" if batch is None else _text(batch, "NbOfTxs")
    return Transaction(
        entry=parts.entry,
        detail=1,
        amount_minor=amount,
        currency=parts.currency,
        booked_on=parts.booked_on,
        value_on=parts.value_on,
        bank_reference=parts.bank_reference,
        references=references_in(text),
        batch_id="" if batch is None else _text(batch, "PmtInfId"),
        batch_count=_count(counted, parts.place) if counted else 0,
        returned=parts.undone,
        text=text,
    )


def _detail(detail: Element, number: int, parts: _Parts, whole: int | None) -> Transaction:
    """One part of an entry; `whole`: the entry's amount, where this is its only part."""
    place = f"{parts.place}, part {number}"
    given = detail.find(_path("Amt"))
    if given is None:
        given = detail.find(_path("AmtDtls/TxAmt/Amt"))
    if given is None and whole is None:
        raise StatementRefused(f"{place} has no amount, and the entry has other parts")
    sign = parts.sign if detail.find(_path("CdtDbtInd")) is None else _sign(detail, place)
    amount = sign * _amount(given, parts.currency, place) if given is not None else whole or 0
    lines = [_clean(one.text) for one in detail.findall(_path("RmtInf/Ustrd"))]
    text = " ".join(line for line in lines if line)[:_LONGEST]
    structured = [
        read_reference(_clean(one.text)) for one in detail.findall(_path("RmtInf/Strd/CdtrRefInf/Ref"))
    ]
    references = [one for one in structured if one] + [one for line in lines for one in references_in(line)]
    returned = detail.find(_path("RtrInf"))
    reason = "" if returned is None else _text(returned, "Rsn/Cd") or _text(returned, "Rsn/Prtry")
    named = _text(detail, "Refs/EndToEndId")
    other = "Cdtr" if amount < 0 else "Dbtr"
    return Transaction(
        entry=parts.entry,
        detail=number,
        amount_minor=amount,
        currency=parts.currency,
        booked_on=parts.booked_on,
        value_on=parts.value_on,
        bank_reference=_text(detail, "Refs/AcctSvcrRef") or parts.bank_reference,
        end_to_end_id="" if named.upper() in _SAYS_NOTHING else named,
        references=tuple(dict.fromkeys(references)),
        other_name=_text(detail, f"RltdPties/{other}/Pty/Nm"),
        other_iban=_text(detail, f"RltdPties/{other}Acct/Id/IBAN"),
        returned=parts.undone or returned is not None,
        reason=reason,
        text=text,
    )


def _check_sums(
    element: Element, place: str, currency: str, opening: int, closing: int, booked: list[int]
) -> None:
    """Opening + booked = closing, and the summary, where there is one, says the same."""
    if opening + sum(booked) != closing:
        raise StatementRefused(
            f"{place} does not add up: it opens with {amount_text(opening, currency)}, books"
            f" {amount_text(sum(booked), currency)} and closes with {amount_text(closing, currency)}"
        )
    came = [one for one in booked if one >= 0]
    went = [-one for one in booked if one < 0]
    for tag, amounts in (("TtlCdtNtries", came), ("TtlDbtNtries", went)):
        stated = element.find(_path(f"TxsSummry/{tag}"))
        if stated is None:
            continue
        total, number = _text(stated, "Sum"), _text(stated, "NbOfNtries")
        if total and _minor(total, currency, f"{place}, {tag}") != sum(amounts):
            raise StatementRefused(f"{place}: its summary says {tag} {total}, its entries otherwise")
        if number and _count(number, place) != len(amounts):
            raise StatementRefused(f"{place}: its summary says {tag} {number} entries, it has {len(amounts)}")


def _balance(element: Element, kinds: tuple[str, ...], currency: str, place: str) -> tuple[int, date]:
    for kind in kinds:
        found = [one for one in element.findall(_path("Bal")) if _text(one, "Tp/CdOrPrtry/Cd") == kind]
        if len(found) > 1:
            raise StatementRefused(f"{place} has its balance {kind} {len(found)} times")
        for one in found:
            amount = _sign(one, place) * _amount(_child(one, "Amt", place), currency, place)
            return amount, _day(one, "Dt", place)
    raise StatementRefused(f"{place} has no balance {' or '.join(kinds)}: without it nothing can be checked")


def _sign(element: Element, place: str) -> int:
    word = _text(element, "CdtDbtInd")
    if word not in {"CRDT", "DBIT"}:
        raise StatementRefused(f"{place}: {word!r} is neither CRDT nor DBIT")
    return 1 if word == "CRDT" else -1


def _amount(element: Element, currency: str, place: str) -> int:
    given = _currency(element, place)
    if given != currency:
        raise StatementRefused(
            f"{place} is in {given}, its account in {currency}: foreign currency is not settled here;"
            " have it booked in the account's currency"
        )
    return _minor(_clean(element.text), currency, place)


@exactly
def _minor(text: str, currency: str, place: str) -> int:
    """Minor units of an amount without a sign."""
    if not _AMOUNT.fullmatch(text):
        raise StatementRefused(f"{place}: {text[:40]!r} is no amount (digits, no sign)")
    minor = Decimal(text).scaleb(minor_digits(currency))
    if minor != int(minor):
        raise StatementRefused(f"{place}: {text} has more decimals than {currency}")
    if minor >= MOST_MINOR:
        raise StatementRefused(f"{place}: {text} is more than any account of ours can hold")
    return int(minor)


def _currency(element: Element, place: str) -> str:
    currency = element.get("Ccy", "")
    if not _CURRENCY.fullmatch(currency):
        raise StatementRefused(f"{place}: {currency[:40]!r} is no currency")
    return currency


def _day(element: Element, tag: str, place: str) -> date:
    text = _text(element, f"{tag}/Dt") or _text(element, f"{tag}/DtTm")[:10]
    try:
        return date.fromisoformat(text[:10])
    except ValueError as error:
        raise StatementRefused(f"{place}: {tag} {text[:40]!r} is no date") from error


def _instant(text: str, place: str) -> datetime | None:
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise StatementRefused(f"{place}: {text[:40]!r} is no time") from error
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _count(text: str, place: str) -> int:
    if not _COUNT.fullmatch(text):
        raise StatementRefused(f"{place}: {text[:40]!r} is no number")
    return int(text)


def _child(element: Element, path: str, place: str) -> Element:
    found = element.find(_path(path))
    if found is None:
        raise StatementRefused(f"{place} has no {path}")
    return found


def _needed(element: Element, path: str, place: str) -> str:
    text = _text(element, path)
    if not text:
        raise StatementRefused(f"{place} has no {path}")
    return text


def _text(element: Element, path: str) -> str:
    found = element.find(_path(path))
    return "" if found is None else _clean(found.text)


def _clean(text: str | None) -> str:
    """Text on one line, as short as any field of ISO 20022 is."""
    return " ".join((text or "").split())[:_LONGEST]


def _path(path: str) -> str:
    return "/".join(f"{{{NAMESPACE}}}{one}" for one in path.split("/"))
