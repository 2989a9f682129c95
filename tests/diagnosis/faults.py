"""For each known cause, how the emulator is made to show it: document, scenario, and what happens then.

The texts are those of the threads and pages that ``causes.yaml`` names as evidence, or follow their wording.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from airflow_batchext.diagnosis import Diagnosis, diagnose
from airflow_batchext.emulator import Scenario
from airflow_batchext.health import PoolHealth, from_json, to_json
from airflow_batchext.hooks.health import read_health
from airflow_batchext.hooks.node import AzureBatchNodeHook
from airflow_batchext.hooks.pool import AzureBatchPoolHook
from tests.conftest import Azure, document

Body = dict[str, Any]
MACHINE = ("properties", "deploymentConfiguration", "virtualMachineConfiguration")


@dataclass
class Fault:
    """One thing that is wrong.

    :param extensions: what the pool has besides, or instead (by name).
    :param rules: of the scenario: ``extensions``, ``pools``, ``start_tasks``, ``answers``, ``account``.
    :param change: what else is other in the document.
    :param then: what happens once the pool was left alone for ``seconds``.
    """

    extensions: list[Body] = field(default_factory=list)
    rules: Body = field(default_factory=dict)
    change: Callable[[Body], None] | None = None
    then: Callable[[Azure, str], None] | None = None
    seconds: float = 1800


def machine(body: Body) -> Body:
    """The virtual machine configuration of a document."""
    found: Body = body
    for step in MACHINE:
        found = found[step]
    return found


def vault(name: str = "secretext", **change: Any) -> Body:
    settings = {"secretsManagementSettings": {"requireInitialSync": True}, **change}
    return extension(name, "Microsoft.Azure.KeyVault", "KeyVaultForLinux", settings)


def extension(name: str, publisher: str, kind: str, settings: Any = None, **change: Any) -> Body:
    return {
        "name": name,
        "publisher": publisher,
        "type": kind,
        "typeHandlerVersion": "1.0",
        **({} if settings is None else {"settings": settings}),
        **change,
    }


GPU = extension("gpu", "Microsoft.HpcCompute", "NvidiaGpuDriverLinux")
AGENT = extension("monitor", "Microsoft.Azure.Monitor", "AzureMonitorLinuxAgent")
WINDOWS = extension("antimalware", "Microsoft.Azure.Security", "IaaSAntimalware")
HEALTH = extension("health", "Microsoft.ManagedServices", "ApplicationHealthLinux")


def says(name: str, message: str, code: str | None = None, node: Any = "*") -> Body:
    """A rule: an extension fails with these words."""
    return {
        "extensions": [
            {"extension": name, "node": node, "outcome": "fail", "message": message, "code": code or "1"}
        ]
    }


def hangs(name: str, message: str | None = None, node: Any = "*") -> Body:
    rule: Body = {"extension": name, "node": node, "outcome": "hang"}
    return {"extensions": [rule if message is None else {**rule, "message": message}]}


def resizes(
    code: str, message: str = "Desired number of dedicated nodes could not be allocated", **values: str
) -> Body:
    return {"pools": [{"resize_error": {"code": code, "message": message, "values": values}}]}


def provider(code: str, message: str) -> Body:
    inner = json.dumps({"error": {"code": code, "message": message}})
    return resizes(
        "AllocationFailed", **{"Provider Error Json": inner, "Provider Error Json Truncated": "False"}
    )


def reason(text: str) -> Fault:
    """A resize that fails for a reason in Batch's own words."""
    return Fault(rules=resizes("AllocationFailed", Reason=text))


def reported(name: str, message: str, kind: str = "KeyVaultForLinux") -> Body:
    """The provider of the machines reports that an extension failed."""
    told = f"VM has reported a failure when processing extension '{name}' (publisher 'P' and type '{kind}')."
    return provider("VMExtensionProvisioningError", f"{told} Error message: '{message}'.")


def custom_image(body: Body) -> None:
    group = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g/providers"
    place = f"{group}/Microsoft.Compute/galleries/g/images/i/versions/1.0.0"
    machine(body)["imageReference"] = {"id": place}


def delete_for_long(azure: Azure, pool: str) -> None:
    azure.emulator.account.delete_pool(pool)
    azure.pass_time(3600)


def without_identity(body: Body) -> None:
    body.pop("identity", None)


def two_identities(body: Body) -> None:
    known = body["identity"]["userAssignedIdentities"]
    known[next(iter(known)) + "2"] = {}


