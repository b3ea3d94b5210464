"""A bank for tests: it reads pay-out files and answers with statements, by code of its own.

It knows nothing of the modules under test: it parses pain.001 and writes camt.053 from the standard alone, so
that a round trip through it shows more than that two halves of ours agree.
"""

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import xmlschema

PAIN = "{urn:iso:std:iso:20022:tech:xsd:pain.001.001.09}"
CAMT = "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"


@cache
def schema(package: str, path: str) -> xmlschema.XMLSchema:
    """A schema that a package brings along; the package itself is not imported."""
    spec = find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return xmlschema.XMLSchema(str(Path(spec.submodule_search_locations[0]) / path))


def pain_schema() -> xmlschema.XMLSchema:
    """The schema of pain.001.001.09."""
    return schema("sepaxml", "schemas/pain.001.001.09.xsd")


def camt_schema() -> xmlschema.XMLSchema:
    """The schema of camt.053.001.08."""
    return schema("camt053", "xsd/camt.053.001.08.xsd")


def required(element: ElementTree.Element, path: str) -> str:
    """The text at a path of a pain.001 file."""
    found = element.find("/".join(PAIN + part for part in path.split("/")))
    assert found is not None, path
    return found.text or ""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One TxDtls; `amount` without a sign."""

    amount: Decimal | None
    end_to_end_id: str = ""
    reference: str = ""
    text: str = ""
    name: str = ""
    iban: str = ""
    returned: str = ""
    currency: str = ""
    tx_amount: Decimal | None = None


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One Ntry: `amount` > 0 came to the account, < 0 left it; `batch`: PmtInfId and number of payments."""

    amount: Decimal
    parts: tuple[Part, ...] = ()
    bank_reference: str = ""
    status: str = "BOOK"
    reversal: bool = False
    batch: tuple[str, int] | None = None
    currency: str = ""
    booked_on: date | None = None


@dataclass
class PretendBank:
    """An account of ours at a bank."""

    iban: str
    currency: str
    balance: Decimal = Decimal(0)
    entries: list[Entry] = field(default_factory=list)
    booked: int = 0
    statements: int = 0

    def pay(self, pain: bytes, *, in_one_sum: bool = False, in_parts: bool = False) -> None:
        """Carry out a pay-out file: each payment by itself, or a group in one entry, in parts or not."""
        for group in ElementTree.fromstring(pain).iter(f"{PAIN}PmtInf"):  # noqa: S314 - ours
            if required(group, "DbtrAcct/Id/IBAN") != self.iban:
                continue
            parts = tuple(
                Part(
                    amount=Decimal(required(one, "Amt/InstdAmt")),
                    end_to_end_id=required(one, "PmtId/EndToEndId"),
                    reference=required(one, "RmtInf/Strd/CdtrRefInf/Ref"),
                    name=required(one, "Cdtr/Nm"),
                    iban=required(one, "CdtrAcct/Id/IBAN"),
                )
                for one in group.iter(f"{PAIN}CdtTrfTxInf")
            )
            total = sum((part.amount for part in parts if part.amount is not None), Decimal(0))
            if in_one_sum:
                self.book(Entry(amount=-total, batch=(required(group, "PmtInfId"), len(parts))))
            elif in_parts:
                self.book(Entry(amount=-total, parts=parts))
            else:
                for part in parts:
                    assert part.amount is not None
                    self.book(Entry(amount=-part.amount, parts=(part,)))

    def book(self, entry: Entry) -> None:
        """Book an entry; it stands on the next statement."""
        self.booked += 1
        self.entries.append(entry)

    def statement(self, on: date = date(2017, 5, 4), *, summary: bool = True) -> str:
        """One Stmt element with what was booked since the last one."""
        self.statements += 1
        opening = self.balance
        entries, self.entries = self.entries, []
        counted = [entry.amount for entry in entries if entry.status == "BOOK"]
        self.balance += sum(counted, Decimal(0))
        return statement_text(
            statement_id=f"STMT-{self.statements}",
            iban=self.iban,
            currency=self.currency,
            opening=opening,
            closing=self.balance,
            entries=entries,
            on=on,
            summary=counted if summary else None,
        )

    def file(self, on: date = date(2017, 5, 4)) -> bytes:
        """A camt.053 file with one statement."""
        return file_text(self.statement(on))


def file_text(*statements: str) -> bytes:
    """A whole camt.053 file."""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><Document xmlns="{CAMT}"><BkToCstmrStmt>'
        "<GrpHdr><MsgId>MSG-1</MsgId><CreDtTm>2017-05-04T05:00:00Z</CreDtTm></GrpHdr>"
        f"{''.join(statements)}</BkToCstmrStmt></Document>"
    ).encode()


