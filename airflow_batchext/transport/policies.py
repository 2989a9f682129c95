"""What a plane's client does with each request: azure-core's policies, without those that break a rule.

There is none that follows redirects. None decodes bodies: whoever asked does that, once, within bounds.
"""

from __future__ import annotations

import math
from typing import Any

from azure.core.pipeline import policies as core

from airflow_batchext.transport._deadline import seconds_left
from airflow_batchext.transport._rules import LONGEST_WAIT_SECONDS


class _WithinDeadline:
    """Tries again only if the wait before fits into what is left: else the refusal is the answer."""

    def is_retry(self, settings: Any, response: Any) -> bool:
        """Whether to try again."""
        return bool(super().is_retry(settings, response)) and self._fits(settings, response)  # type: ignore[misc]

    def get_retry_after(self, response: Any) -> float | None:
        """How long the service asks to wait, in seconds; None if that makes no sense."""
        try:
            after = super().get_retry_after(response)  # type: ignore[misc]
        except (ValueError, TypeError, OverflowError):
            return None
        return float(after) if after is not None and math.isfinite(after) and after >= 0 else None

    def _fits(self, settings: Any, response: Any) -> bool:
        tried = len(settings["history"])
        backoff = settings["backoff"] * 2.0**tried if tried else 0.0
        wait = self.get_retry_after(response) or min(settings["max_backoff"], backoff)
        return float(wait) < min(LONGEST_WAIT_SECONDS, seconds_left())


class Retries(_WithinDeadline, core.RetryPolicy[Any, Any]):
    """azure-core's, within the deadline."""


class AsyncRetries(_WithinDeadline, core.AsyncRetryPolicy[Any, Any]):
    """The same in an event loop."""


def pipeline(authentication: Any, options: dict[str, Any], *, asynchronous: bool) -> list[Any]:
    """The policies of a plane's client.

    :param authentication: signs the requests.
    :param options: as azure-core's clients take them.
    """
    return [
        core.RequestIdPolicy(**options),
        core.HeadersPolicy(**options),
        core.UserAgentPolicy(**options),
        core.ProxyPolicy(**options),
        (AsyncRetries if asynchronous else Retries)(**options),
        authentication,
        core.CustomHookPolicy(**options),
        core.DistributedTracingPolicy(**options),
        core.HttpLoggingPolicy(**options),
    ]
