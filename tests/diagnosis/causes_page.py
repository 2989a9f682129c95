"""Writes ``docs/causes.md`` from the table of known causes: ``python -m tests.diagnosis.causes_page``."""

from __future__ import annotations

from pathlib import Path

from airflow_batchext.diagnosis import Cause, known_causes

PAGE = Path(__file__).parents[2] / "docs" / "causes.md"
_HEAD = """# Known causes of pools that are not ready

What `batchext diagnose` and `AzureBatchDiagnosePoolOperator` know ([diagnosis.md](diagnosis.md)). This page
is written from [`causes.yaml`](../airflow_batchext/diagnosis/causes.yaml) by
`python -m tests.diagnosis.causes_page`; a test compares the two, and another makes every one of these on the
emulator and sees that it is named first.

How well each is known: **told** by Azure Batch itself, by a code or in words; known **elsewhere**, from the
same extension on ordinary virtual machines, or from the service that it asks; **plausible**, by the rules,
and nobody is known to have reported it. [n] is where. None of them has been seen by us on a real account.

| id | cause | how it shows | what helps | known |
|---|---|---|---|---|
"""


def page() -> str:
    """The page, as it has to be."""
    causes = sorted(known_causes(), key=lambda cause: -cause.weight)
    return _HEAD + "".join(map(_row, causes))


def _row(cause: Cause) -> str:
    places = ", ".join(f"[[{n}]({place})]" for n, place in enumerate(cause.evidence, 1))
    cells = (
        f"`{cause.id}`",
        f"[{cause.title}]({cause.link})",
        cause.seen,
        cause.remedy,
        f"{cause.certainty} {places}",
    )
    return f"| {' | '.join(cell.replace('|', chr(92) + '|').replace('<', '&lt;') for cell in cells)} |\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
