"""Errors of the network room. A refusal is not among them: that is a value (network.outcomes.Rejected)."""


class NetworkError(Exception):
    """Root of what can go wrong in this room."""


class ProgrammeInvalid(NetworkError):
    """A programme file does not say what it must."""


class NotReady(NetworkError):
    """The network is not set up: no network row, no programme, or no open window."""


class WindowOrder(NetworkError):
    """A window was to be closed before its time or before an earlier one."""


class NoSuchWindow(NetworkError):
    """A business date was asked for that has no window."""


class ClockBackwards(NetworkError):
    """The network clock only moves forward."""


class InvariantBroken(NetworkError):
    """The ledger would have become wrong; the transaction was rolled back."""


class Overloaded(NetworkError):
    """The queue of waiting commands is full; try again later."""


class Unavailable(NetworkError):
    """The database cannot be reached, or did not answer whether a batch was committed; safe to retry."""


class Busy(Unavailable):
    """Rows stayed locked, and nothing was done: the batch's other commands may go on without this one."""


class RulesStale(Unavailable):
    """A batch was begun with rules that are older than what it found; nothing was done: read them again."""


class NotRead(Busy):
    """Another process has read a partner that this one has not yet: nothing was done; try again."""


class AdjustmentError(NetworkError):
    """Root of what can be wrong with an adjustment before the rules see it."""


class AdjustmentInvalid(AdjustmentError):
    """Card, partner, points, reason, evidence or a name is missing or not known."""


class AdjustmentUnknown(AdjustmentError):
    """There is no such adjustment."""


class AdjustmentDecided(AdjustmentError):
    """The adjustment was decided before."""


class FourEyesNeeded(AdjustmentError):
    """Who prepared an adjustment of this size cannot approve it."""
