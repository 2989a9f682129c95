"""Lines and columns of what a document holds."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_batchext.pool_spec import Positions
from tests.pool_spec.documents import EXTENSION, GOOD, paths_of

JSON = """{
  "name": "pool1", "tags": {"a.b": 1, "x": [true, {"y": null}, "z"]},
  "properties": {
    "vmSize":
      "d2"
  }
}
"""
YAML = """# a comment
name: pool1
tags:
  a.b: 1
  x:
  - true
  - y: null
  - z
properties: {vmSize: d2}
---
name: second
"""


@pytest.mark.parametrize(
    ("path", "in_json", "in_yaml"),
    [
        ("", (1, 1), (2, 1)),
        ("name", (2, 3), (2, 1)),
        ("tags['a.b']", (2, 29), (4, 3)),
        ("tags.x", (2, 39), (5, 3)),
        ("tags.x[0]", (2, 45), (6, 5)),
        ("tags.x[1].y", (2, 52), (7, 5)),
        ("tags.x[2]", (2, 64), (8, 5)),
        ("properties.vmSize", (4, 5), (9, 14)),
        ("properties.scaleSettings", (3, 3), (9, 1)),
        ("properties.scaleSettings.fixedScale[3]", (3, 3), (9, 1)),
        ("tags.x[9]", (2, 39), (5, 3)),
        ("nobody", (1, 1), (2, 1)),
    ],
)
def test_a_path_leads_to_its_line_and_column_or_to_those_of_what_should_hold_it(path, in_json, in_yaml):
    assert Positions(JSON).place(path) == in_json
    assert Positions(YAML).place(path) == in_yaml


def test_each_yaml_document_has_its_own_places():
    positions = Positions(YAML)
    assert positions.place("name", part=1) == (11, 1)
    assert positions.place("properties", part=1) == (10, 1)
    assert positions.place("name", part=7) == (1, 1)


@pytest.mark.parametrize("dump", [json.dumps, lambda d: json.dumps(d, indent=2), yaml.safe_dump])
def test_every_path_of_a_document_is_found_where_its_key_stands(dump):
    text = dump(GOOD)
    positions, lines = Positions(text), text.splitlines()
    for path in paths_of(GOOD):
        line, column = positions.place(path)
        if not path.endswith("]"):
            key = path.rpartition(".")[2]
            assert lines[line - 1][column - 1 :].lstrip('"').startswith(key)
    assert positions.place(EXTENSION) != positions.place(f"{EXTENSION[:-3]}[1]")


TREES = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=4), below, max_size=3),
)


@given(TREES, st.text(max_size=20))
@settings(deadline=None)
def test_any_json_has_places_and_any_path_a_place(tree, path):
    line, column = Positions(json.dumps(tree)).place(path)
    assert line >= 1
    assert column >= 1
