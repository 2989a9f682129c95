"""The live page in a real browser, served by a real API server below a path, with what tasks may have left.

With ``PICTURES=docs`` in the environment, the pictures of the docs are made anew.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import httpx
import pytest

from airflow_batchext.cli.demo.components import COMPONENTS
from airflow_batchext.diagnosis import _picture
from tests.airflow.harness import Airflow, wait_until
from tests.live.access import USERS
from tests.live.scenes import HOSTILE, RUN

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Frame, Page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
BELOW = "/team/airflow"
#: Of one scene there is the DAG, too, with its pages in Airflow.
_DAG = """
from airflow.sdk import DAG, BaseOperator
with DAG("rendering_nightly", schedule=None):
    BaseOperator(task_id="gate")
"""
_WIDE = "Math.max(0, document.documentElement.scrollWidth - document.documentElement.clientWidth)"
_OVERFLOWING = """() => {
    const wide = document.documentElement.clientWidth;
    const out = [...document.querySelectorAll('body *')].filter(
        e => e.checkVisibility() && !e.closest('.unseen, .skip')
            && e.getBoundingClientRect().right > wide + 1);
    return out.map(e => `${e.tagName} ${e.className} ${e.textContent.slice(0, 40)}`).slice(0, 9);
}"""
_PATHS = """() => [...document.querySelectorAll('.field')].map(
    field => [...field.querySelectorAll('path')].map(path => [path.classList[0], path.getAttribute('d')]))"""


class Planted:
    """An API server with the scenes of ``tests.live.scenes`` in its database."""

    def __init__(self, home: Path) -> None:
        (home / "dags").mkdir()
        (home / "dags" / "nightly.py").write_text(_DAG)
        self.airflow = Airflow(home, home / "dags", {}, components={"api-server": COMPONENTS["api-server"]})
        self.url = f"{self.airflow.url}{BELOW}"
        self._passwords = home / "passwords.json"
        self._passwords.write_text(json.dumps({user.split(":")[0]: "secret" for user in USERS.split(",")}))
        self.airflow.environment |= {
            "PYTHONPATH": str(ROOT),
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__CORE__AUTH_MANAGER": "tests.live.access.AccessManager",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": USERS,
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(self._passwords),
            "AIRFLOW__BATCHEXT__STATUS_TABS": "dag, task_instance",
        }

    def start(self) -> None:
        self.airflow.run("db", "migrate")
        self._scenes()
        self.airflow.run("dags", "reserialize")
        self._scenes("watchers")
        self.airflow.start_component("api-server")
        wait_until("the API server", self._answers)

    def _scenes(self, *which: str) -> None:
        command = [sys.executable, "-m", "tests.live.scenes", *which]
        subprocess.run(command, env=self.airflow.environment, cwd=ROOT, check=True, capture_output=True)

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/api/v2/version", timeout=30).status_code == 200
        except httpx.HTTPError:
            return False

    def token(self, user: str) -> str:
        answer = httpx.post(
            f"{self.url}/auth/token", json={"username": user, "password": "secret"}, timeout=60
        )
        return str(answer.json()["access_token"])


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planted]:
    planted = Planted(tmp_path_factory.mktemp("planted-home"))
    try:
        planted.start()
        yield planted
    finally:
        planted.airflow.stop()


class Visit:
    """A signed-in user's page, and what went wrong on it."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.troubles: list[str] = []
        self.asked: list[str] = []
        page.on("pageerror", lambda error: self.troubles.append(str(error)))
        page.on("dialog", lambda dialog: self.troubles.append(dialog.message))
        page.on("console", lambda said: self.troubles.append(said.text) if said.type == "error" else None)
        page.on("request", lambda request: self.asked.append(request.url))

    def go(self, query: str = "") -> Page:
        self.page.goto(f"{self.url}/batchext/{query}")
        self.page.locator(".gate, .empty").first.wait_for()
        return self.page

    def open(self, pool: str) -> Page:
        self.page.locator(".opener", has_text=pool).first.click()
        self.page.locator(".inside:visible .links").first.wait_for()
        return self.page


