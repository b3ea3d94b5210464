"""A partner that leaves: notice and last days, run-off of its points, buy-out.

1. *Notice.* Two people agree on the days: the last on which it issues, the last on which it accepts, and
   until when its points run off. Tills are refused after that; the points themselves stay good.
2. *Run-off.* Until it is bought out the partner pays for its points as ever, night by night.
3. *Buy-out.* After the last day to accept (mode `buy_out`) or the end of the run-off (`run_off`) it owes the
   pool what is still outstanding, times the highest rate at which it could be accepted, less the part that
   the pool holds. From that window on its points are funded in full: the pool pays all that they cost, and
   the operator has the partner's place in what is left. The debt is one of the night's: if it is not paid,
   it falls on deposit, then guarantee, then the operator, which makes it good to the pool.
4. *Left.* When its positions are settled and nothing is carried, disputed, or to be disputed any more, it has
   left, and what it has as cover goes back.
"""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

import msgspec
from sqlalchemy import Connection, text

from network.service import network_now
from partners.model import OPERATOR_ID, POOL_ID, PartnerExit, Terms
from partners.people import approvals
from partners.people.approvals import content_of
from partners.people.audit import audited
from partners.people.canonical import canonical
from partners.people.model import Proposal
from partners.service import partner_of
from partners.store import load_exits
from partners.tables import partner_exit
from settlement import exposure_rows, money_tables
from settlement.adjustments import add_adjustment
from settlement.errors import ExitRefused
from settlement.exit_statement import (
    ExitStatement,
    any_unnetted,
    contract_of,
    open_window,
    statement,
    today_of,
)
from settlement.money import exactly
from settlement.money_model import Adjustment

EXIT, FINISH = "partner.exit", "partner.buy_out"
KINDS = (EXIT, FINISH)
Mode = Literal["run_off", "buy_out"]
_DAYS = ("notice_on", "last_earn_on", "last_burn_on", "run_off_until")

_NEW_ID = text("SELECT gen_random_uuid()")
_LOCK_PARTNER = text("SELECT partner_id FROM partner WHERE code = :code FOR UPDATE")
_LEAVE = text("UPDATE partner SET status = 'left' WHERE partner_id = :partner_id AND status <> 'left'")


def propose_exit(
    connection: Connection,
    code: str,
    *,
    notice_on: date,
    last_earn_on: date,
    last_burn_on: date,
    run_off_until: date,
    mode: Mode,
    reason: str,
    by: str,
    agreed: bool = False,
) -> Proposal:
    """Propose the days on which a partner leaves, step by step.

    Args:
        connection: A transaction.
        code: The partner's.
        notice_on: The day its notice was given.
        last_earn_on, last_burn_on, run_off_until: See PartnerExit.
        mode: Whether its points run off, or are bought out when it accepts no more.
        reason: Why, and by which letter.
        by: Who proposes it.
        agreed: Both sides agreed on less time than the contract has.
    Raises:
        ExitRefused: it leaves already, the days are not in order or gone, or less than the contract's.
        partners.errors.PartnerUnknown, ProposalOpen: no such partner; it is proposed already.
    """
    found = partner_of(connection, code)
    terms = contract_of(connection, found.partner_id)
    if found.status == "left" or found.partner_id in load_exits(connection):
        raise ExitRefused(f"{code} leaves already, or has left")
    if not reason.strip():
        raise ExitRefused("give a reason: whoever approves, or audits, reads it")
    if not notice_on <= last_earn_on <= last_burn_on <= run_off_until:
        raise ExitRefused("the days are not in order: notice, last to earn, last to burn, end of the run-off")
    if last_earn_on < today_of(connection):
        raise ExitRefused(f"{last_earn_on} is over: what was issued since cannot be undone")
    if not agreed:
        _require_time(terms, notice_on, last_earn_on, last_burn_on, run_off_until, mode)
    content = {
        "partner": code,
        "notice_on": notice_on,
        "last_earn_on": last_earn_on,
        "last_burn_on": last_burn_on,
        "run_off_until": run_off_until,
        "mode": mode,
        "agreed": agreed,
        "reason": reason.strip(),
    }
    return approvals.propose(connection, kind=EXIT, subject=f"partner:{code}", content=content, by=by)


