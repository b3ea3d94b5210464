"""When a server's processes look for cyclic garbage.

What a request leaves behind is nearly all freed by counting references. Python looks for cycles after every
700 new objects all the same, and the objects of a batch, alive until it is answered, are looked at again and
again: a third of what a lane needs for an accrual (docs/performance.md).
"""

import gc

_NEW_OBJECTS = 50_000
_YOUNGER_ROUNDS = 10


def collect_rarely() -> None:
    """Call once all is imported and made: that is never looked at again, and what comes later rarely.

    A cycle that a failed request leaves (an exception with its traceback) waits for 50,000 further objects:
    some tens of megabytes at most.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, _YOUNGER_ROUNDS, _YOUNGER_ROUNDS)
