"""Paging, ``$select``, ``$filter`` and conditional headers of the data plane."""

from __future__ import annotations

import base64
import binascii
import re
from bisect import bisect_right
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, TypeVar

from airflow_batchext.emulator.errors import RefusedError, not_modelled, refusal
from airflow_batchext.emulator.lifecycle import NodeState
from airflow_batchext.emulator.pool_schema import DATA_POOL

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_batchext.emulator.wire import Call, Json

T = TypeVar("T")

_LARGEST_PAGE = 1000
_TOKEN = re.compile(r"^WATV2:(?P<key>[A-Za-z0-9+/=]+):1\$1$")
_CONDITION = re.compile(r"^state\s+(?P<operator>eq|ne)\s+'(?P<state>[^']*)'$", re.IGNORECASE)
_FIELDS = {
    "pools": {DATA_POOL.data_names.get(name, name) for name in DATA_POOL.members}
    | {
        *("url", "eTag", "lastModified", "creationTime", "state", "stateTransitionTime", "allocationState"),
        *(
            "allocationStateTransitionTime",
            "resizeErrors",
            "currentDedicatedNodes",
            "currentLowPriorityNodes",
        ),
        *("autoScaleRun", "stats", "identity", "currentNodeCommunicationMode", "certificateReferences"),
    },
    "nodes": {
        *("id", "url", "state", "schedulingState", "stateTransitionTime", "lastBootTime", "allocationTime"),
        *("ipAddress", "ipv6Address", "affinityId", "vmSize", "totalTasksRun", "totalTasksSucceeded"),
        *("runningTasksCount", "runningTaskSlotsCount", "recentTasks", "startTask", "startTaskInfo"),
        *("errors", "isDedicated", "endpointConfiguration", "nodeAgentInfo", "virtualMachineInfo"),
        "certificateReferences",
    },
    "extensions": {"provisioningState", "vmExtension", "instanceView"},
}


def page(call: Call, items: list[T], key: Callable[[T], str]) -> tuple[list[T], str | None]:
    """Return the page that was asked for, and the token of the next. ``items`` are in the order of keys."""
    query = call.query
    size = _page_size(query.get("maxresults"))
    first = 0
    if "$skiptoken" in query:
        first = bisect_right(items, _read_token(query["$skiptoken"]), key=key)
    here = items[first : first + size]
    more = first + size < len(items)
    return here, _write_token(key(here[-1])) if more else None


def select(call: Call, kind: str, body: Json) -> Json:
    """Keep only the members that ``$select`` names."""
    wanted = call.query.get("$select")
    if wanted is None:
        return body
    names = [name.strip() for name in wanted.split(",")]
    for name in names:
        if name not in _FIELDS[kind]:
            raise _bad_parameter("$select", wanted, f"There is no property '{name}'")
    return {name: value for name, value in body.items() if name in names}


def read_filter(text: str | None) -> Callable[[str], bool]:
    """Return a test of a node's state: ``state eq '…'``, ``state ne '…'``, joined by ``and`` and ``or``."""
    if text is None:
        return lambda state: True
    any_of = []
    for alternative in re.split(r"\s+or\s+", text.strip(), flags=re.IGNORECASE):
        all_of = []
        for condition in re.split(r"\s+and\s+", alternative, flags=re.IGNORECASE):
            match = _CONDITION.match(condition.strip().strip("()").strip())
            if match is None:
                raise not_modelled(
                    f"the $filter '{text[:200]}' on nodes (only state eq '…' and state ne '…')"
                )
            if match["state"].lower() not in {state.value for state in NodeState}:
                raise _bad_parameter("$filter", text, f"There is no state '{match['state']}'")
            all_of.append((match["operator"].lower() == "eq", match["state"].lower()))
        any_of.append(all_of)
    return lambda state: any(all((state == word) is equal for equal, word in terms) for terms in any_of)


def check_conditions(call: Call, etag: str, modified: datetime, *, is_read: bool) -> None:
    """Refuse when a conditional header does not hold: 304 for a read that has nothing new, else 412."""
    headers = call.headers
    if "if-match" in headers and not _has(headers["if-match"], etag):
        raise refusal("ConditionNotMet")
    if "if-none-match" in headers and _has(headers["if-none-match"], etag):
        raise refusal("ConditionNotMet", status=304 if is_read else 412)
    whole = modified.replace(microsecond=0)
    if "if-unmodified-since" in headers and whole > _date(headers["if-unmodified-since"]):
        raise refusal("ConditionNotMet")
    if "if-modified-since" in headers and whole <= _date(headers["if-modified-since"]):
        raise refusal("ConditionNotMet", status=304 if is_read else 412)


def _has(header: str, etag: str) -> bool:
    tags = {tag.strip().removeprefix("W/").strip('"') for tag in header.split(",")}
    return "*" in tags or etag in tags


def _date(text: str) -> datetime:
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        raise refusal("InvalidHeaderValue", Reason=f"'{text[:100]}' is not a date") from None
    return date if date.tzinfo else date.replace(tzinfo=timezone.utc)


def _page_size(text: str | None) -> int:
    if text is None:
        return _LARGEST_PAGE
    if not re.match(r"^-?\d{1,9}$", text):
        raise _bad_parameter("maxresults", text, "A number is expected")
    size = int(text)
    if not 1 <= size <= _LARGEST_PAGE:
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
    raise _bad_parameter("$skiptoken", token, "This is not a token that the service gave")


def _bad_parameter(name: str, value: str, reason: str) -> RefusedError:
    return refusal(
        "InvalidQueryParameterValue",
        QueryParameterName=name,
        QueryParameterValue=value[:200],
        Reason=reason,
    )
