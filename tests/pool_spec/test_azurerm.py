"""Terraform's ``azurerm_batch_pool`` is read as the pool that the provider asks for, with its own places."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_batchext.cli.main import main
from airflow_batchext.pool_spec import pools_in
from airflow_batchext.pool_spec._azurerm import _POOL, _Block, from_azurerm
from airflow_batchext.pool_spec._sdk_schema import check_pool, pool_schema
from tests.pool_spec.documents import GOOD, IDENTITY
from tests.pool_spec.test_planes import members_in, members_of

SUBNET = (
    "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g/providers/Microsoft.Network/"
    "virtualNetworks/v/subnets/s"
)
SIMPLE: dict[str, Any] = {
    "name": "p",
    "account_name": "a",
    "resource_group_name": "g",
    "vm_size": "STANDARD_D2S_V5",
    "node_agent_sku_id": "batch.node.ubuntu 24.04",
    "storage_image_reference": {
        "publisher": "canonical",
        "offer": "ubuntu-24_04-lts",
        "sku": "server",
        "version": "latest",
    },
    "fixed_scale": {"target_dedicated_nodes": 2},
}
REGISTRY = {"registry_server": "r", "user_name": "u", "password": "p", "user_assigned_identity_id": "/i"}
MOUNT = {"relative_mount_path": "m", "mount_options": "o"}
#: Every attribute of the provider that ARM still knows, as ``terraform show -json`` prints them.
WHOLE: dict[str, Any] = {
    **SIMPLE,
    "id": "/subscriptions/x",
    "stop_pending_resize_operation": False,
    "timeouts": None,
    "certificate": [],
    "target_node_communication_mode": "",
    "storage_image_reference": [SIMPLE["storage_image_reference"] | {"id": "/image"}],
    "display_name": "d",
    "max_tasks_per_node": 2,
    "inter_node_communication": "Disabled",
    "license_type": "Windows_Client",
    "os_disk_placement": "CacheDisk",
    "metadata": {"a": "b"},
    "identity": [{"type": "UserAssigned", "identity_ids": [IDENTITY]}],
    "fixed_scale": [
        {
            "target_dedicated_nodes": 1,
            "target_low_priority_nodes": 2,
            "resize_timeout": "PT15M",
            "node_deallocation_method": "Requeue",
        }
    ],
    "auto_scale": [{"formula": "$TargetDedicatedNodes=1;", "evaluation_interval": "PT15M"}],
    "start_task": [
        {
            "command_line": "true",
            "wait_for_success": True,
            "task_retry_maximum": 1,
            "common_environment_properties": {"A": "1"},
            "user_identity": [
                {"user_name": "u", "auto_user": [{"elevation_level": "Admin", "scope": "Pool"}]}
            ],
            "resource_file": [
                {
                    "auto_storage_container_name": "c",
                    "blob_prefix": "b",
                    "file_mode": "0770",
                    "file_path": "f",
                    "http_url": "https://h",
                    "storage_container_url": "https://s",
                    "user_assigned_identity_id": "/i",
                }
            ],
            "container": [
                {
                    "image_name": "i",
                    "run_options": "--rm",
                    "working_directory": "TaskWorkingDirectory",
                    "registry": [REGISTRY],
                }
            ],
        }
    ],
    "network_configuration": [
        {
            "subnet_id": SUBNET,
            "dynamic_vnet_assignment_scope": "none",
            "accelerated_networking_enabled": True,
            "public_ips": ["/ip"],
            "public_address_provisioning_type": "UserManaged",
            "endpoint_configuration": [
                {
                    "name": "n",
                    "protocol": "TCP",
                    "backend_port": 22,
                    "frontend_port_range": "4000-4099",
                    "network_security_group_rules": [
                        {
                            "access": "Deny",
                            "priority": 150,
                            "source_address_prefix": "*",
                            "source_port_ranges": ["*"],
                        }
                    ],
                }
            ],
        }
    ],
    "mount": [
        {
            "azure_blob_file_system": [
                {
                    "account_name": "a",
                    "container_name": "c",
                    "relative_mount_path": "m",
                    "account_key": "k",
                    "sas_key": "s",
                    "identity_id": "/i",
                    "blobfuse_options": "o",
                }
            ]
        },
        {
            "azure_file_share": [
                {**MOUNT, "account_name": "a", "account_key": "k", "azure_file_url": "https://u"}
            ]
        },
        {"cifs_mount": [{**MOUNT, "user_name": "u", "source": "s", "password": "p"}]},
        {"nfs_mount": [{**MOUNT, "source": "s"}]},
    ],
    "user_accounts": [
        {
            "name": "u",
            "password": "p",
            "elevation_level": "Admin",
            "linux_user_configuration": [{"uid": 1, "gid": 1, "ssh_private_key": "k"}],
            "windows_user_configuration": [{"login_mode": "Batch"}],
        }
    ],
    "task_scheduling_policy": [{"node_fill_type": "Pack"}],
    "container_configuration": [
        {
            "type": "DockerCompatible",
            "container_image_names": ["i"],
            "container_registries": [REGISTRY],
        }
    ],
    "data_disks": [{"lun": 1, "caching": "None", "disk_size_gb": 9, "storage_account_type": "Premium_LRS"}],
    "disk_encryption": [{"disk_encryption_target": "OsDisk"}, {"disk_encryption_target": "TemporaryDisk"}],
    "extensions": [
        {
            "name": "e",
            "publisher": "p",
            "type": "t",
            "type_handler_version": "1.0",
            "auto_upgrade_minor_version": True,
            "automatic_upgrade_enabled": True,
            "settings_json": '{"a": {"b": [1]}}',
            "protected_settings": '{"k": "v"}',
            "provision_after_extensions": ["x"],
        }
    ],
    "node_placement": [{"policy": "Zonal"}],
    "windows": [{"enable_automatic_updates": False}],
    "security_profile": [
        {
            "host_encryption_enabled": True,
            "security_type": "trustedLaunch",
            "secure_boot_enabled": True,
            "vtpm_enabled": True,
        }
    ],
}
MACHINE = "properties.deploymentConfiguration.virtualMachineConfiguration"
#: What ARM knows and the provider has no attribute for.
NOT_OF_THE_PROVIDER = {
    "tags",
    "properties.upgradePolicy",
    "properties.applicationPackages",
    "properties.taskSchedulingPolicy.jobDefaultOrder",
    "properties.networkConfiguration.publicIPAddressConfiguration.ipFamilies",
    "properties.networkConfiguration.publicIPAddressConfiguration.ipTags",
    "properties.startTask.containerSettings.containerHostBatchBindMounts",
    f"{MACHINE}.diskEncryptionConfiguration.customerManagedKey",
    f"{MACHINE}.imageReference.sharedGalleryImageId",
    f"{MACHINE}.imageReference.communityGalleryImageId",
    f"{MACHINE}.dataDisks.managedDisk.securityProfile",
    f"{MACHINE}.dataDisks.managedDisk.diskEncryptionSet",
    f"{MACHINE}.osDisk.caching",
    f"{MACHINE}.osDisk.diskSizeGB",
    f"{MACHINE}.osDisk.managedDisk",
    f"{MACHINE}.osDisk.writeAcceleratorEnabled",
    f"{MACHINE}.securityProfile.proxyAgentSettings",
    f"{MACHINE}.serviceArtifactReference",
}


def attributes(block: _Block, path: str = "") -> set[str]:
    found = set()
    for name, rule in block.members.items():
        place = f"{path}.{name}".lstrip(".")
        found |= {place} | (attributes(rule, place) if isinstance(rule, _Block) else set())
    return found


def test_every_attribute_is_carried_to_a_member_that_the_sdk_knows():
    assert attributes(_POOL) - members_in(WHOLE) == set()
    found = from_azurerm(WHOLE)
    assert found.lost == []
    known = members_of(pool_schema()) | {"name"}
    made = members_in(found.body)
    users = (f"{MACHINE}.extensions.settings.", f"{MACHINE}.extensions.protectedSettings.", "identity.user")
    free = {place for place in made if place.startswith(users)}
    assert made - known - free == set()
    assert {path for path in known - made if not path.startswith(tuple(NOT_OF_THE_PROVIDER))} == set()
    assert {top for top in NOT_OF_THE_PROVIDER if top in made} == set()


def test_values_are_carried_as_they_are():
    body = from_azurerm(WHOLE).body
    machine = body["properties"]["deploymentConfiguration"]["virtualMachineConfiguration"]
    (extension,) = machine["extensions"]
    assert extension["settings"] == {"a": {"b": [1]}}
    assert extension["protectedSettings"] == {"k": "v"}
    assert machine["diskEncryptionConfiguration"] == {"targets": ["OsDisk", "TemporaryDisk"]}
    assert machine["securityProfile"]["uefiSettings"] == {"secureBootEnabled": True, "vTpmEnabled": True}
    (nat,) = body["properties"]["networkConfiguration"]["endpointConfiguration"]["inboundNatPools"]
    assert (nat["frontendPortRangeStart"], nat["frontendPortRangeEnd"]) == (4000, 4099)
    assert body["properties"]["metadata"] == [{"name": "a", "value": "b"}]
    assert body["identity"] == {"type": "UserAssigned", "userAssignedIdentities": {IDENTITY: {}}}
    assert [list(entry) for entry in body["properties"]["mountConfiguration"]] == [
        ["azureBlobFileSystemConfiguration"],
        ["azureFileShareConfiguration"],
        ["cifsMountConfiguration"],
        ["nfsMountConfiguration"],
    ]


def test_what_the_provider_asks_for_by_itself_is_there():
    body = from_azurerm(
        {**SIMPLE, "fixed_scale": {"resize_timeout": "PT15M"}, "data_disks": [{"lun": 0}]}
    ).body
    assert body["properties"]["interNodeCommunication"] == "Enabled"
    assert body["properties"]["scaleSettings"]["fixedScale"]["targetDedicatedNodes"] == 1
    (disk,) = body["properties"]["deploymentConfiguration"]["virtualMachineConfiguration"]["dataDisks"]
    assert disk == {"lun": 0, "caching": "ReadOnly", "managedDisk": {"storageAccountType": "Standard_LRS"}}


IN_TERRAFORM = {
    ".tf.json": {"resource": {"azurerm_batch_pool": {"main": SIMPLE}}},
    ".tf.json, a list": {"resource": {"azurerm_batch_pool": {"main": [SIMPLE]}}},
    "state": {
        "terraform_version": "1.9.0",
        "values": {
            "root_module": {
                "child_modules": [
                    {"resources": [{"mode": "managed", "type": "azurerm_batch_pool", "values": SIMPLE}]}
                ]
            }
        },
    },
    "plan": {
        "terraform_version": "1.9.0",
        "planned_values": {"root_module": {"resources": [{"type": "azurerm_batch_pool", "values": SIMPLE}]}},
        "prior_state": {
            "values": {"root_module": {"resources": [{"type": "azurerm_batch_pool", "values": SIMPLE}]}}
        },
        "resource_changes": [{"type": "azurerm_batch_pool", "change": {"after": SIMPLE}}],
    },
    "attributes": SIMPLE,
}


@pytest.mark.parametrize("form", IN_TERRAFORM)
def test_a_pool_is_found_once_in_each_form(form):
    (pool,) = pools_in(IN_TERRAFORM[form])
    assert pool.name == "p"
    assert pool.lost == ()
    assert check_pool(pool.body) == []
    assert pool.body == from_azurerm(SIMPLE).body


@pytest.mark.parametrize("left_out", ["name", "account_name", "vm_size", "storage_image_reference"])
@pytest.mark.parametrize("form", [form for form in IN_TERRAFORM if form != "attributes"])
def test_what_terraform_itself_would_refuse_is_told_once(form, left_out):
    text = json.dumps(IN_TERRAFORM[form]).replace(f'"{left_out}":', '"display_name":')
    (finding,) = check_pool(pools_in(json.loads(text))[0].body, pool_id="p")
    assert "Terraform's JSON" in finding.problem
    assert left_out in finding.problem


def test_what_only_reads_a_pool_is_none():
    read = {"mode": "data", "type": "azurerm_batch_pool", "values": {"name": "p"}}
    document = {"terraform_version": "1", "values": {"root_module": {"resources": [read]}}}
    (finding,) = check_pool(pools_in(document)[0].body)
    assert "no pool is in it" in finding.problem


CHANGES = [
    ({"vm_size": "Standard D2"}, "vm_size", "error"),
    ({"vm_size": "${var.size}"}, "vm_size", "error"),
    ({"vm_size": ""}, "", "error"),
    ({"certificate": [{"id": "x"}]}, "certificate", "warning"),
    ({"target_node_communication_mode": "Simplified"}, "target_node_communication_mode", "warning"),
    ({"vm_sise": "x"}, "vm_sise", "warning"),
    ({"fixed_scale": [{"resize_timeout": "PT1M"}]}, "fixed_scale[0].resize_timeout", "error"),
    ({"fixed_scale": [{}, {}]}, "fixed_scale[1]", "warning"),
    ({"start_task": "${var.task}"}, "start_task", "error"),
    ({"network_configuration": {"subnet_id": "s"}}, "network_configuration.subnet_id", "error"),
    (
        {"extensions": [{"name": "e", "publisher": "p", "type": "t", "settings_json": "no"}]},
        "extensions[0].settings_json",
        "error",
    ),
    ({"user_accounts": [{"name": ""}]}, "user_accounts[0].name", "error"),
]


@pytest.mark.parametrize(("change", "path", "severity"), CHANGES)
def test_findings_are_told_at_the_attributes(change, path, severity, tmp_path, capsys):
    document = {"resource": {"azurerm_batch_pool": {"main": {**SIMPLE, **change}}}}
    file = tmp_path / "pool.tf.json"
    file.write_text(json.dumps(document, indent=1))
    main(["validate", "--json", str(file)])
    (pool,) = json.loads(capsys.readouterr().out)["pools"]
    told = {finding["path"]: finding for finding in pool["findings"]}
    if path:
        key = path.replace("]", "").replace("[", ".").split(".")
        line = file.read_text().splitlines()[told[path]["line"] - 1]
        assert line.strip().startswith(f'"{key[-1]}"' if not key[-1].isdigit() else "{")
        assert told[path]["severity"] == severity
    else:
        assert any("vmSize is missing" in finding["problem"] for finding in pool["findings"])


def test_what_cannot_be_carried_is_said_by_convert(tmp_path, capsys):
    file = tmp_path / "pool.tf.json"
    file.write_text(
        json.dumps({"resource": {"azurerm_batch_pool": {"main": {**SIMPLE, "certificate": [{"id": "x"}]}}}})
    )
    assert main(["convert", str(file)]) == 1
    out, err = capsys.readouterr()
    assert "not carried: certificate: Azure has taken certificates out of pools" in err
    assert json.loads(out) == from_azurerm(SIMPLE).body


def test_a_body_of_arm_is_none_of_terraform():
    assert pools_in(GOOD)[0].places == {}
