"""What happens to the bed during the main run: a seed's list of blows, and a thread that deals them.

When they come does not go by the clock but by how far the run is, so that a slow machine has as many of them
in the middle of things as a quick one.

A process is killed with all that it has started, as when a machine is lost; another one takes its place some
seconds later, as a supervisor (systemd, Kubernetes) would see to it.
"""

from __future__ import annotations

import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

if TYPE_CHECKING:
    from tests.distributed.bed import Bed

What = Literal["triggerer", "worker", "scheduler", "postgres", "redis"]
#: How often each thing happens in one run.
HOW_OFTEN: dict[What, int] = {"triggerer": 3, "worker": 3, "scheduler": 2, "postgres": 1, "redis": 1}


@dataclass(frozen=True)
class Blow:
    """One thing that happens.

    :param at: how far the run is then, from 0 to 1.
    :param target: the name of the component, or of the service.
    :param back_after: seconds until it is started again.
    """

    at: float
    what: What
    target: str
    back_after: float


def blows(seed: int) -> list[Blow]:
    """The seed's blows, in order; always the same ones."""
    draw = random.Random(f"chaos {seed}")
    drawn = [
        Blow(
            at=round(draw.uniform(0.05, 0.9), 2),
            what=what,
            target=what if what in ("postgres", "redis") else f"{what}-{draw.randint(1, 2)}",
            back_after=round(draw.uniform(0, 8), 1),
        )
        for what, count in HOW_OFTEN.items()
        for _ in range(count)
    ]
    return sorted(drawn, key=lambda blow: blow.at)


class Chaos:
    """Deals the blows; use it in a ``with`` block, at whose end everything is up again.

    :param progress: says how far the run is, from 0 to 1.
    """

    def __init__(self, bed: Bed, todo: Sequence[Blow], progress: Callable[[], float]) -> None:
        self.dealt: Counter[What] = Counter()
        self._bed = bed
        self._todo = todo
        self._progress = progress
        self._ending = threading.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="chaos")

    def __enter__(self) -> Self:
        self._raging = self._thread.submit(self._rage)
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._raging.result()
        self._thread.shutdown()

    def works(self) -> bool:
        """True; or raise an error, if it has died of one."""
        error = self._raging.exception() if self._raging.done() else None
        if error is not None:
            raise RuntimeError("the blows have come to an end too soon") from error
        return True

    def _rage(self) -> None:
        todo, back = list(self._todo), list[tuple[float, str]]()
        while todo or back:
            now, ending = time.monotonic(), self._ending.is_set()
            for due in [item for item in back if item[0] <= now or ending]:
                back.remove(due)
                self._bed.bring_back(due[1])
            if ending:
                return
            if todo and todo[0].at <= self._progress():
                blow = todo.pop(0)
                if self._bed.knock_down(blow.target, signal.SIGKILL):
                    self.dealt[blow.what] += 1
                    back.append((now + blow.back_after, blow.target))
            time.sleep(0.1)
