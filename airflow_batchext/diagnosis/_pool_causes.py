"""Known causes that show at the pool: its resizes, its deletion, what the account lets one see."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from airflow_batchext.batch.data_plane import epoch_seconds, one_line
from airflow_batchext.diagnosis._cause import Hit, Matcher, fault_text, hit, resize, short_of_nodes, sizes
from airflow_batchext.diagnosis._provider import reported

if TYPE_CHECKING:
    from airflow_batchext.health import PoolHealth

_GENERATION: Final = r"hypervisor generation"
_CAPACITY: Final = (
    r"overconstrained|zonalallocationfailed|skunotavailable|insufficient capacity"
    r"|not have (enough|sufficient) capacity"
)
_SUBSCRIPTION: Final = r"quotaexceeded|operationnotallowed[^}]*quota|exceeding approved .{0,60}quota"
_ADDRESSES: Final = r"subnet.{0,80}(full|not enough|insufficient)|not enough (unassigned |free )?ip addresses"
_POLICY: Final = r"requestdisallowedbypolicy|disallowed by policy"
_DISK: Final = r"does not support (the )?storage account type"
_DELEGATION: Final = r"subnet has delegation|subnet.{0,80}delegat"
_ROLE: Final = r"batch service does not have the (desired|required) permissions"
_VAULT: Final = r"not authorized to access the key ?vault"
_VERSION: Final = r"artifactversionnotfound|no version found in the artifact repository"
_UNKNOWN_EXTENSION: Final = r"vmextensionnotfound|vm extension with publisher .{0,200}could not be found"
_EXTENSION: Final = r"vmextensionprovisioning(error|timeout)|vmextensionhandlernontransienterror"
_LOCK: Final = r"scopelocked|scope\(s\) are locked|networksecuritygroup.{0,60}inuse|nsg.{0,40}in use"
_PARTICULAR: Final = "|".join(
    (
        *(_GENERATION, _CAPACITY, _SUBSCRIPTION, _ADDRESSES, _POLICY, _DISK, _DELEGATION, _ROLE, _VAULT),
        *(_VERSION, _UNKNOWN_EXTENSION, _EXTENSION, _LOCK),
    )
)
#: A deletion was recorded to take two to four minutes.
_LONG_DELETION_SECONDS: Final = 1800.0
_INTERNAL: Final = r"server encountered an internal error"


def _settings_as_text(health: PoolHealth) -> Iterator[Hit]:
    names = [extension.name for extension in health.extensions if extension.settings_as_text]
    if not names:
        return
    for found in resize("AllocationFailed", saying=_INTERNAL)(health):
        yield Hit(f"{found.said}; the settings of {', '.join(map(one_line, names))} are a string")


def _being_deleted(health: PoolHealth) -> Iterator[Hit]:
    if health.state == "deleting":
        yield Hit(f"pool {health.id} is being deleted since {health.state_since or 'an unknown time'}")


def _deletion_held(health: PoolHealth) -> Iterator[Hit]:
    since = epoch_seconds(health.state_since)
    if health.state == "deleting" and since is not None:
        lasted = health.taken_at - since
        if lasted >= _LONG_DELETION_SECONDS:
            yield Hit(f"pool {health.id} is being deleted for {lasted / 60:.0f} minutes")
    yield from resize(saying=_LOCK)(health)


def _extension_failed(health: PoolHealth) -> Iterator[Hit]:
    if short_of_nodes(health):
        for node, extension in reported(health):
            yield hit(node, extension)


def _no_nodes_wanted(health: PoolHealth) -> Iterator[Hit]:
    told = (health.target_dedicated, health.target_low_priority)
    wanted = sum(filter(None, told))
    if (
        health.autoscale
        and health.allocation_state == "steady"
        and told != (None, None)
        and not (wanted or health.nodes or health.autoscale_error)
    ):
        yield Hit(f"the autoscale formula of pool {health.id} asks for no nodes, and the pool has none")


def _no_pool(health: PoolHealth) -> Iterator[Hit]:
    if health.unread and not health.refused and health.outcome == "fail":
        yield Hit(one_line(health.unread))


def _closed_network(health: PoolHealth) -> Iterator[Hit]:
    if health.refused and "AuthorizationFailure" in health.unread:
        yield Hit(one_line(health.unread))


def _no_permission(health: PoolHealth) -> Iterator[Hit]:
    if health.refused and "AuthorizationFailure" not in health.unread:
        unread = (node.unread for node in health.nodes if node.unread)
        yield Hit(one_line(health.unread or next(unread, "a read was refused")))


def _autoscale(health: PoolHealth) -> Iterator[Hit]:
    if health.autoscale and health.autoscale_error:
        yield Hit(one_line(fault_text(health.autoscale_error)))


def _unexplained_allocation(health: PoolHealth) -> Iterator[Hit]:
    if not list(_settings_as_text(health)):
        yield from resize("AllocationFailed", without=_PARTICULAR)(health)


def _no_reason(health: PoolHealth) -> Iterator[Hit]:
    if short_of_nodes(health) and not health.resize_errors and not health.autoscale and not health.unread:
        removed = "nodes were removed or lost, and nothing resizes the pool back"
        current, target = sizes(health)
        yield Hit(f"the pool is steady with {current} of {target} nodes and tells no resize error: {removed}")


POOL_MATCHERS: Final[Mapping[str, Matcher]] = {
    "pool-being-deleted": _being_deleted,
    "pool-missing": _no_pool,
    "account-network-closed": _closed_network,
    "access-refused": _no_permission,
    "settings-as-text": _settings_as_text,
    "quota-dedicated-cores": resize("AccountCoreQuotaReached"),
    "quota-low-priority-cores": resize("AccountLowPriorityCoreQuotaReached"),
    "quota-spot-cores": resize("AccountSpotCoreQuotaReached"),
    "quota-vm-family": resize("AccountVMSeriesCoreQuotaReached"),
    "quota-subscription": resize(saying=_SUBSCRIPTION),
    "vm-generation": resize(saying=_GENERATION),
    "no-capacity": resize(saying=_CAPACITY),
    "subnet-full": resize(saying=_ADDRESSES),
    "allocation-timed-out": resize("AllocationTimedout"),
    "identity-operation-failed": resize("FailedIdentityOperation"),
    "disk-encryption": resize("DiskEncryptionFailure"),
    "dependency-missing": resize("DependentResourceNotFound"),
    "size-incompatible": resize("IncompatibleVMSize"),
    "size-unsupported": resize("UnsupportedVMSize"),
    "marketplace-plan": resize("MissingPublisherPropertyInMarketPlacePlan"),
    "inter-node-limit": resize("CommunicationEnabledPoolReachedMaxVMCount"),
    "resize-stopped": resize("ResizeStopped"),
    "policy": resize(saying=_POLICY),
    "disk-type": resize(saying=_DISK),
    "subnet-delegated": resize(saying=_DELEGATION),
    "subscription-role": resize(saying=_ROLE),
    "subscription-key-vault": resize(saying=_VAULT),
    "extension-version-missing": resize(saying=_VERSION),
    "extension-unknown": resize(saying=_UNKNOWN_EXTENSION),
    "extension-provisioning": _extension_failed,
    "deletion-held": _deletion_held,
    "autoscale-at-zero": _no_nodes_wanted,
    "removal-failed": resize("RemoveNodesFailed"),
    "autoscale-formula": _autoscale,
    "allocation-failed": _unexplained_allocation,
    "resize-unknown": resize("Unknown"),
    "nodes-missing": _no_reason,
}
