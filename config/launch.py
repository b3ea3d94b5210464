"""Run a program, as another user if asked, that ends when the process which started it ends.

    python -I -S launch.py PARENT USER_ID GROUP_ID PROGRAM [ARGUMENT...]      (-1 -1 keeps the user)

A program of its own rather than a `preexec_fn`, which is unsafe beside threads. The user changes here, as the
last thing before exec, because the interpreter may lie where the other user cannot reach it.
Standard library only.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_CANNOT_EXECUTE = 126


def main(arguments: list[str]) -> int:
    """Become the program; returns only when that fails."""
    parent, user_id, group_id = (int(argument) for argument in arguments[:3])
    program = arguments[3:]
    if user_id >= 0:
        os.setgroups([])
        os.setgid(group_id)
        os.setuid(user_id)
    if sys.platform == "linux":
        # After setuid: a change of user clears it. SIGINT is PostgreSQL's fast shutdown.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGINT), 0, 0, 0)
    if os.getppid() != parent:
        return 1  # the starter died before it could be watched
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)  # the interpreter ignores these, and exec would hand that on
    os.umask(0o077)
    try:
        os.execv(program[0], program)  # noqa: S606  # no shell is wanted
    except OSError as error:
        sys.stderr.write(f"cannot run {program[0]} as user id {os.getuid()}: {error.strerror}\n")
        return _CANNOT_EXECUTE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
