"""Errors of the bank: each says what was wrong, where, and what to do."""

from settlement.errors import SettlementError


class BankError(SettlementError):
    """Root of what can go wrong with the bank."""


class AccountInvalid(BankError):
    """An account number, bank code, reference or name that cannot be used."""


class PaymentInvalid(BankError):
    """A payment that cannot be written into a file: no amount, no account, a text that is too long."""


class StatementRefused(BankError):
    """A file of the bank that is not read: too large, not well formed, or it contradicts itself. Nothing of
    it was booked.
    """


class ProposalDecided(BankError):
    """A proposal was decided before."""


class ProposalUnknown(BankError):
    """There is no such proposal, or no such exception."""


class NotPayable(BankError):
    """Pay-outs cannot leave: the window is not that far, or a partner has no account in use."""


class WayOutClosed(BankError):
    """An exception cannot be resolved in this way, or not any more."""