def decide_exit(
    connection: Connection, proposal_id: UUID, *, sha256: bytes, by: str, approve: bool
) -> Proposal:
    """Decide on an exit; approved, tills are refused from its days on.

    Raises:
        ExitRefused: its last day to earn is over meanwhile.
        partners.errors.ProposalUnknown, ProposalDecided, ProposalChanged, SecondPersonNeeded.
    """
    content = content_of(approvals.read(connection, proposal_id))
    connection.execute(_LOCK_PARTNER, {"code": content.get("partner")})
    decided = approvals.decide(connection, proposal_id, sha256=sha256, by=by, approve=approve, of=(EXIT,))
    if not approve:
        return decided
    days = {name: date.fromisoformat(content[name]) for name in _DAYS}
    if days["last_earn_on"] < today_of(connection):
        raise ExitRefused(f"{days['last_earn_on']} is over: propose other days")
    leaving = PartnerExit(
        partner_id=partner_of(connection, content["partner"]).partner_id, mode=content["mode"], **days
    )
    row = {**msgspec.structs.asdict(leaving), "prepared_by": decided.prepared_by, "approved_by": by}
    connection.execute(partner_exit.insert(), row)
    audited(connection, by=by, action="partner.exit", subject=f"partner:{content['partner']}", after=leaving)
    return decided


def decide(connection: Connection, proposal_id: UUID, *, sha256: bytes, by: str, approve: bool) -> Proposal:
    """Decide a proposal of KINDS, and do what is approved; see `decide_exit` and `decide_buy_out`."""
    if approvals.read(connection, proposal_id).kind == EXIT:
        return decide_exit(connection, proposal_id, sha256=sha256, by=by, approve=approve)
    at = network_now(connection)
    return decide_buy_out(connection, proposal_id, sha256=sha256, by=by, approve=approve, at=at)


def propose_buy_out(connection: Connection, code: str, *, by: str) -> Proposal:
    """Propose that a partner pays for its outstanding points, and that the operator stands in for it.

    Raises:
        ExitRefused: it does not leave, it is too early, a night is not netted, or it is done.
        partners.errors.PartnerUnknown, ProposalOpen.
    """
    return approvals.propose(
        connection, kind=FINISH, subject=f"partner:{code}", content=_buy_out(connection, code), by=by
    )


def decide_buy_out(
    connection: Connection, proposal_id: UUID, *, sha256: bytes, by: str, approve: bool, at: datetime
) -> Proposal:
    """Decide on a buy-out; approved, the debt is in the open window, and from it on the operator stands in.

    Raises:
        ExitRefused: what is outstanding is not what was proposed any more: propose it again.
        partners.errors.ProposalUnknown, ProposalDecided, ProposalChanged, SecondPersonNeeded.
    """
    exposure_rows.stop_tills(connection)
    content = content_of(approvals.read(connection, proposal_id))
    code = content.get("partner")
    connection.execute(_LOCK_PARTNER, {"code": code})
    if approve and _as_kept(_buy_out(connection, str(code))) != content:
        raise ExitRefused(
            f"what {code} has outstanding is not what was proposed: reject it, propose it again"
        )
    proposal = approvals.read(connection, proposal_id)
    if approve and proposal.decided_by is None and proposal.prepared_by != by and proposal.sha256 == sha256:
        window_id = _charge(connection, content, prepared_by=proposal.prepared_by, by=by, at=at)
        if window_id != content["from_window"]:
            raise ExitRefused(f"another window is open than the proposed {content['from_window']}")
    return approvals.decide(connection, proposal_id, sha256=sha256, by=by, approve=approve, of=(FINISH,))


