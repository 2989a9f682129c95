"""Signing in at Microsoft Entra: one construction for sync and async clients, one cache for a process.

A task makes a hook or two; a triggerer runs hundreds of gates over the same few connections. So tokens are
kept per identity, not per client: see ``_tokens``. Credentials themselves live for one request, so that
whatever they read (a file with a federated token, a certificate) is read anew each time.
"""

from airflow_batchext.credentials._account_key import AccountKey, AsyncAccountKey, forget_keys
from airflow_batchext.credentials._construction import make_credential
from airflow_batchext.credentials._proxy import hidden_proxy
from airflow_batchext.credentials._signing import (
    AsyncSignsWithKey,
    AsyncSignsWithToken,
    SignsWithKey,
    SignsWithToken,
)
from airflow_batchext.credentials._tokens import AsyncSharedCredential, SharedCredential, forget_tokens

__all__ = [
    "AccountKey",
    "AsyncAccountKey",
    "AsyncSharedCredential",
    "AsyncSignsWithKey",
    "AsyncSignsWithToken",
    "SharedCredential",
    "SignsWithKey",
    "SignsWithToken",
    "forget_keys",
    "forget_tokens",
    "hidden_proxy",
    "make_credential",
]
