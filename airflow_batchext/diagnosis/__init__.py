"""Why a pool is not ready, and what to do about it: known causes, matched with a snapshot of its health.

The causes are data (``causes.yaml``): how each shows, its remedy, where to read on, its evidence, and how
certain that is; ``docs/causes.md`` lists them. Pure: a snapshot goes in, a diagnosis comes out, and from that
texts (``Report``); no clock, no Airflow, no Azure SDK, and nothing read but the package's own table.
"""

from airflow_batchext.diagnosis._cause import Cause, Certainty, Hit
from airflow_batchext.diagnosis._contents import NodeLogs, not_ready
from airflow_batchext.diagnosis._ranking import Diagnosis, FoundCause, diagnose, known_causes, to_json
from airflow_batchext.diagnosis._report import Report
from airflow_batchext.diagnosis._timeline import Event, timeline

__all__ = [
    "Cause",
    "Certainty",
    "Diagnosis",
    "Event",
    "FoundCause",
    "Hit",
    "NodeLogs",
    "Report",
    "diagnose",
    "known_causes",
    "not_ready",
    "timeline",
    "to_json",
]

# They say where users import them from.
for _name in __all__:
    if hasattr(globals()[_name], "__qualname__"):
        globals()[_name].__module__ = __name__
