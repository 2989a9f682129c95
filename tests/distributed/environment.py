"""What the distributed test-bed needs beside ``.venv-distributed``, which ``tools/environment.py`` makes.

Where no Redis is installed, it has the binaries of Debian's packages, unpacked and not installed. Why those:
they are a megabyte, signed, the same as on servers, and need neither root nor a compiler; the wheels that
carry a Redis carry an old one. PostgreSQL has to be installed.

    python -m tests.distributed.environment
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
HOME = ROOT / ".venv-distributed"
AIRFLOW = HOME / "bin" / "airflow"
_REDIS = HOME / "redis"
_DEBIAN_PACKAGES = ("redis-server", "redis-tools", "liblzf1", "libjemalloc2")
_NO_POSTGRES = (
    "the distributed test-bed needs the server of PostgreSQL, on the PATH or in /usr/lib/postgresql/*/bin "
    "(Debian: apt-get install postgresql; macOS: brew install postgresql)"
)
_NO_REDIS = (
    "the distributed test-bed needs redis-server or valkey-server on the PATH (Debian: apt-get install "
    "redis-server; macOS: brew install redis), or apt-get and dpkg to fetch Debian's without installing it"
)


class MissingProgramError(Exception):
    """Something has to be installed first; the text says what and how."""


@dataclass(frozen=True)
class RedisServer:
    """How to start a Redis.

    :param program: its binary.
    :param libraries: environment variables with which it finds its libraries.
    """

    program: Path
    libraries: dict[str, str] = field(default_factory=dict)


def postgres_programs() -> Path:
    """The folder of ``initdb``, ``postgres`` and ``psql``; the newest, if there are several.

    :raises MissingProgramError: if there is none.
    """
    installed = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True
    )
    on_path = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep)]
    for folder in [*on_path, *installed]:
        if all((folder / name).is_file() for name in ("initdb", "postgres", "psql")):
            return folder
    raise MissingProgramError(_NO_POSTGRES)


def redis_server() -> RedisServer:
    """The Redis of this machine, or the one in ``.venv-distributed``.

    :raises MissingProgramError: if there is none.
    """
    installed = shutil.which("redis-server") or shutil.which("valkey-server")
    if installed:
        return RedisServer(Path(installed))
    program = _REDIS / "usr" / "bin" / "redis-server"
    if not program.exists():
        raise MissingProgramError(_NO_REDIS)
    folders = [str(path) for path in (_REDIS / "usr" / "lib").glob("*-linux-gnu*")]
    return RedisServer(program, {"LD_LIBRARY_PATH": os.pathsep.join(folders)})


def can_have_redis() -> None:
    """Return if there is a Redis, or if Debian's can be fetched.

    :raises MissingProgramError: if something has to be installed first.
    """
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        redis_server()


def make() -> None:
    """Fetch Redis if there is none.

    :raises MissingProgramError: if something has to be installed first.
    """
    postgres_programs()
    try:
        redis_server()
    except MissingProgramError:
        _fetch_redis()


def _fetch_redis() -> None:
    """Unpack Debian's Redis.

    :raises MissingProgramError: if that cannot be done here.
    """
    can_have_redis()
    print(f"fetching Debian's Redis for {platform.machine()} into {_REDIS}", flush=True)
    shutil.rmtree(_REDIS, ignore_errors=True)
    packages = _REDIS / "packages"
    packages.mkdir(parents=True)
    try:
        # As root it would look for another user who may write there, and complain.
        sandbox = ("-o", "APT::Sandbox::User=root") if os.geteuid() == 0 else ()
        _run("apt-get", "-qq", *sandbox, "download", *_DEBIAN_PACKAGES, folder=packages)
        for package in packages.glob("*.deb"):
            _run("dpkg", "-x", str(package), str(_REDIS))
        found = redis_server()
        subprocess.run(
            [found.program, "--version"], env=os.environ | found.libraries, check=True, capture_output=True
        )
    except (subprocess.CalledProcessError, OSError) as error:
        shutil.rmtree(_REDIS, ignore_errors=True)
        raise MissingProgramError(f"{_NO_REDIS}; that failed here: {error}") from None


def _run(*command: str, folder: Path | None = None) -> None:
    subprocess.run(command, cwd=folder, check=True)


if __name__ == "__main__":
    try:
        make()
    except MissingProgramError as problem:
        sys.exit(str(problem))
