"""Finds the line and column of what a finding is about, in the text that the document was read from.

Documents are plain data and remember no lines. So the text is gone through a second time, and only when there
is something to tell.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping

import yaml

from airflow_batchext.loose_json.documents import at
from airflow_batchext.pool_spec._places import known_part
from airflow_batchext.pool_spec._text import JSON_TOKEN, yaml_nodes

Place = tuple[int, int]


class Positions:
    """The places of all members and entries of a text that could be read.

    :param text: the text, JSON or YAML.
    """

    def __init__(self, text: str) -> None:
        body = text.removeprefix("\ufeff")
        try:
            json.loads(body)
        except (ValueError, RecursionError):
            self._tables = [dict(_yaml_places(node)) | {"": place} for _, node, place in yaml_nodes(body)]
        else:
            self._tables = [dict(_json_places(body))]

    def place(self, path: str, *, part: int = 0) -> Place:
        """Line and column, from 1, of what a path leads to; if it is missing, of what should hold it.

        :param part: in which YAML document of the text, from 0.
        """
        table: Mapping[str, Place] = self._tables[part] if part < len(self._tables) else {}
        return table.get(known_part(path, table), (1, 1))


def _json_places(body: str) -> Iterator[tuple[str, Place]]:
    """Yield path and place of everything in valid JSON: a member's is that of its key."""
    lines = [0, *(match.end() for match in re.finditer("\n", body))]

    def place(offset: int) -> Place:
        line = bisect_right(lines, offset)
        return line, offset - lines[line - 1] + 1

    levels: list[tuple[str, bool]] = []  # path, and whether it is a list
    counts: list[int] = []
    member = ""  # the path of the value that comes next
    for token in JSON_TOKEN.finditer(body):
        if token["close"]:
            levels.pop()
            counts.pop()
            continue
        if token["colon"]:
            member = at(levels[-1][0], json.loads(token["string"]))
            yield member, place(token.start())
            continue
        if levels and levels[-1][1]:
            member = at(levels[-1][0], counts[-1])
            counts[-1] += 1
            yield member, place(token.start())
        elif not levels:
            yield "", place(token.start())
        if token["open"]:
            levels.append((member, token["open"] == "["))
            counts.append(0)


def _yaml_places(node: yaml.Node | None, path: str = "") -> Iterator[tuple[str, Place]]:
    """Yield path and place of everything below a node: a member's is that of its key."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            place = at(path, key.value if isinstance(key, yaml.ScalarNode) else None)
            yield place, (key.start_mark.line + 1, key.start_mark.column + 1)
            yield from _yaml_places(value, place)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            place = at(path, index)
            yield place, (item.start_mark.line + 1, item.start_mark.column + 1)
            yield from _yaml_places(item, place)
