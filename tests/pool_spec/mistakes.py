"""Writes ``docs/mistakes.md`` from the corpus: ``python -m tests.pool_spec.mistakes``."""

from __future__ import annotations

import re
from pathlib import Path

from tests.pool_spec.test_corpus import CASES, SHORT, findings_of

PAGE = Path(__file__).parents[2] / "docs" / "mistakes.md"
_HEAD = """\
# Mistakes that are found

What `batchext validate` and `AzureBatchCreatePoolOperator` say of mistakes that people make in pool
documents. An **error** stops the operator before anything is sent; a warning goes to the log. This page is
written from [`tests/pool_spec/corpus`](../tests/pool_spec/corpus) by `python -m tests.pool_spec.mistakes`,
and a test compares the two. Besides these, every member that the installed azure-mgmt-batch does not know is
found, every value of a wrong type, and everything required that is missing.

In paths, *machine* is `properties.deploymentConfiguration.virtualMachineConfiguration`, *extension* its
`extensions[0]`, and *fixed* `properties.scaleSettings.fixedScale`. [n] is where somebody made or met it.

| mistake | where | what is said |
|---|---|---|
"""

# Python's own words for a flaw in JSON, and the version of the SDK.
_VARIES = re.compile(r"(?<=not valid JSON) \([^)]*\)|(?<=azure-mgmt-batch) [\d.]+")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def _short(path: str) -> str:
    for short, long in sorted(SHORT.items(), key=lambda item: -len(item[1])):
        if path == long or path.startswith((f"{long}.", f"{long}[")):
            return f"*{short}*" + (f"`{path[len(long) :]}`" if path != long else "")
    return f"`{path}`" if path else "the document"


def page() -> str:
    """The page as it ought to be."""
    rows = []
    for case in CASES.values():
        seen = f" [[n]({case['seen']})]" if "seen" in case else ""
        for number, finding in enumerate(findings_of(case)):
            said = f"{finding.problem}. {finding.fix}".strip()
            said = _VARIES.sub("", said)
            said = said if said.endswith(("?", ".")) else f"{said}."
            severity = "**error**" if finding.severity == "error" else "warning"
            why = "" if number else f"{_cell(case['why'])}{seen}"
            rows.append(f"| {why} | {_short(finding.path)} | {severity}: {_cell(said)} |")
    return _HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
