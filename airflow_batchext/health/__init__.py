"""How a pool is, at one moment, in one value: what detecting, diagnosing, correcting and telling work on.

``PoolHealth`` holds what the service said of a pool, its nodes and their extensions, and what the gate makes
of it, in the gate's own words. It goes to JSON and back (``to_json``, ``from_json``; ``json_schema``
describes it), holds no secrets, and shows no text of others before it was made safe. Pure: no I/O, no clock,
no Airflow, no Azure SDK. ``hooks.health`` reads one from an account.
"""

from airflow_batchext.health._reading import pool_health
from airflow_batchext.health._snapshot import (
    Count,
    ExtensionAsked,
    ExtensionHealth,
    Fault,
    NodeHealth,
    PoolHealth,
    StartTaskHealth,
    Status,
    Totals,
    from_json,
    json_schema,
    to_json,
)

__all__ = [
    "Count",
    "ExtensionAsked",
    "ExtensionHealth",
    "Fault",
    "NodeHealth",
    "PoolHealth",
    "StartTaskHealth",
    "Status",
    "Totals",
    "from_json",
    "json_schema",
    "pool_health",
    "to_json",
]

# They say where users import them from.
for _name in __all__:
    if hasattr(globals()[_name], "__qualname__"):
        globals()[_name].__module__ = __name__