@pytest.fixture
def visit(browser: Browser, planted: Planted) -> Callable[..., Visit]:
    def begin(user: str, *, width: int = 1280, height: int = 900, dark: bool = False) -> Visit:
        scheme: Any = "dark" if dark else "light"
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        sign_in(context, planted, user)
        return Visit(context.new_page(), planted.url)

    return begin


def sign_in(context: Any, planted: Planted, user: str) -> None:
    context.add_cookies([{"name": "_token", "value": planted.token(user), "url": f"{planted.url}/"}])


def framed(visit: Visit, path: str) -> Frame:
    """The page's frame in an Airflow page."""
    visit.page.goto(f"{visit.url}/{path}")
    visit.page.locator("iframe").wait_for()
    frame = visit.page.frame_locator("iframe")
    frame.locator(".gate, .empty").first.wait_for()
    (inner,) = visit.page.main_frame.child_frames
    return inner


def picture(page: Page, name: str, **options: Any) -> None:
    if "PICTURES" in os.environ:
        page.wait_for_timeout(1500)
        page.screenshot(path=Path(os.environ["PICTURES"]) / f"live-{name}.png", **options)


def test_failed_ones_come_first_then_waiting_ones_then_what_has_ended(visit):
    seen = visit("vera")
    page = seen.go()
    assert [re.sub(r"\s\(.*", "", title) for title in page.locator("h2").all_inner_texts()] == [
        "Failed",
        "Waiting",
        "Watched for events",
        "Ended in the last day",
    ]
    assert page.locator("#counts").inner_text().split("\n") == [
        "1 failed",
        "6 waiting",
        "2 watched",
        "1 ended",
    ]
    line = page.locator("#group-waiting .gate", has_text="frames-eu").inner_text()
    for told in ("Waits", "Gate · renderfarm", "rendering_nightly / gate", RUN, "2 of 5 ready", "3 pending"):
        assert told in line
    for told in (
        r"waits for\s+\d+ min",
        r"deadline\s+in \d+ min",
        r"as of\s+(\d+ min )?\d+ s ago",
        r"looks again\s+",
    ):
        assert re.search(told, line), line
    assert "rendering_tiles / tile [1]" in page.locator(".gate", has_text="tile-1").inner_text()
    assert seen.troubles == []
    frame = framed(seen, "plugin/batch-pools")
    picture(seen.page, "waiting")
    assert frame.locator("h1").inner_text() == "Batch pools"


def test_work_on_a_pool_shows_how_many_tasks_are_how_far(visit):
    seen = visit("vera")
    page = seen.go()
    row = page.locator("#group-waiting .gate", has_text="stills-eu")
    assert "96 of 240 tasks succeeded · 3 failed · 4 running · 137 waiting" in row.inner_text()
    assert "node" not in str(row.locator(".bar").get_attribute("aria-label"))
    inside = seen.open("stills-eu").locator("#group-waiting .inside:visible")
    text = inside.inner_text()
    for told in (
        "8 starting, 12 wanted",
        "rendering_nightly-render-0f3a-1",
        "tasks that have succeeded",
        "to run the Batch tasks of this task",
    ):
        assert told in text, told
    assert inside.locator(".field").count() == 0
    assert not re.search(r"\b(false|true|undefined|null|NaN)\b|\[object|ready nodes", text)
    page.set_viewport_size({"width": 360, "height": 900})
    assert page.evaluate(_OVERFLOWING) == []
    assert seen.troubles == []