def secure_boot(body: Body) -> None:
    body["properties"]["vmSize"] = "Standard_NC6s_v3"
    machine(body)["securityProfile"] = {
        "securityType": "trustedLaunch",
        "uefiSettings": {"secureBootEnabled": True, "vTpmEnabled": True},
    }


def with_gpu(body: Body) -> None:
    body["properties"]["vmSize"] = "Standard_NC6s_v3"


SIGNATURE = "aGlkZGVuIHNpZ25hdHVyZQ%3D%3D"
#: As in batch-shipyard#317, whose blob was given with a SAS.
NO_BLOB = {
    "code": "BlobNotFound",
    "message": "One of the specified Azure Blob(s) is not found",
    "values": {
        "BlobSource": f"https://s.blob.core.windows.net/c/setup.sh?sr=b&sp=r&sig={SIGNATURE}&sv=2018-03-28",
        "FilePath": "/mnt/batch/tasks/startup/wd/setup.sh",
    },
}


def start_task(body: Body) -> None:
    body["properties"]["startTask"] = {"commandLine": "/bin/sh -c ./setup.sh", "waitForSuccess": True}


def scaled(formula: str) -> Callable[[Body], None]:
    def change(body: Body) -> None:
        body["properties"]["scaleSettings"] = {"autoScale": {"formula": formula}}

    return change


def mark(
    state: str, code: str | None = None, message: str = "", node: int = 0
) -> Callable[[Azure, str], None]:
    def then(azure: Azure, pool: str) -> None:
        azure.emulator.account.mark_node(pool, node, state, code=code, message=message)
        azure.pass_time(3600)

    return then


def unusable(code: str, message: str) -> Fault:
    return Fault(then=mark("unusable", code, message))


def preempt(azure: Azure, pool: str) -> None:
    azure.emulator.account.preempt_node(pool, 0)


def deallocate(azure: Azure, pool: str) -> None:
    azure.emulator.account.deallocate_node(pool, 0)
    azure.pass_time(600)


def delete(azure: Azure, pool: str) -> None:
    azure.emulator.account.delete_pool(pool)


def delete_at_once(azure: Azure, pool: str) -> None:
    azure.emulator.account.delete_pool(pool, at_once=True)


def stop(azure: Azure, pool: str) -> None:
    with AzureBatchPoolHook() as hook:
        hook.stop_resize(pool)
    azure.pass_time(60)


def account(**settings: Any) -> Callable[[Azure, str], None]:
    """The account's settings change after the pool was made."""

    def then(azure: Azure, pool: str) -> None:
        azure.emulator.scenario = Scenario.model_validate({"account": settings})

    return then


def quota(code: str, message: str = "The specified account has reached core quota") -> Fault:
    return Fault(rules=resizes(code, message))


def settings_as_text(body: Body) -> None:
    (kept,) = machine(body)["extensions"]
    kept["settings"] = json.dumps(kept["settings"])


