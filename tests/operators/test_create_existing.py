"""What becomes of a pool that exists already under the name that is asked for."""

from __future__ import annotations

from copy import deepcopy

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_batchext.emulator import PoolScenario, Scenario
from airflow_batchext.emulator.faults import read_fault
from airflow_batchext.emulator.scenario import ResizeError
from airflow_batchext.exceptions import (
    AccessRefusedError,
    ConflictError,
    DeletionTimeoutError,
    ParameterError,
    PoolConflictError,
    PoolResizeError,
    PoolTimeoutError,
)
from airflow_batchext.hooks.pool import AzureBatchPoolHook
from airflow_batchext.operators._steps.create_pool import CreatePool
from airflow_batchext.operators.pool import AzureBatchCreatePoolOperator
from tests.conftest import document, own_connection
from tests.operators.conftest import properties, run

pytestmark = pytest.mark.usefixtures("signed_in")

GPU = {"name": "gpu", "publisher": "Microsoft.HpcCompute", "type": "NvidiaGpuDriverLinux"}
MODES = pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "triggerer"])
WAYS = pytest.mark.parametrize("on_existing", ["adopt", "fail", "update", "replace"])


def task(azure, pool_document, **kwargs):
    kwargs = {"pool_id": azure.pool_id, "poll_interval": 5, "timeout": 600, **kwargs}
    return AzureBatchCreatePoolOperator(task_id="create", pool_document=pool_document, **kwargs)


def create(azure, pool_document, *, deferrable=False, **kwargs):
    return run(azure, task(azure, pool_document, **kwargs), deferrable=deferrable)


def other_size(nodes=3):
    return document(nodes)


def writes(azure, method):
    return [r for r in azure.emulator.requests if r.method == method and "/pools/" in r.path]


def run_task_on(azure):
    """Let a task run on the pool without an end."""
    azure.emulator.scenario = Scenario(tasks=[{"exit_code": None}])
    from azure.batch import BatchClient
    from azure.core.credentials import AzureNamedKeyCredential

    info = azure.emulator.info
    job = f"job-{azure.pool_id}"
    with BatchClient(info.http_endpoint, AzureNamedKeyCredential(info.account, info.key)) as client:
        client.create_job({"id": job, "poolInfo": {"poolId": azure.pool_id}})
        client.create_task(job, {"id": "t", "commandLine": "sleep"})
    azure.pass_time(5)


@WAYS
def test_a_pool_that_is_as_asked_for_is_adopted_in_every_way(azure, pauses, on_existing):
    create(azure, document(1))
    azure.emulator.requests.clear()
    result = create(azure, document(1), on_existing=on_existing)
    assert (result["action"], result["created"], result["differences"]) == ("adopted", False, [])
    assert not writes(azure, "PUT")
    assert not writes(azure, "PATCH")


def test_adopt_leaves_another_pool_as_it_is_and_lists_how_it_differs(azure, pauses, capsys):
    create(azure, document(1))
    result = create(azure, document(2, [GPU]))
    assert result["action"] == "adopted"
    assert result["extensions"] == ["secretext"]
    base = "properties.deploymentConfiguration.virtualMachineConfiguration.extensions"
    assert {(d["path"], d["remedy"]) for d in result["differences"]} == {
        (f"{base}[gpu]", "replace the pool"),
        (f"{base}[secretext]", "replace the pool"),
        ("properties.scaleSettings.fixedScale.targetDedicatedNodes", "update"),
    }
    said = capsys.readouterr().out
    assert "adopted, though it is not what the document asks for" in said
    assert "targetDedicatedNodes: is 1, asked for is 2" in said


def test_fail_refuses_a_pool_that_differs_and_touches_nothing(azure, pauses):
    create(azure, document(1))
    before = properties(azure.pool_id)
    with pytest.raises(PoolConflictError, match="is 1, asked for is 2") as caught:
        create(azure, document(2), on_existing="fail")
    assert len(caught.value.differences) == 1
    assert properties(azure.pool_id) == before


