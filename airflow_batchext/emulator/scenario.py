"""What will happen: durations, which extensions fail or hang, which pools do not get their nodes.

A scenario is data, so that a test, a demo and a user's file say it in the same words. It is read when
something is decided (a pool is created or resized, a node boots); what has been decided stays decided, and
changing the scenario changes what comes after. To change a node that lives already, use the account's
``set_extension``, ``preempt_node``, ``mark_node`` and so on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from airflow_batchext.emulator.faults import AnyFault, read_fault
from airflow_batchext.emulator.scenarios.answers import AccountSettings as AccountSettings
from airflow_batchext.emulator.scenarios.answers import Answers as Answers
from airflow_batchext.emulator.scenarios.answers import SignInSettings as SignInSettings
from airflow_batchext.emulator.scenarios.rules import Model, OfNodes, Seconds, in_one_line, like
from airflow_batchext.emulator.scenarios.tasks import PreparationScenario as PreparationScenario
from airflow_batchext.emulator.scenarios.tasks import Run as Run
from airflow_batchext.emulator.scenarios.tasks import StartTaskScenario as StartTaskScenario
from airflow_batchext.emulator.scenarios.tasks import TaskFailure as TaskFailure
from airflow_batchext.emulator.scenarios.tasks import TaskScenario as TaskScenario
from airflow_batchext.emulator.scenarios.tasks import run_of

Outcome = Literal["succeed", "fail", "hang"]

SYSTEM_EXTENSION = "batchNodeExtension"
"""Batch's own extension, which every node lists beside the ones that the pool asks for."""


class Timings(Model):
    """How long things take, in simulated seconds.

    Measured in recorded traffic of the real service, one node: ``allocation`` (124.2), ``settling`` (0.9),
    ``creating`` (10.6, twice), ``creating`` + ``starting`` together (20 to 43), ``agent`` (0.3 to 3.7),
    ``start_task`` and ``task`` (an ``echo``), ``scheduling``, ``stopping`` (5, once 51).
    ``empty_resize`` was 1.2 to 2.0 in 2025; in 2022 a pool of no nodes was still resizing after 16 s.
    ``allocation`` was 31 to 137 in 2025 and 2026, mostly 30 to 40; the default is that of 2023. ``reimaging``
    was recorded once, on Windows. ``reporting`` is a choice above a measured floor: four seconds after it was
    seen, a node of 2025 said nothing yet of its extensions, while one of 2023 had them all succeeded. The
    first boot of a Windows node took 121 to 516 (``starting``). A deletion with a node took 107 and 211;
    ``deletion`` is a shorter choice. All the others are choices.
    """

    allocation: Seconds = 124.0
    """From the start of a resize until the new nodes are visible."""
    settling: Seconds = 1.0
    """From the moment the nodes are visible until the pool is steady."""
    empty_resize: Seconds = 1.6
    """A resize that brings or removes no node."""
    creating: Seconds = 10.6
    """From the moment a node is visible until it is ``starting``."""
    starting: Seconds = 17.4
    """From ``starting`` to ``idle``, or to the start task."""
    agent: Seconds = 3.5
    """From the node agent's first report (``lastBootTime``) to the end of ``starting``, at most all of it."""
    reporting: Seconds = 8.0
    """From the moment a new machine is visible until it says anything of its extensions; before, each is
    ``Creating``, with an empty ``instanceView``."""
    start_task: Seconds = 0.1
    """How long one attempt of a start task runs, where no rule says otherwise."""
    extension: Seconds = 0.0
    """From the start of an extension until it succeeds or fails, where no rule says otherwise."""
    rebooting: Seconds = 30.0
    """From a reboot until the node is ``starting`` again."""
    reimaging: Seconds = 455.0
    """The same from a reimaging."""
    deallocating: Seconds = 30.0
    """From ``deallocating`` to ``deallocated``; one that is started is as much longer ``starting``."""
    stopping: Seconds = 5.0
    """From the stop of a resize until the pool is steady."""
    scheduling: Seconds = 0.8
    """From the moment a task has a node until it runs there."""
    task: Seconds = 0.5
    """How long one attempt of a task runs, where no rule says otherwise."""
    preparation: Seconds = 0.5
    """The same of a job's preparation task."""
    job_ending: Seconds = 0.4
    """From the termination of a job until it is ``completed``, and from its deletion until it is gone."""
    leaving: Seconds = 8.0
    """From ``leavingpool`` until the node is gone."""
    deletion: Seconds = 12.0
    """From the deletion of a pool until it is gone (at least as long as its nodes take to leave)."""


