"""Make the environments of old and foreign clients, each in a folder of its own under ``.venv-clients``.

They exclude one another (three versions of one library, a command line with libraries of its own), so they
cannot be in the environment of the tests. A file of pins stands for each: ``environments/NAME.txt`` for
Python, which ``tools/environment.py`` makes, ``environments/node.json`` for Node where npm is at hand. What
is made already is left alone.

    python -m tests.clients.environments [NAME …]
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

PINS = Path(__file__).with_suffix("")
ROOT = Path(__file__).parents[2]
HOME = ROOT / ".venv-clients"
NODE = "node"


def program(name: str | None, script: Path) -> list[str]:
    """The command that runs a script in an environment; None is the one of the tests."""
    if name == NODE:
        # Node looks for its modules beside the script and nowhere else.
        return ["node", shutil.copy(script, HOME / NODE)]
    return [sys.executable if name is None else str(_python(name)), str(script)]


def module(name: str, module: str) -> list[str]:
    """The command that runs a module in an environment."""
    return [str(_python(name)), "-m", module]


def has_npm() -> bool:
    """Whether clients for Node can be installed and run."""
    return bool(shutil.which("npm") and shutil.which("node"))


def make(name: str) -> None:
    """Make an environment, unless it is there with the same pins."""
    if name == NODE:
        _make_node()
    else:
        _run(sys.executable, str(ROOT / "tools" / "environment.py"), f"clients/{name}")


def _make_node() -> None:
    pins, folder = PINS / f"{NODE}.json", HOME / NODE
    digest = hashlib.sha256(pins.read_bytes()).hexdigest()
    ready = folder / ".made"
    if ready.exists() and ready.read_text() == digest:
        return
    print(f"{folder.relative_to(ROOT)}: {pins.name}, by npm", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copy(pins, folder / "package.json")
    quiet = ("--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error")
    _run("npm", "install", *quiet, folder=folder)
    ready.write_text(digest)


def names() -> list[str]:
    """The environments that can be made here."""
    found = sorted(path.stem for path in PINS.glob("*.txt"))
    return [*found, NODE] if has_npm() else found


def _python(name: str) -> Path:
    return HOME / name / "bin" / "python"


def _run(*command: str, folder: Path | None = None) -> None:
    subprocess.run(command, cwd=folder, check=True)


if __name__ == "__main__":
    for wanted in sys.argv[1:] or names():
        make(wanted)
