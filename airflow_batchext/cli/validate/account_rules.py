"""What a pool asks for, compared with what an account has. Pure: bodies of answers in, findings out.

Only what the service itself listed is held against a document. That quota is left now does not mean that
there will be machines, and what other pools ask for later is not known.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from airflow_batchext.loose_json.documents import at
from airflow_batchext.loose_json.values import as_mapping, as_text, below, whole_number
from airflow_batchext.pool_spec import (
    Finding,
    Remedy,
    check_document,
    find_differences,
    request_body,
)
from airflow_batchext.pool_spec._finding import error, objects, warning
from airflow_batchext.pool_spec._members import MACHINE
from airflow_batchext.repair.journal import keeping_journal

Body = Mapping[str, Any]

_QUOTA_PAGE = "https://learn.microsoft.com/azure/batch/batch-quota-limit"
_SIZES_PAGE = "https://learn.microsoft.com/azure/batch/batch-pool-vm-sizes"
_IMAGES_PAGE = "https://learn.microsoft.com/azure/batch/batch-linux-nodes"
_CONTAINERS_PAGE = "https://learn.microsoft.com/azure/batch/batch-docker-container-workloads"
_FIXED = "properties.scaleSettings.fixedScale"


@dataclass(frozen=True, slots=True)
class Account:
    """What an account answered. What could not be asked is None.

    :param body: the account (``BatchAccount_Get``).
    :param sizes: the sizes that its location offers (``Location_ListSupportedVirtualMachineSkus``).
    :param images: the images that it supports (``Pools_ListSupportedImages``).
    :param pools: its pools (``Pool_ListByBatchAccount``).
    """

    body: Body
    sizes: Sequence[Body] | None = None
    images: Sequence[Body] | None = None
    pools: Sequence[Body] | None = None


def compare(pool_id: str, pool: Body, account: Account, today: str) -> list[Finding]:
    """What of a pool the account cannot give, or has already.

    :param pool_id: the name the pool is going to have; "" if that is not known.
    :param pool: the body of ``Pool_Create``, right or wrong.
    :param today: the date, as ``2026-01-31``: support of some sizes and images has ended.
    """
    properties = as_mapping(pool.get("properties"))
    findings = _existing(pool_id, pool, account)
    if account.sizes is not None:
        size = _find_size(properties, account.sizes)
        findings += _size(properties, size, account, today)
        if size is not None:
            findings += _cores(pool_id, properties, size, account)
    findings += _allocation(properties, account)
    if account.images is not None:
        findings += _image(properties, account.images, today)
    return findings


def _existing(pool_id: str, pool: Body, account: Account) -> list[Finding]:
    """Look for a pool of that name, and for room for another one."""
    if account.pools is None:
        return []
    same = [other for other in account.pools if _text(other.get("name")).casefold() == pool_id.casefold()]
    if same:
        return _taken(as_mapping(same[0]), pool)
    quota = _properties(account.body).get("poolQuota")
    if isinstance(quota, int) and len(account.pools) >= quota:
        what = f"the account has {len(account.pools)} pools, and its quota is {quota}"
        return [error("", what, "Delete one, or ask for a higher quota", _QUOTA_PAGE)]
    return []


def _taken(other: Body, pool: Body) -> list[Finding]:
    name = _text(other.get("name"))
    if _text(_properties(other).get("provisioningState")).casefold() == "deleting":
        what = f"a pool {name} is still being deleted"
        return [warning("name", what, "Its name will be waited for; or take another one")]
    there_is = f"there is a pool {name} already"
    if any(finding.severity == "error" for finding in check_document(pool, pool_id=name)):
        return [warning("name", there_is, "Fix the errors to see how it differs")]
    asked = keeping_journal(request_body(pool), other)
    differences = [found for found in find_differences(other, asked) if found.counts]
    if not differences:
        return [warning("name", f"{there_is}, as asked for", "It would be adopted")]
    many = "one difference" if len(differences) == 1 else f"{len(differences)} differences"
    fix = f"It would be adopted as it is, with {many}; on_existing can update or replace it"
    findings = [warning("name", there_is, fix)]
    for found in differences:
        what = f"it is {found.existing} there, {found.asked} here"
        findings.append(warning(found.path, what, _REMEDIES[found.remedy]))
    return findings


_REMEDIES = {
    Remedy.UPDATE: 'on_existing="update" or "replace" updates it',
    Remedy.UPDATE_WHILE_EMPTY: 'on_existing="update" or "replace" updates it while the pool has no nodes',
    Remedy.REPLACE: 'on_existing="replace" creates the pool anew',
    Remedy.UNKNOWN: 'on_existing="replace" creates the pool anew: nobody knows whether Azure can update it',
}


def _size(properties: Body, size: Body | None, account: Account, today: str) -> list[Finding]:
    wanted, path = _text(properties.get("vmSize")), "properties.vmSize"
    if not wanted:
        return []
    if size is None:
        known = {
            _text(entry.get("name")).casefold(): _text(entry.get("name")) for entry in account.sizes or ()
        }
        near = get_close_matches(wanted.casefold(), known, n=1, cutoff=0.8)
        fix = f"Did you mean {known[near[0]]}?" if near else "Take another size, or an account elsewhere"
        where = _text(account.body.get("location")) or "its location"
        what = f"Batch does not offer {wanted[:64]!r} in {where}"
        return [error(path, what, fix, _SIZES_PAGE)]
    return _end_of_life(size, path, "this size", today)


def _cores(pool_id: str, properties: Body, size: Body, account: Account) -> list[Finding]:
    cores = _cores_of(size)
    if not cores:
        return []
    findings = []
    slots = whole_number(properties.get("taskSlotsPerNode"))
    if slots is not None and 4 * cores < slots <= 256:
        what = f"{slots} task slots are more than four for each of the {cores} cores of a node"
        fix = f"Give {4 * cores} or fewer, or take a larger size"
        findings.append(error("properties.taskSlotsPerNode", what, fix))
    fixed = as_mapping(below(properties, "scaleSettings", "fixedScale"))
    family = _text(size.get("familyName"))
    for member, kind in (("targetDedicatedNodes", "dedicated"), ("targetLowPriorityNodes", "low-priority")):
        nodes = whole_number(fixed.get(member)) or 0
        if nodes <= 0:
            continue
        for quota, name, others in _quotas(account, kind, family, pool_id):
            needed = nodes * cores
            if needed <= quota - others:
                continue
            what = f"{nodes} nodes need {needed} cores; of the {quota} {name} other pools have {others} now"
            if needed > quota:
                what = f"{nodes} nodes need {needed} cores, and the account's quota of {name} is {quota}"
            told, fix = error if needed > quota else warning, "Ask for fewer nodes, or for a higher quota"
            findings.append(told(f"{_FIXED}.{member}", what, fix, _QUOTA_PAGE))
            break
    return findings


def _quotas(account: Account, kind: str, family: str, pool_id: str) -> list[tuple[int, str, int]]:
    """The quotas that hold for cores of a kind: how many, their name, and how many others have now.

    An account whose machines are in its user's subscription tells none: quota is the subscription's then.
    """
    properties = _properties(account.body)
    total = properties.get("dedicatedCoreQuota" if kind == "dedicated" else "lowPriorityCoreQuota")
    found = []
    if kind == "dedicated" and properties.get("dedicatedCoreQuotaPerVMFamilyEnforced") is True:
        for entry in properties.get("dedicatedCoreQuotaPerVMFamily") or ():
            quota = entry.get("coreQuota")
            if _text(entry.get("name")).casefold() == family.casefold() and isinstance(quota, int):
                used = _used(account, kind, family, pool_id)
                found.append((quota, f"dedicated cores of {family}", used))
    if isinstance(total, int):
        found.append((total, f"{kind} cores", _used(account, kind, None, pool_id)))
    return found


def _used(account: Account, kind: str, family: str | None, pool_id: str) -> int:
    """How many cores other pools have; those of a size that is not listed are not counted."""
    member = "currentDedicatedNodes" if kind == "dedicated" else "currentLowPriorityNodes"
    used = 0
    for other in account.pools or ():
        properties = _properties(other)
        size = _find_size(properties, account.sizes or ())
        if size is None or _text(other.get("name")).casefold() == pool_id.casefold():
            continue
        if family is None or _text(size.get("familyName")).casefold() == family.casefold():
            used += _cores_of(size) * (whole_number(properties.get(member)) or 0)
    return used


def _allocation(properties: Body, account: Account) -> list[Finding]:
    """Look for what only an account has whose machines are in its user's subscription."""
    if _text(_properties(account.body).get("poolAllocationMode")).casefold() != "batchservice":
        return []
    machine = as_mapping(below(properties, "deploymentConfiguration", "virtualMachineConfiguration"))
    disks = {f"{MACHINE}.osDisk": machine.get("osDisk")}
    disks |= {
        f"{at(f'{MACHINE}.dataDisks', index)}": disk for index, disk in objects(machine.get("dataDisks"))
    }
    what = "a diskEncryptionSet is for accounts whose pool allocation mode is UserSubscription"
    return [
        error(f"{path}.managedDisk.diskEncryptionSet", what, "Take it out, or take another account")
        for path, disk in disks.items()
        if below(disk, "managedDisk", "diskEncryptionSet") is not None
    ]


