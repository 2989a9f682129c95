"""What happens between two requests of one look at the work: what was read first may not be so any more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_batchext.exceptions import TaskFailedError
from airflow_batchext.hooks import _job_requests, _node_requests
from airflow_batchext.operators.task import AzureBatchTaskOperator
from tests.operators.conftest import run
from tests.operators.test_task import MODES, books, context, scenario

pytestmark = pytest.mark.usefixtures("signed_in")

KINDS = pytest.mark.parametrize("given", [{"command_line": "/bin/true"}, {"tasks": ["/bin/true"] * 2}])


def work(azure: Any, **given: Any) -> AzureBatchTaskOperator:
    given = {"poll_interval": 5, "timeout": 3600, "logs": "none", **given}
    return AzureBatchTaskOperator(task_id="work", pool_id=azure.pool_id, **given)


def before(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, happens: Callable[[], None]) -> None:
    """Let something happen each time before a request leaves."""
    original = getattr(module, name)

    def later(*args: Any, **kwargs: Any) -> Any:
        happens()
        return (yield from original(*args, **kwargs))

    monkeypatch.setattr(module, name, later)


@KINDS
@MODES
@pytest.mark.parametrize("seconds", [61, 600, 86_000])
@pytest.mark.parametrize("exit_code", [0, 3])
def test_what_runs_to_its_end_before_its_job_is_looked_at_runs_once(
    azure, pauses, monkeypatch, deferrable, given, exit_code, seconds
):
    azure.create(1)
    scenario(azure, {"exit_code": exit_code, "after": 60})
    before(monkeypatch, _job_requests, "get_job", lambda: azure.pass_time(seconds))
    task = work(azure, **given)
    if exit_code:
        with pytest.raises(TaskFailedError):
            run(azure, task, deferrable=deferrable, context=context())
    else:
        run(azure, task, deferrable=deferrable, context=context())
    assert len(books(azure)) == len(given.get("tasks", "1"))


@KINDS
@MODES
@pytest.mark.parametrize("exit_code", [0, 3])
def test_what_has_ended_before_its_pool_went_has_its_own_result(
    azure, pauses, monkeypatch, deferrable, given, exit_code
):
    azure.create(1)
    scenario(azure, {"exit_code": exit_code, "after": 900})

    gone: list[str] = []

    def ends_and_goes() -> None:
        if not gone:
            azure.pass_time(3000)
            azure.emulator.account.delete_pool(azure.pool_id, at_once=True)
            gone.append(azure.pool_id)

    before(monkeypatch, _node_requests, "get_pool", ends_and_goes)
    task = work(azure, **given)
    if exit_code:
        with pytest.raises(TaskFailedError):
            run(azure, task, deferrable=deferrable, context=context())
    else:
        assert run(azure, task, deferrable=deferrable, context=context())["pool_id"] == azure.pool_id
