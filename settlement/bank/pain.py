"""Pay-outs as a file that banks take: ISO 20022 pain.001.001.09 (pure).

The same payments give the same bytes: nothing in the file is read from a clock or counted by chance, payments
stand in the order of their ids, and amounts have exactly their currency's decimals.

Source: ISO 20022 message definition pain.001.001.09; European Payments Council, SEPA credit transfer
customer-to-PSP implementation guidelines (charges shared, service level SEPA, names of 70 letters, one
structured reference).
"""

from collections.abc import Sequence
from datetime import UTC
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from settlement.bank.errors import PaymentInvalid
from settlement.bank.letters import bank_text
from settlement.bank.model import Account, Payment, PaymentFile, PaymentGroup
from settlement.bank.numbers import read_bic, read_iban
from settlement.money import ZERO, exactly, fixed_scale, from_minor, minor_digits
from settlement.references import read_reference

NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:pain.001.001.09"
LONGEST_ID = 35
LONGEST_NAME = 70
MOST_MINOR = 10**15
_ID_SIGNS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-")


def payment_file(given: PaymentFile) -> bytes:
    """The file, UTF-8, ending in a line feed.

    Raises:
        PaymentInvalid: there is nothing to pay, an id is used twice or has letters that banks do not take, an
            amount is not above zero, or a group mixes currencies.
        AccountInvalid: an IBAN or BIC is none.
    """
    payments = [one for group in given.groups for one in group.payments]
    _check_ids(given, payments)
    document = Element("Document", xmlns=NAMESPACE)
    initiation = SubElement(document, "CstmrCdtTrfInitn")
    header = SubElement(initiation, "GrpHdr")
    _leaf(header, "MsgId", given.message_id)
    _leaf(header, "CreDtTm", f"{given.created_at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}Z")
    _leaf(header, "NbOfTxs", str(len(payments)))
    _leaf(header, "CtrlSum", _control_sum(payments))
    _leaf(SubElement(header, "InitgPty"), "Nm", _name(given.initiator))
    for group in sorted(given.groups, key=lambda one: one.group_id):
        _add_group(initiation, group)
    indent(document, " ")
    return bytes(tostring(document, encoding="UTF-8", xml_declaration=True)) + b"\n"


def amount_text(amount_minor: int, currency: str) -> str:
    """An amount with its currency's decimals: 123456 is 1234.56 EUR, 123456 JPY, 123.456 KWD."""
    digits = minor_digits(currency)
    return fixed_scale(from_minor(amount_minor, digits), digits)


def _add_group(parent: Element, group: PaymentGroup) -> None:
    """One PmtInf: our account, the day, and the payments."""
    sepa = group.currency == "EUR"
    info = SubElement(parent, "PmtInf")
    _leaf(info, "PmtInfId", group.group_id)
    _leaf(info, "PmtMtd", "TRF")
    # Each payment is to stand on the statement by itself: that is how it is matched.
    _leaf(info, "BtchBookg", "false")
    _leaf(info, "NbOfTxs", str(len(group.payments)))
    _leaf(info, "CtrlSum", _control_sum(group.payments))
    if sepa:
        _leaf(SubElement(SubElement(info, "PmtTpInf"), "SvcLvl"), "Cd", "SEPA")
    _leaf(SubElement(info, "ReqdExctnDt"), "Dt", group.execute_on.isoformat())
    _leaf(SubElement(info, "Dbtr"), "Nm", _name(group.debtor.name))
    _add_account(info, "DbtrAcct", group.debtor.iban, group.currency)
    # The schema wants the debtor's bank, and this is how one says: the IBAN tells.
    _add_agent(info, "DbtrAgt", group.debtor)
    _leaf(info, "ChrgBr", "SLEV" if sepa else "SHAR")
    for payment in sorted(group.payments, key=lambda one: one.end_to_end_id):
        _add_payment(info, payment, group)


