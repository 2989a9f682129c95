"""The rules that both transports keep."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from airflow_batchext.connection import Origin, origin_of
from airflow_batchext.transport._answers import MOST_BYTES, AnswerError, check_bounds, decompressed
from airflow_batchext.transport._deadline import seconds_left

ACCEPTED_CODINGS = "gzip, deflate"
#: So long a request is left waiting between two tries, at most; whoever waits for longer asks anew.
LONGEST_WAIT_SECONDS = 60.0
#: The header with which a part of a file is asked for; of our own request, so that no answer can choose.
PART_OF_A_FILE = "ocp-range"
_HERE_IT_IS = (200, 206)


class Rules:
    """What one client may do.

    :param origins: where its requests may go.
    """

    def __init__(self, origins: Collection[Origin]) -> None:
        self._origins = frozenset(origins)

    def admit(self, request: Any, options: dict[str, Any]) -> float:
        """Check a request that is about to leave, and bound its timeouts; return the seconds left.

        :raises AnswerError: if it may not go there, or no time is left.
        """
        try:
            origin = origin_of(request.url)
        except ValueError:
            origin = None
        if origin not in self._origins:
            raise AnswerError("it leads to another host, to which nothing was sent")
        left = seconds_left()
        if left <= 0:
            raise AnswerError("there was no time left")
        for name in ("connection_timeout", "read_timeout"):
            if name in options and not isinstance(options[name], tuple):
                options[name] = min(options[name], left)
        request.headers["Accept-Encoding"] = ACCEPTED_CODINGS
        return left

    def body(self, request: Any, status: int, content: bytes, headers: Any) -> bytes:
        """The body of an answer, believed.

        :raises AnswerError: if it is not.
        """
        body = decompressed(content, str(headers.get("Content-Encoding") or ""))
        # A part of a file is whatever somebody wrote, and is not read as JSON; what refuses it is.
        if not (PART_OF_A_FILE in request.headers and status in _HERE_IT_IS):
            check_bounds(body)
        return body


def too_large() -> AnswerError:
    """The error of an answer that was not read to its end."""
    return AnswerError(f"the answer is larger than {MOST_BYTES} bytes")


def check_sleep(seconds: float) -> float:
    """Check that a wait between two tries fits into what is left.

    :raises AnswerError: if it does not.
    """
    if not 0 <= seconds <= min(LONGEST_WAIT_SECONDS, seconds_left()):
        raise AnswerError("it could not be tried again in time")
    return seconds
