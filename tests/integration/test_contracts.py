"""Contracts on a real PostgreSQL: two people, never edited, and nights in three currencies by them."""

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from typer.testing import CliRunner, Result

from api.cli import app
from api.deciding import DECIDED_BY
from network.service import set_clock
from network.verify import Problem
from partners import contracts
from partners.contracts import Days
from partners.drafts import terms_of
from partners.errors import (
    DraftUnfit,
    DraftUnknown,
    ProposalChanged,
    ProposalOpen,
    RateUnfit,
    SecondPersonNeeded,
    TermsNotAccepted,
)
from partners.model import ContractDraft, FxRate, Terms, VatRate
from partners.rates_store import add_fixings, add_vat_rate, load_fixings, load_vat_rates
from partners.store import load_directory, load_terms
from settlement.errors import RateMissing
from settlement.model import NightResult
from settlement.reports.night import write_operator_report
from settlement.reports.statements import write_statements
from settlement.service import clear, clear_due
from settlement.verify import problems
from settlement.verify_nights import CONVERSIONS_FOLLOW_FIXINGS
from tests.coalition import START
from tests.coalition import set_up as set_up_coalition
from tests.conftest import as_owner
from tests.factories import OPERATOR, POOL, A, B, C, D, contract
from tests.integration.test_night import FIRST, PROGRAMME, Movement, burn, lapse, post, sale, set_up
from tests.people import faults_of, settle_in

NOW = datetime(2017, 5, 1, 12, tzinfo=UTC)
TODAY = Days(date(2017, 5, 1), date(2017, 5, 1))
FX = 3


def version(database: Engine, **given: object) -> Terms:
    """The next version of A's contract."""
    with database.connect() as connection:
        before = contracts.latest(connection, A)
    return terms_of({"effective_on": date(2017, 5, 2), **given}, partner_id=A, before=before)


def drafted(database: Engine, terms: Terms, by: str = "max") -> ContractDraft:
    """A draft that waits."""
    with database.begin() as connection:
        return contracts.draft(connection, terms, by=by, at=NOW)


def activated(database: Engine, draft: ContractDraft, *, by: str = "cleo", **given: object) -> Terms:
    """A draft that is in force."""
    how: dict[str, Any] = {"sha256": draft.sha256, "at": NOW, "days": TODAY, "currency": "EUR", **given}
    with database.begin() as connection:
        return contracts.activate(connection, draft.draft_id, by=by, **how)


def test_a_draft_is_put_into_force_by_another(database: Engine) -> None:
    """Every term comes back from the database as it was drafted, with who did it on record."""
    set_up(database, [contract(A)])
    with database.begin() as connection:
        add_vat_rate(connection, _rate("STD", 2000), prepared_by="max", activated_by="cleo")
        contracts.add_category(connection, "flight", "Flights", by="max")
    terms = msgspec.structs.replace(
        version(
            database,
            funding="split",
            funding_share="0.25",
            monthly_minimum="50",
            deposit="2000",
            guarantee="500.5",
            net_debit_cap="10000",
            at_cap="flag",
            cap_warning_bps=7000,
            cap_alarm_bps=9000,
            fx_source="ECB",
            dispute_days=14,
            minimum_payment_minor=500,
            notice_days=30,
            run_off_days=180,
            suspended_cost_to="operator",
            late_days=10,
            breakage_to="acceptors",
            breakage_operator_share="0.6",
            vat_codes={"fee": "STD", "redemption": "STD"},
        ),
        category_rates=((1, Decimal("0.0120")),),
    )
    draft = drafted(database, terms)
    assert activated(database, draft) == terms
    with database.connect() as connection:
        assert load_terms(connection)[A] == [contract(A), terms]
        found = contracts.find(connection, draft.draft_id)
        actions = connection.execute(
            text("SELECT done_by, action FROM operator_audit WHERE subject = 'contract:11/2' ORDER BY seq")
        ).all()
    assert (found.activated, found.decided_by) == (True, "cleo")
    assert [tuple(row) for row in actions] == [("max", "contract.drafted"), ("cleo", "contract.activated")]
    assert faults_of(database) == []


