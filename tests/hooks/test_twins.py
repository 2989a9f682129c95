"""Nothing is written twice, sync and async: both ways run the same value, or the same flow."""

from __future__ import annotations

import ast
import inspect
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import airflow_batchext
from airflow_batchext.hooks.node import AzureBatchNodeHook
from airflow_batchext.hooks.pool import AzureBatchPoolHook

PACKAGE = Path(airflow_batchext.__file__).parent
MOST_LINES_IN_COMMON = 3
#: The one sync and the one async driver.
DRIVERS = {"transport/flows.py: adrive"}
Function = ast.FunctionDef | ast.AsyncFunctionDef


def twins(source: str) -> dict[str, int]:
    """The async functions that repeat a sync one, with the lines in common.

    Their names begin with ``a``, in one class or module; or are the same, in a class ``AsyncX`` of ``X``.
    """
    tree, found = ast.parse(source), {}
    classes = {node.name: methods(node) for node in tree.body if isinstance(node, ast.ClassDef)}
    for name, own in classes.items():
        sync = classes.get(name.removeprefix("Async"), {}) if name.startswith("Async") else {}
        found |= {
            f"{name}.{method}": (lines(sync[method]) & lines(own[method])).total()
            for method in own.keys() & sync.keys()
        }
    for functions in rooms(tree):
        for name, function in functions.items():
            sync = functions.get(name.replace("a", "", 1)) if name.lstrip("_").startswith("a") else None
            if sync is not None and isinstance(function, ast.AsyncFunctionDef):
                found[name] = (lines(sync) & lines(function)).total()
    return found


def rooms(tree: ast.Module) -> Iterator[dict[str, Function]]:
    yield from map(methods, (tree, *(node for node in ast.walk(tree) if isinstance(node, ast.ClassDef))))


def methods(room: ast.Module | ast.ClassDef) -> dict[str, Function]:
    return {node.name: node for node in room.body if isinstance(node, Function)}


def lines(function: Function) -> Counter[str]:
    """The lines of a body, without docstring, and as a sync function would have them."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    text = "\n".join(ast.unparse(statement) for statement in body)
    text = re.sub(r"\b(await|async) ", "", text)
    text = re.sub(r"\bAsync(?=[A-Z])", "", text)
    text = re.sub(r"(?<=[.\s(])(_?)a(?=[a-z_]+\()", r"\1", text)
    return Counter(re.sub(r"[()\s]", "", line) for line in text.splitlines())


def test_no_twins_have_more_than_three_lines_in_common():
    long = {
        f"{path.relative_to(PACKAGE)}: {name}": count
        for path in sorted(PACKAGE.rglob("*.py"))
        for name, count in twins(path.read_text()).items()
        if count > MOST_LINES_IN_COMMON
    }
    assert long.keys() == DRIVERS


def test_the_one_driver_is_found_and_so_are_twins():
    assert twins((PACKAGE / "transport" / "flows.py").read_text())["adrive"] > MOST_LINES_IN_COMMON
    signing = (PACKAGE / "credentials" / "_signing.py").read_text()
    assert {"AsyncSignsWithKey.send", "AsyncSignsWithToken.send"} <= twins(signing).keys()
    assert {"arun", "_asend", "_aread_again"} <= twins((PACKAGE / "hooks" / "_base.py").read_text()).keys()


@pytest.mark.parametrize("hook", [AzureBatchPoolHook, AzureBatchNodeHook])
def test_each_call_is_a_method_in_both_ways_with_its_docstring_and_parameters(hook):
    calls = [name for name in vars(hook) if hasattr(hook, f"a{name}") and name != "get_conn"]
    assert {"get_pool"} < set(calls)
    for name in calls:
        method, amethod = getattr(hook, name), getattr(hook, f"a{name}")
        assert (method.__name__, amethod.__name__) == (name, f"a{name}")
        assert method.__doc__ == amethod.__doc__
        assert method.__doc__
        assert inspect.signature(method) == inspect.signature(amethod)
        assert inspect.iscoroutinefunction(amethod)
        assert not inspect.iscoroutinefunction(method)
    parameters = [*inspect.signature(AzureBatchNodeHook.get_pool).parameters]
    assert parameters == ["self", "pool_id", "select"]


PLANTED = '''
class Hook:
    def get_pool(self, pool_id: str) -> Body:
        """Read a pool."""
        client = self.get_conn()
        with translated(f"read pool {pool_id}"):
            body: Body = client.pool.get(**self._place, pool_name=pool_id).as_dict()
        return body

    async def aget_pool(self, pool_id: str) -> Body:
        """The same."""
        client = await self.aget_conn()
        with translated(f"read pool {pool_id}"):
            body: Body = (await client.pool.get(**self._place, pool_name=pool_id)).as_dict()
        return body
'''


@pytest.mark.parametrize(
    "planted",
    [
        PLANTED,
        PLANTED.replace("get_pool", "_read").replace("a_read", "_aread"),
        PLANTED.replace("    async def aget_pool", "class AsyncHook:\n    async def get_pool"),
    ],
)
def test_a_planted_pair_is_found(planted):
    assert list(twins(planted).values()) == [4]
