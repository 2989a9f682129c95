"""The one place where requests leave and answers come in, of both planes and of the sign-in.

Every request passes ``send`` of one of two transports (``requests`` for threads, ``aiohttp`` for event
loops), which are those of azure-core with four rules more:

- it goes to one of the origins that the client was made for, whatever named its URL (``nextLink``, …);
- redirects are never followed;
- connecting, sending, waiting and reading end at the deadline (``within``), however slowly bytes come;
- the answer is read up to a bound, decompressed up to a bound, and nested no deeper than a bound; the last is
  not asked of a part of a file, which nobody reads as JSON.

What breaks a rule is an ``AnswerError``, which ``hooks._errors`` tells as an answer that may be another one
in a moment. Nothing here knows what the requests are about.
"""

from airflow_batchext.transport._answers import AnswerError, parse_json
from airflow_batchext.transport._aside import aside
from airflow_batchext.transport._deadline import (
    LAST_LOOK_SECONDS,
    look_within,
    over_within,
    seconds_left,
    within,
)
from airflow_batchext.transport._rules import PART_OF_A_FILE

__all__ = [
    "LAST_LOOK_SECONDS",
    "PART_OF_A_FILE",
    "AnswerError",
    "aside",
    "look_within",
    "over_within",
    "parse_json",
    "seconds_left",
    "within",
]
