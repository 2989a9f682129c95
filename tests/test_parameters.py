"""Every public parameter of everything that users construct, given what it cannot be, and what it can.

The parameters are found by the signatures, so that a new one is tried without being named here. Whatever is
given, construction ends in a clear error that names the parameter, or in an object that holds what is right;
what is wrong is never taken for something else (one text for a list, ``"False"`` for True, -5 for a pause).
"""

from __future__ import annotations

import importlib.util
import inspect
import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk import BaseNotifier

from airflow_batchext import assets, ephemeral, parameters, pool_builder, secret_references
from airflow_batchext.exceptions import ParameterError
from airflow_batchext.hooks.job import AzureBatchJobHook
from airflow_batchext.hooks.node import AzureBatchNodeHook
from airflow_batchext.hooks.pool import AzureBatchPoolHook
from airflow_batchext.notifications.diagnosis import AzureBatchDiagnosisNotifier
from airflow_batchext.operators.diagnose import AzureBatchDiagnosePoolOperator
from airflow_batchext.operators.extension import AzureBatchGetExtensionOperator
from airflow_batchext.operators.job import AzureBatchCreateJobOperator, AzureBatchEndJobOperator
from airflow_batchext.operators.node import AzureBatchRepairNodesOperator
from airflow_batchext.operators.orphans import AzureBatchDeleteOrphansOperator
from airflow_batchext.operators.pool import (
    AzureBatchCreatePoolOperator,
    AzureBatchDeletePoolOperator,
    AzureBatchResizePoolOperator,
    AzureBatchUpdatePoolOperator,
)
from airflow_batchext.operators.task import AzureBatchTaskOperator
from airflow_batchext.parameters import work
from airflow_batchext.provider_info import get_provider_info
from airflow_batchext.repair import RepairPolicy
from airflow_batchext.sensors.extension import AzureBatchExtensionSensor
from airflow_batchext.triggers.events import AzureBatchPoolEventTrigger
from tests.conftest import document

if importlib.util.find_spec("numpy"):
    import numpy as np
else:
    from tests import scalars as np


def entered(**given: Any) -> Any:
    from airflow.sdk import DAG

    with DAG("d"), ephemeral.ephemeral_pool(**given) as pool:
        return pool


def entered_job(**given: Any) -> Any:
    from airflow.sdk import DAG

    with DAG("d"), ephemeral.batch_job(**given) as job:
        return job


