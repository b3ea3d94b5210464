"""`tessera webhooks`: how partners' endpoints do."""

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from api.composition import opened
from config.roles import reader_role


def webhooks(
    *, unwell: Annotated[bool, typer.Option("--unwell", help="Only those that fail or are disabled.")] = False
) -> None:
    """Show partners' webhook endpoints: what waits, what fails, what was disabled and why."""
    from partners.hooks.history import standing_of_all

    with opened(reader_role) as (_, database), database.connect() as connection:
        found = [one for one in standing_of_all(connection) if one.is_unwell or not unwell]
    table = Table("partner", "endpoint", "host", "status", "failures", "waiting", "delivered", "failed")
    for one in found:
        delivered, failed = (
            "never" if at is None else at.strftime("%Y-%m-%d %H:%M:%S")
            for at in (one.delivered_at, one.failed_at)
        )
        status = f"{one.status}: {one.because}" if one.because else one.status
        table.add_row(
            one.partner,
            f"whe_{one.endpoint_id.hex}",
            one.host,
            status,
            str(one.failures),
            str(one.waiting),
            delivered,
            failed,
        )
    Console(width=None if found else 80).print(table if found else "no endpoints" + " are unwell" * unwell)
