"""For tests of one's own DAGs: Airflow, meet the emulator.

As a pytest plugin (``-p airflow_batchext.testing``) it brings the fixtures of
``airflow_batchext.pytest_plugin``; without pytest it is of use too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_batchext.emulator.server import Info


pytest_plugins = ("airflow_batchext.pytest_plugin",)


def airflow_connection(info: Info) -> dict[str, Any]:
    """An Airflow connection of type ``azure_batchext`` to a running emulator, as its service principal.

    As JSON it is the value of ``AIRFLOW_CONN_AZURE_BATCHEXT_DEFAULT``.

    :param info: ``emulator.info``.
    """
    return {
        "conn_type": "azure_batchext",
        "login": info.client_id,
        "password": info.client_secret,
        "extra": {
            "tenant_id": info.tenant_id,
            "subscription_id": info.subscription_id,
            "resource_group": info.resource_group,
            "account_name": info.account,
            "arm_url": info.arm_endpoint,
            "authority": info.authority,
            "ca_bundle": info.ca_bundle,
        },
    }