def _add_payment(parent: Element, payment: Payment, group: PaymentGroup) -> None:
    if payment.currency != group.currency:
        raise PaymentInvalid(
            f"{payment.end_to_end_id} is in {payment.currency}, its group in {group.currency}"
        )
    if not 0 < payment.amount_minor < MOST_MINOR:
        raise PaymentInvalid(
            f"{payment.end_to_end_id} is of {payment.amount_minor} minor units: give 1 to {MOST_MINOR - 1}"
        )
    if read_reference(payment.reference) != payment.reference:
        raise PaymentInvalid(f"{payment.end_to_end_id}: {payment.reference!r} is no creditor reference")
    transfer = SubElement(parent, "CdtTrfTxInf")
    _leaf(SubElement(transfer, "PmtId"), "EndToEndId", payment.end_to_end_id)
    amount = _leaf(
        SubElement(transfer, "Amt"), "InstdAmt", amount_text(payment.amount_minor, payment.currency)
    )
    amount.set("Ccy", payment.currency)
    if payment.account.bic is not None:
        _add_agent(transfer, "CdtrAgt", payment.account)
    _leaf(SubElement(transfer, "Cdtr"), "Nm", _name(payment.account.name))
    _add_account(transfer, "CdtrAcct", payment.account.iban, None)
    remittance = SubElement(transfer, "RmtInf")
    structured = SubElement(SubElement(remittance, "Strd"), "CdtrRefInf")
    _leaf(SubElement(SubElement(structured, "Tp"), "CdOrPrtry"), "Cd", "SCOR")
    _leaf(structured, "Ref", payment.reference)


def _add_account(parent: Element, tag: str, iban: str, currency: str | None) -> None:
    account = SubElement(parent, tag)
    _leaf(SubElement(account, "Id"), "IBAN", read_iban(iban))
    if currency is not None:
        _leaf(account, "Ccy", currency)


def _add_agent(parent: Element, tag: str, account: Account) -> None:
    institution = SubElement(SubElement(parent, tag), "FinInstnId")
    if account.bic is None:
        _leaf(SubElement(institution, "Othr"), "Id", "NOTPROVIDED")
    else:
        _leaf(institution, "BICFI", read_bic(account.bic))


def _leaf(parent: Element, tag: str, text: str) -> Element:
    element = SubElement(parent, tag)
    element.text = text
    return element


def _name(name: str) -> str:
    shown = bank_text(name, LONGEST_NAME)
    if not any(sign.isalnum() for sign in shown):
        raise PaymentInvalid(f"{name!r} has no letter that a bank takes: give the name in Latin letters")
    return shown


@exactly
def _control_sum(payments: Sequence[Payment]) -> str:
    """The plain sum of the amounts, whatever their currencies: what ISO 20022 asks for."""
    scale = max((minor_digits(one.currency) for one in payments), default=2)
    total = sum((from_minor(one.amount_minor, minor_digits(one.currency)) for one in payments), ZERO)
    return fixed_scale(total, scale)


def _check_ids(given: PaymentFile, payments: Sequence[Payment]) -> None:
    """Every group has payments, and no id is used twice or would be changed on its way."""
    empty = [group.group_id for group in given.groups if not group.payments]
    if empty or not given.groups:
        raise PaymentInvalid(f"the file {given.message_id} has nothing to pay{_listed(empty)}")
    for ids in (
        [given.message_id],
        [group.group_id for group in given.groups],
        [one.end_to_end_id for one in payments],
    ):
        wrong = [one for one in ids if not (0 < len(one) <= LONGEST_ID and _ID_SIGNS.issuperset(one))]
        if wrong:
            raise PaymentInvalid(f"an id has 1 to {LONGEST_ID} letters, digits and hyphens{_listed(wrong)}")
        twice = sorted({one for one in ids if ids.count(one) > 1}) if len(set(ids)) < len(ids) else []
        if twice:
            raise PaymentInvalid(f"an id is used twice{_listed(twice)}")


def _listed(names: Sequence[str]) -> str:
    return f": {', '.join(repr(one) for one in names[:5])}" if names else ""
