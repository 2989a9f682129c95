"""The plugin by which Airflow's API server serves the live page; nothing else of Airflow is touched.

Every process of Airflow loads it, so it imports nothing that works: the page itself comes with ``routes``,
which only the API server asks for.
"""

from __future__ import annotations

import logging
from functools import cached_property
from typing import Any, Final
from urllib.parse import urlsplit

from airflow.plugins_manager import AirflowPlugin
from airflow.providers.common.compat.sdk import conf

from airflow_batchext.links import status_page
from airflow_batchext.live.settings import PREFIX, TABS, status_tabs

log = logging.getLogger(__name__)

#: The page inside Airflow's frame is ``plugin/`` and this.
ROUTE: Final = "batch-pools"
_NAME: Final = "Batch pools"


class BatchextPlugin(AirflowPlugin):
    """*Browse → Batch pools*: what the gates of this Airflow see, live."""

    name = "batchext"

    @cached_property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """The page and its data; kept, as Airflow's list of plugins reads this at every call."""
        if not status_page():
            return []
        try:
            from airflow_batchext.live.routes import app

            served = app()
        except Exception:  # an API server without the page is better than none
            log.exception("The live page of Batch pools is not served")
            return []
        return [{"app": served, "url_prefix": PREFIX, "name": _NAME}]

    @cached_property
    def external_views(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """The entry in the menu *Browse*, and the tabs that were asked for."""
        if not status_page():
            return []
        page = f"{_base_path()}{PREFIX}/"
        menu = {"destination": "nav", "category": "browse", "url_route": ROUTE}
        tabs = [
            {
                "destination": tab,
                "url_route": f"{ROUTE}-{tab.replace('_', '-')}",
                "href": f"{page}{TABS[tab]}",
            }
            for tab in status_tabs()
        ]
        return [{"name": _NAME, "href": page, **view} for view in (menu, *tabs)]


def _base_path() -> str:
    """The path of Airflow's address, such as ``/team/airflow``; "" where it has none."""
    try:
        return urlsplit(conf.get("api", "base_url", fallback="") or "").path.rstrip("/")
    except ValueError:
        return ""