class ExtensionScenario(OfNodes):
    """What becomes of some extensions on some nodes of some pools. The first rule that matches wins."""

    extension: str = "*"
    """Pattern of extension names. Batch's own extension is only matched when it is named in full."""
    outcome: Outcome = "succeed"
    """``hang`` stays in ``ProvisioningState/transitioning`` until the next boot, or for ever."""
    after: Seconds | None = None
    """Seconds from the start of the extension (the node's appearing, or the success of what it comes after)
    until the outcome; without it ``timings.extension``."""
    code: str | None = None
    """For ``fail``: a whole status code, or the part after ``ProvisioningState/failed/``."""
    message: str | None = None
    """What the extension says then."""
    upgrade_after: Seconds | None = None
    """For ``succeed``: seconds from the success until an automatic upgrade sends it back to ``updating``."""
    upgrade_seconds: Seconds = 60.0
    """How long that upgrade takes; then it has succeeded again."""
    flap_every: Annotated[float, Field(gt=0, le=10 * 365 * 86400)] | None = None
    """Each time so many seconds have passed since the outcome, it goes back to ``transitioning``, or comes to
    the same outcome again."""
    gone_after: Seconds | None = None
    """Seconds from the start of the extension after which the node does not list it any more."""

    @model_validator(mode="after")
    def _code_is_for_failures(self) -> ExtensionScenario:
        if self.code is not None and self.outcome != "fail":
            raise ValueError("a code can be given only with the outcome 'fail'")
        if self.upgrade_after is not None and self.outcome != "succeed":
            raise ValueError("an upgrade can be given only with the outcome 'succeed'")
        if self.flap_every is not None and (self.outcome == "hang" or self.upgrade_after is not None):
            raise ValueError("what hangs or is upgraded does not flap")
        return self

    def covers(self, extension: str) -> bool:
        """Whether this rule is about that extension.

        :param extension: its name in the pool.
        """
        if extension == SYSTEM_EXTENSION:
            return self.extension.casefold() == SYSTEM_EXTENSION.casefold()
        return like(extension, self.extension)


_RESIZE_MESSAGES = {
    "AccountCoreQuotaReached": "The specified account has reached core quota",
    "AllocationTimedout": (
        "Desired number of dedicated nodes could not be allocated as the resize timeout was reached"
    ),
}


class ResizeError(Model):
    """Why a resize did not bring the nodes that were asked for, as the service words it.

    A code alone is enough: ``resize_error: AllocationTimedout``.
    """

    code: str = "AllocationFailed"
    """Of the error."""
    message: str = "Desired number of dedicated nodes could not be allocated"
    """Its text; of a code that is known, by default that of the service."""
    values: dict[str, str] = Field(default_factory=dict)
    """Its details."""

    @model_validator(mode="before")
    @classmethod
    def _from_a_code(cls, data: Any) -> Any:
        if isinstance(data, str):
            data = {"code": data}
        if isinstance(data, dict) and "message" not in data and data.get("code") in _RESIZE_MESSAGES:
            return {**data, "message": _RESIZE_MESSAGES[data["code"]]}
        return data


class PoolScenario(Model):
    """What becomes of the resizes of some pools. The first rule that matches wins."""

    pool: str = "*"
    """Pattern of pool names (``*`` and ``?``), case-insensitive."""
    resize_error: ResizeError | None = None
    """The pool becomes steady with this error."""
    nodes_allocated: int | None = Field(default=None, ge=0)
    """How many nodes it has then, dedicated ones first; without it none when the resize fails, else all."""
    steady_after: Seconds | None = None
    """Seconds from the start of the resize until the pool is steady; without it what ``timings`` say."""

    deleted_after: Seconds | None = None
    """Seconds from the creation of the pool until somebody else deletes it."""
    recreated_after: Seconds | None = None
    """Seconds from the creation until it is, from one moment to the next and once, another pool of the same
    name and definition."""

    @model_validator(mode="after")
    def _has_one_fate(self) -> PoolScenario:
        if self.deleted_after is not None and self.recreated_after is not None:
            raise ValueError("a pool is either deleted or re-created")
        return self

    def covers(self, pool: str) -> bool:
        """Whether this rule is about that pool.

        :param pool: the pool's name.
        """
        return like(pool, self.pool)


class ExtensionRun(Model):
    """What one extension does in one boot of one node, once it may start."""

    outcome: Outcome = "succeed"
    seconds: Seconds = 0.0
    code: str | None = None
    message: str | None = None
    upgrade_after: Seconds | None = None
    upgrade_seconds: Seconds = 0.0
    flap_every: Seconds | None = None
    gone_after: Seconds | None = None