def leave(connection: Connection, code: str, *, by: str) -> ExitStatement:
    """Say that a partner has left, once nothing of it is open; returns its final statement.

    Raises:
        ExitRefused: something is still open; the text has all of it.
    """
    connection.execute(_LOCK_PARTNER, {"code": code})
    found = statement(connection, code)
    if found.open:
        raise ExitRefused(f"{code} has not left: " + "; ".join(found.open))
    connection.execute(_LEAVE, {"partner_id": found.partner_id})
    after = statement(connection, code)
    if found.status != "left":
        audited(
            connection,
            by=by,
            action="partner.left",
            subject=f"partner:{code}",
            before={"status": found.status},
            after=after,
        )
    return after


def _as_kept(content: Mapping[str, object]) -> dict[str, Any]:
    """A proposal's content as it reads after having been kept: JSON's own types."""
    held: dict[str, Any] = msgspec.json.decode(canonical(content))
    return held


def _require_time(
    terms: Terms, notice_on: date, last_earn_on: date, last_burn_on: date, run_off_until: date, mode: Mode
) -> None:
    """What the contract says about notice and run-off."""
    earliest = notice_on + timedelta(days=terms.notice_days)
    if last_earn_on < earliest:
        raise ExitRefused(f"the contract has {terms.notice_days} days of notice: not before {earliest}")
    ends = last_burn_on + timedelta(days=terms.run_off_days)
    if mode == "run_off" and run_off_until < ends:
        raise ExitRefused(f"the contract has {terms.run_off_days} days of run-off: not before {ends}")


@exactly
def _buy_out(connection: Connection, code: str) -> Mapping[str, object]:
    """What is proposed and decided: points, rate, amount and the window from which the operator stands in."""
    now = statement(connection, code)
    if now.bought_out is not None:
        raise ExitRefused(f"{code} was bought out")
    leaving = now.leaving
    terms = contract_of(connection, now.partner_id)
    over = leaving.last_burn_on if leaving.mode == "buy_out" else leaving.run_off_until
    over = max(over, leaving.last_earn_on + timedelta(days=terms.late_days))
    if today_of(connection) <= over:
        raise ExitRefused(f"{code} is bought out after {over}: tills may still report until then")
    if any_unnetted(connection):
        raise ExitRefused("a closed night is not netted: its points are not counted yet")
    if now.unfixed:
        raise ExitRefused(
            f"points of {code} are accepted in {', '.join(now.unfixed)}, and there is no fixing: add one"
        )
    return {
        "partner": code,
        "from_window": open_window(connection),
        "outstanding": now.outstanding,
        "amounts": now.buy_out,
    }


def _charge(
    connection: Connection, content: Mapping[str, Any], *, prepared_by: str, by: str, at: datetime
) -> int:
    """Put the debt into the open window, and operator and pool in the partner's place from there on."""
    code = content["partner"]
    partner_id = partner_of(connection, code).partner_id
    window_id = open_window(connection)
    for currency, amount in content["amounts"]:
        adjustment = Adjustment(
            adjustment_id=connection.execute(_NEW_ID).scalar_one(),
            origin="exit",
            origin_reference=f"buy-out {code} {currency}",
            debtor_id=partner_id,
            creditor_id=POOL_ID,
            currency=currency,
            amount=Decimal(amount),
            reason=f"{code} leaves: its outstanding points at the highest rate, less what the pool holds",
        )
        window_id = add_adjustment(connection, adjustment, prepared_by=prepared_by, approved_by=by, at=at)
    row = {
        "partner_id": partner_id,
        "from_window_id": window_id,
        "stand_in_id": OPERATOR_ID,
        "decided_by": by,
        "decided_at": at,
    }
    connection.execute(money_tables.stand_in.insert(), row)
    rates = [
        {
            "partner_id": partner_id,
            "terms_version": one["terms_version"],
            "points": one["points"],
            "rate": Decimal(one["rate"]),
        }
        for one in content["outstanding"]
    ]
    connection.execute(money_tables.bought_out.insert(), rates)
    exposure_rows.replaced(connection)
    return window_id