POOL = {"task_id": "t", "pool_id": "p"}
BUILT = {"image": pool_builder.UBUNTU_24_04, "size": "STANDARD_D2S_V5", "dedicated": 1}
#: What users construct, with the least that it takes.
DOORS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "create": (AzureBatchCreatePoolOperator, {**POOL, "pool_document": document(1)}),
    "update": (AzureBatchUpdatePoolOperator, {**POOL, "pool_document": document(1)}),
    "resize": (AzureBatchResizePoolOperator, {**POOL, "target_dedicated_nodes": 1}),
    "delete": (AzureBatchDeletePoolOperator, POOL),
    "repair": (AzureBatchRepairNodesOperator, POOL),
    "orphans": (AzureBatchDeleteOrphansOperator, {"task_id": "t"}),
    "get": (AzureBatchGetExtensionOperator, POOL),
    "diagnose": (AzureBatchDiagnosePoolOperator, POOL),
    "work": (AzureBatchTaskOperator, {**POOL, "command_line": "/bin/true"}),
    "create job": (AzureBatchCreateJobOperator, {**POOL, "prefix": "j"}),
    "end job": (AzureBatchEndJobOperator, {"task_id": "t", "job_id": "j", "prefix": "j"}),
    "gate": (AzureBatchExtensionSensor, POOL),
    "notifier": (AzureBatchDiagnosisNotifier, {}),
    "watcher": (AzureBatchPoolEventTrigger, {"pool_id": "p"}),
    "watched asset": (assets.watched_pool_asset, {"account": "acc", "pool_id": "p"}),
    "asset": (assets.batch_pool_asset, {"account": "acc", "pool_id": "p"}),
    "policy": (RepairPolicy, {}),
    "Image": (pool_builder.Image, {"node_agent": "batch.node.ubuntu 24.04"}),
    "Extension": (
        pool_builder.Extension,
        {"name": "e", "publisher": "P", "type": "T", "version": "1.0"},
    ),
    "KeyVaultExtension": (pool_builder.KeyVaultExtension, {"certificates": ["https://v"], "client_id": "c"}),
    "AzureMonitorAgentExtension": (pool_builder.AzureMonitorAgentExtension, {"identity": "/i"}),
    "GpuDriverExtension": (pool_builder.GpuDriverExtension, {}),
    "pool_document": (pool_builder.pool_document, BUILT),
    "ephemeral_pool": (entered, {"pool_document": document(1)}),
    "batch_job": (entered_job, {"pool": "p"}),
    "run_pool_id": (ephemeral.run_pool_id, {"prefix": "p"}),
    "from_connection": (secret_references.from_connection, {"conn_id": "c"}),
    "from_variable": (secret_references.from_variable, {"name": "n"}),
    "from_environment": (secret_references.from_environment, {"name": "n"}),
    "node hook": (AzureBatchNodeHook, {}),
    "pool hook": (AzureBatchPoolHook, {}),
    "job hook": (AzureBatchJobHook, {}),
}
#: What is checked elsewhere: documents by the checks of documents, credentials by what signs in.
NOT_OURS = {"pool_document", "credential", "kwargs", "task_id"}


def signature_of(door: str) -> Iterator[inspect.Parameter]:
    """Its parameters, and those of our own classes above it."""
    helper = {"ephemeral_pool": ephemeral.ephemeral_pool, "batch_job": ephemeral.batch_job}
    made = helper.get(door) or DOORS[door][0]
    kinds = [kind for kind in getattr(made, "__mro__", ()) if kind.__module__.startswith("airflow_batchext")]
    seen: set[str] = set()
    for each in [kind.__init__ for kind in kinds if "__init__" in vars(kind)] or [made]:
        for parameter in inspect.signature(each).parameters.values():
            if parameter.name not in {*seen, *NOT_OURS, "self"}:
                seen.add(parameter.name)
                yield parameter


PARAMETERS = [(door, parameter) for door in DOORS for parameter in signature_of(door)]
WALK = pytest.mark.parametrize(
    ("door", "parameter"), PARAMETERS, ids=[f"{d}-{p.name}" for d, p in PARAMETERS]
)


#: One or several, of either sign.
EXIT_CODES = ("skip_on_exit_code", "fail_on_exit_code")


class Odd:
    """Nothing that anybody expects, and with a secret in it."""

    def __repr__(self) -> str:
        return "hunter2"


def kind_of(parameter: inspect.Parameter) -> set[str]:
    """What the annotation lets a value be, in its own words."""
    if parameter.name in EXIT_CODES:
        return {"exit codes", "None"}
    outermost = re.sub(r"(Mapping|dict)\[[^\]]*\]", r"\1", str(parameter.annotation))
    return set(re.findall(r"[A-Za-z]+", outermost))


def construct(door: str, **change: Any) -> Any:
    made, least = DOORS[door]
    return made(**{**least, **change})


def outcome(door: str, parameter: inspect.Parameter, value: Any) -> ParameterError | Any:
    """The error, or what was made; any other error, or one that does not name the parameter, fails."""
    try:
        return construct(door, **{parameter.name: value})
    except ParameterError as error:
        said = str(error)
        assert re.search(rf"\b{parameter.name}\b", said) or "names no pool" in said or "prefix" in said, said
        assert len(said) < 400
        assert "\n" not in said
        assert "hunter2" not in said
        return error


def held(made: Any, name: str) -> Any:
    """What it holds under that name, if one can see it."""
    found = getattr(made, name, None)
    return None if callable(found) else found  # Airflow's own method dry_run, for one


