"""The check of what surrounds a pool's nodes: mounted file systems, packages, labels."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_batchext.loose_json.documents import at, quote
from airflow_batchext.pool_spec._finding import (
    ARM_PAGE,
    Findings,
    error,
    object_at,
    objects,
    text_of,
    warning,
)

if TYPE_CHECKING:
    from airflow_batchext.batch.extension_catalog import OperatingSystem

_MOUNT_PAGE = "https://learn.microsoft.com/azure/batch/virtual-file-mount"
_PACKAGES_PAGE = "https://learn.microsoft.com/azure/batch/batch-application-packages"
_APPLICATION = re.compile(
    r"/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\.Batch/batchAccounts/[^/]+"
    r"/(?:pools/[^/]+/)?applications/[^/]+(?:/versions/[^/]+)?",
    re.IGNORECASE,
)
_MOST_PACKAGES, _MOST_MOUNTS = 10, 10
_BLOB, _SHARE = "azureBlobFileSystemConfiguration", "azureFileShareConfiguration"
_MOUNTS = (_BLOB, "nfsMountConfiguration", "cifsMountConfiguration", _SHARE)
_TITLES = {_BLOB: "blobs", "nfsMountConfiguration": "NFS", "cifsMountConfiguration": "CIFS"}
_BLOB_KEYS = ("accountKey", "sasKey", "identityReference")
_SHARE_URL = re.compile(r"https://(?P<account>[^/.\s]+)\.[^/\s]+(?:/\S*)?", re.IGNORECASE)


def check_surroundings(properties: Mapping[str, Any], system: OperatingSystem | None) -> Findings:
    """Find what is wrong with the members of a pool that are not about its machines or its network.

    :param system: what the pool's nodes run, if that is known.
    """
    yield from _check_mounts(properties.get("mountConfiguration"), system)
    yield from _check_packages(properties.get("applicationPackages"))
    if len(text_of(properties, "displayName")) > 1024:
        what = "displayName is longer than 1024 characters"
        yield error("properties.displayName", what, "Shorten it", ARM_PAGE)


def _check_mounts(mounts: object, system: OperatingSystem | None) -> Findings:
    base = "properties.mountConfiguration"
    entries = list(objects(mounts))
    if len(entries) > _MOST_MOUNTS:
        yield error(base, f"there are more than {_MOST_MOUNTS} mounts", "Take some out", _MOUNT_PAGE)
    first_of: dict[str, int] = {}
    for index, mount in entries:
        path = at(base, index)
        kinds = [kind for kind in _MOUNTS if mount.get(kind) is not None]
        if not kinds:
            yield error(path, "nothing is mounted", f"Give one of {', '.join(_MOUNTS)}", _MOUNT_PAGE)
        elif len(kinds) > 1:
            what = f"{' and '.join(kinds)} exclude each other"
            yield error(path, what, "Write one entry for each", _MOUNT_PAGE)
        for kind in kinds:
            place = f"{path}.{kind}"
            if kind != _SHARE and system == "windows":
                what = f"only Linux nodes can mount {_TITLES[kind]}, and the nodes run Windows"
                fix = "Use azureFileShareConfiguration, or an image of Linux"
                yield error(place, what, fix, _MOUNT_PAGE)
            yield from _check_mount_path(object_at(mount, kind), place, index, first_of)
        if isinstance(mount.get(_BLOB), Mapping):
            yield from _check_blob_mount(mount[_BLOB], f"{path}.{_BLOB}")
        yield from _check_share(object_at(mount, _SHARE), f"{path}.{_SHARE}")


def _check_mount_path(mount: Mapping[str, Any], place: str, index: int, first_of: dict[str, int]) -> Findings:
    relative = text_of(mount, "relativeMountPath")
    path = f"{place}.relativeMountPath"
    if relative and first_of.setdefault(relative, index) != index:
        what = f"{quote(relative)} is taken by mountConfiguration[{first_of[relative]}]"
        yield error(path, what, "Choose another path", _MOUNT_PAGE)
    if ".." in relative.replace("\\", "/").split("/"):
        yield error(path, "the path leads out of the mounts' directory", "Write it without ..", _MOUNT_PAGE)
    elif relative.startswith("/"):
        what = "the path is relative to the directory of all mounts (AZ_BATCH_NODE_MOUNTS_DIR)"
        yield warning(path, what, "Write it without the first /", _MOUNT_PAGE)


def _check_blob_mount(blob: Mapping[str, Any], path: str) -> Findings:
    given = [key for key in _BLOB_KEYS if blob.get(key) is not None]
    if len(given) != 1:
        what = f"{' and '.join(given)} exclude each other" if given else "nothing says how to sign in"
        yield error(path, what, f"Give one of {', '.join(_BLOB_KEYS)}", _MOUNT_PAGE)


def _check_share(share: Mapping[str, Any], path: str) -> Findings:
    url = share.get("azureFileUrl")
    if not isinstance(url, str) or not url.strip():
        return
    match = _SHARE_URL.fullmatch(url.strip())
    if match is None:
        fix = "Write https://ACCOUNT.file.core.windows.net/SHARE"
        yield error(f"{path}.azureFileUrl", "this is not the URL of a file share", fix, _MOUNT_PAGE)
        return
    account = text_of(share, "accountName")
    if account and ".file." in url.casefold() and match["account"].casefold() != account.casefold():
        what = f"the URL is of another account than {quote(account)}"
        yield warning(f"{path}.azureFileUrl", what, "Name the same account in both", _MOUNT_PAGE)


def _check_packages(packages: object) -> Findings:
    base = "properties.applicationPackages"
    entries = list(objects(packages))
    if len(entries) > _MOST_PACKAGES:
        yield error(base, f"there are more than {_MOST_PACKAGES} packages", "Take some out", _PACKAGES_PAGE)
    for index, package in entries:
        resource = package.get("id")
        if isinstance(resource, str) and not _APPLICATION.fullmatch(resource):
            what = "this is not the resource id of an application of a Batch account"
            fix = (
                "Write /subscriptions/…/resourceGroups/…/providers/Microsoft.Batch/batchAccounts/…"
                "/applications/…, and the version as version"
            )
            yield error(f"{at(base, index)}.id", what, fix, _PACKAGES_PAGE)
