"""The management plane's operations on pools."""

from __future__ import annotations

import base64
import binascii
import math
from bisect import bisect_right
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import quote

from airflow_batchext.emulator.documents.pool import check_name, read_management
from airflow_batchext.emulator.documents.pool_changes import check_change, overlaid
from airflow_batchext.emulator.documents.pool_schema import MANAGEMENT, MANAGEMENT_POOL
from airflow_batchext.emulator.management.account import ACCOUNT
from airflow_batchext.emulator.management.bodies import account_id, pool_body, resize_status
from airflow_batchext.emulator.wire.errors import refusal
from airflow_batchext.emulator.wire.http import Answer, Call, Json, Route, http_time
from airflow_batchext.emulator.wire.odata import read_filter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from airflow_batchext.emulator.account.account import Account
    from airflow_batchext.emulator.account.pools import Pool
    from airflow_batchext.emulator.documents.pool import PoolDefinition
    from airflow_batchext.emulator.wire.odata import Kind

_DELETION_POLL = 15
_LARGEST_PAGE = 1000
#: Recorded: the answer to a new formula tells how it went in 2022, and the resize that it begins in 2026.
_TELLS_THE_RESIZE = "2025"
_ENVELOPE = ("id", "name", "type", "etag")
_FILTERS: dict[str, Kind] = {
    "name": "text",
    "properties/allocationState": "text",
    "properties/allocationStateTransitionTime": "time",
    "properties/creationTime": "time",
    "properties/provisioningState": "text",
    "properties/provisioningStateTransitionTime": "time",
    "properties/lastModified": "time",
    "properties/vmSize": "text",
    "properties/interNodeCommunication": "text",
    "properties/scaleSettings/autoScale": "object",
    "properties/scaleSettings/fixedScale": "object",
}


class PoolOperations:
    """Create, change, list and delete pools."""

    def __init__(self, account: Account) -> None:
        """Work on that account."""
        self._account = account

    def routes(self) -> Iterator[Route]:
        """Which calls are answered here."""
        pool = f"{ACCOUNT}/pools/{{pool}}"
        yield "GET", f"{ACCOUNT}/pools", self._list
        yield "GET", pool, self._get
        yield "PUT", pool, self._put
        yield "PATCH", pool, self._patch
        yield "DELETE", pool, self._delete
        yield "POST", f"{pool}/stopResize", self._stop_resize
        yield "POST", f"{pool}/disableAutoScale", self._disable_autoscale
        yield "GET", f"{ACCOUNT}/poolOperationResults/{{operation}}", self._operation_result

    # --- reading -------------------------------------------------------------------------------------------

    def _list(self, call: Call) -> Answer:
        keep_members = _selection(call)
        bodies = [self._body(pool) for pool in self._account.pools()]
        if "$filter" in call.query:
            keep = read_filter(call.query["$filter"], _FILTERS)
            bodies = [body for body in bodies if keep(body)]
        first = bisect_right(bodies, _after(call), key=_place)
        size = _page_size(call)
        here = bodies[first : first + size]
        answer: Json = {"value": [keep_members(body) for body in here]}
        if first + size < len(bodies):
            token = base64.urlsafe_b64encode(_place(here[-1]).encode()).decode()
            query = {**call.query, "$skiptoken": token}
            pairs = "&".join(f"{name}={quote(value, safe='$,')}" for name, value in query.items())
            answer["nextLink"] = f"{call.base}{call.raw_path}?{pairs}"
        return Answer(200, answer)

    def _get(self, call: Call) -> Answer:
        return self._answer(self._existing(call))

    # --- changing ------------------------------------------------------------------------------------------

    def _put(self, call: Call) -> Answer:
        name = call.params["pool"]
        check_name(name, "management")
        existing = self._account.find(name)
        if existing is not None and existing.deleted:
            raise refusal("PoolBeingDeleted")
        self._check_conditions(call, existing)
        definition = read_management(call.json(), call.body.decode("utf-8", "replace"))
        if existing is None:
            return self._answer(self._account.create_pool(name, definition))
        return self._change(call, existing, definition)

    def _patch(self, call: Call) -> Answer:
        existing = self._existing(call)
        if existing.deleted:
            raise refusal("PoolBeingDeleted")
        self._check_conditions(call, existing)
        text = call.body.decode("utf-8", "replace")
        body, kept = call.json(), existing.definition
        if isinstance(body.get("properties"), dict) and body["properties"].get("startTask") == {}:
            # Microsoft's example of a PATCH takes the start task away so.
            body = {**body, "properties": {k: v for k, v in body["properties"].items() if k != "startTask"}}
            without = {name: value for name, value in kept.properties.items() if name != "startTask"}
            kept = replace(kept, properties=without)
        return self._change(call, existing, overlaid(kept, body, text))

    def _change(self, call: Call, existing: Pool, definition: PoolDefinition) -> Answer:
        scale = existing.definition.scale
        is_empty = not (scale.dedicated or scale.low_priority or any(self._account.counts(existing.name)))
        check_change(
            existing.definition,
            definition,
            is_empty=is_empty,
            version=call.query["api-version"],
            answers=self._account.scenario.answers,
        )
        pool = self._account.update_pool(existing.name, definition)
        answer = self._answer(pool)
        is_new = definition.scale.formula not in (None, scale.formula)
        if not is_new or call.query["api-version"] < _TELLS_THE_RESIZE:
            return answer
        status = {"resizeOperationStatus": resize_status(pool, self._now())}
        return _with_properties(answer, without="autoScaleRun", **status)

    def _delete(self, call: Call) -> Answer:
        name = call.params["pool"]
        existing = self._account.find(name)
        if existing is None:
            return Answer(204)
        self._check_conditions(call, existing)
        return self._still_deleting(call, self._account.delete_pool(name))

    def _stop_resize(self, call: Call) -> Answer:
        return self._answer(self._account.stop_resize(self._existing(call).name))

    def _disable_autoscale(self, call: Call) -> Answer:
        answer = self._answer(self._account.disable_autoscale(self._existing(call).name))
        return _with_properties(answer, without="resizeOperationStatus")

    def _operation_result(self, call: Call) -> Answer:
        operation = call.params["operation"]
        ends = self._account.deletion_ends(operation)
        if ends is None:
            raise refusal("ResourceNotFound")
        return self._still_deleting(call, operation) if self._now() < ends else Answer(200)

    def _still_deleting(self, call: Call, operation: str) -> Answer:
        version, account = call.query["api-version"], account_id(self._account)
        location = f"{call.base}{account}/poolOperationResults/{operation}?api-version={version}"
        # Clients wait by the wall clock. Some take 0 for "use your default", which is 30 s; so at least 1.
        scale = self._account.clock.scale
        pause = max(1, math.ceil(_DELETION_POLL / scale)) if scale else 1
        return Answer(202, headers={"Location": location, "Retry-After": str(pause)})

    def _check_conditions(self, call: Call, existing: Pool | None) -> None:
        if call.headers.get("if-none-match") == "*" and existing is not None:
            raise refusal(self._account.scenario.answers.existing_pool)
        wanted = call.headers.get("if-match")
        if wanted is not None:
            tags = {tag.strip() for tag in wanted.split(",")}
            if existing is None or not ({"*", _etag(existing)} & tags):
                raise refusal("ConditionNotMet")

    # --- helpers -------------------------------------------------------------------------------------------

    def _existing(self, call: Call) -> Pool:
        pool = self._account.find(call.params["pool"])
        if pool is None:
            raise refusal(self._account.scenario.answers.missing_pool)
        return pool

    def _answer(self, pool: Pool) -> Answer:
        headers = {"ETag": _etag(pool), "Last-Modified": http_time(pool.modified)}
        return Answer(200, self._body(pool), headers)

    def _body(self, pool: Pool) -> Json:
        counts = self._account.counts(pool.name)
        return pool_body(pool, account_id(self._account), _etag(pool), counts, self._now())

    def _now(self) -> datetime:
        return self._account.clock.now()


