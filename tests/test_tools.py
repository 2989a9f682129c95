"""What the Makefile calls: environments, the choice of tests for a change, the parts of all tests."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tools import all_tests, changed, environment, pythons, terminal_picture

ROOT = Path(__file__).parents[1]
MAKEFILE = (ROOT / "Makefile").read_text()
TEXTS = {
    "tests/hooks/test_pool.py": "from airflow_batchext.hooks.pool import AzureBatchPoolHook",
    "tests/rules/test_watch.py": "import airflow_batchext.rules.watch as w\n"
    "from airflow_batchext.rules.gate import X",
    "tests/rules/test_gate.py": "from airflow_batchext.rules.gate import Outcome",
    "tests/sensors/test_extension.py": "def f():\n    from airflow_batchext.rules.watch import Watch",
}


def test_every_environment_has_pins_that_are_there():
    for name, made in environment.environments().items():
        files = [word for word in (*made.pins, *made.wanted) if word.endswith(".txt")]
        without = name == "newest"  # is what it is for
        assert without or files or re.fullmatch(r"\S+==[\d.]+", " ".join(made.wanted)), name
        assert all((ROOT / file).is_file() for file in files), name
        assert environment._digest(made) == environment._digest(made)
    assert {"demo", "test", "oldest", "distributed", "audit", "browser"} <= environment.environments().keys()


def test_fabs_environment_differs_from_that_of_the_tests_where_it_has_to():
    """FlaskAppBuilder asks for an older python-dateutil than Airflow has."""
    base, fab = ({*(ROOT / name).read_text().split()} for name in ("constraints.txt", "constraints-fab.txt"))
    assert {pin.partition("==")[0] for pin in base - fab} == {"python-dateutil"}


def test_the_makefile_makes_no_environment_in_another_way():
    assert "pip install" not in MAKEFILE
    assert "venv " not in MAKEFILE.replace("its venv module", "").replace("rm -rf .venv .venv-*", "")
    asked = set(re.findall(r"\$\(ENVIRONMENT\) (\S+)", MAKEFILE))
    assert asked <= environment.environments().keys()


def test_other_pins_or_another_python_make_it_anew(monkeypatch: pytest.MonkeyPatch):
    made = environment.environments()["test"]
    before = environment._digest(made)
    monkeypatch.setattr(sys, "version", "3.99.0 (another)")
    assert environment._digest(made) != before


def test_what_cannot_be_made_is_one_line(monkeypatch: pytest.MonkeyPatch):
    assert "no environment 'nope'; there are demo, test" in str(environment.main(["nope"]))
    monkeypatch.setattr(sys, "version_info", (3, 9, 1, "final", 0))
    monkeypatch.setattr(environment, "_short", lambda: "3.9")
    assert environment.main(["test"]) == (
        "Python 3.11 or later is needed, not 3.9. Name another: make PYTHON=python3.12 …"
    )


@pytest.mark.parametrize("way", ["uv cannot be had", "uv does not get through"])
def test_where_uv_is_of_no_use_pip_goes_on(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """With stand-ins for the commands, as there is no network here."""
    ran: list[str] = []

    def run(command, tell=None, variables=None):
        words = " ".join(map(str, command))
        ran.append(words)
        if "uv==" in words and way == "uv cannot be had":
            raise environment.FailedError("ERROR: No matching distribution found for uv")
        if "bin/uv " in words:
            raise environment.FailedError("error: Failed to fetch")
        if "-m venv" in words:
            Path(command[-1]).mkdir()

    monkeypatch.setattr(environment, "ROOT", tmp_path)
    monkeypatch.setattr(environment, "_run", run)
    for file in ("pyproject.toml", "constraints.txt"):
        (tmp_path / file).write_text("x==1\n")
    environment.make("test")
    assert ran[-1].endswith("install -c constraints.txt --no-build-isolation -e .[dev]")
    said = capsys.readouterr().out
    assert "uv does not get through: " in said
    assert "by pip, which takes a minute longer" in said
    ran.clear()
    environment.make("test")
    assert ran == [], "it is there"


@pytest.mark.parametrize(
    ("file", "chosen"),
    [
        ("airflow_batchext/rules/watch.py", {"tests/rules/test_watch.py", "tests/sensors/test_extension.py"}),
        ("airflow_batchext/rules/gate.py", {"tests/rules/test_watch.py", "tests/rules/test_gate.py"}),
        ("airflow_batchext/hooks/pool.py", {"tests/hooks/test_pool.py"}),
        ("airflow_batchext/sensors/_extension.py", {"tests/sensors/test_extension.py"}),
        ("tests/rules/test_gate.py", {"tests/rules/test_gate.py"}),
        ("tests/rules/conftest.py", {"tests/rules/test_watch.py", "tests/rules/test_gate.py"}),
        ("README.md", set()),
    ],
)
def test_a_change_is_tested_by_the_tests_that_are_about_it(file: str, chosen: set[str]):
    assert set(changed.tests_of(file, TEXTS)) == chosen


def test_each_part_of_all_tests_is_a_target():
    targets = set(re.findall(r"^([\w-]+):", MAKEFILE, re.MULTILINE))
    assert {part.target for part in all_tests.PARTS} <= targets


def test_all_parts_are_run_and_each_is_told_apart(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    parts = (
        all_tests.Part("good", "one"),
        all_tests.Part("bad", "two"),
        all_tests.Part("absent", "three", lambda: "it needs a harp (Debian: apt-get install harp)"),
    )
    monkeypatch.setattr(all_tests, "PARTS", parts)

    def run(command, **_):
        return subprocess.CompletedProcess(command, int(command[-1] == "bad"))

    monkeypatch.setattr(all_tests.subprocess, "run", run)
    assert all_tests.main() == 1
    said = capsys.readouterr().out
    assert re.search(r"^=+ good: one =+$", said, re.MULTILINE)
    assert re.search(r"^good +passed after 0 s$", said, re.MULTILINE)
    assert re.search(r"^bad +FAILED after 0 s$", said, re.MULTILINE)
    assert re.search(r"^absent +NOT RUN: it needs a harp", said, re.MULTILINE)
    monkeypatch.setattr(all_tests, "PARTS", (parts[0], parts[2]))
    assert all_tests.main() == 0, "what cannot be run here is no failure"
    capsys.readouterr()
    assert all_tests.main(["good"]) == 0
    assert "absent" not in capsys.readouterr().out
    assert all_tests.main(["goood"]) == 2
    assert "there is no part goood; there are good, absent" in capsys.readouterr().err


def test_the_pythons_that_are_looked_for_are_those_that_are_claimed():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    claimed = re.findall(r"Python :: (3\.\d+)", " ".join(project["classifiers"]))
    assert set(claimed) <= set(pythons.VERSIONS)
    assert project["requires-python"] == f">={pythons.VERSIONS[0]}" == f">={claimed[0]}"
    assert tuple(map(int, claimed[0].split("."))) == environment.OLDEST_PYTHON


def test_a_python_is_found_that_works_and_no_shim_that_stands_for_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    version = "{}.{}".format(*sys.version_info[:2])
    shims, kept = tmp_path / "shims", tmp_path / "pyenv" / "versions" / f"{version}.9" / "bin"
    for folder, text in (
        (shims, "#!/bin/sh\nexit 127\n"),
        (kept, f'#!/bin/sh\nexec {sys.executable} "$@"\n'),
    ):
        folder.mkdir(parents=True)
        (folder / f"python{version}").write_text(text)
        (folder / f"python{version}").chmod(0o755)
    monkeypatch.setenv("PATH", f"{shims}:/bin")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    assert pythons.find(version) == kept / f"python{version}"
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr(pythons, "run", lambda python, _: "passed" if python.parent == kept else "FAILED")
    assert pythons.main([version, "3.99"]) == 0, "what is not there is no failure"
    said = capsys.readouterr().out
    assert re.search(rf"^Python {version} +passed$", said, re.MULTILINE)
    assert re.search(r"^Python 3.99 +NOT RUN: there is no such interpreter here$", said, re.MULTILINE)
    monkeypatch.setattr(pythons, "run", lambda *_: "FAILED")
    assert pythons.main([version]) == 1


def test_a_picture_of_a_terminal_has_what_is_left_on_it_in_its_colours():
    code = (
        "from rich.live import Live; from rich.console import Console; c = Console(highlight=False)\n"
        "with Live('first\\nsecond', console=c) as l: l.update('[red]third[/]\\nfourth', refresh=True)\n"
        "c.print('end')"
    )
    written = terminal_picture.recorded([sys.executable, "-c", code])
    assert "first" in written
    text = terminal_picture.left(written)
    assert [line.split("m")[-1] for line in re.sub(r"\x1b\[0m", "", text).split("\n")] == [
        "third",
        "fourth",
        "end",
    ]
    svg = terminal_picture.picture(text, "a & b")
    assert "a&#160;&amp;&#160;b" in svg
    assert "first" not in svg
    assert "#f4005f" in svg, "the theme's red"
    assert "url(http" not in svg, "nothing is loaded"
