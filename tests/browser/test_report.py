"""The report in a real browser: nothing of others runs, nothing sticks out, nothing is asked for elsewhere.

With ``PICTURES=docs`` in the environment, the pictures of the docs are made anew.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_batchext.diagnosis import NodeLogs, Report, diagnose
from tests.diagnosis.pools import hostile, sized

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

WIDTHS = (1180, 700, 360)
_TALLEST = 1250.0
_OVERFLOWING = """() => {
    const wide = document.documentElement.clientWidth;
    const out = [...document.querySelectorAll('body *')].filter(
        e => e.getBoundingClientRect().right > wide + 1 || e.scrollWidth > e.clientWidth + 1 && e.clientWidth
            && getComputedStyle(e).display !== 'inline');
    return out.map(e => `${e.tagName} ${e.className} ${e.scrollWidth} ${e.clientWidth}`).slice(0, 9);
}"""


def opened(browser: Browser, tmp_path: Path, html: str, *, dark: bool = False, width: int = 1180):
    """A page with a report, and every request that it made."""
    file = tmp_path / "report.html"
    file.write_text(html, encoding="utf-8")
    scheme = "dark" if dark else "light"
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("dialog", lambda dialog: requests.append(f"dialog {dialog.message}"))
    page.goto(file.as_uri())
    page.wait_for_timeout(300)
    return page, [url for url in requests if url != file.as_uri()]


@pytest.mark.parametrize("width", WIDTHS)
def test_hostile_messages_do_not_run_overflow_or_ask_anybody(browser: Browser, tmp_path: Path, width: int):
    logs = (NodeLogs("<script>window.ran=1</script>", "x" * 3000, 4),)
    page, requests = opened(browser, tmp_path, Report(diagnose(hostile()), logs).to_html(), width=width)
    for summary in page.locator("summary").all():
        summary.click()
    assert page.evaluate("window.ran") is None
    assert requests == []
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert page.evaluate(_OVERFLOWING) == []
    assert page.locator("script, iframe, img, object, embed, form").count() == 0
    assert page.locator("body").evaluate("body => body.innerText.includes('<script>window.ran=1')")
    assert (
        page.locator("body").evaluate("body => /[\\u202a-\\u202e\\u2066-\\u2069]/.test(body.innerText)")
        is False
    )


def test_a_browser_that_runs_scripts_would_have_run_them(browser: Browser, tmp_path: Path):
    """So that the test above can fail."""
    html = (
        "<script>window.ran=1</script><img src='http://127.0.0.1:9/x'>"
        "<b style='position:absolute;left:3000px'>x</b>"
    )
    page, requests = opened(browser, tmp_path, html)
    assert page.evaluate("window.ran") == 1
    assert requests
    assert page.evaluate(_OVERFLOWING)


@pytest.mark.parametrize("nodes", [5, 200, 2000])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_pools_of_any_size_can_be_read(browser: Browser, tmp_path: Path, nodes: int, dark: bool):
    page, requests = opened(browser, tmp_path, Report(diagnose(sized(nodes))).to_html(), dark=dark)
    assert requests == []
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    # A square of the picture can be told from its neighbours.
    sides = page.locator(".field svg").evaluate_all(
        "svgs => svgs.map(svg => svg.getBoundingClientRect().width / svg.viewBox.baseVal.width * 10)"
    )
    assert min(sides) > 5
    assert page.locator("h2").first.inner_text() == "Likely causes, the likeliest first"
    folder = os.environ.get("PICTURES")
    if folder and dark == (nodes == 200):
        bottom = page.locator(".fields").bounding_box()
        assert bottom
        height = bottom["y"] + bottom["height"] + 40
        heading = page.get_by_role("heading", name="Nodes and extensions").bounding_box()
        assert heading
        top = heading["y"] - 30 if nodes == 2000 else max(0.0, height - _TALLEST)
        clip = {"x": 0, "y": top, "width": 1180, "height": height - top}
        page.screenshot(path=Path(folder) / f"report-{nodes}.png", full_page=True, clip=clip)
