"""The check of how many nodes a pool is to have, and how many tasks at once each of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from airflow_batchext.loose_json.values import whole_number
from airflow_batchext.pool_spec._check_formula import PAGE as AUTOSCALE_PAGE
from airflow_batchext.pool_spec._check_formula import check_formula
from airflow_batchext.pool_spec._durations import parse_duration
from airflow_batchext.pool_spec._finding import (
    ARM_PAGE,
    Findings,
    error,
    missing,
    object_at,
    object_member,
    text_of,
    warning,
)
from airflow_batchext.pool_spec._members import MACHINE

_SCALE = "properties.scaleSettings"
_QUOTA_PAGE = "https://learn.microsoft.com/azure/batch/batch-quota-limit"
_SPOT_PAGE = "https://learn.microsoft.com/azure/batch/batch-spot-vms"
_SHORTEST, _LONGEST = timedelta(minutes=5), timedelta(hours=168)
_MOST_SLOTS = 256
_MOST_COMMUNICATING = 100
_TARGETS = ("targetDedicatedNodes", "targetLowPriorityNodes")
_MANAGED_IMAGE = re.compile(r"/providers/Microsoft\.Compute/images/", re.IGNORECASE)
_FROM_IMAGE = {"targetDedicatedNodes": 2000, "targetLowPriorityNodes": 1000}


def check_scale(properties: Mapping[str, Any]) -> Findings:
    """Find what is wrong with ``scaleSettings``, ``taskSlotsPerNode`` and what limits both."""
    scale = yield from object_member(properties, "scaleSettings", "properties")
    if scale is not None:
        if scale.get("fixedScale") is not None and scale.get("autoScale") is not None:
            yield error(_SCALE, "both fixedScale and autoScale are given", "Keep one of the two", ARM_PAGE)
        auto = yield from object_member(scale, "autoScale", _SCALE)
        if auto is not None:
            yield from _check_auto_scale(auto, f"{_SCALE}.autoScale")
        fixed = yield from object_member(scale, "fixedScale", _SCALE)
        if fixed is not None:
            yield from _check_fixed_scale(fixed, f"{_SCALE}.fixedScale")
    if properties.get("scaleSettings") is None or (
        scale is not None and scale.get("fixedScale") is None and scale.get("autoScale") is None
    ):
        what = "neither fixedScale nor autoScale is given: the pool gets no nodes"
        yield warning(_SCALE, what, 'Write {"fixedScale": {"targetDedicatedNodes": 1}}', ARM_PAGE)
    yield from _check_slots(properties)
    yield from _check_limits(properties)


def _check_fixed_scale(fixed: Mapping[str, Any], path: str) -> Findings:
    for member in _TARGETS:
        value = fixed.get(member)
        number = whole_number(value)
        if value is not None and (number is None or number < 0):
            what = f"{member} is negative" if number is not None else f"{member} is not a whole number"
            yield error(f"{path}.{member}", what, "Give a whole number of nodes, 0 or more")
    if all(fixed.get(member) is None for member in _TARGETS):
        what = "neither targetDedicatedNodes nor targetLowPriorityNodes is given"
        yield error(path, what, "Give one of the two, or both", ARM_PAGE)
    timeout = fixed.get("resizeTimeout")
    if timeout is not None:
        duration = parse_duration(timeout)
        if duration is None or duration < _SHORTEST:
            what = "is not an ISO 8601 duration" if duration is None else "is shorter than 5 minutes"
            fix = "Give PT5M or more, such as PT15M (15 minutes)"
            yield error(f"{path}.resizeTimeout", f"resizeTimeout {what}", fix, ARM_PAGE)


def _check_auto_scale(auto: Mapping[str, Any], path: str) -> Findings:
    formula = auto.get("formula")
    fix = "Write a formula, such as $TargetDedicatedNodes=1"
    if formula is None:
        yield missing(f"{path}.formula", "formula", fix)
    elif isinstance(formula, str):
        yield from check_formula(formula, f"{path}.formula")
    interval = auto.get("evaluationInterval")
    if interval is not None:
        duration = parse_duration(interval)
        fix = "Give a duration from PT5M to PT168H"
        if duration is None:
            what = "evaluationInterval is not an ISO 8601 duration"
            yield error(f"{path}.evaluationInterval", what, fix, ARM_PAGE)
        elif not _SHORTEST <= duration <= _LONGEST:
            what = "shorter than 5 minutes" if duration < _SHORTEST else "longer than 168 hours"
            place = f"{path}.evaluationInterval"
            yield error(place, f"evaluationInterval is {what}", fix, AUTOSCALE_PAGE)


def _check_slots(properties: Mapping[str, Any]) -> Findings:
    slots = whole_number(properties.get("taskSlotsPerNode"))
    if slots is not None and not 1 <= slots <= _MOST_SLOTS:
        fix = f"Give 1 to {_MOST_SLOTS}, and not more than four times the cores of a node"
        yield error("properties.taskSlotsPerNode", f"{slots} slots are out of range", fix, ARM_PAGE)


def _check_limits(properties: Mapping[str, Any]) -> Findings:
    """Find more nodes than such a pool can have, whatever the account's quota is."""
    fixed = object_at(properties, "scaleSettings", "fixedScale")
    targets = {member: whole_number(fixed.get(member)) or 0 for member in _TARGETS}
    path = f"{_SCALE}.fixedScale"
    talks = text_of(properties, "interNodeCommunication").casefold() == "enabled"
    if talks and sum(targets.values()) > _MOST_COMMUNICATING:
        what = f"a pool with interNodeCommunication has at most {_MOST_COMMUNICATING} nodes"
        yield warning(path, what, "Ask for fewer, or disable interNodeCommunication", _QUOTA_PAGE)
    machine = object_at(properties, "deploymentConfiguration", "virtualMachineConfiguration")
    if _MANAGED_IMAGE.search(text_of(object_at(machine, "imageReference"), "id")):
        for member, most in _FROM_IMAGE.items():
            if targets[member] > most:
                what = f"a pool with a managed image has at most {most} such nodes"
                fix = "Ask for fewer, or take the image from a gallery"
                yield warning(f"{path}.{member}", what, fix, _QUOTA_PAGE)
    ephemeral = object_at(machine, "osDisk").get("ephemeralOSDiskSettings")
    if ephemeral is not None and targets["targetLowPriorityNodes"] > 0:
        what = "Spot nodes cannot have an ephemeral disk for the operating system"
        fix = "Take it out, or ask for dedicated nodes"
        yield warning(f"{MACHINE}.osDisk.ephemeralOSDiskSettings", what, fix, _SPOT_PAGE)
