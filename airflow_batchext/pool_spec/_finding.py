"""One thing that is wrong in a pool document, and the two questions that find most of them.

A check is a generator of findings. Where it is to hand back a value too, it returns that value, and the
caller writes ``value = yield from …``.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from airflow_batchext.loose_json.documents import at, is_list, kind_of, quote
from airflow_batchext.loose_json.values import as_mapping, as_text, below, visible
from airflow_batchext.secrets.names import squash

ARM_PAGE = "https://learn.microsoft.com/rest/api/batchmanagement/pool/create"
_MISSING = "is missing"
IDENTITY_PAGE = "https://learn.microsoft.com/azure/batch/managed-identity-pools"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, or doubtful, in a pool document.

    ``path`` says where (``""`` is the document itself), ``problem`` what, ``fix`` what to do, ``link``
    where Azure's documentation says so. None of them ever holds a value below a secret member.
    ``meant`` is the place of the member that was probably meant by a misspelt or misplaced one. ``line`` and
    ``column`` count from 1, and are None where the document was no text. What ``covers`` tells of everything
    below its path, so that nothing else is told there.
    """

    severity: Literal["error", "warning"]
    path: str
    problem: str
    fix: str
    link: str = ""
    meant: str = ""
    line: int | None = None
    column: int | None = None
    covers: bool = False

    def __str__(self) -> str:
        """All of it in one line."""
        stop = "" if self.fix.endswith("?") else "."
        link = f" See {self.link}" if self.link else ""
        where = self.path or "the document"
        return visible(f"{self.severity} at {where}: {self.problem}. {self.fix}{stop}{link}")


Findings: TypeAlias = Iterator[Finding]


def error(path: str, problem: str, fix: str, link: str = "", *, meant: str = "") -> Finding:
    """A finding because of which Azure would refuse the pool, or get it no nodes."""
    return Finding("error", path, problem, fix, link, meant)


def warning(path: str, problem: str, fix: str, link: str = "") -> Finding:
    """A finding that may be meant so."""
    return Finding("warning", path, problem, fix, link)


def missing(path: str, name: str, fix: str) -> Finding:
    """The finding of a member that must be there and is not."""
    return error(path, f"{name} {_MISSING}", fix, ARM_PAGE)


def explained(finding: Finding, meant: Collection[str]) -> bool:
    """Whether a member is missing only because it stands at another place, or in another spelling."""
    way = finding.path
    return finding.problem.endswith(_MISSING) and any(
        place == way or place.startswith((f"{way}.", f"{way}[")) for place in meant
    )


def objects(value: object) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield the objects in a list, each with its index; that other entries are wrong is told elsewhere."""
    for index, entry in enumerate(value if is_list(value) else ()):
        if isinstance(entry, Mapping):
            yield index, entry


def object_at(parent: Mapping[str, Any], *members: str) -> Mapping[str, Any]:
    """The object that lies down there, or an empty one."""
    return as_mapping(below(parent, *members))


def text_of(parent: Mapping[str, Any], member: str) -> str:
    """A text without the blanks around it, "" if there is none."""
    return as_text(parent.get(member)).strip()


def words_of(parent: Mapping[str, Any], member: str) -> set[str]:
    """The texts in a list, in lower case."""
    listed = parent.get(member)
    return {word.casefold() for word in listed if isinstance(word, str)} if is_list(listed) else set()


def object_member(
    parent: Mapping[str, Any], member: str, path: str, required: str = ""
) -> Generator[Finding, None, Mapping[str, Any] | None]:
    """An object, None with a finding if it is none; ``required`` is the fix for one that is missing."""
    value = parent.get(member)
    if isinstance(value, Mapping):
        return value
    if value is not None:
        fix = required or "Write an object"
        yield error(at(path, member), f"{member} is {kind_of(value)}, not an object", fix)
    elif required:
        yield _missing(parent, member, path, required)
    return None


def text_member(
    parent: Mapping[str, Any], member: str, path: str, fix: str
) -> Generator[Finding, None, str | None]:
    """A text that must be there, None with a finding if it is not."""
    value = parent.get(member)
    if isinstance(value, str) and value.strip():
        return value
    if value is None:
        yield _missing(parent, member, path, fix)
    else:
        what = "is empty" if isinstance(value, str) else f"is {kind_of(value)}, not a text"
        yield error(at(path, member), f"{member} {what}", fix)
    return None


def _missing(parent: Mapping[str, Any], member: str, path: str, fix: str) -> Finding:
    """A finding: a member is missing, or in another spelling, such as the data plane's or Python's."""
    spelt = (
        key for key in parent if isinstance(key, str) and key != member and squash(key) == squash(member)
    )
    other = next(spelt, None)
    fix = f"It is spelt {quote(other)} here: write {member}" if other is not None else fix
    return missing(at(path, member), member, fix)