def _image(properties: Body, images: Sequence[Body], today: str) -> list[Finding]:
    machine = as_mapping(below(properties, "deploymentConfiguration", "virtualMachineConfiguration"))
    image, agent = as_mapping(machine.get("imageReference")), _text(machine.get("nodeAgentSkuId"))
    wanted = _image_name(image)
    if not all(wanted):
        agents = {_text(entry.get("nodeAgentSKUId")) for entry in images}
        is_known = not agent or agent.casefold() in map(str.casefold, agents)
        return [] if is_known else [_unknown_agent(agent, agents)]
    path = f"{MACHINE}.imageReference"
    known = {_image_name(as_mapping(entry.get("imageReference"))): entry for entry in images}
    found = known.get(wanted)
    if found is None:
        names = {":".join(name): name for name in known}
        near = get_close_matches(":".join(wanted), names, n=1, cutoff=0.75)
        fix = f"Did you mean {near[0]}?" if near else "Take one that List Supported Images names"
        what = f"the account does not list the image {':'.join(wanted)[:160]!r}"
        return [error(path, what, fix, _IMAGES_PAGE)]
    findings = _end_of_life(found, path, "this image", today)
    capabilities = [str(word).casefold() for word in found.get("capabilities") or ()]
    if machine.get("containerConfiguration") is not None and "dockercompatible" not in capabilities:
        what = "the account does not list this image as one that runs containers (DockerCompatible)"
        fix = "Take one that is, such as microsoft-dsvm / ubuntu-hpc"
        findings.append(warning(path, what, fix, _CONTAINERS_PAGE))
    its_agent = _text(found.get("nodeAgentSKUId"))
    if agent and agent.casefold() != its_agent.casefold():
        what = f"the node agent of this image is {its_agent}"
        fix = f"Write {its_agent}, or take another image"
        findings.append(error(f"{MACHINE}.nodeAgentSkuId", what, fix, _IMAGES_PAGE))
    return findings