def _rate(code: str, bps: int, on: date = date(2017, 1, 1)) -> VatRate:
    return VatRate(vat_code=code, effective_on=on, rate_bps=bps)


def test_nobody_activates_its_own_draft(database: Engine) -> None:
    """The service refuses it, and so does the database, whoever writes the row; withdrawing is allowed."""
    set_up(database, [contract(A)])
    draft = drafted(database, version(database))
    with pytest.raises(SecondPersonNeeded, match="max prepared it"):
        activated(database, draft, by="max")
    with pytest.raises(IntegrityError, match="contract_draft_four_eyes"), database.begin() as connection:
        connection.execute(
            text("UPDATE contract_draft SET decided_by = 'max', decided_at = now(), activated = true")
        )
    with database.begin() as connection:
        declined = contracts.decline(connection, draft.draft_id, by="max", at=NOW)
    assert declined.activated is False
    with pytest.raises(DraftUnknown, match="max declined the draft before"):
        activated(database, draft)


def test_what_is_activated_is_what_was_looked_at(database: Engine) -> None:
    """Another hash, a version that came in between, a day that has begun: each is refused."""
    set_up(database, [contract(A)])
    first = drafted(database, version(database))
    second = drafted(database, version(database, monthly_minimum="5"))
    with pytest.raises(ProposalChanged, match="look at the draft again"):
        activated(database, first, sha256=second.sha256)
    with pytest.raises(TermsNotAccepted, match="the first day that is left is 2017-05-03"):
        activated(database, first, days=Days(date(2017, 5, 2), date(2017, 5, 1)))
    activated(database, first)
    with pytest.raises(ProposalChanged, match="version 2 is taken"):
        activated(database, second)


def test_a_contract_in_force_is_never_edited(database: Engine) -> None:
    """The database refuses every change of versions, rates and decided drafts."""
    set_up(database, [contract(A)])
    with database.begin() as connection:
        add_vat_rate(connection, _rate("STD", 2000), prepared_by="max", activated_by="cleo")
    activated(database, drafted(database, version(database, vat_codes={"fee": "STD"})))
    for change in (
        "UPDATE contract_terms SET vat_bps = 1",
        "DELETE FROM contract_vat",
        "UPDATE vat_rate SET rate_bps = 1",
        "UPDATE contract_draft SET activated = false",
    ):
        with pytest.raises(DBAPIError), as_owner(database) as connection:
            connection.execute(text(change))


def test_a_code_without_a_rate_is_refused(database: Engine) -> None:
    """A contract names codes that have a rate on its first day."""
    set_up(database, [contract(A)])
    with pytest.raises(DraftUnfit, match="vat_codes: STD has no rate on 2017-05-02"):
        drafted(database, version(database, vat_codes={"fee": "STD"}))


def test_a_second_currency_brings_the_fx_account(database: Engine) -> None:
    """With the first contract in another currency the hub's FX account takes part."""
    set_up(database, [contract(A)])
    activated(database, drafted(database, version(database, currency="JPY", reimbursement_rate="1.2")))
    with database.connect() as connection:
        assert load_directory(connection).participants[FX].kind == "fx"


