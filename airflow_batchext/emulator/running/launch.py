"""Becomes the command of a task: the first program of its process, run by itself, in no package.

    python -I -S launch.py MOST_BYTES PARENT PROGRAM [ARGUMENT …]

It sets what must not be set in a process of several threads (limits, signals), and ends with its parent.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys

_SET_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)


def main() -> None:
    """Replace this process by the command; exit status 127 if it is not found, 126 if it is none."""
    most, parent, program = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None).prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before that was said
        sys.exit(1)
    # Python ignores some signals, and who started it may have blocked others: a command expects neither.
    for name in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM):
        signal.signal(name, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        os.execv(program, sys.argv[3:])  # noqa: S606 - no shell reads it
    except OSError as problem:
        sys.stderr.write(f"{program}: {problem.strerror}\n")
        sys.exit(127 if isinstance(problem, FileNotFoundError) else 126)


if __name__ == "__main__":
    main()
