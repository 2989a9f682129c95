"""What the handlers of the data plane have in common: lists with their pages, single elements, validators."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import quote

from airflow_batchext.emulator.data.queries import filter_of, page, parameter, selection
from airflow_batchext.emulator.wire.errors import not_modelled
from airflow_batchext.emulator.wire.http import Answer, Call, Json, Versioned, http_time

T = TypeVar("T")
CONTENT_TYPE = "application/json; odata=minimalmetadata"
_ENTITIES = "Microsoft.Azure.Batch.Protocol.Entities"


def validators(of: Versioned) -> dict[str, str]:
    """The headers that tell one version of something from another."""
    return {"ETag": of.etag, "Last-Modified": http_time(of.modified)}


def items_answer(
    call: Call,
    kind: str,
    items: Sequence[T],
    key: Callable[[T], str],
    write: Callable[[T], Json],
    look: Callable[[T], Mapping[str, Any]] | None = None,
    exists: Callable[[T], bool] | None = None,
    text: Callable[[T], str] | None = None,
) -> Answer:
    """A page of the items, which are in the order of their keys.

    ``look`` gives the members by which a list of that kind can be filtered; ``exists`` says which there are;
    ``text`` writes the same as ``write`` does, faster, as JSON.
    """
    here, token = page(call, items, key, _keeper(call, kind, look, exists))
    select = selection(call, kind)
    body: Json = {"odata.metadata": f"{call.base}/$metadata#{kind}", "value": []}
    if token is not None:
        query = {**call.query, "$skiptoken": token}
        pairs = "&".join(f"{name}={quote(value, safe=':$,')}" for name, value in query.items())
        body["odata.nextLink"] = f"{call.base}{call.raw_path}?{pairs}"
    if text is not None and parameter(call, "$select") is None:
        values = ",".join(map(text, here))
        written = json.dumps(body, separators=(",", ":")).replace('"value":[]', f'"value":[{values}]', 1)
        return Answer(200, text=written, headers={"Content-Type": CONTENT_TYPE}, chunked=True)
    body["value"] = [select(write(item)) for item in here]
    return Answer(200, body, chunked=True)


def bodies_answer(call: Call, kind: str, bodies: Sequence[Json], key: str = "id") -> Answer:
    """A page of what is written already, in the order of a member."""
    return items_answer(call, kind, bodies, lambda body: str(body[key]), lambda body: body, lambda body: body)


def _keeper(
    call: Call,
    kind: str,
    look: Callable[[T], Mapping[str, Any]] | None,
    exists: Callable[[T], bool] | None,
) -> Callable[[T], bool] | None:
    passes = filter_of(call, kind) if look is not None else None
    if look is None or passes is None:
        return exists
    return lambda item: (exists is None or exists(item)) and passes(look(item))


def element_answer(call: Call, kind: str, body: Json, headers: Mapping[str, str] | None = None) -> Answer:
    """An answer that is one thing."""
    metadata = {"odata.metadata": f"{call.base}/$metadata#{kind}/@Element"}
    return Answer(200, {**metadata, **selection(call, kind)(body)}, headers or {}, chunked=True)


def entity_answer(call: Call, entity: str, body: Json, headers: Mapping[str, str] | None = None) -> Answer:
    """An answer that is not kept."""
    metadata = {"odata.metadata": f"{call.base}/$metadata#{_ENTITIES}.{entity}"}
    return Answer(200, {**metadata, **body}, headers or {}, chunked=True)


def created(url: str, of: Versioned) -> Answer:
    """The answer to the creation of something, which is at ``url`` now."""
    return Answer(201, headers={"DataServiceId": url, "Location": url, **validators(of)}, chunked=True)


def done(call: Call, status: int, of: Versioned | None = None) -> Answer:
    """An answer without a body: something was done. ``of``: what has a new version, perhaps."""
    headers = {"DataServiceId": f"{call.base}{call.raw_path}"}
    if of is not None:
        headers |= validators(of)
    if status == 204:
        headers["Content-Length"] = "0"
    return Answer(status, headers=headers, chunked=status != 204)


def check_expand(call: Call) -> None:
    """Let statistics be asked for, of which there are none (as on the service, for a day); nothing else."""
    wanted = parameter(call, "$expand")
    if wanted is not None and any(name.strip() not in ("", "stats") for name in wanted.split(",")):
        raise not_modelled(f"$expand of anything but stats on {call.method} {call.path}")


def refuse_parameters(call: Call, *names: str) -> None:
    """Refuse parameters that an operation does not have."""
    for name in names:
        if parameter(call, name) is not None:
            raise not_modelled(f"'{name}' on {call.method} {call.path}")
