"""Operators that run work on a pool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow_batchext.concealment import conceal
from airflow_batchext.operators._base import PoolOperator
from airflow_batchext.parameters import (
    Check,
    check_count,
    check_flag,
    check_mapping,
    check_pause,
    check_pool_id,
    check_seconds,
    check_text,
    one_of,
    optional,
    settle,
    wrong,
)
from airflow_batchext.parameters.work import (
    NO_CHECK_OF_ANOTHERS,
    check_exit_codes,
    check_node_check,
    check_result,
    check_tasks,
)

if TYPE_CHECKING:
    from airflow_batchext.operators._steps.work import WorkSteps

DEFAULT_WORK_TIMEOUT_SECONDS = 24 * 60 * 60
DEFAULT_LOGS_INTERVAL_SECONDS = 60


class AzureBatchTaskOperator(PoolOperator):
    """Runs a command line on a node of a pool, as a task of Azure Batch, and waits for its end.

    It succeeds when Azure Batch says that the task has succeeded: exit code 0, and all of its output files
    uploaded. It fails when the task fails, is ended by somebody else, or is lost with its job or pool, and
    says why.

    **It runs the work once in each life of the task.** The Batch task has an id that every worker and every
    automatic retry comes to. A try that finds it running waits for it; one that finds that it has succeeded
    takes the success; only where it failed it is submitted again. A task that was cleared begins a new life:
    what still runs of the old one is ended first. All tasks of one DAG run and operator, mapped ones too,
    share a job, which is made when it is needed and ends with the last of them. (Azure Batch itself runs a
    task again whose node is lost: nobody can turn that off.)

    Where it waits in the triggerer, all that wait in one job look at it together.

    With ``tasks=`` it is one Airflow task that runs many Batch tasks: they are submitted by the hundred and
    waited for together, in one trigger. A retry runs only what has failed.

    Its XCom, also under the key ``batch_task`` when it has failed: ``pool_id, job_id, batch_task_id, result,
    exit_code, failure, node_id, started, ended, seconds, retries, requeues``; with ``tasks=``
    ``pool_id, job_ids, tasks, succeeded, failed, failures``, the first 20 of these by the ids of the tasks.

    :param pool_id: the pool (templated). Nothing is asked of it here: put a gate before it.
    :param command_line: what to run (templated). No shell reads it: for pipes, ``$VARIABLES`` and the like,
        write ``/bin/sh -c '…'``.
    :param tasks: many command lines instead of one (templated), each a Batch task of its own: texts, or dicts
        with ``command_line`` and, where wanted, ``id`` (of the DAG's author: 1 to 16 letters, digits and
        underscores), ``environment`` and ``task_document``, which are added to those of the operator. Up to
        10,000. A retry runs those alone that have failed; ``tasks`` has to be the same then.
    :param max_failed: how many of ``tasks`` may fail before the task does.
    :param result: what the XCom holds as ``value``: the "last_line" of stdout, that line read as "json", or a
        file in the task's folder, as "wd/out.json" (read as JSON where it is called so). Up to 64 KiB, and
        no secret; where it cannot be read, the task fails though the Batch task has succeeded.
    :param environment: environment variables, by name (templated); ``AIRFLOW_CTX_DAG_ID``, ``…_RUN_ID``,
        ``…_TASK_ID``, ``…_MAP_INDEX`` and ``…_TRY_NUMBER`` are added. A secret is refused: Azure shows them
        to every reader of the account.
    :param task_document: more members of the Batch task, in the spelling of the REST API (templated):
        ``resourceFiles``, ``outputFiles``, ``containerSettings``, ``userIdentity``, ``requiredSlots``,
        ``constraints``, …. A secret is refused here too; files are best reached by a managed identity.
    :param job_id: a job of your own to add it to (templated); it is made if it is not there, and never ended
        here. By default each run of the DAG has its own.
    :param requires_ready: look at the pool's gate once more before anything is submitted: every extension has
        to have succeeded on every node, as ``AzureBatchExtensionSensor`` has it by default. Where it is not
        open, it is waited for until ``timeout``, and where it cannot open, the task fails, in its words. What
        was submitted already is waited for in any case. Not for pools that grow with their tasks alone.
    :param node_check: a command line that has to succeed on a node before that is given any task of the job
        (templated): a text, a dict of members of a ``jobPreparationTask`` in the spelling of the REST API, or
        ``node_checks.certificate_check(…)`` or ``gpu_check()``. Azure Batch runs it on each node, also on one
        that comes later; where it fails the node gets no task of this job until it is reimaged. Where it has
        failed on all of them, the task fails. Not with ``job_id``.
    :param start_timeout: seconds (or a timedelta) within which it has to have started, or the first of
        ``tasks``, once it was submitted; else it is ended, and the task fails saying why nothing starts. By
        default it is waited for until ``timeout``.
    :param max_retries: how often Azure Batch itself tries it again after an exit code other than 0.
    :param skip_on_exit_code: exit codes after which the task is skipped.
    :param fail_on_exit_code: exit codes after which the task fails, and is not tried again.
    :param soft_fail: skip instead of failing.
    :param on_kill: "terminate" the Batch task when somebody ends this task, or "leave" it to the next try.
    :param on_finish: "keep" Batch tasks that have ended (Azure does so for a week, unless ``constraints`` say
        otherwise), "delete_succeeded", or "delete" them all, with their files, after their output and result
        were read. Of ``tasks`` none is deleted before the Airflow task has ended for good.
    :param logs: what of its output is written into the log, with what looks like a secret hidden: "stream",
        what it writes while it runs (1 MiB of stdout and of stderr) and the rest, or its end, when it has
        ended; "end", 64 KiB of the end of each then; or "none".
    :param logs_interval: seconds (or a timedelta) between two looks at what it writes, while it runs.
    :param azure_batchext_conn_id: Airflow connection to the Batch account (templated).
    :param poll_interval: seconds (or a timedelta) between looks; by default ``[batchext] poll_interval``.
    :param timeout: seconds (or a timedelta) until it ends the Batch task and fails; by default a day, and
        never more than ``execution_timeout``. Azure Batch is told of it, too, so that the Batch task ends
        whatever becomes of Airflow.
    :param deferrable: wait in the triggerer; by default the option ``[operators] default_deferrable``.
    :param end_from_trigger: with ``deferrable``, let a success end the task in the triggerer, so that no
        worker is started only to say it. Where a worker has something to do then, it does: for ``result``,
        ``on_finish``, ``outlets``, ``on_success_callback``, ``post_execute``, ``multiple_outputs`` and
        ``do_xcom_push=False``. Listeners (OpenLineage) hear nothing of such an end. Failures end on a worker.
    """

    template_fields: Sequence[str] = (
        "pool_id",
        "command_line",
        "tasks",
        "environment",
        "task_document",
        "job_id",
        "node_check",
        "azure_batchext_conn_id",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {
        "command_line": "bash",
        "tasks": "json",
        "environment": "json",
        "task_document": "json",
    }
    checks: ClassVar[Mapping[str, Check]] = {
        **PoolOperator.checks,
        "command_line": optional(check_text),
        "tasks": optional(check_tasks),
        "max_failed": check_count,
        "result": optional(check_result),
        "environment": optional(check_mapping),
        "task_document": optional(check_mapping),
        "job_id": optional(lambda name, value: check_pool_id(value, name, "job")),
        "max_retries": check_count,
        "soft_fail": check_flag,
        "requires_ready": check_flag,
        "on_finish": one_of("keep", "delete_succeeded", "delete"),
        "end_from_trigger": check_flag,
        "node_check": optional(check_node_check),
        "start_timeout": optional(check_seconds),
        "logs": one_of("stream", "end", "none"),
    }

    def __init__(
        self,
        *,
        pool_id: str,
        command_line: str | None = None,
        tasks: Sequence[str | Mapping[str, Any]] | None = None,
        max_failed: int = 0,
        result: str | None = None,
        environment: Mapping[str, Any] | None = None,
        task_document: Mapping[str, Any] | None = None,
        job_id: str | None = None,
        requires_ready: bool = False,
        node_check: str | Mapping[str, Any] | None = None,
        start_timeout: float | timedelta | None = None,
        max_retries: int = 0,
        skip_on_exit_code: int | Sequence[int] | None = None,
        fail_on_exit_code: int | Sequence[int] | None = None,
        soft_fail: bool = False,
        on_kill: Literal["terminate", "leave"] = "terminate",
        on_finish: Literal["keep", "delete_succeeded", "delete"] = "keep",
        logs: Literal["stream", "end", "none"] = "stream",
        logs_interval: float | timedelta = DEFAULT_LOGS_INTERVAL_SECONDS,
        timeout: float | timedelta = DEFAULT_WORK_TIMEOUT_SECONDS,
        end_from_trigger: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(pool_id=pool_id, timeout=timeout, **kwargs)
        if (command_line is None) is (tasks is None):
            raise wrong("Give command_line, or tasks for many: one of them.")
        self.command_line = command_line
        self.tasks = tasks
        if tasks is not None and result is not None:
            raise wrong("result is for command_line: of many tasks none is read.")
        self.max_failed = max_failed
        self.result = result
        self.environment = environment
        self.task_document = task_document
        self.job_id = job_id
        self.requires_ready = requires_ready
        self.node_check = node_check
        if job_id is not None and node_check is not None:
            raise wrong(NO_CHECK_OF_ANOTHERS)
        self.start_timeout: Any = start_timeout
        self.max_retries = max_retries
        self.skip_on_exit_code = check_exit_codes("skip_on_exit_code", skip_on_exit_code)
        self.fail_on_exit_code = check_exit_codes("fail_on_exit_code", fail_on_exit_code)
        self.soft_fail = soft_fail
        self.on_finish = on_finish
        self.logs = logs
        self.logs_interval = check_pause("logs_interval", logs_interval)
        self.end_from_trigger = end_from_trigger
        self.on_killed = one_of("terminate", "leave")("on_kill", on_kill)
        settle(self, self.checks, templated=self.template_fields)

    @property
    def environment(self) -> Any:
        """The variables as given or rendered, with what looks like a secret concealed."""
        return self._environment

    @environment.setter
    def environment(self, environment: Any) -> None:
        self._environment = conceal(environment) if isinstance(environment, Mapping) else environment

    @property
    def tasks(self) -> Any:
        """The tasks as given or rendered, with what looks like a secret concealed."""
        return self._tasks

    @tasks.setter
    def tasks(self, tasks: Any) -> None:
        self._tasks = list(map(_concealed, tasks)) if isinstance(tasks, (list, tuple)) else tasks

    @property
    def task_document(self) -> Any:
        """The members as given or rendered, with what looks like a secret concealed."""
        return self._task_document

    @task_document.setter
    def task_document(self, document: Any) -> None:
        self._task_document = conceal(document) if isinstance(document, Mapping) else document

    @property
    def node_check(self) -> Any:
        """The check as given or rendered, with what looks like a secret concealed."""
        return self._node_check

    @node_check.setter
    def node_check(self, check: Any) -> None:
        self._node_check = conceal(check) if isinstance(check, Mapping) else check

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """The pool on which it ran, for OpenLineage."""
        from airflow_batchext.assets import pool_lineage

        return pool_lineage(self)

    def _new_steps(self) -> WorkSteps:
        from airflow_batchext.operators._steps.task import RunTask
        from airflow_batchext.operators._steps.tasks import RunTasks

        return RunTask(self) if self.tasks is None else RunTasks(self)


def _concealed(item: Any) -> Any:
    """One of many tasks, with what looks like a secret in its environment and document concealed."""
    if not isinstance(item, Mapping):
        return item
    return {
        name: conceal(value) if isinstance(value, Mapping) and name != "command_line" else value
        for name, value in item.items()
    }
