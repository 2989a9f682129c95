"""A pool that was made from a document does not differ from it; any other one does, in the right place."""

from __future__ import annotations

import base64
import copy
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_batchext.pool_spec import Remedy, find_differences, request_body, updates
from tests.conftest import document
from tests.examples import by_turns, examples
from tests.pool_spec.bodies import BODIES, read_back
from tests.pool_spec.documents import MACHINE, steps, value_at, with_change
from tests.secrets.kinds import SECRET, values

EXAMPLES = Path(
    os.environ.get("BATCHEXT_EXAMPLES", Path(__file__).parents[3] / "shared" / "azure-batch" / "examples")
)
RECORDINGS = EXAMPLES.parent / "recordings"
QUICK = settings(deadline=None, max_examples=examples(50), suppress_health_check=list(HealthCheck))
SLOW = settings(deadline=None, max_examples=examples(150), suppress_health_check=list(HealthCheck))
FIXED = "properties.scaleSettings.fixedScale"


def counting(existing: Any, asked: Any, **how: Any) -> list[str]:
    return [str(d) for d in find_differences(existing, asked, **how) if d.counts]


@SLOW
@given(BODIES)
def test_what_was_put_and_read_back_is_the_same(body):
    assert counting(read_back(copy.deepcopy(body)), request_body(body)) == []


@SLOW
@given(BODIES, st.data())
def test_a_change_of_one_value_is_found_in_its_place(body, data):
    existing = read_back(copy.deepcopy(body))
    leaves = [path for path in leaves_of(body) if not is_beyond_comparison(path)]
    path = data.draw(st.sampled_from(leaves))
    asked = with_change(path, changed(value_at(body, path)), body)
    found = find_differences(existing, asked)
    named = [d for d in found if d.counts]
    assert named, path
    member = ".".join(path.replace("[", ".").split(".")[:2])
    assert all(d.path.replace("[", ".").startswith(member) for d in named), (path, list(map(str, named)))


@QUICK
@given(BODIES)
def test_no_secret_is_shown_and_none_is_a_difference_that_counts(body):
    shown = json.dumps([d.to_json() for d in find_differences({"properties": {}}, body)])
    shown += " ".join(map(str, find_differences({"properties": {}}, body)))
    assert "S3NTINEL" not in shown


@QUICK
@given(BODIES, BODIES)
def test_a_patch_leaves_only_what_no_patch_can_fix(one, other):
    existing = read_back(copy.deepcopy(one))
    found = find_differences(existing, other)
    patch, left = updates(other, found)
    assert {d.remedy for d in left} <= {
        Remedy.REPLACE,
        Remedy.UNKNOWN,
        Remedy.UPDATE_WHILE_EMPTY,
        Remedy.UPDATE,
    }
    after = {**other, "properties": {**existing["properties"], **patch.get("properties", {})}}
    still = [d for d in find_differences(after, other) if d.remedy is Remedy.UPDATE]
    assert not [d for d in still if d not in left]


def is_beyond_comparison(path: str) -> bool:
    secret = (
        "protectedSettings",
        "assword",
        "sshPrivateKey",
        "accountKey",
        "sasKey",
        "nodeDeallocationOption",
    )
    if path.startswith("tags") or path.endswith((".vmSize", ".type")):
        return True
    return any(word in path for word in secret)


def leaves_of(node: Any, path: str = "") -> list[str]:
    if isinstance(node, dict):
        return [
            leaf
            for key, item in node.items()
            if "/" not in key and "." not in key
            for leaf in leaves_of(item, f"{path}.{key}" if path else key)
        ]
    if isinstance(node, list):
        return [leaf for i, item in enumerate(node) for leaf in leaves_of(item, f"{path}[{i}]")]
    return [path]


