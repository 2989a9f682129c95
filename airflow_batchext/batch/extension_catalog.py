"""What is known about the VM extensions that Azure Batch installs: plain facts, no rules.

The check of a pool document asks here which publisher and type belong together, on which operating
system an extension runs and whether it signs in with the pool's identity. Batch's own page lists the
extensions by their product names only, so every entry says how sure its publisher and type are. Other
extensions can be enabled by a support request: an absence here is never a proof that Azure refuses.

Source: https://learn.microsoft.com/azure/batch/create-pool-extensions
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import SequenceMatcher, get_close_matches
from typing import Literal

OperatingSystem = Literal["linux", "windows"]

SUPPORTED_EXTENSIONS_PAGE = "https://learn.microsoft.com/azure/batch/create-pool-extensions"

_VM = "https://learn.microsoft.com/azure/virtual-machines/extensions"
_AGENT = "https://learn.microsoft.com/azure/azure-monitor/agents/azure-monitor-agent-requirements"

RESERVED_TYPES = frozenset({"customscript", "customscriptextension"})
"""Types, in lower case, that Batch keeps for its own start of a node.

Batch's page says so of ``CustomScript``, the type's name on Linux. ``CustomScriptExtension`` is the same
extension for Windows, of which a virtual machine takes only one; that it is meant too is an inference.
"""

EXTENSION_MEMBERS = (
    "name",
    "publisher",
    "type",
    "typeHandlerVersion",
    "autoUpgradeMinorVersion",
    "enableAutomaticUpgrade",
    "settings",
    "protectedSettings",
    "provisionAfterExtensions",
)
"""Every member an extension of a pool may have; Azure refuses others.

``protectedSettingsFromKeyVault``, of which a comment in the SDKs speaks, is in no version of the API.

