"""What a period of nights comes to, per partner and in all: exact figures, read with one query each."""

from collections.abc import Hashable, Mapping, Sequence
from datetime import date
from decimal import Decimal

import msgspec
import pandas as pd
from sqlalchemy import Connection, text

from network.model import EntryKind
from partners.model import OPERATOR_ID, POOL_ID, Participant
from settlement.model import NETTED_STATES, OUTSTANDING, Obligation
from settlement.money import exactly, from_minor, minor_digits
from settlement.reports.errors import NothingToReport
from settlement.reports.matrix import Obligations, net_obligations
from settlement.reports.read import MOVEMENTS, frame, read_participants

POINTS = ("issued", "redeemed", "lapsed")
"""Net of reversals, by the issuer of the points."""
_COUNTED = {
    "issued, waiting for an event": ("issued", 1),
    "issue reversed": ("issued", -1),
    "redemption reversed": ("redeemed", -1),
}
"""Movements that count under another name, and how."""

# Of each window, the run that lives; one that is not netted yet has no position and so no part in a report.
NIGHTS = f"""
    SELECT w.window_id, w.business_date, r.revision
    FROM clearing_window w JOIN settlement_run r USING (window_id)
    WHERE r.state IN ({", ".join(f"'{state}'" for state in NETTED_STATES)}) AND w.business_date <= :last
"""
_HEAD = text(
    f"""
    WITH nights AS ({NIGHTS})
    SELECT n.name, n.currency, min(business_date) AS first, max(business_date) AS last, count(*) AS nights
    FROM nights, network n WHERE business_date >= :first GROUP BY 1, 2
    """
)
_POSITIONS = text(
    f"""
    WITH nights AS ({NIGHTS})
    SELECT n.business_date, p.participant_id, p.final_minor, p.fee_minor, p.vat_minor
    FROM net_position p JOIN nights n USING (window_id, revision)
    WHERE n.business_date >= :first AND p.currency = :currency ORDER BY 1, 2
    """
)
_OBLIGATIONS = text(
    f"""
    WITH nights AS ({NIGHTS})
    SELECT o.flow, o.debtor_id, o.creditor_id, sum(o.points)::bigint AS points, sum(o.amount) AS amount
    FROM obligation o JOIN nights n USING (window_id, revision)
    WHERE n.business_date >= :first AND o.currency = :currency GROUP BY 1, 2, 3 ORDER BY 2, 3, 1
    """
)
_MOVEMENTS = text(
    """
    SELECT w.business_date, t.debit, t.credit, t.issuer_id, t.acceptor_id, sum(t.points)::bigint AS points
    FROM window_total t JOIN clearing_window w USING (window_id)
    WHERE w.business_date <= :last GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5
    """
)
_ACTIVITY = text(
    """
    SELECT partner_id, sum(entries)::bigint AS entries, sum(amount_minor)::bigint AS amount_minor
    FROM window_activity JOIN clearing_window USING (window_id)
    WHERE kind = :accrual AND business_date BETWEEN :first AND :last GROUP BY 1 ORDER BY 1
    """
)
_POOL_HOLDS = text(
    f"""
    WITH nights AS ({NIGHTS})
    SELECT coalesce(sum(final_minor), 0)::bigint AS final_minor,
        coalesce((array_agg(carried_out ORDER BY business_date DESC))[1], 0) AS carried_out
    FROM net_position JOIN nights USING (window_id, revision)
    WHERE participant_id = :pool AND currency = :currency
    """
)
_OUT = ", ".join(str(int(kind)) for kind in OUTSTANDING)
_POOL_MUST_HOLD = text(
    f"""
    SELECT coalesce(sum(t.points
        * (c.issue_price * c.funding_share + coalesce(b.rate, 0) * (1 - c.funding_share))
        * (CASE WHEN t.credit IN ({_OUT}) THEN 1 ELSE 0 END
            - CASE WHEN t.debit IN ({_OUT}) THEN 1 ELSE 0 END)), 0)
    FROM window_total t JOIN clearing_window w USING (window_id)
    JOIN contract_terms c ON c.partner_id = t.issuer_id AND c.terms_version = t.issuer_terms
    LEFT JOIN (
        SELECT b.* FROM bought_out b JOIN stand_in s USING (partner_id)
        JOIN clearing_window f ON f.window_id = s.from_window_id WHERE f.business_date <= :last
    ) b ON b.partner_id = c.partner_id AND b.terms_version = c.terms_version
    WHERE w.business_date <= :last AND c.currency = :currency
    """
)


class PartnerPeriod(msgspec.Struct, frozen=True, kw_only=True):
    """One partner over a period. Points by their issuer, net of reversals; `outstanding` at the end."""

    participant: Participant
    sales_minor: int
    accruals: int
    issued: int
    redeemed: int
    lapsed: int
    outstanding: int
    accepted: int
    fees_minor: int
    net_minor: int


class Period(msgspec.Struct, frozen=True, kw_only=True):
    """A period of cleared nights, in the network's currency; what is settled in others has no part in it.

    `nightly` has a row per night and a column per participant: net position in minor units. `points` has a
    row per night: POINTS of that night and `outstanding` at its end. `paid_minor` is what was paid in over
    all nights, each netted by itself; `owed` nets the whole period at once.
    """

    network: str
    currency: str
    first: date
    last: date
    nights: int
    participants: Mapping[int, Participant]
    partners: Sequence[PartnerPeriod]
    owed: Obligations
    nightly: pd.DataFrame
    points: pd.DataFrame
    paid_minor: int
    fees_minor: int
    vat_minor: int
    pool_holds: Decimal
    pool_must_hold: Decimal

    def major(self, minor: int) -> Decimal:
        """Minor units of the period's currency as an exact amount."""
        return from_minor(minor, minor_digits(self.currency))


