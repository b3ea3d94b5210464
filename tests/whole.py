"""A small ledger in which everything happens that can: two days of it settled, the third open."""

from datetime import datetime, timedelta
from decimal import Decimal

import msgspec
from sqlalchemy import Engine

from network import adjustments
from network.model import Entry
from network.rules import Rules
from network.service import set_clock
from settlement.service import clear_due
from tests.between import (
    buy_plan,
    by_paper,
    come_about,
    donate,
    end_plan,
    give,
    invite,
    join,
    leave,
    merge,
    off_paper,
    pledge,
    set_tier,
    turn,
    unmerge,
)
from tests.coalition import (
    BANK,
    GROCER,
    HOTEL,
    PETROL,
    START,
    WHOLE,
    burn,
    new_card,
    open_terms,
    release,
    reserve,
    run,
    sale,
    set_up,
    take,
    undo,
)

PROGRAMME = 1
DAY = timedelta(days=1)


class Story(msgspec.Struct, frozen=True):
    """What happened: entries by the references of their requests, cards by their members' numbers."""

    live: Rules
    entries: dict[str, Entry]
    cards: dict[int, int]


def live_through(database: Engine) -> Story:
    """Carry it all out.

    1 and 2 share a pool, 3 is merged into 1, 4 was merged into 6 by mistake; 5 owes 40 points of the grocer's
    and 8, into whom 7 is merged, 15. In the end 20 points are held, 20 are in a voucher, and 30
    wait for an event.
    """
    shares = {GROCER: "1", PETROL: "0.5", HOTEL: "0.25", BANK: "1"}
    contracts = [
        msgspec.structs.replace(one, funding_share=Decimal(shares[one.partner_id])) for one in open_terms()
    ]
    live = set_up(database, source=WHOLE, contracts=contracts)
    cards = {member: new_card(database, live, f"enrol {member}") for member in range(1, 9)}
    story = Story(live, {}, cards)
    _first_day(database, story)
    _next_day(database, START + DAY)
    _second_day(database, story, START + DAY)
    _next_day(database, START + 2 * DAY)
    _third_day(database, story, START + 2 * DAY)
    return story


def _next_day(database: Engine, at: datetime) -> None:
    with database.begin() as connection:
        set_clock(connection, at)
    clear_due(database, at, programme_version=PROGRAMME)


def _first_day(database: Engine, story: Story) -> None:
    """Sales with lines, for later and for a tier; a pool that spends and holds; a gift; an adjustment."""
    live, done, cards = story.live, story.entries, story.cards
    # Points of the silver tier lapse first: so it is known what a pool draws, whatever ids break ties.
    for member in (1, 6):
        run(database, live, set_tier(cards[member], "silver", f"tier {member}"))
    done["idle"] = run(database, live, sale(cards[6], 9_00, "idle"))
    done["basket"] = run(database, live, sale(cards[1], 100_00, "basket", lines=(70_00, 30_00)))
    done["fuel"] = run(database, live, sale(cards[2], 60_00, "fuel", partner_id=PETROL))
    done["saved"] = run(database, live, sale(cards[2], 50_00, "saved", partner_id=BANK))
    done["stay"] = run(database, live, sale(cards[1], 20_00, "stay", partner_id=HOTEL))
    done["invited"] = run(database, live, invite(cards[1], cards[2], "invited"))
    done["joined"] = run(database, live, join(cards[2], done["invited"], "joined"))
    done["shared"] = run(database, live, burn(cards[1], 120, "shared", lines=(100, 20)))
    done["common"] = run(database, live, reserve(cards[1], 5, "common"))
    done["given up"] = run(database, live, release(done["common"], "given up"))
    done["held"] = run(database, live, reserve(cards[2], 30, "held", minutes=40_000))
    done["captured"] = run(database, live, take(done["held"], 10, "captured"))
    done["given"] = run(database, live, sale(cards[3], 80_00, "s3"))
    done["gift"] = run(database, live, give(cards[3], cards[4], 15, "gift"))
    done["bought"] = run(database, live, sale(cards[5], 100_00, "bought"))
    done["spent"] = run(database, live, burn(cards[5], 100, "spent"))
    for name, points in (("s7", 10), ("s7 too", 5)):
        done[name] = run(database, live, sale(cards[7], points * 100, name))
    done["b7"] = run(database, live, burn(cards[7], 15, "b7"))
    adjustments.prepare(
        database,
        live,
        card_number=cards[4],
        points=25,
        issuer="grocer",
        reason="till down",
        evidence="ticket 1",
        by="anna",
    )


def _second_day(database: Engine, story: Story, at: datetime) -> None:
    """Returns by line, in part, elsewhere; events; a donation; merges, one of them a mistake; a deficit."""
    live, done, cards = story.live, story.entries, story.cards
    done["line back"] = run(
        database, live, undo(done["basket"], "line back", partner_id=PETROL, at=at, lines=(2,))
    )
    done["reward back"] = run(database, live, undo(done["shared"], "reward back", at=at, lines=(2,)))
    done["part back"] = run(database, live, undo(done["stay"], "part back", at=at, amount_minor=10_00))
    done["later"] = run(database, live, sale(cards[1], 5_00, "later", partner_id=HOTEL, at=at))
    done["released"] = run(database, live, come_about(done["later"], "released", at=at))
    done["merge"] = run(database, live, merge(cards[1], cards[3], "merge", at=at))
    done["mistake"] = run(database, live, merge(cards[6], cards[4], "mistake", at=at))
    done["parted"] = run(database, live, unmerge(done["mistake"], "parted", at=at))
    done["donated"] = run(database, live, donate(cards[4], 12, "donated", at=at))
    done["donation back"] = run(database, live, undo(done["donated"], "donation back", at=at, points=2))
    done["owed"] = run(database, live, undo(done["bought"], "owed", at=at))
    done["owes"] = run(database, live, undo(done["s7"], "owes", at=at))
    done["owing"] = run(database, live, merge(cards[8], cards[7], "owing", at=at))
    done["cured"] = run(database, live, sale(cards[5], 60_00, "cured", partner_id=PETROL, at=at))


def _third_day(database: Engine, story: Story, at: datetime) -> None:
    """In a window that stays open: a pool that is left, a hold given up, a merged member's sale returned."""
    live, done, cards = story.live, story.entries, story.cards
    for again in ("pledged", "pledged again"):
        run(database, live, pledge(cards[6], again, at=at))
    done["plus"] = run(database, live, buy_plan(cards[6], "plus", at=at))
    done["more plus"] = run(database, live, buy_plan(cards[6], "more plus", at=at))
    done["no plus"] = run(database, live, end_plan(done["more plus"], "no plus", at=at))
    done["left"] = run(database, live, leave(cards[2], "left", at=at))
    done["brief"] = run(database, live, reserve(cards[2], 5, "brief", at=at))
    done["voided"] = run(database, live, release(done["brief"], "voided", at=at))
    done["owes more"] = run(database, live, undo(done["s7 too"], "owes more", at=at))
    done["given back"] = run(database, live, undo(done["given"], "given back", at=at, amount_minor=10_00))
    done["for paper"] = run(database, live, sale(cards[6], 50_00, "for paper", at=at))
    done["paper returned"] = run(database, live, turn(cards[6], 10, "paper returned", at=at))
    done["off paper"] = run(database, live, off_paper(done["paper returned"], "off paper", at=at))
    for name, points in (("paper", 20), ("paper used", 30)):
        done[name] = run(database, live, turn(cards[6], points, name, at=at))
    done["by paper"] = run(database, live, by_paper(done["paper used"], "by paper", at=at))