def _with_properties(answer: Answer, *, without: str, **more: Json) -> Answer:
    body = answer.body or {}
    kept = {name: value for name, value in body["properties"].items() if name != without}
    return replace(answer, body={**body, "properties": {**kept, **more}})


def _etag(pool: Pool) -> str:
    return f'W/"{pool.etag}"'


def _place(body: Json) -> str:
    return str(body["name"]).casefold()


def _after(call: Call) -> str:
    token = call.query.get("$skiptoken")
    if token is None:
        return ""
    try:
        return base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        reason = "This is not a token that the service gave"
        raise refusal("InvalidQueryParameterValue", QueryParameterName="$skiptoken", Reason=reason) from None


def _page_size(call: Call) -> int:
    text = call.query.get("maxresults")
    if text is None:
        return _LARGEST_PAGE
    if not text.isdecimal() or not 1 <= int(text) <= _LARGEST_PAGE:
        raise refusal(
            "OutOfRangeQueryParameterValue" if text.lstrip("-").isdecimal() else "InvalidQueryParameterValue",
            QueryParameterName="maxresults",
            QueryParameterValue=text[:50],
            MinimumAllowed="1",
            MaximumAllowed=str(_LARGEST_PAGE),
        )
    return int(text)


def _selection(call: Call) -> Callable[[Json], Json]:
    """What keeps the members that ``$select`` names, and always what tells one pool from another."""
    text = call.query.get("$select")
    if text is None:
        return lambda body: body
    tops, members = set(_ENVELOPE), set()
    for name in (part.strip() for part in text.split(",")):
        top, _, member = name.partition("/")
        if member and top == "properties" and member in MANAGEMENT.members:
            members.add(member)
        elif not member and top in MANAGEMENT_POOL.members:
            tops.add(top)
        else:
            reason = f"There is no property '{name[:100]}' that can be selected"
            raise refusal("InvalidQueryParameterValue", QueryParameterName="$select", Reason=reason)

    def keep(body: Json) -> Json:
        kept = {name: value for name, value in body.items() if name in tops}
        if members and "properties" not in tops:
            kept["properties"] = {name: item for name, item in body["properties"].items() if name in members}
        return kept

    return keep
