"""Each known cause, made by the emulator and read through the SDK, is named first; of mixed ones all are."""

from __future__ import annotations

import json

import pytest

from airflow_batchext.batch.data_plane import Phase
from airflow_batchext.diagnosis import Diagnosis, diagnose, known_causes
from airflow_batchext.emulator import Scenario
from airflow_batchext.health import from_json, to_json
from airflow_batchext.hooks.health import read_health
from airflow_batchext.hooks.node import AzureBatchNodeHook
from tests.diagnosis import causes_page
from tests.diagnosis.faults import (
    AGENT,
    FAULTS,
    GPU,
    HEALTH,
    SIGNATURE,
    Fault,
    diagnosed,
    hangs,
    on,
    reported,
    says,
    together,
    vault,
    with_gpu,
)

pytestmark = pytest.mark.usefixtures("signed_in")

IDS = [cause.id for cause in known_causes()]
DOCUMENT = {cause.id for cause in known_causes() if cause.document}


def test_there_is_a_way_to_make_each_known_cause():
    assert sorted(FAULTS) == sorted(IDS)


_FOUND: dict[str, Diagnosis] = {}


def diagnosed_once(azure, cause):
    """What is found of a known cause, whichever test asks first: nothing changes it."""
    if cause not in _FOUND:
        _FOUND[cause] = diagnosed(azure, FAULTS[cause])
    return _FOUND[cause]


@pytest.mark.parametrize("cause", IDS)
def test_the_diagnosis_names_the_cause_first(azure, cause):
    found = diagnosed_once(azure, cause)
    assert found.causes[:1] == (cause,), found.short(9)
    assert not found.healthy
    first = found.found_causes[0]
    assert first.hits
    assert first.cause.title in found.verdict
    assert first.cause.remedy in found.short()


MIXED = [
    ("quota-dedicated-cores", "key-vault-no-role"),
    ("key-vault-no-role", "start-task-failed"),
    ("key-vault-no-role", "preempted"),
    ("key-vault-certificate-missing", "gpu-none"),
    ("key-vault-firewall", "extension-dns"),
    ("gpu-secure-boot", "key-vault-endpoint"),
    ("gpu-none", "extension-other-system"),
    ("monitor-without-identity", "key-vault-without-identity"),
    ("package-lock", "extension-proxy"),
    ("extension-network", "disk-full"),
    ("allocation-timed-out", "extension-timed-out"),
    ("no-capacity", "batch-agent"),
    ("vm-generation", "key-vault-client-id"),
    ("key-vault-no-role", "node-unreachable"),
    ("key-vault-initial-sync", "quota-vm-family"),
    ("extension-behind-another", "key-vault-no-role"),
    ("extension-order", "application-package"),
    ("identity-operation-failed", "key-vault-no-client-id"),
    ("start-task-runs", "deallocated"),
    ("quota-vm-family", "container-image", "extension-dns"),
    ("nodes-missing", "machine-agent"),
    ("key-vault-no-role", "start-task-failed", "gpu-none", "preempted"),
    ("key-vault-certificate-missing", "contact-lost"),
    ("key-vault-endpoint", "policy"),
    ("mount-failed", "monitor-unsupported-system"),
    ("extension-provisioning", "key-vault-certificate-missing"),
]


@pytest.mark.parametrize("causes", MIXED, ids="+".join)
def test_of_several_causes_at_once_all_are_named(azure, causes):
    # What happens to single nodes happens to the first; the others are faults of the last ones.
    # What lies in the document is wrong on all nodes: a success on one of them would rule it out.
    mixed = together(
        *(
            FAULTS[cause] if FAULTS[cause].then or cause in DOCUMENT else on(1 + n % 2, FAULTS[cause])
            for n, cause in enumerate(causes)
        )
    )
    for rule in mixed.rules.get("pools", ()):
        rule["nodes_allocated"] = 3
    found = diagnosed(azure, mixed, nodes=4 if "pools" in mixed.rules else 3)
    assert set(causes) <= set(found.causes), found.short(9)


