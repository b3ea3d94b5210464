"""A member's own cards: locked and unlocked, the rotating code that the phone shows, and the PIN.

The code is a TOTP (RFC 6238) of thirty seconds, in the QR after the card's number. What tills send of it is
judged in network.presence.
"""

import hmac
from datetime import datetime
from itertools import pairwise

import msgspec
from sqlalchemy import Connection, text

from partners.people import codes
from partners.people.tokens import OperatorKeys

_SECRET = text("SELECT card_secret FROM member_login WHERE member_id = :member")
_LOCK = text(
    "UPDATE card SET status = :locked WHERE member_id = :member AND status IN ('active', 'locked')"
    " RETURNING card_number"
)
_CARDS = text(
    "SELECT card_number, status FROM card WHERE member_id = :member ORDER BY issued_at, card_number"
)
_SET_PIN = text(
    "UPDATE member_login SET pin_hash = :pin, proof_tries = 0 WHERE member_id = :member RETURNING email"
)


class ShownCard(msgspec.Struct, frozen=True, kw_only=True):
    """What the member's phone shows: the code of a card and until when it is shown."""

    card_number: int
    code: str
    changes_at: int


def lock_cards(connection: Connection, member_id: int, *, locked: bool) -> bool:
    """Lock a member's cards, so that they earn and do not spend, or unlock them; whether there is one."""
    wanted = {"member": member_id, "locked": "locked" if locked else "active"}
    return bool(connection.execute(_LOCK, wanted).all())


def cards_of(connection: Connection, member_id: int) -> list[tuple[int, str]]:
    """A member's cards with their status."""
    return [(row.card_number, row.status) for row in connection.execute(_CARDS, {"member": member_id})]


def show_code(
    connection: Connection, keys: OperatorKeys, member_id: int, card_number: int, now: datetime
) -> ShownCard:
    """The code that a card shows now."""
    sealed = connection.execute(_SECRET, {"member": member_id}).scalar_one()
    secret = codes.open_secret(bytes(sealed), keys.secrets, f"member {member_id}")
    step = codes.step_of(now)
    code = codes.code_at(secret, step)
    return ShownCard(card_number=card_number, code=code, changes_at=(step + 1) * codes.SECONDS)


def is_easy(pin: str) -> bool:
    """Whether a PIN is among the first that anybody tries: one digit, or digits in a row."""
    steps = {(int(after) - int(before)) % 10 for before, after in pairwise(pin)}
    return len(steps) == 1 and steps <= {0, 1, 9}


def set_pin(connection: Connection, card_key: bytes, member_id: int, pin: str | None) -> str:
    """Give a member a PIN, or none any more; the address that is to be told. Wrong tries are forgotten."""
    hashed = None if pin is None else hash_of_pin(card_key, member_id, pin)
    email: str = connection.execute(_SET_PIN, {"member": member_id, "pin": hashed}).scalar_one()
    return email


def hash_of_pin(card_key: bytes, member_id: int, pin: str) -> bytes:
    """A PIN as it is kept. Keyed: all PINs are tried in a moment by who copies the database alone."""
    return hmac.digest(card_key, f"pin of member {member_id}\n{pin}".encode(), "sha256")