def test_update_changes_what_can_be_changed_on_a_pool_that_lives(azure, pauses):
    create(azure, document(1))
    azure.pass_time(300)
    asked = document(2)
    asked["properties"]["metadata"] = [{"name": "team", "value": "a"}]
    asked["properties"]["startTask"] = {"commandLine": "true"}
    result = create(azure, asked, on_existing="update")
    assert (result["action"], result["created"]) == ("updated", False)
    assert len(result["differences"]) == 3
    after = properties(azure.pool_id)
    assert after["metadata"] == [{"name": "team", "value": "a"}]
    assert after["startTask"]["commandLine"] == "true"
    assert after["scaleSettings"]["fixedScale"]["targetDedicatedNodes"] == 2
    assert create(azure, asked, on_existing="update")["action"] == "adopted"


def test_update_changes_nothing_if_something_cannot_be_updated(azure, pauses):
    create(azure, document(1))
    azure.pass_time(300)
    before = properties(azure.pool_id)
    with pytest.raises(
        PoolConflictError, match=r"nothing was changed(.|\n)*extensions\[secretext\]"
    ) as caught:
        create(azure, document(2, [GPU]), on_existing="update")
    assert all("extensions" in d.path for d in caught.value.differences)
    assert properties(azure.pool_id) == before


def test_update_changes_more_while_the_pool_has_no_nodes(azure, pauses):
    create(azure, document(0))
    azure.pass_time(60)
    asked = document(0)
    asked["properties"]["vmSize"] = "STANDARD_F2"
    assert create(azure, asked, on_existing="update")["action"] == "updated"
    assert properties(azure.pool_id)["vmSize"] == "STANDARD_F2"


@MODES
def test_replace_deletes_waits_for_the_name_and_creates(azure, pauses, deferrable):
    first = create(azure, document(1))
    azure.pass_time(300)
    result = create(azure, document(1, [GPU]), on_existing="replace", deferrable=deferrable)
    assert (result["action"], result["created"], result["extensions"]) == ("replaced", True, ["gpu"])
    assert result["pool_created"] != first["pool_created"]


def test_replace_only_updates_where_that_is_enough(azure, pauses):
    create(azure, document(1))
    azure.pass_time(300)
    azure.emulator.requests.clear()
    assert create(azure, other_size(), on_existing="replace")["action"] == "updated"
    assert not writes(azure, "DELETE")


def test_replace_leaves_a_pool_alone_on_which_tasks_run_unless_told(azure, pauses):
    create(azure, document(1))
    azure.pass_time(300)
    run_task_on(azure)
    with pytest.raises(PoolConflictError, match="tasks run on 1 of its nodes"):
        create(azure, document(1, [GPU]), on_existing="replace")
    assert properties(azure.pool_id)["provisioningState"] == "Succeeded"
    result = create(azure, document(1, [GPU]), on_existing="replace", replace_busy=True)
    assert result["action"] == "replaced"


def test_replace_asks_for_leave_where_it_cannot_see_whether_tasks_run(azure, pauses):
    create(azure, document(1))
    azure.pass_time(300)
    fault = read_fault({"plane": "data", "action": "error", "status": 403, "code": "AuthorizationFailure"})
    azure.emulator.scenario = Scenario(faults=[fault])
    with pytest.raises(PoolConflictError, match="does not say whether tasks run on it; replace_busy=True"):
        create(azure, document(1, [GPU]), on_existing="replace")


@MODES
@WAYS
def test_a_pool_that_is_being_deleted_is_waited_for(azure, pauses, on_existing, deferrable):
    azure.create()
    azure.emulator.account.delete_pool(azure.pool_id)
    result = create(azure, document(1), on_existing=on_existing, deferrable=deferrable)
    assert result["action"] == "created"


def test_a_deletion_that_takes_too_long_is_told(azure):
    azure.create()
    azure.emulator.account.delete_pool(azure.pool_id)
    with pytest.raises(DeletionTimeoutError, match=r"still there after 0.3 seconds \(timeout\): .* Deleting"):
        create(azure, document(1), timeout=0.3, poll_interval=0.05)


@pytest.mark.parametrize("answer", ["ConditionNotMet", "PoolExists"])
def test_of_two_racers_the_second_adopts_what_the_first_made(azure, pauses, monkeypatch, answer):
    """Both have looked and seen nothing; the other one's PUT comes first."""
    azure.emulator.scenario = Scenario(answers={"existing_pool": answer})
    put, racers = AzureBatchPoolHook.create_pool, []

    def late(hook, *args, **kwargs):
        if not racers:
            racers.append(True)
            put(hook, *args, **kwargs)
        return put(hook, *args, **kwargs)

    monkeypatch.setattr(AzureBatchPoolHook, "create_pool", late)
    result = create(azure, document(1), on_existing="fail")
    assert (result["action"], result["created"]) == ("adopted", False)
    assert len([p for p in azure.emulator.account.pools() if p.name == azure.pool_id]) == 1


