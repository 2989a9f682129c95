"""Run the tests in random orders, and each file alone; ``make test-order`` calls it.

    python tools/any_order.py SEED …

A seed gives an order of files, and of the tests in each, and other examples of Hypothesis. Real Airflow is
left out, as its tests share one that takes long to start. The exit status is 1 if anything has failed.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_CHOSEN = ("-q", "-m", "not airflow and not slow")


def pytest(*arguments: str) -> int:
    """Run pytest; return how it ended."""
    command = [sys.executable, "-m", "pytest", *_CHOSEN, *arguments]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def main(seeds: Sequence[str]) -> int:
    """Run them all."""
    failed = []
    for seed in seeds:
        print(f"\n===== in the order of the seed {seed}", flush=True)
        shuffled = ("-p", "randomly", "-p", "no:cacheprovider", f"--randomly-seed={seed}")
        if pytest("-n", "3", *shuffled, "--hypothesis-profile=explore") != 0:
            failed.append(f"seed {seed}")
    for number, file in enumerate(files := _files(), 1):
        began = time.monotonic()
        if (status := pytest("--no-header", "--tb=short", file)) not in (0, 5):
            failed.append(file)
        print(
            f"===== alone {number}/{len(files)}: {file} ({status}, {time.monotonic() - began:.0f} s)",
            flush=True,
        )
    print(f"===== {'failed: ' + ', '.join(failed) if failed else 'all passed'}")
    return 1 if failed else 0


def _files() -> list[str]:
    apart = {"airflow", "browser", "clients", "distributed"}
    found = (path.relative_to(ROOT) for path in (ROOT / "tests").rglob("test_*.py"))
    return sorted(str(path) for path in found if path.parts[1] not in apart)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