def changed(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    return (
        value + 1000 if isinstance(value, int) else "PT999M" if str(value).startswith("PT") else f"{value}Q"
    )


BASE = with_change("name", None, document(2))
del BASE["name"]
EXTENSION = f"{MACHINE}.extensions[0]"


def there(path: str, value: Any) -> dict[str, Any]:
    return read_back(with_change(path, value, BASE))


@pytest.mark.parametrize(
    ("path", "existing", "asked"),
    [
        ("properties.vmSize", "STANDARD_DS2_V2", "standard_ds2_v2"),
        (f"{FIXED}.resizeTimeout", "PT15M", "PT900S"),
        (f"{FIXED}.resizeTimeout", "PT15M", None),
        (f"{FIXED}.targetLowPriorityNodes", 0, None),
        (f"{FIXED}.targetDedicatedNodes", 2, "2"),
        (f"{FIXED}.nodeDeallocationOption", "Requeue", "TaskCompletion"),
        ("properties.taskSlotsPerNode", 1, None),
        ("properties.interNodeCommunication", "Disabled", "disabled"),
        ("properties.taskSchedulingPolicy", {"nodeFillType": "Spread"}, {"nodeFillType": "spread"}),
        (f"{MACHINE}.imageReference.version", "latest", None),
        (f"{MACHINE}.imageReference.publisher", "canonical", "Canonical"),
        (f"{EXTENSION}.name", "secretext", "SecretExt"),
        (f"{EXTENSION}.settings", {"a": 1, "b": [True]}, '{"b": [true], "a": 1}'),
        (f"{EXTENSION}.settings", {"a": "300", "b": "True"}, {"a": 300, "b": True}),
        ("properties.metadata", [{"name": "a", "value": "1"}, {"name": "b", "value": "2"}],
         [{"name": "b", "value": "2"}, {"name": "a", "value": "1"}]),
        ("properties.metadata", [], None),
        ("properties.startTask", {"commandLine": "x"}, {"commandLine": "x", "waitForSuccess": True}),
        ("tags", {"a": "b", "policy": "added"}, {"a": "b"}),
        ("identity.type", "UserAssigned", "userassigned"),
    ],
)  # fmt: skip
def test_these_are_the_same(path, existing, asked):
    assert counting(there(path, existing), request_body(with_change(path, asked, BASE))) == []


@pytest.mark.parametrize(
    ("path", "existing", "asked", "said"),
    [
        (
            f"{FIXED}.targetDedicatedNodes",
            2,
            3,
            f"{FIXED}.targetDedicatedNodes: is 2, asked for is 3 (update)",
        ),
        (
            "properties.startTask",
            {"commandLine": "a"},
            None,
            "properties.startTask: is set, asked for is not set (replace the pool)",
        ),
        (
            "properties.startTask.commandLine",
            "a",
            "b",
            "properties.startTask.commandLine: is another text (not shown)",
        ),
        (
            "properties.metadata",
            [{"name": "a", "value": "1"}],
            None,
            "properties.metadata: is set, asked for is not set (update)",
        ),
        (
            "properties.metadata",
            [{"name": "a", "value": "x"}],
            [{"name": "a", "value": "X"}],
            "properties.metadata[a].value: is 'x', asked for is 'X' (update)",
        ),
        (
            "properties.vmSize",
            "A",
            "B",
            "properties.vmSize: is 'A', asked for is 'B' (update while the pool has no nodes)",
        ),
        (
            f"{EXTENSION}.settings",
            {"a": {"b": 1}},
            {"a": {"b": 2}},
            f"{MACHINE}.extensions[secretext].settings.a.b: is 1, asked for is 2 (replace the pool)",
        ),
        (
            f"{EXTENSION}.name",
            "secretext",
            "other",
            f"{MACHINE}.extensions[other]: is not set, asked for is set (replace the pool)",
        ),
        (
            f"{MACHINE}.windowsConfiguration.enableAutomaticUpdates",
            True,
            False,
            "is true, asked for is false",
        ),
        (
            f"{EXTENSION}.enableAutomaticUpgrade",
            True,
            False,
            "is true, asked for is false (replace the pool)",
        ),
        (
            "properties.scaleSettings",
            {"autoScale": {"formula": "$TargetDedicatedNodes=1"}},
            {"fixedScale": {"targetDedicatedNodes": 1}},
            "properties.scaleSettings: is autoScale, asked for is fixedScale (update)",
        ),
        (
            "tags",
            {"a": "b"},
            {"a": "c"},
            "tags.a: is 'b', asked for is 'c' (replace the pool, as it is not known",
        ),
        (
            "identity",
            None,
            {"type": "UserAssigned", "userAssignedIdentities": {"/x/Y": {}}},
            "identity.userAssignedIdentities[/x/Y]: is not set, asked for is 'asked for' (replace the pool)",
        ),
    ],
)
def test_these_differ_and_it_says_so(path, existing, asked, said):
    found = counting(there(path, existing), request_body(with_change(path, asked, BASE)))
    assert any(said in line for line in found), found


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (f"{EXTENSION}.protectedSettings", {"key": "S3NTINEL"}),
        ("properties.userAccounts", [{"name": "u", "password": "S3NTINEL"}]),
        ("properties.startTask", {"commandLine": "x", "resourceFiles": [
            {"httpUrl": "https://a/b?sv=1&sig=S3NTINEL", "filePath": "b"}]}),
    ],
)  # fmt: skip
def test_a_secret_is_said_to_be_beyond_comparison(path, value):
    (found,) = find_differences(there(path, value), with_change(path, value, BASE))
    assert found.remedy is Remedy.NONE
    assert "cannot be compared" in str(found)
    assert "S3NTINEL" not in str(found)


def test_of_an_update_only_what_it_says_is_compared():
    existing = there("properties.metadata", [{"name": "a", "value": "1"}])
    assert counting(existing, {"properties": {}}, part=True) == []
    assert counting(existing, {"properties": {"metadata": []}}, part=True) == [
        "properties.metadata: is set, asked for is not set (update)"
    ]


def test_more_can_be_updated_while_there_are_no_nodes():
    asked = with_change("properties.vmSize", "STANDARD_F2", BASE)
    found = find_differences(read_back(copy.deepcopy(BASE)), asked)
    assert updates(asked, found) == ({}, found)
    assert updates(asked, found, empty=True) == ({"properties": {"vmSize": "STANDARD_F2"}}, ())


