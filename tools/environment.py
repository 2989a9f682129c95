"""Make the Python environments in which this project is run and tested; the Makefile calls it.

    python3 tools/environment.py NAME …

It needs Python with its ``venv`` module, and nothing that has to be installed first. ``uv`` is put into the
new environment, and uv installs the rest, from the index that pip is configured for. Where uv cannot be had,
or does not get through, pip does it, which takes a minute longer. What is there already, made from the same
pins, is left alone.
"""

from __future__ import annotations

import ast
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UV = "uv==0.13.9"
OLDEST_PYTHON = (3, 11)
_CLIENTS = "tests/clients/environments"
_DISTRIBUTED = "tests/distributed/requirements.txt"
_BROWSER = "tests/browser/requirements.txt"
_FAB = "apache-airflow-providers-fab"
_PACKAGE = "tests/package/requirements.txt"
_SITE = "docs/site/requirements.txt"


@dataclass(frozen=True)
class Environment:
    """What is installed where; paths are relative to the checkout.

    :param folder: the virtual environment.
    :param wanted: what is installed, as pip takes it.
    :param pins: files that say in which versions.
    :param compiles: whether everything is compiled at once, with all cores. Otherwise Python compiles what it
        imports, when it does: a third of it, but one after the other.
    """

    folder: str
    wanted: tuple[str, ...]
    pins: tuple[str, ...] = ("constraints.txt",)
    compiles: bool = True


def environments() -> dict[str, Environment]:
    """Every environment, by its name."""
    found = {
        "demo": Environment(".venv", ("-e", "."), compiles=False),
        "test": Environment(".venv", ("-e", ".[dev]"), compiles=False),
        "browser": Environment(".venv", ("-e", ".[dev]", "-r", _BROWSER)),
        "docs": Environment(".venv", ("-e", ".[dev]", "-r", _SITE)),
        "oldest": Environment(".venv-oldest", ("-e", ".[dev]"), ("constraints-oldest.txt",)),
        "fab": Environment(".venv-fab", ("-e", ".[dev]", _FAB), ("constraints-fab.txt",)),
        "python": Environment(f".venv-python{_short()}", ("-e", ".[dev]")),
        "newest": Environment(".venv-newest", ("-e", ".[dev]"), ()),
        "package": Environment(".venv", ("-e", ".[dev]", "-r", _PACKAGE)),
        "distributed": Environment(
            ".venv-distributed", ("-r", _DISTRIBUTED, "-e", ".[dev]"), ("constraints.txt", _DISTRIBUTED)
        ),
        "sbom": Environment(".venv-sbom", ("cyclonedx-bom==7.5.0",), ()),
        "audit": Environment(".venv-audit", ("pip-audit==2.10.1",), ()),
    }
    for file in sorted((ROOT / _CLIENTS).glob("*.txt")):
        found[f"clients/{file.stem}"] = Environment(
            f".venv-clients/{file.stem}", ("-r", f"{_CLIENTS}/{file.name}"), ()
        )
    return found


class FailedError(Exception):
    """A command has failed; the text is the last that it said."""


class Progress:
    """Says what is being done and how far it is, with the seconds since it began."""

    def __init__(self, what: str, steps: int) -> None:
        self._what = what
        self._steps = steps
        self._step = 0
        self._began = time.monotonic()

    def begin(self, text: str) -> None:
        """Say that the next step begins."""
        self._step += 1
        self.say(f"{self._step}/{self._steps} {text}")

    def say(self, text: str) -> None:
        """Say something of the step that is under way."""
        print(f"{self._what} {time.monotonic() - self._began:5.1f} s  {text}", flush=True)


def make(name: str) -> None:
    """Make an environment, unless it is there with the same pins.

    :raises FailedError: if neither uv nor pip gets through.
    """
    environment = environments()[name]
    folder = ROOT / environment.folder
    stamp, digest = folder / f".made-{name.replace('/', '-')}", _digest(environment)
    if stamp.exists() and stamp.read_text() == digest:
        return
    progress = Progress(environment.folder, 3)
    if _version(folder) == sys.version:
        progress.begin("the environment is there, and is brought up to date")
    else:
        progress.begin(f"an empty environment with Python {_short()}")
        shutil.rmtree(folder, ignore_errors=True)
        bare = ["--without-pip"] if _wheel_of_pip() else []
        _run([sys.executable, "-m", "venv", *bare, str(folder)])
    try:
        progress.begin(f"{UV}, from the package index")
        _get_uv(folder)
        progress.begin(f"{_words(environment)}, by uv")
        _install_with_uv(folder, environment, progress)
    except FailedError as problem:
        progress.say(f"uv does not get through: {problem}")
        progress.say(f"{_words(environment)}, by pip, which takes a minute longer")
        _install_with_pip(folder, environment, progress)
    stamp.write_text(digest)
    progress.say("made")


