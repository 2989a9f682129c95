"""Checks of a node: what they come to, run by a real shell, and what they refuse."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_batchext import node_checks
from airflow_batchext.exceptions import ParameterError
from airflow_batchext.node_checks import certificate_check, gpu_check
from airflow_batchext.parameters.work import check_node_check
from airflow_batchext.pool_builder import UBUNTU_24_04, KeyVaultExtension

URL = "https://myvault.vault.azure.net/secrets/web"
runs = pytest.mark.skipif(sys.platform != "linux", reason="they are for Linux")


def run(check: dict[str, Any], path: str = os.environ["PATH"]) -> subprocess.CompletedProcess[str]:
    """The command line as the emulator runs it: its arguments, with no shell of ours."""
    command = shlex.split(check["commandLine"])
    return subprocess.run(
        command, capture_output=True, text=True, env={"PATH": path}, timeout=60, check=False
    )


@runs
def test_a_certificate_is_there_or_not(tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    both = certificate_check(URL, f"{URL}2/0123abc", store=store, wait=0)
    (tmp_path / "store").mkdir()
    target = tmp_path / "store" / "myvault.web.0123.PEM"
    target.write_text("certificate")
    (tmp_path / "store" / "myvault.web").symlink_to(target)
    missing = run(both)
    assert missing.returncode == 1
    assert missing.stderr == f"not there, or empty: {store}/myvault.web {store}/myvault.web2\n"
    (tmp_path / "store" / "myvault.web2").touch()
    assert run(both).returncode == 1, "empty"
    (tmp_path / "store" / "myvault.web2").write_text("x")
    assert run(both).returncode == 0
    assert run(certificate_check(URL, store=f"{store}/", wait=0)).returncode == 0


@runs
def test_it_waits_for_what_comes_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Instead of sleeping, the third time, it comes.
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    store, tries = tmp_path / "store", tmp_path / "tries"
    store.mkdir()
    sleep = bin_ / "sleep"
    sleep.write_text(
        f"#!/bin/sh\necho x >>{tries}\ntest $(wc -l <{tries}) -lt 3 || echo x >{store}/myvault.web\n"
    )
    sleep.chmod(0o755)
    path = f"{bin_}:/usr/bin:/bin"
    assert run(certificate_check(URL, store=str(store), wait=10), path).returncode == 1
    assert tries.read_text().count("x") == 2
    tries.unlink()
    assert run(certificate_check(URL, store=str(store), wait=15), path).returncode == 0


@runs
@pytest.mark.parametrize(
    ("output", "exit_code", "count", "ends"),
    [
        ("GPU 0: Tesla T4 (UUID: GPU-1)\nGPU 1: Tesla T4 (UUID: GPU-2)", 0, 2, 0),
        ("GPU 0: A100 (UUID: GPU-1)\n  MIG 1g.5gb Device 0: (UUID: MIG-1)", 0, 2, 1),
        ("No devices were found", 6, 1, 1),
        ("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.", 9, 1, 1),
        (None, 0, 1, 1),
    ],
)
def test_gpus_are_counted(tmp_path: Path, output: str | None, exit_code: int, count: int, ends: int) -> None:
    if output is not None:
        (tmp_path / "said").write_text(f"{output}\n")
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/sh\ntest $1 = -L && cat {tmp_path}/said\nexit {exit_code}\n")
        program.chmod(0o755)
    found = run(gpu_check(count, wait=0), f"{tmp_path}:/usr/bin:/bin")
    assert found.returncode == ends, found


def test_they_look_as_who_may_and_for_as_long_as_they_wait() -> None:
    check = certificate_check(URL, wait=timedelta(minutes=2))
    assert check["userIdentity"] == {"autoUser": {"scope": "pool", "elevationLevel": "admin"}}
    assert check["constraints"] == {"maxWallClockTime": "PT180S"}
    assert "test $n -lt 24 " in check["commandLine"]
    assert "userIdentity" not in certificate_check(URL, as_admin=False)
    assert "userIdentity" not in gpu_check()
    for made in (check, gpu_check()):
        assert check_node_check("node_check", made) is made


def test_the_store_is_the_one_of_the_builder() -> None:
    extension = KeyVaultExtension(certificates=[URL], client_id="00000000-0000-0000-0000-000000000000")
    settings = extension.body(UBUNTU_24_04)["settings"]["secretsManagementSettings"]
    assert settings["certificateStoreLocation"] == node_checks.CERTIFICATE_STORE


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"certificates": []}, "needs the URL"),
        ({"certificates": ["myvault/web"]}, "https://VAULT.vault.azure.net/secrets/NAME"),
        ({"certificates": ["http://v.vault.azure.net/secrets/n"]}, "secrets/NAME"),
        ({"certificates": ["https://v.vault.azure.net/keys/n"]}, "secrets/NAME"),
        ({"certificates": ["https://v.vault.azure.net/secrets/n'; rm -rf /"]}, "secrets/NAME"),
        ({"certificates": [3]}, "has to be a text"),
        ({"store": "LocalMachine"}, "On Windows"),
        ({"store": "C:\\certs"}, "On Windows"),
        ({"store": "/var/lib/$(id)"}, "a folder of Linux"),
        ({"store": "/var/lib/a b"}, "a folder of Linux"),
        ({"wait": -1}, "zero or more"),
        ({"as_admin": "yes"}, "True or False"),
    ],
)
def test_what_cannot_be_is_refused(arguments: dict[str, Any], said: str) -> None:
    given = {"certificates": [URL], **arguments}
    with pytest.raises(ParameterError, match=said.replace("(", r"\(")):
        certificate_check(*given.pop("certificates"), **given)


@pytest.mark.parametrize("count", [0, -1, "x", 1.5, None])
def test_a_count_is_one_or_more(count: Any) -> None:
    with pytest.raises(ParameterError, match="count"):
        gpu_check(count)
