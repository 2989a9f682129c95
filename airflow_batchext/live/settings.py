"""Where the live page is, and where it is a tab. What is set wrongly is left out: Airflow has to start."""

from __future__ import annotations

import logging
from typing import Final

from airflow.providers.common.compat.sdk import conf

log = logging.getLogger(__name__)

#: The page's address, below Airflow's own.
PREFIX: Final = "/batchext"
#: Where the page can be a tab, as Airflow calls the places; of each the parameters that tell which one it is.
TABS: Final = {
    "dag": "?dag_id={DAG_ID}",
    "dag_run": "?dag_id={DAG_ID}&run_id={RUN_ID}",
    "task": "?dag_id={DAG_ID}&task_id={TASK_ID}",
    "task_instance": "?dag_id={DAG_ID}&run_id={RUN_ID}&task_id={TASK_ID}&map_index={MAP_INDEX}",
}


def status_tabs() -> list[str]:
    """Where the page is a tab, too: of ``TABS`` those that ``[batchext] status_tabs`` names."""
    try:
        named = (conf.get("batchext", "status_tabs", fallback="") or "").replace(",", " ").split()
    except Exception as error:  # a file of settings can be wrong in any way; the error may quote values
        log.warning("[batchext] status_tabs cannot be read: %s", type(error).__name__)
        return []
    unknown = sorted(set(named) - set(TABS))
    if unknown:
        log.warning("[batchext] status_tabs: %s is none of %s", ", ".join(unknown), ", ".join(TABS))
    return [tab for tab in TABS if tab in named]
