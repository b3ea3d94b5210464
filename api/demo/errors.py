"""Why the demo stops."""


class DemoError(Exception):
    """Root of the demo's errors; the text says what was wrong, where, and what to do."""


class DataUnavailable(DemoError):
    """The purchase data is not installed."""


class ControlTotalsDiffer(DemoError):
    """The data, or what became of it, does not add up to the published totals."""


class NetworkFileInvalid(DemoError):
    """A network file has a fault; the text names file and field."""


class ProgrammeTooRich(DemoError):
    """The demo's programme has a rule that its expected totals are not worked out for."""


class AnswerUnexpected(DemoError):
    """The API answered what it must not."""


class DemoBusy(DemoError):
    """The demo's schema is in use."""
