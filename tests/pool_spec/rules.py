"""Writes ``docs/rules.md`` from the corpus and the tables: ``python -m tests.pool_spec.rules``."""

from __future__ import annotations

import re
from pathlib import Path

from airflow_batchext.batch.retirements import AGENTS, EXTENSIONS, IMAGES, SIZES
from tests.pool_spec.test_corpus import CASES, findings_of

PAGE = Path(__file__).parents[2] / "docs" / "rules.md"
_HEAD = """\
# Rules of pool documents, and where each comes from

What `batchext validate` and `AzureBatchCreatePoolOperator` hold a document against, each with the page that
says so and the mistake of [the corpus](../tests/pool_spec/corpus) that shows it. Rules without a page are
about the document itself, or follow from the models of the installed azure-mgmt-batch, which are read at the
first check. This page is written by `python -m tests.pool_spec.rules`, and a test compares the two. Where the
emulator judges otherwise is listed, with the reason, in
[`tests/pool_spec/test_agreement.py`](../tests/pool_spec/test_agreement.py).

| what is said | how grave | source | shown by |
|---|---|---|---|
"""
_RETIRED = """
## What Azure has retired, or will

An error where new pools are known to be refused, else a warning from half a year before.

| what | ends | refused by now | source |
|---|---|---|---|
"""
_NAMES = re.compile(r"'[^']*'|\b\d[\d.]*\b|(?<=azure-mgmt-batch) [\d.]+|(?<=not valid JSON) \([^)]*\)")


def page() -> str:
    """The page as it ought to be."""
    rows: dict[tuple[str, str], tuple[str, list[str]]] = {}
    for name, case in CASES.items():
        for finding in findings_of(case):
            said = _NAMES.sub("…", finding.problem)
            _, shown = rows.setdefault((said, finding.severity), (finding.link, []))
            if name not in shown:
                shown.append(name)
    lines = [
        f"| {_cell(said)} | {severity} | {_source(link)} | {', '.join(f'`{name}`' for name in shown[:3])} |"
        for (said, severity), (link, shown) in sorted(rows.items())
    ]
    retired = [
        f"| `{_cell(entry.pattern)}` | {entry.ends} | {'yes' if entry.is_refused else 'not known'} "
        f"| [page]({entry.source}) |"
        for entry in (*AGENTS, *IMAGES, *SIZES, *EXTENSIONS)
    ]
    return _HEAD + "\n".join(lines) + "\n" + _RETIRED + "\n".join(retired) + "\n"


def _source(link: str) -> str:
    return f"[page]({link})" if link else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
