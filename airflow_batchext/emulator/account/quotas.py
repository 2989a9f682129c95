"""The core quotas of an account, and how many cores a virtual machine has.

The number of cores is read from the name of the size, as Azure forms it; where older series count otherwise
(``Standard_D4`` has eight), a table says so. A size of which nothing is known counts as one core.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from airflow_batchext.emulator.account.lifecycle import ResizeFault

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_batchext.emulator.account.pools import Pool
    from airflow_batchext.emulator.scenario import AccountSettings

_NAME = re.compile(r"^(?:standard_|basic_)?(?P<family>[a-z]+)(?P<number>\d+)", re.IGNORECASE)
_NEW = re.compile(r"_v(?P<version>\d+)$", re.IGNORECASE)
_A_SERIES = {0: 1, 1: 1, 2: 2, 3: 4, 4: 8, 5: 2, 6: 4, 7: 8, 8: 8, 9: 16, 10: 8, 11: 16}
_D_SERIES = {1: 1, 2: 2, 3: 4, 4: 8, 5: 16, 11: 2, 12: 4, 13: 8, 14: 16, 15: 20}
_CODES = {True: "AccountCoreQuotaReached", False: "AccountLowPriorityCoreQuotaReached"}
_MESSAGES = {
    True: "The specified account has reached core quota",
    False: "The specified account has reached low priority core quota",
}


def cores_of(vm_size: str) -> int:
    """How many cores a machine of that size has."""
    match = _NAME.match(vm_size)
    if match is None:
        return 1
    family, number = match["family"].casefold(), int(match["number"])
    new = _NEW.search(vm_size)
    version = int(new["version"]) if new else 1
    if family == "a" and version == 1:
        return _A_SERIES.get(number, number)
    if family in ("d", "ds") and version <= 2:
        return _D_SERIES.get(number, number)
    return max(number, 1)


def node_limits(pool: Pool, pools: Iterable[Pool], settings: AccountSettings) -> dict[bool, int]:
    """How many dedicated (True) and low-priority (False) nodes the quotas leave to a pool."""
    left = {True: settings.dedicated_core_quota, False: settings.low_priority_core_quota}
    for other in pools:
        if other is pool:
            continue
        cores = cores_of(other.definition.properties["vmSize"])
        for node in other.nodes.values():
            if node.history and node.history[-1].state is not None:  # it is not about to leave
                left[node.is_dedicated] -= cores
    cores = cores_of(pool.definition.properties["vmSize"])
    return {kind: max(free, 0) // cores for kind, free in left.items()}


def quota_faults(pool: Pool, limits: dict[bool, int]) -> tuple[ResizeFault, ...]:
    """The errors of a resize to targets that the quotas do not allow."""
    scale = pool.definition.scale
    wanted = {True: scale.dedicated, False: scale.low_priority}
    return tuple(ResizeFault(_CODES[kind], _MESSAGES[kind]) for kind in wanted if wanted[kind] > limits[kind])
