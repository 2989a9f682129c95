"""What of a pool an account cannot give: the rules, with answers as the service gives them."""

from __future__ import annotations

import pytest

from airflow_batchext.cli.validate.account_rules import Account, compare
from tests.pool_spec import documents
from tests.pool_spec.documents import ABSENT, FIXED, MACHINE

GOOD = documents.with_change("properties.vmSize", "STANDARD_D2S_V5")

TODAY = "2026-11-22"
SIZES = [
    {
        "name": "Standard_D2s_v5",
        "familyName": "standardDSv5Family",
        "capabilities": [{"name": "vCPUs", "value": "2"}],
    },
    {
        "name": "Standard_D4s_v5",
        "familyName": "standardDSv5Family",
        "capabilities": [{"name": "vCPUs", "value": "4"}],
        "batchSupportEndOfLife": "2026-11-22T00:00:00Z",
    },
    {"name": "Standard_Odd", "familyName": "odd"},
]
IMAGES = [
    {
        "imageReference": {"publisher": "canonical", "offer": "ubuntu-24_04-lts", "sku": "server"},
        "nodeAgentSKUId": "batch.node.ubuntu 24.04",
    },
    {
        "imageReference": {"publisher": "canonical", "offer": "ubuntuserver", "sku": "18.04-lts"},
        "nodeAgentSKUId": "batch.node.ubuntu 18.04",
        "batchSupportEndOfLife": "2030-01-01T00:00:00Z",
    },
]


def with_change(path, value, base=GOOD):
    return documents.with_change(path, value, base)


def account(*, pools=(), **properties):
    quota = {"dedicatedCoreQuota": 20, "lowPriorityCoreQuota": 4, "poolQuota": 3}
    return Account(
        {"location": "westeurope", "properties": quota | properties},
        sizes=SIZES,
        images=IMAGES,
        pools=pools,
    )


def pool(name="other", **properties):
    size = {"vmSize": "STANDARD_D2S_V5", "currentDedicatedNodes": 0, "currentLowPriorityNodes": 0}
    return {"name": name, "properties": size | properties}


def found(document, there=None, name="pool1"):
    return [(f.severity, f.path, f.problem) for f in compare(name, document, there or account(), TODAY)]


def test_what_the_account_can_give_has_no_findings():
    assert found(GOOD) == []
    assert found(GOOD, account(pools=[pool()])) == []


@pytest.mark.parametrize(
    ("path", "value", "severity", "place", "problem"),
    [
        (
            "properties.vmSize",
            "Standard_D2_v5",
            "error",
            "properties.vmSize",
            "does not offer 'Standard_D2_v5' in westeurope",
        ),
        (
            "properties.vmSize",
            "STANDARD_D4S_V5",
            "warning",
            "properties.vmSize",
            "this size has ended on 2026-11-22",
        ),
        (
            f"{FIXED}.targetDedicatedNodes",
            11,
            "error",
            f"{FIXED}.targetDedicatedNodes",
            "11 nodes need 22 cores, and the account's quota of dedicated cores is 20",
        ),
        (f"{FIXED}.targetDedicatedNodes", "11", "error", f"{FIXED}.targetDedicatedNodes", "22 cores"),
        (
            f"{FIXED}.targetLowPriorityNodes",
            3,
            "error",
            f"{FIXED}.targetLowPriorityNodes",
            "quota of low-priority cores is 4",
        ),
        (
            "properties.taskSlotsPerNode",
            9,
            "error",
            "properties.taskSlotsPerNode",
            "four for each of the 2 cores",
        ),
        (
            f"{MACHINE}.imageReference.sku",
            "serverr",
            "error",
            f"{MACHINE}.imageReference",
            "does not list the image 'canonical:ubuntu-24_04-lts:serverr'",
        ),
        (
            f"{MACHINE}.nodeAgentSkuId",
            "batch.node.ubuntu 22.04",
            "error",
            f"{MACHINE}.nodeAgentSkuId",
            "agent of this image is batch.node.ubuntu 24.04",
        ),
    ],
)
def test_what_it_cannot_give_is_told_at_its_place(path, value, severity, place, problem):
    ((seen, where, what),) = found(with_change(path, value))
    assert (seen, where) == (severity, place)
    assert problem in what


def test_a_near_miss_gets_a_suggestion():
    (size,) = compare("p", with_change("properties.vmSize", "Standard_D2_v5"), account(), TODAY)
    assert size.fix == "Did you mean Standard_D2s_v5?"
    (image,) = compare("p", with_change(f"{MACHINE}.imageReference.sku", "serverr"), account(), TODAY)
    assert image.fix == "Did you mean canonical:ubuntu-24_04-lts:server?"


def test_an_image_whose_support_ends_is_a_warning():
    document = with_change(f"{MACHINE}.imageReference", IMAGES[1]["imageReference"])
    document = with_change(f"{MACHINE}.nodeAgentSkuId", "batch.node.ubuntu 18.04", document)
    ((severity, _, problem),) = found(document)
    assert (severity, problem) == ("warning", "Batch's support of this image ends on 2030-01-01")


