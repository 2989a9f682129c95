"""The check of what the nodes run: their image and its node agent, and what Azure has retired of both."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

from airflow_batchext.batch import node_agents as agents
from airflow_batchext.batch.extension_catalog import node_operating_system
from airflow_batchext.batch.retirements import AGENTS, IMAGES, Retirement, retirement_of
from airflow_batchext.loose_json.documents import quote
from airflow_batchext.pool_spec._finding import (
    ARM_PAGE,
    Findings,
    error,
    missing,
    text_of,
    warning,
)
from airflow_batchext.pool_spec._members import MACHINE

if TYPE_CHECKING:
    from airflow_batchext.batch.extension_catalog import OperatingSystem

_GALLERY_PAGE = "https://learn.microsoft.com/azure/batch/batch-sig-images"
_IMAGE = f"{MACHINE}.imageReference"
_AGENT = f"{MACHINE}.nodeAgentSkuId"
_MARKETPLACE = ("publisher", "offer", "sku")
_IDS = ("id", "sharedGalleryImageId", "communityGalleryImageId")
_COMPUTE = r"/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\.Compute"
_IMAGE_ID = re.compile(
    rf"{_COMPUTE}/(?:images/[^/]+|galleries/[^/]+/images/[^/]+(?:/versions/[^/]+)?)", re.IGNORECASE
)


def check_image(image: Mapping[str, Any]) -> Findings:
    """Find what is wrong with an ``imageReference`` by itself."""
    if "virtualMachineImageId" in image:  # the data plane's name of the id; told as an unknown member
        return
    ids = [member for member in _IDS if image.get(member) is not None]
    names = [member for member in (*_MARKETPLACE, "version") if image.get(member) is not None]
    if len(ids) > 1 or (ids and names):
        what = f"{', '.join((*ids, *names))} exclude each other"
        fix = "Give the id of an image, or publisher, offer and sku"
        yield error(_IMAGE, what, fix, ARM_PAGE)
    elif not ids and not names and not image:
        fix = 'Write {"publisher": …, "offer": …, "sku": …, "version": "latest"}, or the id of an image'
        yield error(_IMAGE, "no image is named", fix, ARM_PAGE)
    elif not ids:
        for member in _MARKETPLACE:
            if image.get(member) is None:
                fix = "A marketplace image has publisher, offer and sku"
                yield missing(f"{_IMAGE}.{member}", member, fix)
            elif isinstance(image[member], str) and not image[member].strip():
                yield error(f"{_IMAGE}.{member}", f"{member} is empty", "Name it", ARM_PAGE)
    resource = image.get("id")
    if isinstance(resource, str) and not _IMAGE_ID.fullmatch(resource):
        fix = "Write /subscriptions/…/resourceGroups/…/providers/Microsoft.Compute/galleries/…/images/…"
        yield error(f"{_IMAGE}.id", "this is not the resource id of an image", fix, _GALLERY_PAGE)


def check_agent(agent: str, image: Mapping[str, Any], today: date | None) -> Findings:
    """Find what is wrong with ``nodeAgentSkuId``, by itself and beside the image.

    :param today: the date; without it, ends that are announced are not told.
    """
    if agents.is_malformed(agent):
        meant = agents.likely_agent(agent)
        what = f"{quote(agent)} is no node agent: their names are batch.node.SYSTEM, a blank, and a version"
        fix = f"Write {meant}" if meant else "Name that of the image, such as batch.node.ubuntu 24.04"
        yield (error if meant else warning)(_AGENT, what, fix, agents.IMAGES_PAGE)
        return
    if node_operating_system(agent) is None:
        what = f"{quote(agent)} does not look like a node agent: their names begin with 'batch.node.'"
        fix = "Name that of the image, such as batch.node.ubuntu 24.04 or batch.node.windows amd64"
        yield warning(_AGENT, what, fix, agents.IMAGES_PAGE)
        return
    yield from _check_fit(agent, image)
    yield from _check_ends(agent, image, today)


def operating_system_of(image: Mapping[str, Any]) -> OperatingSystem | None:
    """The operating system of a marketplace image, where its names tell."""
    linux = agents.is_linux(image)
    return None if linux is None else ("linux" if linux else "windows")


def _check_fit(agent: str, image: Mapping[str, Any]) -> Findings:
    system, of_image = node_operating_system(agent), operating_system_of(image)
    asked, offered = agents.system_of_agent(agent), agents.system_of_image(image)
    fix = _take(offered)
    if of_image is not None and of_image != system:
        what = f"the agent {quote(agent)} is for {str(system).title()}, the image is {of_image.title()}"
        yield error(_AGENT, what, fix, agents.IMAGES_PAGE)
    elif asked is None or offered is None:
        return
    elif asked.name != offered.name and not {asked.name, offered.name} <= agents.ENTERPRISE:
        what = f"the agent {quote(agent)} is not for the system of the image"
        yield error(_AGENT, what, fix, agents.IMAGES_PAGE)
    elif offered.version and asked.version != offered.version:
        what = f"the agent is for {_title(asked)}, the image looks like {offered.version}"
        yield warning(_AGENT, what, f"{fix}, or change the image", agents.IMAGES_PAGE)


def _take(offered: agents.System | None) -> str:
    return (
        f"Write {offered.agent}" if offered is not None and offered.agent else "Name the agent of the image"
    )


def _title(system: agents.System) -> str:
    names = {"ubuntu": "Ubuntu", "debian": "Debian", "centos": "CentOS", "el": "Enterprise Linux"}
    return f"{names.get(system.name, system.name)} {system.version}"


def _check_ends(agent: str, image: Mapping[str, Any], today: date | None) -> Findings:
    ended = retirement_of(agent, AGENTS)
    if ended is not None and (ended.is_refused or (today is not None and ended.is_near(today))):
        yield end_of(ended, _AGENT, today)
        return
    name = "/".join(text_of(image, member) for member in _MARKETPLACE)
    ends = retirement_of(name, IMAGES)
    if ends is not None and today is not None and ends.is_near(today):
        yield end_of(ends, _IMAGE, today)


def end_of(entry: Retirement, path: str, today: date | None) -> Any:
    """The finding of something that is retired, or will be."""
    fix = f"Take {entry.instead}"
    if entry.is_refused:
        what = f"Azure has retired {entry.title} on {entry.ends}, and takes no new pool with it"
        return error(path, what, fix, entry.source)
    verb = "was to be retired" if today is not None and today >= entry.ends else "will be retired"
    return warning(path, f"{entry.title} {verb} on {entry.ends}", fix, entry.source)
