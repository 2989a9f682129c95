"""What the operators on pools have in common: parameters. What they do on the worker is in ``_steps``."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NoReturn, Protocol

from airflow.providers.common.compat.sdk import AirflowTaskTimeout, BaseOperator, conf

from airflow_batchext.concealment import conceal, written
from airflow_batchext.defaults import DEFAULT_CONN_ID, TRIGGER_FAILED
from airflow_batchext.exceptions import ExecutionTimeoutError, ParameterError, without_insides
from airflow_batchext.links import AzureBatchLiveLink, AzureBatchPoolLink
from airflow_batchext.parameters import (
    Check,
    check_flag,
    check_pause,
    check_seconds,
    check_text,
    path_text,
    pool_id_of,
    settle,
)
from airflow_batchext.secrets.references import malformed_references
from airflow_batchext.templating import TemplatedTexts

if TYPE_CHECKING:
    from airflow.sdk import BaseOperatorLink, Context

DEFAULT_TIMEOUT_SECONDS = 30 * 60


class Steps(Protocol):
    """What one run of an operator does, until it ends or defers itself."""

    def begin(self, context: Context) -> dict[str, Any]:
        """Do it; return the operator's XCom."""

    def go_on(self, context: Context, event: Mapping[str, Any]) -> dict[str, Any]:
        """Go on as the trigger's event says; return the operator's XCom."""

    def give_up(self, context: Context, failure: Mapping[str, Any]) -> NoReturn:
        """End as the trigger has failed: clean up as after any failure, and say why."""

    def on_kill(self) -> None:
        """Clean up, as a user has ended the task."""


