"""What `tessera bank` says about accounts, requests, statements and exceptions: blocks of lines."""

from pathlib import Path

from settlement.bank.model import (
    AccountState,
    AccountVersion,
    PayInRequest,
    Resolution,
    Standing,
    StatementRead,
    Transaction,
)
from settlement.bank.numbers import show_iban
from settlement.bank.pain import amount_text


def account_text(one: AccountVersion, state: AccountState, codes: dict[int, str]) -> str:
    """An account as a block of lines."""
    said = {
        "waits": "waits for a second person",
        "cooling": f"cooling off until {one.in_use_from:%Y-%m-%d %H:%M %Z}" if one.in_use_from else "",
        "in_use": f"in use since {one.in_use_from:%Y-%m-%d %H:%M %Z}" if one.in_use_from else "",
        "withdrawn": f"stopped by {one.withdrawn_by}",
    }.get(state, state)
    bic = f" ({one.account.bic})" if one.account.bic else ""
    lines = [
        f"{one.account_id}  {codes[one.participant_id]} in {one.currency}: {said}",
        f"  {show_iban(one.account.iban)}{bic}, {one.account.name}",
        f"  proposed by {one.proposed_by}, {one.proposed_at:%Y-%m-%d %H:%M %Z}",
    ]
    if one.decided_at is not None:
        word = "approved" if one.approved else "rejected"
        lines.append(f"  {word} by {one.decided_by}, {one.decided_at:%Y-%m-%d %H:%M %Z}")
    return "\n".join(lines)


def request_text(one: PayInRequest) -> str:
    """A request as a block of lines, as a letter would say it."""
    rest = amount_text(one.rest_minor, one.currency)
    whole = amount_text(one.amount_minor, one.currency)
    part = "" if rest == whole else f", the rest of {whole}"
    return (
        f"{one.name}: {one.currency} {rest}{part} by {one.due_on}\n"
        f"  to {show_iban(one.to.iban)}, {one.to.name}\n"
        f"  reference {show_iban(one.reference)} (or end-to-end id {one.end_to_end_id})"
    )


def result_text(one: StatementRead, path: Path) -> str:
    """What came of a statement, as one line."""
    head = f"{path.name}: statement {one.statement_id} of {show_iban(one.iban)} in {one.currency}"
    if one.read_before:
        return f"{head} was read before: nothing is booked twice"
    found = len(one.exceptions)
    return f"{head}: {one.transactions} transactions, {one.matched} as expected, {found} to be looked at"


def exception_text(one: Standing) -> str:
    """An exception as a block of lines."""
    of, moved = one.exception, one.transaction
    payment = f" {of.end_to_end_id}" if of.end_to_end_id else ""
    amount = amount_text(one.left_minor if one.is_open else of.amount_minor, of.currency)
    lines = [
        f"{of.exception_id}  {of.problem}{payment}: {of.currency} {amount}, {one.state}",
        f"  {of.why}",
        f"  {_moved(moved)}, statement {one.statement_id}, entry {of.entry}/{of.detail}",
    ]
    if moved.other_name or moved.other_iban or moved.text:
        lines.append(f"  {moved.other_name} {moved.other_iban} {moved.text}".rstrip())
    lines.extend(f"  way out {way.resolution_id}: {_way(way, of.currency)}" for way in one.resolutions)
    if one.is_open and one.state != "proposed":
        lines.append(f"  ways: {', '.join(one.ways)}")
    return "\n".join(lines)


def _moved(moved: Transaction) -> str:
    word = "came" if moved.amount_minor > 0 else "went"
    amount = amount_text(abs(moved.amount_minor), moved.currency)
    return f"{moved.currency} {amount} {word} on {moved.booked_on}"


def _way(way: Resolution, currency: str) -> str:
    to = way.end_to_end_id or (f"{way.account.iban}, {way.account.name}" if way.account else "")
    to = to or (f"participant {way.participant_id}" if way.participant_id is not None else "")
    decided = (
        "waits for a second person"
        if way.decided_by is None
        else f"{'approved' if way.approved else 'rejected'} by {way.decided_by}"
    )
    amount = amount_text(way.amount_minor, currency)
    return f"{way.way} {amount}{f' to {to}' if to else ''}, by {way.proposed_by}: {decided}"
