"""What goes to the index: checked, installed into new environments, and used there without a checkout."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tools import environment, pythons

pytestmark = [pytest.mark.package, pytest.mark.timeout(900)]
ROOT = Path(__file__).parents[2]
DIST = ROOT / "dist"
BIN = Path(sys.executable).parent
#: The oldest and the newest that are claimed.
PYTHONS = ("3.11", "3.13")
USERS_TEST = """
import pytest
from azure.batch import BatchClient
from azure.core.credentials import AzureNamedKeyCredential

@pytest.mark.azure_batch(time_scale=300)
def test_it(azure_batch):
    info = azure_batch.info
    client = BatchClient(info.http_endpoint, AzureNamedKeyCredential(info.account, info.key))
    assert list(client.list_pools()) == []
"""


def wheel(name: str) -> Path:
    (found,) = DIST.glob(f"{name}-*.whl")
    return found


@dataclass
class Place:
    """A new environment, and a folder in which there is nothing else.

    :param folder: where it is used; the environment is in it.
    """

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "env" / "bin" / "python"

    def run(self, *command: str, status: int = 0, timeout: float = 600) -> str:
        """What a command of the environment prints, run in a folder of its own."""
        work = self.folder / "work"
        work.mkdir(exist_ok=True)
        ended = subprocess.run(
            self.command(*command),
            cwd=work,
            env=self.variables(),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert ended.returncode == status, ended.stdout + ended.stderr
        return ended.stdout

    def command(self, name: str, *arguments: str) -> list[str]:
        return [str(self.folder / "env" / "bin" / name), *arguments]

    def variables(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW", "PYTHON"))}
        return kept | {"AIRFLOW_HOME": str(self.folder / "airflow"), "COLUMNS": "200"}


def new_place(folder: Path, python: Path, *wanted: str, pins: bool = True) -> Place:
    place = Place(folder)
    subprocess.run([python, "-m", "venv", "--without-pip", folder / "env"], check=True)
    constraints = ["--constraints", str(ROOT / "constraints.txt")] if pins else []
    command = [BIN / "uv", "pip", "install", "--quiet", "--python", place.python, *constraints, *wanted]
    subprocess.run(command, env={**os.environ, **environment._index_of_pip(ROOT / ".venv")}, check=True)
    return place


@pytest.fixture(scope="module", params=PYTHONS)
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Place:
    python = pythons.find(request.param)
    if python is None:
        pytest.skip(f"there is no Python {request.param} here")
    return new_place(tmp_path_factory.mktemp("installed"), python, str(wheel("airflow_batchext")), "pytest")


# --- what was built -----------------------------------------------------------------------------------------


def test_the_index_takes_all_four_files():
    files = sorted(map(str, DIST.iterdir()))
    assert len(files) == 4
    ended = subprocess.run([BIN / "twine", "check", "--strict", *files], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout


@pytest.mark.parametrize("name", ["airflow_batchext", "batchext_emulator"])
def test_the_wheel_has_no_surprise(name: str):
    command = [BIN / "check-wheel-contents", "--toplevel", name, wheel(name)]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout


@pytest.mark.parametrize("name", ["airflow_batchext", "batchext_emulator"])
def test_the_sdist_builds_the_same_wheel(name: str, tmp_path: Path):
    (sdist,) = DIST.glob(f"{name}-*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (tree,) = tmp_path.iterdir()
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "again")]
    subprocess.run(command, cwd=tree, capture_output=True, check=True)
    (again,) = (tmp_path / "again").iterdir()
    with zipfile.ZipFile(again) as one, zipfile.ZipFile(wheel(name)) as other:
        assert {i.filename: i.CRC for i in one.infolist()} == {i.filename: i.CRC for i in other.infolist()}


# --- airflow-batchext ---------------------------------------------------------------------------------------


def test_nothing_of_the_checkout_is_used(place: Place):
    where = place.run("python", "-c", "import airflow_batchext; print(airflow_batchext.__file__)")
    assert str(place.folder) in where


def test_the_demo_runs_and_names_what_its_user_has(place: Place):
    out = place.run("batchext", "demo", "--nodes", "1")
    assert "The gate opened" in out
    examples = Path(re.search(r"copy (\S+) into your DAGs folder", out)[1])
    assert examples.is_relative_to(place.folder / "env")
    assert (examples / "batch_pool_gate.py").is_file()


def test_airflow_starts_with_its_page_and_stops(place: Place):
    home = place.folder / "up"
    command = place.command("batchext", "up", "--home", str(home))
    printed = place.folder / "up.txt"
    with printed.open("w") as output:
        running = subprocess.Popen(command, env=place.variables(), stdout=output, stderr=subprocess.STDOUT)
    try:
        end = time.monotonic() + 300
        while "Ctrl-C" not in printed.read_text():
            assert running.poll() is None, printed.read_text()
            assert time.monotonic() < end, printed.read_text()
            time.sleep(0.5)
        address = re.search(r"^  open +http://([\d.]+:\d+)$", printed.read_text(), re.MULTILINE)[1]
        page = HTTPConnection(address, timeout=60)
        page.request("GET", "/")
        assert page.getresponse().status == 200
    finally:
        running.send_signal(signal.SIGINT)
    assert running.wait(120) == 0
    assert not (home / "env").exists()


def test_documents_are_checked(place: Place):
    code = "from airflow_batchext.cli.demo.airflow_home import dags_folder; print(dags_folder())"
    folder = place.run("python", "-c", code).strip()
    document = f"{folder}/pools/keyvault_almalinux.json"
    assert place.run("batchext", "validate", document, "--set", "params.nodes=1")
    wrong = place.folder / "wrong.yaml"
    wrong.write_text("properties: {vmsize: STANDARD_D2S_V3}\n")
    place.run("batchext", "validate", str(wrong), status=1)


def test_the_pages_are_there(place: Place):
    listed = place.run("batchext", "docs")
    assert "permissions" in listed
    assert place.run("batchext", "docs", "gate") == (ROOT / "docs" / "gate.md").read_text()
    assert json.loads(place.run("batchext", "docs", "roles/gate.json"))
    assert "# Security" in place.run("batchext", "docs", "SECURITY")


def test_the_plugin_of_pytest_is_there(place: Place):
    file = place.folder / "test_users.py"
    file.write_text(USERS_TEST)
    assert "1 passed" in place.run("pytest", "-q", "-p", "no:cacheprovider", str(file))


def test_airflow_knows_the_provider(place: Place):
    told = place.run("airflow", "providers", "get", "airflow-batchext", "--full", "-o", "json")
    assert "Azure Batch pools with VM extensions" in told
    assert "azure_batchext" in told, "the type of its connection"
    listed = json.loads(place.run("airflow", "providers", "hooks", "-o", "json"))
    assert "azure_batchext" in {hook["connection_type"] for hook in listed}


# --- the emulator alone -------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=PYTHONS)
def emulator(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Installed as the Dockerfile does it, from its wheel and without pins."""
    python = pythons.find(request.param)
    if python is None:
        pytest.skip(f"there is no Python {request.param} here")
    return new_place(tmp_path_factory.mktemp("emulator"), python, str(wheel("batchext_emulator")), pins=False)


