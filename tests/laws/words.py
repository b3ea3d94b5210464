"""Between the model's plain values and the network's: commands in, replies, entries and postings out."""

from decimal import Decimal
from typing import Any, get_args
from zoneinfo import ZoneInfo

import msgspec

from network.commands import (
    Award,
    BuyPlan,
    Command,
    EndPlan,
    KeepPledge,
    PayOut,
    Pledge,
    Refer,
    ReviewTier,
    Stake,
    Treat,
)
from network.model import Entry, Posting
from network.outcomes import Rejected, Reply
from network.programme.compiled import Programme, compile_programme
from network.programme.spec import read_programme
from network.rules import Rules
from partners.model import OPERATOR_ID, POOL_ID, Directory, Participant, Terms
from tests.laws.book import Answer, Ask
from tests.laws.world import CATEGORIES, CURRENCY, OUTLET, Expiry, Partner, Scheme, World

OF_THE_NIGHT = (ReviewTier, Treat)
"""Nobody asks for them: the night does, for tiers that end and for occasions; the model's world has none."""
OF_PROGRAMMES = (
    *(Award, PayOut, Refer, Stake),
    *(BuyPlan, EndPlan, Pledge, KeepPledge),
)
"""They do what a programme's own tables say, of which the model's world has none."""
COMMANDS = {
    str(command.__struct_config__.tag): command
    for command in get_args(Command)
    if command not in (*OF_THE_NIGHT, *OF_PROGRAMMES)
}
"""Every kind of command that somebody asks for, by its name."""


def command_of(ask: Ask) -> Command:
    """An ask as the network takes it."""
    fields = {name: value for name, value in ask.items() if name != "kind"}
    command: Command = COMMANDS[ask["kind"]](**fields)
    return command


def entry_of(entry: Entry) -> Answer:
    """An entry as the model would say it."""
    return {**msgspec.structs.asdict(entry), "kind": entry.kind.name}


def answer_of(reply: Reply) -> Answer:
    """A reply as the model would say it."""
    if isinstance(reply.outcome, Rejected):
        return {"refused": reply.outcome.reason}
    return entry_of(reply.outcome)


def move_of(posting: Posting) -> tuple[Any, ...]:
    """A posting as the model notes its moves."""
    lot = (posting.issuer_id, posting.issuer_terms, posting.spendable_on, posting.expires_on)
    acceptor = (posting.acceptor_id, posting.acceptor_terms, posting.category)
    accounts = (posting.debit.name, posting.credit.name)
    windows = (posting.window_id, posting.reversed_window_id)
    return (
        posting.line,
        *accounts,
        posting.points,
        *lot,
        *acceptor,
        *windows,
        posting.unit.name,
        posting.contributor_id,
    )


# ---- a world as the network has it ----


def participants(world: World) -> list[Participant]:
    """The operator, the pool, and the world's partners."""
    return [
        Participant(partner_id=OPERATOR_ID, code="operator", name="Network operator", kind="operator"),
        Participant(partner_id=POOL_ID, code="pool", name="Pool", kind="pool"),
        *(
            Participant(partner_id=n, code=p.code, name=f"The {p.code}", status=_status(p))
            for n, p in world.partners.items()
        ),
    ]


def _status(partner: Partner) -> Any:
    return partner.status


def terms(partner_id: int, partner: Partner) -> list[Terms]:
    """A partner's versions; prices differ, so that a wrong version is a wrong amount."""
    return [
        Terms(
            partner_id=partner_id,
            terms_version=one.version,
            effective_on=one.since,
            currency=CURRENCY,
            funding_share=Decimal(partner.funding_share),
            issue_price=Decimal("0.0100") + Decimal(one.version) / 10_000,
            reimbursement_rate=Decimal("0.0080") + Decimal(one.version) / 20_000,
            fee_per_transaction=Decimal("0.0150"),
            vat_bps=2000,
            returned_elsewhere=one.returned_elsewhere,
            takes_returns=one.takes_returns,
            accepts_donations=one.accepts_donations,
            offline_floor_points=one.offline_floor,
        )
        for one in partner.terms
    ]