def test_rates_take_two_and_are_followed_never_changed(database: Engine) -> None:
    """Proposed by one, approved by another; a wrong fixing is followed by a revision of its day."""
    set_up(database, [contract(A)])
    rate = FxRate(source="ECB", base="EUR", quote="JPY", fixed_on=FIRST, revision=1, rate=Decimal("160"))
    for expected in (1, 2):
        with database.begin() as connection:
            made = contracts.propose_fixing(connection, rate, by="max")
        with pytest.raises(ProposalOpen), database.begin() as connection:
            contracts.propose_fixing(connection, rate, by="mia")
        with pytest.raises(SecondPersonNeeded), database.begin() as connection:
            _approve(connection, made, "max")
        with database.begin() as connection:
            _approve(connection, made, "cleo")
        with database.connect() as connection:
            assert len(load_fixings(connection, through=FIRST)["ECB"]) == expected
    with database.begin() as connection:
        made = contracts.propose_vat_rate(connection, _rate("STD", 2000), open_on=FIRST, by="max")
        _approve(connection, made, "cleo")
        assert [one.rate_bps for one in load_vat_rates(connection)["STD"]] == [2000]
        for on, fault in ((date(2017, 1, 1), "a later day"), (date(2017, 4, 1), "nights before 2017-05-01")):
            with pytest.raises(RateUnfit, match=fault):
                contracts.propose_vat_rate(connection, _rate("STD", 2100, on), open_on=FIRST, by="max")
    assert {DECIDED_BY[kind][0] for kind in contracts.KINDS} == {"checker"}


def _approve(connection: object, made: object, by: str) -> None:
    contracts.decide(
        connection,  # type: ignore[arg-type]  # a Connection
        made.proposal_id,  # type: ignore[attr-defined]  # a Proposal
        sha256=made.sha256,  # type: ignore[attr-defined]  # a Proposal
        by=by,
        approve=True,
        open_on=FIRST,
    )


# ---- nights ----


def three_currencies(database: Engine) -> None:
    """A network in EUR: A funds a half at issue, B is paid in JPY, C in KWD, D's prices bear VAT."""
    set_up(
        database,
        [
            msgspec.structs.replace(
                contract(A, share="0.5", price="0.0100", per_transaction="0.02", vat_bps=2000),
                monthly_minimum=Decimal(5),
                breakage_to="acceptors",
                breakage_operator_share=Decimal("0.6"),
            ),
            contract(B, currency="JPY", rate="1.2"),
            contract(C, currency="KWD", rate="0.0025", per_transaction="0.001"),
            contract(D, rate="0.0070"),
        ],
    )
    rates = [
        FxRate(source="ECB", base="EUR", quote=quote, fixed_on=on, revision=1, rate=Decimal(rate))
        for on in (FIRST - timedelta(days=2), date(2017, 5, 15))
        for quote, rate in (("JPY", "160"), ("KWD", "0.32"))
    ]
    with database.begin() as connection:
        add_fixings(connection, rates, prepared_by="max", activated_by="cleo")
        add_vat_rate(connection, _rate("STD", 2000), prepared_by="max", activated_by="cleo")
        contracts.add_category(connection, "flight", "Flights", by="max")
        connection.execute(
            text("INSERT INTO contract_vat VALUES (:partner, 1, 'redemption', 'STD')"), {"partner": D}
        )
        connection.execute(text("INSERT INTO partner VALUES (3, 'hub-fx', 'FX account', 'fx', 'active')"))


def month(database: Engine, days: int) -> NightResult:
    """A month of business, and its nights; returns the last."""
    moves: list[Movement] = [sale(A, 4_321), burn(A, B, 1001), burn(A, C, 501), burn(A, D, 333)]
    for day in range(days):
        on = FIRST + timedelta(days=day)
        post(database, moves if day % 3 == 0 else [*moves, lapse(A, 111)], on=on)
        at = datetime.combine(on + timedelta(days=1), datetime.min.time(), tzinfo=UTC)
        night = clear(database, on, at=at, programme_version=PROGRAMME)
    return night


def unsound(database: Engine) -> list[Problem]:
    """What is wrong with the nights; postings here are without lots, which others check."""
    with database.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        return [one for one in problems(connection) if one.check != "pool_covers_outstanding"]


