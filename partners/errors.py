"""Errors of the partners room, under one root."""


class PartnersError(Exception):
    """Root of all errors raised by the partners room."""


class KeyNotAccepted(PartnersError):
    """A key that must not be stored was handed to the store; the code says why (see partners.keys)."""

    def __init__(self, key_id: str, code: str, detail: str) -> None:
        super().__init__(f"key {key_id!r} was not stored, {code}: {detail}")
        self.code = code


class KeyNotFound(PartnersError):
    """No key of that id is registered."""

    def __init__(self, key_id: str) -> None:
        super().__init__(f"no key {key_id!r} is registered: check the id against the table partner_key")


class TermsNotAccepted(PartnersError):
    """A terms version would rewrite history: versions are only ever superseded, by a later date."""
