"""The parts that a pool document is put together from: images, and extensions for the nodes.

Publishers, types and settings of the extensions are those of Batch's how-to and of the extensions' own pages.
Versions of the Azure Monitor agent and of the GPU drivers are from memory: give ``version`` where yours
matters. There is no extension to run a script: Batch keeps that type for itself, a ``start_task`` does it.

Source: https://learn.microsoft.com/azure/batch/create-pool-extensions
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar, Literal

from airflow_batchext.batch.extension_catalog import OperatingSystem, node_operating_system
from airflow_batchext.exceptions import ParameterError
from airflow_batchext.parameters import Check, check_flag, check_names, check_text, one_of, optional
from airflow_batchext.pool_builder._checks import Checked, any_text, mapping, names, whole_seconds

_LOCAL_TOKENS = "http://169.254.169.254/metadata/identity"
_LINUX_STORE = "/var/lib/waagent/Microsoft.Azure.KeyVault"


@dataclass(frozen=True, kw_only=True)
class Image(Checked):
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
        **dict.fromkeys(("publisher", "offer", "sku", "version", "id"), any_text),
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
"""Ubuntu 24.04, of the second generation: some old sizes cannot start it."""
UBUNTU_22_04 = Image(
    publisher="canonical",
    offer="0001-com-ubuntu-server-jammy",
    sku="22_04-lts",
    node_agent="batch.node.ubuntu 22.04",
)
"""Ubuntu 22.04."""
UBUNTU_22_04_HPC = Image(
    publisher="microsoft-dsvm", offer="ubuntu-hpc", sku="2204", node_agent="batch.node.ubuntu 22.04"
)
"""Ubuntu 22.04 with GPU drivers, MPI and a container runtime."""
ALMALINUX_9 = Image(publisher="almalinux", offer="almalinux", sku="9-gen1", node_agent="batch.node.el 9")
"""AlmaLinux 9."""
WINDOWS_SERVER_2022 = Image(
    publisher="microsoftwindowsserver",
    offer="windowsserver",
    sku="2022-datacenter",
    node_agent="batch.node.windows amd64",
)
"""Windows Server 2022."""


@dataclass(frozen=True, kw_only=True)
class Extension(Checked):
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
        **dict.fromkeys(("settings", "protected_settings"), mapping),
        "after": names,
        "auto_upgrade_minor_version": check_flag,
        "enable_automatic_upgrade": optional(check_flag),
    }

    def body(self, image: Image) -> dict[str, Any]:
        """The extension as it stands in the document of a pool with this image.

        :param image: what the pool's nodes run.
        """
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
class KeyVaultExtension(Checked):
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
        "polling_interval": whole_seconds,
        "require_initial_sync": check_flag,
        **dict.fromkeys(("store", "version"), optional(check_text)),
        "after": names,
    }
    _TYPES: ClassVar[Mapping[OperatingSystem, tuple[str, str]]] = {
        "linux": ("KeyVaultForLinux", "2.0"),
        "windows": ("KeyVaultForWindows", "1.0"),
    }

    def body(self, image: Image) -> dict[str, Any]:
        """The extension as it stands in the document of a pool with this image.

        :param image: what the pool's nodes run.
        """
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
class AzureMonitorAgentExtension(Checked):
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
        "after": names,
    }
    _TYPES: ClassVar[Mapping[OperatingSystem, str]] = {
        "linux": "AzureMonitorLinuxAgent",
        "windows": "AzureMonitorWindowsAgent",
    }

    def body(self, image: Image) -> dict[str, Any]:
        """The extension as it stands in the document of a pool with this image.

        :param image: what the pool's nodes run.
        """
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
class GpuDriverExtension(Checked):
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
        "after": names,
    }
    _TYPES: ClassVar[Mapping[tuple[str, OperatingSystem], tuple[str, str]]] = {
        ("nvidia", "linux"): ("NvidiaGpuDriverLinux", "1.6"),
        ("nvidia", "windows"): ("NvidiaGpuDriverWindows", "1.4"),
        ("amd", "windows"): ("AmdGpuDriverWindows", "1.1"),
    }

    def body(self, image: Image) -> dict[str, Any]:
        """The extension as it stands in the document of a pool with this image.

        :param image: what the pool's nodes run.
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
"""Any of the extensions of this module."""