def test_the_emulator_is_small_and_brings_neither_airflow_nor_a_sdk(emulator: Place):
    code = (
        "import importlib.metadata as m; print(' '.join(sorted(d.name.lower() for d in m.distributions())))"
    )
    names = emulator.run("python", "-c", code).split()
    assert [name for name in names if name.startswith(("apache", "azure", "airflow"))] == []
    assert len(names) < 25
    size = sum(path.stat().st_size for path in (emulator.folder / "env" / "lib").rglob("*") if path.is_file())
    assert size < 60 * 2**20


def test_the_emulator_serves_and_starts_soon(emulator: Place, tmp_path: Path):
    """With the words of the Dockerfile's CMD, but for ports, which may be taken, and a loopback address."""
    text = (ROOT / "deploy" / "emulator" / "Dockerfile").read_text()
    words = json.loads(re.search(r"^CMD (\[.*\])$", text, re.MULTILINE)[1])
    (entry,) = json.loads(re.search(r"^ENTRYPOINT (\[.*\])$", text, re.MULTILINE)[1])
    words = ["0" if word.isdigit() else word.replace("0.0.0.0", "127.0.0.1") for word in words]
    emulator.run(entry, "--help")  # compiled, as an image is
    before = os.times()
    running = subprocess.Popen(
        emulator.command(entry, *words),
        env=emulator.variables() | {"TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        info = json.loads(running.stdout.readline())
        assert Path(info["ca_bundle"]).is_relative_to(tmp_path), "where a volume can be"
        page = HTTPConnection(info["http_endpoint"].removeprefix("http://"), timeout=60)
        page.request("GET", "/pools?api-version=2024-07-01.20.0")
        assert page.getresponse().status == 401, "who does not sign in gets nothing"
    finally:
        running.terminate()
    assert running.wait(60) == 0
    after = os.times()
    spent = after.children_user - before.children_user + after.children_system - before.children_system
    assert spent < 3, "a second of a processor, where it has one for itself"


def test_both_can_be_installed_side_by_side(place: Place):
    with (
        zipfile.ZipFile(wheel("airflow_batchext")) as one,
        zipfile.ZipFile(wheel("batchext_emulator")) as other,
    ):
        assert set(one.namelist()) & set(other.namelist()) == set()
