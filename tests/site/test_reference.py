"""The reference, as it is built: every public name, with every parameter and field, and what each is."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from tests.test_parameters import DOORS
from tests.test_public_names import NAMES, thing
from tools import pages

bs4 = pytest.importorskip("bs4", reason="comes with the theme of the site: make docs")
pytestmark = [pytest.mark.docs, pytest.mark.timeout(600)]
SHOWN = sorted({name for names in pages.rooms().values() for name in names})
#: In the text of another entry.
_ELSEWHERE = re.compile(r"on the async client, with the same parameters")


@dataclass
class Entry:
    """A class, function or method as the reference shows it.

    :param text: what is said of it, without what it contains.
    :param signature: the names in its signature.
    :param parameters: by name, what is said of each.
    """

    text: str
    signature: set[str]
    parameters: dict[str, str]


def entries_of(page: str) -> Iterator[tuple[str, Entry]]:
    """What a page documents."""
    for signature in bs4.BeautifulSoup(page, "html.parser").select("dl.py > dt[id]"):
        body = signature.find_next_sibling("dd")
        own = [child for child in body.children if getattr(child, "name", None)] if body else []
        fields = [child for child in own if "field-list" in (child.get("class") or ())]
        told: dict[str, str] = {}
        for heading in [heading for found in fields for heading in found.find_all("dt", recursive=False)]:
            if heading.get_text().strip(" :") != "Parameters":
                continue
            content = heading.find_next_sibling("dd")
            for item in content.select("li") or [content]:
                name, _, words = item.get_text(" ", strip=True).partition(" \N{EN DASH} ")
                told[name.lstrip("*")] = words.strip()
        texts = [child.get_text(" ", strip=True) for child in own if "py" not in (child.get("class") or ())]
        names = {name.get_text().lstrip("*") for name in signature.select("em.sig-param > .n:first-of-type")}
        names |= {name.get_text() for name in signature.select("em.sig-param > .o + .n")}
        yield signature["id"], Entry(" ".join(texts), names - {""}, told)


@pytest.fixture(scope="module")
def entries(html: Path) -> dict[str, Entry]:
    return {
        name: entry
        for page in (html / "api").glob("*.html")
        for name, entry in entries_of(page.read_text("utf-8"))
    }


def taken_by(value: Any) -> set[str]:
    """What can be given, by the signatures themselves: of a class of Airflow's up to where ours end."""
    if not inspect.isclass(value):
        return {*inspect.signature(value).parameters} - {"self", "cls"}
    if not any(base.__module__.startswith("airflow.") for base in value.__mro__):
        return {*inspect.signature(value).parameters}
    taken: set[str] = set()
    for kind in value.__mro__:
        if kind.__module__.startswith("airflow_batchext") and "__init__" in vars(kind):
            own = inspect.signature(kind.__init__).parameters
            taken |= {*own} - {"self"}
            if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in own.values()):
                break
    return taken


def methods_of(name: str) -> Iterator[str]:
    """The public methods of a class that users call; those of one that only Airflow calls are left out."""
    value = thing(name)
    if not inspect.isclass(value) or pages.is_called_by_airflow(value) or issubclass(value, BaseException):
        return
    for member in dir(value):
        static = inspect.getattr_static(value, member)
        function = getattr(static, "__func__", static)
        is_ours = inspect.isfunction(function) and function.__module__.startswith("airflow_batchext")
        if is_ours and not member.startswith("_") and member != "checks":
            yield f"{name}.{member}"


def test_every_public_name_is_shown(entries: dict[str, Entry]):
    public = {name for name in NAMES if not inspect.ismodule(thing(name))}
    assert [name for name in sorted(public | {*SHOWN}) if name not in entries] == []
    assert [name for name in SHOWN if not entries[name].text] == []


def test_every_parameter_and_field_is_in_the_signature_and_described(entries: dict[str, Entry]):
    """Of functions and methods, too; a field of a model may have an entry of its own instead."""
    gaps = []
    callables = [n for n in SHOWN if inspect.isclass(thing(n)) or inspect.isroutine(thing(n))]
    for name in [*callables, *(method for shown in callables for method in methods_of(shown))]:
        owner = name if name in SHOWN else name.rpartition(".")[0]
        value = thing(name) if name in SHOWN else getattr(thing(owner), name.rpartition(".")[2])
        is_error = inspect.isclass(value) and value.__init__ is Exception.__init__
        entry = entries.get(name)
        if entry is None:
            gaps.append(f"{name} is not there")
        elif not _ELSEWHERE.search(entry.text) and not is_error:
            taken = taken_by(value)
            told = {parameter for parameter, words in entry.parameters.items() if len(words) > 3}
            if inspect.isclass(value) and issubclass(value, BaseModel):
                told |= {field for field in taken if (own := entries.get(f"{name}.{field}")) and own.text}
            gaps += [f"{name}: {parameter} is not described" for parameter in sorted(taken - told)]
            gaps += [f"{name}: there is no {parameter}" for parameter in sorted({*entry.parameters} - taken)]
            gaps += [f"{name}: {p} is not in the signature" for p in sorted(taken - entry.signature)]
    assert not gaps, "\n".join(gaps)
    assert len(entries) > 200


@pytest.mark.parametrize("door", [door for door, (made, _) in DOORS.items() if inspect.isclass(made)])
def test_what_is_shown_can_be_given(door: str, entries: dict[str, Entry]):
    """A class may give one of those above it a value of its own: then that is no parameter any more."""
    made, least = DOORS[door]
    entry = entries[f"{made.__module__}.{made.__qualname__}"]
    unusable = []
    for parameter in entry.signature - {"kwargs", *least}:
        try:
            partial(made, **least)(**{parameter: None})
        except TypeError as refusal:
            unusable.append(f"{parameter}: {refusal}")
        except Exception:  # None is no value for it, but it was taken
            continue
    assert unusable == []
