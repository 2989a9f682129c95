"""Mistakes that people make in pool documents, each with what is to be said of it, and no more.

A file of ``corpus/`` says in ``why`` what the mistake is and in ``seen`` where somebody made or met it. It is
either a ``text``, to be read ``as`` a file of that name, or a list of changes to a document that is right.
Paths may begin with ``machine``, ``extension`` (its first) or ``fixed``, for short. What is ``put`` may be
repeated some ``times``. A case may have a ``today`` of its own.
"""

from __future__ import annotations

import copy
import json
import os
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from airflow_batchext.pool_spec import DocumentSyntaxError, Finding, parse_pools, pools_in
from airflow_batchext.pool_spec._check_data_plane import check_data_plane
from airflow_batchext.pool_spec._planes import is_data_plane
from airflow_batchext.pool_spec._sdk_schema import check_pool, data_plane_schema, pool_schema
from tests.pool_spec.documents import EXTENSION, FIXED, GOOD, MACHINE, steps

CORPUS = Path(__file__).with_name("corpus")
#: Each process of the tests reads them all: in C that takes a tenth as long.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
CASES = {path.stem: yaml.load(path.read_text("utf-8"), _LOADER) for path in sorted(CORPUS.glob("*.yaml"))}
SHORT = {"machine": MACHINE, "extension": EXTENSION, "fixed": FIXED}
ROOT = Path(__file__).parents[2]
PAGES = tuple(
    f"https://{page}/" for page in ("learn.microsoft.com", "github.com/Azure", "github.com/MicrosoftDocs")
)
TODAY = date(2026, 6, 1)
"""The page of mistakes says the same on every day."""
EXAMPLES = Path(os.environ.get("BATCHEXT_EXAMPLES", ROOT.parent / "shared" / "azure-batch" / "examples"))


def full(path: str) -> str:
    """A path with its short beginning written out."""
    for short, long in SHORT.items():
        if path == short or path.startswith((f"{short}.", f"{short}[")):
            return long + path[len(short) :]
    return path


def changed(changes: list[dict[str, Any]]) -> Any:
    """A document that is right but for the changes."""
    document: Any = copy.deepcopy(GOOD)
    for change in changes:
        *way, last = steps(full(change.get("at") or change["remove"]))
        node = document
        for step in way:
            node = node[step] if isinstance(step, int) else node.setdefault(step, {})
        if "remove" in change:
            del node[last]
        else:
            node[last] = change["put"] * change["times"] if "times" in change else change["put"]
    return document


def findings_of(case: dict[str, Any]) -> list[Finding]:
    """What is said of a document as `batchext validate` says it: of one of the data plane both."""
    if "text" not in case:
        return check_pool(changed(case["change"]), today=case.get("today", TODAY))
    try:
        (pool,) = parse_pools(case["text"], source=case["as"])
    except DocumentSyntaxError as flaw:
        return [Finding("error", "", flaw.problem, "", line=flaw.line, column=flaw.column)]
    found = check_pool(pool.body, today=TODAY)
    management, data = pool_schema(), data_plane_schema()
    if is_data_plane(pool.body) and management is not None and data is not None:
        found += check_data_plane(pool.body, management, data, lambda body: check_pool(body, pool_id="p"))
    return found


@cache
def findings_of_case(name: str) -> list[Finding]:
    return findings_of(CASES[name])


def test_there_are_as_many_as_promised():
    assert len(CASES) >= 60


@pytest.mark.parametrize("name", CASES)
def test_a_mistake_is_found_and_nothing_else_is(name):
    case = CASES[name]
    findings = findings_of_case(name)
    wanted = [
        (severity, full(entry[severity]), entry["says"])
        for entry in case["expect"]
        for severity in entry
        if severity != "says"
    ]
    assert sorted((finding.severity, finding.path) for finding in findings) == sorted(w[:2] for w in wanted)
    for severity, path, says in wanted:
        (finding,) = [f for f in findings if (f.severity, f.path) == (severity, path)]
        assert says in f"{finding.problem}. {finding.fix}"
        assert "***" not in str(finding)
    assert [f.severity for f in findings] == sorted(f.severity for f in findings)


@pytest.mark.parametrize("name", CASES)
def test_what_a_mistake_is_told_with_leads_on(name):
    for finding in findings_of_case(name):
        assert finding.line is not None or finding.fix
        assert len(str(finding).splitlines()) == 1
        assert finding.link.startswith(PAGES) or not finding.link


def unexpected(findings: list[Finding]) -> list[Finding]:
    """The errors, but for what Azure has retired since its examples were written."""
    return [f for f in findings if f.severity == "error" and "Azure has retired" not in f.problem]


@pytest.mark.skipif(not EXAMPLES.is_dir(), reason=f"there are no examples in {EXAMPLES}")
def test_microsofts_own_examples_give_no_error():
    files = sorted(EXAMPLES.glob("arm/*/examples/PoolCreate_*.json"))
    assert files
    for file in files:
        (pool,) = parse_pools(file.read_text("utf-8"), source=file.name)
        assert pool.name
        assert unexpected(check_pool(pool.body)) == []


@pytest.mark.skipif(not EXAMPLES.is_dir(), reason=f"there are no examples in {EXAMPLES}")
def test_what_microsofts_examples_say_azure_answers_is_a_pool_too():
    """A pool that was read from Azure is a document, with warnings for what nobody can set."""
    files = [file for file in sorted(EXAMPLES.glob("arm/*/examples/Pool*.json")) if "Delete" not in file.name]
    assert len(files) > 5
    for file in files:
        answer = json.loads(file.read_text("utf-8"))["responses"]["200"]["body"]
        assert unexpected(check_pool(answer)) == [], file.name


@pytest.mark.skipif(not EXAMPLES.is_dir(), reason=f"there are no examples in {EXAMPLES}")
def test_microsofts_examples_of_the_data_plane_are_told_to_be_of_the_other_plane():
    files = sorted(EXAMPLES.glob("data-plane/*/examples/Pools_CreatePool_*.json"))
    assert files
    for file in files:
        (pool,) = pools_in(json.loads(file.read_text("utf-8")))
        (finding,) = check_pool(pool.body)
        assert "data plane" in finding.problem


def test_the_page_of_mistakes_is_up_to_date():
    from tests.pool_spec.mistakes import PAGE, page

    assert PAGE.read_text("utf-8") == page(), "run: python -m tests.pool_spec.mistakes"


def test_the_readme_says_how_many_there_are():
    assert f"[{len(CASES)} mistakes](docs/mistakes.md)" in (ROOT / "README.md").read_text("utf-8")


def test_the_page_of_rules_is_up_to_date():
    from tests.pool_spec.rules import PAGE, page

    assert PAGE.read_text("utf-8") == page(), "run: python -m tests.pool_spec.rules"
