"""Checks of what operators and sensors are given, after Airflow has rendered it."""

from __future__ import annotations

import re

from airflow_batchext.exceptions import ParameterError

_POOL_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def check_pool_id(pool_id: object) -> str:
    """A pool id as Azure Batch allows it: 1 to 64 letters, digits, hyphens and underscores.

    :raises ParameterError: if it is anything else.
    """
    if isinstance(pool_id, str) and _POOL_ID.fullmatch(pool_id):
        return pool_id
    shown = repr(pool_id) if isinstance(pool_id, str) else f"a {type(pool_id).__name__}"
    raise ParameterError(
        f"pool_id is {shown[:80]}, but a pool's id has 1 to 64 characters: letters, digits, '-' and '_'."
    )
