"""The hook of pre-commit, really run: installed from this checkout, by the recipe of the page."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.clients import environments
from tests.clients.conftest import clean_environment
from tests.pool_spec.documents import GOOD, with_change

pytestmark = pytest.mark.clients

ROOT = Path(__file__).parents[2]
MINUTES_TO_INSTALL = 15
WRONG = with_change("properties.vmSize", "Standard D2s v5")
DOUBTFUL = with_change("properties.vmsize", GOOD["properties"]["vmSize"])
RECIPE = re.compile(r"```yaml\n# \.pre-commit-config\.yaml\n(.*?)```", re.DOTALL)
NO_INDEX = re.compile(r"Could not find a version|Failed to establish|Temporary failure in name resolution")


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=tests", "-c", "user.email=tests@example.invalid")
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose owner has followed the recipe, with this checkout in the place of the release."""
    if not (ROOT / ".git").exists():
        pytest.skip("this is no git checkout, and pre-commit installs from one")
    folder = tmp_path_factory.mktemp("repository")
    found = RECIPE.search((ROOT / "docs" / "documents.md").read_text("utf-8"))
    assert found is not None
    recipe: Any = yaml.safe_load(found[1])
    recipe["repos"][0] |= {"repo": str(ROOT), "rev": git(ROOT, "rev-parse", "HEAD")}
    (folder / ".pre-commit-config.yaml").write_text(yaml.safe_dump(recipe))
    (folder / "pools").mkdir()
    git(folder, "init", "-q")
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pre-commit installs the hook, once for all tests here."""
    return tmp_path_factory.mktemp("cache")


def hook(repository: Path, cache: Path, **documents: Any) -> tuple[int, str]:
    """Commit these pool documents, as their owner would, with the hook looking at them first."""
    for old in (repository / "pools").iterdir():
        old.unlink()
    for name, document in documents.items():
        (repository / "pools" / f"{name}.json").write_text(json.dumps(document, indent=1))
    git(repository, "add", "-A")
    done = subprocess.run(
        [*environments.module("precommit", "pre_commit"), "run"],
        cwd=repository,
        capture_output=True,
        text=True,
        timeout=60 * MINUTES_TO_INSTALL,
        env=clean_environment(PRE_COMMIT_HOME=str(cache)),
        check=False,
    )
    if done.returncode == 3 and NO_INDEX.search(done.stdout + done.stderr):
        pytest.skip("pre-commit found no package index to install the hook from")
    return done.returncode, done.stdout + done.stderr


@pytest.mark.timeout(60 * MINUTES_TO_INSTALL)
def test_a_right_document_may_be_committed(repository: Path, cache: Path) -> None:
    status, said = hook(repository, cache, good=GOOD)
    assert status == 0, said
    assert re.search(r"Check Azure Batch pool documents\.+Passed", said)


@pytest.mark.timeout(60 * MINUTES_TO_INSTALL)
@pytest.mark.parametrize(
    "document", [WRONG, DOUBTFUL], ids=["an error", "a warning, as the recipe is strict"]
)
def test_a_wrong_document_may_not(repository: Path, cache: Path, document: Any) -> None:
    status, said = hook(repository, cache, good=GOOD, bad=document)
    assert status == 1, said
    assert "Failed" in said
    assert re.search(r"pools/bad\.json:\d+:\d+: (error|warning): ", said)
    assert "pools/good.json" not in said


@pytest.mark.timeout(60 * MINUTES_TO_INSTALL)
def test_what_is_no_pool_document_is_not_looked_at(repository: Path, cache: Path) -> None:
    (repository / "README.json").write_text("{")
    status, said = hook(repository, cache)
    assert (status, "no files to check" in said) == (0, True), said