def statement_text(
    *,
    statement_id: str,
    iban: str,
    currency: str,
    opening: Decimal,
    closing: Decimal,
    entries: list[Entry],
    on: date = date(2017, 5, 4),
    summary: list[Decimal] | None = None,
    page: str = "",
) -> str:
    """A Stmt element that says exactly what it is told to, true or not."""
    return (
        f"<Stmt><Id>{statement_id}</Id>{page}<CreDtTm>{on}T04:00:00Z</CreDtTm>"
        f"<Acct><Id><IBAN>{iban}</IBAN></Id><Ccy>{currency}</Ccy></Acct>"
        f"{_balance('OPBD', opening, currency, on)}{_balance('CLBD', closing, currency, on)}"
        f"{'' if summary is None else _summary(summary)}"
        f"{''.join(_entry(one, currency, on) for one in entries)}</Stmt>"
    )


def _balance(kind: str, amount: Decimal, currency: str, on: date) -> str:
    return (
        f"<Bal><Tp><CdOrPrtry><Cd>{kind}</Cd></CdOrPrtry></Tp>{_amount(amount, currency)}"
        f"{_side(amount)}<Dt><Dt>{on}</Dt></Dt></Bal>"
    )


def _summary(amounts: list[Decimal]) -> str:
    came = [one for one in amounts if one >= 0]
    went = [-one for one in amounts if one < 0]
    return (
        f"<TxsSummry><TtlCdtNtries><NbOfNtries>{len(came)}</NbOfNtries><Sum>{sum(came, Decimal(0))}</Sum>"
        f"</TtlCdtNtries><TtlDbtNtries><NbOfNtries>{len(went)}</NbOfNtries><Sum>{sum(went, Decimal(0))}</Sum>"
        "</TtlDbtNtries></TxsSummry>"
    )


def _entry(entry: Entry, currency: str, on: date) -> str:
    batch = (
        f"<Btch><PmtInfId>{entry.batch[0]}</PmtInfId><NbOfTxs>{entry.batch[1]}</NbOfTxs></Btch>"
        if entry.batch
        else ""
    )
    parts = "".join(_part(one, entry, currency) for one in entry.parts)
    details = f"<NtryDtls>{batch}{parts}</NtryDtls>" if batch or parts else ""
    reference = f"<AcctSvcrRef>{entry.bank_reference}</AcctSvcrRef>" if entry.bank_reference else ""
    booked = entry.booked_on or on
    return (
        f"<Ntry>{_amount(entry.amount, entry.currency or currency)}{_side(entry.amount)}"
        f"{'<RvslInd>true</RvslInd>' if entry.reversal else ''}<Sts><Cd>{entry.status}</Cd></Sts>"
        f"<BookgDt><Dt>{booked}</Dt></BookgDt><ValDt><Dt>{booked}</Dt></ValDt>{reference}"
        f"<BkTxCd><Prtry><Cd>TRF</Cd></Prtry></BkTxCd>{details}</Ntry>"
    )


def _part(part: Part, entry: Entry, currency: str) -> str:
    ids = f"<Refs><EndToEndId>{escape(part.end_to_end_id)}</EndToEndId></Refs>" if part.end_to_end_id else ""
    amount = (
        ""
        if part.amount is None
        else f"{_amount(part.amount, part.currency or currency)}{_side(entry.amount)}"
    )
    details = (
        f"<AmtDtls><TxAmt>{_amount(part.tx_amount, currency)}</TxAmt></AmtDtls>" if part.tx_amount else ""
    )
    side = "Cdtr" if entry.amount < 0 else "Dbtr"
    party = f"<{side}><Pty><Nm>{escape(part.name)}</Nm></Pty></{side}>" if part.name else ""
    if part.iban:
        party += f"<{side}Acct><Id><IBAN>{part.iban}</IBAN></Id></{side}Acct>"
    text = f"<Ustrd>{escape(part.text)}</Ustrd>" if part.text else ""
    if part.reference:
        text += (
            "<Strd><CdtrRefInf><Tp><CdOrPrtry><Cd>SCOR</Cd></CdOrPrtry></Tp>"
            f"<Ref>{part.reference}</Ref></CdtrRefInf></Strd>"
        )
    returned = f"<RtrInf><Rsn><Cd>{part.returned}</Cd></Rsn></RtrInf>" if part.returned else ""
    return (
        f"<TxDtls>{ids}{amount}{details}{f'<RltdPties>{party}</RltdPties>' if party else ''}"
        f"{f'<RmtInf>{text}</RmtInf>' if text else ''}{returned}</TxDtls>"
    )


def _amount(amount: Decimal, currency: str) -> str:
    return f'<Amt Ccy="{currency}">{abs(amount)}</Amt>'


def _side(amount: Decimal) -> str:
    return f"<CdtDbtInd>{'CRDT' if amount >= 0 else 'DBIT'}</CdtDbtInd>"
