"""Run the tests of what one is working on, which is what differs from main; ``make fast`` calls it.

The tests of a module are those of the same name (tests mirror the package), and those that import it. Real
Airflow and what takes long are left out: this is for the minute between two changes, not for a commit.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "airflow_batchext"
#: Which tests are left out: what takes long by itself, and whatever needs real Airflow or more programs.
QUICK = "not airflow and not slow and not long"


def changed(since: str) -> list[str]:
    """The files that differ from what is on a branch, and those that git does not know yet."""
    base = _git("merge-base", since, "HEAD")
    return [*_git("diff", "--name-only", *base), *_git("ls-files", "--others", "--exclude-standard")]


def _git(*words: str) -> list[str]:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.split("\n")[:-1] if done.returncode == 0 else []


def tests_of(file: str, texts: dict[str, str]) -> Iterator[str]:
    """The test files for a changed file.

    :param texts: every test file, with what is in it.
    """
    path = PurePosixPath(file)
    if file in texts:
        yield file
    elif path.parts[0] == "tests" and path.suffix == ".py":
        yield from (test for test in texts if PurePosixPath(test).is_relative_to(path.parent))
    elif path.parts[0] == PACKAGE and path.suffix == ".py":
        folder, name = path.parent.relative_to(PACKAGE), path.stem.lstrip("_")
        module = ".".join(path.with_suffix("").parts).removesuffix(".__init__")
        imports = re.compile(rf"^\s*(?:from|import) {re.escape(module)}\b(?!\.)", re.MULTILINE)
        mirror = str(PurePosixPath("tests", folder, f"test_{name}.py"))
        yield from (test for test, text in texts.items() if test == mirror or imports.search(text))


def main(since: str = "main") -> int:
    """Run them."""
    texts = {
        str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
    }
    files = changed(since)
    chosen = sorted({test for file in files for test in tests_of(file, texts)})
    print(f"{len(files)} files differ from {since}; {len(chosen)} files of tests are about them", flush=True)
    if not chosen:
        return 0
    command = [sys.executable, "-m", "pytest", "-n", "2", "-m", QUICK, *chosen]
    status = subprocess.run(command, cwd=ROOT, check=False).returncode
    return 0 if status == 5 else status  # 5: none of them is quick


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
