"""Run the tests without Airflow's processes on each Python that is claimed; ``make test-pythons`` calls it.

    python3 tools/pythons.py [VERSION …]

It looks in PATH, in pyenv's versions and where uv keeps its own. One that is not found is said, and is no
failure; the exit status is 1 if a test has failed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VERSIONS = ("3.11", "3.12", "3.13", "3.14")
QUICK = "not airflow and not slow"


def candidates(version: str) -> Iterator[Path]:
    """Where an interpreter of a version may be."""
    on_path = shutil.which(f"python{version}")
    if on_path:
        yield Path(on_path)
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    for pattern in (f"{version}.*", f"cpython-{version}.*"):
        for folder in (pyenv / "versions", data / "uv" / "python"):
            yield from sorted(folder.glob(f"{pattern}/bin/python{version}"))


def find(version: str) -> Path | None:
    """An interpreter of that version that works (a shim may stand for none), or None."""
    code = "import sys, venv; print('%d.%d' % sys.version_info[:2])"
    for place in candidates(version):
        ended = subprocess.run([place, "-c", code], capture_output=True, text=True, check=False)
        if ended.stdout.strip() == version:
            return place
    return None


def run(python: Path, version: str) -> str:
    """Make the environment of an interpreter and run the tests there; say how it ended."""
    if subprocess.run([python, ROOT / "tools" / "environment.py", "python"], check=False).returncode:
        return "FAILED: no environment"
    command = [ROOT / f".venv-python{version}" / "bin" / "python", "-m", "pytest", "-n", "2", "-m", QUICK]
    return "FAILED" if subprocess.run(command, cwd=ROOT, check=False).returncode else "passed"


def main(wanted: Sequence[str] = ()) -> int:
    """Run on every version that is found, or on those that are named; then say once more how each ended."""
    results = {}
    for version in wanted or VERSIONS:
        python = find(version)
        print(f"\n===== Python {version}: {python or 'not found'}", flush=True)
        results[version] = run(python, version) if python else "NOT RUN: there is no such interpreter here"
    print()
    for version, result in results.items():
        print(f"Python {version:6} {result}")
    return any(result.startswith("FAILED") for result in results.values())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
