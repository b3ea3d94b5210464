"""`tessera quickstart`: a small network to try the partner API with, on real time, and a first key in it."""

from datetime import datetime

from sqlalchemy import Engine

from api.demo.network_file import read_network_file
from config.settings import PROJECT
from network.errors import NotReady
from network.service import (
    PARTITIONS_AHEAD,
    Network,
    apply_programme,
    create_network,
    ensure_partitions,
    open_first_window,
    read_network,
)
from partners.errors import KeyNotAccepted
from partners.keys import check_new_key
from partners.model import PartnerKey
from partners.store import add_key, add_outlets, add_participants, add_terms, load_keys

OUTLET = "330"
_NETWORK_FILE = PROJECT / "config" / "networks" / "demo.toml"
_PROGRAMME_FILE = PROJECT / "config" / "programmes" / "demo.toml"
_BY = "quickstart"


class NoSuchPartner(Exception):
    """The small network has no partner of that code."""


def set_up(database: Engine, *, partner: str, key_id: str, public_key: bytes, now: datetime) -> bool:
    """Found the small network where the database has none, and register a key; whether it was founded.

    Its partners, terms and programme are the demo's; every partner has the one outlet. Only for trying:
    what two people decide in a network is decided here by one command, once.

    Args:
        database: A migrated one.
        partner: Whose key it is, by code.
        key_id: The key's id.
        public_key: 32 raw bytes.
        now: Real time.
    Raises:
        NoSuchPartner: see the demo's network file.
        KeyNotAccepted: id or key are none, or the id is taken.
    """
    spec = read_network_file(_NETWORK_FILE)
    if partner not in spec.partner_ids:
        raise NoSuchPartner(f"no partner {partner!r} is in it: there are {', '.join(spec.partner_ids)}")
    key = PartnerKey(
        key_id=key_id, partner_id=spec.partner_ids[partner], public_key=public_key, not_before=now
    )
    refused = check_new_key(key)
    if refused is not None:
        raise KeyNotAccepted(key_id, refused.code, refused.detail)
    with database.begin() as connection:
        try:
            network = read_network(connection)
        except NotReady:
            founded = True
            ensure_partitions(connection, now.date(), now.date() + PARTITIONS_AHEAD)
            made = Network(name=_BY, time_zone=spec.time_zone, cut_off=spec.cut_off, currency=spec.currency)
            create_network(connection, made)
            add_participants(connection, spec.participants)
            add_terms(connection, spec.terms, prepared_by=f"{_BY} maker", activated_by=f"{_BY} checker")
            add_outlets(connection, [(one, OUTLET, f"Store {OUTLET}") for one in spec.partner_ids.values()])
            apply_programme(
                connection, _PROGRAMME_FILE.read_text(encoding="utf-8"), at=now, applied_by=f"{_BY} maker"
            )
            open_first_window(connection, now.date(), now)
        else:
            founded = False
            if network.name != _BY:
                raise NoSuchPartner("this database has a network of its own: its operator registers keys")
        if key_id in load_keys(connection):
            raise KeyNotAccepted(key_id, "key_id_taken", "a key of that id is registered: choose another id")
        add_key(connection, key)
    return founded
