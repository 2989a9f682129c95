"""Every page of the site, as it looks: on a wide and on a narrow screen, light and dark."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.site.conftest import html  # noqa: F401 - a fixture

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]
#: What is wrong with a page, one line each: it is wider than the screen, a picture is missing, a text is hard
#: to read on its ground (WCAG 2.2, 1.4.3: 4.5 to 1).
WRONG = """() => {
  const wrong = new Set()
  const root = document.documentElement
  if (root.scrollWidth > root.clientWidth) wrong.add(`is ${root.scrollWidth} wide`)
  for (const image of document.images) if (!image.naturalWidth || !image.alt) wrong.add(`lacks ${image.src}`)
  const colour = text => {
    const [red, green, blue, alpha = 1] = text.match(/[\\d.]+/g).map(Number)
    return {rgb: [red, green, blue], alpha}
  }
  const over = (top, below) => top.rgb.map((value, i) => value * top.alpha + below[i] * (1 - top.alpha))
  const light = rgb => rgb.map(value => value / 255)
    .map(value => value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
    .reduce((sum, value, i) => sum + value * [0.2126, 0.7152, 0.0722][i], 0)
  const ground = element => element
    ? over(colour(getComputedStyle(element).backgroundColor), ground(element.parentElement))
    : [255, 255, 255]
  const opacity = element => element
    ? getComputedStyle(element).opacity * opacity(element.parentElement) : 1
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement
    const words = texts.currentNode.nodeValue.trim()
    if (!words || element.closest("script, style, svg, noscript")) continue
    if (!element.getClientRects().length) continue
    const style = getComputedStyle(element)
    const shown = colour(style.color)
    shown.alpha *= opacity(element)
    if (style.visibility === "hidden" || shown.alpha === 0) continue
    const below = ground(element)
    const [dim, bright] = [light(over(shown, below)), light(below)].sort((a, b) => a - b)
    const contrast = (bright + 0.05) / (dim + 0.05)
    if (contrast < 4.5) wrong.add(`${contrast.toFixed(2)} to 1: ${words.slice(0, 40)}`)
  }
  return [...wrong]
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_every_page_can_be_read(width: int, scheme: str, html: Path, browser: Browser):  # noqa: F811
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    found: list[str] = []
    page.on("pageerror", lambda error: found.append(f"{page.url}: {error}"))
    page.on("request", lambda asked: asked.url.startswith(("file:", "data:")) or found.append(asked.url))
    pages = sorted(html.rglob("*.html"))
    for file in pages:
        page.goto(file.as_uri())
        found += [f"{file.relative_to(html)}: {wrong}" for wrong in page.evaluate(WRONG)]
    assert found == []
    assert len(pages) > 50


def test_what_is_wrong_is_found(tmp_path: Path, browser: Browser):
    (tmp_path / "page.html").write_text(
        '<body style="background: #fff"><p style="width: 900px">wide</p><img src="nope.png">'
        '<p style="color: #999">pale</p><p style="opacity: 0.4">paler</p><p style="color: #555">fine</p>'
    )
    page = browser.new_page(viewport={"width": 390, "height": 900})
    page.goto((tmp_path / "page.html").as_uri())
    wrong = page.evaluate(WRONG)
    assert [text.split(": ")[-1] for text in wrong if "to 1" in text] == ["pale", "paler"]
    assert any("wide" in text for text in wrong)
    assert any("nope.png" in text for text in wrong)
    assert len(wrong) == 4
