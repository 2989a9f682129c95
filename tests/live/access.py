"""An auth manager that knows users, roles, and rights on single DAGs: Airflow's simple one and more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.api_fastapi.auth.managers.models.resource_details import (
    AccessView,
    AssetDetails,
    DagAccessEntity,
    DagDetails,
)
from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager

if TYPE_CHECKING:
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

#: Who may read which DAGs, as they begin; all others all.
ONLY = {
    "otto": "otto_",
    "vera": "rendering",
    "sina": "sizes",
    "dora": "dead",
    "hans": "hostile",
    "eve": "nothing of all",
}
#: Of those who may not read every asset: which, by their ids.
ASSETS: dict[str, set[str]] = {
    "vera": {"71", "72"},
    "otto": set(),
    "nox": set(),
    "sina": set(),
    "dora": {"73"},
    "hans": {"74"},
    "eve": set(),
}
#: Who may read DAGs, but not their XComs.
NO_XCOMS = {"nox"}
USERS = ",".join(("ann:admin", *(f"{name}:viewer" for name in (*ONLY, *sorted(NO_XCOMS), "vic"))))
#: Who, as FAB's viewers, may not see Airflow's list of plugins.
NO_PLUGINS = {"otto"}


class AccessManager(SimpleAuthManager):
    """Rights on DAGs by the user's name."""

    def is_authorized_dag(
        self,
        *,
        method: Any,
        user: SimpleAuthManagerUser,
        access_entity: DagAccessEntity | None = None,
        details: DagDetails | None = None,
    ) -> bool:
        name = user.username
        if access_entity is DagAccessEntity.XCOM and name in NO_XCOMS:
            return False
        if details is not None and details.id and not details.id.startswith(ONLY.get(name, "")):
            return False
        return super().is_authorized_dag(
            method=method, user=user, access_entity=access_entity, details=details
        )

    def is_authorized_asset(
        self, *, method: Any, user: SimpleAuthManagerUser, details: AssetDetails | None = None
    ) -> bool:
        name = user.username
        if details is not None and details.id and details.id not in ASSETS.get(name, {details.id}):
            return False
        return super().is_authorized_asset(method=method, user=user, details=details)

    def is_authorized_view(self, *, access_view: AccessView, user: SimpleAuthManagerUser) -> bool:
        if access_view is AccessView.PLUGINS and user.username in NO_PLUGINS:
            return False
        return bool(user.role) and super().is_authorized_view(access_view=access_view, user=user)
