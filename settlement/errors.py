"""Errors of the settlement room: each says what was wrong, where, and what to do."""


class SettlementError(Exception):
    """Root of what can go wrong in this room."""


class NightOutOfOrder(SettlementError):
    """A night was to be settled before the one in front of it."""


class FlowUnknown(SettlementError):
    """A posting moves points between accounts for which settlement knows no money flow."""


class TermsMissing(SettlementError):
    """A posting names contract terms that do not exist."""


class RateMissing(SettlementError):
    """A VAT code or a pair of currencies has no rate on a day that needs one: add it, and go on."""


class PositionsNotZero(SettlementError):
    """The positions of a night do not sum to zero: money would appear or vanish. Nothing was written."""


class DebtBelowZero(SettlementError):
    """A debt, or what somebody has, was given as less than nothing."""


class NotSealed(SettlementError):
    """A proof was asked for before the window was sealed."""


class NothingToProve(SettlementError):
    """A proof was asked for of an entry that is not there, or moved no points."""


class SealBroken(SettlementError):
    """What is in the database is not what was sealed: no proof is given on it."""


class ReferenceInvalid(SettlementError):
    """A payment cannot be named: one of its figures is too large, or its currency is none."""


class LedgerUnbalanced(SettlementError):
    """The lines of a money entry do not sum to zero in each currency: nothing was booked."""


class RunNotReady(SettlementError):
    """A run is not in the state that a step begins from."""


class FourEyesNeeded(SettlementError):
    """Who proposed something was also to decide it: another person must."""


class ApprovalStale(SettlementError):
    """What is to be approved is no longer what was looked at: look at it again."""


class PaymentRefused(SettlementError):
    """A payment cannot be booked so: the instruction is not known, or the reference was used for another."""


class NotFinal(SettlementError):
    """A run does not add up, so it is not finalised: something is missing, differs, or is unknown."""


class NothingMissing(SettlementError):
    """A participant is said not to pay, and it owes nothing that is not booked: there is no default."""


class CaseUnknown(SettlementError):
    """There is no default case of that id."""


class CannotUnwind(SettlementError):
    """A run cannot be unwound without a debtor: a part of its debt has been paid or decided."""


class ExitRefused(SettlementError):
    """A partner cannot leave so: its days are not in order, too early, or something of it is still open."""


class CalendarUnknown(SettlementError):
    """A currency's calendar is none that the package `holidays` has."""


class DisputeRefused(SettlementError):
    """A dispute cannot be raised, moved or added to so; `code` says why in one word."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class CorrectionRefused(SettlementError):
    """A correction of money, or of the banks' days, that cannot be: nothing was proposed, or done."""