NO_RIGHT = (
    "Failed to download https://kv1.vault.azure.net/secrets/c1: 403 Forbidden: The user, group or "
    "application 'appid=x;oid=y;iss=https://sts.windows.net/z/' does not have secrets get permission on key "
    "vault 'kv1;location=westus'"
)
FAULTS: dict[str, Fault] = {
    "pool-being-deleted": Fault(then=delete),
    "pool-missing": Fault(then=delete_at_once),
    "account-network-closed": Fault(then=account(public_network_access=False)),
    "access-refused": Fault(then=account(permissions={"actions": [], "data_actions": []})),
    "settings-as-text": Fault(change=settings_as_text),
    "quota-dedicated-cores": quota("AccountCoreQuotaReached"),
    "quota-low-priority-cores": quota("AccountLowPriorityCoreQuotaReached"),
    "quota-spot-cores": quota("AccountSpotCoreQuotaReached"),
    "quota-vm-family": quota("AccountVMSeriesCoreQuotaReached"),
    "quota-subscription": Fault(
        rules=provider(
            "OperationNotAllowed",
            "The operation results in exceeding approved standardDSv2Family Cores quota.",
        )
    ),
    "vm-generation": Fault(
        rules=provider(
            "BadRequest",
            "The selected VM size 'Standard_D1_v2' cannot boot Hypervisor Generation '2'.",
        )
    ),
    "no-capacity": Fault(
        rules=provider("OverconstrainedAllocationRequestError", "The VM allocation failed.")
    ),
    "subnet-full": Fault(
        rules=provider("SubnetIsFull", "Subnet default with address prefix 10.0.0.0/28 is already full.")
    ),
    "allocation-timed-out": Fault(
        rules=resizes(
            "AllocationTimedout",
            "Desired number of dedicated nodes could not be allocated as the resize timeout was reached",
        )
    ),
    "identity-operation-failed": quota("FailedIdentityOperation", "An operation on the identity failed"),
    "disk-encryption": quota("DiskEncryptionFailure", "Disk encryption failed"),
    "dependency-missing": quota("DependentResourceNotFound", "A resource was not found"),
    "size-incompatible": quota("IncompatibleVMSize", "The size is incompatible with the image"),
    "size-unsupported": quota("UnsupportedVMSize", "The size is not supported"),
    "marketplace-plan": quota("MissingPublisherPropertyInMarketPlacePlan", "The plan was not accepted"),
    "inter-node-limit": quota("CommunicationEnabledPoolReachedMaxVMCount", "Too many nodes"),
    "resize-stopped": Fault(then=stop, seconds=60),
    "removal-failed": quota("RemoveNodesFailed", "Nodes could not be removed"),
    "autoscale-formula": Fault(change=scaled("$TargetDedicatedNodes = 1 / $CurrentDedicatedNodes;")),
    "allocation-failed": Fault(
        rules=resizes("AllocationFailed", Reason="The server encountered an internal error")
    ),
    "resize-unknown": quota("Unknown", "Unknown"),
    "nodes-missing": Fault(rules={"pools": [{"nodes_allocated": 1}]}),
    "start-task-failed": Fault(change=start_task, rules={"start_tasks": [{"exit_code": 7, "node": 0}]}),
    "start-task-files": Fault(change=start_task, rules={"start_tasks": [{"failure": NO_BLOB, "node": 0}]}),
    "start-task-runs": Fault(change=start_task, rules={"start_tasks": [{"exit_code": None, "node": 0}]}),
    "disk-full": unusable("DiskFull", "There is not enough disk space on the node"),
    "application-package": unusable("ApplicationPackageError", "The package could not be extracted"),
    "container-image": unusable("ContainerPoolSetupFailed", "Docker image x/y could not be pulled"),
    "batch-agent": unusable(
        "BatchAgentInstallationFailure",
        "The batch agent extension provisioning has failed on compute node",
    ),
    "node-unreachable": Fault(then=mark("unusable")),
    "contact-lost": Fault(then=mark("unknown")),
    "joining-for-long": Fault(then=mark("starting")),
    "preempted": Fault(then=preempt),
    "deallocated": Fault(then=deallocate),
    "extension-other-system": Fault([WINDOWS], says("antimalware", "Not supported on this system")),
    "key-vault-without-identity": Fault(change=without_identity, rules=hangs("secretext")),
    "key-vault-client-id": Fault(
        [vault(authenticationSettings={"msiClientId": "00000000-0000-0000-0000-00000000dead"})],
        hangs("secretext", '{"error":"invalid_request","error_description":"Identity not found"}'),
    ),
    "key-vault-no-role": Fault(rules=hangs("secretext", NO_RIGHT)),
    "key-vault-firewall": Fault(
        rules=says("secretext", "Client address is not authorized and caller is not a trusted service.")
    ),
    "key-vault-certificate-missing": Fault(
        rules=says(
            "secretext",
            "SecretNotFound: A secret with (name/id) c1 was not found in this key vault.",
        )
    ),
    "key-vault-no-client-id": Fault(
        rules=says("secretext", "Attempt to get non-existent AuthConfig"), change=two_identities
    ),
    "key-vault-endpoint": Fault(
        rules=says(
            "secretext", "Refreshing 'https://kv/' failed with exception: URI must contain a hostname."
        )
    ),
    "key-vault-initial-sync": Fault(rules=hangs("secretext")),
    "gpu-secure-boot": Fault([GPU], hangs("gpu"), change=secure_boot),
    "gpu-none": Fault([GPU], says("gpu", "The driver was not installed")),
    "package-lock": Fault(
        [GPU], says("gpu", "E: Could not get lock /var/lib/dpkg/lock-frontend"), change=with_gpu
    ),
    "monitor-without-identity": Fault([AGENT], says("monitor", "Enable failed"), change=without_identity),
    "extension-dns": Fault(
        [HEALTH],
        says("health", "Error downloading https://x/y.zip: The remote name could not be resolved: 'x'"),
    ),
    "extension-proxy": Fault([HEALTH], says("health", "HTTP 407: Proxy Authentication Required")),
    "extension-network": Fault(
        [HEALTH],
        says("health", "failed to download file: dial tcp 192.0.2.1:443: connect: connection refused"),
    ),
    "machine-agent": Fault([HEALTH], hangs("health", "VM Agent is unresponsive.")),
    "extension-timed-out": Fault(
        [HEALTH], says("health", "It took too long", code="VMExtensionProvisioningTimeout")
    ),
    "extension-behind-another": Fault(
        [HEALTH, {**AGENT, "provisionAfterExtensions": ["health"]}], says("health", "Enable failed: exit 9")
    ),
    "deletion-held": Fault(rules={"timings": {"deletion": 100000}}, then=delete_for_long),
    "policy": Fault(rules=provider("RequestDisallowedByPolicy", "Resource 'x' was disallowed by policy.")),
    "disk-type": Fault(
        rules=provider(
            "InvalidParameter",
            "the VM size Standard_A2_v2 does not support the storage account type Premium_LRS of disk.",
        )
    ),
    "subnet-delegated": reason("Allocation failed as subnet has delegation to external resources."),
    "subscription-role": reason(
        "Azure Batch Service does not have the desired permissions to perform a pool operation."
    ),
    "subscription-key-vault": reason("Allocation failed as Batch is not authorized to access the key vault."),
    "extension-version-missing": Fault(
        rules=provider(
            "ArtifactVersionNotFound",
            "No version found in the artifact repository that satisfies the requested version '7.7'.",
        )
    ),
    "extension-unknown": Fault(
        rules=provider(
            "VMExtensionNotFound", "The VM extension with publisher 'P' and type 'T' could not be found."
        )
    ),
    "extension-provisioning": Fault(rules=reported("secretext", "Enable failed: exit 9")),
    "autoscale-at-zero": Fault(change=scaled("$TargetDedicatedNodes = 0;")),
    "agent-custom-image": Fault(
        change=custom_image,
        then=mark("starting", "BatchAgentInstallationFailure", "The batch agent extension has failed"),
    ),
    "mount-failed": unusable(
        "MountConfigurationError", "An error was encountered while configuring specified mount(s)"
    ),
    "application-package-identity": unusable(
        "ApplicationPackageError", "The managed identity is not authorized to read the blob"
    ),
    "monitor-unsupported-system": Fault(
        [AGENT], says("monitor", "Install,failed,51,Unsupported operating system: debian 12")
    ),
    "extension-order": Fault([{**HEALTH, "provisionAfterExtensions": ["elsewhere"]}]),
}


