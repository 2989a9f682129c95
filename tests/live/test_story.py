"""What a wait tells of itself over its looks, and over the processes that make them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_batchext.live.bounds import MOST_CHANGES, MOST_POINTS
from airflow_batchext.live.form import (
    Change,
    Counts,
    Field,
    Link,
    Picture,
    Point,
    RepairSaid,
    Snapshot,
    WorkSaid,
)
from airflow_batchext.live.story import Story, continued, remembered
from airflow_batchext.rules.told import ALSO, LIKELIEST, THE_REST

ABOUT = Snapshot("gate", "p", started=1_000.0)


def sees(story: Story, at: float, summary: str, ready: int = 0, failed: int = 0) -> bool:
    story.sees(summary, (summary,), at=at, counts=(ready, failed))
    return story.waits(at, 30.0)


def test_only_what_is_new_is_a_change():
    story = Story(ABOUT)
    assert sees(story, 1_000.0, "resizing")
    assert not sees(story, 1_030.0, "resizing")
    assert sees(story, 1_060.0, "1 of 3", 1)
    assert not sees(story, 1_090.0, "1 of 3", 1)
    assert sees(story, 1_120.0, "1 of 3", 1, failed=1), "though it reads the same"
    found = story.snapshot()
    assert found.history == (Change(1_000.0, "resizing"), Change(1_060.0, "1 of 3"))
    assert found.points == (Point(1_000.0, 0), Point(1_060.0, 1), Point(1_120.0, 1, 1))
    assert (found.looked, found.next_look, found.summary) == (1_120.0, 1_150.0, "1 of 3")


def test_what_a_look_does_not_tell_stays_as_it_was():
    story = Story(ABOUT)
    story.sees("resizing", (), at=1_000.0, extensions=("agent",))
    story.sees("", (), at=1_030.0)
    story.sees_repair(None)
    story.knows(account="contoso", portal="")
    found = story.snapshot()
    assert (found.extensions, found.repair, found.links) == (("agent",), None, ())
    assert found.history == (Change(1_000.0, "resizing"),), "nothing is no change"


def test_other_words_or_other_work_are_a_change_of_the_same_counts():
    story = Story(ABOUT)
    assert sees(story, 1_000.0, "1 of 3", 1)
    assert sees(story, 1_030.0, "1 of 3; a node is rebooting", 1)
    story.sees_work(WorkSaid(("j",), waiting=2))
    assert sees(story, 1_060.0, "1 of 3; a node is rebooting", 1)
    story.sees_work(WorkSaid(("j",), waiting=2))
    assert not sees(story, 1_090.0, "1 of 3; a node is rebooting", 1)


def test_who_ends_well_has_no_reasons_and_who_says_nothing_keeps_the_last_word():
    story = Story(ABOUT)
    sees(story, 1_000.0, "2 of 2 nodes ready", 2)
    story.ends("done", "", 1_010.0)
    assert (story.snapshot().reasons, story.snapshot().summary) == ((), "2 of 2 nodes ready")


def test_what_is_kept_has_an_end():
    story = Story(ABOUT)
    for number in range(1_000):
        sees(story, 1_000.0 + number, f"{number} of 1000", number)
    found = story.snapshot()
    assert [change.text for change in found.history] == [
        f"{number} of 1000" for number in range(1_000 - MOST_CHANGES, 1_000)
    ]
    assert len(found.points) <= MOST_POINTS
    assert found.points[-1] == Point(1_999.0, 999)
    assert [point.at for point in found.points] == sorted(point.at for point in found.points)
    assert found.points[0].ready < 300, "of the beginning, too"


def test_work_behind_a_gate_is_a_story_of_its_own():
    gate = Story(ABOUT)
    sees(gate, 1_000.0, "1 of 3", 1)
    work = Story(replace(ABOUT, kind="work"))
    assert sees(work, 1_060.0, "of 3 tasks 3 waiting for a node")
    assert continued(work.snapshot(), gate.snapshot(), at=1_060.0) == work.snapshot()


def test_the_picture_is_drawn_when_it_is_needed():
    drawn = []

    def draw() -> Picture:
        drawn.append(1)
        return Picture(Counts(ready=3))

    story = Story(ABOUT)
    for number in range(10):
        story.sees("x", (), at=float(number), draw=draw)
        story.waits(float(number), 1.0)
    assert drawn == []
    assert story.snapshot().picture.counts.ready == 3


def test_while_nothing_is_read_the_last_picture_holds_and_grows_older():
    story = Story(ABOUT)
    drawn = Picture(Counts(2, 1), (Field("", "pr"),), (None, 5))
    story.sees("1 of 2", (), at=1_000.0, draw=lambda: drawn, counts=(1, 0))
    story.sees("the pool could not be read", (), at=1_090.0)
    found = story.snapshot()
    assert found.picture == replace(drawn, ages=(None, 95))
    assert found.points == (Point(1_000.0, 1),), "nothing was counted"
    assert found.looked == 1_090.0


def test_an_end_has_its_causes_apart_and_no_next_look():
    story = Story(ABOUT)
    sees(story, 1_000.0, "1 of 2; node n failed")
    text = f"node n failed{LIKELIEST}This. Do so.{ALSO}Or that. Do this.{THE_REST}batchext diagnose p"
    story.ends("failed", text, 1_010.0)
    found = story.snapshot()
    assert (found.outcome, found.summary, found.next_look, found.stale_at) == (
        "failed",
        "node n failed",
        None,
        None,
    )
    assert found.reasons == ("1 of 2; node n failed",)
    assert found.causes == ("This. Do so.", "Or that. Do this.")
    assert found.more == "batchext diagnose p"
    assert found.history[-1] == Change(1_010.0, "node n failed")


def test_who_ends_before_any_look_says_why():
    story = Story(ABOUT)
    story.ends("refused", "no such connection", 1_001.0)
    found = story.snapshot()
    assert (found.summary, found.reasons, found.looked) == (
        "no such connection",
        ("no such connection",),
        None,
    )


LATER = 5_000.0
EARLIER = replace(
    ABOUT,
    looked=1_030.0,
    rules="all of it",
    picture=Picture(Counts(2, 1), (Field("", "pr"),), (1, 2)),
    history=(Change(1_000.0, "a"), Change(1_030.0, "b")),
    points=(Point(1_000.0, 0), Point(1_030.0, 1)),
    repair=RepairSaid("rebooted"),
    account="contoso",
    links=(Link("x", "https://host.example/"),),
)


def test_the_next_process_goes_on_with_what_was_told():
    now = replace(
        ABOUT,
        looked=1_060.0,
        history=(Change(1_030.0, "b"), Change(1_060.0, "c")),
        points=(Point(1_060.0, 2),),
    )
    found = continued(now, EARLIER, at=LATER)
    assert [change.text for change in found.history] == ["a", "b", "c"]
    assert [point.ready for point in found.points] == [0, 1, 2]
    assert found.looked == 1_060.0
    assert (found.picture, found.repair, found.account, found.links) == (
        EARLIER.picture,
        EARLIER.repair,
        "contoso",
        EARLIER.links,
    )


def test_what_the_next_process_finds_as_it_was_left_is_no_change():
    now = replace(
        ABOUT,
        looked=1_060.0,
        history=(*EARLIER.history, Change(1_060.0, "b"), Change(1_090.0, "c")),
        points=(*EARLIER.points, Point(1_060.0, 1), Point(1_090.0, 2)),
    )
    found = continued(now, EARLIER, at=LATER)
    assert found.history == (*EARLIER.history, Change(1_090.0, "c"))
    assert found.points == (*EARLIER.points, Point(1_090.0, 2))


def test_what_the_next_process_does_not_know_is_what_was_told():
    told = replace(
        EARLIER,
        deadline=2_000.0,
        reasons=("node n is starting",),
        extensions=("agent",),
        work=WorkSaid(("j",)),
    )
    found = continued(replace(ABOUT, outcome="timeout"), told, at=LATER)
    assert (found.deadline, found.looked, found.reasons) == (2_000.0, 1_030.0, ("node n is starting",))
    assert (found.extensions, found.work) == (("agent",), WorkSaid(("j",)))
    assert continued(replace(ABOUT, outcome="done"), told, at=LATER).reasons == ()


def test_who_has_not_looked_yet_tells_nothing_older_than_what_is_there():
    assert continued(replace(ABOUT, looked=1_010.0), EARLIER, at=LATER) == EARLIER
    assert continued(replace(ABOUT, looked=1_010.0, outcome="failed"), EARLIER, at=LATER).outcome == "failed"


def test_of_the_same_wait_the_earlier_process_knows_the_beginning():
    now = replace(ABOUT, started=1_500.0, looked=1_500.0)
    assert continued(now, EARLIER, at=LATER) == now
    found = continued(now, EARLIER, at=LATER, is_same=True)
    assert (found.started, found.rules, found.account) == (1_000.0, "all of it", "contoso")


def test_over_many_processes_too_what_is_kept_has_an_end():
    found = ABOUT
    for number in range(300):
        change, point = Change(2_000.0 + number, str(number)), Point(2_000.0 + number, number)
        now = replace(ABOUT, looked=2_000.0 + number, history=(change,), points=(point,))
        found = continued(now, found, at=LATER)
    assert len(found.history) == MOST_CHANGES
    assert found.history[-1].text == "299"
    assert len(found.points) <= MOST_POINTS


def test_who_does_not_know_the_beginning_takes_it_over():
    now = Snapshot("resize", "p", outcome="failed", summary="trigger gone", reasons=("trigger gone",))
    found = continued(now, EARLIER, at=LATER)
    assert (found.kind, found.rules, found.started, found.outcome) == ("gate", "all of it", 1_000.0, "failed")
    assert found.reasons == ("trigger gone",)


def test_what_is_of_another_wait_is_left():
    for other in (
        None,
        replace(EARLIER, pool="q"),
        replace(EARLIER, started=500.0),
        replace(EARLIER, started=None),
    ):
        assert continued(ABOUT, other, at=LATER) == ABOUT
    assert continued(replace(ABOUT, started=1_000.4), EARLIER, at=LATER).history == EARLIER.history


#: What users can make of it, or a triggerer whose clock is a year ahead; the rest of it is as it was.
SPOILT = {
    "looked": replace(EARLIER, looked=99_999_999_999.0),
    "a year ahead": replace(EARLIER, looked=LATER + 31_536_000, stale_at=LATER + 31_536_500),
    "no end": replace(EARLIER, looked=LATER + 3_600, next_look=None, stale_at=None),
    "points": replace(EARLIER, looked=1e11, points=(*EARLIER.points, Point(LATER + 86_400, 7))),
    "history": replace(EARLIER, looked=1e11, history=(*EARLIER.history, Change(1e11, "well"))),
}


@pytest.mark.parametrize("spoilt", SPOILT.values(), ids=SPOILT)
@pytest.mark.parametrize("go_on", [continued, remembered])
def test_what_was_told_later_than_now_stops_nothing(go_on, spoilt):
    now = replace(
        ABOUT,
        looked=LATER,
        next_look=LATER + 30,
        stale_at=LATER + 300,
        summary="c",
        points=(Point(LATER, 2),),
    )
    found = go_on(now, spoilt, at=LATER)
    assert (found.looked, found.next_look, found.stale_at, found.summary) == (
        LATER,
        LATER + 30,
        LATER + 300,
        "c",
    )
    assert found.history == EARLIER.history
    assert found.points == (*EARLIER.points, Point(LATER, 2))


def test_clocks_of_two_machines_may_differ_a_little():
    ahead = replace(EARLIER, looked=LATER + 2, points=(Point(LATER + 2, 1),))
    assert continued(replace(ABOUT, looked=1_010.0), ahead, at=LATER) == ahead
    assert continued(replace(ABOUT, looked=LATER + 3), ahead, at=LATER + 3).looked == LATER + 3


WATCHING = replace(ABOUT, kind="events", started=4_000.0, looked=4_500.0, rules="events of pool p: lost")


@pytest.mark.parametrize(
    "edited",
    [
        {"kind": "create"},
        {"rules": "for nothing"},
        {"work": WorkSaid(("j",), waiting=2)},
        {"repair": RepairSaid("rebooted")},
        {"deadline": 9_000.0},
        {"outcome": "done"},
        {"looked": 4_800.0, "stale_at": None, "summary": "2 of 2 ready"},
        {"links": (Link("x", "https://elsewhere.example/"),)},
        {"account": "contoso"},
        {"reasons": ("none",), "extensions": ("none",)},
        {"picture": Picture(Counts(9, 9), (Field("", "r" * 9),), (1,) * 9)},
        {"causes": ("none",), "more": "rm", "capped": ("none",), "mode": "poke"},
    ],
    ids=str,
)
def test_of_what_a_watcher_has_left_only_its_past_is_taken(edited):
    """Users may edit the state of an asset, and a watcher never ends."""
    left = replace(WATCHING, started=1_000.0, looked=1_030.0, history=EARLIER.history, points=EARLIER.points)
    found = remembered(WATCHING, replace(left, **edited), at=LATER)
    past = {"started": 1_000.0, "history": EARLIER.history, "points": EARLIER.points}
    assert found == replace(WATCHING, **past)


def test_a_watcher_began_when_the_first_one_did():
    for told, found in ((1_000.0, 1_000.0), (None, 4_000.0), (9_000.0, 4_000.0)):
        assert remembered(WATCHING, replace(WATCHING, started=told), at=LATER).started == found
    for other in (None, replace(WATCHING, pool="q", started=1_000.0)):
        assert remembered(WATCHING, other, at=LATER) == WATCHING
