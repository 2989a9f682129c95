"""Paging, ``$select``, ``$filter`` and conditional headers of the data plane."""

from __future__ import annotations

import base64
import binascii
import re
from bisect import bisect_right
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from airflow_batchext.emulator.account.lifecycle import NodeState
from airflow_batchext.emulator.documents.job_schema import JOB, TASK
from airflow_batchext.emulator.documents.pool_schema import DATA_POOL
from airflow_batchext.emulator.wire.errors import bad_parameter, refusal
from airflow_batchext.emulator.wire.http import read_http_time
from airflow_batchext.emulator.wire.odata import Kind, Test, read_filter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from airflow_batchext.emulator.wire.http import Call, Json, Versioned

T = TypeVar("T")

_LARGEST_PAGE = 1000
_TOKEN = re.compile(r"^WATV2:(?P<key>[A-Za-z0-9+/=]+):1\$1$")
_SHOWN_OF_ALL = {"url", "eTag", "lastModified", "creationTime", "state", "stateTransitionTime", "stats"}
_SHOWN_OF_WORK = {*_SHOWN_OF_ALL, "previousState", "previousStateTransitionTime", "executionInfo"}
_FIELDS = {
    "pools": {DATA_POOL.data_names.get(name, name) for name in DATA_POOL.members}
    | _SHOWN_OF_ALL
    | {
        *("allocationState", "allocationStateTransitionTime", "resizeErrors", "currentDedicatedNodes"),
        *("currentLowPriorityNodes", "autoScaleRun", "identity", "currentNodeCommunicationMode"),
        "certificateReferences",
    },
    "nodes": {
        *("id", "url", "state", "schedulingState", "stateTransitionTime", "lastBootTime", "allocationTime"),
        *("ipAddress", "ipv6Address", "affinityId", "vmSize", "totalTasksRun", "totalTasksSucceeded"),
        *("runningTasksCount", "runningTaskSlotsCount", "recentTasks", "startTask", "startTaskInfo"),
        *("errors", "isDedicated", "endpointConfiguration", "nodeAgentInfo", "virtualMachineInfo"),
        "certificateReferences",
    },
    "extensions": {"provisioningState", "vmExtension", "instanceView"},
    "jobs": set(JOB.members) | _SHOWN_OF_WORK,
    "tasks": set(TASK.members) | _SHOWN_OF_WORK | {"nodeInfo"},
    "supportedimages": {
        *("nodeAgentSKUId", "imageReference", "osType", "verificationType", "capabilities"),
        "batchSupportEndOfLife",
    },
    "poolnodecounts": {"poolId", "dedicated", "lowPriority"},
    "jobpreparationandreleasetaskstatuslist": {
        *("poolId", "nodeId", "nodeUrl", "jobPreparationTaskExecutionInfo", "jobReleaseTaskExecutionInfo")
    },
}
_EXECUTION: dict[str, Kind] = {
    "executionInfo/startTime": "time",
    "executionInfo/endTime": "time",
}
_RESOURCE: dict[str, Kind] = {
    "id": "text",
    "state": "text",
    "stateTransitionTime": "time",
    "creationTime": "time",
    "lastModified": "time",
}
_FILTERS: dict[str, dict[str, Kind]] = {
    "pools": {
        **_RESOURCE,
        "allocationState": "text",
        "allocationStateTransitionTime": "time",
        "enableAutoScale": "boolean",
        "enableInterNodeCommunication": "boolean",
        "vmSize": "text",
    },
    "nodes": {
        "state": "text",
        "stateTransitionTime": "time",
        "lastBootTime": "time",
        "allocationTime": "time",
        "startTaskInfo/state": "text",
        "startTaskInfo/result": "text",
        "startTaskInfo/exitCode": "number",
        "startTaskInfo/startTime": "time",
        "startTaskInfo/endTime": "time",
    },
    "jobs": {**_RESOURCE, **_EXECUTION, "priority": "number", "executionInfo/poolId": "text"},
    "tasks": {
        **_RESOURCE,
        **_EXECUTION,
        "executionInfo/exitCode": "number",
        "executionInfo/result": "text",
        "executionInfo/retryCount": "number",
        "executionInfo/requeueCount": "number",
        "nodeInfo/poolId": "text",
        "nodeInfo/nodeId": "text",
    },
    "supportedimages": {"osType": "text", "verificationType": "text", "nodeAgentSKUId": "text"},
    "poolnodecounts": {"poolId": "text"},
    "jobpreparationandreleasetaskstatuslist": {"poolId": "text", "nodeId": "text"},
}
_STATES = re.compile(r"\bstate\s+(?:eq|ne)\s+'([^']*)'", re.IGNORECASE)
_WORDS = {
    "nodes": {state.value for state in NodeState},
    "pools": {"active", "deleting"},
    "jobs": {"active", "disabling", "disabled", "enabling", "terminating", "completed", "deleting"},
    "tasks": {"active", "preparing", "running", "completed"},
}


