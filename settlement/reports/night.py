"""The operator's report of a night: positions, who owes whom, and what asks for attention."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path

import msgspec
from sqlalchemy import Connection, text

from network.model import UNASKED, AccountKind
from partners.model import OPERATOR_ID, Participant
from settlement.model import Obligation, Position
from settlement.money import ZERO, exactly
from settlement.reports import read
from settlement.reports.matrix import Obligations, net_obligations
from settlement.reports.read import CURED, OWED, Night
from settlement.reports.show import PAGES, money, whole, write_whole

_DEFICIT = int(AccountKind.DEFICIT)
_LATE = text(
    """
    SELECT e.partner_id, count(*) AS entries, min(e.occurred_at AT TIME ZONE n.time_zone)::date AS earliest
    FROM entry e, network n
    WHERE e.window_id = :window_id AND NOT e.kind = ANY(CAST(:unasked AS smallint[]))
        AND (e.occurred_at AT TIME ZONE n.time_zone)::date < :business_date
    GROUP BY 1 ORDER BY 1
    """
)
_REVERSED = text(
    """
    SELECT reversed_window_id, sum(points)::bigint AS points, sum(postings)::bigint AS postings
    FROM window_total WHERE window_id = :window_id AND reversed_window_id <> :window_id GROUP BY 1 ORDER BY 1
    """
)
# As of the window, from what nights summed: the same report however late it is written.
_DEFICITS = text(
    f"""
    SELECT issuer_id, sum(CASE {_DEFICIT} WHEN debit THEN points ELSE -points END)::bigint AS uncured
    FROM window_total WHERE window_id <= :window_id AND {_DEFICIT} IN (debit, credit)
    GROUP BY issuer_id ORDER BY issuer_id
    """
)


class Deficits(msgspec.Struct, frozen=True, kw_only=True):
    """Points that members owe an issuer: made and cured in a night, and uncured after it."""

    issuer_id: int
    made: int
    cured: int
    uncured: int


class Attention(msgspec.Struct, frozen=True):
    """Something an operator should look at; `wrong` marks what must not be, the rest is merely unusual."""

    where: str
    what: str
    wrong: bool = False


NIGHT_REPORT = "_night.html"
"""Its file, in the folder of the business date; no partner's code can be that."""


def write_operator_report(connection: Connection, window_id: int, directory: Path, *, mark: str = "") -> Path:
    """Write `_night.html` for a cleared window into the folder of its business date.

    Args:
        connection: Read from only.
        window_id: The window.
        directory: Gets the folder.
        mark: What the files were made of, for who asks later whether they are still right.
    Raises:
        NothingToReport: the night is not settled.
    """
    night = read.read_night(connection, window_id)
    participants = read.read_participants(connection)
    positions = read.read_positions(connection, night.span)
    obligations = read.read_obligations(connection, night.span)
    page = PAGES.get_template("night.html.j2").render(
        night=night,
        mark=mark,
        participants=participants,
        codes={one.partner_id: one.code for one in participants.values()},
        books=[
            _book(currency, positions, obligations)
            for currency in sorted({one.currency for one in positions}, key=lambda one: one != night.currency)
        ],
        deficits=read_deficits(connection, night),
        attention=list(find_exceptions(connection, night, participants, positions, obligations)),
    )
    folder = directory / night.business_date.isoformat()
    folder.mkdir(parents=True, exist_ok=True)
    return write_whole(folder / NIGHT_REPORT, page.encode())


def read_deficits(connection: Connection, night: Night) -> list[Deficits]:
    """What members owe each issuer after a night, where they owe or paid anything."""
    totals = read.read_totals(connection, night.span)
    moved = totals.groupby(["movement", "issuer_id"])["points"].sum().to_dict()
    found = [
        Deficits(
            issuer_id=row.issuer_id,
            made=moved.get((OWED, row.issuer_id), 0),
            cured=moved.get((CURED, row.issuer_id), 0),
            uncured=row.uncured,
        )
        for row in connection.execute(_DEFICITS, {"window_id": night.window_id})
    ]
    return [one for one in found if one.made or one.cured or one.uncured]


def find_exceptions(
    connection: Connection,
    night: Night,
    participants: Mapping[int, Participant],
    positions: Sequence[Position],
    obligations: Sequence[Obligation],
) -> Iterator[Attention]:
    """What asks for attention in a night, what is wrong before what is unusual."""
    codes = {one.partner_id: one.code for one in participants.values()}
    for currency in dict.fromkeys(position.currency for position in positions):
        left = sum(position.final_minor for position in positions if position.currency == currency)
        if left:
            sums = f"they sum to {money(read.major(left, currency))} {currency} and not to 0.00"
            yield Attention("positions", sums, wrong=True)
    involved = {debt.debtor_id for debt in obligations} | {debt.creditor_id for debt in obligations}
    for one in participants.values():
        if one.status != "active" and one.partner_id in involved:
            yield Attention(one.code, f"is {one.status}, and has obligations tonight")
    for debt in obligations:
        if debt.amount < 0:
            yield Attention(
                f"{codes[debt.debtor_id]} to {codes[debt.creditor_id]}",
                f"{debt.flow} of {money(debt.amount)} {debt.currency}: reversals outweigh,"
                " so the money flows back",
            )
    parameters = {"window_id": night.window_id, "business_date": night.business_date}
    for row in connection.execute(_REVERSED, parameters):
        yield Attention(
            f"window {row.reversed_window_id}",
            f"{whole(row.postings)} postings of {whole(row.points)} points were reversed after it closed",
        )
    for row in connection.execute(_LATE, {**parameters, "unasked": [int(kind) for kind in UNASKED]}):
        yield Attention(
            codes[row.partner_id],
            f"{whole(row.entries)} entries reported for earlier days, the earliest of {row.earliest}",
        )


class Book(msgspec.Struct, frozen=True, kw_only=True):
    """A night's figures in one currency."""

    currency: str
    positions: Sequence[Position]
    totals: Mapping[str, Decimal | int]
    fees_minor: int
    owed: Obligations

    def major(self, minor: int) -> Decimal:
        """Minor units as an exact amount."""
        return read.major(minor, self.currency)


def _book(currency: str, positions: Sequence[Position], obligations: Sequence[Obligation]) -> Book:
    own = [one for one in positions if one.currency == currency]
    return Book(
        currency=currency,
        positions=own,
        totals=_totals(own),
        fees_minor=sum(one.fee_minor + one.vat_minor for one in own if one.participant_id != OPERATOR_ID),
        owed=net_obligations(
            [one for one in obligations if one.currency == currency], [one.participant_id for one in own]
        ),
    )


@exactly
def _totals(positions: Sequence[Position]) -> dict[str, Decimal | int]:
    amounts = ("credits", "debits", "converted", "carried_in", "exact", "carried_out")
    minors = ("fee_minor", "vat_minor", "final_minor")
    return {
        **{name: sum((getattr(one, name) for one in positions), ZERO) for name in amounts},
        **{name: sum(getattr(one, name) for one in positions) for name in minors},
    }
