"""No secret is in what is kept for the page, however it has come there."""

from __future__ import annotations

import pytest

from airflow_batchext.emulator import ExtensionScenario, PoolScenario, Scenario
from airflow_batchext.emulator.scenario import ResizeError
from tests.airflow.leaks import leaks
from tests.conftest import own_connection
from tests.live.modes import GATES, OPERATORS, Pauses, quietly

SAS = "Sentinel0Sas0f4d2a91c7b3e5"
PASSWORD = "Sentinel1Password8c1b7d90"
KEY = "U2VudGluZWwyS2V5U2VudGluZWwyS2V5U2VudGluZWwyS2V5U2VudGluZWwyS2V5U2VudGluZWwyS2V5U2VudGlu=="
PROTECTED = "Sentinel3Protected55e2ab"
SAID = (
    f"Failed to download https://acc.blob.core.windows.net/c/s.sh?sv=2022-11-02&sig={SAS}%3D and then "
    f"connect with Password={PASSWORD};AccountKey={KEY}; could not get lock"
)


def planted(azure):
    """Secrets in a message, in the pool's document, in the connection; by their names."""
    client_secret = "Sentinel4Client~9.aQ7bXcVwEr"
    azure.connect("azure_batchext_default", own_connection(azure.emulator))
    azure.emulator.scenario = Scenario(
        extensions=[
            ExtensionScenario(extension="secretext", node=0, outcome="fail", code="7", message=SAID),
            ExtensionScenario(extension="secretext", node=1, outcome="hang", message=SAID),
        ]
    )
    info = azure.emulator.info
    return {
        "a SAS": SAS,
        "a password": PASSWORD,
        "a key": KEY,
        "protected settings": PROTECTED,
        "settings": client_secret,
        "the client secret": info.client_secret,
        "the account key": info.key,
    }, client_secret


@pytest.mark.parametrize("mode", GATES)
def test_of_what_a_pool_says_and_is_signed_in_with_nothing_secret_is_kept(azure, monkeypatch, xcoms, mode):
    secrets, in_settings = planted(azure)
    azure.create(
        3,
        ready=False,
        extensions=[
            {
                "name": "secretext",
                "type": "AzureMonitorLinuxAgent",
                "publisher": "Microsoft.Azure.Monitor",
                "typeHandlerVersion": "1.0",
                "settings": {"commandToExecute": f"login --password {in_settings}"},
                "protectedSettings": {"key": PROTECTED},
            }
        ],
    )
    repairs = {"order": ["reboot"]}
    wanted = {} if mode == "start_from_trigger" else {"timeout": 7200}

    class Passing(Pauses):
        def pause(self, *_):
            azure.pass_time(120)

    quietly(lambda: GATES[mode](azure, monkeypatch, Passing(lambda: None), repair=repairs, **wanted))
    kept = [value.encode() for value in xcoms.values]
    assert kept
    assert leaks(secrets, [(f"XCom {number}", value) for number, value in enumerate(kept)]) == []
    shown = b"".join(kept)
    assert b"sig=***" in shown, "the message was there"
    assert b"could not get lock" in shown


def test_nor_of_what_is_answered_to_an_operator(azure, monkeypatch, xcoms):
    azure.create(2)
    azure.emulator.scenario = Scenario(
        pools=[PoolScenario(resize_error=ResizeError(message=SAID), nodes_allocated=3)]
    )
    error = quietly(
        lambda: OPERATORS["resize, worker"][1](azure, monkeypatch, Pauses(lambda: azure.pass_time(600)))
    )
    kept = [value.encode() for value in xcoms.values]
    assert kept
    assert error is None or SAS not in str(error)
    assert leaks({"a SAS": SAS, "a password": PASSWORD, "a key": KEY}, [("XCom", b"".join(kept))]) == []


@pytest.mark.parametrize("name", ["work, worker", "work, triggerer", "many, worker"])
def test_nor_of_what_a_batch_task_has_failed_with(azure, monkeypatch, xcoms, name):
    azure.create(1)
    failure = {"category": "UserError", "code": "BlobDownloadMiscError", "message": SAID}
    azure.emulator.scenario = Scenario.load({"tasks": [{"after": 600, "failure": failure}]})

    class Passing(Pauses):
        def pause(self, *_):
            azure.pass_time(120)

    error = quietly(lambda: OPERATORS[name][1](azure, monkeypatch, Passing(lambda: None)))
    assert error is not None
    kept = [value.encode() for value in xcoms.values]
    assert leaks({"a SAS": SAS, "a password": PASSWORD, "a key": KEY}, [("XCom", b"".join(kept))]) == []
    assert b"could not get lock" in kept[-1]
