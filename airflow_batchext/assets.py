"""Airflow assets that stand for pools: how DAGs say that they wait for one, or make one ready.

    azbatch://ACCOUNT/POOL                  the pool is ready
    azbatch://ACCOUNT/POOL?event=failed     an extension failed on one of its nodes
    azbatch://ACCOUNT/POOL?event=lost       a node that was ready is so no more

An asset of the first kind is named by a gate in its ``outlets``, or watched; those of the other kinds can
only be watched (``triggers.events``). Every DAG file that names one loads this module, and parsing is hot.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import SplitResult, urlsplit

from airflow.sdk import Asset

from airflow_batchext.defaults import DEFAULT_CONN_ID, DEFAULT_NODE_GRACE_SECONDS
from airflow_batchext.exceptions import ParameterError
from airflow_batchext.parameters import check_mapping, check_text, one_of, optional, refused

if TYPE_CHECKING:
    from airflow.sdk import AssetWatcher

SCHEME = "azbatch"

_ACCOUNT = re.compile(r"[a-z0-9]{3,24}(\.[a-z0-9]+)?")
_POOL_ID = re.compile(r"[a-z0-9_-]{1,64}")
_EVENTS = ("ready", "failed", "lost")
Event = Literal["ready", "failed", "lost"]


def batch_pool_asset(
    account: str,
    pool_id: str,
    *,
    event: Event = "ready",
    group: str | None = None,
    extra: dict[str, Any] | None = None,
    watchers: Sequence[AssetWatcher] = (),
) -> Asset:
    """The asset of a pool. Its name is its URI, which is the same however account and pool are spelt.

    :param account: name of the Batch account; with its region (``name.westeurope``) if accounts in several
        regions have the same name.
    :param pool_id: the pool, in letters of any case: to Azure ids that differ in it alone are the same.
    :param event: what of the pool it stands for.
    :param group: as of any asset.
    :param extra: as of any asset; no secrets: it is shown in Airflow's web page.
    :param watchers: what watches it; see ``watched_pool_asset``.
    :raises ParameterError: if there can be no such pool.
    """
    account, pool_id = check_text("account", account), check_text("pool_id", pool_id)
    one_of(*_EVENTS)("event", event)
    optional(check_text)("group", group)
    optional(check_mapping)("extra", extra)
    if not isinstance(watchers, (list, tuple)):
        raise refused("watchers", watchers, ", but it has to be a list of watchers.")
    uri = f"{SCHEME}://{account}/{pool_id}".lower() + ("" if event == "ready" else f"?event={event}")
    _check(account.lower(), pool_id.lower(), event)
    more: dict[str, Any] = {"group": group, "extra": extra, "watchers": list(watchers)}
    return Asset(uri, uri, **{name: value for name, value in more.items() if value})


def watched_pool_asset(
    account: str,
    pool_id: str,
    *,
    event: Event = "ready",
    azure_batchext_conn_id: str = DEFAULT_CONN_ID,
    poll_interval: float | timedelta | None = None,
    extension_names: Sequence[str] | None = None,
    min_nodes: int | None = None,
    node_grace: float | timedelta = DEFAULT_NODE_GRACE_SECONDS,
    group: str | None = None,
    extra: dict[str, Any] | None = None,
) -> Asset:
    """The asset of a pool that Airflow's triggerer watches: each event of it starts the DAGs on its schedule.

    :param account: the name of the Batch account.
    :param pool_id: the pool, which need not exist yet.
    :param event: what starts them, as in ``batch_pool_asset``.
    :param azure_batchext_conn_id: Airflow connection to the account.
    :param poll_interval: seconds (or a timedelta) between looks; by default ``[batchext] poll_interval``.
    :param extension_names: the extensions that count; by default all that the pool asks for.
    :param min_nodes: how many ready nodes are enough; by default the pool's own target.
    :param node_grace: for how many seconds (or a timedelta) a node may be unusable before it has failed.
    :param group: the asset's group in Airflow.
    :param extra: what the asset carries.
    :raises ParameterError: if there can be no such pool.
    """
    from airflow.sdk import AssetWatcher

    from airflow_batchext.triggers.events import AzureBatchPoolEventTrigger

    one_of(*_EVENTS)("event", event)
    given: dict[str, Any] = {
        "pool_id": pool_id,
        "azure_batchext_conn_id": azure_batchext_conn_id,
        "events": [event],
        "poll_interval": poll_interval,
        "extension_names": extension_names,
        "min_nodes": min_nodes,
        "node_grace": node_grace,
    }
    # It checks them, and keeps what a triggerer can read.
    trigger = AzureBatchPoolEventTrigger(**given)
    watcher = AssetWatcher(name=f"{pool_id} {event}", trigger=trigger)
    return batch_pool_asset(account, pool_id, event=event, group=group, extra=extra, watchers=[watcher])


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """What Airflow does with each URI of the scheme: one way to write it, and none that means no pool.

    :param uri: ``azbatch://ACCOUNT/POOL``, in parts.
    :raises ParameterError: if it names no pool; it is a ``ValueError``, as Airflow wants it.
    """
    account, pool_id = uri.netloc.lower(), uri.path.removeprefix("/").lower()
    event = uri.query.removeprefix("event=") if uri.query else "ready"
    _check(account, pool_id, event)
    query = "" if event == "ready" else f"event={event}"
    return uri._replace(netloc=account, path=f"/{pool_id}", query=query)


def convert_asset_to_openlineage(asset: Asset, lineage_context: Any) -> Any:
    """The dataset of OpenLineage that an asset of a pool is; its provider asks for it (``provider_info``).

    :param asset: of the scheme of this package.
    :param lineage_context: what asks.
    """
    from airflow.providers.common.compat.openlineage.facet import Dataset

    parts = urlsplit(asset.uri)
    return Dataset(namespace=f"{SCHEME}://{parts.netloc}", name=parts.path.removeprefix("/"))


def pool_lineage(
    task: Any, *, writes: bool = False, change: Literal["", "CREATE", "OVERWRITE", "DROP"] = ""
) -> Any:
    """What a task reads or makes of its pool, as OpenLineage's provider asks for it when the task has ended.

    The dataset is the one of ``batch_pool_asset``, so who waits for it comes after who made the pool.

    :param writes: whether the pool is what it makes, and not what it reads.
    :param change: what has become of the pool, where it was made or is gone.
    :return: an ``OperatorLineage``; None where the connection does not say of which account the pool is.
    """
    from airflow.providers.common.compat.openlineage.facet import (
        Dataset,
        LifecycleStateChange,
        LifecycleStateChangeDatasetFacet,
    )
    from airflow.providers.common.compat.sdk import AirflowException, BaseHook
    from airflow.providers.openlineage.extractors import (  # type: ignore[import-not-found,unused-ignore]
        OperatorLineage,
    )

    from airflow_batchext.connection import parse_connection
    from airflow_batchext.links import pool_of

    try:
        account = parse_connection(BaseHook.get_connection(task.azure_batchext_conn_id)).account_name
    except AirflowException:  # the task itself has failed with it, in more words
        return None
    pool_id = pool_of(task)
    if not account or not pool_id:
        return None
    facets = {}
    if change:
        kind = LifecycleStateChange[change]
        facets["lifecycleStateChange"] = LifecycleStateChangeDatasetFacet(lifecycleStateChange=kind)
    namespace, name = f"{SCHEME}://{account}".lower(), pool_id.lower()
    pool = Dataset(namespace=namespace, name=name, facets=facets)
    return OperatorLineage(outputs=[pool]) if writes else OperatorLineage(inputs=[pool])


def _check(account: str, pool_id: str, event: str) -> None:
    if _ACCOUNT.fullmatch(account) and _POOL_ID.fullmatch(pool_id) and event in _EVENTS:
        return
    raise ParameterError(
        f"{SCHEME}://{account[:80]}/{pool_id[:80]} ({event[:20]}) names no pool: it is "
        f"{SCHEME}://ACCOUNT/POOL, with ?event=failed or ?event=lost for these; ACCOUNT has 3 to 24 letters "
        "and digits, and may be followed by a dot and the region; POOL has 1 to 64 letters, digits, '-', '_'."
    )
