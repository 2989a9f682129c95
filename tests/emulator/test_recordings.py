"""Recorded traffic of the real service, replayed: the emulator must answer as the service did.

The recordings are not in this repository. They are looked for in ``BATCHEXT_RECORDINGS``, or beside the
repository; without them the shapes that they show are still tested, by ``test_recorded_shapes``.

Names that are the emulator's own (host, subscription, account, nodes) are put in the place of the recorded
ones, and then every field must be the same, except those of ``FREE``: these must look alike, and where two
were equal in the recording they must be equal here.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests

from airflow_batchext.emulator import Emulator, Scenario
from airflow_batchext.emulator.login.tokens import BATCH, MANAGEMENT

from .pool_documents import account_path

ROOT = Path(__file__).parents[2]
RECORDINGS = Path(
    os.environ.get("BATCHEXT_RECORDINGS", ROOT.parent / "shared" / "azure-batch" / "recordings")
)
pytestmark = pytest.mark.skipif(not RECORDINGS.is_dir(), reason=f"there are no recordings in {RECORDINGS}")

Json = dict[str, Any]

GUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|<guid>"
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{5,7}Z"
ETAG = r'(W/")?0x8D[0-9A-F]{13}"?'
DATE = r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT|<rfc1123>"
FREE = {
    r"(.*\.)?(\w*Time|lastModified)": TIME,
    r"(.*\.)?e[tT]ag": ETAG,
    r".*\.publicIPAddress": r"\d+\.\d+\.\d+\.\d+",
    r".*\.publicFQDN": r"[\w.-]+",
    r".*\.exactVersion": r"\d+\.\d+\.\d+",
    # The long output of the set-up script is abridged in the recording.
    r"value\.0\.instanceView\.statuses\.0\.message": r"(?s)Enable succeeded: \n\[stdout\]\n.+\[stderr\]\n.*",
    r"message\.value": rf"(?s)(?P<said>.*)\nRequestId:({GUID})\nTime:{TIME}",
    r"virtualDirectoryName": rf"[\w-]+/[^/]+/NODE-\d/({GUID})",
}
FREE_HEADERS = {
    "ETag": ETAG,
    "Last-Modified": DATE,
    "Date": DATE,
    "request-id": GUID,
    "x-ms-request-id": GUID,
    "x-ms-correlation-request-id": GUID,
    "x-ms-routing-request-id": rf"[A-Z]+:\d{{8}}T\d{{6}}Z:({GUID})",
    "x-ms-ratelimit-remaining-subscription-writes": r"\d+",
    "x-ms-ratelimit-remaining-subscription-deletes": r"\d+",
    "Content-Length": r"\d+",
    # The id of a deletion ends with the pool's ETag in newer versions of the service.
    "Location": r"(?P<said>HOST/.*?)(-[0-9A-F]+)?(?P<rest>\?.*)?",
    # Clients wait by the wall clock, which the emulator's need not keep to.
    "Retry-After": r"\d+",
}
TELLING = {"ETag", "Last-Modified", "Location", "DataServiceId", "Retry-After"}
"""Headers that must not be there where they were not recorded."""


@dataclass
class Replay:
    """One recording and the emulator that is to answer like it. Its clock moves only when told to."""

    emulator: Emulator
    entries: list[Json]
    names: dict[str, str] = field(default_factory=dict)
    """What a name in the recording is called here."""
    equals: dict[str, tuple[str, str]] = field(default_factory=dict)

    def node(self, recorded: str, pool: str, index: int) -> None:
        """Let a recorded node be the one that has this place here."""
        self.names[recorded] = self.emulator.account.node(pool, index).node.id

    def check(self, entry: Json, body: Json | None = None) -> None:
        """Send a recorded request (with ``body`` where it was not recorded) and compare the answers."""
        answer = self.send(entry, entry.get("RequestBody") if body is None else body)
        shown = f"{entry['RequestMethod']} {entry['RequestUri']}"
        assert answer.status_code == entry["StatusCode"], f"{shown}: {answer.text}"
        different = list(self.different_headers(entry.get("ResponseHeaders", {}), answer.headers))
        if "ResponseBody" in entry:
            answered = answer.json() if answer.content else None
            self.equals = {}
            different += self.different("", self.neutral(entry["ResponseBody"]), self.neutral(answered))
        assert not different, f"{shown}:\n" + "\n".join(different)

    def send(self, entry: Json, body: Json | None) -> requests.Response:
        """Send a recorded request to the emulator."""
        url = self.here(entry["RequestUri"])
        resource = MANAGEMENT if "/subscriptions/" in url else BATCH
        headers = {"Authorization": f"Bearer {self.emulator.tokens.issue(f'{resource}/')}"}
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json; odata=minimalmetadata"
            data = self.here(json.dumps(body))
        ca = self.emulator.info.ca_bundle
        return requests.request(
            entry["RequestMethod"], url, data=data, headers=headers, verify=ca, timeout=10
        )

    def here(self, text: str) -> str:
        """Say a recorded text with the emulator's names."""
        text = re.sub(r"https://[\w.]+\.azure\.com", self.emulator.info.batch_endpoint, text)
        text = re.sub(
            r"/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\.Batch/batchAccounts/[^/]+",
            account_path(self.emulator),
            text,
        )
        for recorded, own in self.names.items():
            text = text.replace(recorded, own)
        return text

    def neutral(self, value: Any) -> Any:
        """Say a recorded or an emulated text, or document, with names that belong to neither."""
        text = self.here(json.dumps(value)).replace(self.emulator.info.batch_endpoint, "HOST")
        for index, own in enumerate(self.names.values()):
            text = text.replace(own, f"NODE-{index}")
        return json.loads(text)

    def different(self, path: str, recorded: Any, answered: Any) -> Iterator[str]:
        """Where two documents differ."""
        if isinstance(recorded, dict) and isinstance(answered, dict):
            for name in recorded.keys() | answered.keys():
                where = f"{path}.{name}".removeprefix(".")
                if name not in answered or name not in recorded:
                    yield f"{where}: {'not answered' if name in recorded else 'never recorded'}"
                else:
                    yield from self.different(where, recorded[name], answered[name])
        elif isinstance(recorded, list) and isinstance(answered, list) and len(recorded) == len(answered):
            for index, (old, new) in enumerate(zip(recorded, answered, strict=True)):
                yield from self.different(f"{path}.{index}".removeprefix("."), old, new)
        else:
            pattern = next((free for where, free in FREE.items() if re.fullmatch(where, path)), None)
            yield from self.unlike(path, recorded, answered, pattern)

    def different_headers(self, recorded: Json, answered: Any) -> Iterator[str]:
        """Which recorded headers are missing or have another value."""
        for name, old in self.neutral(recorded).items():
            if name not in answered:
                yield f"header {name}: not answered"
            else:
                new = self.neutral(answered[name])
                yield from self.unlike(f"header {name}", old, new, FREE_HEADERS.get(name))
        for name in TELLING - recorded.keys():
            if name in answered:
                yield f"header {name}: never recorded"

    def unlike(self, path: str, old: Any, new: Any, pattern: str | None) -> Iterator[str]:
        """Whether a value is another, or if one that is free does not look like the recorded one."""
        if pattern is None or not isinstance(old, str) or not isinstance(new, str):
            if old != new or type(old) is not type(new):
                yield f"{path}: {new!r} instead of {old!r}"
            return
        matches = [re.fullmatch(pattern, text) for text in (old, new)]
        if None in matches:
            yield f"{path}: {new!r} does not look like {old!r}"
        elif matches[0] and matches[1] and matches[0].groupdict() != matches[1].groupdict():
            yield f"{path}: {new!r} instead of {old!r}"
        first, same = self.equals.setdefault(old, (path, new))
        if same != new and not old.startswith("<"):
            yield f"{path}: {new!r} is not that of {first}, as it was in the recording"


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """An emulator of this test alone, so that its first nodes are the first nodes.

    These recordings are of 2022 and 2023: what the service has changed since is set as it was.
    """
    before = {
        "timings": {"empty_resize": 20, "reporting": 0},
        "answers": {"reimage": "refused", "autoscale_while_resizing": "held"},
    }
    with Emulator(time_scale=0, scenario=Scenario.model_validate(before)) as running:
        yield running