def refused(door: str, parameter: inspect.Parameter, value: Any) -> bool:
    return isinstance(outcome(door, parameter, value), ParameterError)


def test_everything_that_airflow_is_told_of_is_walked():
    info = get_provider_info()
    modules = {m for kind in ("operators", "sensors") for item in info[kind] for m in item["python-modules"]}
    walked = {made.__module__ for made, _ in DOORS.values()}
    assert modules <= walked
    assert len(PARAMETERS) > 100


def test_a_parameter_that_nobody_checks_would_be_noticed(monkeypatch):
    monkeypatch.setattr(
        AzureBatchExtensionSensor,
        "checks",
        {name: check for name, check in AzureBatchExtensionSensor.checks.items() if name != "min_nodes"},
    )
    parameter = next(p for d, p in PARAMETERS if (d, p.name) == ("gate", "min_nodes"))
    assert not refused("gate", parameter, -5)
    assert not refused("gate", parameter, Odd())


@WALK
def test_what_nobody_expects_is_refused(door, parameter):
    """An object of no kind, bytes, a set, a function: whatever a parameter is, these it is not."""
    for value in (Odd(), b"hunter2", {1, 2}, 3 + 4j):
        if parameter.name == "node_states" and isinstance(value, set):
            continue
        assert refused(door, parameter, value), value


@WALK
def test_a_number_is_no_text_no_list_and_no_flag(door, parameter):
    kind = kind_of(parameter)
    if kind & {"int", "float", "timedelta", "Any", "exit codes"}:
        return
    for value in (5, 2.5, np.int64(3), timedelta(minutes=5)):
        assert refused(door, parameter, value), value


@WALK
def test_numbers_with_a_wrong_sign_or_of_no_size_are_refused(door, parameter):
    kind = kind_of(parameter)
    if not kind & {"int", "float", "timedelta"}:
        return
    for value in (
        -1,
        -0.5,
        math.nan,
        math.inf,
        -math.inf,
        np.int64(-3),
        np.float32("nan"),
        True,
        np.bool_(True),
    ):
        assert refused(door, parameter, value), value
    for value in ("soon", "-5", "", "1e3", [], {}, [1]):
        assert refused(door, parameter, value), value
    if "timedelta" in kind:
        assert refused(door, parameter, timedelta(seconds=-1))
        assert refused(door, parameter, timedelta(days=36500))


@WALK
def test_numbers_of_every_kind_are_taken_for_what_they_are(door, parameter):
    """A timedelta as seconds, numpy's as Python's: what is held can be added to and written as JSON."""
    kind = kind_of(parameter)
    if not kind & {"int", "float", "timedelta"} or "Any" in kind:
        return
    values: list[Any] = [400, np.int64(400), np.uint16(400)]
    if "float" in kind:
        values += [400.0, np.float64(400), np.float32(400)]
    if "timedelta" in kind:
        values += [timedelta(seconds=400), timedelta(minutes=6, seconds=40)]
    if parameter.name == "logs_hours":
        values = [*values[:-2], timedelta(hours=400)]
    change = {}
    if parameter.name == "evaluation_interval":
        change = {"dedicated": None, "formula": "$TargetDedicatedNodes=1;"}
    if door == "repair" and parameter.name == "timeout":
        change = {"policy": {"order": ["reboot"]}}
    for value in values:
        made = construct(door, **{parameter.name: value}, **change)
        found = held(made, parameter.name)
        if found is not None:
            assert (found, type(found) in (int, float)) == (400, True) or parameter.name in templated(made), (
                value
            )
        elif isinstance(made, Mapping):
            assert re.search(r"'(PT400S)'|: 400\b", repr(made)), value


def templated(made: Any) -> tuple[str, ...]:
    """What stays as it was given until it is rendered."""
    return tuple(getattr(made, "template_fields", ()))


