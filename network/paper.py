"""Paper in bulk: coupons given to a segment, vouchers to send by post, members who keep their points."""

from collections.abc import Iterator
from datetime import date
from uuid import UUID

import msgspec
from sqlalchemy import Connection, text

from network.conversion import reference_of
from network.errors import NetworkError
from network.model import EntryKind
from network.service import load_rules, network_now
from partners.model import OPERATOR_ID
from partners.people.audit import audited

FETCHED = 5_000
_GIVE = text(
    "INSERT INTO coupon (member_id, coupon, first_on, last_on, given_at)"
    " SELECT a.member_id, :coupon, :first_on, :last_on, :at FROM account a"
    " WHERE a.unit = 1 AND a.merged_into IS NULL AND (CAST(:segment AS text) IS NULL OR EXISTS ("
    "SELECT FROM member_segment s WHERE s.member_id = a.member_id AND s.segment = :segment))"
    " ON CONFLICT (member_id, coupon) DO NOTHING"
)
_POSTED = text(
    "SELECT e.member_id, e.entry_id, m.public_id, -e.points AS points, e.amount_minor, e.currency, v.name,"
    " v.starts_on, v.ends_on, (SELECT min(c.card_number) FROM card c WHERE c.member_id = e.member_id"
    " AND c.status <> 'blocked') AS card_number"
    " FROM entry e JOIN voucher v USING (member_id, entry_id) JOIN member m USING (member_id)"
    " WHERE e.kind = :kind AND e.partner_id = :operator AND e.reference LIKE :references"
    " AND v.ended_by IS NULL ORDER BY e.member_id"
)
_REFUSE = text(
    "INSERT INTO conversion_refusal (member_id, refused_at)"
    " SELECT member_id, :at FROM card WHERE card_number = :card ON CONFLICT (member_id) DO NOTHING"
)
_AGREE = text(
    "DELETE FROM conversion_refusal WHERE member_id = (SELECT member_id FROM card WHERE card_number = :card)"
)
_KNOWN = text("SELECT EXISTS (SELECT FROM card WHERE card_number = :card)")


class PaperUnfit(NetworkError):
    """A coupon, campaign or card that there is not."""


class Posted(msgspec.Struct, frozen=True, kw_only=True):
    """A voucher to send to its member. `points` and `worth_minor` are whole."""

    entry_id: UUID
    public_id: UUID
    card_number: int | None
    points: int
    worth_minor: int
    currency: str
    starts_on: date
    ends_on: date


def give_coupons(
    connection: Connection, coupon: str, *, segment: str | None, first_on: date, last_on: date, by: str
) -> int:
    """Give a coupon to everybody in a segment, or to all members; who was ever given it gets no second.

    Returns:
        To how many it was new: again changes nothing.
    Raises:
        PaperUnfit: the live programme has no rule for such a coupon, or the days are in the wrong order.
    """
    opened = {one for plan in load_rules(connection).programme.plans.values() for one in plan.coupons}
    if coupon not in opened:
        known = ", ".join(sorted(opened)) or "there are none"
        raise PaperUnfit(f"no rule in force is opened by a coupon {coupon!r}: {known}")
    if last_on < first_on:
        raise PaperUnfit(f"the last day, {last_on}, is before the first, {first_on}")
    days = {"first_on": first_on, "last_on": last_on}
    wanted = {"coupon": coupon, "segment": segment, "at": network_now(connection), **days}
    given = connection.execute(_GIVE, wanted).rowcount
    audited(
        connection,
        by=by,
        action="coupons.given",
        subject=f"coupon:{coupon}",
        before={},
        after={"segment": segment or "everybody", "members": given, **{k: str(v) for k, v in days.items()}},
    )
    return given


def posted_vouchers(connection: Connection, quarter: date) -> Iterator[Posted]:
    """The vouchers that a quarter's end made and that are open, by member; read a few thousand at a time."""
    wanted = {
        "kind": int(EntryKind.VOUCHER),
        "operator": OPERATOR_ID,
        "references": reference_of(quarter, 0).removesuffix("0") + "%",
    }
    with connection.execute(_POSTED, wanted, execution_options={"yield_per": FETCHED}) as rows:
        for row in rows:
            yield Posted(
                entry_id=row.entry_id,
                public_id=row.public_id,
                card_number=row.card_number,
                points=row.points,
                worth_minor=row.amount_minor,
                currency=row.currency,
                starts_on=row.starts_on,
                ends_on=row.ends_on,
            )


def keep_points(connection: Connection, card_number: int, *, keep: bool, by: str) -> None:
    """Note that a member keeps its points when a quarter ends, or that it does so no longer.

    Raises:
        PaperUnfit: there is no such card.
    """
    if not connection.execute(_KNOWN, {"card": card_number}).scalar_one():
        raise PaperUnfit(f"there is no card {card_number}")
    wanted = {"card": card_number, "at": network_now(connection)}
    changed = connection.execute(_REFUSE if keep else _AGREE, wanted).rowcount
    if changed:
        action = "conversion.refused" if keep else "conversion.agreed"
        audited(connection, by=by, action=action, subject=f"card:{card_number}", before={}, after={})


def campaign_of(connection: Connection, campaign: str, first: int, count: int) -> int:
    """The number of a campaign of the live programme that has packs of these numbers.

    Raises:
        PaperUnfit: it has not, or there is no such campaign.
    """
    packs = load_rules(connection).programme.packs
    for number, one in packs.items():
        if one.id == campaign:
            if first + count > one.packs:
                raise PaperUnfit(f"{campaign} has {one.packs} packs, numbered from 0")
            return number
    known = ", ".join(sorted(one.id for one in packs.values())) or "there are none"
    raise PaperUnfit(f"the programme in force has no packs {campaign!r}: {known}")


def note_printed(connection: Connection, campaign: str, first: int, count: int, *, by: str) -> None:
    """Record who had which codes printed."""
    audited(
        connection,
        by=by,
        action="packs.printed",
        subject=f"packs:{campaign}",
        before={},
        after={"first": first, "count": count},
    )
