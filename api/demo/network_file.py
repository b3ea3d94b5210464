"""A network file: participants and dated contract terms as TOML, validated to the last field.

The first partner of the file gets partners.model.FIRST_PARTNER_ID, those below it the numbers that follow.
"""

import tomllib
from collections import Counter
from collections.abc import Iterator
from datetime import date, time
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from api.demo.errors import NetworkFileInvalid
from partners.model import FIRST_PARTNER_ID, OPERATOR_ID, POOL_ID, BreakageRecipient, Participant, Terms

Code = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")]
Name = Annotated[str, Field(min_length=1, max_length=80)]
# not strict: TOML writes 50 and 0.0002 alike; read_network_file parses fractions as Decimal, never as float
Price = Annotated[Decimal, Field(ge=0, le=1000, max_digits=12, decimal_places=8, strict=False)]
Share = Annotated[Decimal, Field(ge=0, le=1, decimal_places=4, strict=False)]
BasisPoints = Annotated[Decimal, Field(ge=0, le=10_000, decimal_places=4, strict=False)]


class NetworkFile(msgspec.Struct, frozen=True, kw_only=True):
    """What a network file says, as values of the partners room."""

    name: str
    time_zone: str
    cut_off: time
    currency: str
    participants: tuple[Participant, ...]
    terms: tuple[Terms, ...]

    @property
    def partner_ids(self) -> dict[str, int]:
        """Partner id by code, merchants only."""
        return {one.code: one.partner_id for one in self.participants if one.kind == "partner"}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Terms(_Strict):
    effective_on: date
    funding_share: Share
    issue_price: Price
    reimbursement_rate: Price
    fee_per_issued_point: Price = Decimal(0)
    fee_per_transaction: Price = Decimal(0)
    fee_bps_of_credits: BasisPoints = Decimal(0)
    vat_bps: Annotated[int, Field(ge=0, le=10_000)] = 0
    breakage_to: BreakageRecipient = "operator"
    returned_elsewhere: bool = False
    takes_returns: bool = False
    accepts_donations: bool = False


class _Partner(_Strict):
    code: Code
    name: Name
    terms: Annotated[list[_Terms], Field(min_length=1)]

    @model_validator(mode="after")
    def _dates_ascend(self) -> "_Partner":
        dates = [terms.effective_on for terms in self.terms]
        if any(later <= earlier for earlier, later in pairwise(dates)):
            raise ValueError("terms: effective_on must ascend; a version supersedes those above it")
        return self


class _Network(_Strict):
    name: Name
    time_zone: str
    cut_off: time
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    operator: Name
    pool: Name

    @field_validator("time_zone")
    @classmethod
    def _zone_exists(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError("must be an IANA time zone, such as Europe/Vienna") from error
        return value


class _File(_Strict):
    network: _Network
    partner: Annotated[list[_Partner], Field(min_length=1)]

    @model_validator(mode="after")
    def _codes_differ(self) -> "_File":
        twice = [code for code, count in Counter(one.code for one in self.partner).items() if count > 1]
        taken = [one.code for one in self.partner if one.code in ("operator", "pool")]
        if twice or taken:
            raise ValueError(f"partner: each code once, operator and pool are taken; look at {twice + taken}")
        return self


def read_network_file(path: Path) -> NetworkFile:
    """Read and validate a network file.

    Raises:
        NetworkFileInvalid: every fault with file, field, what was expected and what stood there.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
        spec = _File.model_validate(raw)
    except OSError as error:
        raise NetworkFileInvalid(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise NetworkFileInvalid(f"{path}: not TOML in UTF-8: {error}") from error
    except ValidationError as error:
        raise NetworkFileInvalid("\n".join(_faults(path, error))) from error
    return _as_values(spec)


def _faults(path: Path, error: ValidationError) -> Iterator[str]:
    for fault in error.errors():
        field = ".".join(str(part + 1 if isinstance(part, int) else part) for part in fault["loc"])
        was = "" if isinstance(fault["input"], dict) else f" (was {fault['input']!r})"
        yield f"{path}: {field or 'file'}: {fault['msg']}{was}"


def _as_values(spec: _File) -> NetworkFile:
    currency = spec.network.currency
    participants = [
        Participant(partner_id=OPERATOR_ID, code="operator", name=spec.network.operator, kind="operator"),
        Participant(partner_id=POOL_ID, code="pool", name=spec.network.pool, kind="pool"),
    ]
    terms: list[Terms] = []
    for partner_id, partner in enumerate(spec.partner, start=FIRST_PARTNER_ID):
        participants.append(Participant(partner_id=partner_id, code=partner.code, name=partner.name))
        terms.extend(
            Terms(
                partner_id=partner_id,
                terms_version=version,
                currency=currency,
                effective_on=dated.effective_on,
                funding_share=dated.funding_share,
                issue_price=dated.issue_price,
                reimbursement_rate=dated.reimbursement_rate,
                fee_per_issued_point=dated.fee_per_issued_point,
                fee_per_transaction=dated.fee_per_transaction,
                fee_bps_of_credits=dated.fee_bps_of_credits,
                vat_bps=dated.vat_bps,
                breakage_to=dated.breakage_to,
                returned_elsewhere=dated.returned_elsewhere,
                takes_returns=dated.takes_returns,
                accepts_donations=dated.accepts_donations,
            )
            for version, dated in enumerate(partner.terms, start=1)
        )
    return NetworkFile(
        name=spec.network.name,
        time_zone=spec.network.time_zone,
        cut_off=spec.network.cut_off,
        currency=currency,
        participants=tuple(participants),
        terms=tuple(terms),
    )