@WALK
def test_one_text_is_no_list_of_its_letters(door, parameter):
    kind = kind_of(parameter)
    if "Sequence" not in kind and not (kind & {"tuple", "list"} and "str" in kind):
        return
    if kind & {"BaseNotifier"} or parameter.name == "watchers":
        assert refused(door, parameter, "abc")
        return
    for value in ("secretext", "ready", "reboot", "json", "idle", ""):
        assert refused(door, parameter, value), value
    for value in ([1], [None], [["a"]], [""], {"a": 1}, 5):
        assert refused(door, parameter, value), value


@pytest.mark.parametrize("name", EXIT_CODES)
def test_exit_codes_are_one_or_several_numbers_that_are_not_0(name):
    parameter = next(p for d, p in PARAMETERS if (d, p.name) == ("work", name))
    for value in (0, [0], "3", ["3"], 1.5, [1.5], True, [True], {"a": 1}, [[1]], [None], math.nan, "soon"):
        assert refused("work", parameter, value), value
    for value in (3, np.int64(3), [3], (3,), [np.int64(3)]):
        found = getattr(construct("work", **{name: value}), name)
        assert (found, type(found[0])) == ((3,), int), value
    assert getattr(construct("work", **{name: [-1073741510, 4]}), name) == (-1073741510, 4)
    assert getattr(construct("work"), name) == ()


@WALK
def test_a_flag_is_true_or_false(door, parameter):
    if kind_of(parameter) - {"None"} != {"bool"}:
        return
    for value in ("False", "no", "", 0, 1, np.int64(1), [], None):
        if value is None and "None" in kind_of(parameter):
            continue
        assert refused(door, parameter, value), value
    for value in (np.bool_(False), False):
        with suppress(AttributeError):
            assert held(construct(door, **{parameter.name: value}), parameter.name) in (False, None)


@WALK
def test_none_is_taken_where_the_signature_says_so(door, parameter):
    is_optional = bool({"None", "Any"} & kind_of(parameter))
    if (door, parameter.name) in {("resize", "target_dedicated_nodes"), ("pool_document", "dedicated")}:
        change = {"resize": "target_low_priority_nodes", "pool_document": "low_priority"}[door]
        construct(door, **{parameter.name: None, change: 2})
    elif (door, parameter.name) == ("work", "command_line"):
        construct(door, command_line=None, tasks=["x"])
    elif is_optional:
        construct(door, **{parameter.name: None})
    else:
        assert refused(door, parameter, None)


@WALK
def test_a_blank_text_is_no_name(door, parameter):
    kind = kind_of(parameter)
    if not kind <= {"str", "None"} or door in ("Image",) or (door, parameter.name) in BLANK:
        return
    for value in ("", "  "):
        assert refused(door, parameter, value), value


#: A document's own check tells of these, with the place in the document.
BLANK = {("pool_document", "name"), ("pool_document", "size")}


@WALK
def test_templates_are_taken_where_they_are_rendered(door, parameter):
    made, _ = DOORS[door]
    if parameter.name not in templated(made):
        return
    for value in ("{{ params.x }}", "{% if 1 %}a{% endif %}"):
        instead = {"command_line": None} if parameter.name == "tasks" else {}
        assert held(construct(door, **{parameter.name: value, **instead}), parameter.name) == value


@pytest.mark.parametrize("door", [d for d in DOORS if hasattr(DOORS[d][0], "execute")])
def test_what_a_template_was_rendered_to_is_checked_before_anything_is_asked(azure, door):
    made, _ = DOORS[door]
    azure.emulator.requests.clear()
    for name in templated(made):
        if name in NOT_OURS or name == "logs_container":
            continue
        task = construct(door)
        setattr(task, name, {1: 2})  # as rendering does
        with pytest.raises(ParameterError, match=name):
            task.execute({})
    assert not azure.emulator.requests


