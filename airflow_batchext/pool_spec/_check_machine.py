"""The check of what the nodes are: their image, its node agent, their disks and containers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from airflow_batchext.batch import extension_catalog as catalog
from airflow_batchext.batch.documents import at, quote
from airflow_batchext.pool_spec._check_extensions import check_extensions
from airflow_batchext.pool_spec._finding import (
    ARM_PAGE,
    Findings,
    error,
    missing,
    object_at,
    object_member,
    objects,
    text_member,
    text_of,
    warning,
)
from airflow_batchext.pool_spec._members import MACHINE
from airflow_batchext.pool_spec._request import whole_number

_IMAGES_PAGE = "https://learn.microsoft.com/azure/batch/batch-linux-nodes"
_GALLERY_PAGE = "https://learn.microsoft.com/azure/batch/batch-sig-images"
_IMAGE = f"{MACHINE}.imageReference"
_MARKETPLACE = ("publisher", "offer", "sku")
_IDS = ("id", "sharedGalleryImageId", "communityGalleryImageId")
_COMPUTE = r"/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\.Compute"
_IMAGE_ID = re.compile(
    rf"{_COMPUTE}/(?:images/[^/]+|galleries/[^/]+/images/[^/]+(?:/versions/[^/]+)?)", re.IGNORECASE
)
_UBUNTU_AGENT = re.compile(r"batch\.node\.ubuntu (?P<version>\d\d\.\d\d)", re.IGNORECASE)
_UBUNTU_IMAGE = re.compile(r"(?<!\d)(?P<year>1[4-9]|2\d)[._-]?04(?!\d)")
_LINUX_PUBLISHERS = frozenset({"almalinux", "canonical", "debian", "openlogic", "redhat", "rocky", "suse"})
_WINDOWS_PUBLISHER = "microsoftwindowsserver"


def check_machine(properties: Mapping[str, Any], identities: int) -> Findings:
    """Find what is wrong with ``deploymentConfiguration``.

    :param identities: how many identities the pool has that its nodes can sign in with.
    """
    path = "properties.deploymentConfiguration"
    required = "Describe the nodes in deploymentConfiguration.virtualMachineConfiguration"
    deployment = yield from object_member(properties, "deploymentConfiguration", "properties", required)
    if deployment is None:
        return
    if deployment.get("cloudServiceConfiguration") is not None:
        what = "Azure has retired cloudServiceConfiguration, and its nodes cannot have extensions"
        mend = "Use virtualMachineConfiguration instead"
        yield error(f"{path}.cloudServiceConfiguration", what, mend, catalog.SUPPORTED_EXTENSIONS_PAGE)
        required = ""  # that is said now
    machine = yield from object_member(deployment, "virtualMachineConfiguration", path, required)
    if machine is None:
        return
    mend = 'Name a marketplace image: {"publisher": …, "offer": …, "sku": …, "version": "latest"}'
    image = yield from object_member(machine, "imageReference", MACHINE, mend)
    if image is not None:
        yield from _check_image(image)
    mend = "Name the node agent of the image, such as batch.node.ubuntu 24.04"
    agent = yield from text_member(machine, "nodeAgentSkuId", MACHINE, mend)
    of_image = _system_of(image or {})
    of_agent = catalog.node_operating_system(agent or "")
    if agent is not None:
        yield from _check_agent(agent, of_agent, of_image, image or {})
    system = of_agent or of_image
    yield from _check_for_windows_only(machine, system)
    yield from _check_disks(machine)
    yield from _check_containers(machine, properties)
    yield from check_extensions(machine.get("extensions"), system, identities=identities)


def _check_image(image: Mapping[str, Any]) -> Findings:
    if "virtualMachineImageId" in image:  # the data plane's name of the id; told as an unknown member
        return
    ids = [member for member in _IDS if image.get(member) is not None]
    names = [member for member in (*_MARKETPLACE, "version") if image.get(member) is not None]
    if len(ids) > 1 or (ids and names):
        what = f"{', '.join((*ids, *names))} exclude each other"
        mend = "Give the id of an image, or publisher, offer and sku"
        yield error(_IMAGE, what, mend, ARM_PAGE)
    elif not ids and not names and not image:
        mend = 'Write {"publisher": …, "offer": …, "sku": …, "version": "latest"}, or the id of an image'
        yield error(_IMAGE, "no image is named", mend, ARM_PAGE)
    elif not ids:
        for member in _MARKETPLACE:
            if image.get(member) is None:
                mend = "A marketplace image has publisher, offer and sku"
                yield missing(f"{_IMAGE}.{member}", member, mend)
            elif isinstance(image[member], str) and not image[member].strip():
                yield error(f"{_IMAGE}.{member}", f"{member} is empty", "Name it", ARM_PAGE)
    resource = image.get("id")
    if isinstance(resource, str) and not _IMAGE_ID.fullmatch(resource):
        mend = "Write /subscriptions/…/resourceGroups/…/providers/Microsoft.Compute/galleries/…/images/…"
        yield error(f"{_IMAGE}.id", "this is not the resource id of an image", mend, _GALLERY_PAGE)


def _system_of(image: Mapping[str, Any]) -> catalog.OperatingSystem | None:
    """Return the operating system of a marketplace image, where its publisher tells."""
    publisher = text_of(image, "publisher").casefold()
    if publisher == _WINDOWS_PUBLISHER:
        return "windows"
    return "linux" if publisher in _LINUX_PUBLISHERS else None


def _check_agent(
    agent: str,
    system: catalog.OperatingSystem | None,
    of_image: catalog.OperatingSystem | None,
    image: Mapping[str, Any],
) -> Findings:
    path = f"{MACHINE}.nodeAgentSkuId"
    if system is None:
        what = f"{quote(agent)} does not look like a node agent: their names begin with 'batch.node.'"
        mend = "Name that of the image, such as batch.node.ubuntu 24.04 or batch.node.windows amd64"
        yield warning(path, what, mend, _IMAGES_PAGE)
        return
    if of_image is not None and of_image != system:
        what = f"the agent {quote(agent)} is for {system.title()}, the image is {of_image.title()}"
        yield error(path, what, "Name the agent of the image", _IMAGES_PAGE)
        return
    wanted, offered = _UBUNTU_AGENT.fullmatch(agent.strip()), _ubuntu_of(image)
    if wanted is not None and offered and wanted["version"] != offered:
        what = f"the agent is for Ubuntu {wanted['version']}, the image looks like {offered}"
        yield warning(path, what, f"Write batch.node.ubuntu {offered}, or change the image", _IMAGES_PAGE)


def _ubuntu_of(image: Mapping[str, Any]) -> str:
    """Return the release that an Ubuntu image's offer or sku tells, such as 22.04."""
    offer, sku = text_of(image, "offer"), text_of(image, "sku")
    if "ubuntu" not in offer.casefold():
        return ""
    match = _UBUNTU_IMAGE.search(sku) or _UBUNTU_IMAGE.search(offer)
    return f"{match['year']}.04" if match else ""