@pytest.mark.skipif(not EXAMPLES.is_dir(), reason="the REST examples are not at hand")
@pytest.mark.parametrize("name", [p.name for p in sorted(EXAMPLES.rglob("PoolCreate_*.json"))])
def test_microsofts_examples_compare_equal_with_their_answers(name):
    (path,) = EXAMPLES.rglob(name)
    example = json.loads(path.read_text())
    asked = example["parameters"]["parameters"]
    found = counting(example["responses"]["200"]["body"], request_body(asked))
    # The example's own answer has lost the disk that its request asks for.
    assert all(".osDisk." in line for line in found), found


@pytest.mark.skipif(not RECORDINGS.is_dir(), reason="the recordings are not at hand")
def test_a_recorded_pool_compares_equal_with_what_was_sent():
    entries = json.loads((RECORDINGS / "arm_pools_2022-01-01.json").read_text())["Entries"]
    put = entries[0]
    assert put["RequestMethod"] == "PUT"
    assert counting(put["ResponseBody"], put["RequestBody"]) == []
    patched = entries[1]
    assert counting(patched["ResponseBody"], patched["RequestBody"], part=True) == []
    assert counting(patched["ResponseBody"], put["RequestBody"]) == [
        "properties.scaleSettings: is autoScale, asked for is fixedScale (update)"
    ]


SECRET_PLACES = {
    "settings": f"{EXTENSION}.settings",
    "deep in settings": f"{EXTENSION}.settings.a",
    "environment": "properties.startTask.environmentSettings",
    "metadata": "properties.metadata",
    "tags": "tags",
    "displayName": "properties.displayName",
    "command line": "properties.startTask.commandLine",
    "resource file": "properties.startTask.resourceFiles[0].httpUrl",
    "container": "properties.startTask.resourceFiles[0].storageContainerUrl",
    "run options": "properties.startTask.containerSettings.containerRunOptions",
    "mount options": "properties.mountConfiguration[0].cifsMountConfiguration.mountOptions",
    "blobfuse options": "properties.mountConfiguration[0].azureBlobFileSystemConfiguration.blobfuseOptions",
    "mount source": "properties.mountConfiguration[0].nfsMountConfiguration.source",
    "protected": f"{EXTENSION}.protectedSettings",
    "account": "properties.userAccounts[0].password",
    "registry": f"{MACHINE}.containerConfiguration.containerRegistries[0].registryServer",
    "name of a member": f"{EXTENSION}.settings",
}


def forms_of(value: Any, place: str) -> list[Any]:
    """A secret as it may stand in a place: as it is, in a list, in a pair, as a member."""
    if not isinstance(value, str):
        in_pairs = place in ("environment", "metadata")
        return [value] if not in_pairs or isinstance(value, list) else [[{"name": "a", "value": str(value)}]]
    return {
        "settings": [{"script": value}, {"fileUris": [value]}, {"a": {"b": (value,)}}, value],
        "environment": [[{"name": "A", "value": value}]],
        "metadata": [[{"name": "A", "value": value}]],
        "tags": [{"a": value}],
        "name of a member": [{value: "x"}],
    }.get(place, [value])


def put(path: str, value: Any) -> dict[str, Any]:
    """The base document with a value in a place; the lists and objects on the way are made."""
    document = copy.deepcopy(BASE)
    node: Any = document
    *way, last = steps(path)
    for step, then in zip(way, [*way, last][1:], strict=True):
        empty: Any = [{}] if isinstance(then, int) else {}
        node = node.setdefault(step, empty) if isinstance(node, dict) else node[step]
    node[last] = value
    return document


OTHER = "0TH3R" + SECRET[5:]
KINDS, OTHER_KINDS = values(SECRET), values(OTHER)
PLAIN = {place: put(path, forms_of("plain", place)[0]) for place, path in SECRET_PLACES.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_a_changed_secret_of_any_kind_shows_nowhere(kind):
    """In `make test` each kind meets each place with two of the four changes, by turns."""
    hunted = spellings(OTHER) | spellings(SECRET)
    for turn, (place, path) in enumerate(SECRET_PLACES.items(), [*KINDS].index(kind)):
        plain = PLAIN[place]
        forms = zip(forms_of(OTHER_KINDS[kind], place), forms_of(KINDS[kind], place), strict=True)
        for old, new in forms:
            document = put(path, new)
            pairs = [(put(path, old), document), (document, plain), (plain, document), (BASE, document)]
            for existing, asked in by_turns(pairs, turn, 2):
                found = find_differences(existing, asked)
                said = " ".join(
                    [*map(str, found), json.dumps([difference.to_json() for difference in found])]
                )
                assert not [secret for secret in hunted if secret in said], (place, said)


def spellings(secret: str) -> set[str]:
    return {secret[:8], base64.b64encode(b"user:" + secret.encode()).decode()[:14]}
