"""The running emulator: two sockets, TLS, and a thread that serves both planes and the sign-in.

One HTTPS port serves everything (the paths tell the planes apart), as real clients insist on TLS for tokens;
a plain HTTP port serves the same, for clients with a shared key that know nothing of our certificate.
"""

from __future__ import annotations

import ipaddress
import shutil
import socket
import tempfile
import time
from collections import deque
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_batchext.emulator.account.account import Account
from airflow_batchext.emulator.account.clock import Clock
from airflow_batchext.emulator.data.plane import DataPlane
from airflow_batchext.emulator.faults import Faults
from airflow_batchext.emulator.login.sign_in import SignIn
from airflow_batchext.emulator.login.tokens import Tokens
from airflow_batchext.emulator.management.plane import ManagementPlane
from airflow_batchext.emulator.running.runs import LocalRuns, check
from airflow_batchext.emulator.scenario import Scenario
from airflow_batchext.emulator.serving import certificates
from airflow_batchext.emulator.serving.application import Application, Endpoints, RecordedRequest
from airflow_batchext.emulator.serving.control import Control
from airflow_batchext.emulator.serving.sockets import ServingThread
from airflow_batchext.emulator.serving.state_file import StateFile

if TYPE_CHECKING:
    from typing import Self

    from starlette.types import Receive, Scope, Send

    from airflow_batchext.emulator.login.assertions import Credentials


@dataclass(frozen=True)
class Info:
    """Where the emulator is and how to sign in to it."""

    batch_endpoint: str
    arm_endpoint: str
    authority: str
    http_endpoint: str
    ca_bundle: str
    account: str
    key: str = field(repr=False)
    subscription_id: str
    resource_group: str
    tenant_id: str
    client_id: str
    client_secret: str = field(repr=False)
    client_certificate: str
    """A PEM file with a certificate of the application and its key."""
    federated_token_file: str
    """A token with which the application can sign in, as workload identity has it in a file."""
    identity_endpoint: str
    """Where a managed identity gets its tokens; with ``identity_header`` this is App Service."""
    identity_header: str = field(repr=False)

    def as_dict(self) -> dict[str, str]:
        """The same as a JSON object."""
        return asdict(self)


_PORT = "a port, 0 to 65535"


