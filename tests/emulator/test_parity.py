"""``docs/parity.md`` tells the truth: its witnesses exist, and nothing is left out or made up.

The routes of the emulator and the operations of both SDKs are held against the page's tables: each is in
those of what is modelled or in that of what is not, and what is not modelled answers 501.
"""

from __future__ import annotations

import ast
import inspect
import re
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from azure.batch._operations import _operations as data_plane
from azure.mgmt.batch.operations import _operations as management_plane

from airflow_batchext.emulator.scenarios.answers import Answers

from .pool_documents import account_path, raw, raw_data

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from airflow_batchext.emulator import Emulator

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs" / "parity.md").read_text(encoding="utf-8")
SUBSCRIPTION = "/subscriptions/{subscription}"
GROUP = f"{SUBSCRIPTION}/resourceGroups/{{group}}"
ACCOUNT = f"{GROUP}/providers/Microsoft.Batch/batchAccounts/{{account}}"
SHORT = {"SUBSCRIPTION": SUBSCRIPTION, "GROUP": GROUP, "ACCOUNT": ACCOUNT}

Operation = tuple[str, str]


def rows(heading: str) -> Iterator[list[str]]:
    """The cells of the table under a heading, without its head."""
    section = PAGE.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    for line in section.splitlines():
        if line.startswith("|") and not line.startswith("|---"):
            yield [cell.strip() for cell in line.strip("|").split("|")]


def operations(heading: str) -> list[Operation]:
    """The operations in the first column, in a form in which the names of parameters do not count."""
    found = []
    for first, *_ in rows(heading):
        for code in re.findall(r"`([A-Z]+ [^`]+)`", first):
            method, path = code.split(" ", 1)
            start = re.match(r"[A-Z]+(?=/|$)", path)
            if start:
                path = SHORT[start[0]] + path[start.end() :]
            found.append((method, plain(path)))
    return found


def plain(path: str) -> str:
    return re.sub(r"\{\w+\}", "{}", path).rstrip("/").lower()


MODELLED = [
    *operations("Operations of the data plane"),
    *operations("Operations of the management plane"),
    *operations("Operations of the sign-in"),
]
NOT_MODELLED = operations("Not modelled")


@cache
def named_in(file: str) -> set[str]:
    path = TESTS / (file if file.startswith("clients/") else f"emulator/{file}")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}


def operations_of(sdk: ModuleType) -> Iterator[Operation]:
    """Every operation of an SDK, from the functions in it that build its requests."""
    for name, build in vars(sdk).items():
        if not re.fullmatch(r"build_\w+_request", name):
            continue
        arguments: dict[str, Any] = {}
        if 'kwargs.pop("content_type")' in inspect.getsource(build):
            arguments["content_type"] = "application/json"
        for parameter in inspect.signature(build).parameters.values():
            if parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD:
                is_time = "datetime" in str(parameter.annotation)
                arguments[parameter.name] = datetime.now(UTC) if is_time else "QQQ"
        request = build(**arguments)
        yield request.method, plain(request.url.partition("?")[0].replace("QQQ", "{}"))


def test_each_operation_is_named_once() -> None:
    everything = MODELLED + NOT_MODELLED
    assert sorted({name for name in everything if everything.count(name) > 1}) == []


def test_each_witness_exists() -> None:
    witnesses = re.findall(r"`((?:\w+/)?test_\w+\.py)::(\w+)`", PAGE)
    assert len(witnesses) > 100
    assert [(file, test) for file, test in witnesses if test not in named_in(file)] == []


@pytest.mark.parametrize(
    "heading",
    [
        "Clients",
        "Operations of the data plane",
        "Operations of the management plane",
        "Operations of the sign-in",
        "Rules",
    ],
)
def test_each_row_has_a_witness(heading: str) -> None:
    _, *found = rows(heading)
    for what, *_, witness in found:
        assert "::test_" in witness or what.startswith("**"), what


def test_each_route_is_on_the_page(running: Emulator) -> None:
    routers = (running._management._router, running._data._router, running._sign_in._router)
    routes = set()
    for method, pattern, _ in (route for router in routers for route in router._routes):
        path = re.sub(r"\(\?P<\w+>\[\^/\]\+\)", "{}", pattern.pattern).strip("^$").removesuffix("/?")
        routes.add((method, plain(path.replace("\\", ""))))
    browser = {name for name in NOT_MODELLED if "authorize" in name[1]}
    assert routes == set(MODELLED) | browser


@pytest.mark.parametrize("sdk", [data_plane, management_plane], ids=["data", "management"])
def test_each_operation_of_the_sdks_is_on_the_page(sdk: ModuleType) -> None:
    found = set(operations_of(sdk))
    assert len(found) > 40
    assert sorted(found - set(MODELLED) - set(NOT_MODELLED)) == []


@pytest.mark.parametrize(("method", "path"), NOT_MODELLED, ids=" ".join)
def test_what_is_not_modelled_says_so(emulator: Emulator, method: str, path: str) -> None:
    ask = raw if path.startswith(("/subscriptions", "/providers")) else raw_data
    here = path.replace(plain(ACCOUNT), account_path(emulator))
    here = here.replace("/subscriptions/{}", f"/subscriptions/{emulator.info.subscription_id}")
    here = here.replace("{}", "some")
    answer = ask(emulator, method, here)
    assert answer.status_code == 501
    if method == "HEAD":
        return
    assert "does not model" in answer.text
    if "authorize" not in path:  # the sign-in writes its errors otherwise
        assert here in answer.text
        body = answer.json()
        assert body.get("error", body)["code"] == "NotImplemented"


def test_each_unknown_is_on_the_page_with_its_default() -> None:
    _, *found = rows("Unknown")
    told = {}
    for what, default, _ in found:
        setting, value = re.match(r"`(\w+)`", what), re.match(r"`([^`]+)`", default)
        assert setting
        assert value
        told[setting[1]] = value[1]
    assert told == {name: str(value) for name, value in Answers().model_dump().items()}


def test_each_rule_says_how_it_is_known() -> None:
    rules = [cells for cells in rows("Rules") if not cells[0].startswith("**")][1:]
    assert len(rules) > 60
    for rule, source, *_ in rules:
        assert source.startswith(("recorded", "documented", "reported", "chosen")), rule
