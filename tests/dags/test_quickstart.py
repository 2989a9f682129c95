"""The DAG that does what the quickstart of Azure Batch does is shorter than that."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "work-compared.md").read_text()
_NOT_CODE = {
    *(tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT),
    tokenize.ENDMARKER,
}


def code_lines(source: str) -> int:
    """How many lines have code: no blank ones, comments, docstrings."""
    strings = {
        line
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    lines = {
        line
        for token in tokens
        if token.type not in _NOT_CODE
        for line in range(token.start[0], token.end[0] + 1)
    }
    return len(lines - strings)


def test_lines_of_code_are_counted():
    assert (
        code_lines(
            '"""Of\nthis."""\n\nimport os  # none\n\n\ndef f(\n    a,\n):\n    """Not."""\n    return os\n'
        )
        == 5
    )


def test_the_page_says_how_long_both_are():
    ours = code_lines((ROOT / "dags" / "batch_quickstart.py").read_text())
    (told,) = re.findall(r"\[`batch_quickstart`\]\(\S+\): (\d+) lines", PAGE)
    (sample,) = re.findall(r"the sample's (\d+)", PAGE)
    (flow,) = re.findall(r"(\d+) of them", PAGE)
    assert ours == int(told)
    assert ours < int(flow) < int(sample)
