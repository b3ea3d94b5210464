"""Errors of the settlement room: each says what was wrong, where, and what to do."""


class SettlementError(Exception):
    """Root of what can go wrong in this room."""


class NightOutOfOrder(SettlementError):
    """A night was to be settled before the one in front of it."""


class FlowUnknown(SettlementError):
    """A posting moves points between accounts for which settlement knows no money flow."""


class TermsMissing(SettlementError):
    """A posting names contract terms that do not exist."""


class CurrencyMixed(SettlementError):
    """Contract terms are in another currency than the network settles in."""


class PositionsNotZero(SettlementError):
    """The positions of a night do not sum to zero: money would appear or vanish. Nothing was written."""


class NotSealed(SettlementError):
    """A proof was asked for before the window was sealed."""


class NothingToProve(SettlementError):
    """A proof was asked for of an entry that is not there, or moved no points."""


class SealBroken(SettlementError):
    """What is in the database is not what was sealed: no proof is given on it."""


class ReferenceInvalid(SettlementError):
    """A payment cannot be named: one of its figures is too large, or its currency is none."""