@exactly
def read_period(connection: Connection, first: date, last: date) -> Period:
    """Read the cleared nights of business dates first to last, both included.

    Raises:
        NothingToReport: none of them has been cleared.
    """
    wanted: dict[str, object] = {"first": first, "last": last}
    head = connection.execute(_HEAD, wanted).one_or_none()
    if head is None:
        raise NothingToReport(f"no night from {first} to {last} has been cleared: run `tessera clear` first")
    wanted = {"first": head.first, "last": head.last, "currency": head.currency}
    participants = read_participants(connection)
    positions = frame(connection, _POSITIONS, wanted).astype(
        {"participant_id": int, "final_minor": int, "fee_minor": int, "vat_minor": int}
    )
    movements = _read_movements(connection, wanted)
    by_participant = positions.groupby("participant_id")[["final_minor", "fee_minor", "vat_minor"]].sum()
    # the operator's own row is the other side of everybody's fees
    charged = by_participant.drop(index=OPERATOR_ID, errors="ignore")
    nightly = positions.pivot_table(index="business_date", columns="participant_id", values="final_minor")
    obligations = [Obligation(**row._asdict()) for row in connection.execute(_OBLIGATIONS, wanted)]
    pool = connection.execute(_POOL_HOLDS, {**wanted, "pool": POOL_ID}).one()
    return Period(
        network=head.name,
        currency=head.currency,
        first=head.first,
        last=head.last,
        nights=head.nights,
        participants=participants,
        partners=_partners(connection, wanted, participants, movements, by_participant),
        owed=net_obligations(obligations, sorted(by_participant.index)),
        nightly=nightly.fillna(0).astype("int64"),
        points=_points_by_night(movements, list(nightly.index)),
        paid_minor=int(positions["final_minor"].clip(lower=0).sum()),
        fees_minor=int(charged["fee_minor"].sum()),
        vat_minor=int(charged["vat_minor"].sum()),
        pool_holds=from_minor(pool.final_minor, minor_digits(head.currency)) + pool.carried_out,
        pool_must_hold=Decimal(connection.execute(_POOL_MUST_HOLD, wanted).scalar_one()),
    )


def _read_movements(connection: Connection, wanted: Mapping[str, object]) -> pd.DataFrame:
    """Points moved per night, issuer and acceptor, as POINTS; a reversal counts against what it undoes."""
    moved = frame(connection, _MOVEMENTS, wanted)
    names = [MOVEMENTS[pair] for pair in zip(moved["debit"], moved["credit"], strict=True)]
    events = [_COUNTED.get(name, (name, 1)) for name in names]
    return pd.DataFrame(
        {
            "business_date": moved["business_date"],
            "issuer_id": moved["issuer_id"].astype("int64"),
            "acceptor_id": moved["acceptor_id"].fillna(0).astype("int64"),
            "event": [name for name, _ in events],
            "points": moved["points"].astype("int64")
            * pd.Series([sign for _, sign in events], dtype="int64"),
        }
    )


def _partners(
    connection: Connection,
    wanted: Mapping[str, object],
    participants: Mapping[int, Participant],
    movements: pd.DataFrame,
    positions: pd.DataFrame,
) -> list[PartnerPeriod]:
    inside = movements[movements["business_date"] >= wanted["first"]]
    issued = inside.groupby(["issuer_id", "event"])["points"].sum().to_dict()
    ever = movements.groupby(["issuer_id", "event"])["points"].sum().to_dict()
    # a hold has an acceptor too, and is accepted only when it is captured
    redeemed = inside[inside["event"] == "redeemed"]
    accepted = redeemed.groupby("acceptor_id")["points"].sum().to_dict()
    accruals = connection.execute(_ACTIVITY, {**wanted, "accrual": int(EntryKind.ACCRUAL)})
    sales = {row.partner_id: row for row in accruals}
    fees: dict[Hashable, int] = positions["fee_minor"].to_dict()
    nets: dict[Hashable, int] = positions["final_minor"].to_dict()
    rows = []
    for partner_id, participant in participants.items():
        if participant.kind != "partner":
            continue
        sold = sales.get(partner_id)
        rows.append(
            PartnerPeriod(
                participant=participant,
                sales_minor=sold.amount_minor if sold else 0,
                accruals=sold.entries if sold else 0,
                **{name: int(issued.get((partner_id, name), 0)) for name in POINTS},
                outstanding=_left({name: int(ever.get((partner_id, name), 0)) for name in POINTS}),
                accepted=int(accepted.get(partner_id, 0)),
                fees_minor=fees.get(partner_id, 0),
                net_minor=nets.get(partner_id, 0),
            )
        )
    return rows


def _left(points: Mapping[str, int]) -> int:
    return points["issued"] - points["redeemed"] - points["lapsed"]


def _points_by_night(movements: pd.DataFrame, nights: Sequence[date]) -> pd.DataFrame:
    """POINTS of each night, and what is outstanding at its end, earlier nights counted in.

    A night on which no point moved has its row too.
    """
    by_night = movements.pivot_table(
        index="business_date", columns="event", values="points", aggfunc="sum", fill_value=0
    )
    dates = sorted({*by_night.index, *nights})
    by_night = by_night.reindex(index=dates, columns=list(POINTS), fill_value=0)
    outstanding = (by_night["issued"] - by_night["redeemed"] - by_night["lapsed"]).cumsum()
    by_night = by_night.assign(outstanding=outstanding)
    return by_night.loc[list(nights)]
