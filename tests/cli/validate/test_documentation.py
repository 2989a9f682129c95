"""What docs/documents.md shows is what happens."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from airflow_batchext.cli.main import main
from airflow_batchext.pool_spec._sdk_schema import check_pool

PAGE = Path(__file__).parents[3] / "docs" / "documents.md"


def block(language: str) -> str:
    """The first block of code of a language."""
    found = re.search(rf"```{language}\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert found
    return found[1]


def test_the_output_that_is_shown_is_what_is_printed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    file = Path("pools/p1.yaml")
    file.parent.mkdir()
    file.write_text(block("yaml"))
    assert block("console") == f"$ batchext validate {file}\n"
    assert main(["validate", str(file)]) == 1
    assert capsys.readouterr().out == block("text")


def test_the_document_that_is_built_is_right():
    names: dict[str, Any] = {}
    exec(block("python"), names)
    document = names["document"]
    document["properties"]["scaleSettings"]["fixedScale"]["targetDedicatedNodes"] = 2
    findings = check_pool(document, pool_id="p")
    # The id in the text is cut short.
    assert [finding.path for finding in findings] == [
        f"identity.userAssignedIdentities['{names['IDENTITY'][:63]}…']"
    ]