def programme_source(scheme: Scheme, world: World) -> str:
    """A version of the programme as its file says it."""
    lines = ['name = "laws"', f"tiers = {list(scheme.tiers)}"]
    for partner_id, earn in scheme.earn.items():
        lines.append(f"[earn.partner.{world.partners[partner_id].code}]")
        lines += [f"{name} = {str(value).lower()}" for name, value in vars(earn).items()]
    lines += ["[earn.default]", "[expiry]", f"grace_days = {scheme.grace_days}", *_expiry(scheme.expiry)]
    for tier, expiry in scheme.tiers.items():
        if expiry is not None:
            lines += [f"[expiry.tier.{tier}]", *_expiry(expiry)]
    lines += [*_stored(scheme, world), *_vouchers(scheme, world)]
    lines += ["[returns]", f'clawback = "{scheme.clawback}"', f"most_owed = {scheme.most_owed}"]
    return "\n".join(lines)


def _stored(scheme: Scheme, world: World) -> list[str]:
    """The table of stored value, where this version has one."""
    stored = scheme.stored
    if stored is None:
        return []
    code = {number: partner.code for number, partner in world.partners.items()}
    lines = ["[stored_value]", f'currency = "{CURRENCY}"', 'says = "Loaded first, spent later"']
    names = ("least_minor", "most_minor", "most_balance_minor")
    lines += [f"{name} = {getattr(stored, name)}" for name in names]
    for name, where in (("loads_at", stored.loads_at), ("spends_at", stored.spends_at)):
        lines += [] if where is None else [f"{name} = {[code[number] for number in where]}"]
    for one in stored.bonuses:
        who = "issuer" if one.funder is None else code[one.funder]
        given = f"points = {one.points}" if one.points else f"value_minor = {one.value_minor}"
        lines += ["[[stored_value.bonus]]", f"from_minor = {one.from_minor}", given, f'who = "{who}"']
    lines += ["[stored_value.refund]", f'rule = "{stored.refund}"', f"below_minor = {stored.below_minor}"]
    return [*lines, f"days = {stored.days}"] if stored.refund == "within_days" else lines


def _vouchers(scheme: Scheme, world: World) -> list[str]:
    """The tables of this version's vouchers."""
    lines = []
    for name, paper in scheme.vouchers.items():
        lines += [
            "[[voucher]]",
            f'id = "{name}"',
            'says = "Points on paper"',
            f'currency = "{paper.currency}"',
        ]
        lines += [f"points = {paper.points}", f"worth_minor = {paper.worth_minor}"]
        lines += [f"minimum_basket_minor = {paper.basket_minor}", f"starts_in_days = {paper.starts_in_days}"]
        lines += [f"valid_months = {paper.valid_months}"]
        lines += [f'when_over = "{"return" if paper.comes_back else "lapse"}"']
        if paper.partners is not None:
            lines.append(f"partners = {[world.partners[number].code for number in paper.partners]}")
    if (conversion := scheme.conversion()) is not None:
        name, paper = conversion
        lines += ["[conversion]", f'voucher = "{name}"', f"minimum = {paper.converts_from}"]
    return lines


def _expiry(expiry: Expiry) -> list[str]:
    months = [] if expiry.rule == "never" else [f"months = {expiry.months}"]
    return [f'rule = "{expiry.rule}"', *months]


def rules_of(world: World) -> Rules:
    """The live rules of a world, without a database."""
    codes = {p.code: number for number, p in world.partners.items()}
    programmes: dict[int, Programme] = {
        one.version: compile_programme(read_programme(programme_source(one, world)), one.version, codes)
        for one in world.schemes
    }
    directory = Directory(
        participants={p.partner_id: p for p in participants(world)},
        outlets=frozenset((number, OUTLET) for number in world.partners),
        terms={number: terms(number, p) for number, p in world.partners.items()},
        categories={code: number for code, number in CATEGORIES.items() if code},
    )
    return Rules(
        directory=directory,
        programme=programmes[max(programmes)],
        programmes=programmes,
        time_zone=ZoneInfo(world.zone),
    )
