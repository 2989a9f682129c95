"""The check for values that nobody filled in: templates of Jinja, ARM, Terraform, shells; placeholders.

A whole value of this kind is an error: whatever was meant, Azure would take the text itself. Where a text may
hold such signs for another reason (command lines, formulas, the settings of extensions) only what can have no
other reason is told, or as a warning.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from airflow_batchext.loose_json.documents import Place, is_container, is_object, walk
from airflow_batchext.loose_json.values import as_text
from airflow_batchext.pool_spec._finding import Findings, error, warning
from airflow_batchext.secrets.names import is_secret_member

_ARM = re.compile(r"\[(?!\[)\s*[A-Za-z_][\w.]*\s*\(.*\]", re.DOTALL)
_WHOLE_VARIABLE = re.compile(
    r"\$\{[^{}]*\}|\$\([A-Za-z_][\w.-]*\)|\$[A-Za-z_]\w*|%[A-Za-z_]\w*%|#\{[^{}]+\}#?|__[A-Z][A-Z0-9_]*__"
)
_VARIABLE = re.compile(r"\$\{[^{}\n]{1,200}\}|#\{[^{}\n]{1,200}\}#")
_ANGLES = re.compile(r"<[A-Za-z][A-Za-z0-9 _./-]{0,60}>")
_BRACES = re.compile(r"(?<![${])\{[A-Za-z][A-Za-z0-9 _-]{0,60}\}(?!\})")
_IN_URL = re.compile(r"https?://[^\s'\"<>]*(?:<[A-Za-z][A-Za-z0-9 _-]{0,60}>)")
_PLACE = re.compile(r"\s*(?:/subscriptions/|[A-Za-z][A-Za-z0-9+.-]*://)", re.IGNORECASE)
_COMMANDS = frozenset({"commandLine", "containerRunOptions", "mountOptions", "blobfuseOptions"})
_FREE = frozenset({"metadata", "environmentSettings", "tags", "displayName", "settings", "protectedSettings"})
"""Members below which a text may be anything."""
_FORMULA = "formula"
_NAME = ""
"""What stands in the place of a member where the text itself is the name of one."""

_TEMPLATE_FIX = "Have the document rendered before it is read, or write the value itself"
_EXPRESSION_FIX = (
    "Nobody evaluates it here: write the value, or give the file after it was deployed or rendered"
)
_PLACEHOLDER_FIX = "Write the real value"


def check_unfilled(pool: Mapping[str, Any]) -> Findings:
    """Find names and values that somebody should have rendered, evaluated or filled in.

    A template inside a longer text is a warning: it may be meant so, as in a command line with
    ``docker ps --format {{.Names}}``. Below a secret member only that member is named.
    """
    told: dict[str, tuple[bool, str, str]] = {}  # whether it is an error, what is told, and the fix
    for place, member, text, free in _texts(pool):
        if member is _NAME and not (text.startswith(("[", "<")) or "{" in text):
            continue  # names such as $schema
        found = _template(text) or _expression(text, member, free=free) or _placeholder(text, member, free)
        if found is not None and ((path := place.path) not in told or (found[0] and not told[path][0])):
            told[path] = found
    for path, (is_error, what, fix) in told.items():
        yield (error if is_error else warning)(path, what, fix)


def _template(text: str) -> tuple[bool, str, str] | None:
    stripped = text.strip()
    for start, end in (("{{", "}}"), ("{%", "%}")):
        if 0 <= stripped.find(start) < stripped.rfind(end):
            whole = stripped.startswith(start) and stripped.endswith(end)
            return whole, "this looks like an unrendered template", _TEMPLATE_FIX
    return None


def _expression(text: str, member: str, *, free: bool) -> tuple[bool, str, str] | None:
    stripped = text.strip()
    if _ARM.fullmatch(stripped):
        what = "this is an expression of an ARM template, which nobody has evaluated"
        return True, what, _EXPRESSION_FIX
    what = "this is a variable of a shell, of Terraform or of Bicep, which nobody has replaced"
    if member == _FORMULA:
        return (True, what, _EXPRESSION_FIX) if _VARIABLE.search(text) else None
    if member in _COMMANDS:
        return None
    if _WHOLE_VARIABLE.fullmatch(stripped):
        is_secret = is_secret_member(member)  # a password may begin with a dollar sign
        return (_VARIABLE.fullmatch(stripped) is not None if is_secret else not free), what, _EXPRESSION_FIX
    if is_secret_member(member):
        return None
    if not free and _VARIABLE.search(text):
        what = "a variable of a shell, of Terraform or of Bicep stands in it, which nobody has replaced"
        return True, what, _EXPRESSION_FIX
    return None


def _placeholder(text: str, member: str, free: bool) -> tuple[bool, str, str] | None:
    if member == _FORMULA:
        return None
    what = "a placeholder was left in"
    stripped = text.strip()
    if member in _COMMANDS:
        return (False, what, _PLACEHOLDER_FIX) if _IN_URL.search(text) else None
    if _PLACE.match(text):
        if _ANGLES.search(text):
            return True, what, _PLACEHOLDER_FIX
        if _BRACES.search(text):
            return not free, what, _PLACEHOLDER_FIX
    elif _ANGLES.fullmatch(stripped) or (not free and not is_secret_member(member) and _ANGLES.search(text)):
        return not free and not is_secret_member(member), what, _PLACEHOLDER_FIX
    return None


def _texts(pool: Mapping[str, Any]) -> Iterator[tuple[Place, str, str, bool]]:
    """Yield names and texts: place, the member that it is of, the text, whether it may be anything."""
    around: dict[int, tuple[str, bool, Place | None]] = {}  # of objects and lists: see below
    for where, value in walk(pool):
        member, free, secret = around.get(id(where.within), ("", False, None))
        place = where if secret is None else secret
        if is_object(where.within):
            member = as_text(where.step)
            if isinstance(where.step, str):
                yield place, _NAME, where.step, free
            free = free or member in _FREE
            if secret is None and is_secret_member(where.step):
                secret = place
        if isinstance(value, str):
            yield place, member, value, free
        elif is_container(value):
            # The member it is of, whether anything may stand below it, the place of the secret member.
            around[id(value)] = (member, free, secret)