def test_replacing_looks_again_before_it_deletes(azure, pauses, monkeypatch):
    """Between look and deletion somebody else has replaced the pool already."""
    create(azure, document(1))
    azure.pass_time(300)

    def racer(steps, why):
        azure.emulator.account.delete_pool(azure.pool_id, at_once=True)
        azure.pass_time(1)
        with AzureBatchPoolHook() as hook:
            hook.create_pool(azure.pool_id, document(1, [GPU]))

    monkeypatch.setattr(CreatePool, "_refuse_if_busy", racer)
    azure.emulator.requests.clear()
    assert create(azure, document(1, [GPU]), on_existing="replace")["action"] == "adopted"
    assert not writes(azure, "DELETE")


def test_replacing_a_pool_that_goes_by_itself_meanwhile_creates_it(azure, pauses, monkeypatch):
    create(azure, document(1))
    azure.pass_time(300)
    refuse = CreatePool._refuse_if_busy

    def goes(steps, why):
        azure.emulator.account.delete_pool(azure.pool_id, at_once=True)
        azure.pass_time(1)
        refuse(steps, why)

    monkeypatch.setattr(CreatePool, "_refuse_if_busy", goes)
    assert create(azure, document(1, [GPU]), on_existing="replace")["action"] == "created"


def test_a_pool_that_goes_as_soon_as_it_is_steady_is_not_made_anew(azure, pauses):
    operator = task(azure, document(1), wait_for="steady", deferrable=True)
    with pytest.raises(TaskDeferred) as caught:
        operator.execute({})
    azure.emulator.account.delete_pool(azure.pool_id, at_once=True)
    azure.pass_time(1)
    event = {"course": "reached", "text": "steady", "memo": caught.value.trigger.memo}
    with pytest.raises(PoolConflictError, match="was deleted as soon as"):
        operator.execute_complete({}, event)


def test_an_update_by_somebody_else_meanwhile_is_looked_at_again(azure, pauses, monkeypatch):
    create(azure, document(1))
    azure.pass_time(300)
    update, racers = AzureBatchPoolHook.update_pool, []

    def late(hook, pool_id, body, **kwargs):
        if not racers:
            racers.append(True)
            update(hook, pool_id, {"properties": {"metadata": [{"name": "a", "value": "b"}]}})
        return update(hook, pool_id, body, **kwargs)

    monkeypatch.setattr(AzureBatchPoolHook, "update_pool", late)
    assert create(azure, document(2), on_existing="update")["action"] == "updated"
    after = properties(azure.pool_id)
    assert after["scaleSettings"]["fixedScale"]["targetDedicatedNodes"] == 2
    assert after.get("metadata", []) == [], "what the racer added is not what the document asks for"


@MODES
def test_a_resize_under_way_is_waited_for_where_azure_wants_that(azure, pauses, deferrable):
    create(azure, document(1))
    refuse = {"method": "PATCH", "action": "error", "status": 409, "code": "PoolBeingResized", "count": 1}
    azure.emulator.scenario = Scenario(faults=[read_fault(refuse)])
    result = create(azure, document(2), on_existing="update", deferrable=deferrable)
    assert result["action"] == "updated"
    assert len(writes(azure, "PATCH")) == 2


@pytest.mark.parametrize("on_existing", ["adopt", "replace"])
def test_a_worker_lost_after_the_deletion_is_made_good_by_the_retry(azure, pauses, monkeypatch, on_existing):
    create(azure, document(1))
    azure.pass_time(300)
    delete = AzureBatchPoolHook.delete_pool

    def delete_and_die(hook, pool_id):
        delete(hook, pool_id)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(AzureBatchPoolHook, "delete_pool", delete_and_die)
        with pytest.raises(KeyboardInterrupt):
            create(azure, document(1, [GPU]), on_existing="replace")
    assert create(azure, document(1, [GPU]), on_existing=on_existing)["extensions"] == ["gpu"]


