"""One way to walk a document and one to copy it: for lists, tuples, mappings and models alike."""

from __future__ import annotations

import json
from collections import OrderedDict, UserList
from types import MappingProxyType
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from airflow_batchext.loose_json.documents import at, is_container, is_list, kind_of, rewritten, walk

TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=25,
)


class Model:
    """As the models of the SDKs are."""

    def __init__(self, **members: Any) -> None:
        self.members = members

    def as_dict(self, *, exclude_readonly: bool) -> dict[str, Any]:
        return self.members


def disguised(value: Any) -> Any:
    """The same document in other types."""
    if isinstance(value, dict):
        return MappingProxyType(OrderedDict((key, disguised(item)) for key, item in value.items()))
    if isinstance(value, list):
        items = [disguised(item) for item in value]
        return UserList(items) if len(items) % 2 else tuple(items)
    return value


def every(value: Any, path: str = "") -> list[tuple[str, Any]]:
    """All places and values, found by recursion."""
    found = [(path, value)]
    for step, item in (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    ):
        found += every(item, at(path, step))
    return found


@given(TREES)
def test_a_copy_is_equal_and_plain_whatever_the_types(tree):
    copy = rewritten(disguised(tree))
    assert copy == tree
    assert json.dumps(copy) == json.dumps(tree)
    assert not is_container(tree) or copy is not tree


@given(TREES)
def test_everything_is_walked_once_with_its_place(tree):
    found = [(place.path, rewritten(value)) for place, value in walk(disguised(tree))]
    assert sorted(map(repr, found)) == sorted(map(repr, every(tree)))


@given(TREES)
def test_what_is_changed_is_changed_everywhere_and_nothing_else(tree):
    def change(value, place):
        return f"{place.path}!" if isinstance(value, int) and not isinstance(value, bool) else value

    copy = rewritten(disguised(tree), change)
    for (path, value), (_, new) in zip(every(tree), every(copy), strict=True):
        is_number = isinstance(value, int) and not isinstance(value, bool)
        assert new == f"{path}!" if is_number else is_container(value) or new == value


def test_models_are_their_bodies():
    assert rewritten({"a": [Model(b=(Model(c=1),))]}) == {"a": [{"b": [{"c": 1}]}]}
    assert [place.path for place, _ in walk(Model(b=[1]))] == ["", "b", "b[0]"]


def test_what_holds_itself_has_an_end():
    circle: dict[str, Any] = {"a": [1]}
    circle["a"].append(circle)
    assert [place.path for place, _ in walk(circle)] == ["", "a", "a[0]", "a[1]"]
    copy = rewritten(circle)
    assert copy["a"][1] is copy
    assert copy is not circle


def test_what_stands_in_many_places_is_copied_once():
    value: Any = "x"
    for _ in range(60):  # two to the sixtieth leaves
        value = [value, value]
    copy = rewritten(value)
    assert copy[0] is copy[1]
    assert sum(1 for _ in walk(value)) == 121


def test_no_depth_is_too_deep():
    value: Any = "x"
    for _ in range(50_000):
        value = ({"a": value},)
    *_, (place, leaf) = walk(value)
    assert (leaf, place.path.count("[0].a")) == ("x", 50_000)
    copy = rewritten(value, lambda item, place: "y" if item == "x" else item)
    for _ in range(50_000):
        copy = copy[0]["a"]
    assert copy == "y"


def test_a_text_is_no_list():
    assert not any(map(is_list, ("text", b"bytes", bytearray(b"x"), {}, None, 3, {1})))
    assert all(map(is_list, ([], (), UserList(), range(2))))
    assert (kind_of(()), kind_of(MappingProxyType({}))) == ("a list", "an object")