Source: ``VMExtension`` in https://learn.microsoft.com/rest/api/batchmanagement/pool/create
"""

_NEAR = 0.75  # AzureMonitorAgentLinux is this near to AzureMonitorLinuxAgent; LinuxDiagnostic is near to none
_SAME = 0.9


@dataclass(frozen=True, slots=True)
class KnownExtension:
    """One extension that Batch's documentation lists.

    ``certainty`` is ``"batch"`` when Batch's own documentation prints this publisher and type, and
    ``"compute"`` when it prints the product's name only and the pair is the one used for ordinary
    virtual machines.
    """

    publisher: str
    type: str
    title: str
    operating_system: OperatingSystem
    needs_identity: bool = False
    certainty: Literal["batch", "compute"] = "compute"
    link: str = SUPPORTED_EXTENSIONS_PAGE

    def __str__(self) -> str:
        """Give the pair as one reads it in logs: ``publisher/type``."""
        return f"{self.publisher}/{self.type}"


_VAULT = "Microsoft.Azure.KeyVault"
_MONITOR = "Microsoft.Azure.Monitor"
_LOGS = "Microsoft.EnterpriseCloud.Monitoring"
_GPU = "Microsoft.HpcCompute"
_HEALTH = "Microsoft.ManagedServices"
_SECURITY = "Microsoft.Azure.Security"

KNOWN_EXTENSIONS: tuple[KnownExtension, ...] = (
    KnownExtension(
        _VAULT, "KeyVaultForLinux", "Azure Key Vault", "linux", True, "batch", f"{_VM}/key-vault-linux"
    ),
    KnownExtension(
        _VAULT, "KeyVaultForWindows", "Azure Key Vault", "windows", True, "batch", f"{_VM}/key-vault-windows"
    ),
    KnownExtension(_MONITOR, "AzureMonitorLinuxAgent", "Azure Monitor agent", "linux", True, "batch", _AGENT),
    KnownExtension(
        _MONITOR, "AzureMonitorWindowsAgent", "Azure Monitor agent", "windows", True, "batch", _AGENT
    ),
    KnownExtension(_LOGS, "OmsAgentForLinux", "Log Analytics agent", "linux"),
    KnownExtension(_LOGS, "MicrosoftMonitoringAgent", "Log Analytics agent", "windows"),
    KnownExtension("Microsoft.Powershell", "DSC", "Desired State Configuration", "windows"),
    KnownExtension("Microsoft.Azure.Diagnostics", "IaaSDiagnostics", "Azure Diagnostics", "windows"),
    KnownExtension(_GPU, "AmdGpuDriverWindows", "HPC GPU driver (AMD)", "windows"),
    KnownExtension(_GPU, "NvidiaGpuDriverWindows", "HPC GPU driver (NVIDIA)", "windows"),
    KnownExtension(_GPU, "NvidiaGpuDriverLinux", "HPC GPU driver (NVIDIA)", "linux"),
    KnownExtension(_SECURITY, "IaaSAntimalware", "Microsoft Antimalware", "windows"),
    KnownExtension(_HEALTH, "ApplicationHealthLinux", "Application Health", "linux"),
    KnownExtension(_HEALTH, "ApplicationHealthWindows", "Application Health", "windows"),
    KnownExtension(f"{_SECURITY}.LinuxAttestation", "GuestAttestation", "Guest Attestation", "linux"),
    KnownExtension(f"{_SECURITY}.WindowsAttestation", "GuestAttestation", "Guest Attestation", "windows"),
)

_CORE = "Microsoft.CPlat.Core"
_OSTC = "Microsoft.OSTCExtensions"
_LOGIN = "Microsoft.Azure.ActiveDirectory"
_WATCHER = "Microsoft.Azure.NetworkWatcher"
_DEPENDENCY = "Microsoft.Azure.Monitoring.DependencyAgent"
_PACK = "Microsoft.Azure.Security.Monitoring"
_GENEVA = "Microsoft.Azure.Geneva"
_GUEST = "Microsoft.GuestConfiguration"
_DEFENDER = "Microsoft.Azure.AzureDefenderForServers"
_WORKER = "Microsoft.Azure.Automation.HybridWorker"

OTHER_EXTENSIONS: tuple[KnownExtension, ...] = (
    KnownExtension(_PACK, "AzureSecurityLinuxAgent", "Azure Security Pack", "linux"),
    KnownExtension(_PACK, "AzureSecurityWindowsAgent", "Azure Security Pack", "windows"),
    KnownExtension(_GENEVA, "GenevaMonitoring", "Azure Security Pack (Geneva)", "windows"),
    KnownExtension(_GPU, "AmdGpuDriverLinux", "HPC GPU driver (AMD)", "linux"),
    KnownExtension(_GPU, "InfiniBandDriverLinux", "InfiniBand driver", "linux"),
    KnownExtension(_GPU, "InfiniBandDriverWindows", "InfiniBand driver", "windows"),
    KnownExtension("Microsoft.Azure.Diagnostics", "LinuxDiagnostic", "Azure Diagnostics", "linux"),
    KnownExtension(_OSTC, "LinuxDiagnostic", "Azure Diagnostics", "linux"),
    KnownExtension(_OSTC, "VMAccessForLinux", "VM Access", "linux"),
    KnownExtension("Microsoft.Compute", "VMAccessAgent", "VM Access", "windows"),
    KnownExtension("Microsoft.Compute", "BGInfo", "BGInfo", "windows"),
    KnownExtension("Microsoft.Compute", "JsonADDomainExtension", "Domain join", "windows"),
    KnownExtension(_LOGIN, "AADSSHLoginForLinux", "Login with Entra ID", "linux"),
    KnownExtension(_LOGIN, "AADLoginForWindows", "Login with Entra ID", "windows"),
    KnownExtension(_WATCHER, "NetworkWatcherAgentLinux", "Network Watcher agent", "linux"),
    KnownExtension(_WATCHER, "NetworkWatcherAgentWindows", "Network Watcher agent", "windows"),
    KnownExtension(_DEPENDENCY, "DependencyAgentLinux", "Dependency agent", "linux"),
    KnownExtension(_DEPENDENCY, "DependencyAgentWindows", "Dependency agent", "windows"),
    KnownExtension(_CORE, "RunCommandLinux", "Run Command", "linux"),
    KnownExtension(_CORE, "RunCommandWindows", "Run Command", "windows"),
    KnownExtension(_CORE, "RunCommandHandlerLinux", "Managed Run Command", "linux"),
    KnownExtension(_CORE, "RunCommandHandlerWindows", "Managed Run Command", "windows"),
    KnownExtension(_GUEST, "ConfigurationforLinux", "Machine configuration", "linux"),
    KnownExtension(_GUEST, "ConfigurationforWindows", "Machine configuration", "windows"),
    KnownExtension(_SECURITY, "AzureDiskEncryptionForLinux", "Azure Disk Encryption", "linux"),
    KnownExtension(_SECURITY, "AzureDiskEncryption", "Azure Disk Encryption", "windows"),
    KnownExtension(_DEFENDER, "MDE.Linux", "Defender for Endpoint", "linux"),
    KnownExtension(_DEFENDER, "MDE.Windows", "Defender for Endpoint", "windows"),
    KnownExtension(_WORKER, "HybridWorkerForLinux", "Hybrid Runbook Worker", "linux"),
    KnownExtension(_WORKER, "HybridWorkerForWindows", "Hybrid Runbook Worker", "windows"),
)
"""Extensions of ordinary virtual machines that Batch's page does not list: they may be enabled by a request.

