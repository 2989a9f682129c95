"""`make bench`: measures everything side by side, prints it, and writes it into docs/bench.md.

    python -m benchmarks [gate] [sdk] [triggerer] [live] [page] [imports] [opening] [many] [work] [emulator]

Without names it is all of them but ``work``, which takes 40 minutes; each replaces its own part of the page.
"""

from __future__ import annotations

import argparse
import os
import re
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from benchmarks import emulator, gate, imports, live, live_page, many, opening, sdk, triggerer, work
from benchmarks.machine import machine

PAGE = Path(__file__).parent.parent / "docs" / "bench.md"
PARTS: dict[str, Callable[[], str]] = {
    "gate": gate.report,
    "sdk": sdk.report,
    "triggerer": triggerer.report,
    "live": live.report,
    "page": live_page.report,
    "imports": imports.report,
    "opening": opening.report,
    "many": many.report,
    "work": work.report,
    "emulator": emulator.report,
}
#: Is measured where it is named alone.
SLOW = ("work",)


def replaced(page: str, name: str, text: str) -> str:
    """The page with this text as the part of that name."""
    part = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    if not part.search(page):
        raise SystemExit(f"{PAGE} has no part {name}")
    when = f"*{machine()}; {datetime.now().astimezone().date()}*"
    return part.sub(lambda found: f"{found[1]}\n{text.strip()}\n\n{when}\n\n{found[2]}", page)


def main() -> None:
    """Measure the parts that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], default=[], metavar="PART")
    for name in parser.parse_args().parts or [part for part in PARTS if part not in SLOW]:
        text = PARTS[name]()
        print(f"\n{name}\n\n{text}", flush=True)
        PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8"), name, text), encoding="utf-8")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="batchext-bench-") as home:
        os.environ.setdefault("AIRFLOW_HOME", home)
        main()