HEALTHY = {
    "a vault": Fault(),
    "no extensions": Fault(
        change=lambda body: body["properties"]["deploymentConfiguration"]["virtualMachineConfiguration"].pop(
            "extensions"
        )
    ),
    "many extensions": Fault([AGENT, HEALTH, vault("second")]),
    "a gpu": Fault([GPU], change=with_gpu),
    "a start task": Fault(change=FAULTS["start-task-failed"].change),
    "no identity": Fault(change=FAULTS["key-vault-without-identity"].change),
    "the gpu driver on a machine without": Fault([GPU]),
    "secure boot": Fault([GPU], change=FAULTS["gpu-secure-boot"].change),
    "settings in words": Fault(rules={"answers": {"node_settings": "object", "level": "word"}}),
    "settings of the pool in text": Fault(rules={"answers": {"pool_settings": "string"}}),
    "extensions that took their time": Fault(rules={"extensions": [{"after": 900}]}),
    "what an extension upgraded": Fault(rules={"extensions": [{"upgrade_after": 60, "upgrade_seconds": 30}]}),
    "one after the other": Fault([HEALTH, {**AGENT, "provisionAfterExtensions": ["health"]}]),
}


@pytest.mark.parametrize("pool", HEALTHY)
def test_a_healthy_pool_has_no_cause(azure, pool):
    found = diagnosed(azure, HEALTHY[pool])
    assert found.health.outcome == "open"
    assert (found.causes, found.unexplained) == ((), ())
    assert found.verdict == "Nothing is wrong: every extension on every node has succeeded."


@pytest.mark.parametrize("seconds", [0, 60, 125, 140])
def test_a_pool_that_comes_up_has_no_cause(azure, seconds):
    slow = Fault(rules={"extensions": [{"after": 200}]}, seconds=seconds)
    found = diagnosed(azure, slow)
    assert found.health.outcome == "wait"
    assert found.causes == ()
    assert found.unexplained
    assert "not ready yet" in found.verdict


def test_an_earlier_failed_resize_that_was_made_good_is_no_cause(azure):
    """Azure keeps the errors of the last resize until the next one."""
    found = diagnosed(
        azure, Fault(rules={"pools": [{"resize_error": "AllocationTimedout", "nodes_allocated": 3}]})
    )
    assert found.health.resize_errors
    assert found.causes == ()


def test_what_nobody_knows_is_said_to_be_so_and_listed(azure):
    found = diagnosed(azure, Fault([HEALTH], says("health", "Enable failed: exit 9")))
    assert found.causes == ()
    assert found.verdict == "No known cause explains this; the facts are below."
    assert len(found.unexplained) == 3
    assert all(
        "health reports ProvisioningState/failed/1: Enable failed: exit 9" in f for f in found.unexplained
    )
    assert "Enable failed: exit 9" in found.short()


def test_the_nodes_that_no_cause_explains_are_listed_beside_those_that_one_does(azure):
    mixed = together(on(0, FAULTS["key-vault-no-role"]), Fault([HEALTH], says("health", "who knows", node=1)))
    found = diagnosed(azure, mixed)
    assert found.causes == ("key-vault-no-role",)
    (fact,) = found.unexplained
    assert "who knows" in fact


def test_an_extension_that_no_cause_explains_is_listed_though_another_on_its_node_is_explained(azure):
    """Nor does what is known of the node itself explain it."""
    mixed = together(FAULTS["key-vault-no-role"], Fault([HEALTH], says("health", "who knows")))
    found = diagnosed(azure, mixed)
    assert found.causes == ("key-vault-no-role",)
    assert len(found.unexplained) == 3
    assert all("who knows" in fact for fact in found.unexplained)


def test_a_general_cause_gives_way_to_a_particular_one_on_the_same_node(azure):
    """An unusable node whose vault extension may not read the vault is no puzzle of the network."""
    mixed = together(on(0, FAULTS["key-vault-no-role"]), FAULTS["node-unreachable"])
    assert diagnosed(azure, mixed).causes == ("key-vault-no-role",)


def test_what_is_on_its_way_for_a_short_time_is_no_cause_yet_and_later_is(azure):
    fault = Fault(rules=FAULTS["key-vault-initial-sync"].rules, seconds=400)
    assert diagnosed(azure, fault).causes == ()
    azure.pass_time(600)
    with AzureBatchNodeHook() as hook:
        assert diagnose(read_health(hook, azure.pool_id)).causes == ("key-vault-initial-sync",)


