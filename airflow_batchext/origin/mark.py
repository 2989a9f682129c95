"""The mark of a run on a pool that it made for itself: an item of the pool's metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from airflow_batchext.batch.data_plane import RUN_ITEM
from airflow_batchext.loose_json.values import as_mapping, as_sequence, as_text, below

_VERSION = 1
#: Airflow's own limit of the ids of DAGs, runs and tasks.
_LONGEST_ID = 250
_LONGEST_MARK = 4096


class MarkError(ValueError):
    """There is a mark, but it cannot be understood."""


@dataclass(frozen=True, slots=True)
class Maker:
    """Who made a pool for a run.

    :param deployment: the name of the Airflow, as ``origin.deployment`` gives it.
    :param map_index: of a mapped task, else -1.
    """

    deployment: str
    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1

    def to_json(self) -> dict[str, Any]:
        """The maker as plain JSON."""
        return asdict(self)

    def __str__(self) -> str:
        task = self.task_id if self.map_index < 0 else f"{self.task_id} [{self.map_index}]"
        return f"task {task} of run {self.run_id} of DAG {self.dag_id}"


def maker_of(context: Mapping[str, Any], deployment: str) -> Maker | None:
    """The task instance of a context as a maker; None where it is none, as in unit tests."""
    ti = context.get("ti")
    names = [getattr(ti, name, None) for name in ("dag_id", "run_id", "task_id")]
    map_index = getattr(ti, "map_index", -1)
    if not all(map(_is_id, names)) or not isinstance(map_index, int):
        return None
    dag_id, run_id, task_id = map(str, names)
    return Maker(deployment, dag_id, run_id, task_id, max(map_index, -1))


def marked(body: Mapping[str, Any], maker: Maker | None) -> dict[str, Any]:
    """The body of a request (management plane) with this mark instead of any other; or with none."""
    properties = as_mapping(body.get("properties"))
    items = [i for i in as_sequence(properties.get("metadata")) if below(i, "name") != RUN_ITEM]
    if maker is not None:
        value = json.dumps({"v": _VERSION, **maker.to_json()}, ensure_ascii=False, separators=(",", ":"))
        items.append({"name": RUN_ITEM, "value": value})
    return {**body, "properties": {**properties, "metadata": items}}


def read_mark(body: object) -> Maker | None:
    """The mark on a pool (management plane), or None.

    :raises MarkError: if there is one that cannot be understood.
    """
    found = [
        below(item, "value")
        for item in as_sequence(below(body, "properties", "metadata"))
        if below(item, "name") == RUN_ITEM
    ]
    if not found:
        return None
    try:
        (text,) = map(as_text, found)
        told = as_mapping(json.loads(text if len(text) <= _LONGEST_MARK else ""))
    except (ValueError, RecursionError):
        raise MarkError(f'the metadata item "{RUN_ITEM}" cannot be understood') from None
    names = [told.get(name) for name in ("dag_id", "run_id", "task_id")]
    deployment: Any = told.get("deployment")
    map_index: Any = told.get("map_index")
    is_number = isinstance(map_index, int) and not isinstance(map_index, bool) and map_index >= -1
    is_named = isinstance(deployment, str) and len(deployment) <= _LONGEST_ID
    if told.get("v") != _VERSION or not (is_number and is_named and all(map(_is_id, names))):
        raise MarkError(f'the metadata item "{RUN_ITEM}" cannot be understood')
    dag_id, run_id, task_id = map(str, names)
    return Maker(deployment, dag_id, run_id, task_id, map_index)


def _is_id(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _LONGEST_ID
