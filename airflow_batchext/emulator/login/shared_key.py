"""Verifies the shared-key signature of a request to the data plane.

Clients sign the method, eleven standard headers as they were sent, the ``ocp-`` headers, the path and the
decoded query. The query is compared decoded because clients encode a continuation link in different ways.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from datetime import timedelta
from typing import TYPE_CHECKING

from airflow_batchext.emulator.wire.errors import RefusedError, refusal
from airflow_batchext.emulator.wire.http import Call, read_http_time, utc_now

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_SIGNED_HEADERS = (
    "content-encoding",
    "content-language",
    "content-length",
    "content-md5",
    "content-type",
    "date",
    "if-modified-since",
    "if-match",
    "if-none-match",
    "if-unmodified-since",
    "range",
)
_MAX_SKEW = timedelta(minutes=15)


def verify(call: Call, credentials: str, account: str, keys: Iterable[str], status: int) -> None:
    """Check ``account:signature``, or refuse with ``status``."""
    name, _, signature = credentials.partition(":")
    if name.casefold() != account.casefold() or not signature:
        raise _refused(status, f"The account in the Authorization header is not '{account}'")
    _check_date(call, status)
    try:
        given = base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        raise _refused(status, "The signature is not base64") from None
    texts = [text_to_sign(call, name, lower=lower) for lower in (False, True)]
    for key in keys:
        secret = base64.b64decode(key)
        if any(hmac.compare_digest(given, sign(secret, text)) for text in texts):
            return
    quoted = texts[0].replace("\n", "\\n")
    raise _refused(
        status,
        "The MAC signature found in the HTTP request is not the same as any computed signature. "
        f"Server used following string to sign: '{quoted}'",
    )


def sign(key: bytes, text: str) -> bytes:
    """The signature of a text."""
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def text_to_sign(call: Call, account: str, *, lower: bool = False) -> str:
    """What a client of ``account`` signs. Some clients write the keys of the query in lower case."""
    lines = [call.method, *(call.headers.get(name, "") for name in _SIGNED_HEADERS)]
    lines += [f"{name}:{call.headers[name]}" for name in sorted(call.headers) if name.startswith("ocp-")]
    lines.append(f"/{account}{call.raw_path}")
    query: Mapping[str, str] = call.query
    if lower:
        query = {name.lower(): value for name, value in query.items()}
    lines += [f"{name}:{query[name]}" for name in sorted(query) if query[name]]
    return "\n".join(lines)


def _check_date(call: Call, status: int) -> None:
    text = call.headers.get("ocp-date") or call.headers.get("date")
    if text is None:
        raise _refused(status, "Neither an ocp-date nor a date header was sent")
    try:
        date = read_http_time(text)
    except ValueError:
        raise _refused(status, f"The date '{text}' is not a date in the form of RFC 1123") from None
    if abs(utc_now() - date) > _MAX_SKEW:
        raise _refused(status, f"The date '{text}' is more than 15 minutes from the server's clock")


def _refused(status: int, detail: str) -> RefusedError:
    return refusal("AuthenticationFailed", status=status, AuthenticationErrorDetail=detail)
