"""Reads of the data plane through the SDK's client, past its models.

``send_request`` is the SDK's own way for requests that the caller builds: they are signed, repeated and
logged as all are. The models would take as much of the processor as the rest of a read does, which counts
with a thousand gates; and they lose what they do not know.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

if TYPE_CHECKING:
    from azure.batch import BatchClient
    from azure.batch.aio import BatchClient as AsyncBatchClient
    from azure.core.rest import HttpRequest

Body = dict[str, Any]

#: The version of the REST API whose answers we read: that of azure-batch 15.
API_VERSION = "2025-06-01"
_NEXT_LINK = "odata.nextLink"


def read(client: BatchClient, *path: str, select: Sequence[str] | None = None) -> Body:
    """Read one resource.

    :param path: the segments of its path, not yet quoted.
    :param select: members to ask for; None means all.
    :raises HttpResponseError: for any answer but a 200.
    """
    return _body(client.send_request(_first(path, select)))


async def aread(client: AsyncBatchClient, *path: str, select: Sequence[str] | None = None) -> Body:
    """``read`` on an async client."""
    return _body(await client.send_request(_first(path, select)))


def read_list(client: BatchClient, *path: str, select: Sequence[str] | None = None) -> list[Body]:
    """Read a list, over all of its pages; parameters and errors as of ``read``."""
    found: list[Body] = []
    request: HttpRequest | None = _first(path, select)
    while request is not None:
        request = _take_page(_body(client.send_request(request)), found)
    return found


async def aread_list(client: AsyncBatchClient, *path: str, select: Sequence[str] | None = None) -> list[Body]:
    """``read_list`` on an async client."""
    found: list[Body] = []
    request: HttpRequest | None = _first(path, select)
    while request is not None:
        request = _take_page(_body(await client.send_request(request)), found)
    return found


def _first(path: Sequence[str], select: Sequence[str] | None) -> HttpRequest:
    query = {"api-version": API_VERSION}
    if select is not None:
        query["$select"] = ",".join(select)
    return _request("/" + "/".join(quote(segment, safe="") for segment in path), query)


def _request(url: str, query: dict[str, str]) -> HttpRequest:
    from azure.core.rest import HttpRequest

    headers = {"Accept": "application/json;odata=minimalmetadata"}
    return HttpRequest("GET", f"{url}?{urlencode(query)}", headers=headers)


def _body(response: Any) -> Body:
    if response.status_code != 200:
        from azure.core.exceptions import HttpResponseError

        raise HttpResponseError(response=response)
    body = response.json()
    if not isinstance(body, dict):
        raise TypeError("not a JSON object")  # the caller tells it as an answer that was not understood
    return body


def _take_page(page: Body, found: list[Body]) -> HttpRequest | None:
    """Add a page's items to those found; the request for the next page, if there is one."""
    items = page["value"]
    if not all(isinstance(item, dict) for item in items):
        raise TypeError("not a list of JSON objects")
    found += items
    link = page.get(_NEXT_LINK)
    if not link:
        return None
    parts = urlsplit(link)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    return _request(parts._replace(query="").geturl(), query | {"api-version": API_VERSION})
