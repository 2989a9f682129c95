"""References to secrets in a pool document: what is one, and what is a secret itself.

They are looked up elsewhere, at the last moment: see ``airflow_batchext.secret_references``. It stands by
itself as operators need it when a DAG is parsed, which is hot. Pure: data in, data out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeGuard

from airflow_batchext.loose_json.documents import Place, is_container, is_list, rewritten, walk
from airflow_batchext.secrets.names import is_secret_member, sounds_secret

REFERENCE_MEMBER: Final = "$secret"
"""The one member of a reference."""
REFERENCE_FORMS: Final = (
    '{"connection": ID, "field": "password"} (or "login", "host", "extra.NAME"), {"variable": NAME} or '
    '{"environment": NAME}'
)
"""What a reference may hold, in words."""
FIELDS: Final = ("password", "login", "host")
EXTRA: Final = "extra."
VALUE_OF_PAIR: Final = ("value", "Value")
_MISSPELT: Final = re.compile(r"\$+ ?secrets?(?:[-_ ]?ref(?:erence)?)?:? ?", re.IGNORECASE)
_LONGEST: Final = 4096
_SHOWN: Final = 40
_WORDS_OF_NO: Final = frozenset(
    {"", "true", "false", "null", "none", "yes", "no", "on", "off", "0", "1", "undefined"}
)
# A variable of the shell, a template, a place to be filled in, a secret in a key vault.
_STAND_IN: Final = re.compile(
    r"\$\{\w+\}|\$[A-Za-z_]\w*|%\w+%|\{\{[^{}]*\}\}|<[^<>]*>|@Microsoft\.KeyVault\([^()]*\)"
    r"|https://[\w.-]+\.vault\.[\w.]+(?:/[\w/-]*)?",
    re.ASCII | re.IGNORECASE,
)


def is_reference(value: object) -> TypeGuard[Mapping[str, Any]]:
    """Whether a value is a reference, not a secret."""
    return isinstance(value, Mapping) and set(value) == {REFERENCE_MEMBER}


def malformed_reference(value: object) -> str:
    """What is wrong with how a reference is written, in words; "" if nothing is, or it is meant as none.

    What has a template in it is not known yet, and right.
    """
    if not isinstance(value, Mapping):
        return ""
    if REFERENCE_MEMBER not in value:
        meant = next((name for name in value if isinstance(name, str) and _MISSPELT.fullmatch(name)), "")
        return f"{meant!r} is no reference to a secret: it is written {REFERENCE_MEMBER}" if meant else ""
    beside = sorted(str(name)[:_SHOWN] for name in value if name != REFERENCE_MEMBER)
    if beside:
        return f"beside {REFERENCE_MEMBER} stands {beside[0]!r}: a reference has no other member"
    match value[REFERENCE_MEMBER]:
        case {"connection": str(name), **rest} if set(rest) <= {"field"}:
            field = rest.get("field", "password")
            if not (isinstance(field, str) and (field in FIELDS or _is_extra(field) or _is_template(field))):
                return f"{str(field)[:_SHOWN]!r} is no field of a connection; give {REFERENCE_FORMS}"
        case {"variable": str(name)} as only if len(only) == 1:
            pass
        case {"environment": str(name)} as only if len(only) == 1:
            pass
        case _:
            return f"{REFERENCE_MEMBER} is none of {REFERENCE_FORMS}"
    return "" if name.strip() else f"{REFERENCE_MEMBER} names nothing; give {REFERENCE_FORMS}"


def _is_extra(field: str) -> bool:
    return field.startswith(EXTRA) and bool(field.removeprefix(EXTRA).strip())


def _is_template(text: str) -> bool:
    return "{{" in text or "{%" in text


def malformed_references(document: object) -> Iterator[tuple[str, str]]:
    """Path and fault of each reference in a document that is written wrongly."""
    for place, value in walk(document, into=_is_open):
        if problem := malformed_reference(value):
            yield place.path, problem


def references_in(value: object) -> Iterator[str]:
    """Each reference that a value holds, as JSON, so that two can be compared."""
    for _, item in walk(value, into=_is_open):
        if is_reference(item):
            yield json.dumps(item, sort_keys=True, default=repr)


def only_references(value: object) -> bool:
    """Whether all that a value holds are references, so that it may be shown."""
    return all(
        is_reference(item) or (is_container(item) and bool(item)) for _, item in walk(value, into=_is_open)
    )


def is_secret(value: object, place: Place) -> bool:
    """Whether a value, with all below it, is a secret, as the name of its member or its pair tells.

    A reference is none, nor is what a guess from a name cannot mean: a boolean, a variable of the shell.
    """
    if (
        value is None
        or is_reference(value)
        or (place.step == REFERENCE_MEMBER and isinstance(value, Mapping))
    ):
        return False
    if not is_secret_member(place.step):
        told = place.step in VALUE_OF_PAIR and sounds_secret(name_of_pair(place.within))
        if not told and not sounds_secret(place.step) and not _is_argument(value, place):
            return False
        if isinstance(value, bool) or (isinstance(value, str) and is_stand_in(value)):
            return False
    return not only_references(value)


def _is_argument(value: object, place: Place) -> bool:
    row, index = place.within, place.step
    return isinstance(value, str) and isinstance(index, int) and is_secret_argument(row, index)


def is_secret_argument(row: object, index: int) -> bool:
    """Whether a text in a list stands behind an option that sounds secret: ``["--password", "…"]``."""
    if not (is_list(row) and 0 < index < len(row)):
        return False
    before, value = row[index - 1], row[index]
    is_option = isinstance(before, str) and before.startswith("-")
    return is_option and isinstance(value, str) and not value.startswith("-") and sounds_secret(before)


def is_stand_in(text: str) -> bool:
    """Whether a text in a secret's place only says where the secret lies, or that there is none."""
    bare = text[:_LONGEST].strip()
    return bare.lower() in _WORDS_OF_NO or _STAND_IN.fullmatch(bare) is not None


def name_of_pair(pair: object) -> object:
    """What a pair of name and value is called: ``{"name": …, "value": …}``; None if it is none."""
    given = pair if isinstance(pair, Mapping) else {}
    return next((given[name] for name in ("name", "key", "Name", "Key") if name in given), None)


def with_stand_ins(document: Any) -> Any:
    """A copy of a document with a text in place of each reference, as there will be in its place."""
    return rewritten(document, lambda value, place: "***" if is_reference(value) else value)


def literal_leaves(value: object) -> Iterator[str]:
    """Every text and number of a value that is there itself: no template, no reference."""
    for text in leaves(value):
        if "{{" not in text and "{%" not in text:
            yield text


def leaves(value: object) -> Iterator[str]:
    """Every text and number of a value, as text; nothing of references."""
    for _, item in walk(value, into=_is_open):
        if isinstance(item, (str, int, float)) and not isinstance(item, bool) and item != "":
            yield str(item)


def _is_open(value: object) -> bool:
    return not is_reference(value)