@MODES
def test_waits_until_the_pool_has_its_nodes(azure, pauses, deferrable):
    result = create(azure, document(2), wait_for="steady", deferrable=deferrable)
    assert (result["action"], result["allocation_state"]) == ("created", "Steady")
    assert properties(azure.pool_id)["currentDedicatedNodes"] == 2


def test_a_pool_that_is_steady_already_costs_no_trigger(azure, pauses):
    create(azure, document(1))
    azure.pass_time(300)
    result = task(azure, document(1), wait_for="steady", deferrable=True).execute({})
    assert result["allocation_state"] == "Steady"


QUOTA = PoolScenario(resize_error=ResizeError(code="AccountCoreQuotaReached", message="no cores"))


@MODES
@pytest.mark.parametrize("deletes", [False, True])
def test_a_pool_that_gets_no_nodes_is_an_error_in_words(azure, pauses, deferrable, deletes):
    azure.emulator.scenario = Scenario(pools=[QUOTA])
    how = {"wait_for": "steady", "delete_on_failure": deletes, "deferrable": deferrable}
    with pytest.raises(PoolResizeError, match=r"ended with 0 of 2 dedicated nodes. AccountCoreQuotaReached"):
        create(azure, document(2), **how)
    assert properties(azure.pool_id)["provisioningState"] == ("Deleting" if deletes else "Succeeded")


def test_a_pool_that_somebody_else_made_is_never_deleted_on_failure(azure, pauses):
    azure.emulator.scenario = Scenario(pools=[QUOTA])
    azure.create(2)
    with pytest.raises(PoolResizeError):
        create(azure, document(2), wait_for="steady", delete_on_failure=True)
    assert properties(azure.pool_id)["provisioningState"] == "Succeeded"


def test_a_pool_that_azure_makes_otherwise_than_asked_is_warned_about(azure, pauses, capsys):
    """Such as a default that nobody told us of: without a word it would be replaced in every run."""
    edit = {"method": "PUT", "action": "edit", "at": "properties/vmSize", "value": "OTHER", "count": 1}
    azure.emulator.scenario = Scenario(faults=[read_fault(edit)])
    create(azure, document(1))
    said = capsys.readouterr().out
    assert "reads differently" in said
    assert "properties.vmSize: is 'OTHER'" in said
    create(azure, document(1), pool_id=f"{azure.pool_id}-2")
    assert "reads differently" not in capsys.readouterr().out


@pytest.mark.parametrize("code", ["ConditionNotMet", "SomethingNew"])
def test_a_lost_race_is_told_by_its_status_whatever_its_code(azure, pauses, code):
    create(azure, document(1))
    azure.pass_time(300)
    lost = {"method": "PATCH", "action": "error", "status": 412, "code": code, "count": 1}
    azure.emulator.scenario = Scenario(faults=[read_fault(lost)])
    assert create(azure, document(2), on_existing="update")["action"] == "updated"
    other = {"method": "PATCH", "action": "error", "status": 409, "code": "SomethingNew", "count": 1}
    azure.emulator.scenario = Scenario(faults=[read_fault(other)])
    with pytest.raises(ConflictError, match="SomethingNew"):
        create(azure, document(3), on_existing="update")


class Store(dict):
    """Airflow's ``task_state_store``: what one try leaves to the next."""

    def set(self, key, value):
        self[key] = value


def test_what_an_earlier_try_created_is_the_tasks_own(azure, pauses):
    azure.emulator.scenario = Scenario(pools=[QUOTA])
    store = Store()
    context = {"task_state_store": store}
    run(azure, task(azure, document(2)), deferrable=False, context=context)
    again = task(azure, document(2), wait_for="steady", delete_on_failure=True)
    with pytest.raises(PoolResizeError):
        run(azure, again, deferrable=False, context=context)
    assert properties(azure.pool_id)["provisioningState"] == "Deleting"


def test_not_steady_in_time_is_told_with_what_was_seen(azure):
    with pytest.raises(
        PoolTimeoutError, match=r"not complete within 0.3 seconds \(timeout\): .* resizing: 0 of 2 dedicated"
    ):
        create(azure, document(2), wait_for="steady", timeout=0.3, poll_interval=0.05)


@MODES
def test_a_pool_that_goes_while_it_is_waited_for_ends_the_wait(azure, pauses, deferrable):
    azure.emulator.scenario = Scenario(pools=[PoolScenario(deleted_after=50)])
    with pytest.raises(PoolConflictError, match="nothing to wait for any more"):
        create(azure, document(2), wait_for="steady", deferrable=deferrable)


