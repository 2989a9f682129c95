"""Hides what looks like a secret in texts and values that others wrote, before anybody is shown them.

Settings and messages of extensions should hold no secrets, and sometimes do: a URL with a shared access
signature in a script's error, a connection string in settings that should have been protected. Pure: data
in, data out. It errs on the side of hiding; what it cannot tell from ordinary text it cannot hide.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from airflow_batchext.secrets.names import is_secret_member, squash

HIDDEN: Final = "***"

# The name is kept, so that one sees what was there.
_IN_TEXT: Final = (
    (re.compile(r"([?&;\s\"']sig=)[^&\s\"'<>]+", re.IGNORECASE), rf"\1{HIDDEN}"),
    (re.compile(r"(://[^/@:\s]*:)[^/@\s]+@"), rf"\1{HIDDEN}@"),
    (re.compile(r"(\bbearer\s+)[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE), rf"\1{HIDDEN}"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(\.[A-Za-z0-9_-]*)?"), HIDDEN),
    (
        re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL),
        HIDDEN,
    ),
    (
        re.compile(
            r"(\b(?:account[_-]?key|shared[_-]?access[_-]?key|access[_-]?key|api[_-]?key|workspace[_-]?key"
            r"|client[_-]?secret|password|passwd|pwd|sas[_-]?token|secret|token)"
            r"[\"']?\s{0,2}[=:]\s{0,2}[\"']?)(?!\s)[^\s\"',;&<>]{4,}",
            re.IGNORECASE,
        ),
        rf"\1{HIDDEN}",
    ),
)
_HINT: Final = re.compile(
    r"sig=|://[^/@\s]*@|bearer|eyJ|PRIVATE KEY|key|secret|passw|pwd|token", re.IGNORECASE
)
# How names of members end whose values are secrets, squashed; "publicKey" and the like are none.
_SECRET_ENDINGS: Final = (
    *(
        "accountkey",
        "accesskey",
        "apikey",
        "sharedkey",
        "workspacekey",
        "privatekey",
        "primarykey",
        "masterkey",
    ),
    *("secret", "password", "passwd", "passphrase", "token", "sas", "sasurl", "sasuri", "connectionstring"),
)


def veiled_text(text: str) -> str:
    """A text in which what looks like a secret reads ``***``: signatures, keys, passwords, tokens."""
    if not _HINT.search(text):
        return text
    for pattern, shown in _IN_TEXT:
        text = pattern.sub(shown, text)
    return text


def veiled(value: object) -> Any:
    """A copy of a JSON-like value that is fit for showing: secret members hidden, and texts veiled."""
    if isinstance(value, Mapping):
        return {
            str(key): _hidden(item) if is_secret_member(key) or _sounds_secret(key) else veiled(item)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [veiled(item) for item in value]
    return veiled_text(value) if isinstance(value, str) else value


def _sounds_secret(key: object) -> bool:
    return isinstance(key, str) and squash(key).endswith(_SECRET_ENDINGS)


def _hidden(value: object) -> Any:
    """The shape stays, the values do not."""
    if isinstance(value, Mapping):
        return {str(key): _hidden(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_hidden(item) for item in value]
    return value if value is None or isinstance(value, bool) else HIDDEN