Their names are from memory and from public templates. They are here so that none of them is taken for a
misspelling of another.
"""

_BY_PAIR = {(known.publisher.casefold(), known.type.casefold()): known for known in KNOWN_EXTENSIONS}
_OTHER_BY_PAIR = {(other.publisher.casefold(), other.type.casefold()): other for other in OTHER_EXTENSIONS}


def lookup(publisher: str, type_: str) -> KnownExtension | None:
    """The listed extension of this publisher and type, whatever their upper and lower case."""
    return _BY_PAIR.get((publisher.casefold(), type_.casefold()))


def lookup_other(publisher: str, type_: str) -> KnownExtension | None:
    """The extension of ordinary virtual machines of this publisher and type, if it is known here."""
    return _OTHER_BY_PAIR.get((publisher.casefold(), type_.casefold()))


def nearest(publisher: str, type_: str) -> KnownExtension | None:
    """The extension that was probably meant, or None when nothing is near.

    The type decides; among extensions of the same type the publisher does. Where the publisher is quite
    another, the type has to be nearly the same: the extension is somebody else's then.
    """

    def likeness(known: KnownExtension) -> tuple[float, float]:
        return _likeness(type_, known.type), _likeness(publisher, known.publisher)

    if lookup_other(publisher, type_) is not None:
        return None
    best = max((*KNOWN_EXTENSIONS, *OTHER_EXTENSIONS), key=likeness)
    of_type, of_publisher = likeness(best)
    return best if of_type >= (_NEAR if of_publisher >= _NEAR else _SAME) else None


def nearest_member(key: str) -> str | None:
    """The member of an extension that was probably meant by a misspelt one."""
    spelt = {member.lower(): member for member in EXTENSION_MEMBERS}
    near = get_close_matches(key.lower().replace("_", "")[:64], spelt, n=1, cutoff=0.7)
    return spelt[near[0]] if near else None


def counterpart(known: KnownExtension, system: OperatingSystem) -> KnownExtension | None:
    """The same product for the other operating system, where the list has one."""
    others = (other for other in KNOWN_EXTENSIONS if other.title == known.title)
    return next((other for other in others if other.operating_system == system), None)


def node_operating_system(node_agent_sku_id: str) -> OperatingSystem | None:
    """The operating system of a node agent SKU, or None when its name does not say.

    Source: the identifiers that "List Supported Images" gives, such as ``batch.node.ubuntu 24.04`` and
    ``batch.node.windows amd64``.
    """
    name = node_agent_sku_id.strip().casefold()
    if not name.startswith("batch.node."):
        return None
    return "windows" if name.startswith("batch.node.windows") else "linux"


def _likeness(one: str, other: str) -> float:
    """How alike two names are, from 0 to 1, without regard to upper and lower case."""
    return SequenceMatcher(None, one.casefold()[:64], other.casefold()).ratio()