def _unknown_agent(agent: str, agents: Collection[str]) -> Finding:
    near = get_close_matches(agent, agents, n=1, cutoff=0.7)
    fix = f"Did you mean {near[0]}?" if near else "Take one that List Supported Images names"
    what = f"the account does not list the node agent {agent[:64]!r}"
    return error(f"{MACHINE}.nodeAgentSkuId", what, fix, _IMAGES_PAGE)


def _end_of_life(entry: Body, path: str, what: str, today: str) -> list[Finding]:
    end = _text(entry.get("batchSupportEndOfLife"))[:10]
    if not end:
        return []
    told = f"Batch's support of {what} {'has ended' if end <= today else 'ends'} on {end}"
    return [warning(path, told, "Take a newer one", _IMAGES_PAGE)]


def _find_size(properties: Body, sizes: Sequence[Body]) -> Body | None:
    wanted = _text(properties.get("vmSize")).casefold()
    return next((size for size in sizes if _text(size.get("name")).casefold() == wanted), None)


def _cores_of(size: Body) -> int:
    for capability in size.get("capabilities") or ():
        if capability.get("name") == "vCPUs":
            return whole_number(capability.get("value")) or 0
    return 0


def _image_name(image: Body) -> tuple[str, ...]:
    return tuple(_text(image.get(member)).casefold() for member in ("publisher", "offer", "sku"))


def _properties(body: Body) -> Body:
    return as_mapping(body.get("properties"))


def _text(value: object) -> str:
    return as_text(value).strip()
