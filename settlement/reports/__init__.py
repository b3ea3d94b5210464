"""The pandas room: what a night, and a period of nights, look like to those who read them.

Money stays exact: numerics come as Decimal, minor units as int; floats are for drawing alone. The network
report with its pictures is in settlement.reports.period, apart, so that a worker need not load what draws.
"""

from settlement.reports.night import NIGHT_REPORT, write_operator_report
from settlement.reports.statements import write_statements

__all__ = ["NIGHT_REPORT", "write_operator_report", "write_statements"]