def _install_with_uv(folder: Path, environment: Environment, progress: Progress) -> None:
    def tell(line: str) -> None:
        if line.startswith(("Resolved", "Prepared", "Installed", "Bytecode", "Downloading")):
            progress.say(f"    {line}")

    pins = [word for name in environment.pins for word in ("--constraints", name)]
    builds = ["--build-constraints", environment.pins[0]] if environment.pins else []
    compiles = ["--compile-bytecode"] if environment.compiles else []
    command = [str(folder / "bin" / "uv"), "pip", "install", "--python", str(_python(folder))]
    _run([*command, *pins, *builds, *compiles, *environment.wanted], tell, _index_of_pip(folder))


def _install_with_pip(folder: Path, environment: Environment, progress: Progress) -> None:
    collected: list[str] = []

    def tell(line: str) -> None:
        if line.startswith("Collecting "):
            collected.append(line)
            if len(collected) % 25 == 0:
                progress.say(f"    {len(collected)} packages found")
        elif line.startswith("Installing collected packages"):
            progress.say(f"    installing {line.count(',') + 1} packages")

    pins = [word for name in environment.pins for word in ("-c", name)]
    # pip builds nothing by the pins unless what builds is there before.
    if "-e" in environment.wanted:
        _run([*_pip(folder), "install", *pins, "hatchling", "editables"])
        pins.append("--no-build-isolation")
    _run([*_pip(folder), "install", *pins, *environment.wanted], tell)


def _get_uv(folder: Path) -> None:
    if not (folder / "bin" / "uv").exists():
        _run([*_pip(folder), "install", "--quiet", "--no-compile", UV])


def _index_of_pip(folder: Path) -> dict[str, str]:
    """Variables that send uv where pip goes, which it does not ask by itself: a mirror, a certificate."""
    names = {"index-url": "UV_DEFAULT_INDEX", "cert": "SSL_CERT_FILE"}
    lines: list[str] = []
    try:
        _run([*_pip(folder), "config", "list"], lines.append)
    except FailedError:  # an old pip
        return {}
    found: dict[str, str] = {}
    for line in lines:
        key, _, value = line.partition("=")
        variable = names.get(key.rpartition(".")[2])
        if variable and variable not in os.environ:
            found[variable] = str(ast.literal_eval(value))
    return found


def _pip(folder: Path) -> list[str]:
    """The command of pip: run from the wheel that Python carries, as to install it takes seconds."""
    wheel = _wheel_of_pip()
    return [str(_python(folder)), *([str(wheel / "pip")] if wheel else ["-m", "pip"])]


def _wheel_of_pip() -> Path | None:
    try:
        import ensurepip
    except ImportError:
        return None
    places = (Path(ensurepip.__file__).parent / "_bundled", Path("/usr/share/python-wheels"))
    return next((wheel for place in places for wheel in sorted(place.glob("pip-*.whl"))), None)


def _run(
    command: Sequence[str],
    tell: Callable[[str], None] = lambda line: None,
    variables: Mapping[str, str] | None = None,
) -> None:
    """Run a command in the checkout, with its lines to ``tell``.

    :raises FailedError: if it fails.
    """
    last = ""
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **(variables or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as running:
        for line in running.stdout or ():
            last = line.strip() or last
            tell(line.strip())
    if running.returncode != 0:
        raise FailedError(last or f"{command[0]} ended with status {running.returncode}")


def _digest(environment: Environment) -> str:
    files = [word for word in (*environment.pins, *environment.wanted) if word.endswith(".txt")]
    texts = [(ROOT / name).read_bytes() for name in ("pyproject.toml", *files)]
    return hashlib.sha256(b"\0".join([repr((environment, sys.version)).encode(), *texts])).hexdigest()


def _python(folder: Path) -> Path:
    return folder / "bin" / "python"


def _version(folder: Path) -> str:
    """What ``sys.version`` is in an environment; nothing where there is none that works."""
    try:
        command = [str(_python(folder)), "-c", "import sys; print(sys.version)"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def _short() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _words(environment: Environment) -> str:
    return " ".join(word for word in environment.wanted if word not in ("-e", "-r"))


def main(names: Sequence[str]) -> str | int:
    """Make the environments that are named; return what was wrong, or 0."""
    if sys.version_info < OLDEST_PYTHON:
        oldest = ".".join(map(str, OLDEST_PYTHON))
        return f"Python {oldest} or later is needed, not {_short()}. Name another: make PYTHON=python3.12 …"
    known = environments()
    for name in names:
        if name not in known:
            return f"there is no environment {name!r}; there are {', '.join(known)}"
        try:
            make(name)
        except FailedError as problem:
            return f"the environment {name} could not be made: {problem}"
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