class Emulator:
    """An Azure Batch account on this machine. Use it in a ``with`` block, or call ``start`` and ``stop``.

    :param host: the address to listen on; any but loopback opens it to the network.
    :param https_port: of both planes and the sign-in; 0 takes a free one.
    :param http_port: of the same in plain HTTP; 0 takes a free one.
    :param time_scale: how many times as fast as the wall its time runs; 0 stands still until advanced.
    :param scenario: what fails or hangs, and how long things take.
    :param seed: the same one and the same requests give the same ids of nodes and the same faults.
    :param state: a file to go on from, and to keep everything in; by default all is forgotten at the end.
    :param run_tasks: a folder in which the command lines of tasks are really run, as processes of this
        machine; by default nothing is run, and the scenario says how tasks end. Whoever can sign a request
        can then run commands as the user of this process, so ``host`` has to be a loopback address.
    :raises ValueError: if an argument is none that can be used, or the file cannot be gone on from.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        https_port: int = 0,
        http_port: int = 0,
        time_scale: float = 1.0,
        scenario: Scenario | None = None,
        seed: int = 0,
        state: str | Path | None = None,
        run_tasks: str | Path | None = None,
    ) -> None:
        for name, value, kinds, wanted in (
            ("host", host, str, "the name or address to listen on"),
            ("https_port", https_port, int, _PORT),
            ("http_port", http_port, int, _PORT),
            ("time_scale", time_scale, (int, float), "a number, zero or more"),
            ("scenario", scenario, (Scenario, type(None)), "a Scenario; Scenario.model_validate makes one"),
            ("seed", seed, int, "a whole number"),
            ("state", state, (str, Path, type(None)), "the path of a file"),
            ("run_tasks", run_tasks, (str, Path, type(None)), "the path of a folder"),
        ):
            is_port = wanted != _PORT or (isinstance(value, int) and 0 <= value <= 65535)
            if isinstance(value, bool) or not isinstance(value, kinds) or not is_port:
                raise ValueError(f"{name} is {str(value)[:60]!r}, but it has to be {wanted}")
        self._tasks = None
        if run_tasks is not None:
            self._tasks = check(run_tasks, time_scale, is_local=is_loopback(host))
        self._running: LocalRuns | None = None
        self._state = StateFile(state) if state is not None else None
        self._seed, self._time_scale = seed, time_scale
        identities = self._state.identities if self._state else None
        self.tokens = Tokens(
            lambda: self.scenario.answers.token_lifetime, identities, lambda: self.scenario.sign_in
        )
        self._first_identities = self.tokens.identities
        self._host = host
        self._ports = (https_port, http_port)
        self._info: Info | None = None
        self._folder: Path | None = None
        self._serving: ServingThread | None = None
        self._begin(scenario or Scenario())
        self._first_keys = dict(self.account.keys)

    def _begin(self, scenario: Scenario) -> None:
        """Make all that requests and time change, new or as the file has it."""
        self.clock = Clock(self._time_scale, self._state.time if self._state else None)
        self.account = Account(self.clock, scenario, self._seed)
        if self._state is not None:
            self._state.restore(self.account)
        self.faults = Faults(self._seed, self.clock.now, time.monotonic, lambda: self.scenario.faults)
        self._management = ManagementPlane(self.account, self.tokens, self._host_and_port)
        self._data = DataPlane(self.account, self.tokens)
        self._sign_in = SignIn(self.tokens, self._host)
        endpoints = Endpoints(
            management=self._management.answer,
            data=self._data.answer,
            sign_in=self._sign_in.answer,
            tokens=self.tokens,
            is_private=lambda: not self.scenario.account.public_network_access,
            control=Control(self.account, self.faults, self._put).answer,
            changed=self._state.changed if self._state is not None else lambda: None,
            now=self.clock.now,
        )
        self._application = Application(endpoints, self.faults, self._cut)

    def reset(self, scenario: Scenario | None = None) -> None:
        """Begin anew, as if just started: no pools, no faults, no requests, and the time is now.

        Addresses, certificates, identities and keys are those of the start: clients need not be made again.

        :param scenario: what will happen from now on; without one, everything succeeds.
        :raises RuntimeError: if the emulator keeps its state in a file.
        """
        if self._state is not None:
            raise RuntimeError("an emulator that keeps its state in a file cannot be reset")
        if self._serving is not None:
            self._serving.settle()
        before = self.account
        self._end_tasks()
        self.tokens.identities = self._first_identities
        self._begin(scenario or Scenario())
        self.account.subscription_id, self.account.keys = before.subscription_id, dict(self._first_keys)
        if self._serving is not None:
            self._begin_tasks()

    @property
    def info(self) -> Info:
        """Where the running emulator is and how to sign in to it."""
        if self._info is None:
            raise RuntimeError("the emulator is not running")
        secret = self.tokens.identities.client_secret
        return replace(self._info, key=self.account.keys["primary"], client_secret=secret)

    @property
    def requests(self) -> deque[RecordedRequest]:
        """What was asked so far, the oldest first."""
        return self._application.requests

    @property
    def scenario(self) -> Scenario:
        """What will happen. It may be replaced or extended while the emulator runs."""
        return self.account.scenario

    @scenario.setter
    def scenario(self, scenario: Scenario) -> None:
        self.account.scenario = scenario
        self.faults.notice()

    def start(self) -> Self:
        """Bind the sockets and serve; on return both accept connections. OSError if a port is taken."""
        if self._serving is not None:
            raise RuntimeError("the emulator is running already")
        sockets: list[socket.socket] = []
        try:
            for port in self._ports:
                sockets.append(_bind(self._host, port))  # noqa: PERF401 - if one fails the others must be closed
            self._folder = Path(tempfile.mkdtemp(prefix="batchext-emulator-"))
            files = certificates.make(self._folder, self._host)
            credentials = self.tokens.registration.write(self._folder)
            self._info = self._describe(sockets, files.ca_bundle, credentials)
            if self._state is not None:
                self._state.start(self.account, self.tokens.identities)
            self._begin_tasks()
            serving = ServingThread(self._answer, [(sockets[0], files), (sockets[1], None)])
            serving.start()
            self._serving = serving
        except BaseException:
            for bound in sockets:
                bound.close()
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Close the sockets and the connections, and remove the files. Calling it again does no harm."""
        if self._serving is not None:
            self._serving.stop()
        self._end_tasks()
        if self._state is not None:
            self._state.stop()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._serving, self._folder, self._info = None, None, None

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(self, *error: object) -> None:
        """Stop."""
        self.stop()

    # --- inside --------------------------------------------------------------------------------------------

    def _begin_tasks(self) -> None:
        self.account.jobs.requeue_lost()
        if self._tasks is not None:
            self._running = LocalRuns(self.account, self._tasks, lambda: self.info.batch_endpoint)
            self.account.runs = self._running

    def _end_tasks(self) -> None:
        if self._running is not None:
            self._running.close()
        self._running = None

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._application(scope, receive, send)

    def _put(self, scenario: Scenario) -> None:
        self.scenario = scenario

    def _cut(self, scope: Scope) -> None:
        if self._serving is not None:
            self._serving.cut(scope)

    def _describe(self, sockets: list[socket.socket], ca_bundle: Path, credentials: Credentials) -> Info:
        host = _reachable(self._host)
        https, http = (f"{host}:{bound.getsockname()[1]}" for bound in sockets)
        account, known = self.account, self.tokens.identities
        return Info(
            batch_endpoint=f"https://{https}",
            arm_endpoint=f"https://{https}",
            authority=f"https://{https}",
            http_endpoint=f"http://{http}",
            ca_bundle=str(ca_bundle),
            account=account.name,
            key=account.keys["primary"],
            subscription_id=account.subscription_id,
            resource_group=account.resource_group,
            tenant_id=known.tenant_id,
            client_id=known.client_id,
            client_secret=known.client_secret,
            client_certificate=str(credentials.certificate),
            federated_token_file=str(credentials.federated_token),
            identity_endpoint=f"http://{http}/msi/token",
            identity_header=known.identity_header,
        )

    def _host_and_port(self) -> str:
        return self.info.batch_endpoint.removeprefix("https://")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a host."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _reachable(host: str) -> str:
    """The host under which clients on this machine reach a socket bound to ``host``."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.is_unspecified:
        return "127.0.0.1" if address.version == 4 else "[::1]"
    return f"[{host}]" if address.version == 6 else host


def _bind(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as problem:
        bound.close()
        raise OSError(problem.errno, f"cannot listen on {host} port {port}: {problem.strerror}") from None
    return bound
