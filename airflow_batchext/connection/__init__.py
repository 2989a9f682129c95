"""What an Airflow connection says about an Azure Batch account: where it is and how to sign in.

Three connection types are understood:

``azure_batchext`` (ours)
    Every field of ``BatchConnection``; login and password are the client id and its secret.

``azure_batch`` (Airflow's own Azure provider)
    Login and password are the account's name and key, ``account_url`` is in the extra. It has no
    subscription, so it serves the data plane alone, unless our fields are added to its extra.

``azure`` (Airflow's own Azure provider)
    Login and password are a service principal; ``tenantId`` and ``subscriptionId`` are in the extra. It
    knows no Batch account: add ``resource_group`` and ``account_name`` to its extra.

Nothing here signs in or sends anything: see ``airflow_batchext.credentials``.
"""

from airflow_batchext.connection._endpoints import Origin, origin_of
from airflow_batchext.connection._fields import CONN_TYPE, BatchConnection, SignInKind, account_endpoint_url
from airflow_batchext.connection._parse import parse_connection

__all__ = [
    "CONN_TYPE",
    "BatchConnection",
    "Origin",
    "SignInKind",
    "account_endpoint_url",
    "origin_of",
    "parse_connection",
]
