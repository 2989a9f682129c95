"""The check of what stands in a body of the data plane, told at its own places.

That it is one, and not ARM's, is told by `check_document`. Here its members are compared with those that the
data plane knows, and the rules are applied to what ARM would be asked for instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_batchext.pool_spec._check_shape import check_shape
from airflow_batchext.pool_spec._finding import Finding, error
from airflow_batchext.pool_spec._planes import UNKNOWN, data_plane_path, to_management_plane

if TYPE_CHECKING:
    from airflow_batchext.pool_spec._schema import Schema

_PAGE = "https://learn.microsoft.com/rest/api/batchservice/pools/create-pool"


def check_data_plane(
    body: Mapping[str, Any],
    management: Schema,
    data: Schema,
    check: Callable[[dict[str, Any]], list[Finding]],
) -> list[Finding]:
    """Say what is wrong within a body of the data plane.

    :param check: the check of a body of the management plane.
    """
    converted = to_management_plane(body, management, data)
    lost = dict(converted.lost)
    found = [replace(finding, link=_PAGE) for finding in check_shape(body, data) if finding.path in lost]
    named = {finding.path for finding in found}
    found += [
        error(path, why, "Take it out", _PAGE)
        for path, why in lost.items()
        if path not in named and why != UNKNOWN
    ]
    meant = [finding.meant for finding in found if finding.meant]
    for finding in check(converted.body):
        placed = replace(finding, path=data_plane_path(finding.path))
        if not (placed.problem.endswith("is missing") and placed.path in meant):
            found.append(placed)
    return found
