"""How many nodes a pool has or is to have, in the words that both planes of Azure Batch have for it."""

from __future__ import annotations

from airflow_batchext.loose_json.values import as_number, below

#: How many dedicated and how many low-priority nodes.
Nodes = tuple[int, int]


def nodes(value: object, which: str) -> Nodes:
    """How many nodes an object tells of, in members of those names.

    :param which: "target" or "current".
    """
    counts = (as_number(below(value, f"{which}{kind}Nodes")) for kind in ("Dedicated", "LowPriority"))
    dedicated, low_priority = (count or 0 for count in counts)
    return dedicated, low_priority
