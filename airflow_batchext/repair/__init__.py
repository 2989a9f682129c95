"""Mending nodes: which are picked, what is done to them, how often, and when it is of no use.

Pure: no I/O, no clock, no Airflow, no Azure SDK. ``hooks.repairing`` carries out what is decided here.

``policy`` says what may be done; ``seen`` and ``ailments`` what pool and nodes are like; ``journal`` is the
memory, which lives in the pool's own metadata; ``planning`` decides what comes next; ``course`` says in
which order it is read, written down and done (``asks``), and how far it is (``progress``); ``healing`` puts a
repair behind a gate.
"""

from __future__ import annotations

from airflow_batchext.repair.policy import RepairPolicy

__all__ = ["RepairPolicy"]
