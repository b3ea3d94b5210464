"""python earn.py REFERENCE: one signed sale."""

import os
import sys
from datetime import UTC, datetime

from tessera_client import Accrual, ApiError, Client, load_key

sale = Accrual(
    reference=sys.argv[1],
    occurred_at=datetime.now(UTC),
    outlet="330",
    card=os.environ["CARD"],
    amount_minor=1250,
    currency="USD",
)
key = load_key(os.environ["TESSERA_KEY"])
with Client(os.environ["TESSERA_URL"], os.environ["TESSERA_KEY_ID"], key) as tessera:
    try:
        entry = tessera.send(sale)
    except ApiError as refusal:
        sys.exit(f"{refusal.code}: {refusal.detail} [{refusal.request_id}]")
print(f'201 {{"points":{entry.points},"balance":{entry.balance}}}')
