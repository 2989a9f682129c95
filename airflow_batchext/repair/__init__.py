"""Repairing nodes: which are picked, what is done to them, how often, and when it is of no use.

Pure: no I/O, no clock, no Airflow, no Azure SDK. ``hooks._drivers.repair`` carries out what is decided here.

``policy`` says what may be done; ``symptoms`` what is wrong with a node; ``journal`` is the memory, which
lives in the pool's own metadata, and is believed as far as ``belief`` says; ``planner`` decides what comes
next; ``controller`` says in which order it is read, written down and done (``requests``), and how far it is
(``status``); ``gate`` puts a repair before a gate's failure.
"""

from __future__ import annotations

from airflow_batchext.repair.policy import RepairPolicy

__all__ = ["RepairPolicy"]

# It says where users import it from.
RepairPolicy.__module__ = __name__
