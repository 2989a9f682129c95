"""One place that turns what the Azure SDKs raise into our own errors.

The SDKs' classes cannot be relied on: the data plane's client makes every 409 a ``ResourceExistsError``
and, under a conditional header, every failure (a 500 too) a ``ResourceNotFoundError``. So the HTTP
status and the error code in the body decide.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from airflow_batchext.batch.data_plane import one_line
from airflow_batchext.exceptions import (
    AccessRefusedError,
    ConflictError,
    NotFoundError,
    ServiceError,
    UnavailableError,
)
from airflow_batchext.hooks._refusals import advice, sign_in_refusal
from airflow_batchext.loose_json.values import as_mapping, as_sequence, as_text, below
from airflow_batchext.transport import AnswerError, parse_json

if TYPE_CHECKING:
    from azure.core.exceptions import ClientAuthenticationError, HttpResponseError

_TRAILER = re.compile(r"\s*RequestId:\s*(?P<id>[0-9a-fA-F-]+)\s*(Time:\s*\S+)?\s*$")
_PASSWORD_IN_URL = re.compile(r"(://[^/@:\s]*:)[^/@\s]+@")
#: Of a text from outside no more is looked at: characters, entries, seconds.
_MOST_TEXT, _MOST_DETAILS, _LONGEST_CODE, _LONGEST_ID = 8_000, 20, 100, 200
_LONGEST_RETRY_AFTER_SECONDS = 3600.0
_PASSING_STATUSES = frozenset({408, 429, 500, 502, 503, 504})
# Texts of MSAL, of azure-identity and of the sign-in service itself.
_PASSING_SIGN_IN = re.compile(
    r"HTTP Error: 5\d\d|HTTP status: (408|429)|Unexpected response from Microsoft Entra ID"
    r"|temporarily.unavailable|too many requests|transient error",
    re.IGNORECASE,
)
_STATUS_ERRORS: Mapping[int, type[ServiceError]] = {
    401: AccessRefusedError,
    403: AccessRefusedError,
    404: NotFoundError,
    409: ConflictError,
    412: ConflictError,
    **dict.fromkeys(_PASSING_STATUSES, UnavailableError),
}


@contextmanager
def translated(action: str, *, secrets: Collection[str] = (), needs: str = "") -> Iterator[None]:
    """Run a call of an Azure SDK; whatever it raises leaves as a ``ServiceError`` or a subclass.

    :param action: what is being done, for the text: "read pool p1".
    :param secrets: values that the request carried; should an answer echo one, it is blotted out.
    :param needs: the Azure action that the call needs, for the text of a refusal.
    """
    from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError

    # ``from None``: the SDK's exceptions hold the whole request, headers and body included.
    try:
        yield
    except HttpResponseError as error:
        if isinstance(error, ClientAuthenticationError) and not _is_batch_answer(error):
            # azure-identity: no token could be had; its texts carry no secret.
            reason = _blotted(str(error.message)[:_MOST_TEXT], secrets)
            if _sign_in_may_pass(error):
                reason = one_line(reason, 1200)
                raise UnavailableError(f"Could not {action}: sign-in failed: {reason}") from None
            reason = one_line(sign_in_refusal(reason), 1600)
            raise AccessRefusedError(f"Could not {action}: sign-in failed: {reason}") from None
        if error.response is None or error.status_code is None:
            reason = one_line(_blotted(str(error.message)[:_MOST_TEXT], secrets))
            raise UnavailableError(f"Could not {action}: {reason}") from None
        raise refusal(action, error.response, secrets, needs) from None
    except AnswerError as error:
        raise UnavailableError(f"Could not {action}: {error}") from None
    except AzureError as error:
        reason = one_line(_blotted(str(error.message)[:_MOST_TEXT], secrets))
        raise UnavailableError(f"Could not {action}: {reason}") from None
    except (ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RecursionError) as error:
        # The SDKs let a body that is no JSON, or of another shape, end in any of these.
        reason = f"the answer could not be understood ({type(error).__name__})"
        raise UnavailableError(f"Could not {action}: {reason}") from None


def _is_batch_answer(error: HttpResponseError) -> bool:
    """Whether the refusal came from Azure Batch or Resource Manager, not from the sign-in service."""
    response = error.response
    if response is None:
        return False
    body = _json_body(response)
    return not isinstance(body.get("error"), str)  # OAuth2 errors are {"error": "invalid_client", …}


def _sign_in_may_pass(error: ClientAuthenticationError) -> bool:
    """Whether the sign-in service did not refuse, but was not there, throttled, or sent nonsense.

    azure-identity calls all of that a failed authentication. Its sync credentials go through MSAL, which
    keeps neither answer nor status, so there the chain of causes and its texts decide.
    """
    from azure.core.exceptions import AzureError, ClientAuthenticationError
    from azure.identity import CredentialUnavailableError

    if isinstance(error, CredentialUnavailableError):
        return False
    if error.status_code in _PASSING_STATUSES:
        return True
    link: BaseException | None = error
    while link is not None:
        is_transport = isinstance(link, AzureError) and not isinstance(link, ClientAuthenticationError)
        if (
            is_transport
            or isinstance(link, (AnswerError, json.JSONDecodeError))
            or _PASSING_SIGN_IN.search(str(link))
        ):
            return True
        link = link.__cause__ or link.__context__
    return False


def refusal(action: str, response: Any, secrets: Collection[str] = (), needs: str = "") -> ServiceError:
    """The error of an answer that is none of those that were expected."""
    status = int(response.status_code)
    if 200 <= status < 300:
        return UnavailableError(f"Could not {action}: the answer could not be understood", status=status)
    if 300 <= status < 400:
        what = "the answer leads elsewhere, which is never followed: check the network and the proxy"
        return UnavailableError(f"Could not {action}: {status}: {what}", status=status)
    code, text, request_id = _told(_json_body(response))
    request_id = request_id or str(response.headers.get("request-id") or "")[:_LONGEST_ID]
    said = ": ".join(part for part in (f"{status} {code}".strip(), one_line(_blotted(text, secrets))) if part)
    hint = advice(status, code, one_line(_blotted(text, secrets), 2000), needs)
    return _STATUS_ERRORS.get(status, ServiceError)(
        " ".join(filter(None, (f"Could not {action}: {said}", hint))),
        status=status,
        code=code,
        retry_after=_retry_after(response.headers),
        request_id=one_line(request_id, 64),
    )


def _json_body(response: Any) -> Mapping[str, Any]:
    from azure.core.exceptions import AzureError

    try:
        content = getattr(response, "content", None)
        body = parse_json(content if isinstance(content, bytes) else response.text().encode())
    except (AzureError, ValueError, AttributeError, TypeError):  # HTML, nothing, or a body never read
        return {}
    return body if isinstance(body, dict) else {}


def _told(body: Mapping[str, Any]) -> tuple[str, str, str]:
    """Error code, text and request id of either plane's error body.

    Management plane: ``{"error": {code, message, details: [{code, message}]}}``; data plane:
    ``{code, message: {value}, values: [{key, value}]}``. Both end their message with the request's id
    and the time, which are told apart so that the same error reads the same twice.
    """
    error = as_mapping(body.get("error")) or body
    message = error.get("message")
    text = as_text(below(message, "value") or message)[:_MOST_TEXT]
    trailer = _TRAILER.search(text)
    details = [
        f"{_text(detail, 'code', 'key')}: {_text(detail, 'message', 'value')}"
        for member in ("details", "values")
        for detail in as_sequence(error.get(member))[:_MOST_DETAILS]
        if isinstance(detail, dict)
    ]
    text = _TRAILER.sub("", text)
    return (
        one_line(_text(error, "code"), _LONGEST_CODE),
        f"{text} [{'; '.join(details)}]" if details else text,
        trailer["id"] if trailer else "",
    )


def _text(of: Mapping[str, Any], *members: str) -> str:
    """The first of these members that is a text, not endless; or ""."""
    return next(filter(None, (as_text(of.get(member)) for member in members)), "")[:_MOST_TEXT]


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the service asks to wait (a number of seconds or a date), an hour at most; or None."""
    value = str(headers.get("Retry-After") or "")[:_LONGEST_ID]
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, TypeError, OverflowError, OSError, IndexError):
            return None
    return min(max(0.0, seconds), _LONGEST_RETRY_AFTER_SECONDS) if math.isfinite(seconds) else None


def _blotted(text: str, secrets: Collection[str]) -> str:
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    return _PASSWORD_IN_URL.sub(r"\1***@", text)
