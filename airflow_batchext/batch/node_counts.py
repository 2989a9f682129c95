"""How many nodes a pool has or is to have, in the words that both planes of Azure Batch have for it."""

from __future__ import annotations

from airflow_batchext.loose_json.values import as_number, below, total

#: How many dedicated and how many low-priority nodes.
Nodes = tuple[int, int]


def counts(value: object, which: str) -> tuple[object, object]:
    """What an object has for the dedicated and for the low-priority nodes, whatever it is.

    :param which: "target" or "current".
    """
    return below(value, f"{which}DedicatedNodes"), below(value, f"{which}LowPriorityNodes")


def pair(dedicated: object, low_priority: object) -> Nodes | None:
    """Of both kinds; one that is not told is none, as long as the other is."""
    if total(dedicated, low_priority) is None:
        return None
    return as_number(dedicated) or 0, as_number(low_priority) or 0


def nodes(value: object, which: str) -> Nodes:
    """The same of an object; what it does not tell is none."""
    return pair(*counts(value, which)) or (0, 0)
