"""What is kept across restarts, through real clients before and after."""

from __future__ import annotations

import errno
import json
import sys
import typing
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from azure.batch import BatchClient
from azure.core.credentials import AzureNamedKeyCredential
from pydantic import BaseModel

from airflow_batchext.emulator import Emulator, ExtensionScenario, Scenario, scenario
from airflow_batchext.emulator.account import autoscale, extensions, job_records, jobs, lifecycle, pools, work
from airflow_batchext.emulator.documents import pool
from airflow_batchext.emulator.scenario import Answers
from airflow_batchext.emulator.serving import state_file
from airflow_batchext.emulator.serving.state_file import KINDS
from tests.airflow.harness import wait_until
from tests.emulator.pool_documents import account_path, data_pool, extension, management_pool, raw


def emulator_with(state: Path, **options: Any) -> Emulator:
    return Emulator(time_scale=0, state=state, **options)


def client_of(emulator: Emulator) -> BatchClient:
    info = emulator.info
    return BatchClient(info.http_endpoint, AzureNamedKeyCredential(info.account, info.key))


def everything(emulator: Emulator, name: str) -> dict[str, Any]:
    """All that the data plane tells of a pool, without the addresses, which are others each time."""
    with client_of(emulator) as batch:
        pool = batch.get_pool(name).as_dict()
        nodes = [node.as_dict() for node in batch.list_nodes(name)]
        extensions = [
            [item.as_dict() for item in batch.list_node_extensions(name, node["id"])] for node in nodes
        ]
    for item in (pool, *nodes):
        item.pop("url")
    pool.pop("odata.metadata")
    return {"pool": pool, "nodes": nodes, "extensions": extensions}


