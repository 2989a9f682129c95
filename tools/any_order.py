"""Run the tests in random orders, and each file alone; ``make test-order`` calls it.

    python tools/any_order.py SEED …

A seed gives an order of files, and of the tests in each, and other examples of Hypothesis. Real Airflow is
left out, as its tests share one that takes long to start. The exit status is 1 if anything has failed.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_PYTEST = (sys.executable, "-m", "pytest", "-q", "-m", "not airflow and not slow")
_AT_ONCE = 3


def in_order(seed: str) -> int:
    """Run all in the order of a seed; return how it ended."""
    shuffled = ("-p", "randomly", "-p", "no:cacheprovider", f"--randomly-seed={seed}")
    command = [*_PYTEST, "-n", str(_AT_ONCE), *shuffled, "--hypothesis-profile=explore"]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def alone(file: str) -> subprocess.CompletedProcess[str]:
    """Run the tests of one file in a process of their own."""
    command = [*_PYTEST, "--no-header", "--tb=short", file]
    return subprocess.run(command, cwd=ROOT, check=False, stdout=subprocess.PIPE, text=True)


def main(seeds: Sequence[str]) -> int:
    """Run them all."""
    failed = []
    for seed in seeds:
        print(f"\n===== in the order of the seed {seed}", flush=True)
        if in_order(seed) != 0:
            failed.append(f"seed {seed}")
    files = _files()
    with ThreadPoolExecutor(_AT_ONCE) as runs:
        for number, (file, run) in enumerate(zip(files, runs.map(alone, files), strict=True), 1):
            good = run.returncode in (0, 5)
            if not good:
                failed.append(file)
                print(run.stdout)
            print(f"===== alone {number}/{len(files)}: {file} {'passed' if good else 'FAILED'}", flush=True)
    print(f"===== {'failed: ' + ', '.join(failed) if failed else 'all passed'}")
    return 1 if failed else 0


def _files() -> list[str]:
    """Those with tests that `make test` runs outside of real Airflow: pytest knows them."""
    listing = [*_PYTEST, "--collect-only", "--no-header", "-p", "no:cacheprovider"]
    told = subprocess.run(listing, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    return re.findall(r"^(\S+\.py): \d+$", told, re.MULTILINE)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
