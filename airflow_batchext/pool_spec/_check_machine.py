"""The check of what the nodes are: their image, its node agent, their disks and containers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from airflow_batchext.batch import extension_catalog as catalog
from airflow_batchext.loose_json.documents import at
from airflow_batchext.loose_json.values import whole_number
from airflow_batchext.pool_spec._check_extensions import check_extensions
from airflow_batchext.pool_spec._check_images import check_agent, check_image, operating_system_of
from airflow_batchext.pool_spec._check_settings import Nodes
from airflow_batchext.pool_spec._check_sizes import gpu_of
from airflow_batchext.pool_spec._finding import (
    ARM_PAGE,
    Findings,
    error,
    object_at,
    object_member,
    objects,
    text_member,
    text_of,
    warning,
)
from airflow_batchext.pool_spec._members import MACHINE
from airflow_batchext.pool_spec._request import boolean


def check_machine(properties: Mapping[str, Any], identities: int, today: date | None) -> Findings:
    """Find what is wrong with ``deploymentConfiguration``.

    :param identities: how many identities the pool has that its nodes can sign in with.
    :param today: the date; without it, ends that are announced are not told.
    """
    path = "properties.deploymentConfiguration"
    required = "Describe the nodes in deploymentConfiguration.virtualMachineConfiguration"
    deployment = yield from object_member(properties, "deploymentConfiguration", "properties", required)
    if deployment is None:
        return
    if deployment.get("cloudServiceConfiguration") is not None:
        what = "Azure has retired cloudServiceConfiguration, and its nodes cannot have extensions"
        fix = "Use virtualMachineConfiguration instead"
        yield error(f"{path}.cloudServiceConfiguration", what, fix, catalog.SUPPORTED_EXTENSIONS_PAGE)
        required = ""  # that is said now
    machine = yield from object_member(deployment, "virtualMachineConfiguration", path, required)
    if machine is None:
        return
    fix = 'Name a marketplace image: {"publisher": …, "offer": …, "sku": …, "version": "latest"}'
    image = yield from object_member(machine, "imageReference", MACHINE, fix)
    if image is not None:
        yield from check_image(image)
    fix = "Name the node agent of the image, such as batch.node.ubuntu 24.04"
    agent = yield from text_member(machine, "nodeAgentSkuId", MACHINE, fix)
    if agent is not None:
        yield from check_agent(agent, image or {}, today)
    system = operating_system(machine)
    if system == "linux" and machine.get("windowsConfiguration") is not None:
        what = "windowsConfiguration is given, and the nodes run Linux"
        yield error(f"{MACHINE}.windowsConfiguration", what, "Take it out", ARM_PAGE)
    yield from _check_disks(machine)
    yield from _check_containers(machine, properties)
    profile = object_at(machine, "securityProfile")
    nodes = Nodes(
        system,
        identities,
        gpu_of(properties),
        has_secure_boot=boolean(object_at(profile, "uefiSettings").get("secureBootEnabled")) is True,
        has_security_type=bool(text_of(profile, "securityType")),
    )
    yield from check_extensions(machine.get("extensions"), nodes, today)


def operating_system(machine: Mapping[str, Any]) -> catalog.OperatingSystem | None:
    """What the nodes run, where the node agent or the image tells."""
    agent = catalog.node_operating_system(text_of(machine, "nodeAgentSkuId"))
    return agent or operating_system_of(object_at(machine, "imageReference"))


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
        fix = 'Add containerConfiguration {"type": "DockerCompatible"} to virtualMachineConfiguration'
        yield warning("properties.startTask.containerSettings", what, fix, ARM_PAGE)
    path = f"{MACHINE}.containerConfiguration.containerRegistries"
    for index, registry in objects(object_at(machine, "containerConfiguration").get("containerRegistries")):
        has_user = registry.get("username") is not None or registry.get("password") is not None
        if has_user and registry.get("identityReference") is not None:
            what = "a user and an identity are given to sign in to the registry"
            yield error(at(path, index), what, "Keep one of the two", ARM_PAGE)
        elif has_user and (registry.get("username") is None or registry.get("password") is None):
            what = "of username and password only one is given"
            yield error(at(path, index), what, "Give both, or an identityReference", ARM_PAGE)
