"""The bed leaves nothing behind, also if the tests themselves are killed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.airflow.harness import wait_until
from tests.distributed.environment import ROOT

pytestmark = pytest.mark.distributed

KILLED = """
import os, signal, subprocess, sys
from tests.distributed.reaper import Reaper

reaper = Reaper()
# A shell that has started something in a session of its own, as Celery's workers do with tasks.
child = subprocess.Popen(["sh", "-c", "setsid sleep 300 & wait"])
gone = subprocess.Popen(["true"])
reaper.watch("folder", sys.argv[1])
reaper.watch("process", child.pid)
reaper.watch("process", gone.pid)
gone.wait()
reaper.forget("process", gone.pid)
print(child.pid, flush=True)
sys.stdin.readline()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_processes_and_folders_go_though_the_tests_were_killed(tmp_path: Path):
    folder = tmp_path / "home"
    (folder / "logs").mkdir(parents=True)
    tests = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert tests.stdout is not None
    shell = psutil.Process(int(tests.stdout.readline()))
    family = wait_until("the shell's child", lambda: shell.children(recursive=True), 10)
    tests.communicate("\n")
    assert tests.returncode == -9
    wait_until("the processes to end", lambda: not any(map(runs, [shell, *family])), 15)
    wait_until("the folder to go", lambda: not folder.exists(), 15)


def runs(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