def test_pools_that_events_watch_have_a_group_of_their_own(visit):
    seen = visit("vera", height=1300)
    page = seen.go()
    group = page.locator("#group-watched")
    line = group.locator(".gate", has_text="frames-eu").inner_text()
    for told in (
        "Watched",
        "Events · renderfarm",
        "azbatch://renderfarm/frames-eu?event=lost",
        "2 of 5 ready",
    ):
        assert told in line
    for told in (
        r"watched for\s+1 d 1 h",
        r"event lost\s+1 h \d+ min ago",
        r"as of\s+",
        r"looks again\s+",
    ):
        assert re.search(told, line), line
    assert "deadline" not in line
    silent = group.locator(".gate", has_text="stills-eu")
    assert "What its watcher sees is not known here." in silent.inner_text()
    assert re.search(r"event of others\s+\d min .*ago", silent.inner_text())
    for opener in group.locator(".opener").all():
        opener.click()
    group.locator(".inside:visible .links").nth(1).wait_for()
    text = group.inner_text()
    for told in (
        "is preempted",
        "2 nodes",
        "Since then the asset has had another event, 1",
        "None of this watcher is known.",
        "The last event of the asset, ",
        "events of pool frames-eu: lost",
        "watches in the triggerer, looks every 30 s",
        "for ever",
        "from Airflow 3.3 on",
    ):
        assert told in text, told
    assert group.get_by_role("img", name="monitor: 3 pending, 2 ready").is_visible()
    links = group.get_by_role("link", name="Asset and events")
    assert [link.get_attribute("href") for link in links.all()] == [f"{BELOW}/assets/{n}" for n in (71, 72)]
    assert not re.search(r"\b(false|true|undefined|null|NaN)\b|\[object", text)
    page.locator("#group-watched").scroll_into_view_if_needed()
    picture(page, "watched", full_page=True)
    page.set_viewport_size({"width": 360, "height": 900})
    assert page.evaluate(_OVERFLOWING) == []
    assert seen.troubles == []


def test_an_opened_one_says_why_and_what_helps(visit):
    seen = visit("vera", height=1500)
    page = seen.go()
    inside = seen.open("preview-eu").locator(".inside:visible")
    text = inside.inner_text()
    for told in (
        "Extension monitor failed on node tvmps_",
        "assign it, and let it read the vault",
        "batchext diagnose preview-eu",
        "1 node was rebooted, to no avail.",
        "5 nodes are there.",
        "waits in the triggerer, looks every 30 s",
        "azure_batchext_default · renderfarm",
    ):
        assert told in text, told
    assert not re.search(r"\b(false|true|undefined|null|NaN)\b|\[object", text)
    assert inside.get_by_role("img", name="monitor: 1 failed, 2 pending, 2 ready").is_visible()
    links = {link.inner_text(): link.get_attribute("href") for link in inside.locator(".links a").all()}
    run = quote(RUN, safe="")
    assert links["Task and log"] == f"{BELOW}/dags/rendering_preview/runs/{run}/tasks/gate"
    assert links["Pool in the Azure portal (portal.azure.com)"].startswith("https://portal.azure.com/")
    picture(page, "failed", clip={"x": 0, "y": 0, "width": 1280, "height": 1180})
    assert seen.troubles == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_pools_of_any_size_can_be_read_at_any_width(visit, dark):
    seen = visit("sina", dark=dark)
    for nodes, width in itertools.product((5, 200, 2000), (2560, 1280, 360)):
        seen.page.set_viewport_size({"width": width, "height": 900})
        page = seen.go(f"?pool=size-{nodes}")
        seen.open(f"size-{nodes}")
        assert page.evaluate(_WIDE) == 0, (nodes, width)
        assert page.evaluate(_OVERFLOWING) == [], (nodes, width)
        sides = page.locator(".field svg").evaluate_all(
            "svgs => svgs.map(svg => svg.getBoundingClientRect().width / svg.viewBox.baseVal.width * 10)"
        )
        assert len(sides) == 4
        assert min(sides) > (3 if (nodes, width) == (2000, 360) else 5)
        if (nodes, width, dark) == (200, 1280, True):
            picture(page, "dark")
        if (nodes, width, dark) == (5, 360, False):
            picture(page, "narrow")
    assert not re.search(r"\b(false|undefined|null|NaN)\b|\[object", seen.page.locator("body").inner_text())
    color = seen.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert color == ("rgb(15, 18, 22)" if dark else "rgb(245, 246, 248)")
    assert seen.troubles == []