def test_refusals_in_the_middle_are_told(azure):
    azure.create(nodes=2)
    azure.emulator.scenario = Scenario()
    azure.emulator.faults.add(
        action="error", status=403, path="*/extensions", code="InsufficientAccountPermissions", count=9
    )
    with AzureBatchNodeHook(retries=0) as hook:
        found = diagnose(read_health(hook, azure.pool_id))
    azure.emulator.faults.clear()
    assert found.causes[:1] == ("access-refused",)


@pytest.mark.parametrize("cause", known_causes(), ids=IDS)
def test_every_cause_is_described_in_full(cause):
    texts = (cause.title, cause.seen, cause.remedy)
    assert all(text and text == text.strip() and not text.endswith(".") for text in texts)
    assert cause.link.startswith("https://")
    assert cause.evidence
    assert all(place.startswith("https://") for place in cause.evidence)
    assert cause.certainty in ("told", "elsewhere", "plausible")
    assert 0 < cause.weight <= 100


def test_the_page_of_the_docs_is_the_table():
    assert causes_page.PAGE.read_text("utf-8") == causes_page.page()


# --- evidence to the contrary ------------------------------------------------------------------------------


def healed_on(health, node_index):
    """The snapshot, but every extension of one node has succeeded."""
    data = to_json(health)
    nodes = data["nodes"]
    for extension in nodes[node_index % len(nodes)]["extensions"] if nodes else []:
        extension.update(phase="succeeded", code="ProvisioningState/succeeded", message="", statuses=[])
    return from_json(data)


@pytest.mark.parametrize("cause", IDS)
def test_where_an_extension_succeeded_no_cause_in_the_document_is_named(azure, cause):
    health = diagnosed_once(azure, cause).health
    for index in range(max(len(health.nodes), 1)):
        healed = healed_on(health, index)
        succeeded = {e.name for n in healed.nodes for e in n.extensions if e.phase is Phase.SUCCEEDED}
        for found in diagnose(healed).found_causes:
            if found.cause.document:
                assert succeeded.isdisjoint(hit.extension for hit in found.hits)
                assert not ("secretext" in succeeded and not found.extensions)


def test_a_hang_on_one_of_three_nodes_is_not_the_identitys_fault(azure):
    fault = Fault(change=FAULTS["key-vault-without-identity"].change, rules=hangs("secretext", node=1))
    found = diagnosed(azure, fault)
    assert found.health.outcome == "wait"
    assert not DOCUMENT & set(found.causes)
    assert found.unexplained, "it is told as it was seen"


def test_the_providers_words_are_looked_up_among_the_causes_of_the_extension(azure):
    words = "Install,failed,51,Unsupported operating system: debian 12"
    told = reported("monitor", words, "AzureMonitorLinuxAgent")
    found = diagnosed(azure, Fault([AGENT], told))
    assert found.causes[:1] == ("monitor-unsupported-system",), found.short(9)
    assert "allocation-failed" not in found.causes
    assert found.found_causes[0].extensions == ("monitor",)


def test_the_provider_may_speak_of_batchs_own_extension(azure):
    found = diagnosed(azure, Fault(rules=reported("batchNodeExtension", "actual=403", "CustomScript")))
    assert found.causes[:1] == ("batch-agent",), found.short(9)
    assert "allocation-failed" not in found.causes


def test_a_start_task_of_the_boot_before_is_no_cause(azure):
    fault = Fault(
        change=FAULTS["start-task-failed"].change, rules={"start_tasks": [{"exit_code": 7, "boots": "first"}]}
    )
    assert diagnosed(azure, fault, nodes=1).causes[:1] == ("start-task-failed",)
    azure.emulator.account.reimage_node(azure.pool_id, 0)
    azure.pass_time(458)
    with AzureBatchNodeHook() as hook:
        found = diagnose(read_health(hook, azure.pool_id))
    assert found.health.nodes[0].state == "starting"
    assert found.health.nodes[0].start_task.result == "failure", "it still shows the old one"
    assert found.causes == ()


def test_where_a_file_of_the_start_task_lies_is_told_without_its_signature(azure):
    found = diagnosed(azure, FAULTS["start-task-files"])
    assert found.causes == ("start-task-files",)
    (hit,) = found.found_causes[0].hits
    assert "BlobNotFound" in hit.said
    assert "setup.sh" in hit.said
    assert "exit code" not in hit.said
    assert SIGNATURE not in json.dumps(to_json(found.health)) + found.short()
