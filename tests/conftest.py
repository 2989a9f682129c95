"""A throw-away AIRFLOW_HOME, and an emulated Azure Batch account that Airflow has connections to."""

from __future__ import annotations

import atexit
import copy
import gc
import itertools
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any

# Before anything imports Airflow: it reads these once.
_HOME = tempfile.mkdtemp(prefix="batchext-tests-")
atexit.register(shutil.rmtree, _HOME, ignore_errors=True)
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
for _name in [name for name in os.environ if name.startswith("AIRFLOW")]:
    del os.environ[_name]
os.environ |= {"AIRFLOW_HOME": _HOME, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
# Another database than SQLite, which the tests empty: tests/distributed/test_live_queries.py gives them one.
if _database := os.environ.get("BATCHEXT_TEST_DATABASE"):
    os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = _database

import hypothesis  # noqa: E402
import pytest  # noqa: E402

from airflow_batchext.emulator import Emulator  # noqa: E402
from airflow_batchext.emulator.documents.pool import read_management  # noqa: E402
from airflow_batchext.testing import airflow_connection  # noqa: E402

_numbers = itertools.count()

# The same examples each time, and no limit of time: neither load nor bad luck fails a test.
# --hypothesis-profile=explore looks for new ones (make test-order does).
_TIMELESS = {"deadline": None, "suppress_health_check": [hypothesis.HealthCheck.too_slow]}
hypothesis.settings.register_profile("same", derandomize=True, **_TIMELESS)
hypothesis.settings.register_profile("explore", derandomize=False, print_blob=True, **_TIMELESS)
hypothesis.settings.load_profile("same")


#: The tests in real Airflow mostly wait, so half of them have an Airflow of their own, beside the others'.
_IN_ANOTHER_AIRFLOW = ("test_self_heal.py", "test_uses.py")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """In several processes, tests of one file stay in one, as do those of one real Airflow."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            path = nodeid.partition("::")[0]
            if not path.startswith("tests/airflow/"):
                return path
            return "another Airflow" if path.endswith(_IN_ANOTHER_AIRFLOW) else "an Airflow"

    return ByFile(config, log)


def pytest_collection_finish() -> None:
    """What is loaded now stays: no collection of garbage has to look at it again."""
    gc.collect()
    gc.freeze()


#: Airflow's and that of its tasks: each has a masker of its own.
_MASKERS = (
    "airflow._shared.secrets_masker.secrets_masker",
    "airflow.sdk._shared.secrets_masker.secrets_masker",
)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Generator[None, Any, Any]:
    """Airflow forgets what it has masked for a test: at each new mask it compiles all that there are."""
    found = [sys.modules[name]._secrets_masker() for name in _MASKERS if name in sys.modules]
    before = [(masker, set(masker.patterns), masker.replacer) for masker in found]
    try:
        return (yield)
    finally:
        for masker, patterns, replacer in before:
            if masker.patterns != patterns:
                masker.patterns, masker.replacer = patterns, replacer


#: They keep a processor busy for ten seconds and more: one of them is begun beside each of those that wait.
_WORK = (
    "tests/pool_spec/test_fuzz.py",
    "tests/sensors/test_histories.py",
    "tests/rules/test_watch_histories.py",
    "tests/repair/test_controller.py",
    "tests/pool_spec/test_differences.py",
    "tests/sensors/test_repair.py",
    "tests/test_imports.py",
    "tests/secrets/test_redact.py",
    "tests/repair/test_histories.py",
    "tests/pool_spec/test_structured_fuzz.py",
)
#: They wait for most of their time, too: begun last, they would keep everybody waiting.
_WAIT = (
    "tests/hostile/test_calls.py",
    "tests/test_waits.py",
    "tests/hostile/test_parts.py",
    "tests/triggers/test_events.py",
    "tests/sensors/test_deadline.py",
    "tests/triggers/test_many_gates.py",
    "tests/operators/test_node.py",
    "tests/cli/selftest/test_selftest.py",
    "tests/triggers/test_extension.py",
    "tests/credentials/test_refusals.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Real Airflow spends its time waiting, so it goes first; then what waits, and work beside it."""
    first = [file for pair in zip(_WAIT, _WORK, strict=True) for file in pair]

    def turn(item: pytest.Item) -> int:
        if item.get_closest_marker("airflow") is not None:
            return 0
        file = item.nodeid.partition("::")[0]
        return first.index(file) + 1 if file in first else len(first) + 1

    items.sort(key=turn)


DOCUMENT: dict[str, Any] = {
    "identity": {
        "type": "UserAssigned",
        "userAssignedIdentities": {
            "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g/providers/"
            "Microsoft.ManagedIdentity/userAssignedIdentities/i": {}
        },
    },
    "properties": {
        "vmSize": "STANDARD_DS2_V2",
        "deploymentConfiguration": {
            "virtualMachineConfiguration": {
                "imageReference": {"publisher": "canonical", "offer": "ubuntu-24_04-lts", "sku": "server"},
                "nodeAgentSkuId": "batch.node.ubuntu 24.04",
                "extensions": [
                    {
                        "name": "secretext",
                        "type": "KeyVaultForLinux",
                        "publisher": "Microsoft.Azure.KeyVault",
                        "typeHandlerVersion": "1.0",
                        "settings": {"secretsManagementSettings": {"requireInitialSync": True}},
                    }
                ],
            }
        },
        "scaleSettings": {"fixedScale": {"targetDedicatedNodes": 2}},
    },
}


def document(nodes: int = 2, extensions: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """A pool document without findings, to be changed at will."""
    body = copy.deepcopy(DOCUMENT)
    body["properties"]["scaleSettings"]["fixedScale"]["targetDedicatedNodes"] = nodes
    if extensions is not None:
        machine = body["properties"]["deploymentConfiguration"]["virtualMachineConfiguration"]
        machine["extensions"] = extensions
    return body


def own_connection(
    emulator: Emulator, *, extra: dict[str, Any] | None = None, **change: Any
) -> dict[str, Any]:
    """A connection of type azure_batchext, signing in as a service principal."""
    connection = {**airflow_connection(emulator.info), **change}
    connection["extra"] |= extra or {}
    return connection


def official_connection(emulator: Emulator) -> dict[str, Any]:
    """A connection of the official type azure_batch: account, key, URL, and nothing else."""
    info = emulator.info
    return {
        "conn_type": "azure_batch",
        "login": info.account,
        "password": info.key,
        "extra": {"account_url": info.http_endpoint},
    }


@dataclass
class Azure:
    """The emulated account, as a test sees it. Its clock stands still until ``pass_time``."""

    emulator: Emulator
    monkeypatch: pytest.MonkeyPatch
    pool_id: str
    conn_id: str = "azure_batchext_default"

    def connect(self, conn_id: str, connection: dict[str, Any]) -> str:
        self.monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))
        return conn_id

    def pass_time(self, seconds: float) -> None:
        self.emulator.clock.advance(seconds)

    def create(self, nodes: int = 2, *, ready: bool = True, extensions: Any = None, scale: Any = None) -> str:
        """Create the test's pool, in the account itself; with ``ready``, let its nodes come up.

        To sign in and to send a request, as others do it, takes twenty times as long.
        """
        body = document(nodes, extensions)
        body["properties"]["scaleSettings"] = scale or body["properties"]["scaleSettings"]
        self.emulator.account.create_pool(self.pool_id, read_management(body))
        if ready:
            self.pass_time(300)
        return self.pool_id

    def reads(self, part: str) -> list[str]:
        """The paths of the requests so far that have this in them."""
        return [request.path for request in self.emulator.requests if part in request.path]