def test_it_is_the_picture_of_the_report(visit):
    """Squares, marks, columns and order are the same, whoever draws them."""
    seen = visit("sina")
    for nodes in (5, 200, 2000):
        page = seen.go(f"?pool=size-{nodes}")
        seen.open(f"size-{nodes}")
        answer = page.evaluate(
            "([run, task]) => fetch(`gate?dag_id=sizes&run_id=${encodeURIComponent(run)}&task_id=${task}`)"
            ".then(answer => answer.json())",
            [RUN, f"gate_{nodes}"],
        )
        drawn = page.evaluate(_PATHS)
        kinds = {kind[0]: kind for kind in _picture.KINDS}
        for field, paths in zip(answer["gate"]["snapshot"]["fields"], drawn, strict=True):
            squares = [_picture.Square(kinds[letter], "") for letter in field["cells"]]
            wanted = re.findall(r'<path class="(\w+)" d="([^"]+)"', str(_picture._field("", squares).drawing))
            assert pieces(paths) == pieces(wanted)


def pieces(paths: list[Any]) -> set[tuple[str, str]]:
    """Each square by itself, with its kind."""
    return {(kind, piece) for kind, path in paths for piece in re.findall(r"M[^M]+", path)}


def test_it_works_by_keyboard_alone(visit):
    seen = visit("vera")
    page = seen.go()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the gates"
    page.keyboard.press("Enter")
    for _ in range(3):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.className") == "opener":
            break
    assert page.evaluate("document.activeElement.getAttribute('aria-expanded')") == "false"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.getAttribute('aria-expanded')") == "true"
    page.locator(".inside:visible svg").first.wait_for()
    for _ in range(9):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.tagName") == "svg":
            break
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    readout = page.locator(".readout:visible")
    assert "nodes" not in readout.inner_text()
    assert re.match(r"tvmps_\w+_d · idle · read .+ ago", readout.inner_text())
    # What is drawn anew does not take the place away.
    with page.expect_response("**/gates"):
        pass
    page.wait_for_timeout(300)
    assert page.evaluate("document.activeElement.tagName") == "svg"


