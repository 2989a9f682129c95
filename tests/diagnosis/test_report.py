"""Reports: all in JSON, what matters in Markdown, one file of HTML; nothing of others is markup in them."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt

from airflow_batchext.diagnosis import NodeLogs, Report, diagnose, timeline
from airflow_batchext.health import from_json
from tests.diagnosis import pools
from tests.diagnosis.pools import HOSTILE, hostile, sized

_INVISIBLE = re.compile("[\u202a-\u202e\u2066-\u2069\u200b-\u200f\u2028\u2029\x00-\x08\x0b-\x1f\x7f]")
LOGS = (NodeLogs("n1", "acct/p/n1/x", 4), NodeLogs("n2", problem="Could not upload: 409"))


class Elements(HTMLParser):
    """The elements of a page, and where they lead."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.links: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links |= {value for name, value in attrs if name in ("href", "src")}


def test_the_json_has_all_of_it():
    report = Report(diagnose(sized(200)), LOGS)
    told = json.loads(report.to_text())
    assert told["schema_version"] == 1
    assert [cause["id"] for cause in told["causes"]] == ["key-vault-no-role", "disk-full", "preempted"]
    assert len(told["causes"][0]["nodes"]) == 4
    assert told["unexplained"]
    assert told["timeline"][0]["what"] == "the pool was created"
    assert from_json(told["health"]) == report.diagnosis.health
    assert told["node_logs"][0] == {"node": "n1", "folder": "acct/p/n1/x", "files": 4, "problem": ""}


@pytest.mark.parametrize("nodes", [0, 1, 5, 41, 200, 2000])
def test_pages_of_any_size_are_bounded_and_draw_every_node(nodes):
    report = Report(diagnose(sized(nodes)), LOGS)
    html = report.to_html()
    assert len(html) < 300_000
    assert len(report.to_markdown()) < 60_000
    squares = re.search(r'aria-label="nodes: [^"]*"[^>]*>(.*?)</svg>', html, re.DOTALL)
    if nodes:
        assert squares
        assert len(re.findall(r"h10v10h-10z", squares[1])) == nodes
    assert ("<th>node</th>" in html) == (0 < nodes <= 40)
    assert "4 files in acct/p/n1/x" in html


def test_nothing_that_others_wrote_is_markup_in_the_page():
    html = Report(diagnose(hostile())).to_html()
    page = Elements(html)
    assert not {"script", "img", "iframe", "object", "embed", "form", "base", "input"} & page.tags
    assert not [name for name in page.attributes if name.startswith("on")]
    links = {link for link in page.links if not link.startswith(("https://learn.", "https://github.com/"))}
    assert not links
    assert "&lt;script&gt;" in html
    assert len(html) < 400_000


def test_nothing_that_others_wrote_changes_the_direction_or_the_lines_of_a_report():
    report = Report(diagnose(hostile()))
    for text in (report.to_html(), report.to_markdown(), report.to_text(), report.diagnosis.short()):
        assert not _INVISIBLE.search(text.replace("\n", "")), text
    assert report.to_text().isascii()


def test_nothing_that_others_wrote_is_markup_in_markdown():
    text = Report(diagnose(hostile())).to_markdown()
    page = Elements(MarkdownIt("commonmark", {"html": True}).enable("table").render(text))
    assert not {"script", "img", "iframe", "svg", "style"} & page.tags
    assert not [link for link in page.links if not link.startswith(("https://learn.", "https://github.com/"))]


def test_a_page_loads_nothing_from_elsewhere():
    html = Report(diagnose(sized(5))).to_html()
    assert "default-src 'none'" in html
    assert not re.search(r"url\(|@import|<link|src=", html)


def test_reports_of_what_could_not_be_read():
    from airflow_batchext.health import pool_health
    from airflow_batchext.rules.reads import Problem, ProblemKind

    refused = Problem(ProblemKind.REFUSED, "Could not read pool p: 403 AuthorizationFailure")
    report = Report(diagnose(pool_health("p", refused, now=pools.NOW)))
    assert "private network" in report.to_html()
    assert "private network" in report.to_markdown()
    partly = Report(diagnose(pools.partly_read()))
    assert "503 ServerBusy" in partly.to_html()
    assert "1 of the pending ones could not be read" in partly.to_html()


def test_the_timeline_is_in_order_and_short():
    events = timeline(sized(2000))
    assert [event.time for event in events] == sorted(event.time for event in events)
    assert len(events) < 40
    assert "the first of 2000 nodes was allocated" in " ".join(event.what for event in events)
    few = [event.what for event in timeline(pools.partly_read())]
    assert "the pool was created" in few


def test_hostile_texts_are_in_the_page_as_text():
    html = Report(diagnose(hostile())).to_html()
    assert "\\u202eevil txt" in html
    assert HOSTILE[5] not in html
