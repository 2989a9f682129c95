"""What tells one Airflow from another that uses the same Batch account.

Tasks of one run have to agree on it, on whatever machine they are, over years; so it is taken from what all
machines of a deployment share, and only from that.
"""

from __future__ import annotations

import os
from hashlib import sha256
from ipaddress import ip_address
from urllib.parse import urlsplit

from airflow.providers.common.compat.sdk import conf

from airflow_batchext.parameters import refused

LONGEST_NAME = 100
_KEY_DIGITS = 16


def deployment() -> str:
    """The name of this Airflow, or "" where nothing tells it from others.

    It is ``[batchext] deployment``; else the address of its web page (``[api] base_url``), unless that is
    this machine's; else what stands for ``[core] fernet_key``, unless each worker may have one of its own.

    :raises ParameterError: if the name that is configured is too long, or not one line.
    """
    name = (conf.get("batchext", "deployment", fallback="") or "").strip()
    if name:
        if len(name) > LONGEST_NAME or not name.isprintable():
            wanted = f", but it has to be one line of up to {LONGEST_NAME} characters."
            raise refused("[batchext] deployment", name, wanted)
        return name
    return _address(conf.get("api", "base_url", fallback="") or "") or _key()


def _address(url: str) -> str:
    """Host, port and path: what else may stand in a URL is nobody's business."""
    try:
        parts = urlsplit(url.strip())
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        return ""
    if not host or _is_local(host):
        return ""
    shown = f"{host}:{port}" if port else host
    return f"{shown}{parts.path.rstrip('/')}"[:LONGEST_NAME]


def _is_local(host: str) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    return address.is_loopback or address.is_unspecified


def _key() -> str:
    # Airflow makes up a key where it finds none, and workers on other machines do without the common one.
    is_common = any(name.startswith("AIRFLOW__CORE__FERNET_KEY") for name in os.environ)
    if not is_common and conf.get("core", "executor", fallback="LocalExecutor") != "LocalExecutor":
        return ""
    keys = [key.strip() for key in (conf.get("core", "fernet_key", fallback="") or "").split(",")]
    # While keys are rotated, the oldest is the last.
    return f"key-{sha256(keys[-1].encode()).hexdigest()[:_KEY_DIGITS]}" if keys[-1] else ""