class Scenario(Model):
    """Everything that will happen, in the order in which rules are tried."""

    timings: Timings = Field(default_factory=Timings)
    """How long things take."""
    extensions: list[ExtensionScenario] = Field(default_factory=list)
    """What becomes of extensions."""
    pools: list[PoolScenario] = Field(default_factory=list)
    """What becomes of resizes, and of pools."""
    start_tasks: list[StartTaskScenario] = Field(default_factory=list)
    """How start tasks run."""
    tasks: list[TaskScenario] = Field(default_factory=list)
    """How tasks run."""
    preparations: list[PreparationScenario] = Field(default_factory=list)
    """How the preparation tasks of jobs run."""
    answers: Answers = Field(default_factory=Answers)
    """What is answered where nobody knows how the service does."""
    account: AccountSettings = Field(default_factory=AccountSettings)
    """How the account is set."""
    sign_in: SignInSettings = Field(default_factory=SignInSettings)
    """How the sign-in is set."""
    faults: list[AnyFault] = Field(default_factory=list)
    """What becomes of single requests: delays, errors, answers that do not come."""

    @classmethod
    def load(cls, source: str | Path | Mapping[str, Any]) -> Scenario:
        """Read a scenario.

        :param source: a JSON or YAML file, or a mapping.
        :raises ValueError: in one line, if it is none.
        """
        if isinstance(source, Mapping):
            data: Any = dict(source)
        else:
            data = _read_file(Path(source), "the scenario")
        try:
            return cls.model_validate({} if data is None else data)
        except ValidationError as problem:
            where = "" if isinstance(source, Mapping) else f" {source}"
            raise ValueError(f"the scenario{where} is not valid: {in_one_line(problem)}") from None

    def extension_run(self, pool: str, index: int, node_id: str, extension: str, boot: int) -> ExtensionRun:
        """What an extension will do in one boot of a node.

        :param pool: the pool's name.
        :param index: the node's place in the order of allocation; 0 is the first.
        :param node_id: the node.
        :param extension: its name in the pool.
        :param boot: the number of the boot; 0 is the first.
        """
        for rule in self.extensions:
            if rule.covers(extension) and rule.matches(pool, index, node_id, boot):
                seconds = self.timings.extension if rule.after is None else rule.after
                what = {name: getattr(rule, name) for name in ExtensionRun.model_fields if name != "seconds"}
                return ExtensionRun(seconds=seconds, **what)
        if extension == SYSTEM_EXTENSION:
            return ExtensionRun()
        return ExtensionRun(seconds=self.timings.extension)

    def start_task_run(self, pool: str, index: int, node_id: str, boot: int) -> Run:
        """How an attempt of the start task goes in one boot of a node.

        :param pool: the pool's name.
        :param index: the node's place in the order of allocation; 0 is the first.
        :param node_id: the node.
        :param boot: the number of the boot; 0 is the first.
        """
        rules = (rule for rule in self.start_tasks if rule.matches(pool, index, node_id, boot))
        rule = next(rules, None)
        run = run_of(rule, self.timings.start_task)
        if rule is None or rule.failure is None:
            return run
        return Run(seconds=run.seconds, exit_code=1, failure=rule.failure)

    def task_run(self, job: str, task: str, attempt: int) -> Run:
        """How an attempt of a task goes.

        :param job: the job.
        :param task: the task.
        :param attempt: the number of the attempt; 0 is the first.
        """
        rules = (rule for rule in self.tasks if rule.matches(job, task, attempt))
        rule = next(rules, None)
        run = run_of(rule, self.timings.task)
        if rule is None:
            return run
        more: dict[str, Any] = {
            name: getattr(rule, name) for name in ("stdout", "stderr", "files", "output_every")
        }
        if rule.failure is not None:
            has_run = "exit_code" in rule.model_fields_set
            more |= {"failure": rule.failure, "exit_code": rule.exit_code if has_run else None}
        return run.model_copy(update=more)

    def preparation_run(self, job: str, pool: str, index: int, node_id: str, boot: int, attempt: int) -> Run:
        """How an attempt of a job's preparation task goes in one boot of a node.

        :param job: the job.
        :param pool: the pool's name.
        :param index: the node's place in the order of allocation; 0 is the first.
        :param node_id: the node.
        :param boot: the number of the boot; 0 is the first.
        :param attempt: the number of the attempt; 0 is the first.
        """
        for rule in self.preparations:
            if rule.covers(job, attempt) and rule.matches(pool, index, node_id, boot):
                run = run_of(rule, self.timings.preparation)
                if rule.failure is None:
                    return run
                return run.model_copy(update={"failure": rule.failure, "exit_code": None})
        return Run(seconds=self.timings.preparation)

    def resize_rule(self, pool: str) -> PoolScenario | None:
        """The rule for the resizes of a pool, if there is one.

        :param pool: the pool's name.
        """
        return next((rule for rule in self.pools if rule.covers(pool)), None)


def load_faults(path: str | Path) -> list[Any]:
    """Read a list of faults from a JSON or YAML file; ValueError in one line if it is bad."""
    data = _read_file(Path(path), "the faults")
    if not isinstance(data, list):
        raise ValueError(f"the file {path} must hold a list of faults")  # noqa: TRY004 - it is the user's data
    try:
        return [read_fault(item) for item in data]
    except ValueError as problem:
        raise ValueError(f"in {path}: {problem}") from None


def _read_file(path: Path, what: str) -> Any:
    try:
        text = path.read_text(encoding="utf-8")
        return json.loads(text) if path.suffix.lower() == ".json" else yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError) as problem:
        reason = " ".join(str(problem).split())
        raise ValueError(f"cannot read {what} {path}: {reason}") from None


def seconds(value: float) -> timedelta:
    """Turn the seconds of a scenario into a duration."""
    return timedelta(seconds=value)
