"""The end of a task waits until the line that says why is read; all that end together wait together."""

from __future__ import annotations

import asyncio

import pytest

from airflow_batchext.triggers import _logged
from airflow_batchext.triggers._logged import logged


class Supervisor:
    """Reads what was logged, 4 KiB each time that it answers, as Airflow's does."""

    def __init__(self) -> None:
        self.written = self.read = self.answers = 0

    def log(self, text: str) -> int:
        self.written += len(text.encode())
        return self.written

    async def answer(self) -> None:
        await asyncio.sleep(0)
        self.answers += 1
        self.read = min(self.written, self.read + 4096)


@pytest.fixture
def supervisor(monkeypatch):
    found = Supervisor()
    monkeypatch.setattr(_logged, "_ask", found.answer)
    return found


async def end(supervisor: Supervisor, text: str) -> bool:
    """Log, and wait as a trigger does; whether it was read then, in its turn."""
    end = supervisor.log(text)
    await logged()
    return supervisor.read >= end


@pytest.mark.parametrize("size", [10, 5000, 60_000])
def test_all_is_read_when_the_end_is_told(supervisor, size):
    supervisor.log("x" * 140_000)  # of others
    assert asyncio.run(end(supervisor, "x" * size))


def test_many_that_end_together_wait_together(supervisor):
    async def ends():
        return await asyncio.gather(*(end(supervisor, "x" * 3000) for _ in range(60)))

    assert set(asyncio.run(ends())) == {True}
    assert supervisor.answers <= 2 * 52, "not for each of them anew"


def test_nobody_waits_for_a_supervisor_that_does_not_answer(monkeypatch):
    async def never():
        await asyncio.sleep(3600)

    monkeypatch.setattr(_logged, "_ask", never)
    monkeypatch.setattr(_logged, "_LONGEST_SECONDS", 0.05)
    asyncio.run(logged())


def test_outside_of_a_triggerer_there_is_nobody_to_ask():
    asyncio.run(logged())
