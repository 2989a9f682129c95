"""What a policy takes, and how it goes through a trigger's row."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from airflow_batchext.exceptions import ParameterError
from airflow_batchext.repair import RepairPolicy
from airflow_batchext.repair.policy import check_repair_policy


@pytest.mark.parametrize(
    "policy",
    [
        RepairPolicy(),
        RepairPolicy(order=("replace",), at_once=1.0, stuck_after=5, include_running=True),
        RepairPolicy(at_once=3, extension_names=("a", "b"), memory=timedelta(hours=1)),
    ],
)
def test_a_policy_goes_through_json(policy):
    assert RepairPolicy.from_json(json.loads(json.dumps(policy.to_json()))) == policy


def test_the_default_is_written_as_nothing():
    assert RepairPolicy().to_json() == {}
    assert check_repair_policy("repair", None) == check_repair_policy("repair", {}) == RepairPolicy()


@pytest.mark.parametrize(
    ("at_once", "nodes", "most"),
    [(0.2, 5, 1), (0.2, 10, 2), (0.2, 1, 1), (1, 50, 1), (1.0, 50, 50), (3, 2, 3), (1.0, 2000, 100)],
)
def test_a_share_is_of_the_pool_and_one_node_at_least(at_once, nodes, most):
    assert RepairPolicy(at_once=at_once).most_at_once(nodes) == most


def test_stuck_nodes_are_picked_where_it_is_said_when_they_are():
    assert "stuck" not in RepairPolicy().pick
    assert "stuck" in RepairPolicy(stuck_after=60).pick


@pytest.mark.parametrize(
    ("member", "value", "words"),
    [
        ("order", ["pray"], r"order has 'pray', but it can have: reboot, reimage, replace"),
        ("order", ["reboot", "reboot"], "twice"),
        ("order", "reboot", "has to be a list of names"),
        ("at_once", 0, "share up to 1.0"),
        ("at_once", 1.5, "share up to 1.0"),
        ("at_once", True, "has to be a number"),
        ("attempts", 1.5, "whole number"),
        ("settle", "soon", "has to be a number"),
        ("include_running", "no", "True or False"),
        ("on_tasks", "kill", "it is one of: taskcompletion, requeue, terminate"),
        ("max_nodes", 3, "no part of a repair policy"),
    ],
)
def test_what_cannot_be_used_is_told(member, value, words):
    with pytest.raises(ParameterError, match=f"policy: .*{words}"):
        check_repair_policy("policy", {member: value})
