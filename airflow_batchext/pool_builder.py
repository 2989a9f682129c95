"""Writes the common pool document in Python, for DAG files: typed, with completion, in the end the same dict.

What is not offered here goes through ``more``, or is changed in the dict. Values may be templates.
Publishers, types and settings of the extensions are those of Batch's how-to and of the extensions' own pages.
Versions of the Azure Monitor agent and of the GPU drivers are from memory: give ``version`` where yours
matters. There is no extension to run a script: Batch keeps that type for itself, a ``start_task`` does it.

Source: https://learn.microsoft.com/azure/batch/create-pool-extensions
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any, ClassVar, Literal

from airflow_batchext.batch.extension_catalog import OperatingSystem, node_operating_system
from airflow_batchext.concealment import conceal
from airflow_batchext.exceptions import ParameterError
from airflow_batchext.parameters import (
    Check,
    check_count,
    check_flag,
    check_mapping,
    check_names,
    check_resize_timeout,
    check_seconds,
    check_text,
    is_template,
    one_of,
    optional,
    refused,
    settle,
    wrong,
)

_LOCAL_TOKENS = "http://169.254.169.254/metadata/identity"
_LINUX_STORE = "/var/lib/waagent/Microsoft.Azure.KeyVault"


class _Checked:
    """Something whose members are checked when it is constructed; they may be templates."""

    checks: ClassVar[Mapping[str, Check]]

    def __post_init__(self) -> None:
        several = {
            name: check for name, check in self.checks.items() if check in (_names, check_names, _mapping)
        }
        # What is written into the document member by member cannot be one template.
        settle(self, several)
        settle(self, self.checks, templated=self.checks, keeps=False)


_names = partial(check_names, least=0)


def _whole_seconds(name: str, value: object) -> int:
    seconds = check_seconds(name, value)
    if seconds < 1:
        raise refused(name, value, ", but it has to be a second or more.")
    return round(seconds)


def _mapping(name: str, value: object) -> Mapping[str, Any] | None:
    return None if value is None else check_mapping(name, value)


def _any_text(name: str, value: object) -> str:
    return value if value == "" and isinstance(value, str) else check_text(name, value)


@dataclass(frozen=True, kw_only=True)
class Image(_Checked):
    """An image with the node agent that belongs to it.

    :param node_agent: the agent's SKU, such as ``batch.node.ubuntu 24.04``.
    :param publisher: of a marketplace image, with the three that follow.
    :param offer: of a marketplace image.
    :param sku: of a marketplace image.
    :param version: of a marketplace image; by default the latest there is when a node comes up.
    :param id: the resource id of an image of one's own (Azure Compute Gallery), instead of these.
    """

    node_agent: str
    publisher: str = ""
    offer: str = ""
    sku: str = ""
    version: str = "latest"
    id: str = ""

    checks: ClassVar[Mapping[str, Check]] = {
        "node_agent": check_text,
        **dict.fromkeys(("publisher", "offer", "sku", "version", "id"), _any_text),
    }

    @property
    def operating_system(self) -> OperatingSystem:
        """What the nodes run.

        :raises ParameterError: if the node agent does not say, for it is a template or misspelt.
        """
        system = node_operating_system(self.node_agent)
        if system is None:
            raise ParameterError(
                f"The node agent {self.node_agent[:64]!r} does not say whether its nodes run Linux or "
                "Windows; their names begin with batch.node. Write extensions for it as Extension(...)."
            )
        return system

    def _body(self) -> dict[str, str]:
        if self.id:
            return {"id": self.id}
        return {"publisher": self.publisher, "offer": self.offer, "sku": self.sku, "version": self.version}


UBUNTU_24_04 = Image(
    publisher="canonical", offer="ubuntu-24_04-lts", sku="server", node_agent="batch.node.ubuntu 24.04"
)
"""Of the second generation: some old sizes cannot start it."""
UBUNTU_22_04 = Image(
    publisher="canonical",
    offer="0001-com-ubuntu-server-jammy",
    sku="22_04-lts",
    node_agent="batch.node.ubuntu 22.04",
)
UBUNTU_22_04_HPC = Image(
    publisher="microsoft-dsvm", offer="ubuntu-hpc", sku="2204", node_agent="batch.node.ubuntu 22.04"
)
"""With GPU drivers, MPI and a container runtime."""
ALMALINUX_9 = Image(publisher="almalinux", offer="almalinux", sku="9-gen1", node_agent="batch.node.el 9")
WINDOWS_SERVER_2022 = Image(
    publisher="microsoftwindowsserver",
    offer="windowsserver",
    sku="2022-datacenter",
    node_agent="batch.node.windows amd64",
)


@dataclass(frozen=True, kw_only=True)
class Extension(_Checked):
    """Any extension.

    :param name: its name in the pool.
    :param publisher: who publishes it, such as ``Microsoft.Azure.Monitor``.
    :param type: what the publisher calls it, such as ``AzureMonitorLinuxAgent``.
    :param version: major and minor, such as ``"3.0"``.
    :param settings: what everybody who may read the pool may see.
    :param protected_settings: what nobody may see; concealed wherever Airflow shows the document.
    :param after: names of the extensions that are to be ready before.
    :param auto_upgrade_minor_version: take a newer minor version, if there is one when a node comes up.
    :param enable_automatic_upgrade: let Azure upgrade it on nodes that are up.
    """

    name: str
    publisher: str
    type: str
    version: str
    settings: Mapping[str, Any] | None = None
    protected_settings: Mapping[str, Any] | None = field(default=None, repr=False)
    after: Sequence[str] = ()
    auto_upgrade_minor_version: bool = True
    enable_automatic_upgrade: bool | None = None

    checks: ClassVar[Mapping[str, Check]] = {
        **dict.fromkeys(("name", "publisher", "type", "version"), check_text),
        **dict.fromkeys(("settings", "protected_settings"), _mapping),
        "after": _names,
        "auto_upgrade_minor_version": check_flag,
        "enable_automatic_upgrade": optional(check_flag),
    }

    def body(self, image: Image) -> dict[str, Any]:
        """The extension as it stands in the document of a pool with this image."""
        body: dict[str, Any] = {
            "name": self.name,
            "publisher": self.publisher,
            "type": self.type,
            "typeHandlerVersion": self.version,
            "autoUpgradeMinorVersion": self.auto_upgrade_minor_version,
            "enableAutomaticUpgrade": self.enable_automatic_upgrade,
            "settings": None if self.settings is None else dict(self.settings),
            "protectedSettings": None if self.protected_settings is None else dict(self.protected_settings),
            "provisionAfterExtensions": list(self.after) or None,
        }
        return {member: value for member, value in body.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class KeyVaultExtension(_Checked):
    """Brings certificates from a key vault to the nodes, and renews them; for Linux or Windows, as the image.

    It signs in as an identity of the pool, which needs the role *Key Vault Secrets User* on the vault.

    :param name: its name in the pool.
    :param certificates: URLs of the certificates' secrets, ``https://VAULT.vault.azure.net/secrets/NAME``.
    :param client_id: the client id (a GUID) of the identity.
    :param polling_interval: seconds (or a timedelta) between two looks for a newer certificate.
    :param require_initial_sync: report success only when the certificates are there.
    :param store: where they go: a directory on Linux, by default the one of the how-to; on Windows a place
        of certificates, by default ``LocalMachine``, in the store ``MY``.
    :param version: major and minor; by default 2.0 on Linux and 1.0 on Windows, whose settings these are.
    :param after: names of the extensions that are to be ready before.
    """

    certificates: Sequence[str]
    client_id: str
    name: str = "keyvault"
    polling_interval: float | timedelta | str = 3600
    require_initial_sync: bool = True
    store: str | None = None
    version: str | None = None
    after: Sequence[str] = ()

    checks: ClassVar[Mapping[str, Check]] = {
        "certificates": check_names,
        **dict.fromkeys(("client_id", "name"), check_text),
        "polling_interval": _whole_seconds,
        "require_initial_sync": check_flag,
        **dict.fromkeys(("store", "version"), optional(check_text)),
        "after": _names,
    }
    _TYPES: ClassVar[Mapping[OperatingSystem, tuple[str, str]]] = {
        "linux": ("KeyVaultForLinux", "2.0"),
        "windows": ("KeyVaultForWindows", "1.0"),
    }

    def body(self, image: Image) -> dict[str, Any]:
        """The extension as it stands in the document of a pool with this image."""
        system = image.operating_system
        type_, version = self._TYPES[system]
        secrets: dict[str, Any] = {
            "pollingIntervalInS": str(self.polling_interval),
            "certificateStoreLocation": self.store or (_LINUX_STORE if system == "linux" else "LocalMachine"),
            "requireInitialSync": self.require_initial_sync,
            "observedCertificates": list(self.certificates),
        }
        if system == "windows":
            secrets["certificateStoreName"] = "MY"
        return Extension(
            name=self.name,
            publisher="Microsoft.Azure.KeyVault",
            type=type_,
            version=self.version or version,
            settings={
                "secretsManagementSettings": secrets,
                "authenticationSettings": {"msiEndpoint": _LOCAL_TOKENS, "msiClientId": self.client_id},
            },
            after=self.after,
        ).body(image)


@dataclass(frozen=True, kw_only=True)
class AzureMonitorAgentExtension(_Checked):
    """Sends logs and metrics of the nodes to Azure Monitor; on Linux or Windows, as the image is.

    What it sends is said by a data collection rule that is associated elsewhere.

    :param identity: the resource id of the pool's identity that it signs in as.
    :param name: its name in the pool.
    :param version: major and minor.
    :param after: names of the extensions that are to be ready before.
    """

    identity: str
    name: str = "monitor"
    version: str = "1.0"
    after: Sequence[str] = ()

    checks: ClassVar[Mapping[str, Check]] = {
        **dict.fromkeys(("identity", "name", "version"), check_text),
        "after": _names,
    }
    _TYPES: ClassVar[Mapping[OperatingSystem, str]] = {
        "linux": "AzureMonitorLinuxAgent",
        "windows": "AzureMonitorWindowsAgent",
    }

    def body(self, image: Image) -> dict[str, Any]:
        """The extension as it stands in the document of a pool with this image."""
        identity = {"identifier-name": "mi_res_id", "identifier-value": self.identity}
        return Extension(
            name=self.name,
            publisher="Microsoft.Azure.Monitor",
            type=self._TYPES[image.operating_system],
            version=self.version,
            settings={"authentication": {"managedIdentity": identity}},
            enable_automatic_upgrade=True,
            after=self.after,
        ).body(image)


@dataclass(frozen=True, kw_only=True)
class GpuDriverExtension(_Checked):
    """Installs the driver of the nodes' GPUs: NVIDIA's on Linux and Windows, AMD's on Windows only.

    :param vendor: of the GPUs: "nvidia" or "amd".
    :param name: its name in the pool.
    :param version: major and minor.
    :param after: names of the extensions that are to be ready before.
    """

    vendor: Literal["nvidia", "amd"] = "nvidia"
    name: str = "gpu"
    version: str | None = None
    after: Sequence[str] = ()

    checks: ClassVar[Mapping[str, Check]] = {
        "vendor": one_of("nvidia", "amd"),
        "name": check_text,
        "version": optional(check_text),
        "after": _names,
    }
    _TYPES: ClassVar[Mapping[tuple[str, OperatingSystem], tuple[str, str]]] = {
        ("nvidia", "linux"): ("NvidiaGpuDriverLinux", "1.6"),
        ("nvidia", "windows"): ("NvidiaGpuDriverWindows", "1.4"),
        ("amd", "windows"): ("AmdGpuDriverWindows", "1.1"),
    }

    def body(self, image: Image) -> dict[str, Any]:
        """The extension as it stands in the document of a pool with this image.

        :raises ParameterError: if there is no such driver for the image's operating system.
        """
        found = self._TYPES.get((self.vendor, image.operating_system))
        if found is None:
            raise ParameterError(
                f"There is no extension for {self.vendor}'s GPUs on {image.operating_system}."
            )
        type_, version = found
        return Extension(
            name=self.name,
            publisher="Microsoft.HpcCompute",
            type=type_,
            version=self.version or version,
            after=self.after,
        ).body(image)


AnyExtension = Extension | KeyVaultExtension | AzureMonitorAgentExtension | GpuDriverExtension


def pool_document(
    *,
    name: str | None = None,
    image: Image,
    size: str,
    dedicated: int | str | None = None,
    low_priority: int | str | None = None,
    formula: str | None = None,
    resize_timeout: float | timedelta | str | None = None,
    evaluation_interval: float | timedelta | str | None = None,
    identities: Sequence[str] = (),
    extensions: Sequence[AnyExtension | Mapping[str, Any]] = (),
    start_task: str | Mapping[str, Any] | None = None,
    task_slots: int | str | None = None,
    subnet_id: str | None = None,
    metadata: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
    machine: Mapping[str, Any] | None = None,
    more: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write a pool document: the body of ``Pool_Create``, with its secrets concealed.

    :param name: the pool's name; may be left to the operator's ``pool_id``.
    :param image: what the nodes run, such as ``UBUNTU_24_04``.
    :param size: of the machines, such as ``STANDARD_D2S_V5``.
    :param dedicated: how many dedicated nodes; with ``low_priority``, or a ``formula`` instead of both.
    :param low_priority: how many low-priority (Spot) nodes.
    :param formula: the autoscale formula that says how many.
    :param resize_timeout: how long Azure tries to get the nodes: seconds, a timedelta, or as ISO 8601 writes
        it (``PT15M``); five minutes or more, 15 by default.
    :param evaluation_interval: the time between two evaluations of the formula, in the same forms; 15 minutes
        by default.
    :param identities: resource ids of the pool's user-assigned identities.
    :param extensions: the pool's extensions; a mapping is one in the REST API's shape.
    :param start_task: a command line, run as an administrator and waited for, or a whole ``startTask``.
    :param task_slots: how many tasks a node runs at once.
    :param subnet_id: the resource id of a subnet that the nodes join.
    :param metadata: names and values for the pool itself.
    :param tags: names and values for the ARM resource.
    :param machine: further members of ``virtualMachineConfiguration``, in the REST API's shape; they win.
    :param more: further members of ``properties``, in the REST API's shape; they win.
    :raises ParameterError: if one of them cannot be used, both a formula and numbers of nodes are given, or
        neither, or something that goes only with the other of the two.
    """
    given = locals()
    for parameter, check in _DOCUMENT_CHECKS.items():
        # Those that are written into the document member by member cannot be one template.
        if parameter in _MEMBERWISE or not is_template(given[parameter]):
            given[parameter] = check(parameter, given[parameter])
    for lost, where, instead in (
        ("resize_timeout", "formula", "evaluation_interval"),
        ("evaluation_interval", "dedicated and low_priority", "resize_timeout"),
    ):
        if given[lost] is not None and (formula is not None) == (where == "formula"):
            raise wrong(
                f"{lost} does not go with {where}: Azure would not know it. There is {instead} there."
            )
    if (formula is None) == (dedicated is None and low_priority is None):
        raise ParameterError("Say how many nodes: dedicated and low_priority, or a formula, and not both.")
    virtual_machine: dict[str, Any] = {"imageReference": image._body(), "nodeAgentSkuId": image.node_agent}
    if extensions:
        virtual_machine["extensions"] = [
            dict(extension) if isinstance(extension, Mapping) else extension.body(image)
            for extension in extensions
        ]
    virtual_machine |= machine or {}
    if formula is not None:
        scale = {"autoScale": _given(formula=formula, evaluationInterval=given["evaluation_interval"])}
    else:
        fixed = _given(targetDedicatedNodes=given["dedicated"], targetLowPriorityNodes=given["low_priority"])
        scale = {"fixedScale": {**fixed, **_given(resizeTimeout=given["resize_timeout"])}}
    properties: dict[str, Any] = {
        "vmSize": size,
        "deploymentConfiguration": {"virtualMachineConfiguration": virtual_machine},
        "scaleSettings": scale,
        **_given(
            taskSlotsPerNode=given["task_slots"],
            startTask=_start_task(start_task),
            networkConfiguration=None if subnet_id is None else {"subnetId": subnet_id},
            metadata=[{"name": key, "value": value} for key, value in (metadata or {}).items()] or None,
        ),
        **(more or {}),
    }
    identity = {"type": "UserAssigned", "userAssignedIdentities": {each: {} for each in identities}}
    document: dict[str, Any] = conceal(
        _given(
            name=name,
            identity=identity if identities else None,
            properties=properties,
            tags=dict(tags) if tags else None,
        )
    )
    return document


