"""Build what goes to the index: airflow-batchext, and its emulator alone; ``make dist`` calls it.

    python -m tools.distributions [FOLDER]

``batchext-emulator`` is made from the same tree. The emulator imports nothing of the rest, so all that is
changed is its name: both distributions can be installed side by side, and neither has a file of the other's.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from airflow_batchext import __version__
from hatch_build import urls

ROOT = Path(__file__).resolve().parent.parent
_EMULATOR = ROOT / "airflow_batchext" / "emulator"
#: What the emulator imports, by the names of the distributions; a test compares.
DEPENDENCIES = ("cryptography", "pydantic", "pyjwt", "pyyaml", "starlette", "uvicorn")
_NAMES = (("airflow_batchext.emulator", "batchext_emulator"), ("batchext emulator", "batchext-emulator"))
_LEFT_OUT = ("Apache Airflow", "Pytest", "Plugins")
_PYPROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "batchext-emulator"
version = {version}
description = "An emulator of Azure Batch for tests, near enough that the real SDKs work with it."
readme = "README.md"
requires-python = {requires_python}
license = "Apache-2.0"
license-files = ["LICENSE"]
keywords = ["azure", "batch", "emulator", "mock", "testing"]
classifiers = {classifiers}
dependencies = {dependencies}
urls = {{ {urls} }}

[project.scripts]
batchext-emulator = "batchext_emulator.__main__:main"

[tool.hatch.build.targets.wheel]
packages = ["batchext_emulator"]
"""


def lay_out(to: Path) -> None:
    """Write the tree of ``batchext-emulator`` into a folder that is not there yet."""
    package = to / "batchext_emulator"
    shutil.copytree(_EMULATOR, package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "py.typed").touch()
    for file in package.rglob("*.py"):
        text = file.read_text("utf-8")
        for before, after in _NAMES:
            text = text.replace(before, after)
        file.write_text(text, "utf-8")
    shutil.copy(ROOT / "deploy" / "emulator" / "README.md", to)
    shutil.copy(ROOT / "LICENSE", to)
    (to / "pyproject.toml").write_text(_pyproject(), "utf-8")


def _pyproject() -> str:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    project: dict[str, Any] = settings["project"]
    addresses = settings["tool"]["hatch"]["metadata"]["hooks"]["custom"]
    wanted = [text for text in project["dependencies"] if re.split(r"[><=]", text)[0] in DEPENDENCIES]
    kept = [text for text in project["classifiers"] if not any(word in text for word in _LEFT_OUT)]
    told = urls(addresses["documentation"], addresses["source"])
    return _PYPROJECT.format(
        version=json.dumps(__version__),
        requires_python=json.dumps(project["requires-python"]),
        classifiers=json.dumps(kept),
        dependencies=json.dumps(wanted),
        urls=", ".join(f"{name} = {json.dumps(url)}" for name, url in told.items()),
    )


def build(to: Path, targets: Sequence[str] = ("sdist", "wheel")) -> list[Path]:
    """Build both distributions anew; return the files."""
    tree = ROOT / "build" / "emulator"
    for folder in (to, tree):
        shutil.rmtree(folder, ignore_errors=True)
    lay_out(tree)
    for root in (ROOT, tree):
        wanted = [word for target in targets for word in ("-t", target)]
        command = [sys.executable, "-m", "hatchling", "build", *wanted, "-d", str(to)]
        subprocess.run(command, cwd=root, check=True, stdout=subprocess.DEVNULL)
    return sorted(to.iterdir())


if __name__ == "__main__":
    for built in build(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "dist"):
        print(f"{built.stat().st_size / 1024:8,.0f} KiB  {built}")