def test_a_night_in_three_currencies(database: Engine, tmp_path: Path) -> None:
    """The worked figures of a first night: yen whole, dinars to the fils, zero per currency."""
    three_currencies(database)
    night = month(database, 1)
    found = {
        (one.participant_id, one.currency): one.final_minor for one in night.positions if one.final_minor
    }
    # C: 1.2525 less its fee of .001. D: 333 x .0070 = 2.331, and VAT of .23 from A and from the operator, who
    # stands in for the pool. A: 4321 x .0050 = 21.605 into the pool, a fee of .02, and half of what was
    # redeemed: 600.6 JPY = 3.75375, .62625 KWD = 1.95703125, 1.1655 with VAT of .23: 28.73128125.
    assert found[B, "JPY"] == 1201
    assert found[C, "KWD"] == 1251
    assert found[D, "EUR"] == 279
    assert found[A, "EUR"] == -2873
    for currency in ("EUR", "JPY", "KWD"):
        assert sum(minor for (_, of), minor in found.items() if of == currency) == 0
    assert unsound(database) == []
    with database.connect() as connection:
        write_operator_report(connection, night.window_id, tmp_path)
        write_statements(connection, night.window_id, tmp_path)
    statement = "".join(path.read_text(encoding="utf-8") for path in sorted(tmp_path.rglob(f"p{D}*.csv")))
    assert "vat" in statement


def test_a_month_in_three_currencies_holds(database: Engine) -> None:
    """33 nights: every law of verify, each night again; the minimum on the 31st, breakage in June."""
    three_currencies(database)
    night = month(database, 33)
    assert unsound(database) == []
    with database.connect() as connection:
        fees = connection.execute(
            text(
                "SELECT window_id, fee_minor FROM net_position"
                " WHERE participant_id = :a AND currency = 'EUR' ORDER BY 1"
            ),
            {"a": A},
        ).all()
        sources = connection.execute(text("SELECT DISTINCT fixed_on FROM fx_conversion ORDER BY 1")).scalars()
        assert list(sources) == [date(2017, 4, 29), date(2017, 5, 15)]
    assert [row.fee_minor for row in fees] == [2] * 30 + [500 - 30 * 2, 2, 2]
    # 111 x .0050 = .555, the operator's 60 % first; .222 by what was accepted in May, in whole cents
    lapsed = {debt.creditor_id: debt.amount for debt in night.obligations if debt.flow == "lapse"}
    shares = {OPERATOR: "0.335", B: "0.12", C: "0.06", D: "0.04"}
    assert lapsed == {party: Decimal(amount) for party, amount in shares.items()}


def test_a_night_without_a_fixing_waits_for_it(database: Engine) -> None:
    """Priced, not netted; once the fixing is there it goes on from where it was."""
    set_up(database, [contract(A), contract(B, currency="JPY", rate="1.2")])
    post(database, [burn(A, B, 1001)])
    with pytest.raises(RateMissing, match="has no fixing of JPY in EUR on or before 2017-05-01"):
        clear(database, FIRST, at=datetime(2017, 5, 2, tzinfo=UTC), programme_version=PROGRAMME)
    rate = FxRate(source="ECB", base="EUR", quote="JPY", fixed_on=FIRST, revision=1, rate=Decimal(160))
    with database.begin() as connection:
        add_fixings(connection, [rate], prepared_by="max", activated_by="cleo")
    [night] = clear_due(database, datetime(2017, 5, 2, tzinfo=UTC), programme_version=PROGRAMME)
    assert {one.participant_id: one.final_minor for one in night.positions if one.currency == "EUR"} == {
        OPERATOR: 0,
        POOL: 0,
        FX: 751,
        A: -751,
        C: 0,
        D: 0,
    }


def test_a_conversion_that_nobody_fixed_is_found(database: Engine) -> None:
    """Whoever changes a rate that was used, or a fixing's row, is named."""
    three_currencies(database)
    month(database, 1)
    with as_owner(database) as connection:
        connection.execute(text("ALTER TABLE fx_conversion DISABLE TRIGGER USER"))
        connection.execute(text("UPDATE fx_conversion SET rate = rate * 2 WHERE from_currency = 'JPY'"))
    checks = {one.check for one in unsound(database)}
    assert {CONVERSIONS_FOLLOW_FIXINGS, "positions_follow_terms", "hashes_hold"} <= checks


