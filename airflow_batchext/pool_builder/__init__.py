"""Writes the common pool document in Python, for DAG files: typed, with completion, in the end the same dict.

What is not offered here goes through ``more``, or is changed in the dict. Values may be templates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from airflow_batchext.concealment import conceal
from airflow_batchext.exceptions import ParameterError
from airflow_batchext.parameters import Check, check_text, is_template, optional, refused, wrong
from airflow_batchext.pool_builder._checks import any_text, count, duration, mapping, names, task
from airflow_batchext.pool_builder._parts import (
    ALMALINUX_9,
    UBUNTU_22_04,
    UBUNTU_22_04_HPC,
    UBUNTU_24_04,
    WINDOWS_SERVER_2022,
    AnyExtension,
    AzureMonitorAgentExtension,
    Extension,
    GpuDriverExtension,
    Image,
    KeyVaultExtension,
)

__all__ = [
    "ALMALINUX_9",
    "UBUNTU_22_04",
    "UBUNTU_22_04_HPC",
    "UBUNTU_24_04",
    "WINDOWS_SERVER_2022",
    "AnyExtension",
    "AzureMonitorAgentExtension",
    "Extension",
    "GpuDriverExtension",
    "Image",
    "KeyVaultExtension",
    "pool_document",
]

# They say where users import them from.
for _part in (AzureMonitorAgentExtension, Extension, GpuDriverExtension, Image, KeyVaultExtension):
    _part.__module__ = __name__


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


def _extensions(name: str, value: object) -> object:
    if isinstance(value, (list, tuple)) and all(isinstance(each, AnyExtension | Mapping) for each in value):
        return value
    raise refused(name, value, ", but it has to be a list of extensions.")


def _image(name: str, value: object) -> Image:
    if isinstance(value, Image):
        return value
    raise refused(name, value, ", but it has to be an Image, such as UBUNTU_24_04.")


_DOCUMENT_CHECKS: dict[str, Check] = {
    "name": optional(any_text),
    **dict.fromkeys(("formula", "subnet_id"), optional(check_text)),
    "size": any_text,
    "image": _image,
    **dict.fromkeys(("dedicated", "low_priority"), optional(count)),
    "task_slots": optional(partial(count, least=1)),
    **dict.fromkeys(("resize_timeout", "evaluation_interval"), duration),
    "identities": names,
    "extensions": _extensions,
    "start_task": task,
    **dict.fromkeys(("metadata", "tags", "machine", "more"), mapping),
}
_MEMBERWISE = {"image", "identities", "extensions", "metadata", "tags", "machine", "more"}


def _start_task(task: str | Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    if not isinstance(task, str):
        return task
    administrator = {"autoUser": {"scope": "Pool", "elevationLevel": "Admin"}}
    return {"commandLine": task, "userIdentity": administrator, "waitForSuccess": True}
