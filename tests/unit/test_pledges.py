"""Pledges by literals: what a file may say, what is made of a command, and what a night gives."""

from datetime import timedelta
from uuid import UUID

import msgspec
import pytest

from network.commands import KeepPledge
from network.errors import ProgrammeInvalid
from network.model import IMMEDIATELY, NEVER, AccountKind, EntryKind, Lot
from network.outcomes import CardState, Decision, LedgerState, MemberState, Minted, Moment, Pledged, Rejected
from network.pledge import keep_pledge, pledge
from network.programme.spec import read_programme
from network.rules import Folded
from partners.model import OPERATOR_ID
from tests import between
from tests.coalition import BANK, GROCER, PETROL, PROGRAMME, START, open_terms, rules

OFFER = """
[[pledge]]
id = "good"
says = "x"
causes = ["bank"]
per_cents = [10, 50]
of = ["petrol", "grocer"]
"""
LIVE = rules(
    [msgspec.structs.replace(one, terms_version=2) for one in open_terms()], source=PROGRAMME + OFFER
)
CARD, MEMBER = 6330001234567895, 7
MINTED = Minted(entry_id=UUID(int=1 << 40 | MEMBER))
MADE = UUID(int=9 << 40 | MEMBER)


def folded(*remaining: int, locked: bool = False) -> Folded:
    """A member with lots of the grocer's that never expire, of one terms version each."""
    lots = [Lot(GROCER, place, IMMEDIATELY, NEVER, many, NEVER) for place, many in enumerate(remaining, 1)]
    moment = Moment(now=START, window_id=20170501, business_date=START.date(), lapsed_through=START.date())
    return Folded(
        LedgerState(
            moment=moment,
            cards={CARD: CardState(MEMBER, active=True, locked=locked)},
            members={MEMBER: MemberState(member_id=MEMBER, balance=sum(remaining), lots=lots)},
            recorded={},
        )
    )


def test_a_pledge_is_made_as_it_is_offered() -> None:
    """The offer's cause and issuers are on it, so that later programmes do not change it."""
    made = pledge(folded(), between.pledge(CARD, "p", per_cent=50), MINTED, LIVE)
    assert isinstance(made, Decision)
    assert made.pledged == Pledged(offer="good", cause_id=BANK, per_cent=50, issuers=(GROCER, PETROL))
    assert (made.entry.kind, made.postings) == (EntryKind.PLEDGE, ())


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"per_cent": 11}, "pledge_share_unknown"),
        ({"cause": "petrol"}, "cause_unknown"),
        ({"cause": "nobody"}, "cause_unknown"),
        ({"pledge": "other"}, "pledge_unknown"),
        ({"occurred_at": START - timedelta(days=31)}, "occurred_too_long_ago"),
        ({"card_number": 1}, "card_unknown"),
    ],
)
def test_what_is_not_offered_is_refused(changed: dict[str, object], reason: str) -> None:
    """Another share, another cause, another pledge."""
    command = msgspec.structs.replace(between.pledge(CARD, "p"), **changed)
    assert pledge(folded(), command, MINTED, LIVE) == Rejected(reason)


def test_an_end_needs_no_offer_and_no_free_card() -> None:
    """Whatever the programme says by now, and with spending locked: nobody is held to a pledge."""
    command = between.pledge(CARD, "p", per_cent=0, cause="")
    ended = pledge(folded(locked=True), msgspec.structs.replace(command, pledge="gone"), MINTED, LIVE)
    assert isinstance(ended, Decision)
    assert ended.pledged == Pledged(offer="gone")
    assert pledge(folded(locked=True), between.pledge(CARD, "p"), MINTED, LIVE) == Rejected("spending_locked")


def keep(points: int, *remaining: int, cause: int = BANK) -> Decision | Rejected:
    """What a night gives that owes so many points, of a member who has so many."""
    command = KeepPledge(
        partner_id=OPERATOR_ID,
        reference="k",
        occurred_at=START,
        member_id=MEMBER,
        pledge_id=MADE,
        cause_id=cause,
        points=points,
    )
    return keep_pledge(folded(*remaining), command, MINTED, LIVE)


def test_a_night_gives_what_is_due_or_what_there_is() -> None:
    """A donation at the cause's terms, out of the member's own lots; nothing where there is nothing."""
    kept = keep(12, 10, 5)
    assert isinstance(kept, Decision)
    assert (kept.entry.kind, kept.keeps) == (EntryKind.DONATION, MADE)
    assert [
        (p.debit, p.credit, p.points, p.issuer_id, p.issuer_terms, p.acceptor_id, p.acceptor_terms)
        for p in kept.postings
    ] == [
        (AccountKind.MEMBER, AccountKind.ACCEPTED, 10, GROCER, 1, BANK, 2),
        (AccountKind.MEMBER, AccountKind.ACCEPTED, 2, GROCER, 2, BANK, 2),
    ]
    less = keep(12, 3)
    assert isinstance(less, Decision)
    assert [p.points for p in less.postings] == [3]
    assert keep(12) == Rejected("insufficient_points")
    assert keep(12, 20, cause=PETROL) == Rejected("cause_unknown")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ("per_cents = [0]", "programme:19: pledge.1.per_cents.1: Input should be greater than or equal to 1"),
        ("per_cents = [10, 10]", "per_cents names one twice"),
        ("per_cents = [10.5]", "Input should be a valid integer"),
        ("per_cents = [10]\nof = []", "of is empty"),
        ("per_cents = [10]\nto = 1", "programme:20: pledge.1.to: there is no such field here"),
        ("", "programme:15: pledge.1.per_cents: is missing"),
        (
            'per_cents = [10]\n[[pledge]]\nid = "good"\nsays = "y"\ncauses = ["bank"]\nper_cents = [5]',
            "taken",
        ),
    ],
)
def test_a_file_is_told_what_is_wrong_with_a_pledge(changed: str, message: str) -> None:
    """With its line and field."""
    head = PROGRAMME + '[[pledge]]\nid = "good"\nsays = "x"\ncauses = ["bank"]\n'
    with pytest.raises(ProgrammeInvalid) as told:
        read_programme(head + changed)
    assert message in str(told.value)


def test_a_pledge_names_partners_of_the_network() -> None:
    """Causes and those whose points count."""
    with pytest.raises(ProgrammeInvalid, match="pledge good causes names nobody"):
        rules(source=PROGRAMME + OFFER.replace('["bank"]', '["nobody"]'))
    with pytest.raises(ProgrammeInvalid, match="pledge good of names nobody"):
        rules(source=PROGRAMME + OFFER.replace('"petrol"', '"nobody"'))
