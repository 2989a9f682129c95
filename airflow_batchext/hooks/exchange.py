"""Any request on either plane, answered by whatever the service says: to see how it speaks, word by word.

Whoever wants to know how things are reads them with the hooks; this is for comparing two services.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from airflow_batchext.hooks import _pool_requests
from airflow_batchext.hooks._requests import DATA, MANAGEMENT, Flow, Request, path
from airflow_batchext.transport import parse_json

PLANES = {plane.name: plane for plane in (DATA, MANAGEMENT)}
_LONGEST_TEXT = 2000


@dataclass(frozen=True, slots=True)
class Answer:
    """What the service answered.

    :param status: the HTTP status.
    :param headers: by name, as the service spells it.
    :param body: the JSON; a text where it is none; None where there is nothing.
    """

    status: int
    headers: Mapping[str, str]
    body: Any


def exchange(
    plane: str,
    method: str,
    *segments: str,
    body: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Flow[Answer]:
    """Send one request, and take any answer for one.

    :param plane: ``data``, or ``management``.
    :param segments: the path below the account, not yet quoted.
    :raises ServiceError: if no answer came, or one that is no HTTP.
    """
    url = path(*segments) if plane == DATA.name else (yield from _pool_requests.account_path(*segments))
    does = f"{method} {'/'.join(segments) or 'the account'}"
    try:
        answer: Answer = yield _Any(
            PLANES[plane],
            does,
            method,
            url,
            _answer,
            body=body,
            headers=headers or {},
            expected=range(100, 600),
        )
    except _AnsweredError as refused:
        return _answer(refused.response)
    return answer


class _AnsweredError(Exception):
    def __init__(self, response: Any) -> None:
        super().__init__()
        self.response = response


class _Any(Request[Answer]):
    """A request whose refusals are answers, also those of which the SDK makes exceptions."""

    @contextmanager
    def translated(self) -> Iterator[None]:
        from azure.core.exceptions import HttpResponseError

        response = None
        with super().translated():
            try:
                yield
            except HttpResponseError as error:
                response = error.response
                if response is None:
                    raise
        if response is not None:
            raise _AnsweredError(response)


def _answer(response: Any) -> Answer:
    content = response.content
    try:
        body = parse_json(content) if content else None
    except (ValueError, RecursionError):
        body = content[:_LONGEST_TEXT].decode("utf-8", "replace")
    return Answer(response.status_code, dict(response.headers), body)
