"""Bank accounts of participants: proposed by one, approved by another, used after a cooling-off time."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import Connection

from network.service import network_now
from partners.people.audit import audited
from settlement.bank import store
from settlement.bank.accounts import COOLING_OFF, in_use, state_of
from settlement.bank.errors import AccountInvalid, ProposalDecided, ProposalUnknown
from settlement.bank.letters import bank_text
from settlement.bank.model import Account, AccountState, AccountVersion
from settlement.bank.numbers import read_bic, read_iban
from settlement.bank.pain import LONGEST_NAME
from settlement.errors import FourEyesNeeded
from settlement.money import minor_digits


def propose_account(
    connection: Connection,
    *,
    participant_id: int,
    currency: str,
    account: Account,
    evidence: str,
    by: str,
) -> AccountVersion:
    """Propose where a participant is to be paid in a currency; nothing changes before it is approved.

    Args:
        connection: A transaction; the caller commits it.
        participant_id: A participant, or 0 for the hub's own account.
        currency: ISO 4217.
        account: Whose it is, as the bank has the name, and its number.
        evidence: What shows that the participant wants it, and how that was made sure of.
        by: Who proposes it.
    Raises:
        AccountInvalid: something of it cannot be, or it is in use already.
        ProposalDecided: another proposal waits for a decision.
    """
    store.lock_bank(connection)
    _check_currency(currency)
    if participant_id not in store.load_names(connection):
        raise AccountInvalid(f"there is no participant {participant_id}")
    name = " ".join(account.name.split())
    if not any(sign.isalnum() for sign in bank_text(name, LONGEST_NAME)):
        raise AccountInvalid(f"{account.name!r} has no letter that banks take: whose account is it?")
    if not evidence.strip():
        raise AccountInvalid("say what shows that the participant wants this account: who approves reads it")
    wanted = Account(
        name=name,
        iban=read_iban(account.iban),
        bic=read_bic(account.bic) if account.bic else None,
    )
    at = network_now(connection)
    versions = store.load_accounts(connection)
    now = in_use(versions, at).get((participant_id, currency))
    if now is not None and now.account == wanted:
        raise AccountInvalid(f"this account is in use already, since {now.in_use_from:%Y-%m-%d %H:%M %Z}")
    waiting = [one for one in versions if _key(one) == (participant_id, currency) and one.approved is None]
    if waiting:
        raise ProposalDecided(
            f"account {waiting[0].account_id} waits for a decision since {waiting[0].proposed_at:%Y-%m-%d}:"
            " approve or reject it first"
        )
    number = store.add_account(
        connection,
        participant_id=participant_id,
        currency=currency,
        account=wanted,
        evidence=evidence.strip(),
        by=by,
        at=at,
    )
    proposed = _locked(connection, number)
    _audit(connection, proposed, "bank_account.proposed", before=None, by=by)
    return proposed


def decide_account(
    connection: Connection,
    account_id: int,
    *,
    by: str,
    approve: bool,
    cooling_off: timedelta = COOLING_OFF,
) -> AccountVersion:
    """Approve or reject a proposed account; approved, it is used once its cooling-off time is over.

    Raises:
        FourEyesNeeded: who proposed it wants to approve it (to reject it, one is enough).
        ProposalDecided: it was decided before.
        ProposalUnknown: there is none.
    """
    found = _locked(connection, account_id)
    if found.decided_by is not None:
        word = "approved" if found.approved else "rejected"
        raise ProposalDecided(f"{found.decided_by} {word} it at {found.decided_at}")
    if approve and by.lower() == found.proposed_by.lower():
        raise FourEyesNeeded(f"{by} proposed account {account_id}: another must approve it")
    at = network_now(connection)
    store.save_account_decision(
        connection,
        account_id,
        by=by,
        at=at,
        approved=approve,
        in_use_from=at + cooling_off if approve else None,
    )
    decided = _locked(connection, account_id)
    word = "approved" if approve else "rejected"
    _audit(connection, decided, f"bank_account.{word}", before=found, by=by)
    return decided


def withdraw_account(connection: Connection, account_id: int, *, by: str) -> AccountVersion:
    """Stop an approved account within its cooling-off time; anybody may, alone: it moves no money.

    Raises:
        ProposalDecided: it is in use by now, or was stopped before; propose another one.
        ProposalUnknown: there is none.
    """
    found = _locked(connection, account_id)
    at = network_now(connection)
    if found.in_use_from is None or found.withdrawn_at is not None:
        raise ProposalDecided(f"account {account_id} is not about to be used: there is nothing to stop")
    if found.in_use_from <= at:
        raise ProposalDecided(
            f"account {account_id} is in use since {found.in_use_from}: propose the right one instead"
        )
    store.save_withdrawal(connection, account_id, by=by, at=at)
    stopped = _locked(connection, account_id)
    _audit(connection, stopped, "bank_account.withdrawn", before=found, by=by)
    return stopped


def list_accounts(connection: Connection) -> list[tuple[AccountVersion, AccountState]]:
    """Every account that was ever proposed, and how it stands now; in order."""
    at = network_now(connection)
    versions = store.load_accounts(connection)
    return [(one, state_of(one, versions, at)) for one in versions]


def accounts_in_use(connection: Connection, at: datetime) -> Mapping[tuple[int, str], AccountVersion]:
    """Where each participant is paid at an instant, by participant and currency."""
    return in_use(store.load_accounts(connection), at)


def _locked(connection: Connection, account_id: int) -> AccountVersion:
    found = store.lock_account(connection, account_id)
    if found is None:
        raise ProposalUnknown(f"there is no account {account_id}")
    return found


def _key(version: AccountVersion) -> tuple[int, str]:
    return version.participant_id, version.currency


def _check_currency(currency: str) -> None:
    if not (len(currency) == 3 and currency.isascii() and currency.isupper()):
        raise AccountInvalid(f"{currency!r} is no currency: three letters of ISO 4217")
    minor_digits(currency)


def _audit(
    connection: Connection, version: AccountVersion, action: str, *, before: AccountVersion | None, by: str
) -> None:
    audited(
        connection,
        by=by,
        action=action,
        subject=f"participant:{version.participant_id}/{version.currency}",
        before=before,
        after=version,
    )
