"""Reads what ``as_dict()`` of older SDKs' models gives: members in snake_case, ``properties`` in one level.

So do azure-mgmt-batch to 18 and azure-batch to 14; what is built on them, such as Ansible's modules, prints
the same. The newer SDKs give the names of the REST API.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from airflow_batchext.loose_json.documents import at, is_list

_OF_ANSIBLE: Final = frozenset({"resource_group", "batch_account_name"})
_TELLING: Final = frozenset({"vm_size", "deployment_configuration", "virtual_machine_configuration"})
_OF_THE_DATA_PLANE: Final = frozenset(
    {
        *("virtual_machine_configuration", "target_dedicated_nodes", "target_low_priority_nodes"),
        *("enable_auto_scale", "auto_scale_formula", "enable_inter_node_communication"),
    }
)
_AT_THE_TOP: Final = frozenset({"id", "name", "type", "etag", "identity", "tags", "system_data"})
_FREE: Final = frozenset({"settings", "protected_settings", "tags", "resource_tags"})
"""What lies below these is the user's: nothing is renamed there."""
_BY_RESOURCE_ID: Final = "user_assigned_identities"
_SPELT: Final[Mapping[str, str]] = {
    "automatic_os_upgrade_policy": "automaticOSUpgradePolicy",
    "disk_size_gb": "diskSizeGB",
    "enable_automatic_os_upgrade": "enableAutomaticOSUpgrade",
    "ephemeral_os_disk_settings": "ephemeralOSDiskSettings",
    "in_vm_access_control_profile_reference_id": "inVMAccessControlProfileReferenceId",
    "public_ip_address_configuration": "publicIPAddressConfiguration",
    "vtpm_enabled": "vTpmEnabled",
}
"""Names with more capitals than their words have."""
_SPELT_ON_THE_DATA_PLANE: Final[Mapping[str, str]] = {
    **_SPELT,
    "dynamic_vnet_assignment_scope": "dynamicVNetAssignmentScope",
    "inbound_nat_pools": "inboundNATPools",
    "ip_address_provisioning_type": "provision",
    "logical_unit_number": "lun",
    "node_agent_sku_id": "nodeAgentSKUId",
    "user_name": "username",
}
_USER_NAME: Final = "user_name"
_OF_A_REGISTRY: Final = "registry_server"


def is_snake(value: Mapping[Any, Any]) -> bool:
    """Whether a value is a pool in snake_case."""
    return bool(_TELLING & value.keys()) and not {"properties", "vmSize"} & value.keys()


def from_snake(value: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """The body with the names of the REST API, and the new paths with those in the value."""
    places: dict[str, str] = {}
    value = {key: item for key, item in value.items() if key not in _OF_ANSIBLE}
    if _OF_THE_DATA_PLANE & value.keys():
        return _renamed(value, "", "", _SPELT_ON_THE_DATA_PLANE, places), places
    outside = {key: item for key, item in value.items() if key in _AT_THE_TOP}
    inside = {key: item for key, item in value.items() if key not in _AT_THE_TOP}
    body = _renamed(outside, "", "", _SPELT, places)
    places["properties"] = ""
    body["properties"] = _renamed(inside, "properties", "", _SPELT, places)
    return body, places


def in_camel_case(name: str) -> str:
    """A name in snake_case as the REST API of the management plane has it."""
    first, *others = name.split("_")
    return _SPELT.get(name) or first + "".join(word[:1].upper() + word[1:] for word in others)


def _renamed(
    value: Mapping[Any, Any], new: str, old: str, spelt: Mapping[str, str], places: dict[str, str]
) -> dict[Any, Any]:
    result: dict[Any, Any] = {}
    for key, item in value.items():
        name = _name(key, value, spelt) if isinstance(key, str) else key
        place, before = at(new, name), at(old, key)
        places[place] = before
        if key in _FREE:
            result[name] = item
        elif key == _BY_RESOURCE_ID and isinstance(item, Mapping):
            result[name] = {resource: {} for resource in item}
        else:
            result[name] = _value(item, place, before, spelt, places)
    return result


def _value(value: Any, new: str, old: str, spelt: Mapping[str, str], places: dict[str, str]) -> Any:
    if isinstance(value, Mapping):
        return _renamed(value, new, old, spelt, places)
    if is_list(value):
        return [
            _value(item, at(new, index), at(old, index), spelt, places) for index, item in enumerate(value)
        ]
    return value


def _name(key: str, around: Mapping[Any, Any], spelt: Mapping[str, str]) -> str:
    if key == _USER_NAME and _OF_A_REGISTRY in around:
        return "username"
    return spelt[key] if key in spelt else in_camel_case(key)