def test_everything_that_can_be_used_has_a_name_and_pictures_say_what_they_show(visit):
    seen = visit("vera")
    page = seen.go()
    seen.open("preview-eu")
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll('button, a, input, select, [role=img]')].filter(e =>
            !(e.textContent.trim() || e.getAttribute('aria-label') || e.labels?.length))
            .map(e => e.outerHTML)"""
    )
    assert unnamed == []
    assert page.locator("h1").count() == 1
    assert page.locator("#told").get_attribute("aria-live") == "polite"


def test_filters_narrow_the_list_and_stay_in_the_address(visit):
    seen = visit("vera")
    page = seen.go()
    page.locator("#dag_id").select_option("rendering_nightly")
    assert page.locator(".gate").count() == 4
    page.locator("#text").fill("grow asia")
    assert page.locator(".gate .name").all_inner_texts() == ["frames-asia"]
    page.locator("#text").fill("nowhere")
    page.get_by_role("button", name="Show all").click()
    assert page.locator(".gate").count() == 10
    page.locator("#pool").select_option("tile-1")
    page.reload()
    page.locator(".gate").first.wait_for()
    assert page.locator(".gate .name").all_inner_texts() == ["tile-1"]
    page = seen.go(f"?dag_id=rendering_nightly&run_id={quote(RUN)}&task_id=gate&map_index={{MAP_INDEX}}")
    page.locator(".inside:visible .links").wait_for()
    assert page.locator(".gate .name").all_inner_texts() == ["frames-eu"]
    page.get_by_role("button", name="Not only task gate").click()
    assert page.locator(".gate").count() == 4


def test_two_users_see_what_is_theirs(visit):
    pools = {}
    for user in ("vera", "otto", "nox", "ann"):
        page = visit(user).go()
        pools[user] = set(page.locator(".gate .name").all_text_contents())
    assert "frames-eu" in pools["vera"]
    assert pools["otto"] == {"reports"}
    assert pools["nox"] == set()
    assert pools["ann"] > pools["vera"] | pools["otto"]


def test_who_has_nothing_is_told_what_will_be_here(visit):
    page = visit("eve").go()
    assert page.locator("h2").inner_text() == "Nothing waits"
    assert page.get_by_role("link", name="batch_ephemeral_pool").get_attribute("href") == (
        f"{BELOW}/dags/batch_ephemeral_pool"
    )


def test_nobody_looks_is_said_and_comes_first(visit):
    page = visit("dora").go()
    assert set(page.locator(".badge").all_inner_texts()) == {"Silent", "Nobody looks"}
    assert "Nobody looks for 2 tasks that wait and 1 watched pool" in page.locator(".banner").inner_text()
    assert "Its triggerer is dead" in page.locator(".gate", has_text="lost").inner_text()
    assert "looks again" not in page.locator(".gate", has_text="lost").inner_text()
    assert re.search(
        r"looks again\s+\d+ min .*overdue", page.locator(".gate", has_text="silent").inner_text()
    )


def test_an_expired_session_says_so_and_goes_on_when_one_has_signed_in_again(visit, planted):
    seen = visit("vera")
    page = seen.go()
    page.context.clear_cookies()
    banner = page.get_by_role("alert")
    banner.wait_for()
    assert re.match(
        r"Your session has expired. What is shown is \d+ s old. Sign in again", banner.inner_text()
    )
    assert f"{BELOW}/api/v2/auth/login?next=" in str(banner.get_by_role("link").get_attribute("href"))
    assert page.locator("#pulse").inner_text().startswith("As of ")
    sign_in(page.context, planted, "vera")
    page.locator("#pulse", has_text="Live").wait_for(timeout=60_000)
    assert banner.count() == 0


def test_a_server_that_does_not_answer_is_said_so(visit):
    seen = visit("vera")
    page = seen.go()
    page.route("**/gates", lambda route: route.abort())
    page.get_by_role("alert").wait_for()
    assert page.get_by_role("alert").inner_text().startswith("Airflow does not answer. What is shown is")
    assert page.locator(".gate").count() == 10


def test_nothing_is_asked_while_nobody_looks(visit):
    seen = visit("vera")
    page = seen.go()
    with page.expect_response("**/gates"):
        pass
    page.evaluate(
        "Object.defineProperty(document, 'hidden', { configurable: true, get: () => true });"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    before = len(seen.asked)
    page.wait_for_timeout(11_000)
    assert seen.asked[before:] == []
    with page.expect_response("**/gates"):
        page.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")


def test_what_machines_and_users_wrote_is_text(visit):
    seen = visit("hans", width=700)
    page = seen.go()
    for opener in page.locator(".opener").all():
        opener.click()
    page.wait_for_timeout(1000)
    assert page.evaluate("window.ran") is None
    assert page.evaluate(_WIDE) == 0
    assert page.evaluate(_OVERFLOWING) == []
    assert page.locator("main").locator("script, iframe, img, object, embed, form").count() == 0
    text = page.locator("main").evaluate("main => main.innerText")
    assert "<script>window.ran=1</script>" in text
    assert not re.search("[\u202a-\u202e\u2066-\u2069]", text)
    assert "What this task wrote cannot be read" in text
    assert all(
        not str(link.get_attribute("href")).startswith("javascript") for link in page.locator("a").all()
    )
    assert {urlsplit(url).netloc for url in seen.asked} == {urlsplit(seen.url).netloc}
    assert seen.troubles == []


def test_scripts_of_others_would_not_run(visit):
    """The policy holds, whatever the page should do wrong one day."""
    page = visit("vera").go()
    tried = page.evaluate(
        """() => {
            const script = document.createElement('script');
            try { script.textContent = 'window.ran = 1'; document.body.append(script); } catch {}
            const html = '<img src=x onerror="window.ran=1">';
            try { document.body.insertAdjacentHTML('beforeend', html); } catch { return 'refused'; }
            return 'taken';
        }"""
    )
    page.wait_for_timeout(200)
    assert tried == "refused"
    assert page.evaluate("window.ran") is None


def test_inside_airflow_it_wears_airflows_dress_and_moves_airflows_page(visit):
    seen = visit("ann")
    frame = framed(seen, "plugin/batch-pools?dag_id=rendering_nightly")
    assert frame.locator(".gate").count() == 4
    page = seen.page
    page.evaluate("document.documentElement.className = 'dark'")
    frame.wait_for_function("document.documentElement.dataset.theme === 'dark'")
    page.evaluate("document.documentElement.className = 'light'")
    frame.wait_for_function("document.documentElement.dataset.theme === 'light'")
    frame.locator(".task a").first.click()
    page.wait_for_url(f"**/dags/rendering_nightly/runs/{quote(RUN, safe='')}/tasks/*")
    page.go_back()
    page.wait_for_url(re.compile("plugin/batch-pools"))
    frame = framed(seen, "plugin/batch-pools")
    frame.locator(".opener").first.click()
    with page.context.expect_page() as opened:
        frame.locator(".links a", has_text="portal").first.click()
    assert opened.value.url


def test_it_is_in_the_menu(visit):
    page = visit("ann").page
    page.goto(f"{visit('ann').url}/")
    page.get_by_role("button", name="Browse").click()
    page.get_by_text("Batch pools", exact=True).click()
    page.frame_locator("iframe").locator(".gate").first.wait_for()


@pytest.mark.parametrize(
    ("user", "ends"), [("ann", f"{BELOW}/plugin/batch-pools"), ("otto", f"{BELOW}/batchext/")]
)
def test_the_link_beside_a_task_leads_into_airflow_for_those_who_may(visit, user, ends):
    """FAB lets only some roles see the list of plugins: others have the page by itself."""
    seen = visit(user)
    run = quote(RUN, safe="")
    seen.page.goto(
        f"{seen.url}/batchext/?from=airflow&dag_id=otto_reports&run_id={run}&task_id=gate&map_index=-1"
    )
    seen.page.wait_for_url(f"**{ends}**")
    inner = seen.page.frame_locator("iframe") if user == "ann" else seen.page
    inner.locator(".inside .links").wait_for()
    assert inner.locator(".gate .name").all_inner_texts() == ["reports"]


def test_a_tab_where_that_was_asked_for_shows_what_belongs_there(visit):
    seen = visit("ann")
    frame = framed(seen, "dags/rendering_nightly/plugin/batch-pools-dag")
    assert frame.locator(".gate").count() == 4


def test_airflow_starts_with_any_settings_of_the_page(planted):
    """Three API servers, one after the other, would take long: the same one, started anew."""
    airflow = planted.airflow
    before = dict(airflow.environment)
    try:
        airflow.environment |= {
            "AIRFLOW__BATCHEXT__STATUS_PAGE": "perhaps",
            "AIRFLOW__BATCHEXT__STATUS_TABS": "<b>,,nav;",
        }
        airflow.stop_component("api-server", signal.SIGTERM)
        airflow.start_component("api-server")
        wait_until("the API server", planted._answers)
        headers = {"Authorization": f"Bearer {planted.token('ann')}"}
        plugins = httpx.get(f"{planted.url}/api/v2/plugins", headers=headers, timeout=60).json()["plugins"]
        assert [
            (one["external_views"], one["fastapi_apps"]) for one in plugins if one["name"] == "batchext"
        ] == [([], [])]
        assert (
            "batchext/page.js" not in httpx.get(f"{planted.url}/batchext/", headers=headers, timeout=60).text
        )
    finally:
        airflow.environment = before
        airflow.stop_component("api-server", signal.SIGTERM)
        airflow.start_component("api-server")
        wait_until("the API server", planted._answers)


def test_hostile_words_are_what_they_claim():
    assert "<script>" in HOSTILE
    assert "\u202e" in HOSTILE