def together(*faults: Fault) -> Fault:
    """Several faults at once."""
    rules: Body = {}
    for fault in faults:
        for name, found in fault.rules.items():
            if isinstance(found, list):
                rules.setdefault(name, []).extend(copy.deepcopy(found))
            else:
                rules.setdefault(name, {}).update(found)

    def change(body: Body) -> None:
        for fault in faults:
            if fault.change:
                fault.change(body)

    def then(azure: Azure, pool: str) -> None:
        for fault in faults:
            if fault.then:
                fault.then(azure, pool)

    added = [item for fault in faults for item in fault.extensions]
    return Fault(added, rules, change, then, max(fault.seconds for fault in faults))


def on(node: int, fault: Fault) -> Fault:
    """A fault whose rules are about one node alone."""
    rules = {
        name: [{**rule, "node": node} for rule in found] if name in ("extensions", "start_tasks") else found
        for name, found in fault.rules.items()
    }
    return Fault(fault.extensions, rules, fault.change, fault.then, fault.seconds)


def produce(azure: Azure, fault: Fault, nodes: int = 3) -> PoolHealth:
    """Make a pool in which that is wrong, and read its health through the real SDK."""
    azure.emulator.scenario = Scenario.model_validate(fault.rules)
    body = document(nodes)
    listed = machine(body)["extensions"]
    for item in copy.deepcopy(fault.extensions):
        listed[:] = [kept for kept in listed if kept["name"] != item["name"]]
        listed.append(item)
    if fault.change:
        fault.change(body)
    with AzureBatchPoolHook(azure.conn_id) as hook:
        hook.create_pool(azure.pool_id, body)
    azure.pass_time(fault.seconds)
    if fault.then:
        fault.then(azure, azure.pool_id)
    with AzureBatchNodeHook(azure.conn_id, retries=0) as hook:
        health = read_health(hook, azure.pool_id)
    assert from_json(json.loads(json.dumps(to_json(health)))) == health
    return health


def diagnosed(azure: Azure, fault: Fault, nodes: int = 3) -> Diagnosis:
    """Its diagnosis."""
    return diagnose(produce(azure, fault, nodes))
