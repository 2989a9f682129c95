"""Texts without a template arrive as they were written, and names stay texts, also with native rendering."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from functools import cache
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.execution_time import macros
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_batchext import pool_builder
from airflow_batchext.concealment import reveal
from airflow_batchext.exceptions import ParameterError
from airflow_batchext.parameters import check_count
from airflow_batchext.repair.policy import RepairPolicy, check_repair_policy
from tests.conftest import document
from tests.examples import examples
from tests.test_parameters import DOORS

#: What Python, YAML or JSON would take for something else than a text.
ODD = [
    *("1.10", "007", "12345678", "1e5", "0x10", "1_000", "-1", "1j", "True", "false", "None", "null", "~"),
    *("[]", "{}", "()", "[1, 2]", '{"a": 1}', "{'a': 1}", "{1}", "b'x'", '"x"', "'x'", '"""x"""', "r'x'"),
    *(" 1.10", "1.10 ", "a\n", "a\r\nb\r\n", "\n", "  ", "1 # 2", "# x", "a}}", "%}", "{ {", "$(x)", "ü ☃"),
    *("20260101", "2026-01-01", "12:30", "'a' 'b'", "1+2j", "-0", "1,2", "{", "...", "\\n"),
]
FIELDS = [
    (door, field)
    for door, (made, _) in DOORS.items()
    for field in getattr(made, "template_fields", ())
    if isinstance(made, type)
]


def dag(native: bool, **more: Any) -> DAG:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    return DAG("d", schedule=None, start_date=start, render_template_as_native_obj=native, **more)


def made_in(door: str, **of_dag: Any) -> tuple[Any, DAG]:
    made, least = DOORS[door]
    with dag(**of_dag) as around:
        return made(**least), around


#: To construct a task and its DAG takes as long as to render twenty values.
made_once = cache(made_in)


def rendered(door: str, field: str, value: Any, *, native: bool, context: Any = None, **more: Any) -> Any:
    """The field as the task finds it."""
    task, around = made_in(door, native=native, **more) if more else made_once(door, native=native)
    task = copy.copy(task)
    # Not through the constructor: it refuses what is none of its values, and any of them may come here.
    setattr(task, field, value)
    task.render_template_fields({"dag": around, "macros": macros, **(context or {})})
    return reveal(getattr(task, field))


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize(("door", "field"), FIELDS)
def test_what_has_no_template_in_it_arrives_as_it_was_written(door, field, native):
    for value in (*ODD, ODD, {"a": {"b": ODD}}):
        assert rendered(door, field, copy.deepcopy(value), native=native) == value
        assert type(rendered(door, field, value, native=native)) is type(value)


def test_the_test_can_fail():
    from airflow.providers.standard.operators.bash import BashOperator

    with dag(True) as around:
        task = BashOperator(task_id="t", bash_command="1.10")
    task.render_template_fields({"dag": around})
    assert task.bash_command == 1.10


TEXTS = st.one_of(
    st.sampled_from(ODD),
    st.text(st.sampled_from("1.0eE+-_'\"[]{}(),:# \n\rNoneTrueFalsjxb"), max_size=8).filter(
        lambda text: not any(mark in text for mark in ("{{", "{%", "{#"))
    ),
)
VALUES = st.recursive(
    st.one_of(TEXTS, st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=6,
)


@settings(max_examples=examples(100))
@given(shown=VALUES, hidden=VALUES, text=TEXTS)
@example(shown={"v": "1.10"}, hidden={"pin": "12345678"}, text="None")
def test_a_document_arrives_as_it_was_written(shown, hidden, text):
    body = document(1)
    properties = body["properties"]
    machine = properties["deploymentConfiguration"]["virtualMachineConfiguration"]
    machine["extensions"][0] |= {"typeHandlerVersion": text, "settings": shown, "protectedSettings": hidden}
    properties["metadata"] = [{"name": text, "value": text}]
    properties["startTask"] = {"commandLine": text, "environmentSettings": [{"name": "E", "value": text}]}
    properties["mountConfiguration"] = [{"azureFileShareConfiguration": {"accountKey": text}}]
    body["identity"] = {"type": "UserAssigned", "userAssignedIdentities": {text: shown}}
    body["tags"] = {text: text}
    for native in (False, True):
        assert rendered("create", "pool_document", copy.deepcopy(body), native=native) == body
    # Also as a text.
    for whole in (f'{{"properties": {{"displayName": "{text}"}}}}', f"properties:\n  displayName: {text}\n"):
        for native in (False, True):
            assert rendered("create", "pool_document", whole, native=native) == whole


def test_a_document_of_the_builder_arrives_as_it_was_written():
    extension = pool_builder.Extension(
        name="e",
        publisher="P",
        type="T",
        version="1.10",
        settings={"v": "1.10"},
        protected_settings={"pin": "123"},
    )
    body = pool_builder.pool_document(
        image=pool_builder.UBUNTU_24_04, size="STANDARD_D2S_V5", dedicated=1, extensions=[extension]
    )
    for native in (False, True):
        assert rendered("create", "pool_document", body, native=native) == reveal(body)


def test_a_template_may_become_a_number_or_a_list():
    body = {"properties": {"n": "{{ 2 + 3 }}", "l": "{{ [1, '1.10'] }}", "t": "v{{ 1 }}.10", "s": "1.10"}}
    native = rendered("create", "pool_document", body, native=True)["properties"]
    assert native == {"n": 5, "l": [1, "1.10"], "t": "v1.10", "s": "1.10"}
    plain = rendered("create", "pool_document", body, native=False)["properties"]
    assert plain == {"n": "5", "l": "[1, '1.10']", "t": "v1.10", "s": "1.10"}


@pytest.mark.parametrize("native", [False, True])
def test_a_comment_is_left_out_and_makes_no_number_of_the_rest(native):
    body = {"v": "1.{# minor #}10"}
    assert rendered("create", "pool_document", body, native=native) == {"v": "1.10"}


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize(
    ("template", "value"),
    [("{{ n }}", "20260101"), ("{{ t }}", "007"), ("0{{ n }}", "020260101"), ("{{ none }}x", "Nonex")],
)
@pytest.mark.parametrize(
    ("door", "field"),
    [("delete", "pool_id"), ("gate", "pool_id"), ("get", "compute_node_id"), ("notifier", "pool_id")],
)
def test_a_name_is_a_text_whatever_it_is_made_of(door, field, template, value, native):
    context = {"n": 20260101, "t": "007"}
    assert rendered(door, field, template, native=native, context=context) == value


@pytest.mark.parametrize("native", [False, True])
def test_names_in_a_list_are_texts_and_a_template_may_be_the_whole_list(native):
    context = {"n": 7, "names": ["1.10", "b"]}
    given = ["007", "{{ n }}"]
    assert rendered("gate", "extension_names", given, native=native, context=context) == ["007", "7"]
    whole = rendered("repair", "node_ids", "{{ names }}", native=native, context=context)
    assert whole == ["1.10", "b"]
    nothing = rendered("create", "pool_id", "{{ n }}", native=native, context={"n": None})
    assert nothing is None if native else nothing == "None"


def test_a_dag_with_marks_of_its_own_is_rendered_by_them():
    marks = {"variable_start_string": "[[", "variable_end_string": "]]", "line_statement_prefix": "%"}
    body = {"v": "{{ 1.10 }}", "w": "[[ 2 ]]", "x": "% set y = 1\n[[ y ]]", "z": "1.10"}
    made = rendered("create", "pool_document", body, native=True, jinja_environment_kwargs=marks)
    assert made == {"v": "{{ 1.10 }}", "w": 2, "x": 1, "z": "1.10"}


def test_what_is_no_template_is_none_in_a_mapped_task_either():
    from airflow_batchext.operators.pool import AzureBatchDeletePoolOperator

    with dag(True):
        mapped = AzureBatchDeletePoolOperator.partial(task_id="t").expand(pool_id=["007", "1.10", "{{ n }}"])
    environment = dag(True).get_template_env()

    def made(pool_id, seen_oids):
        task = mapped.unmap({"pool_id": pool_id})
        task._do_render_template_fields(task, mapped.template_fields, {"n": 7}, environment, seen_oids)
        return task.pool_id

    template = "{{ n }}"
    assert [made(pool_id, set()) for pool_id in ("007", "110", template)] == ["007", "110", "7"]
    assert made(template, {id(template)}) == template, "what came out of an XCom is no template"


# Where a user would write a template


@pytest.mark.parametrize("native", [False, True])
def test_the_identities_of_a_document_may_be_templates(native):
    body = {"identity": {"userAssignedIdentities": {"/i/{{ name }}": {}, "/i/plain": {"a": "{{ name }}"}}}}
    made = rendered("create", "pool_document", body, native=native, context={"name": "007"})
    names = {"/i/007": {}, "/i/plain": {"a": "007"}}
    assert made == {"identity": {"userAssignedIdentities": names}}


LISTS = ["a, b", "a,b,", '["a", "b"]', "['a', 'b']", "('a', 'b')", " [\"a\", 'b'] "]


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("text", LISTS)
@pytest.mark.parametrize(
    ("door", "field"), [("gate", "extension_names"), ("diagnose", "extension_names"), ("repair", "node_ids")]
)
def test_a_list_may_be_written_in_one_text(door, field, text, native):
    made = rendered(door, field, "{{ names }}", native=native, context={"names": text})
    assert list(made) == ["a", "b"]
    task = DOORS[door][0](**{**DOORS[door][1], field: text})
    assert task.checks[field](field, getattr(task, field)) == ("a", "b")


@pytest.mark.parametrize("native", [False, True])
def test_a_template_may_name_one_alone(native):
    assert rendered("gate", "extension_names", "{{ n }}", native=native, context={"n": "agent"}) == ["agent"]


@pytest.mark.parametrize("text", ["agent", "", " ", ",", "[", "[1]", "[]", '{"a": 1}', "[['a']]"])
def test_what_is_no_list_is_still_refused_where_it_is_written(text):
    made, least = DOORS["gate"]
    with pytest.raises(ParameterError, match="extension_names"):
        made(**least, extension_names=text)


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize(("door", "field"), [("repair", "policy"), ("gate", "repair")])
@pytest.mark.parametrize(
    "given",
    [
        {
            "order": ["{{ step }}"],
            "at_once": "{{ share }}",
            "include_running": "{{ flag }}",
            "rounds": "{{ n }}",
        },
        {"order": "{{ step }},", "at_once": "{{ share }}", "include_running": "{{ flag }}", "rounds": 2},
        "{{ whole }}",
        "{{ whole | tojson }}",
    ],
)
def test_a_policy_may_be_made_of_templates(door, field, given, native):
    whole = {"order": ["reboot"], "at_once": 0.5, "include_running": True, "rounds": 2}
    context = {"step": "reboot", "share": 0.5, "flag": True, "n": 2, "whole": whole}
    made = rendered(door, field, given, native=native, context=context)
    assert check_repair_policy(field, made) == RepairPolicy(**{**whole, "order": ("reboot",)})
    assert construct_with(door, field, given)


def construct_with(door: str, field: str, value: Any) -> Any:
    made, least = DOORS[door]
    return made(**{**least, field: value})


@pytest.mark.parametrize("native", [False, True])
def test_how_many_nodes_may_fail_may_be_a_template(native):
    made = rendered("gate", "max_failed_nodes", "{{ n }}", native=native, context={"n": 3})
    assert check_count("max_failed_nodes", made) == 3


@pytest.mark.parametrize("field", ["extension_names", "min_nodes", "max_failed_nodes", "repair"])
def test_a_gate_in_the_triggerer_alone_says_which_of_its_rules_is_a_template(field):
    value = {"at_once": "{{ n }}"} if field == "repair" else "{{ n }}"
    made, least = DOORS["gate"]
    with pytest.raises(ParameterError, match=rf"{field} is a template.*with start_from_trigger"):
        made(**least, start_from_trigger=True, **{field: value})


@pytest.mark.parametrize("native", [False, True])
def test_paths_may_be_path_objects_with_templates(native, tmp_path):
    made, least = DOORS["create"]
    with dag(native) as around:
        task = made(**{**least, "pool_document": tmp_path / "{{ n }}.yaml"})
        report = DOORS["diagnose"][0](task_id="r", pool_id="p", output_uri=tmp_path / "{{ n }}")
    for each in (task, report):
        each.render_template_fields({"dag": around, "n": "007"})
    assert reveal(task.pool_document) == f"{tmp_path}/007.yaml"
    assert report.output_uri == f"{tmp_path}/007"
