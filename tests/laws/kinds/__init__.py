"""What each kind of command does, in the model. A new kind: one function in a module here, its line in
`JUDGES`, and one in `wishes.makers`.

A judge raises Refused, or returns what to do once the entry's id is known.
"""

from tests.laws.book import Judge
from tests.laws.kinds.between import donate, gift, invite, join, leave
from tests.laws.kinds.holds import capture, lapse, void
from tests.laws.kinds.merges import merge, unmerge
from tests.laws.kinds.operator import adjust, set_tier
from tests.laws.kinds.returns import release, reverse
from tests.laws.kinds.tills import accrue, enrol, expire, hold, redeem
from tests.laws.kinds.value import load, refund, spend
from tests.laws.kinds.vouchers import convert, issue_voucher, lapse_voucher, return_voucher, use_voucher

JUDGES: dict[str, Judge] = {
    "enrol": enrol,
    "accrue": accrue,
    "redeem": redeem,
    "reverse": reverse,
    "hold": hold,
    "capture": capture,
    "void": void,
    "release": release,
    "gift": gift,
    "donate": donate,
    "invite": invite,
    "join": join,
    "leave": leave,
    "merge": merge,
    "unmerge": unmerge,
    "adjust": adjust,
    "set_tier": set_tier,
    "load": load,
    "spend": spend,
    "refund": refund,
    "issue_voucher": issue_voucher,
    "convert": convert,
    "use_voucher": use_voucher,
    "return_voucher": return_voucher,
    "lapse_voucher": lapse_voucher,
}
"""By the command's name."""
BY_TIME: dict[str, Judge] = {"lapse": lapse, "expire": expire}
"""What nobody asks for."""
