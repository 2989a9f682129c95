"""The files for a public host: they call targets that are there, and claim no run that has not been.

Their own validators read them in ``tests/package/test_schemas.py``.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools import all_tests, pythons, release

ROOT = Path(__file__).parents[1]
HOST = ROOT / ".github"
FILES = sorted(path for path in HOST.rglob("*") if path.is_file())
WORKFLOWS = sorted((HOST / "workflows").glob("*.yml"))
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([\w-]+):", MAKEFILE, re.MULTILINE))
PYPROJECT = '[tool.hatch.metadata.hooks.custom]\ndocumentation = "https://d.example/x"\nsource = "https://s.example"\n'


def read(file: Path) -> dict[str, Any]:
    return yaml.safe_load(file.read_text())


def jobs(file: Path) -> dict[str, Any]:
    return read(file)["jobs"]


def steps(file: Path) -> list[dict[str, Any]]:
    return [step for job in jobs(file).values() for step in job["steps"]]


def made(file: Path) -> set[str]:
    """The targets that a workflow makes, those of its matrix among them."""
    matrices = [job.get("strategy", {}).get("matrix", {}) for job in jobs(file).values()]
    named = {row["target"] for matrix in matrices for row in matrix.get("include", ())}
    lines = " ".join(step.get("run", "") for step in steps(file) if step.get("run", "").startswith("make "))
    return named | {word for word in lines.split() if re.fullmatch(r"[a-z-]+", word) and word != "make"}


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_a_workflow_calls_what_the_makefile_has(file: Path):
    if file.stem != "release":
        assert made(file)
    assert made(file) <= TARGETS
    for job in jobs(file).values():
        assert job["timeout-minutes"] <= 180


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_a_workflow_may_do_little_and_runs_nobodys_moving_code(file: Path):
    assert read(file)["permissions"] == {"contents": "read"}
    for step in steps(file):
        if "uses" in step:
            assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", step["uses"]), step["uses"]
            assert re.search(rf"{re.escape(step['uses'])}  # v\d+\.\d+\.\d+$", file.read_text(), re.MULTILINE)
        # What somebody else may have written gets into a shell as a variable only.
        assert "${{" not in step.get("run", "")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_it_says_that_it_has_not_run(file: Path):
    assert re.match(r"(#|<!--) (Has not run|Not used) yet", file.read_text())


def test_each_python_that_is_claimed_and_each_part_is_run_somewhere():
    (run,) = [job for name, job in jobs(HOST / "workflows" / "test.yml").items() if name == "run"]
    rows = run["strategy"]["matrix"]["include"]
    versions = [version for version in pythons.VERSIONS if version != "3.14"]
    assert sorted({row["python"] for row in rows}) == versions
    assert {part.target for part in all_tests.PARTS} <= made(HOST / "workflows" / "nightly.yml")


def test_nothing_is_released_that_was_not_checked_built_used_and_attested():
    package = jobs(HOST / "workflows" / "release.yml")["package"]["steps"]
    told = [step.get("run") or step["uses"].partition("@")[0] for step in package]
    order = ("release-check", "test-package", "sbom", "attest", "upload")
    places = [next(place for place, text in enumerate(told) if word in text) for word in order]
    assert places == sorted(places)
    publish = jobs(HOST / "workflows" / "release.yml")["publish"]
    assert publish["needs"] == "package"
    assert publish["permissions"] == {"id-token": "write"}, "no token is kept"
    assert publish["environment"] == "pypi"
    assert "secrets." not in (HOST / "workflows" / "release.yml").read_text()


def test_before_a_commit_the_same_is_done_as_by_make_lint():
    hooks = [hook for repo in read(ROOT / ".pre-commit-config.yaml")["repos"] for hook in repo["hooks"]]
    lint = re.search(r"^lint:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)[1]
    wanted = [line.strip().removeprefix("$(BIN)/").removesuffix(" .") for line in lint.splitlines()]
    assert [hook["entry"].removesuffix(" --force-exclude") for hook in hooks] == wanted
    for hook in hooks:
        (dependency,) = hook["additional_dependencies"]
        assert f"{dependency}\n" in (ROOT / "constraints.txt").read_text()


@pytest.mark.parametrize(
    ("tag", "changelog", "pyproject", "said"),
    [
        ("v1.2.3", "## 1.2.3, 2026-12-01\n", PYPROJECT, ""),
        ("1.2.3", "## 1.2.3, 2026-12-01\n", PYPROJECT, "the tag has to be v1.2.3"),
        ("v1.2.4", "## 1.2.3, 2026-12-01\n", PYPROJECT, "the tag has to be v1.2.3"),
        ("", "## 1.2.3, 2026-12-01\n", PYPROJECT, "the tag has to be v1.2.3"),
        ("v1.2.3", "## 1.2.3, not released yet\n", PYPROJECT, "no heading '## 1.2.3, YYYY-MM-DD'"),
        ("v1.2.3", "## 1.2.30, 2026-12-01\n", PYPROJECT, "no heading '## 1.2.3, YYYY-MM-DD'"),
        ("v1.2.3", "## 1.2.3, 2026-12-01\n", PYPROJECT.replace("https://s.example", ""), "source in [tool"),
        ("v1.2.3", "## 1.2.3, 2026-12-01\n", PYPROJECT.replace("https://d", "http://d"), "documentation in"),
    ],
)
def test_what_keeps_a_tag_from_being_released_is_said(tag: str, changelog: str, pyproject: str, said: str):
    found = "\n".join(release.problems(tag, "1.2.3", changelog, pyproject))
    assert said in found if said else not found


def test_a_page_that_a_release_makes_untrue_is_named():
    assert list(release.outdated("README.md", "It is not on\nPyPI yet.")) == [
        "README.md says that it is not on PyPI yet"
    ]
    assert list(release.outdated("README.md", "pip install airflow-batchext")) == []
