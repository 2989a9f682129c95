"""Run the parts of the tests that ``make test`` leaves out, one after the other; ``make test-all`` calls it.

Each part has a heading and a line that says how it ended. A part that needs a program that is not on this
machine is not run, and that is said; nothing is installed but what goes into this checkout's environments.
The exit status is 1 if a part has failed.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))


def nothing() -> str:
    """What is missing for a part that needs nothing."""
    return ""


def postgres_and_redis() -> str:
    """What is missing for the test-bed of several machines."""
    from tests.distributed.environment import MissingProgramError, can_have_redis, postgres_programs

    try:
        postgres_programs()
        can_have_redis()
    except MissingProgramError as problem:
        return str(problem)
    return ""


def chromium() -> str:
    """What is missing for the tests of the web page."""
    from tests.browser import programs

    return "" if programs.chromium() else programs.NEEDS


@dataclass(frozen=True)
class Part:
    """A target of the Makefile.

    :param target: its name.
    :param what: what it tests, for the heading.
    :param missing: says what it needs and this machine has not.
    """

    target: str
    what: str
    missing: Callable[[], str] = nothing


PARTS = (
    Part("test-slow", "the rest of real Airflow"),
    Part("histories", "more random histories than make test plays"),
    Part("test-oldest", "everything with the oldest Airflow"),
    Part("test-pythons", "without Airflow's processes, on each Python that is found"),
    Part("test-package", "what is built, installed and used elsewhere"),
    Part("test-docs", "the site, strictly"),
    Part("test-clients", "old and foreign clients against the emulator"),
    Part("test-fab", "the live page with FAB's roles"),
    Part("test-browser", "Airflow's web page in a real browser", chromium),
    Part("test-distributed", "many processes, which are killed", postgres_and_redis),
)


def run(part: Part) -> str:
    """Run a part; say how it ended."""
    missing = part.missing()
    if missing:
        return f"NOT RUN: {missing}"
    began = time.monotonic()
    status = subprocess.run(
        [shutil.which("make") or "make", "--no-print-directory", part.target], cwd=ROOT, check=False
    ).returncode
    return f"{'FAILED' if status else 'passed'} after {time.monotonic() - began:.0f} s"


def main(wanted: Sequence[str] = ()) -> int:
    """Run every part, or those that are named, then say once more how each ended."""
    known = [part.target for part in PARTS]
    if unknown := [name for name in wanted if name not in known]:
        print(f"there is no part {unknown[0]}; there are {', '.join(known)}", file=sys.stderr)
        return 2
    results: dict[str, str] = {}
    for part in PARTS:
        if wanted and part.target not in wanted:
            continue
        print(f"\n{'=' * 20} {part.target}: {part.what} {'=' * 20}", flush=True)
        results[part.target] = run(part)
        print(f"{'=' * 20} {part.target}: {results[part.target]}", flush=True)
    print()
    for target, result in results.items():
        print(f"{target:18} {result}")
    return any(result.startswith("FAILED") for result in results.values())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
