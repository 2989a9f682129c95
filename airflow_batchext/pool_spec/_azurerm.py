"""Turns Terraform's ``azurerm_batch_pool`` into ARM's body, as the provider does when it creates the pool.

A block of Terraform is a list of one object in what ``terraform show -json`` prints, and may be the object
itself in ``.tf.json``. What was left out stands there as null, an empty text or an empty list.

Source: the documentation and the schema of the provider hashicorp/azurerm, versions 3 and 4.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from airflow_batchext.loose_json.documents import at, is_list
from airflow_batchext.loose_json.values import read_json
from airflow_batchext.pool_spec._members import MACHINE
from airflow_batchext.pool_spec._snake import in_camel_case

_REQUIRED: Final = (
    *("name", "resource_group_name", "account_name", "vm_size", "node_agent_sku_id"),
    "storage_image_reference",
)
_NOT_OF_THE_POOL: Final = frozenset(
    {
        *("id", "account_name", "resource_group_name", "stop_pending_resize_operation", "timeouts", "//"),
        *("count", "for_each", "provider", "depends_on", "lifecycle", "connection", "provisioner"),
    }
)
_GONE: Final[Mapping[str, str]] = {
    "certificate": "Azure has taken certificates out of pools: let the Key Vault extension bring them",
    "target_node_communication_mode": "Azure has taken it out of pools",
}
_UNKNOWN: Final = "it is not known what it becomes in ARM"
_ONE_ONLY: Final = "ARM has one of these only"


@dataclass(slots=True)
class FromTerraform:
    """A pool of Terraform in ARM's shape.

    :param places: where each member stands in the resource, by its path in the body.
    :param lost: what could not be carried: the places in the resource, each with the reason.
    """

    body: dict[str, Any] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    lost: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Block:
    """A block: where it goes, what is in it, and what the provider asks for where nothing is said."""

    target: str
    members: Mapping[str, _Rule]
    is_list: bool = False
    defaults: Mapping[str, Any] = field(default_factory=dict)


_Rule = str | _Block | Callable[[Any], dict[str, Any]]
"""Where a value goes, a block, or a function that gives the members of ARM that a value becomes."""


def is_azurerm(value: Mapping[Any, Any]) -> bool:
    """Whether these are the attributes of a pool of the provider."""
    return "storage_image_reference" in value or {"node_agent_sku_id", "vm_size"} <= value.keys()


def lacking(attributes: Mapping[str, Any]) -> list[str]:
    """The attributes that the provider requires, and that are not there."""
    return [name for name in _REQUIRED if name not in attributes]


def from_azurerm(attributes: Mapping[str, Any]) -> FromTerraform:
    """The body that the provider asks for."""
    found = FromTerraform()
    _block(attributes, _POOL, found.body, "", "", found)
    return found


def _block(
    values: Mapping[str, Any], block: _Block, into: dict[str, Any], new: str, old: str, found: FromTerraform
) -> None:
    for name, value in {**block.defaults, **_said(values)}.items():
        rule, place = block.members.get(name), at(old, name)
        if isinstance(rule, str):
            _put(value, rule, into, new, place, found)
        elif isinstance(rule, _Block):
            _blocks(value, rule, into, new, place, found)
        elif rule is not None:
            for target, item in rule(value).items():
                _put(item, target, into, new, place, found)
        elif not (old == "" and name in _NOT_OF_THE_POOL):
            found.lost.append((place, _GONE.get(name, _UNKNOWN)))


def _blocks(value: Any, rule: _Block, into: dict[str, Any], new: str, old: str, found: FromTerraform) -> None:
    entries = list(enumerate(value)) if is_list(value) else [(None, value)]
    if not all(isinstance(entry, Mapping) for _, entry in entries):  # an expression in its place, perhaps
        _put(value, rule.target, into, new, old, found)
        return
    placed = [(entry, old if index is None else at(old, index)) for index, entry in entries]
    if rule.is_list:
        made: list[Any] = []
        for index, (entry, place) in enumerate(placed):
            made.append({})
            below = at(f"{new}.{rule.target}".lstrip("."), index)
            found.places[below] = place
            _block(entry, rule, made[-1], below, place, found)
        _put(made, rule.target, into, new, old, found)
        return
    found.lost += [(place, _ONE_ONLY) for _, place in placed[1:]]
    entry, place = placed[0]
    inner, path = into, new
    for step in filter(None, rule.target.split(".")):
        inner, path = inner.setdefault(step, {}), f"{path}.{step}".lstrip(".")
    if rule.target:
        found.places[path] = place
    _block(entry, rule, inner, path, place, found)


def _put(value: Any, target: str, into: dict[str, Any], new: str, old: str, found: FromTerraform) -> None:
    *way, last = target.split(".")
    for step in way:
        into = into.setdefault(step, {})
    into[last] = value
    found.places[f"{new}.{target}".lstrip(".")] = old


def _said(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value not in (None, "", [], {}, ())}


def _named(target: str) -> Callable[[Any], dict[str, Any]]:
    """A map becomes a list of names and values."""

    def rule(value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            return {target: value}
        return {target: [{"name": name, "value": item} for name, item in value.items()]}

    return rule


def _parsed(target: str) -> Callable[[Any], dict[str, Any]]:
    """A text in JSON becomes what it says; versions of the provider that sent the text itself got no nodes.

    Source: https://github.com/hashicorp/terraform-provider-azurerm/issues/20530
    """
    return lambda value: {target: read_json(value, value)}


def _identity_of(target: str) -> Callable[[Any], dict[str, Any]]:
    return lambda value: {f"{target}.resourceId": value}


def _identities(value: Any) -> dict[str, Any]:
    return {"userAssignedIdentities": {str(each): {} for each in value} if is_list(value) else value}


def _ports(value: Any) -> dict[str, Any]:
    found = re.fullmatch(r"\s*(\d{1,5})\s*(?:-\s*(\d{1,5})\s*)?", value) if isinstance(value, str) else None
    first, last = (int(found[1]), int(found[2] or found[1])) if found else (value, value)
    return {"frontendPortRangeStart": first, "frontendPortRangeEnd": last}


def _same(*names: str) -> dict[str, _Rule]:
    """Attributes that ARM calls so too, in its own spelling."""
    return {name: in_camel_case(name) for name in names}


_REGISTRY: Final[Mapping[str, _Rule]] = {
    **_same("registry_server", "password"),
    "user_name": "username",
    "user_assigned_identity_id": _identity_of("identityReference"),
}
_MOUNTED: Final = _same("relative_mount_path", "mount_options")
_START_TASK: Final[Mapping[str, _Rule]] = {
    **_same("command_line", "wait_for_success"),
    "task_retry_maximum": "maxTaskRetryCount",
    "common_environment_properties": _named("environmentSettings"),
    "user_identity": _Block(
        "userIdentity",
        {**_same("user_name"), "auto_user": _Block("autoUser", _same("elevation_level", "scope"))},
    ),
    "resource_file": _Block(
        "resourceFiles",
        {
            **_same("auto_storage_container_name", "blob_prefix", "file_mode", "file_path", "http_url"),
            **_same("storage_container_url"),
            "user_assigned_identity_id": _identity_of("identityReference"),
        },
        is_list=True,
    ),
    "container": _Block(
        "containerSettings",
        {
            **_same("image_name", "working_directory"),
            "run_options": "containerRunOptions",
            "registry": _Block("registry", _REGISTRY),
        },
    ),
}
_RULE: Final = _same("access", "priority", "source_address_prefix", "source_port_ranges")
_NETWORK: Final[Mapping[str, _Rule]] = {
    **_same("subnet_id", "dynamic_vnet_assignment_scope"),
    "accelerated_networking_enabled": "enableAcceleratedNetworking",
    "public_ips": "publicIPAddressConfiguration.ipAddressIds",
    "public_address_provisioning_type": "publicIPAddressConfiguration.provision",
    "endpoint_configuration": _Block(
        "endpointConfiguration.inboundNatPools",
        {
            **_same("name", "protocol", "backend_port"),
            "frontend_port_range": _ports,
            "network_security_group_rules": _Block("networkSecurityGroupRules", _RULE, is_list=True),
        },
        is_list=True,
    ),
}
_EXTENSION: Final[Mapping[str, _Rule]] = {
    **_same("name", "publisher", "type", "type_handler_version", "auto_upgrade_minor_version"),
    **_same("provision_after_extensions"),
    "automatic_upgrade_enabled": "enableAutomaticUpgrade",
    "settings_json": _parsed("settings"),
    "protected_settings": _parsed("protectedSettings"),
}
_USER: Final[Mapping[str, _Rule]] = {
    **_same("name", "password", "elevation_level"),
    "linux_user_configuration": _Block("linuxUserConfiguration", _same("uid", "gid", "ssh_private_key")),
    "windows_user_configuration": _Block("windowsUserConfiguration", _same("login_mode")),
}
_MOUNT: Final[Mapping[str, _Rule]] = {
    "azure_blob_file_system": _Block(
        "azureBlobFileSystemConfiguration",
        {
            **_same("account_name", "container_name", "relative_mount_path", "account_key", "sas_key"),
            **_same("blobfuse_options"),
            "identity_id": _identity_of("identityReference"),
        },
    ),
    "azure_file_share": _Block(
        "azureFileShareConfiguration",
        {**_MOUNTED, **_same("account_name", "account_key", "azure_file_url")},
    ),
    "cifs_mount": _Block("cifsMountConfiguration", {**_MOUNTED, **_same("user_name", "source", "password")}),
    "nfs_mount": _Block("nfsMountConfiguration", {**_MOUNTED, **_same("source")}),
}
_POOL: Final = _Block(
    "",
    {
        "name": "name",
        "display_name": "properties.displayName",
        "vm_size": "properties.vmSize",
        "max_tasks_per_node": "properties.taskSlotsPerNode",
        "inter_node_communication": "properties.interNodeCommunication",
        "metadata": _named("properties.metadata"),
        "identity": _Block("identity", {"type": "type", "identity_ids": _identities}),
        "fixed_scale": _Block(
            "properties.scaleSettings.fixedScale",
            {
                **_same("target_dedicated_nodes", "target_low_priority_nodes", "resize_timeout"),
                "node_deallocation_method": "nodeDeallocationOption",
            },
            defaults={"target_dedicated_nodes": 1},
        ),
        "auto_scale": _Block("properties.scaleSettings.autoScale", _same("formula", "evaluation_interval")),
        "start_task": _Block("properties.startTask", _START_TASK),
        "network_configuration": _Block("properties.networkConfiguration", _NETWORK),
        "mount": _Block("properties.mountConfiguration", _MOUNT, is_list=True),
        "user_accounts": _Block("properties.userAccounts", _USER, is_list=True),
        "task_scheduling_policy": _Block("properties.taskSchedulingPolicy", _same("node_fill_type")),
        "node_agent_sku_id": f"{MACHINE}.nodeAgentSkuId",
        "license_type": f"{MACHINE}.licenseType",
        "os_disk_placement": f"{MACHINE}.osDisk.ephemeralOSDiskSettings.placement",
        "storage_image_reference": _Block(
            f"{MACHINE}.imageReference", _same("id", "publisher", "offer", "sku", "version")
        ),
        "container_configuration": _Block(
            f"{MACHINE}.containerConfiguration",
            {
                **_same("type", "container_image_names"),
                "container_registries": _Block("containerRegistries", _REGISTRY, is_list=True),
            },
        ),
        "data_disks": _Block(
            f"{MACHINE}.dataDisks",
            {
                **_same("lun", "caching", "disk_size_gb"),
                "storage_account_type": "managedDisk.storageAccountType",
            },
            is_list=True,
            defaults={"caching": "ReadOnly", "storage_account_type": "Standard_LRS"},
        ),
        "disk_encryption": lambda value: {f"{MACHINE}.diskEncryptionConfiguration.targets": _targets(value)},
        "extensions": _Block(f"{MACHINE}.extensions", _EXTENSION, is_list=True),
        "node_placement": _Block(f"{MACHINE}.nodePlacementConfiguration", _same("policy")),
        "windows": _Block(f"{MACHINE}.windowsConfiguration", _same("enable_automatic_updates")),
        "security_profile": _Block(
            f"{MACHINE}.securityProfile",
            {
                **_same("security_type"),
                "host_encryption_enabled": "encryptionAtHost",
                "secure_boot_enabled": "uefiSettings.secureBootEnabled",
                "vtpm_enabled": "uefiSettings.vTpmEnabled",
            },
        ),
    },
    defaults={"inter_node_communication": "Enabled"},
)


def _targets(value: Any) -> Any:
    entries = value if is_list(value) else [value]
    if not all(isinstance(entry, Mapping) for entry in entries):
        return value
    return [entry.get("disk_encryption_target") for entry in entries]