def page(
    call: Call, items: Sequence[T], key: Callable[[T], str], keep: Callable[[T], bool] | None = None
) -> tuple[list[T], str | None]:
    """The page that was asked for, and the token of the next.

    ``items`` are in the order of keys. No more of them are looked at than the page needs.
    """
    size, token, first = _page_size(parameter(call, "maxresults")), parameter(call, "$skiptoken"), 0
    if token is not None:
        first = bisect_right(items, _read_token(token), key=key)
    rest = (items[place] for place in range(first, len(items)))
    here = list(islice(rest if keep is None else filter(keep, rest), size + 1))
    return here[:size], _write_token(key(here[size - 1])) if len(here) > size else None


def selection(call: Call, kind: str) -> Callable[[Json], Json]:
    """What keeps the members that ``$select`` names."""
    wanted = parameter(call, "$select")
    if wanted is None:
        return lambda body: body
    names = [name.strip() for name in wanted.split(",")]
    for name in names:
        if name and name not in _FIELDS[kind]:
            raise bad_parameter("$select", wanted, f"There is no property '{name}'")
    return lambda body: {name: value for name, value in body.items() if name in names}


def filter_of(call: Call, kind: str) -> Test | None:
    """The test that ``$filter`` describes, if there is one."""
    text = parameter(call, "$filter")
    if text is None:
        return None
    for word in _STATES.findall(text):
        if kind in _WORDS and word.lower() not in _WORDS[kind]:
            raise bad_parameter("$filter", text, f"There is no state '{word}'")
    return read_filter(text, _FILTERS[kind])


def parameter(call: Call, name: str) -> str | None:
    """A parameter of the query, whose name the service reads in any case."""
    query = call.query
    if name in query:
        return query[name]
    return next((value for given, value in query.items() if given.lower() == name.lower()), None)


def check_conditions(call: Call, of: Versioned, *, is_read: bool) -> None:
    """Refuse when a conditional header does not hold: 304 for a read that has nothing new, else 412."""
    headers = call.headers
    if "if-match" in headers and not _has(headers["if-match"], of.etag):
        raise refusal("ConditionNotMet")
    if "if-none-match" in headers and _has(headers["if-none-match"], of.etag):
        raise refusal("ConditionNotMet", status=304 if is_read else 412)
    whole = of.modified.replace(microsecond=0)
    if "if-unmodified-since" in headers and whole > _date(headers["if-unmodified-since"]):
        raise refusal("ConditionNotMet")
    if "if-modified-since" in headers and whole <= _date(headers["if-modified-since"]):
        raise refusal("ConditionNotMet", status=304 if is_read else 412)


def _has(header: str, etag: str) -> bool:
    tags = {tag.strip().removeprefix("W/").strip('"') for tag in header.split(",")}
    return "*" in tags or etag in tags


def _date(text: str) -> datetime:
    try:
        return read_http_time(text)
    except ValueError:
        raise refusal("InvalidHeaderValue", Reason=f"'{text[:100]}' is not a date") from None


def _page_size(text: str | None) -> int:
    if text is None:
        return _LARGEST_PAGE
    if not re.match(r"^-?\d{1,9}$", text):
        raise bad_parameter("maxresults", text, "A number is expected")
    size = int(text)
    if size < 1:
        raise bad_parameter("maxresults", text, "MaxResults cannot be less than 1")
    if size > _LARGEST_PAGE:
        raise refusal(
            "OutOfRangeQueryParameterValue",
            QueryParameterName="maxresults",
            QueryParameterValue=text,
            MinimumAllowed="1",
            MaximumAllowed=str(_LARGEST_PAGE),
        )
    return size


def _write_token(key: str) -> str:
    return f"WATV2:{base64.b64encode(key.encode()).decode()}:1$1"


def _read_token(token: str) -> str:
    match = _TOKEN.match(token)
    if match:
        try:
            return base64.b64decode(match["key"], validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            pass
    raise bad_parameter("$skiptoken", token, "This is not a token that the service gave")
