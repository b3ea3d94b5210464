"""Pay-out files: valid against the standard's schema, exact in every currency, the same bytes each time."""

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from xml.etree import ElementTree

import msgspec
import pytest

from settlement.bank.errors import AccountInvalid, PaymentInvalid
from settlement.bank.model import Account, Payment, PaymentFile, PaymentGroup
from settlement.bank.pain import payment_file
from tests.pretend_bank import PAIN, pain_schema

HUB = Account(name="Network hub", iban="DE89370400440532013000")
GROCER = Account(name="Käse & Söhne <GmbH>", iban="FR1420041010050500013M02606")
HOTEL = Account(name="Hotel", iban="NO9386011117947", bic="DNBANOKKXXX")
CLOSED_AT = datetime(2017, 5, 4, 0, 0, tzinfo=UTC)

EXPECTED = """<?xml version='1.0' encoding='UTF-8'?>
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:pain.001.001.09">
 <CstmrCdtTrfInitn>
  <GrpHdr>
   <MsgId>TESSERA-W00000012-R01-F01</MsgId>
   <CreDtTm>2017-05-04T00:00:00Z</CreDtTm>
   <NbOfTxs>2</NbOfTxs>
   <CtrlSum>780.35</CtrlSum>
   <InitgPty>
    <Nm>Network hub</Nm>
   </InitgPty>
  </GrpHdr>
  <PmtInf>
   <PmtInfId>W00000012-R01-F01-EUR</PmtInfId>
   <PmtMtd>TRF</PmtMtd>
   <BtchBookg>false</BtchBookg>
   <NbOfTxs>2</NbOfTxs>
   <CtrlSum>780.35</CtrlSum>
   <PmtTpInf>
    <SvcLvl>
     <Cd>SEPA</Cd>
    </SvcLvl>
   </PmtTpInf>
   <ReqdExctnDt>
    <Dt>2017-05-05</Dt>
   </ReqdExctnDt>
   <Dbtr>
    <Nm>Network hub</Nm>
   </Dbtr>
   <DbtrAcct>
    <Id>
     <IBAN>DE89370400440532013000</IBAN>
    </Id>
    <Ccy>EUR</Ccy>
   </DbtrAcct>
   <DbtrAgt>
    <FinInstnId>
     <Othr>
      <Id>NOTPROVIDED</Id>
     </Othr>
    </FinInstnId>
   </DbtrAgt>
   <ChrgBr>SLEV</ChrgBr>
   <CdtTrfTxInf>
    <PmtId>
     <EndToEndId>W00000012-R01-P00011-EUR-O-01</EndToEndId>
    </PmtId>
    <Amt>
     <InstdAmt Ccy="EUR">404.52</InstdAmt>
    </Amt>
    <Cdtr>
     <Nm>Kase + Sohne .GmbH.</Nm>
    </Cdtr>
    <CdtrAcct>
     <Id>
      <IBAN>FR1420041010050500013M02606</IBAN>
     </Id>
    </CdtrAcct>
    <RmtInf>
     <Strd>
      <CdtrRefInf>
       <Tp>
        <CdOrPrtry>
         <Cd>SCOR</Cd>
        </CdOrPrtry>
       </Tp>
       <Ref>RF18539007547034</Ref>
      </CdtrRefInf>
     </Strd>
    </RmtInf>
   </CdtTrfTxInf>
   <CdtTrfTxInf>
    <PmtId>
     <EndToEndId>W00000012-R01-P00012-EUR-O-01</EndToEndId>
    </PmtId>
    <Amt>
     <InstdAmt Ccy="EUR">375.83</InstdAmt>
    </Amt>
    <CdtrAgt>
     <FinInstnId>
      <BICFI>DNBANOKKXXX</BICFI>
     </FinInstnId>
    </CdtrAgt>
    <Cdtr>
     <Nm>Hotel</Nm>
    </Cdtr>
    <CdtrAcct>
     <Id>
      <IBAN>NO9386011117947</IBAN>
     </Id>
    </CdtrAcct>
    <RmtInf>
     <Strd>
      <CdtrRefInf>
       <Tp>
        <CdOrPrtry>
         <Cd>SCOR</Cd>
        </CdOrPrtry>
       </Tp>
       <Ref>RF18539007547034</Ref>
      </CdtrRefInf>
     </Strd>
    </RmtInf>
   </CdtTrfTxInf>
  </PmtInf>
 </CstmrCdtTrfInitn>
</Document>
"""


def payment(end_to_end_id: str, amount_minor: int, **given: Any) -> Payment:
    """A payment in euros to the grocer, where nothing else is said."""
    return msgspec.structs.replace(
        Payment(
            end_to_end_id=end_to_end_id,
            reference="RF18539007547034",
            participant_id=11,
            currency="EUR",
            amount_minor=amount_minor,
            account=GROCER,
        ),
        **given,
    )


