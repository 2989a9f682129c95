"""Until when work has to have started: ``start_timeout``, by the world's clock.

What has been given a node has started, also where it was taken away again; each try, and what has to be
submitted again, has the whole time.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.operators.task_world import play
from tests.operators.test_task_histories import ONE, SEVERAL, history

#: Of one and several, in the worker and the triggerer, two suffice each time.
CORNERS = pytest.mark.parametrize(
    ("deferrable", "work"),
    [
        (False, SEVERAL),
        (True, ONE),
        pytest.param(False, ONE, marks=pytest.mark.slow),
        pytest.param(True, SEVERAL, marks=pytest.mark.slow),
    ],
)
pytestmark = pytest.mark.usefixtures("signed_in")


@pytest.mark.parametrize("work", [SEVERAL, pytest.param(ONE, marks=pytest.mark.slow)])
def test_what_has_started_and_was_preempted_is_not_ended(azure: Any, work: Any) -> None:
    """Also where the triggerer that has seen it run is gone: it counts as a requeue."""
    one = history(deferrable=True, triggerers=[("pause", 3, False)], happenings=[(2, "preempt all")])
    assert play(azure, one, {**work, "start_timeout": 150}).outcomes == ["success"]


@CORNERS
def test_a_try_that_goes_on_with_an_earlier_ones_work_has_its_own_start_limit(
    azure: Any, deferrable: bool, work: Any
) -> None:
    """The first one's worker is lost after its POST, and then there are no nodes."""
    one = history(deferrable=deferrable, worker=("killed", 3, True), delay=0)
    one["tries"].append({**one["tries"][0], "worker": None, "happenings": [(0, "preempt all")]})
    played = play(azure, one, {**work, "start_timeout": 150})
    assert played.outcomes[:2] == ["lost", "failed"]
    assert {name[-3:] for name in played.ever} == {"-t1", "-t3"}, "the second has made none"


@CORNERS
@pytest.mark.parametrize("is_kept", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_what_is_submitted_again_has_the_whole_time(
    azure: Any, deferrable: bool, work: Any, is_kept: bool
) -> None:
    """Its job has ended by itself when it was added; nodes come ten minutes after that."""
    happenings = [(0, "preempt all"), (10, "strand")]
    one = history(deferrable=deferrable, happenings=happenings)
    played = play(azure, one, {**work, "start_timeout": 450 if is_kept else 200})
    assert played.outcomes[0] == ("success" if is_kept else "failed")


@pytest.mark.parametrize("start", [150, pytest.param(3000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("deferrable", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_of_many_what_had_ended_before_is_no_start(azure: Any, deferrable: bool, start: int) -> None:
    """One of three fails; its next try is given no node for ten minutes."""
    one = history(deferrable=deferrable)
    one["tries"].append({**one["tries"][0], "happenings": [(0, "preempt all")]})
    one["tries"][0]["exit_code"] = 3
    one["tries"][0]["good"] = "*n00000-*"
    one["ends_by_itself"] = "never"
    played = play(azure, one, {"tasks": ["/bin/true"] * 3, "start_timeout": start})
    assert played.outcomes[:2] == ["failed", "success" if start == 3000 else "failed"]
