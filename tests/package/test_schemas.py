"""The files for a public host, read by validators that know what that host takes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.package
ROOT = Path(__file__).parents[2]
HOST = ROOT / ".github"
CHECK = Path(sys.executable).with_name("check-jsonschema")
SCHEMAS = {
    "github-workflows": [*(HOST / "workflows").glob("*.yml")],
    "dependabot": [HOST / "dependabot.yml"],
    "github-issue-forms": [HOST / "ISSUE_TEMPLATE" / name for name in ("bug.yml", "wish.yml")],
    "github-issue-config": [HOST / "ISSUE_TEMPLATE" / "config.yml"],
}


def valid(schema: str, *files: Path) -> bool:
    command = [CHECK, "--builtin-schema", f"vendor.{schema}", *files]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("schema", SCHEMAS)
def test_its_validator_takes_it(schema: str):
    assert SCHEMAS[schema]
    assert valid(schema, *SCHEMAS[schema])


def test_each_file_has_a_validator():
    checked = {file for files in SCHEMAS.values() for file in files}
    assert set(HOST.rglob("*.yml")) == checked


@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_validator_refuses_what_is_wrong(schema: str, tmp_path: Path):
    wrong = tmp_path / "wrong.yml"
    wrong.write_text(SCHEMAS[schema][0].read_text() + "\nnonsense_member: [1]\n")
    assert not valid(schema, wrong)
