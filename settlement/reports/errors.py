"""Why a report cannot be written."""

from settlement.errors import SettlementError


class NothingToReport(SettlementError):
    """No cleared window where one was asked for."""


class SpanUnclear(SettlementError):
    """It was not said which nights a report is to be of."""


class FiguresDisagree(SettlementError):
    """Stored figures contradict one another: a report would state something false."""