@pytest.fixture(scope="session")
def running_emulator() -> Iterator[Emulator]:
    """One for all tests. Each begins with ``reset``: nothing of the one before is left."""
    with Emulator(time_scale=0) as emulator:
        yield emulator


@pytest.fixture(scope="session")
def another_emulator() -> Iterator[Emulator]:
    """A second account, with a sign-in of its own."""
    with Emulator(time_scale=0) as emulator:
        yield emulator


@pytest.fixture
def azure(running_emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Azure:
    """An account with the default scenario, and the connections azure_batchext_default and official."""
    from airflow_batchext.credentials import forget_keys, forget_tokens

    forget_tokens()
    forget_keys()
    running_emulator.reset()
    monkeypatch.setenv("AIRFLOW__BATCHEXT__TEST_HOSTS", "127.0.0.1, localhost")
    azure = Azure(running_emulator, monkeypatch, f"pool-{next(_numbers)}")
    azure.connect("azure_batchext_default", own_connection(running_emulator))
    azure.connect("official", official_connection(running_emulator))
    return azure


@pytest.fixture(scope="session")
def tokens_of_the_account(running_emulator: Emulator) -> dict[Any, Any]:
    """What the process remembers of its first sign-in."""
    return {}


@pytest.fixture
def signed_in(azure: Azure, tokens_of_the_account: dict[Any, Any]) -> None:
    """As in a process that has signed in before: for tests of something else, as that takes longest."""
    from airflow_batchext.credentials._tokens import _held
    from airflow_batchext.hooks.node import AzureBatchNodeHook
    from airflow_batchext.hooks.pool import AzureBatchPoolHook

    if not tokens_of_the_account or any(time.time() >= h.renew_at for h in tokens_of_the_account.values()):
        with AzureBatchPoolHook(azure.conn_id) as pools, AzureBatchNodeHook(azure.conn_id) as nodes:
            pools.list_pools()
            nodes.list_supported_images()
        tokens_of_the_account |= _held
        azure.emulator.reset()
    _held.update(copy.deepcopy(tokens_of_the_account))


@pytest.fixture
def elsewhere(azure: Azure, another_emulator: Emulator) -> Azure:
    """Another account, behind the connection "elsewhere", with a pool of the same id as in the first."""
    another_emulator.reset()
    other = Azure(another_emulator, azure.monkeypatch, azure.pool_id, "elsewhere")
    other.connect("elsewhere", own_connection(another_emulator))
    return other
