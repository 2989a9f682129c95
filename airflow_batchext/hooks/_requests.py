"""REST calls as values: the only place where our requests leave and answers come in.

A ``Request`` says what is sent, what an answer to it is and how its refusal reads. Where a call takes several
requests it is a ``Flow`` (``transport.flows``). ``yield from`` takes either.

They go through the SDK's client of a plane by ``send_request``, the SDK's own way for requests that others
build: they are signed, repeated and logged as all are. Its models would take as much of the processor as the
rest of a read does, which counts with a thousand gates, and lose what they do not know; its own methods for
changes (``begin_reboot_node``, …) start a thread that polls, and tell no ETag.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from airflow_batchext.exceptions import UnavailableError
from airflow_batchext.hooks._errors import refusal, translated
from airflow_batchext.hooks._shapes import check_shape
from airflow_batchext.transport import parse_json
from airflow_batchext.transport.flows import Flowing

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from azure.core.rest import HttpRequest

    from airflow_batchext.hooks._shapes import Shape

Body = dict[str, Any]
Result = TypeVar("Result")

#: The version of both REST APIs whose answers we read: that of azure-batch 15 and azure-mgmt-batch 19.
API_VERSION = "2025-06-01"
#: Of a list: several times what the largest pool, or account, has; the services put 1,000 on a page at most.
MOST_PAGES = 500
MOST_ITEMS = 20_000
MOST_ON_PAGE = 2_500


@dataclass(frozen=True)
class Plane:
    """One of the account's two REST APIs, as far as they differ on the wire."""

    name: str
    accept: str
    content_type: str
    next_link: str
    client_options: Mapping[str, Any] = field(default_factory=dict)


DATA = Plane(
    "data",
    "application/json;odata=minimalmetadata",
    "application/json; odata=minimalmetadata",
    "odata.nextLink",
    {"request_id_header_name": "client-request-id"},
)
MANAGEMENT = Plane("management", "application/json", "application/json", "nextLink")


def body_of(response: Any) -> Body:
    """The JSON object in an answer."""
    body = parse_json(response.content)
    if not isinstance(body, dict):
        raise TypeError("not a JSON object")  # told as an answer that was not understood
    return body


def shaped(shape: Shape) -> Callable[[Any], Body]:
    """What reads an answer that is a JSON object of this shape."""

    def read(response: Any) -> Body:
        body = body_of(response)
        check_shape(body, shape)
        return body

    return read


def page_of(response: Any) -> Body:
    """The page of a list in an answer."""
    page = body_of(response)
    if isinstance(page["value"], list) and len(page["value"]) > MOST_ON_PAGE:
        raise ValueError("a page of more items than any has")
    if not isinstance(page["value"], list) or not all(isinstance(item, dict) for item in page["value"]):
        raise TypeError("not a list of JSON objects")
    if not all(isinstance(page.get(name) or "", str) for name in ("nextLink", "odata.nextLink")):
        raise TypeError("not a link")
    return page


def etag_of(response: Any) -> str:
    """The ETag in an answer, or ""."""
    return str(response.headers.get("ETag") or "")


def path(*segments: str) -> str:
    """A path from its segments, not yet quoted."""
    return "".join(f"/{quote(segment, safe='')}" for segment in segments)


@dataclass(frozen=True)
class Request(Generic[Result]):
    """One REST call.

    :param plane: where it goes.
    :param does: what it does, for the text of an error: "reboot node n1 of pool p1".
    :param url: its path on the plane, or, for a further page, the whole URL; without a query.
    :param read: what is made of an answer; what it raises is told as an answer that was not understood.
    :param expected: the statuses that are no refusals.
    :param needs: the Azure action that the call needs, for the text of a refusal.
    :param secrets: values in it that must not show in an error.
    """

    plane: Plane
    does: str
    method: str
    url: str
    read: Callable[[Any], Result]
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    expected: Collection[int] = (200,)
    needs: str = ""
    secrets: Collection[str] = ()

    def __iter__(self) -> Generator[Request[Result], Any, Result]:
        result: Result = yield self
        return result

    def http(self) -> HttpRequest:
        """The request as azure-core sends it; the client puts its endpoint before a path."""
        from azure.core.rest import HttpRequest

        headers = {"Accept": self.plane.accept, **self.headers}
        if self.body is not None:
            headers["Content-Type"] = self.plane.content_type
        query = urlencode({**self.query, "api-version": API_VERSION})
        body = None if self.body is None else dict(self.body)
        return HttpRequest(self.method, f"{self.url}?{query}", headers=headers, json=body)

    def result(self, response: Any) -> Result:
        """What came of it.

        :raises ServiceError: for an answer that is not expected.
        """
        if response.status_code not in self.expected:
            raise refusal(self.does, response, self.secrets, self.needs) from None
        return self.read(response)

    def translated(self) -> AbstractContextManager[None]:
        """Within, whatever the SDK raises leaves as a ``ServiceError``."""
        return translated(self.does, secrets=self.secrets, needs=self.needs)


@dataclass(frozen=True)
class AtOnce:
    """Asks for several calls at the same time; answered by the list of their results."""

    calls: Sequence[Call[Any]]


@dataclass(frozen=True)
class ReadConnection:
    """Asks for the fields of the Airflow connection; answered by a ``BatchConnection``."""


@dataclass(frozen=True)
class Aside(Generic[Result]):
    """Asks for work that may take long, such as reading what many nodes say; answered by its result."""

    work: Callable[[], Result]

    def __iter__(self) -> Generator[Aside[Result], Any, Result]:
        result: Result = yield self
        return result


Step = Request[Any] | AtOnce | ReadConnection | Aside[Any]
Flow = Generator[Step, Any, Result]
#: A ``Request`` or a ``Flow``.
Call = Flowing[Step, Result]


def pages(first: Request[Body]) -> Flow[list[Body]]:
    """Read a list over all of its pages.

    :param first: asks for the first page; has to be read by ``page_of``.
    """
    found: list[Body] = []
    followed: set[str] = set()
    page = yield from first
    while True:
        found += page["value"]
        link = page.get(first.plane.next_link)
        if not link:
            return found
        if link in followed or len(followed) == MOST_PAGES or len(found) > MOST_ITEMS:
            what = "its pages repeat" if link in followed else "it has no end"
            raise UnavailableError(f"Could not {first.does}: the list is not believed, as {what}")
        followed.add(link)
        parts = urlsplit(link)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        page = yield from replace(first, url=parts._replace(query="").geturl(), query=query)
