"""Lines of schemes' scenarios about vouchers, coupons and codes on packs; see tests.golden.test_programmes.

N MEMBER turns POINTS into VOUCHER at PARTNER
N MEMBER vouches BASKET at PARTNER            with the newest voucher made of MEMBER's points
N MEMBER hands-back voucher at PARTNER        the same
vouchers over                                 the night's end of those whose last day is over
MEMBER keeps points                           when a quarter ends
N MEMBER registers NUMBER/CAMPAIGN at PARTNER by CHANNEL     the code on that pack; NUMBER? is a mistyped one
MEMBER joins SEGMENT            until the night finds anew who is in it
coupon NAME for SEGMENT until DATE            given to everybody in it
"""

from datetime import date
from typing import Any, Protocol

from sqlalchemy import Engine, text

from api.lanes.coding import code_key
from network.codes import Pack, pack_code, voucher_code
from network.conversion import lapse_vouchers
from network.paper import give_coupons, keep_points
from network.service import make_partitions_ahead
from tests.golden.giving import Stage as Sender
from tests.people import CARD_KEY

_VOUCHER = text("SELECT entry_id FROM voucher WHERE member_id = :member")
_JOIN = text("INSERT INTO member_segment (member_id, segment) VALUES (:member, :segment)")


class Stage(Sender, Protocol):
    """What these lines need of the stage."""

    database: Engine
    day: Any
    entries: dict[str, dict[str, Any]]
    sellers: dict[str, str]
    codes: dict[str, str]


def line(stage: Stage, words: list[str]) -> str | None:
    """Carry a line out; None where it is none of these."""
    match words:
        case ["coupon" | "vouchers", *_] | [_, "joins" | "keeps", _]:
            return _by_hand(stage, words)
        case [number, member, "turns", points, "into", voucher, "at", partner]:
            card = stage.member(member)[1]
            fields: dict[str, Any] = {"card": card, "voucher": voucher, "points": int(points)}
            came = stage.post(number, partner, "/v1/vouchers", occurred_at=stage.at(), **fields)
            stage.codes[member] = stage.entries.get(number, {}).get("code", "")
            return came
        case [number, member, "vouches", basket, "at", partner]:
            path, fields = "/v1/voucher-uses", {**_TILL, "amount_minor": int(basket.replace(".", ""))}
            fields["code"] = _code(stage, member)
        case [number, member, "hands-back", "voucher", "at", partner]:
            path, fields = "/v1/voucher-returns", {"code": _code(stage, member)}
        case [number, member, "registers", pack, "at", partner, "by", channel]:
            path, fields = "/v1/serial-codes", {**_TILL, "card": stage.member(member)[1]}
            fields |= {"code": _on_pack(pack), "channel": channel}
        case _:
            return None
    stage.sellers[number] = partner
    return stage.post(number, partner, path, occurred_at=stage.at(), **fields)


_TILL = {"outlet": "main", "currency": "USD"}


def _by_hand(stage: Stage, words: list[str]) -> str | None:
    """What the operator does, and what time does."""
    with stage.database.begin() as connection:
        match words:
            case [member, "joins", segment]:
                connection.execute(_JOIN, {"member": stage.member(member)[0], "segment": segment})
                return "joined"
            case [member, "keeps", "points"]:
                keep_points(connection, int(stage.member(member)[1]), keep=True, by="maker")
                return "noted"
            case ["coupon", name, "for", segment, "until", last]:
                days = {"first_on": stage.day, "last_on": date.fromisoformat(last)}
                given = give_coupons(connection, name, segment=segment, by="maker", **days)
                return f"{given} given"
    make_partitions_ahead(stage.database)
    return f"{lapse_vouchers(stage.database, stage.day)} over"


def _code(stage: Stage, member: str) -> str:
    """Of the member's newest voucher: as the answer told it, or as it came by post."""
    if not stage.codes.get(member):
        with stage.database.connect() as connection:
            made = connection.execute(_VOUCHER, {"member": stage.member(member)[0]}).scalar_one()
        stage.codes[member] = voucher_code(code_key(CARD_KEY), made)
    return stage.codes[member]


def _on_pack(what: str) -> str:
    """The code on a pack, NUMBER/CAMPAIGN; of NUMBER? with its last two symbols swapped."""
    number, campaign = what.split("/")
    code = pack_code(code_key(CARD_KEY), Pack(int(campaign), int(number.rstrip("?"))))
    return code[:-2] + code[-1] + code[-2] if number.endswith("?") else code
