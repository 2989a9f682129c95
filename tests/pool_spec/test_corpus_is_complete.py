"""The corpus has an example of each thing that the checks of documents can say, by its place in the code."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from airflow_batchext import pool_spec
from tests.pool_spec.test_corpus import CASES, findings_of

CHECKS = sorted(Path(pool_spec.__file__).parent.glob("_check*.py"))
MAKERS = ("error", "warning", "missing", "end_of")
"""What makes a finding: where one is not yielded, its making is where it is said."""
ELSEWHERE = {
    '"Give the body of a pool"': "of what is no document at all: test_check.py",
    '"Fix those that are told, and check again"': "of more than anybody reads: test_sdk_schema.py",
}
"""What no document of the corpus can have said, by its fix."""


def places_of(file: Path) -> set[int]:
    """The lines of a module where something is said."""
    source = file.read_text("utf-8")
    lines = source.splitlines()
    found = set()
    for node in ast.walk(ast.parse(source)):
        is_made = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in MAKERS
        is_told = isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple)  # made by who asked
        if is_made or is_told or isinstance(node, ast.Yield):
            found.add(node.lineno)
    return {line for line in found if not any(fix in lines[line - 1] for fix in ELSEWHERE)}


def not_reached(places: dict[str, set[int]]) -> set[tuple[str, int]]:
    """Those of the lines, by file, that do not run while the whole corpus is checked."""
    left = {file: set(lines) for file, lines in places.items()}
    inside: dict[CodeType, set[int]] = {}  # the lines of interest in each function

    def in_line(frame: FrameType, event: str, argument: object) -> Any:
        left[frame.f_code.co_filename].discard(frame.f_lineno)
        return in_line

    def in_call(frame: FrameType, event: str, argument: object) -> Any:
        code = frame.f_code
        lines = left.get(code.co_filename)
        if not lines:
            return None
        if code not in inside:
            inside[code] = {line for _, _, line in code.co_lines() if line in lines}
        return None if inside[code].isdisjoint(lines) else in_line

    before = sys.gettrace()
    sys.settrace(in_call)
    try:
        for case in CASES.values():
            findings_of(case)
            if not any(left.values()):
                break
    finally:
        sys.settrace(before)
    return {(file, line) for file, lines in left.items() for line in lines}


def test_each_thing_that_can_be_said_is_in_the_corpus():
    places = {str(file): places_of(file) for file in CHECKS}
    assert sum(map(len, places.values())) > 150
    source = "".join(file.read_text("utf-8") for file in CHECKS)
    assert all(source.count(fix) == 1 for fix in ELSEWHERE)
    without = sorted(f"{Path(file).name}:{line}" for file, line in not_reached(places))
    assert not without, "no mistake in tests/pool_spec/corpus has this said"