def test_of_an_own_image_the_node_agent_is_compared():
    document = with_change(f"{MACHINE}.imageReference", {"id": "/subscriptions/x"})
    assert found(document) == []
    document = with_change(f"{MACHINE}.nodeAgentSkuId", "batch.node.ubuntu 24.4", document)
    (finding,) = compare("p", document, account(), TODAY)
    assert (finding.path, finding.fix) == (
        f"{MACHINE}.nodeAgentSkuId",
        "Did you mean batch.node.ubuntu 24.04?",
    )


def test_cores_that_other_pools_have_now_are_a_warning():
    others = [pool(currentDedicatedNodes=6), pool("third", currentDedicatedNodes=3)]
    document = with_change(f"{FIXED}.targetDedicatedNodes", 2)
    ((severity, _, problem),) = found(document, account(pools=others))
    assert severity == "warning"
    assert problem == "2 nodes need 4 cores; of the 20 dedicated cores other pools have 18 now"
    assert found(GOOD, account(pools=others)) == []


def test_the_quota_of_a_family_counts_only_where_it_is_enforced():
    family = [{"name": "STANDARDDSV5FAMILY", "coreQuota": 4}, {"name": "odd", "coreQuota": 0}]
    document = with_change(f"{FIXED}.targetDedicatedNodes", 3)
    for enforced, count in ((False, 0), (True, 1)):
        there = account(dedicatedCoreQuotaPerVMFamilyEnforced=enforced, dedicatedCoreQuotaPerVMFamily=family)
        findings = found(document, there)
        assert len(findings) == count
    assert "quota of dedicated cores of standardDSv5Family is 4" in findings[0][2]


def test_an_account_in_its_users_subscription_has_no_quota_to_compare():
    there = account(dedicatedCoreQuota=None, lowPriorityCoreQuota=None)
    assert found(with_change(f"{FIXED}.targetDedicatedNodes", 5000), there) == []


def test_a_pool_of_that_name_is_told_and_how_it_differs():
    machine = GOOD["properties"]["deploymentConfiguration"]["virtualMachineConfiguration"]
    same = {**GOOD, "name": "POOL1"}
    ((severity, path, problem),) = found(GOOD, account(pools=[same]))
    assert (severity, path) == ("warning", "name")
    assert problem == "there is a pool POOL1 already, as asked for"
    other = with_change(f"{MACHINE}.extensions", machine["extensions"][:1], same)
    first, *differences = found(GOOD, account(pools=[other]))
    assert first == ("warning", "name", "there is a pool POOL1 already")
    assert [path for _, path, _ in differences] == [f"{MACHINE}.extensions[{n}]" for n in ("monitor", "gpu")]
    assert found({**GOOD, "properties": {}}, account(pools=[same]))[0] == first, "errors come first"
    gone = with_change("properties.provisioningState", "Deleting", same)
    ((_, _, problem),) = found(GOOD, account(pools=[gone]))
    assert "still being deleted" in problem


def test_no_room_for_another_pool_is_an_error():
    ((severity, _, problem),) = found(GOOD, account(pools=[pool("a"), pool("b"), pool("c")]))
    assert severity == "error"
    assert problem == "the account has 3 pools, and its quota is 3"


@pytest.mark.parametrize("broken", [{}, {"properties": 3}, with_change("properties.scaleSettings", ABSENT)])
def test_what_is_missing_in_a_document_or_in_an_answer_is_no_finding_here(broken):
    assert found(broken) == []
    assert compare("p", GOOD, Account({}), TODAY) == []
    assert compare("", GOOD, Account({}, sizes=[{"name": "STANDARD_D2S_V5"}], pools=[{}], images=[]), TODAY)


def test_containers_need_an_image_that_the_account_lists_so():
    document = with_change(f"{MACHINE}.containerConfiguration", {"type": "DockerCompatible"})
    ((severity, path, what),) = found(document)
    assert (severity, path) == ("warning", f"{MACHINE}.imageReference")
    assert "DockerCompatible" in what
    there = account()
    capable = [{**IMAGES[0], "capabilities": ["DockerCompatible"]}]
    assert found(document, Account(there.body, there.sizes, capable, there.pools)) == []


@pytest.mark.parametrize("mode", ["BatchService", "UserSubscription"])
def test_disk_encryption_sets_are_for_accounts_of_ones_own_subscription(mode):
    disk = {"managedDisk": {"diskEncryptionSet": {"id": "x"}}}
    document = with_change(f"{MACHINE}.osDisk", disk)
    document = with_change(f"{MACHINE}.dataDisks", [{"lun": 0, "diskSizeGB": 1, **disk}], document)
    paths = [path for _, path, _ in found(document, account(poolAllocationMode=mode))]
    places = [f"{MACHINE}.{disk}.managedDisk.diskEncryptionSet" for disk in ("osDisk", "dataDisks[0]")]
    assert paths == (places if mode == "BatchService" else [])