class PoolOperator(TemplatedTexts, BaseOperator):
    """Base of the operators on pools.

    :param pool_id: the pool (templated).
    :param azure_batchext_conn_id: Airflow connection to the Batch account (templated).
    :param poll_interval: seconds (or a timedelta) between looks; by default ``[batchext] poll_interval``.
    :param timeout: seconds (or a timedelta) until it gives up waiting; by default half an hour.
        ``execution_timeout``, where it is shorter, ends it too: both count from the start of the try.
    :param deferrable: wait in the triggerer; by default the option ``[operators] default_deferrable``.
    """

    template_fields: Sequence[str] = ("pool_id", "azure_batchext_conn_id")
    operator_extra_links: Sequence[BaseOperatorLink] = (AzureBatchLiveLink(), AzureBatchPoolLink())
    ui_color = "#d6e9f8"
    #: What a success makes of the pool, for OpenLineage, where it comes or goes.
    lineage_change: Literal["", "CREATE", "OVERWRITE", "DROP"] = ""
    #: How its parameters are checked: when it is constructed, and where they are templates, when it runs.
    checks: ClassVar[Mapping[str, Check]] = {
        "pool_id": pool_id_of,
        "azure_batchext_conn_id": check_text,
        "deferrable": check_flag,
    }

    def __init__(
        self,
        *,
        pool_id: str | None,
        azure_batchext_conn_id: str = DEFAULT_CONN_ID,
        poll_interval: float | timedelta | None = None,
        timeout: float | timedelta = DEFAULT_TIMEOUT_SECONDS,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if poll_interval is None:
            poll_interval = conf.getfloat("batchext", "poll_interval", fallback=30.0)
        self.pool_id = pool_id
        self.azure_batchext_conn_id = azure_batchext_conn_id
        self.poll_interval = check_pause("poll_interval", poll_interval)
        self.timeout = check_seconds("timeout", timeout)
        self.deferrable = deferrable
        self._steps: Steps | None = None
        settle(self, self.checks, templated=self.template_fields)

    @without_insides
    def execute(self, context: Context) -> dict[str, Any]:
        """Do it, step by step.

        :raises ParameterError: if a template was rendered to what cannot be used.
        :raises PoolDocumentError: if the document, where one is given, has errors; nothing was sent then.
        :raises PoolConflictError: if the pool that exists is not one to do this with.
        :raises PoolResizeError: if it did not get its nodes.
        :raises PoolTimeoutError: if it was not so far at the deadline.
        :raises ExecutionTimeoutError: if it was not so far when ``execution_timeout`` passed.
        :raises ServiceError: if Azure refuses.
        """
        with self._timely():
            settle(self, self.checks)
            self._steps = self._new_steps()
            return self._told(context or {}, self._steps.begin(context or {}))

    @without_insides
    def execute_complete(self, context: Context, event: Mapping[str, Any]) -> dict[str, Any]:
        """Go on as the trigger's event says."""
        with self._timely():
            settle(self, self.checks)
            self._steps = self._new_steps()
            return self._told(context or {}, self._steps.go_on(context or {}, event))

    @without_insides
    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Go on after the trigger; where that has failed, say why, and clean up as after any failure.

        :raises TriggerFailedError: if the triggerer could not wait.
        """
        if next_method != TRIGGER_FAILED:
            return super().resume_execution(next_method, next_kwargs, context)
        with self._timely():
            settle(self, self.checks)
            self._steps = self._new_steps()
            return self._steps.give_up(context or {}, next_kwargs or {})

    def _told(self, context: Context, result: dict[str, Any]) -> dict[str, Any]:
        """The result; the pool's id is an XCom of its own, too, as ``output["pool_id"]`` is another key."""
        ti = context.get("ti")
        if ti is not None and hasattr(ti, "xcom_push"):
            ti.xcom_push(key="pool_id", value=result["pool_id"])
        return result

    @contextmanager
    def _timely(self) -> Iterator[None]:
        """Name the limit where Airflow's alarm rings before anything is waited for."""
        try:
            yield
        except ExecutionTimeoutError:
            raise
        except AirflowTaskTimeout:
            from airflow_batchext.rules.deadline import limit_of

            allowed = limit_of(float("inf"), self.execution_timeout)
            text = f"Pool {self.pool_id or 'of the document'}: nothing was seen of it within {allowed}"
            raise ExecutionTimeoutError(text) from None

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """The pool that it has made, changed or deleted, for OpenLineage."""
        from airflow_batchext.assets import pool_lineage

        return pool_lineage(self, writes=True, change=self.lineage_change)

    def on_kill(self) -> None:
        """Clean up what was begun, if that was wanted."""
        if self._steps is not None:
            self._steps.on_kill()

    @abstractmethod
    def _new_steps(self) -> Steps:
        """What one run of this operator does; imported only here, as parsing a DAG is hot."""


class DocumentOperator(PoolOperator):
    """Base of the operators on pools that take a document.

    :param rendered_references: look references to secrets up (``{"$secret": …}``) that came out of a
        template, an XCom or a rendered file, too. Whoever can write there then chooses which of the worker's
        secrets the pool is given. By default only those are looked up that stand in the DAG itself, or in a
        file without templates.
    """

    checks: ClassVar[Mapping[str, Check]] = {**PoolOperator.checks, "rendered_references": check_flag}

    def __init__(
        self, *, pool_id: str | None, pool_document: Any, rendered_references: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(pool_id=pool_id, **kwargs)
        #: What of the document the author wrote, to be told from what rendering made of it.
        pool_document = path_text(pool_document)
        for path, problem in malformed_references(pool_document):
            raise ParameterError(f"pool_document: {path}: {problem}.")
        self.written_document = written(pool_document)
        self.pool_document = pool_document
        self.rendered_references = rendered_references
        settle(self, self.checks, templated=self.template_fields)

    @property
    def pool_document(self) -> Any:
        """The document as given or rendered, with its secrets concealed from everybody who looks."""
        return self._pool_document

    @pool_document.setter
    def pool_document(self, document: Any) -> None:
        self._pool_document = conceal(path_text(document))