def test_the_same_mistake_is_told_in_the_same_words():
    """Wherever it is made: in an operator, a sensor, a watcher, a policy, a builder."""
    told = {
        re.sub(r"^(policy|repair): ", "", str(outcome(door, parameter, ["a", 1])))
        for door, parameter in PARAMETERS
        if parameter.name == "extension_names"
    }
    assert len(told) == 1
    seconds = {
        str(outcome(door, parameter, "soon")).replace(parameter.name, "NAME")
        for door, parameter in PARAMETERS
        if {"float", "timedelta"} <= kind_of(parameter) and door != "pool_document"
    }
    assert len(seconds) <= 2, seconds  # hours are not seconds


def test_members_of_a_policy_are_checked_where_it_is_a_dict():
    for name in (item.name for item in fields(RepairPolicy)):
        for door, where in (("repair", "policy"), ("gate", "repair")):
            with pytest.raises(ParameterError, match=rf"^{where}: {name} "):
                construct(door, **{where: {name: Odd()}})


def test_what_the_builder_would_drop_is_refused():
    formula = {"dedicated": None, "formula": "$TargetDedicatedNodes=1;"}
    for value in (timedelta(minutes=10), "PT10M", 600, "{{ params.x }}"):
        with pytest.raises(ParameterError, match="resize_timeout does not go with formula"):
            construct("pool_document", resize_timeout=value, **formula)
        with pytest.raises(ParameterError, match="evaluation_interval does not go with dedicated"):
            construct("pool_document", evaluation_interval=value)
        assert construct("pool_document", evaluation_interval=value, **formula)
        assert construct("pool_document", resize_timeout=value)


@pytest.mark.parametrize("name", ["protected_settings", "settings"])
def test_settings_that_are_one_template_are_refused_in_words(name):
    for value in ("{{ var.json.hunter2 }}", "{'a': 1}"):
        with pytest.raises(ParameterError, match=rf"^{name} is a \w+, but it has to be a dict") as told:
            construct("Extension", **{name: value})
        assert "hunter2" not in str(told.value)
    assert construct("Extension", **{name: {"key": "{{ var.value.x }}"}})


def test_a_watcher_keeps_what_a_triggerer_can_read():
    import json

    trigger = AzureBatchPoolEventTrigger(
        pool_id="p",
        poll_interval=timedelta(seconds=20),
        node_grace=np.float32(60),
        min_nodes=np.int16(2),
        extension_names=("a",),
    )
    _, kwargs = trigger.serialize()
    assert json.loads(json.dumps(kwargs)) == {
        "pool_id": "p",
        "events": ["ready"],
        "poll_interval": 20.0,
        "node_grace": 60.0,
        "min_nodes": 2,
        "extension_names": ["a"],
    }


def test_a_notifier_takes_one_or_several():
    class Other(BaseNotifier):
        def notify(self, context: Any) -> None: ...

    for through in (Other(), [Other(), Other()], None):
        assert AzureBatchDiagnosisNotifier(through=through).through is through
    for wrong in ("slack", ["slack"], [None], 5):
        with pytest.raises(ParameterError, match="through"):
            AzureBatchDiagnosisNotifier(through=wrong)


@pytest.mark.parametrize("module", [parameters, work], ids=lambda module: module.__name__)
def test_every_check_is_used(module):
    """A check that nobody uses would say that something is checked."""
    from pathlib import Path

    room = Path(parameters.__file__).parent
    text = "".join(path.read_text() for path in room.parent.rglob("*.py") if path != Path(module.__file__))
    own = Path(module.__file__).read_text()
    checks = [
        name
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__ and not name.startswith("_")
    ]
    assert len(checks) > 5
    for name in checks:
        assert re.search(rf"\b{name}\b", text) or len(re.findall(rf"\b{name}\b", own)) > 1, name


def test_frozen_things_hold_what_was_checked():
    assert is_dataclass(RepairPolicy)
    assert RepairPolicy(stuck_after=timedelta(minutes=1), attempts=np.int8(2)) == RepairPolicy(
        stuck_after=60.0, attempts=2
    )