@MODES
def test_outages_are_waited_through_and_refusals_end_it(azure, pauses, deferrable):
    away = {"plane": "management", "method": "GET", "action": "error", "status": 503, "skip": 2, "count": 6}
    azure.emulator.scenario = Scenario(faults=[read_fault(away)])
    assert create(azure, document(1), wait_for="steady", deferrable=deferrable)["created"]
    azure.emulator.account.delete_pool(azure.pool_id, at_once=True)
    refused = {"plane": "management", "method": "GET", "action": "error", "status": 403, "skip": 1}
    azure.emulator.scenario = Scenario(faults=[read_fault({**refused, "code": "AuthorizationFailed"})])
    with pytest.raises(AccessRefusedError, match="AuthorizationFailed"):
        create(azure, document(1), wait_for="steady", deferrable=deferrable)


def test_a_used_up_quota_of_pools_is_told_with_advice(azure, pauses):
    azure.emulator.scenario = Scenario(account={"pool_quota": 0})
    with pytest.raises(ConflictError, match=r"PoolQuotaReached.*delete one, or ask for more"):
        create(azure, document(1))


@pytest.mark.parametrize("wrong", [{"on_existing": "recreate"}, {"wait_for": "idle"}])
def test_words_that_mean_nothing_are_refused(azure, wrong):
    with pytest.raises(ParameterError, match="it is one of"):
        create(azure, document(1), **wrong)


def test_the_end_of_the_task_deletes_its_own_pool_if_wanted(azure):
    for wanted in (False, True):
        operator = task(azure, document(1), delete_on_kill=wanted)
        operator.execute({})
        operator.on_kill()
        gone = properties(azure.pool_id)["provisioningState"] == "Deleting"
        assert gone is wanted
        with AzureBatchPoolHook() as hook:
            hook.delete_pool(azure.pool_id)
        azure.pass_time(60)
    azure.create(1)
    operator = task(azure, document(1), delete_on_kill=True)
    operator.execute({})
    operator.on_kill()
    assert properties(azure.pool_id)["provisioningState"] == "Succeeded", "it was only adopted"


def test_only_the_wait_for_its_own_pool_may_end_with_its_deletion(azure):
    operator = task(azure, document(1), delete_on_kill=True, wait_for="steady", deferrable=True)
    with pytest.raises(TaskDeferred) as caught:
        operator.execute({})
    assert caught.value.trigger.on_killed == "delete"
    adopting = task(azure, document(1), delete_on_kill=True, wait_for="steady", deferrable=True)
    with pytest.raises(TaskDeferred) as caught:
        adopting.execute({})
    assert caught.value.trigger.on_killed == "nothing"


@pytest.mark.parametrize("told", [True, False])
def test_an_airflow_that_cannot_keep_the_promise_is_named_in_the_log(azure, monkeypatch, capsys, told):
    monkeypatch.setattr("airflow_batchext.operators._steps.pool.TRIGGERS_ARE_TOLD", told)
    operator = task(azure, document(1), delete_on_kill=True, wait_for="steady", deferrable=True)
    with pytest.raises(TaskDeferred):
        operator.execute({})
    said = f"while it is deferred, pool {azure.pool_id} stays as it is" in capsys.readouterr().out
    assert said is not told


def test_neither_trigger_nor_xcom_nor_error_has_a_secret(azure, pauses, capsys):
    secret = deepcopy(GPU) | {"protectedSettings": {"key": "S3NTINEL-1"}}
    azure.connect("azure_batchext_default", own_connection(azure.emulator))
    create(azure, document(1))
    operator = task(azure, document(1, [secret]), on_existing="replace", deferrable=True)
    with pytest.raises(TaskDeferred) as caught:
        operator.execute({})
    assert "S3NTINEL" not in str(caught.value.trigger.serialize())
    result = create(azure, document(1, [secret]), on_existing="replace")
    again = create(azure, document(1, [secret]), on_existing="replace")
    assert again["action"] == "adopted"
    assert [d["remedy"] for d in again["differences"]] == [
        "cannot be compared, as Azure does not tell what it is"
    ]
    assert "S3NTINEL" not in str(result) + str(again) + capsys.readouterr().out
