from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError

from airflow_batchext.emulator import ExtensionScenario, PoolScenario, Scenario, Timings
from airflow_batchext.emulator.scenario import SYSTEM_EXTENSION

if TYPE_CHECKING:
    from pathlib import Path


def test_by_default_everything_succeeds() -> None:
    scenario = Scenario(timings=Timings(extension=7))
    run = scenario.extension_run("p", 0, "tvmps_a_d", "ext", 0)
    assert (run.outcome, run.seconds) == ("succeed", 7)
    assert scenario.resize_rule("p") is None


def test_the_first_rule_that_matches_wins() -> None:
    scenario = Scenario(
        extensions=[
            ExtensionScenario(node=1, outcome="fail", code="X"),
            ExtensionScenario(extension="kv*", outcome="hang"),
            ExtensionScenario(outcome="fail"),
        ]
    )
    assert scenario.extension_run("p", 1, "id", "kv", 0).code == "X"
    assert scenario.extension_run("p", 0, "id", "kv", 0).outcome == "hang"
    assert scenario.extension_run("p", 0, "id", "other", 0).outcome == "fail"


def is_about(rule: ExtensionScenario, pool: str, index: int, node: str, extension: str, boot: int) -> bool:
    return rule.covers(extension) and rule.matches(pool, index, node, boot)


@pytest.mark.parametrize(
    ("rule", "matches"),
    [
        ({}, True),
        ({"pool": "MYP*"}, True),
        ({"pool": "other"}, False),
        ({"node": 3}, True),
        ({"node": "3"}, True),
        ({"node": 4}, False),
        ({"node": "TVMPS_3_D"}, True),
        ({"node": "tvmps_*"}, True),
        ({"node": "tvmps_4_d"}, False),
        ({"extension": "SECRETEXT"}, True),
        ({"extension": "ext"}, False),
        ({"boots": "first"}, True),
        ({"boots": "later"}, False),
    ],
)
def test_what_a_rule_is_about(rule: dict[str, str | int], matches: bool) -> None:
    assert is_about(ExtensionScenario(**rule), "mypool", 3, "tvmps_3_d", "secretext", 0) is matches


def test_rules_can_be_about_the_first_boot_or_about_later_ones() -> None:
    first, later = ExtensionScenario(boots="first"), ExtensionScenario(boots="later")
    assert [is_about(first, "p", 0, "n", "e", boot) for boot in (0, 1, 2)] == [True, False, False]
    assert [is_about(later, "p", 0, "n", "e", boot) for boot in (0, 1, 2)] == [False, True, True]


def test_batchs_own_extension_must_be_named_in_full() -> None:
    assert not is_about(ExtensionScenario(extension="*"), "p", 0, "n", SYSTEM_EXTENSION, 0)
    assert not is_about(ExtensionScenario(extension="batch*"), "p", 0, "n", SYSTEM_EXTENSION, 0)
    assert is_about(ExtensionScenario(extension="BATCHNODEEXTENSION"), "p", 0, "n", SYSTEM_EXTENSION, 0)


def test_a_code_belongs_to_a_failure() -> None:
    with pytest.raises(ValidationError, match="only with the outcome 'fail'"):
        ExtensionScenario(outcome="hang", code="X")


def test_pool_rules_match_names_without_regard_to_case() -> None:
    scenario = Scenario(pools=[PoolScenario(pool="Bad-*", nodes_allocated=0)])
    assert scenario.resize_rule("bad-1") is not None
    assert scenario.resize_rule("good") is None


YAML = """
timings: {allocation: 1}
extensions:
  - {extension: kv, node: 0, outcome: fail, code: Oops, message: no secret, boots: first}
pools:
  - pool: p
    resize_error: {code: AccountCoreQuotaReached, message: quota, values: {Limit: "4"}}
    nodes_allocated: 1
answers: {level: word}
"""


def test_a_scenario_is_loaded_from_yaml_and_json(tmp_path: Path) -> None:
    as_yaml = tmp_path / "s.yaml"
    as_yaml.write_text(YAML)
    scenario = Scenario.load(as_yaml)
    assert scenario.timings.allocation == 1
    assert scenario.extensions[0].message == "no secret"
    assert scenario.answers.level == "word"
    as_json = tmp_path / "s.json"
    as_json.write_text(scenario.model_dump_json())
    assert Scenario.load(str(as_json)) == scenario
    assert Scenario.load(scenario.model_dump()) == scenario


def test_an_empty_file_is_the_default_scenario(tmp_path: Path) -> None:
    empty = tmp_path / "s.yaml"
    empty.write_text("# nothing\n")
    assert Scenario.load(empty) == Scenario()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "cannot read the scenario"),
        ("[1]", "valid"),
        ("extensions: [{outcom: fail}]", "extensions.0.outcom: Extra inputs are not permitted"),
        ("timings: {allocation: -1}", "timings.allocation"),
        ("timings: {allocation: .inf}", "timings.allocation"),
    ],
)
def test_a_bad_file_is_refused_in_one_line(tmp_path: Path, content: str, says: str) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(content)
    with pytest.raises(ValueError, match="scenario") as caught:
        Scenario.load(bad)
    assert says in str(caught.value)
    assert str(bad) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cannot read the scenario .*none"):
        Scenario.load(tmp_path / "none")
