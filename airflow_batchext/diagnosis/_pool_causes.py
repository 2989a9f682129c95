"""Known causes that show at the pool: its resizes, its deletion, what the account lets one see."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from airflow_batchext.batch.data_plane import one_line
from airflow_batchext.diagnosis._cause import Hit, Look, fault_text, resize, short_of_nodes, sizes

if TYPE_CHECKING:
    from airflow_batchext.health import PoolHealth

_GENERATION: Final = r"hypervisor generation"
_CAPACITY: Final = (
    r"overconstrained|zonalallocationfailed|skunotavailable|insufficient capacity"
    r"|not have (enough|sufficient) capacity"
)
_SUBSCRIPTION: Final = r"quotaexceeded|operationnotallowed[^}]*quota|exceeding approved .{0,60}quota"
_ADDRESSES: Final = r"subnet.{0,80}(full|not enough|insufficient)|not enough (unassigned |free )?ip addresses"
_PARTICULAR: Final = "|".join((_GENERATION, _CAPACITY, _SUBSCRIPTION, _ADDRESSES))
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


POOL_LOOKS: Final[Mapping[str, Look]] = {
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
    "removal-failed": resize("RemoveNodesFailed"),
    "autoscale-formula": _autoscale,
    "allocation-failed": _unexplained_allocation,
    "resize-unknown": resize("Unknown"),
    "nodes-missing": _no_reason,
}