def recording(name: str) -> list[Json]:
    content = json.loads((RECORDINGS / name).read_text())
    return list(content["Entries"]) if "Entries" in content else [content]


def pool_document(answered: Json) -> Json:
    """The body of the request that made a pool, told from the answer, where the recording leaves it out."""
    asked = ("id", "vmSize", "virtualMachineConfiguration", "networkConfiguration", "targetDedicatedNodes")
    return {name: answered[name] for name in asked if name in answered}


def test_a_pool_its_node_and_the_extensions(emulator: Emulator) -> None:
    replay = Replay(emulator, recording("dp_compute_node_extensions_2022-10-01.16.0.json"))
    create, get, nodes, extensions, extension = replay.entries
    pool = get["ResponseBody"]
    replay.check(create, pool_document(pool))
    emulator.clock.advance(125.2)
    replay.node(nodes["ResponseBody"]["value"][0]["id"], pool["id"], 0)
    for entry in (get, nodes, extensions, extension):
        replay.check(entry)


def test_what_is_done_to_nodes(emulator: Emulator) -> None:
    replay = Replay(emulator, recording("dp_compute_nodes_2023-05-01.17.0.json"))
    get, *operations = replay.entries
    node = get["ResponseBody"]
    address, pool = re.fullmatch(r"(.*/pools/([^/]+))/nodes/.*", node["url"]).groups()  # type: ignore[union-attr]
    image = {**node["virtualMachineInfo"]["imageReference"]}
    del image["exactVersion"]
    document = {
        "id": pool,
        "vmSize": node["vmSize"],
        "virtualMachineConfiguration": {
            "imageReference": image,
            "nodeAgentSKUId": "batch.node.ubuntu 18.04",
        },
        "targetDedicatedNodes": 2,
    }
    version = get["RequestUri"].partition("?")[2]
    made = {"RequestMethod": "POST", "RequestUri": f"{address.removesuffix(f'/{pool}')}?{version}"}
    assert replay.send(made, document).status_code == 201
    emulator.clock.advance(200)
    for index, recorded in enumerate(operations[-1]["RequestBody"]["nodeList"]):
        replay.node(recorded, pool, index)
    for entry in replay.entries:
        replay.check(entry)


def test_a_pool_that_is_refused(emulator: Emulator) -> None:
    replay = Replay(emulator, recording("dp_create_pool_error_InvalidPropertyValue.json"))
    (entry,) = replay.entries
    values = {item["key"]: item["value"] for item in entry["ResponseBody"]["values"]}
    image = {values["PropertyName"]: values["PropertyValue"]}
    machine = {"imageReference": image, "nodeAgentSKUId": "batch.node.ubuntu 18.04"}
    document = {"id": "refused", "vmSize": "standard_d2_v2", "virtualMachineConfiguration": machine}
    replay.check(entry, document)


def test_the_pools_of_the_management_plane(emulator: Emulator) -> None:
    replay = Replay(emulator, recording("arm_pools_2022-01-01.json"))
    put, patch, listed, delete, result, _ = replay.entries
    replay.check(put)
    emulator.clock.advance(15.9)
    replay.check(patch)
    replay.check(listed)
    replay.check(delete)
    emulator.clock.advance(60)
    replay.check(result)