def _check_for_windows_only(machine: Mapping[str, Any], system: catalog.OperatingSystem | None) -> Findings:
    if system != "linux":
        return
    if machine.get("windowsConfiguration") is not None:
        what = "windowsConfiguration is given, and the nodes run Linux"
        yield error(f"{MACHINE}.windowsConfiguration", what, "Take it out", ARM_PAGE)
    if machine.get("licenseType") is not None:
        what = "licenseType is for Windows, and the nodes run Linux"
        yield warning(f"{MACHINE}.licenseType", what, "Take it out", ARM_PAGE)


def _check_disks(machine: Mapping[str, Any]) -> Findings:
    taken: dict[int, int] = {}
    for index, disk in objects(machine.get("dataDisks")):
        path = at(f"{MACHINE}.dataDisks", index)
        lun, size = whole_number(disk.get("lun")), whole_number(disk.get("diskSizeGB"))
        if lun is not None and not 0 <= lun <= 63:
            yield error(f"{path}.lun", f"lun {lun} is out of range", "Give 0 to 63", ARM_PAGE)
        elif lun is not None and taken.setdefault(lun, index) != index:
            what = f"lun {lun} is taken by dataDisks[{taken[lun]}]"
            yield error(f"{path}.lun", what, "Give each disk another lun", ARM_PAGE)
        if size is not None and size < 1:
            yield error(f"{path}.diskSizeGB", "the disk has no size", "Give its size in GB", ARM_PAGE)


def _check_containers(machine: Mapping[str, Any], properties: Mapping[str, Any]) -> Findings:
    in_start_task = object_at(properties, "startTask").get("containerSettings")
    if in_start_task is not None and machine.get("containerConfiguration") is None:
        what = "the start task runs in a container, and the nodes have no container runtime"
        mend = 'Add containerConfiguration {"type": "DockerCompatible"} to virtualMachineConfiguration'
        yield warning("properties.startTask.containerSettings", what, mend, ARM_PAGE)
    path = f"{MACHINE}.containerConfiguration.containerRegistries"
    for index, registry in objects(object_at(machine, "containerConfiguration").get("containerRegistries")):
        has_user = registry.get("username") is not None or registry.get("password") is not None
        if has_user and registry.get("identityReference") is not None:
            what = "a user and an identity are given to sign in to the registry"
            yield error(at(path, index), what, "Keep one of the two", ARM_PAGE)
        elif has_user and (registry.get("username") is None or registry.get("password") is None):
            what = "of username and password only one is given"
            yield error(at(path, index), what, "Give both, or an identityReference", ARM_PAGE)
