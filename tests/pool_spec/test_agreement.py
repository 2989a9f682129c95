"""What the emulator refuses and what the check says agree, on the corpus and on generated documents.

The emulator refuses less: it knows the members and few rules. So one direction is held: what it refuses, the
check calls an error. The other is held where the emulator judges at all: names of members.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_batchext.emulator.documents.pool import read_management
from airflow_batchext.emulator.wire.errors import RefusedError
from airflow_batchext.pool_spec import pools_in, request_body
from airflow_batchext.pool_spec._sdk_schema import check_pool
from tests.examples import examples
from tests.pool_spec.bodies import BODIES
from tests.pool_spec.documents import ABSENT, GOOD, paths_of, with_change
from tests.pool_spec.test_corpus import CASES, changed

SLOW = settings(deadline=None, max_examples=examples(200), suppress_health_check=list(HealthCheck))

#: What the emulator refuses and the check only warns of, each with the reason.
LISTED = {
    "nat_pools_of_the_data_plane": "names in another case: the service is said to read them",
    "node_agent_of_the_data_plane": "the same",
    "vmsize_in_lower_case": "the same",
    "registry_user_in_camel_case": "the same",
    "inter_node_communication_as_false": "a word that nobody knows: services grow, so it is a warning",
    "elevation_level_misspelt": "a word that nobody knows: services grow, so it is a warning",
    "ephemeral_disk_elsewhere": "the same",
}


def refused(document: Any) -> bool:
    """Whether the emulator refuses what would be sent of a document."""
    try:
        read_management(json.loads(json.dumps(request_body(document))))
    except RefusedError:
        return True
    return False


def errors(document: Any) -> list[Any]:
    return [finding for finding in check_pool(document, pool_id="p") if finding.severity == "error"]


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if "change" in case])
def test_what_the_emulator_refuses_is_an_error(name):
    (pool,) = pools_in(changed(CASES[name]["change"]))
    if refused(pool.body) and not errors(pool.body):
        assert name in LISTED


def test_what_is_listed_still_differs():
    for name in LISTED:
        if name in CASES:
            (pool,) = pools_in(changed(CASES[name]["change"]))
            assert refused(pool.body), name
            assert not errors(pool.body), name


VALUES = st.sampled_from([ABSENT, [], {}, "x", -1, True, {"x": 1}, [None], "PT1M"])


@given(st.sampled_from(paths_of(GOOD)), VALUES)
@SLOW
def test_what_the_emulator_refuses_of_a_changed_document_is_an_error(path, value):
    document = with_change(path, value)
    if isinstance(document, dict) and isinstance(document.get("properties"), dict) and refused(document):
        words = [f for f in check_pool(document, pool_id="p") if "azure-mgmt-batch" in f.problem]
        assert errors(document) or words


@given(BODIES)
@SLOW
def test_a_body_that_the_emulator_takes_has_no_member_that_the_check_does_not_know(body):
    # What has to be there the emulator asks less of: it fills in what the SDK's models call required.
    unknown = [f.path for f in errors(body) if "there is no member" in f.problem]
    known = ("targetNodeCommunicationMode", "applicationLicenses", "storageAccountType")  # of older versions
    assert [path for path in unknown if not path.endswith(known)] == []
