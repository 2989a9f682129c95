"""How tasks go: start tasks, tasks of jobs, and those that prepare nodes for a job."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from airflow_batchext.emulator.scenarios.rules import Model, OfNodes, Seconds, Turns, is_turn, like


class TaskFailure(Model):
    """Why a task fails beside its command, as the service words it."""

    code: str
    """Of the failure, such as ``DiskFull``."""
    message: str = ""
    """Its text."""
    values: dict[str, str] = Field(default_factory=dict)
    """Its details."""
    category: Literal["UserError", "ServerError"] = "UserError"
    """Whose fault it is."""


class StartTaskScenario(OfNodes):
    """What becomes of the start task of some nodes. The first rule that matches wins."""

    exit_code: int | None = 0
    """None: it never ends. Anything but 0 is a failure, tried again as often as the start task allows."""
    failure: TaskFailure | None = None
    """It fails before its command runs, so there is no exit code; it is tried again as often."""
    after: Seconds | None = None
    """How long one attempt runs; without it ``timings.start_task``."""


class TaskScenario(Model):
    """How some tasks run. The first rule that matches wins."""

    job: str = "*"
    """Pattern of job ids (``*`` and ``?``), case-insensitive."""
    task: str = "*"
    """Pattern of task ids."""
    exit_code: int | None = 0
    """None: it never ends. Anything but 0 is a failure, tried again as often as the task allows:
    at once, from the 101st time on after a second, or a hundredth of its age if that is longer."""
    failure: TaskFailure | None = None
    """It fails before its command runs, so there is no exit code, or, where ``exit_code`` is given, after
    that, while its files are uploaded. It is not tried again."""
    after: Seconds | None = None
    """How long one attempt runs; without it ``timings.task``."""
    attempts: Turns = "all"
    """``first``: only the first attempt, so that a retry helps. ``later``: only after that."""
    stdout: str = ""
    """What it writes to ``stdout.txt``."""
    stderr: str = ""
    """What it writes to ``stderr.txt``."""
    files: dict[str, str] = Field(default_factory=dict)
    """Its other files by path (``wd/out.json``), which are there once it has ended."""
    output_every: Annotated[float, Field(gt=0, le=10 * 365 * 86400)] | None = None
    """It writes both again each time so many seconds have passed; without it, once, at its start."""

    def matches(self, job: str, task: str, attempt: int) -> bool:
        """Whether this rule is about that attempt of that task.

        :param job: the job.
        :param task: the task.
        :param attempt: the number of the attempt; 0 is the first.
        """
        return is_turn(self.attempts, attempt) and like(job, self.job) and like(task, self.task)


class PreparationScenario(OfNodes):
    """How the preparation tasks of some jobs run on some nodes. The first rule that matches wins."""

    job: str = "*"
    """Pattern of job ids (``*`` and ``?``), case-insensitive."""
    exit_code: int | None = 0
    """None: it never ends. Anything but 0 is a failure, tried again as often as the task allows:
    at once, from the 101st time on after a second, or a hundredth of its age if that is longer."""
    failure: TaskFailure | None = None
    """It fails before its command runs, so there is no exit code. It is not tried again."""
    after: Seconds | None = None
    """How long one attempt runs; without it ``timings.preparation``."""
    attempts: Turns = "all"
    """``first``: only the first attempt, so that a retry helps. ``later``: only after that."""

    def covers(self, job: str, attempt: int) -> bool:
        """Whether this rule is about that attempt for that job.

        :param job: the job.
        :param attempt: the number of the attempt; 0 is the first.
        """
        return is_turn(self.attempts, attempt) and like(job, self.job)


class Run(Model):
    """How one attempt of a start task or a task goes. ``exit_code`` None: it never ends."""

    seconds: Seconds = 0.0
    exit_code: int | None = 0
    failure: TaskFailure | None = None
    stdout: str = ""
    stderr: str = ""
    files: dict[str, str] = Field(default_factory=dict)
    output_every: Seconds | None = None


def run_of(rule: StartTaskScenario | TaskScenario | PreparationScenario | None, usual: float) -> Run:
    """How an attempt goes as its command goes.

    :param rule: the one that is about it, if there is one.
    :param usual: how long it runs where that says nothing, in seconds.
    """
    if rule is None:
        return Run(seconds=usual)
    return Run(seconds=usual if rule.after is None else rule.after, exit_code=rule.exit_code)