# ---- commands ----


@pytest.fixture
def environment(database: Engine, database_url: str, tmp_path: Path) -> dict[str, str]:
    """A coalition; max, a maker, and cleo, a checker, have signed in."""
    set_up_coalition(database)
    settle_in(database, tmp_path, "max", "maker")
    settle_in(database, tmp_path, "cleo", "checker")
    return {"TESSERA_DATABASE_URL": database_url, "TESSERA_SCHEMA": "tessera", "TESSERA_HOME": str(tmp_path)}


def tessera(environment: dict[str, str], *arguments: str) -> Result:
    """Run a command."""
    return CliRunner().invoke(app, arguments, env=environment)


def done(environment: dict[str, str], *arguments: str) -> str:
    """What a command says that succeeds."""
    result = tessera(environment, *arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_commands_of_contracts(environment: dict[str, str], database: Engine, tmp_path: Path) -> None:
    """VAT code, category and fixing by two; a contract drafted, looked at, activated; never by one."""
    vat = done(environment, "vat", "add", "STD", "20", "--from", "2017-05-01", "--by", "max")
    _approve_shown(environment, vat)
    fixing = done(
        environment, "fx", "add", "ECB", "eur", "usd", "1.0930", "--on", "2017-04-28", "--by", "max"
    )
    _approve_shown(environment, fixing)
    assert done(environment, "vat", "list") == "STD           20.00 %  from 2017-05-01\n"
    assert done(environment, "fx", "list") == "ECB      2017-04-28  1 EUR = 1.093 USD\n"
    assert done(environment, "category", "add", "flight", "Flights", "--by", "max").startswith("category 1")
    changes = tmp_path / "grocer.toml"
    changes.write_text(
        'effective_on = 2017-05-02\nfunding = "on_issue"\nissue_price = "0.0110"\n'
        '[category_rates]\nflight = "0.0120"\n[vat_codes]\nfee = "STD"\n',
        encoding="utf-8",
    )
    seen = done(environment, "contract", "preview", "grocer", "--file", str(changes), "--with", "hotel")
    assert "10,000 points issued and redeemed at hotel cost you 110.00 USD:" in seen
    said = done(environment, "contract", "draft", "grocer", str(changes), "--with", "hotel", "--by", "max")
    assert seen in said
    draft_id, sha256 = re.findall(r"activate (\S+) \\\n  --sha256 ([0-9a-f]{64})", said)[0]
    assert "grocer version 2, by max: waits" in done(environment, "contract", "list", "--drafts")
    assert done(environment, "contract", "preview", draft_id, "--with", "hotel") == seen
    own = tessera(environment, "contract", "activate", draft_id, "--sha256", sha256, "--by", "max")
    assert (own.exit_code, "max is maker, and this is for checker" in own.stderr) == (2, True)
    done(environment, "contract", "activate", draft_id, "--sha256", sha256, "--by", "cleo")
    assert "grocer             2  from 2017-05-02  USD  share 1" in done(environment, "contract", "list")
    bad = tmp_path / "bad.toml"
    bad.write_text('effective_on = 2017-05-01\nprice = "1"\n', encoding="utf-8")
    refused = tessera(environment, "contract", "draft", "grocer", str(bad), "--by", "max")
    assert (refused.exit_code, "price: no contract has that term" in refused.stderr) == (2, True)
    assert faults_of(database) == []
    with database.begin() as connection:
        set_clock(connection, START + timedelta(days=1))


def _approve_shown(environment: dict[str, str], shown: str) -> None:
    proposal, sha256 = re.findall(r"approve (\S+) \\\n  --sha256 ([0-9a-f]{64})", shown)[0]
    done(environment, "proposal", "approve", proposal, "--sha256", sha256, "--by", "cleo")
