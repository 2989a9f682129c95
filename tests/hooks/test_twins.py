"""No REST call is written twice, sync and async: both ways run the same value."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import airflow_batchext.hooks

HOOKS = Path(airflow_batchext.hooks.__file__).parent
MOST_LINES_IN_COMMON = 3
#: The one sync and the one async driver.
DRIVERS = {"adrive"}
Function = ast.FunctionDef | ast.AsyncFunctionDef


def twins(source: str) -> dict[str, int]:
    """The async functions that repeat a sync one of their class or module, with the lines in common."""
    found = {}
    for functions in rooms(ast.parse(source)):
        for name, function in functions.items():
            sync = functions.get(name.replace("a", "", 1)) if name.lstrip("_").startswith("a") else None
            if sync is not None and isinstance(function, ast.AsyncFunctionDef):
                found[name] = (lines(sync) & lines(function)).total()
    return found


def rooms(tree: ast.Module) -> Iterator[dict[str, Function]]:
    for room in (tree, *(node for node in ast.walk(tree) if isinstance(node, ast.ClassDef))):
        yield {node.name: node for node in room.body if isinstance(node, Function)}


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
        f"{path.relative_to(HOOKS)}: {name}": count
        for path in sorted(HOOKS.rglob("*.py"))
        for name, count in twins(path.read_text()).items()
        if count > MOST_LINES_IN_COMMON and name not in DRIVERS
    }
    assert not long


def test_there_are_twins_and_one_driver():
    counted = Counter(name for path in HOOKS.rglob("*.py") for name in twins(path.read_text()))
    assert counted["aget_pool"] == 2
    assert counted["adrive"] == 2, "one for requests; one for the rules, of a line"
    assert twins((HOOKS / "_requests.py").read_text())["adrive"] > MOST_LINES_IN_COMMON


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
    "planted", [PLANTED, PLANTED.replace("get_pool", "_read").replace("a_read", "_aread")]
)
def test_a_planted_pair_is_found(planted):
    assert list(twins(planted).values()) == [4]
