"""What the page gets is what was known, bounded and redacted; whatever users make of an XCom harms nobody."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_batchext.live import snapshot as kept
from airflow_batchext.live.bounds import LONGEST, is_link, thinned
from airflow_batchext.live.form import (
    Change,
    Counts,
    ExtensionSaid,
    Field,
    Link,
    NodeSaid,
    Picture,
    Point,
    RepairSaid,
    RepairStep,
    Snapshot,
    WorkSaid,
)
from airflow_batchext.live.snapshot import read_snapshot, to_json, to_text
from tests.live.drawn import FAILED, NOW, SNAPSHOTS, WAITING

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def through_json(snapshot: Snapshot) -> Snapshot | None:
    assert json.loads(to_text(snapshot)) == to_json(snapshot)
    return read_snapshot(json.loads(json.dumps(to_json(snapshot), allow_nan=False)))


@pytest.mark.parametrize("snapshot", SNAPSHOTS.values(), ids=SNAPSHOTS)
def test_what_is_read_is_what_was_written(snapshot):
    assert through_json(snapshot) == snapshot
    assert read_snapshot(to_text(snapshot)) == snapshot


def test_one_picture_is_made_into_text_once_for_all_who_share_it(monkeypatch):
    made = []
    plain = kept._of_picture
    monkeypatch.setattr(kept, "_of_picture", lambda picture: [made.append(picture), plain(picture)][1])
    pictures = [replace(WAITING.picture, ages=(number,) * 6) for number in range(20)]
    for picture in pictures:
        for pool in ("p", "q"):
            snapshot = replace(WAITING, pool=pool, picture=picture)
            assert read_snapshot(to_text(snapshot)) == snapshot
    assert made == pictures


@given(value=json_values)
def test_any_json_is_a_snapshot_or_none(value):
    read_snapshot(value)


@given(value=json_values, data=st.data())
def test_whatever_one_member_is_made_to_be_the_rest_is_read(value, data):
    body = to_json(FAILED)
    member = data.draw(st.sampled_from(sorted(set(body) - {"version", "kind", "mode", "outcome", "pool"})))
    found = read_snapshot({**body, member: value})
    assert found is not None
    assert (found.pool, found.outcome) == (FAILED.pool, "failed")
    # And what was read can be written again, and is read as the same.
    assert read_snapshot(to_json(found)) is not None
    json.dumps(to_json(found), allow_nan=False)


@given(value=json_values, data=st.data())
def test_whatever_is_put_deep_inside_harms_nobody(value, data):
    body = json.loads(json.dumps(to_json(FAILED)))
    place = body
    while isinstance(place, dict | list) and place:
        steps = sorted(place) if isinstance(place, dict) else range(len(place))
        step = data.draw(st.sampled_from(steps))
        if not isinstance(place[step], dict | list) or not place[step] or data.draw(st.booleans()):
            place[step] = value
            break
        place = place[step]
    read_snapshot(body)


@pytest.mark.parametrize(
    "value",
    [
        None,
        "text",
        "",
        "[" * 100_000,
        json.dumps(to_text(WAITING)),
        to_text(WAITING)[:-1],
        to_text(WAITING) + " " * LONGEST,
        [to_json(WAITING)],
        {**to_json(WAITING), "version": 2},
        {**to_json(WAITING), "version": True},
        {**to_json(WAITING), "kind": ["gate"]},
        {**to_json(WAITING), "mode": "telepathy"},
        {**to_json(WAITING), "outcome": {}},
        {**to_json(WAITING), "pool": 7},
    ],
)
def test_what_is_none_reads_as_none(value):
    assert read_snapshot(value) is None


@pytest.mark.parametrize("moment", [math.nan, math.inf, -1.0, 10**400, True, "1", 2.0**60])
def test_a_time_that_no_page_can_count_with_is_not_there(moment):
    found = read_snapshot({**to_json(WAITING), "deadline": moment})
    assert found is not None
    assert found.deadline is None


def test_a_later_version_may_say_more():
    assert read_snapshot({**to_json(WAITING), "colour": {"deep": [1]}}) == WAITING


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "JaVaScRiPt://x/%0aalert(1)",
        "data:text/html,<script>",
        "file:///etc/passwd",
        "//elsewhere.example/x",
        "/relative",
        "https://",
        "https://[",
        "https://user@host.example/",
        "https://user:secret-word@host.example/",
        "https://host.example/a b",
        "https://host.example/\n",
        "https://host.example/\u202egpj",
        'https://host.example/"onload=',
        "https://host.example/?sv=2020&sig=abcdefghijklmnop1234567890",
        "https://host.example/" + "a" * 2_000,
        "",
    ],
)
def test_what_is_no_safe_link_is_none(url):
    assert not is_link(url)
    assert through_json(replace(WAITING, links=(Link("x", url),))) == replace(WAITING, links=())
    found = read_snapshot({**to_json(WAITING), "links": [{"name": "x", "url": url}]})
    assert found is not None
    assert found.links == ()


def test_fields_of_different_lengths_are_no_picture():
    fields = [{"name": "", "cells": "rrf"}, {"name": "nginx", "cells": "rr"}]
    found = read_snapshot({**to_json(WAITING), "fields": fields})
    assert found is not None
    assert found.picture.fields == found.picture.ages == ()


def test_ages_are_as_many_as_nodes():
    for ages in ([], [1] * 50, ["x", -1, 5]):
        found = read_snapshot({**to_json(WAITING), "ages": ages})
        assert found is not None
        assert len(found.picture.ages) == 6


def test_what_is_invisible_in_what_users_have_written_is_shown():
    found = read_snapshot({**to_json(WAITING), "summary": "all\u202e well\x1b[2J\n"})
    assert found is not None
    assert found.summary == "all\\u202e well\\x1b[2J\\n"


SENTINEL = "Sentinel0Sentinel1Sentinel2"
SAYS = (
    f"https://s.blob.core.windows.net/c/x?sv=2020-08-04&sig={SENTINEL}%3D",
    f"AccountKey={SENTINEL}{SENTINEL}==;EndpointSuffix=core.windows.net",
    f'{{"password": "{SENTINEL}"}}',
    f"curl -H 'Authorization: Bearer {SENTINEL}'",
    f"--password {SENTINEL}",
)


def everywhere(text: str) -> Snapshot:
    """A snapshot with that text wherever there is one."""
    return Snapshot(
        kind="gate",
        pool=text,
        connection=text,
        account=text,
        rules=text,
        summary=text,
        reasons=(text,),
        extensions=(text,),
        picture=Picture(
            Counts(failed=1),
            (Field("", "f"), Field(text, "f")),
            (1,),
            (
                NodeSaid(
                    text,
                    "failed",
                    text,
                    says=(text,),
                    extensions=(ExtensionSaid(text, "failed", text, text),),
                ),
            ),
        ),
        history=(Change(NOW, text),),
        repair=RepairSaid(text, (RepairStep(text, text, text, text),), (text,)),
        causes=(text,),
        more=text,
        links=(Link(text, text), Link("x", f"https://host.example/?q={text}")),
        capped=(text,),
    )


@pytest.mark.parametrize("text", SAYS)
def test_no_member_holds_a_secret(text):
    written = json.dumps(to_json(everywhere(text)))
    assert SENTINEL not in written
    # Each text of the form was there: the test looks at all of them.
    plain = json.dumps(to_json(everywhere("plain")))
    assert plain.count("plain") == 25


def test_two_thousand_nodes_are_small():
    cells = "f" * 900 + "p" * 600 + "r" * 500
    nodes = tuple(
        NodeSaid(
            f"tvmps_{number:064x}_d",
            "failed" if number < 900 else "pending",
            "idle",
            NOW,
            NOW,
            says=(f"node {number}: extension a reports: " + "no such file; " * 20 + "so",),
            extensions=tuple(
                ExtensionSaid(name, "failed", "ProvisioningState/failed/1", "no such file; " * 20 + "so")
                for name in ("a", "b", "c")
            ),
        )
        for number in range(1_500)
    )
    fields = tuple(Field(name, cells) for name in ("", "a", "b", "c"))
    picture = Picture(Counts(2_000, 500, 600, 900), fields, tuple(range(2_000)), nodes)
    body = to_json(replace(WAITING, picture=picture))
    assert len(json.dumps(body)) < 120_000
    assert body["counts"] == {"wanted": 2_000, "ready": 500, "pending": 600, "failed": 900, "unread": 0}
    shown = len(body["nodes"])
    assert body["capped"] == [f"nodes that are not ready in detail: {shown} of 1,500"]
    found = read_snapshot(body)
    assert found is not None
    assert found.picture.fields == fields
    assert found.picture.nodes == nodes[:shown]


def crowded(text: str, *, times: int, nodes: int) -> Snapshot:
    """One in which this text is everywhere, so many times where there may be several."""
    many = everywhere(text)
    node = many.picture.nodes[0]
    node = replace(node, says=(text,) * times, extensions=node.extensions * times)
    fields = tuple(Field(text, "f" * nodes) for _ in range(times + 1))
    return replace(
        many,
        reasons=(text,) * times,
        extensions=(text,) * times,
        picture=Picture(many.picture.counts, fields, (10**7,) * nodes, (node,) * nodes),
        history=many.history * times,
        points=tuple(Point(NOW + number, number) for number in range(5 * times)),
        repair=RepairSaid(text, many.repair.steps * times, (text,) * times),  # type: ignore[union-attr]
        work=WorkSaid((text,) * times),
        causes=(text,) * times,
        links=many.links * times,
        capped=(text,) * times,
    )


@pytest.mark.parametrize("text", ["x" * 100_000, "\u202e" * 100_000, "p=" * 50_000, "\U0001f600" * 100_000])
def test_the_largest_snapshot_is_bounded(text):
    body = to_json(crowded(text, times=100, nodes=100_000))
    assert len(json.dumps(body)) <= kept.LARGEST
    assert body["nodes"] or "nodes: all of it" in body["capped"]
    assert read_snapshot(body) is not None


@pytest.mark.parametrize("count", [0, 1, 199, 200, 201, 401, 5_000])
def test_thinned_points_keep_the_last_one_and_the_order(count):
    points = [Point(float(number), number) for number in range(count)]
    found = list(thinned(points, kept.MOST_POINTS))
    assert len(found) == min(count, len(found))
    assert len(found) <= kept.MOST_POINTS
    assert found == sorted(found, key=lambda point: point.at)
    assert found[-1:] == points[-1:]
    assert count <= kept.MOST_POINTS or len(found) >= kept.MOST_POINTS // 2