def group(*payments: Payment, **given: Any) -> PaymentGroup:
    """A group in euros."""
    return msgspec.structs.replace(
        PaymentGroup(
            group_id="W00000012-R01-F01-EUR",
            currency="EUR",
            execute_on=date(2017, 5, 5),
            debtor=HUB,
            payments=payments,
        ),
        **given,
    )


def whole_file(*groups: PaymentGroup, **given: Any) -> PaymentFile:
    """A file of groups."""
    return msgspec.structs.replace(
        PaymentFile(
            message_id="TESSERA-W00000012-R01-F01",
            created_at=CLOSED_AT,
            initiator="Network hub",
            groups=groups,
        ),
        **given,
    )


TWO = (
    payment("W00000012-R01-P00011-EUR-O-01", 40452),
    payment("W00000012-R01-P00012-EUR-O-01", 37583, account=HOTEL),
)


def texts(data: bytes, tag: str) -> list[str | None]:
    """What a tag says, wherever it stands."""
    return [one.text for one in ElementTree.fromstring(data).iter(PAIN + tag)]  # noqa: S314 - our own file


def test_a_file_is_what_the_standard_asks_for() -> None:
    """The whole file, letter by letter, and the schema finds it valid."""
    data = payment_file(whole_file(group(*TWO)))
    assert data.decode() == EXPECTED
    pain_schema().validate(data.decode())


def test_the_same_payments_are_the_same_bytes() -> None:
    """Neither the order of payments and groups nor the zone of the instant is in the file."""
    dollars = group(
        payment("W00000012-R01-P00013-USD-O-01", 5, currency="USD"), group_id="USD", currency="USD"
    )
    there = payment_file(whole_file(group(*TWO), dollars))
    elsewhere = CLOSED_AT.astimezone(timezone(timedelta(hours=-7)))
    back = payment_file(whole_file(dollars, group(*reversed(TWO)), created_at=elsewhere))
    assert there == back


def test_amounts_have_their_currency_s_decimals() -> None:
    """Yen have none, dinars three, and the control sum is the plain sum of what is written."""
    data = payment_file(
        whole_file(
            group(payment("A", 1234567, currency="JPY"), group_id="JPY", currency="JPY"),
            group(payment("B", 1, currency="KWD"), group_id="KWD", currency="KWD"),
            group(payment("C", 100), group_id="EUR"),
        )
    )
    assert texts(data, "InstdAmt") == ["1.00", "1234567", "0.001"]
    assert texts(data, "CtrlSum") == ["1234568.001", "1.00", "1234567", "0.001"]
    # Only euros are promised to travel as SEPA payments.
    assert texts(data, "ChrgBr") == ["SLEV", "SHAR", "SHAR"]
    assert len(texts(data, "SvcLvl")) == 1
    pain_schema().validate(data.decode())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (whole_file(), "nothing to pay"),
        (whole_file(group()), "nothing to pay"),
        (whole_file(group(payment("A", 0))), "0 minor units"),
        (whole_file(group(payment("A", -5))), "-5 minor units"),
        (whole_file(group(payment("A", 10**15))), "minor units"),
        (whole_file(group(payment("A", 1), payment("A", 2))), "used twice"),
        (whole_file(group(payment("A", 1)), group(payment("B", 1))), "used twice"),
        (whole_file(group(payment("A" * 36, 1))), "1 to 35 letters"),
        (whole_file(group(payment("A/B", 1))), "1 to 35 letters"),
        (whole_file(group(payment("", 1))), "1 to 35 letters"),
        (whole_file(group(payment("A", 1)), message_id="Ä"), "1 to 35 letters"),
        (whole_file(group(payment("A", 1, currency="USD"))), "in USD, its group in EUR"),
        (whole_file(group(payment("A", 1, reference="RF18539007547035"))), "no creditor reference"),
        (
            whole_file(group(payment("A", 1, account=Account(name="///", iban=HUB.iban)))),
            "has no letter that a bank takes",
        ),
    ],
)
def test_what_cannot_be_paid_is_not_written(given: PaymentFile, said: str) -> None:
    """Each mistake is named, and there is no file."""
    with pytest.raises(PaymentInvalid, match=said):
        payment_file(given)


def test_a_wrong_account_is_not_written() -> None:
    """An account number is checked again where money leaves, whatever stored it."""
    for account in (
        Account(name="Grocer", iban="DE89370400440532013001"),
        Account(name="Grocer", iban=HUB.iban, bic="X"),
    ):
        with pytest.raises(AccountInvalid):
            payment_file(whole_file(group(payment("A", 1, account=account))))
