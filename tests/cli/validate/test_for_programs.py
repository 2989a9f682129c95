"""What programs and CI rely on: the schema of ``--json``, the exit statuses, the hook of pre-commit."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import jsonschema
import pytest
import yaml

from airflow_batchext.cli.main import main
from tests.pool_spec.documents import GOOD, with_change
from tests.pool_spec.test_corpus import CASES, changed

ROOT = Path(__file__).parents[3]
SCHEMA = json.loads((ROOT / "docs" / "validate.schema.json").read_text("utf-8"))
#: Made once: `jsonschema.validate` looks at the schema itself each time.
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
PAGE = (ROOT / "docs" / "documents.md").read_text("utf-8")
WARNED = with_change("properties.vmSize", "STANDARD_D2S_V5")
WRONG = with_change("properties.vmSize", "Standard D2s v5")


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("name", CASES)
def test_what_is_printed_for_programs_is_as_the_schema_says(name, tmp_path, capsys):
    case = CASES[name]
    file = tmp_path / case.get("as", "pool.json")
    file.write_text(case["text"] if "text" in case else json.dumps(changed(case["change"])))
    status = main(["validate", "--json", str(file)])
    printed = json.loads(capsys.readouterr().out)
    VALIDATOR.validate(printed)
    assert status == (1 if printed["errors"] else 0)
    findings = [finding for pool in printed["pools"] for finding in pool["findings"]]
    assert printed["errors"] + printed["warnings"] == len(findings)


@pytest.mark.parametrize(
    ("document", "arguments", "status"),
    [
        (GOOD, [], 0),
        (GOOD, ["--strict"], 0),
        (WARNED, [], 0),
        (WARNED, ["--strict"], 1),
        (WRONG, [], 1),
        (GOOD, ["missing.json"], 2),
        (WRONG, ["missing.json"], 2),
    ],
)
def test_exit_statuses(document, arguments, status, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("pool.json").write_text(json.dumps(document))
    assert main(["validate", "pool.json", *arguments]) == status
    capsys.readouterr()


def test_the_hook_of_pre_commit_runs_the_command_on_pool_documents(tmp_path, monkeypatch, capsys):
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))
    for name in ("pools/p.json", "dags/pools/p.yaml", "pools/deep/p.yml"):
        assert re.search(hook["files"], name)
    for name in ("pools.json", "dags/p.json", "pools/p.py"):
        assert not re.search(hook["files"], name)
    monkeypatch.chdir(tmp_path)
    Path("good.json").write_text(json.dumps(GOOD))
    Path("wrong.json").write_text(json.dumps(WRONG))
    program, *arguments = shlex.split(hook["entry"])
    assert program == "batchext"
    assert main([*arguments, "good.json"]) == 0
    assert main([*arguments, "good.json", "wrong.json"]) == 1
    assert hook["id"] in PAGE
    capsys.readouterr()


def test_the_recipes_of_the_page_are_yaml_and_name_commands_that_exist():
    recipes = re.findall(r"```yaml\n(# \.[^\n]+\n.*?)```", PAGE, re.DOTALL)
    assert len(recipes) == 2
    for recipe in recipes:
        assert yaml.safe_load(recipe)
        assert "batchext" in recipe
