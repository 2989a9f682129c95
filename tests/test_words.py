"""Words that were given up do not come back as names: one meaning each, and the field's terms."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
GLOSSARY = (ROOT / "docs" / "architecture.md").read_text().split("\n## Words\n", 1)[1]
#: What was given up, and what it is called now. Parts of names count: ``_is_mending``, ``POOL_LOOKS``.
RETIRED = {
    "ailment": "symptom",
    "course": "wait status, run",
    "fleet": "nodes",
    "healing": "repairing gate",
    "mend": "fix, repair",
    "mended": "fixed, repaired",
    "mending": "repairing",
    "mends": "fixes, repairs",
    "rooms": "endpoints",
    "veil": "redact",
    "veiled": "redacted",
}
#: Classes and constants that many things were called; a look is what a gate does, not a type.
RETIRED_WHOLE = {"Ask", "Look", "PoolSeen", "Trouble", "NODE_LOOKS", "POOL_LOOKS", "EXTENSION_LOOKS"}


def names(source: str) -> Iterator[str]:
    """Every name that a module makes: of classes, functions, parameters, variables and attributes."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()):
                yield name
            case ast.Attribute(attr=name, ctx=ast.Store()):
                yield name


def parts(name: str) -> set[str]:
    """The words of a name, however it is written."""
    return {part.lower() for part in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}


def complaints(source: str) -> list[str]:
    return [
        name for name in names(source) if parts(name) & RETIRED.keys() or name.lstrip("_") in RETIRED_WHOLE
    ]


def test_no_name_is_made_of_a_word_that_was_given_up():
    found = {
        str(path.relative_to(ROOT)): bad
        for path in sorted((ROOT / "airflow_batchext").rglob("*.py"))
        if (bad := complaints(path.read_text()))
    }
    assert not found


def test_no_module_is_called_by_a_word_that_was_given_up():
    modules = [
        path for path in (ROOT / "airflow_batchext").rglob("*") if path.suffix == ".py" or path.is_dir()
    ]
    assert not [str(path) for path in modules if parts(path.stem) & RETIRED.keys()]


@pytest.mark.parametrize(
    "source",
    ["class Healing: ...", "_is_mending = True", "POOL_LOOKS = {}", "def _mend(): ...", "def f(course): ..."],
)
def test_the_test_can_fail(source):
    assert complaints(source)


def test_the_glossary_says_what_is_no_longer_said():
    said = GLOSSARY.split("**Not said any more**", 1)[1]
    for word in ("ailment", "course", "fleet", "healing", "mend", "rooms", "veil"):
        assert f"*{word}*" in said