def test_a_restart_changes_nothing_that_clients_see(tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    scenario = Scenario(
        extensions=[ExtensionScenario(node=1, outcome="fail", code="7", message="why")],
        answers=Answers(extensions_without_machine="last"),
    )
    with emulator_with(state, scenario=scenario) as first:
        path = f"{account_path(first)}/pools/p"
        raw(first, "PUT", path, json=management_pool(3, extension(settings={"a": 1})))
        first.clock.advance(300)
        first.account.preempt_node("p", 0, back_after=500)
        first.account.set_extension("p", 2, "secretext", outcome="hang")
        before, seen, now = everything(first, "p"), first.info.as_dict(), first.clock.now()
    with emulator_with(state, scenario=scenario) as second:
        assert second.clock.now() == now
        assert everything(second, "p") == before
        same = ("key", "account", "subscription_id", "tenant_id", "client_id", "client_secret")
        assert {name: second.info.as_dict()[name] for name in same} == {name: seen[name] for name in same}
        second.clock.advance(600)
        states = [node["state"] for node in everything(second, "p")["nodes"]]
        assert states == ["idle", "idle", "idle"]


def test_what_was_under_way_goes_on(tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    with emulator_with(state) as first, client_of(first) as batch:
        batch.create_pool(data_pool("growing", 2))  # type: ignore[arg-type]
        batch.create_pool(data_pool("leaving", 0))  # type: ignore[arg-type]
        batch.begin_delete_pool("leaving", polling_interval=3600)
    with emulator_with(state) as second, client_of(second) as batch:
        assert batch.get_pool("leaving").state == "deleting"
        second.clock.advance(100)
        assert [pool.id for pool in batch.list_pools()] == ["growing"]
        assert list(batch.list_nodes("growing")) == []
        second.clock.advance(60)
        assert len(list(batch.list_nodes("growing"))) == 2


def test_jobs_and_tasks_are_kept(tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    with emulator_with(state) as first, client_of(first) as batch:
        batch.create_pool(data_pool("p", 1))  # type: ignore[arg-type]
        first.clock.advance(300)
        batch.create_job({"id": "j", "poolInfo": {"poolId": "p"}})  # type: ignore[arg-type]
        batch.create_task("j", {"id": "t", "commandLine": "true"})  # type: ignore[arg-type]
        before = batch.get_task("j", "t").as_dict()
    with emulator_with(state) as second, client_of(second) as batch:
        after = batch.get_task("j", "t").as_dict()
        without = dict.fromkeys(("url", "nodeInfo", "odata.metadata"))
        assert {**after, **without} == {**before, **without}
        second.clock.advance(60)
        assert batch.get_task("j", "t").state == "completed"


def test_nodes_that_shared_a_history_share_it_again(tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    with emulator_with(state) as first:
        raw(first, "PUT", f"{account_path(first)}/pools/p", json=management_pool(50))
    assert state.stat().st_size < 60_000
    with emulator_with(state) as second:
        (pool,) = second.account.pools()
        assert len({id(node.history) for node in pool.nodes.values()}) == 1


def test_no_secret_of_a_document_gets_into_the_file(tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    secret = {"protectedSettings": {"password": "SENTINEL-1"}, "settings": {"shown": "kept"}}
    users = [{"name": "u", "password": "SENTINEL-2"}]
    with emulator_with(state) as emulator:
        document = management_pool(1, extension(**secret), userAccounts=users)
        raw(emulator, "PUT", f"{account_path(emulator)}/pools/p", json=document)
    text = state.read_text()
    assert "kept" in text
    assert "SENTINEL" not in text
    assert oct(state.stat().st_mode & 0o777) == "0o600"


def test_changes_are_written_while_it_runs(tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    with emulator_with(state) as emulator:
        assert "crash-proof" not in state.read_text()
        raw(emulator, "PUT", f"{account_path(emulator)}/pools/crash-proof", json=management_pool(0))
        wait_until("the change to be written", lambda: "crash-proof" in state.read_text())
    assert [file.name for file in tmp_path.iterdir()] == ["state.json"]


def away(state: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Any]:
    """Its folder is not there, as where a disk comes later."""
    elsewhere = state.parent.rename(state.parent.with_name("elsewhere"))
    return lambda: elsewhere.rename(state.parent)


def full(state: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Any]:
    """Half of it is written, and then the disk is full."""

    def dump(kept: Any, file: Any, **options: Any) -> None:
        file.write('{"format"')
        raise OSError(errno.ENOSPC, "No space left on device")

    room = SimpleNamespace(**vars(json))
    monkeypatch.setattr(state_file, "json", SimpleNamespace(**{**vars(json), "dump": dump}))
    return lambda: monkeypatch.setattr(state_file, "json", room)


def unforeseen(state: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Any]:
    """A fault of our own in it."""
    write = state_file.snapshot.write
    monkeypatch.setattr(state_file.snapshot, "write", lambda *_: 1 / 0)
    return lambda: monkeypatch.setattr(state_file.snapshot, "write", write)


@pytest.mark.parametrize("trouble", [away, full, unforeseen])
def test_what_could_not_be_written_is_written_later_though_nothing_changes_any_more(
    trouble: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    state = tmp_path / "folder" / "state.json"
    state.parent.mkdir()
    with emulator_with(state) as emulator:
        is_over = trouble(state, monkeypatch)
        raw(emulator, "PUT", f"{account_path(emulator)}/pools/later", json=management_pool(0))
        wait_until("it to be told", lambda: "could not be written" in caplog.text)
        is_over()
        wait_until("it to be written", lambda: "later" in state.read_text())
        assert [file.name for file in state.parent.iterdir()] == ["state.json"]


def test_of_trouble_that_stays_is_told_at_longer_and_longer_intervals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    with emulator_with(tmp_path / "state.json") as emulator:
        full(tmp_path, monkeypatch)
        kept = emulator._state  # the file that it writes
        assert kept is not None
        wait = kept._stopping.wait

        def quick(seconds: float) -> bool:
            waits.append(seconds)
            return wait(0.001)

        monkeypatch.setattr(kept._stopping, "wait", quick)
        raw(emulator, "PUT", f"{account_path(emulator)}/pools/p", json=management_pool(0))
        wait_until("ten times", lambda: len(waits) > 10)
        monkeypatch.setattr(kept._stopping, "wait", wait)
    assert [file.name for file in tmp_path.iterdir()] == ["state.json"], "nor is half of it left, at the end"
    assert waits[:10] == sorted(waits[:10])
    assert (waits[0], waits[9]) == (0.3, 60.0)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"format": 99}',
        '{"format": 1}',
        '{"format": 3, "time": "x", "identities": {}, "account": []}',
    ],
)
def test_a_file_of_something_else_is_refused_in_one_line(tmp_path: Path, content: str) -> None:
    state = tmp_path / "state.json"
    state.write_text(content)
    with pytest.raises(ValueError, match="is not a state file") as caught:
        Emulator(state=state)
    assert "\n" not in str(caught.value)
    assert state.read_text() == content


def _classes_in(hint: Any) -> Iterator[type]:
    for part in typing.get_args(hint):
        yield from _classes_in(part)
    if isinstance(hint, type) and hint.__module__.startswith("airflow_batchext."):
        yield hint


def test_all_that_a_pool_or_a_job_may_hold_has_a_word_in_the_file() -> None:
    modules = [autoscale, extensions, lifecycle, work, job_records, jobs, pools, pool, scenario]
    names = {name: value for module in modules for name, value in vars(module).items()}
    waiting, seen = [pools.Pool, job_records.Job], set()
    while waiting:
        cls = waiting.pop()
        seen.add(cls)
        if issubclass(cls, (Enum, BaseModel)):  # written by its value, or as a whole
            continue
        for hint in typing.get_type_hints(cls, {**vars(sys.modules[cls.__module__]), **names}).values():
            waiting += [found for found in _classes_in(hint) if found not in seen]
    assert len(seen) > 12
    assert seen <= set(KINDS.values())


def test_the_file_names_no_module_and_no_class(tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    with emulator_with(state) as emulator:
        raw(emulator, "PUT", f"{account_path(emulator)}/pools/p", json=management_pool(2))
    text = state.read_text()
    assert '"kind":"pool definition"' in text
    assert not [
        name for name in ("airflow_batchext", "emulator.", "PoolDefinition", "NodeState") if name in text
    ]


def test_a_file_that_names_other_classes_is_refused(tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    with emulator_with(state):
        pass
    kept = json.loads(state.read_text())
    kept["account"].append({"kind": "os.system", "holds": {}})
    state.write_text(json.dumps(kept))
    with pytest.raises(ValueError, match="cannot be used"):
        Emulator(state=state)


def test_a_file_that_cannot_be_written_is_said_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        emulator_with(tmp_path / "nowhere" / "state.json").start()