def _given(**members: Any) -> dict[str, Any]:
    return {member: value for member, value in members.items() if value is not None}


def _duration(name: str, value: object) -> str | None:
    """As the REST API writes it."""
    if value is None or (isinstance(value, str) and _ISO_DURATION.fullmatch(value)):
        return value
    if isinstance(value, str):
        raise refused(name, value, ", but it has to be seconds, a timedelta, or as ISO 8601 has it: PT15M.")
    check = check_resize_timeout if name == "resize_timeout" else _whole_seconds
    return f"PT{round(check(name, value))}S"


def _extensions(name: str, value: object) -> object:
    kinds = (Mapping, Extension, KeyVaultExtension, AzureMonitorAgentExtension, GpuDriverExtension)
    if isinstance(value, (list, tuple)) and all(isinstance(each, kinds) for each in value):
        return value
    raise refused(name, value, ", but it has to be a list of extensions.")


def _image(name: str, value: object) -> Image:
    if isinstance(value, Image):
        return value
    raise refused(name, value, ", but it has to be an Image, such as UBUNTU_24_04.")


def _count(name: str, value: object, least: int = 0) -> object:
    """A number that was given as a text stays one, as a template would."""
    number = check_count(name, value, least)
    return value if isinstance(value, str) else number


def _task(name: str, value: object) -> object:
    return value if value is None or isinstance(value, Mapping) else check_text(name, value)


_ISO_DURATION = re.compile(r"P(?=.)[0-9YMWD.]*(T[0-9HMS.]+)?")
_DOCUMENT_CHECKS: dict[str, Check] = {
    "name": optional(_any_text),
    **dict.fromkeys(("formula", "subnet_id"), optional(check_text)),
    "size": _any_text,
    "image": _image,
    **dict.fromkeys(("dedicated", "low_priority"), optional(_count)),
    "task_slots": optional(partial(_count, least=1)),
    **dict.fromkeys(("resize_timeout", "evaluation_interval"), _duration),
    "identities": _names,
    "extensions": _extensions,
    "start_task": _task,
    **dict.fromkeys(("metadata", "tags", "machine", "more"), _mapping),
}
_MEMBERWISE = {"image", "identities", "extensions", "metadata", "tags", "machine", "more"}


def _start_task(task: str | Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    if not isinstance(task, str):
        return task
    administrator = {"autoUser": {"scope": "Pool", "elevationLevel": "Admin"}}
    return {"commandLine": task, "userIdentity": administrator, "waitForSuccess": True}
