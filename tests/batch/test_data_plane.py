"""Every shape on record is read right, and nothing that is missing or odd reads as ready."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_batchext.batch.data_plane import (
    BATCH_OWN_EXTENSION,
    Phase,
    epoch_seconds,
    find_extension,
    one_line,
    read_extension,
    read_node,
    read_pool,
)
from tests import shapes
from tests.shapes import reporting, status

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (shapes.recorded(), "secretext"),
        (shapes.how_to(), "KVExtensions"),
        (shapes.specified(), "batchNodeExtension"),
        (reporting(provisioning="Succeeded"), "e"),
        (reporting(status("provisioningSTATE/Succeeded")), "e"),
        (reporting(status("PowerState/running"), status("ProvisioningState/succeeded")), "e"),
    ],
)
def test_success_is_seen_in_every_shape(body, name):
    extension = read_extension(body)
    assert extension.phase is Phase.SUCCEEDED
    assert extension.name == name


@pytest.mark.parametrize(
    "body",
    [
        shapes.recorded(code="ProvisioningState/failed"),
        shapes.agent("ProvisioningState/failed/1"),
        reporting(status("ProvisioningState/failed/1")),
        reporting(status("ProvisioningState/failed/VMExtensionProvisioningError")),
        reporting(status("provisioningstate/FAILED")),
        reporting(status("ProvisioningState/canceled")),
        reporting(status("ProvisioningState/succeeded"), status("ProvisioningState/failed/2")),
        reporting(provisioning="Failed"),
        reporting(provisioning="Canceled"),
    ],
)
def test_failure_is_seen_in_every_shape(body):
    assert read_extension(body).phase is Phase.FAILED


@pytest.mark.parametrize(
    "body",
    [
        {},
        None,
        "nonsense",
        [],
        {"instanceView": "nonsense"},
        {"vmExtension": {"name": "e"}},
        {"vmExtension": {"name": "e"}, "instanceView": {"statuses": None}},
        reporting(),
        reporting(status("ProvisioningState/transitioning")),
        reporting(status("ProvisioningState/creating")),
        reporting(status("ProvisioningState/updating")),
        reporting(status("ProvisioningState/Unavailable")),
        reporting(status("ProvisioningState/succeededish")),
        reporting(status("succeeded")),
        reporting(status(None)),
        reporting(status("ProvisioningState/succeeded"), status("ProvisioningState/transitioning")),
        # The two places contradict each other: an upgrade has begun, or one of them is stale.
        reporting(status("ProvisioningState/succeeded"), provisioning="Updating"),
        reporting(status("ProvisioningState/succeeded"), provisioning="Failed"),
        reporting(status("ProvisioningState/transitioning"), provisioning="Succeeded"),
        reporting(provisioning="Creating"),
        # Only ProvisioningState/ codes count, and sub-statuses never do.
        {**reporting(), "instanceView": {"subStatuses": [status("ComponentStatus/StdOut/succeeded")]}},
    ],
)
def test_everything_else_is_pending(body):
    assert read_extension(body).phase is Phase.PENDING


def test_level_never_decides():
    for level in (0, 1, 2, "Info", "Error", "0", None):
        ok = {"code": "ProvisioningState/succeeded", "level": level}
        assert read_extension(reporting(ok)).phase is Phase.SUCCEEDED


def test_the_deciding_status_gives_code_and_message():
    body = reporting(
        status("ProvisioningState/succeeded", "fine"), status("ProvisioningState/failed/9", "bad")
    )
    extension = read_extension(body)
    assert (extension.code, extension.message) == ("ProvisioningState/failed/9", "bad")


def test_extensions_are_found_by_name_in_any_case_and_by_instance_name_where_that_is_all_there_is():
    listed = [read_extension(shapes.specified()), read_extension(shapes.how_to())]
    assert find_extension(listed, "SECRETEXT").message.startswith("Successfully started")
    assert find_extension(listed, "kvextensions") is listed[1]
    assert find_extension(listed, "other") is None
    own = read_extension(shapes.recorded("secretext", "ProvisioningState/transitioning"))
    assert find_extension([*listed, own], "secretext") is own, "its own name goes before an instance name"


def test_an_extension_listed_twice_is_as_far_as_its_worst_item():
    twice = [
        read_extension(shapes.recorded(code=f"ProvisioningState/{c}")) for c in ("succeeded", "creating")
    ]
    assert find_extension(twice, "secretext").phase is Phase.PENDING


@given(JSON)
def test_any_json_is_read_without_an_error_and_odd_bodies_are_not_ready(body):
    assert read_extension(body).phase in Phase
    read_node(body)
    pool = read_pool(body)
    if not isinstance(body, dict):
        assert pool.state == ""
        assert pool.target is None


def test_pool_counts_dedicated_and_low_priority_nodes_together():
    pool = read_pool(shapes.pool(targetLowPriorityNodes=3, currentLowPriorityNodes=1))
    assert (pool.target, pool.current) == (5, 3)
    assert read_pool({"targetDedicatedNodes": True}).target is None


def test_resize_errors_carry_code_and_details():
    values = [{"name": "Reason", "value": "x"}]
    errors = [{"code": "accountCoreQuotaREACHED", "message": "quota", "values": values}, {"code": "Odd"}, 7]
    quota, odd, nonsense = read_pool(shapes.pool(resizeErrors=errors)).resize_errors
    assert (quota.fatal, quota.text) == (True, "accountCoreQuotaREACHED: quota (Reason=x)")
    assert (odd.fatal, odd.text) == (False, "Odd: no message")
    assert (nonsense.fatal, nonsense.text) == (False, "no code: no message")


@pytest.mark.parametrize(
    ("time", "seconds"),
    [
        ("1970-01-01T00:01:00Z", 60.0),
        ("1970-01-01T00:01:00.2500000Z", 60.25),
        ("1970-01-01T00:01:00.25+00:00", 60.25),
        ("", None),
        ("yesterday", None),
        ("2026-13-01T00:00:00Z", None),
    ],
)
def test_times_of_the_service(time, seconds):
    assert epoch_seconds(time) == seconds


def test_boot_tells_a_new_vm_from_an_old_one():
    def boot(**change):
        return read_node(shapes.node(**change)).boot

    assert boot(state="idle") == boot(state="running", stateTransitionTime="t2")
    assert boot(boot="b2") != boot(boot="b1")
    assert boot(state="creating", boot=None) != boot(state="starting", boot=None, stateTransitionTime="t2")
    assert boot(state="creating", boot="b1") != boot(state="idle", boot="b1")


@pytest.mark.parametrize(
    ("said", "is_busy"),
    [
        ({"state": "Running"}, True),
        ({"state": "idle", "runningTasksCount": 2}, True),
        ({"state": "offline", "runningTasksCount": 0}, False),
        ({"state": "idle", "runningTasksCount": "2"}, False),
        ({"state": "idle"}, False),
    ],
)
def test_a_node_is_busy_while_it_runs_tasks(said, is_busy):
    assert read_node({"id": "n1", **said}).is_busy is is_busy


def test_a_node_is_dedicated_unless_it_is_said_not_to_be():
    assert [read_node({"isDedicated": said}).is_dedicated for said in (True, False, None)] == [
        True,
        False,
        True,
    ]
    assert read_node({"allocationTime": "t1"}).allocated == "t1"


@given(st.text())
def test_machine_text_becomes_one_harmless_line(text):
    line = one_line(text, 50)
    assert len(line) < 100
    assert line.isprintable()


def test_line_ends_and_direction_marks_are_shown_as_escapes():
    assert one_line("a\nb\u202ec\td") == "a\\nb\\u202ec d"
    assert one_line("x" * 5000).endswith("(5,000 characters in all)")


@pytest.mark.parametrize("body", [shapes.fresh(), shapes.agent("")])
def test_what_a_fresh_node_lists_is_neither_done_nor_failed(body):
    extension = read_extension(body)
    assert (extension.phase, extension.code, extension.message) == (Phase.PENDING, "Creating", "")
    assert extension.name == body["vmExtension"]["name"]


@pytest.mark.parametrize(
    ("code", "fatal"),
    [
        ("BatchAgentInstallationFailure", True),
        ("batchagentinstallationFAILURE", True),
        ("DiskFull", True),
        ("MountConfigurationError", True),
        ("ApplicationPackageError", True),
        ("SomethingElse", False),
        ("", False),
    ],
)
def test_errors_after_which_a_node_runs_no_task(code, fatal):
    (error,) = read_node({"id": "n1", "errors": [{"code": code, "message": "m"}]}).errors
    assert (error.code, error.fatal) == (code, fatal)
    assert error.text == f"{code or 'no code'}: m"


def test_batch_own_extension_is_named():
    assert BATCH_OWN_EXTENSION == "batchNodeExtension"
