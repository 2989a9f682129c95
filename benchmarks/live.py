"""What the live page costs in the triggerer: gates that tell it what they see, beside the same that do not.

As in *triggerer*: gates that wait on pools of ten nodes, of which one hangs; each looks every 30 seconds.
Both run at the same time, each in a process of its own, against one emulator. What is written goes the whole
way through Airflow's SDK to the bytes that its triggerer is sent; Airflow and its database are not there: a
write keeps them busy for 15 to 30 milliseconds (seen with SQLite), in processes of their own.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from statistics import mean
from types import SimpleNamespace
from typing import Any

from benchmarks import triggerer
from benchmarks.machine import emulator_process, markdown

GATES = 200
#: As long as a gate is silent at most, so that each writes once.
SECONDS = 180.0
ROUNDS = 2
_ANSWERED_AFTER_SECONDS = 0.02


class Channel:
    """Stands for the way from a trigger to Airflow: everything is made as it is sent, and then dropped."""

    _thread_lock = None

    def __init__(self) -> None:
        self.writes = self.bytes = 0

    async def asend(self, message: Any) -> Any:
        """Make the bytes; answer after a while."""
        from airflow.sdk.execution_time.comms import SetXCom, XComResult, _RequestFrame

        sent = _RequestFrame(id=1, body=message.model_dump()).as_bytes()
        await asyncio.sleep(_ANSWERED_AFTER_SECONDS)
        if isinstance(message, SetXCom):
            self.writes += 1
            self.bytes += len(sent)
            return None
        return XComResult(key=getattr(message, "key", ""), value=None)


async def wait(pools: list[str]) -> dict[str, float]:
    """Let gates wait that have a task each, and say what a minute of that took."""
    from airflow.sdk.execution_time import task_runner

    channel = Channel()
    task_runner.SUPERVISOR_COMMS = channel  # type: ignore[attr-defined]
    plain = triggerer.triggers

    def with_tasks(way: str, names: list[str]) -> list[Any]:
        found = plain(way, names)
        for number, trigger in enumerate(found):
            trigger.task_instance = SimpleNamespace(
                dag_id="bench", task_id=f"gate{number}", run_id="r", map_index=-1
            )
        return found

    triggerer.triggers, triggerer.SECONDS = with_tasks, SECONDS
    result = await triggerer.wait("ours", pools)
    return {**result, "writes": float(channel.writes), "bytes": channel.bytes / max(1, channel.writes)}


def measured(pools: Sequence[str]) -> dict[str, list[dict[str, float]]]:
    """What both have cost, round by round, by whether the page is on."""
    found: dict[str, list[dict[str, float]]] = {"False": [], "True": []}
    for _ in range(ROUNDS):
        running = {
            page: subprocess.Popen(
                [sys.executable, "-m", "benchmarks.live"],
                env={**os.environ, "AIRFLOW__BATCHEXT__STATUS_PAGE": page},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for page in found
        }
        for process in running.values():
            process.stdin.write(json.dumps(pools))  # type: ignore[union-attr]
            process.stdin.close()  # type: ignore[union-attr]
        for page, process in running.items():
            found[page].append(json.loads(process.stdout.read().splitlines()[-1]))  # type: ignore[union-attr]
            process.wait()
    return found


def told(history: str, pools: Sequence[str]) -> list[tuple[str, ...]]:
    """Two lines of the table."""
    found = measured(pools)
    cost = {
        page: mean(each["cpu"] / each["looks"] * 1000 for each in rounds) for page, rounds in found.items()
    }
    lines = []
    for page, rounds in found.items():
        more = cost[page] / cost["False"] - 1
        lines.append(
            (
                f"{history}: page {'on' if page == 'True' else 'off'}",
                f"{len(pools)} on {len(set(pools))}",
                f"{mean(each['reads'] for each in rounds):,.0f}",
                f"{mean(each['writes'] for each in rounds):,.0f}",
                f"{mean(each['bytes'] for each in rounds) / 1000:.1f}",
                f"{mean(each['cpu'] for each in rounds):.2f}",
                f"{cost[page]:.2f}",
                "" if page == "False" else f"{more:+.0%}",
                f"{max(each['stall'] for each in rounds):.0f}",
            )
        )
    return lines


HEAD = (
    *("", "gates on pools", "reads/min", "writes", "kB/write"),
    *("CPU s/min", "CPU ms/look", "more", "stall ms"),
)


def report() -> str:
    """Measure and tell."""
    one = [f"one-{i}" for i in range(GATES)]
    with emulator_process(triggerer.SCENARIO) as info:
        triggerer.connect(info)
        triggerer.make_pools(info, one)
        return markdown(HEAD, [*told("one hangs", one), *told("one hangs", one[:1] * GATES)])


if __name__ == "__main__":
    print(json.dumps(asyncio.run(wait(json.load(sys.stdin)))))
