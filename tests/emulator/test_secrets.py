"""Protected settings, passwords and keys go in and never come out: in no answer, no repr and no log."""

from __future__ import annotations

import gc
import json
import logging
import pickle
from typing import Any

import pytest

from airflow_batchext.emulator import Emulator, Scenario

from .pool_documents import account_path, data_pool, extension, management_pool, raw, raw_data

SENTINEL = "SENTINEL-7f3a9c"


def secrets(**more: Any) -> dict[str, Any]:
    return {
        "userAccounts": [
            {
                "name": "u",
                "password": SENTINEL,
                "linuxUserConfiguration": {"uid": 1, "sshPrivateKey": SENTINEL},
            }
        ],
        "mountConfiguration": [
            {
                "azureBlobFileSystemConfiguration": {
                    "accountName": "a",
                    "containerName": "c",
                    "accountKey": SENTINEL,
                    "sasKey": SENTINEL,
                    "relativeMountPath": "m",
                }
            },
            {
                "cifsMountConfiguration": {
                    "source": "s",
                    "relativeMountPath": "m",
                    "password": SENTINEL,
                }
            },
        ],
        "startTask": {
            "commandLine": "x",
            "containerSettings": {"imageName": "i", "registry": {"username": "u", "password": SENTINEL}},
        },
        **more,
    }


PROTECTED = [
    extension("object", protectedSettings={"key": SENTINEL}, settings={"shown": True}),
    extension("text", protectedSettings=json.dumps({"key": SENTINEL})),
    extension("list", protectedSettings=[SENTINEL]),
]


@pytest.mark.parametrize("plane", ["management", "data"])
def test_secrets_are_in_no_answer_and_in_no_object(
    emulator: Emulator, name: str, plane: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    path = f"{account_path(emulator)}/pools/{name}"
    answers = []
    if plane == "management":
        answers.append(raw(emulator, "PUT", path, json=management_pool(2, *PROTECTED, **secrets())))
        answers.append(raw(emulator, "PUT", path, json=management_pool(2, *PROTECTED, **secrets())))
    else:
        answers.append(raw_data(emulator, "POST", "/pools", json=data_pool(name, 2, *PROTECTED, **secrets())))
    emulator.clock.advance(200)
    answers += [raw(emulator, "GET", path), raw(emulator, "GET", f"{account_path(emulator)}/pools")]
    answers += [raw_data(emulator, "GET", f"/pools/{name}"), raw_data(emulator, "GET", "/pools")]
    answers.append(raw_data(emulator, "GET", f"/pools/{name}/nodes"))
    for node in answers[-1].json()["value"]:
        answers.append(raw_data(emulator, "GET", f"/pools/{name}/nodes/{node['id']}"))
        answers.append(raw_data(emulator, "GET", f"/pools/{name}/nodes/{node['id']}/extensions"))
    for answer in answers:
        assert answer.ok
        assert SENTINEL not in answer.text
        assert SENTINEL not in str(answer.headers)
    pool = emulator.account.pool(name)
    assert SENTINEL not in repr(pool)
    assert SENTINEL.encode() not in pickle.dumps(pool)
    assert SENTINEL not in repr(vars(emulator.account))
    assert SENTINEL not in str(list(emulator.requests))
    assert SENTINEL not in caplog.text


BROKEN = [
    {"extensions": SENTINEL},
    {"extensions": {"protectedSettings": SENTINEL}},
    {"extensions": [SENTINEL]},
    {"extensions": [extension(protectedSetting=SENTINEL)]},
    {"extensions": [extension(type={"protectedSettings": SENTINEL})]},
    {"imageReference": [SENTINEL]},
]


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("plane", ["management", "data"])
def test_a_refusal_does_not_repeat_what_may_be_a_secret(
    emulator: Emulator, name: str, plane: str, broken: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    if plane == "management":
        document = management_pool(1)
        document["properties"]["deploymentConfiguration"]["virtualMachineConfiguration"].update(broken)
        answer = raw(emulator, "PUT", f"{account_path(emulator)}/pools/{name}", json=document)
    else:
        document = data_pool(name, 1)
        document["virtualMachineConfiguration"].update(broken)
        answer = raw_data(emulator, "POST", "/pools", json=document)
    assert answer.status_code == 400
    assert SENTINEL not in answer.text
    assert SENTINEL not in caplog.text


def test_half_a_body_is_not_repeated(emulator: Emulator, name: str) -> None:
    answer = raw(emulator, "PUT", f"{account_path(emulator)}/pools/{name}", data=f'{{"a": "{SENTINEL}"')
    assert answer.status_code == 400
    assert SENTINEL not in answer.text


def test_the_keys_of_the_account_show_in_no_repr(emulator: Emulator) -> None:
    info = emulator.info
    for shown in (repr(info), repr(emulator), repr(emulator.account), repr(emulator.tokens)):
        assert info.key not in shown
        assert info.client_secret not in shown


def test_nothing_that_is_kept_holds_a_secret(emulator: Emulator, name: str) -> None:
    """Look into every string that lives after the requests, not only into those we thought of."""
    raw(
        emulator,
        "PUT",
        f"{account_path(emulator)}/pools/{name}",
        json=management_pool(1, *PROTECTED, **secrets()),
    )
    emulator.scenario = Scenario()
    gc.collect()
    kept = [
        thing
        for thing in gc.get_objects()
        if type(thing) is dict  # subclasses of other packages may do anything when asked
        and thing.get("key") == SENTINEL
        and thing is not PROTECTED[0]["protectedSettings"]
    ]
    assert kept == []
