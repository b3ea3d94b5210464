"""The partners room's rows: load what others read, add what operators set up.

Every function takes a connection and never commits: the caller owns the transaction. However many rows, one
statement carries them, as arrays through `unnest`.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, Connection, Table, bindparam, column, func, select, update

from partners import keys
from partners.errors import KeyNotAccepted, KeyNotFound
from partners.hooks.outbox import load_subscriptions
from partners.keys import KeyRefused
from partners.model import Directory, Participant, PartnerExit, PartnerKey, Terms
from partners.tables import (
    contract_category,
    contract_terms,
    contract_vat,
    outlet,
    partner,
    partner_exit,
    partner_key,
    redemption_category,
)
from partners.terms import require_superseding


def load_directory(connection: Connection) -> Directory:
    """All participants, outlets, terms, exits and webhooks, as one snapshot (eight statements)."""
    participants = {
        row.partner_id: Participant(
            partner_id=row.partner_id, code=row.code, name=row.name, kind=row.kind, status=row.status
        )
        for row in connection.execute(select(partner).order_by(partner.c.partner_id))
    }
    outlets = frozenset(
        (row.partner_id, row.outlet_code)
        for row in connection.execute(select(outlet.c.partner_id, outlet.c.outlet_code))
    )
    return Directory(
        participants=participants,
        outlets=outlets,
        terms=load_terms(connection),
        exits=load_exits(connection),
        categories={
            row.code: row.category
            for row in connection.execute(select(redemption_category.c.code, redemption_category.c.category))
        },
        hooks=load_subscriptions(connection),
    )


def load_exits(connection: Connection) -> dict[int, PartnerExit]:
    """Who leaves the network, or has left, by partner."""
    columns = (partner_exit.c[name] for name in PartnerExit.__struct_fields__)
    return {
        row.partner_id: PartnerExit(**row._asdict())
        for row in connection.execute(select(*columns).order_by(partner_exit.c.partner_id))
    }


_OF_CHILDREN = ("category_rates", "vat_codes")
"""Terms that have tables of their own."""


def load_terms(connection: Connection) -> dict[int, list[Terms]]:
    """Every version of every contract, by partner, in order of their days (three statements)."""
    names = [name for name in Terms.__struct_fields__ if name not in _OF_CHILDREN]
    rows = connection.execute(
        select(*(contract_terms.c[name] for name in names)).order_by(
            contract_terms.c.partner_id, contract_terms.c.effective_on
        )
    )
    rates = _children(connection, contract_category, "category", "reimbursement_rate")
    codes = _children(connection, contract_vat, "flow", "vat_code")
    terms: dict[int, list[Terms]] = {}
    for row in rows:
        key = (row.partner_id, row.terms_version)
        version = Terms(
            **dict(zip(names, row, strict=True)),
            category_rates=tuple(rates.get(key, ())),
            vat_codes=tuple(codes.get(key, ())),
        )
        terms.setdefault(row.partner_id, []).append(version)
    return terms


def _children(
    connection: Connection, table: Table, name: str, value: str
) -> dict[tuple[int, int], list[tuple[Any, Any]]]:
    """Pairs of a table that belongs to contract versions, by version, sorted."""
    found: dict[tuple[int, int], list[tuple[Any, Any]]] = {}
    columns = (table.c.partner_id, table.c.terms_version, table.c[name], table.c[value])
    for partner_id, version, *pair in connection.execute(select(*columns).order_by(*columns[:3])):
        found.setdefault((partner_id, version), []).append((pair[0], pair[1]))
    return found


def load_keys(connection: Connection) -> dict[str, PartnerKey]:
    """Every key ever registered, by key id: a refusal can then say that a key was revoked or has ended."""
    return {
        row.key_id: PartnerKey(
            key_id=row.key_id,
            partner_id=row.partner_id,
            public_key=bytes(row.public_key),
            not_before=row.not_before,
            not_after=row.not_after,
            revoked_at=row.revoked_at,
        )
        for row in connection.execute(select(partner_key))
    }


def add_participants(connection: Connection, participants: Sequence[Participant]) -> None:
    """Add participants of clearing.

    Raises:
        sqlalchemy.exc.IntegrityError: an id or a code is taken.
    """
    _insert(connection, partner, [_fields(participant) for participant in participants])


def add_outlets(connection: Connection, rows: Sequence[tuple[int, str, str]]) -> None:
    """Add outlets, each (partner_id, outlet_code, name).

    Raises:
        sqlalchemy.exc.IntegrityError: an outlet is there already, or its partner is not.
    """
    names = ("partner_id", "outlet_code", "name")
    _insert(connection, outlet, [dict(zip(names, row, strict=True)) for row in rows])


def add_terms(connection: Connection, terms: Sequence[Terms], *, prepared_by: str, activated_by: str) -> None:
    """Add terms versions, prepared by one person and activated by another.

    Raises:
        TermsNotAccepted: a version does not supersede those before it.
        sqlalchemy.exc.IntegrityError: the two people are one, or a figure is out of its range.
    """
    known = load_terms(connection)
    for partner_id in sorted({version.partner_id for version in terms}):
        require_superseding(
            known.get(partner_id, []),
            sorted((t for t in terms if t.partner_id == partner_id), key=lambda t: t.terms_version),
        )
    people = {"prepared_by": prepared_by, "activated_by": activated_by}
    rows = [{**_fields(version), **people} for version in terms]
    for row in rows:
        for name in _OF_CHILDREN:
            del row[name]
    _insert(connection, contract_terms, rows)
    for table, names, pairs in (
        (contract_category, ("category", "reimbursement_rate"), "category_rates"),
        (contract_vat, ("flow", "vat_code"), "vat_codes"),
    ):
        columns = ("partner_id", "terms_version", *names)
        children = [
            dict(zip(columns, (version.partner_id, version.terms_version, *pair), strict=True))
            for version in terms
            for pair in getattr(version, pairs)
        ]
        _insert(connection, table, children)


def add_key(connection: Connection, key: PartnerKey) -> None:
    """Store a key that the operator vouches for (set-up, demo, tests); partners use `register_key`.

    Raises:
        KeyNotAccepted: the point is weak, or id or interval are not right.
        sqlalchemy.exc.IntegrityError: the id is taken, or the partner is not known.
    """
    refused = keys.check_new_key(key)
    if refused is not None:
        raise KeyNotAccepted(key.key_id, refused.code, refused.detail)
    _insert(connection, partner_key, [_fields(key)])


def register_key(connection: Connection, key: PartnerKey, proof: bytes) -> KeyRefused | None:
    """Store a key whose owner has proven to hold the private half; None when stored, else why not.

    Args:
        proof: 64 bytes, the key's own signature of `keys.possession_statement(key)`.
    """
    refused = keys.check_new_key(key) or keys.check_possession(key, proof)
    if refused is not None:
        return refused
    taken = select(partner_key.c.key_id).where(partner_key.c.key_id == key.key_id)
    if connection.execute(taken).first() is not None:
        return KeyRefused("key_id_taken", f"a key {key.key_id!r} is registered already: choose another id")
    add_key(connection, key)
    return None


def revoke_key(connection: Connection, key_id: str, at: datetime) -> None:
    """Revoke a key from an instant on; revoking it again moves the instant to the earlier one only.

    Raises:
        KeyNotFound: no such key.
    """
    revoked = connection.execute(
        update(partner_key)
        .where(partner_key.c.key_id == key_id)
        .values(revoked_at=func.least(partner_key.c.revoked_at, at))
    )
    if revoked.rowcount != 1:
        raise KeyNotFound(key_id)


def _fields(value: Participant | Terms | PartnerKey) -> dict[str, object]:
    return {name: getattr(value, name) for name in value.__struct_fields__}


def _insert(connection: Connection, table: Table, rows: Sequence[Mapping[str, object]]) -> None:
    """Insert all rows in one statement; every row has the same columns."""
    if not rows:
        return
    names = list(rows[0])
    arrays = [
        bindparam(f"{name}_array", [row[name] for row in rows], type_=ARRAY(table.c[name].type))
        for name in names
    ]
    source = (
        func.unnest(*arrays)
        .table_valued(*(column(name, table.c[name].type) for name in names))
        .render_derived()
    )
    connection.execute(table.insert().from_select(names, select(*source.c)))
