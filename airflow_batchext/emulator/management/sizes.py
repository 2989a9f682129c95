"""The sizes of machines that the emulated location says it offers: a small selection.

How many cores each has comes from `quotas`, so that what is listed and what is counted agree. The names of
the families are those of Azure's quotas, from memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_batchext.emulator.account.quotas import cores_of

if TYPE_CHECKING:
    from airflow_batchext.emulator.wire.http import Json

FAMILIES = {
    "standardAv2Family": ("Standard_A1_v2", "Standard_A2_v2", "Standard_A4_v2", "Standard_A8_v2"),
    "standardDv2Family": ("Standard_D1_v2", "Standard_D2_v2", "Standard_D3_v2", "Standard_D4_v2"),
    "standardDSv2Family": ("Standard_DS1_v2", "Standard_DS2_v2", "Standard_DS3_v2", "Standard_DS4_v2"),
    "standardDSv3Family": ("Standard_D2s_v3", "Standard_D4s_v3", "Standard_D8s_v3", "Standard_D16s_v3"),
    "standardDSv5Family": ("Standard_D2s_v5", "Standard_D4s_v5", "Standard_D8s_v5", "Standard_D64s_v5"),
    "standardESv5Family": ("Standard_E2s_v5", "Standard_E4s_v5", "Standard_E8s_v5", "Standard_E64s_v5"),
    "standardFSv2Family": ("Standard_F2s_v2", "Standard_F4s_v2", "Standard_F8s_v2", "Standard_F72s_v2"),
    "Standard NCASv3_T4 Family": ("Standard_NC4as_T4_v3", "Standard_NC8as_T4_v3", "Standard_NC64as_T4_v3"),
}

SIZES: tuple[Json, ...] = tuple(
    {
        "name": name,
        "familyName": family,
        "capabilities": [
            {"name": "vCPUs", "value": str(cores_of(name))},
            {"name": "LowPriorityCapable", "value": "True"},
        ],
    }
    for family, names in FAMILIES.items()
    for name in names
)
