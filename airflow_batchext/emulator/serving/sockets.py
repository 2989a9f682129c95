"""A thread that serves one application on several sockets, starts for certain and stops promptly."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import TYPE_CHECKING

import uvicorn

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable

    from starlette.types import Receive, Scope, Send

    from airflow_batchext.emulator.serving.certificates import Files

log = logging.getLogger(__name__)

_START_TIMEOUT = 30.0
_TURNS = 20
"""Of the loop, in which a request that has come in is taken up: its connection, its head, its body."""
_LAST_ANSWERS = 0.05
"""Seconds in which answers that are under way can still be sent when the server stops."""


class ServingThread:
    """Serves until it is stopped. Sockets are bound before, so that a port in use is known at once."""

    def __init__(
        self,
        application: Callable[[Scope, Receive, Send], Awaitable[None]],
        sockets: list[tuple[socket.socket, Files | None]],
    ) -> None:
        """Each socket goes with the certificate that it needs, if it speaks TLS."""
        self._sockets = [bound for bound, _ in sockets]
        self._servers = [uvicorn.Server(_config(application, files)) for _, files in sockets]
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._started = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._main, name="batchext-emulator", daemon=True)

    def start(self) -> None:
        """Start, and wait until every socket accepts connections."""
        self._thread.start()
        in_time = self._started.wait(_START_TIMEOUT)
        if self._failure is not None or not in_time:
            raise RuntimeError("the emulator could not start serving") from self._failure

    def stop(self) -> None:
        """Stop, and wait until all sockets and connections are closed."""
        if self._thread.is_alive() and self._loop is not None and self._stopping is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join()
        for bound in self._sockets:
            bound.close()

    def settle(self) -> None:
        """Wait until the requests that have come in are taken up. Never to be called by the application."""
        if self._thread.is_alive() and self._loop is not None:
            asyncio.run_coroutine_threadsafe(_turns(), self._loop).result(_START_TIMEOUT)

    def cut(self, scope: Scope) -> None:
        """Cut the connection that a request came on. To be called from within the application."""
        wanted = [tuple(scope[end])[:2] for end in ("client", "server")]
        for server in self._servers:
            for connection in list(server.server_state.connections):
                # uvicorn keeps no other tie between a request and its connection than the two addresses.
                transport = connection.transport
                ends = [transport.get_extra_info(end) for end in ("peername", "sockname")]
                if [tuple(end or ())[:2] for end in ends] == wanted:
                    transport.abort()

    def _main(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as problem:
            self._failure = problem
            if self._started.is_set():
                log.exception("The emulator has stopped serving")
        finally:
            self._started.set()

    async def _serve(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        serving = [
            asyncio.create_task(server.serve(sockets=[bound]))
            for server, bound in zip(self._servers, self._sockets, strict=True)
        ]
        # uvicorn tells nobody when it has started, so it has to be asked.
        while not all(server.started for server in self._servers):
            for task in serving:
                if task.done():
                    await task
            await asyncio.sleep(0.002)
        self._started.set()
        await self._stopping.wait()
        for server in self._servers:
            server.should_exit = True
        await asyncio.sleep(_LAST_ANSWERS)
        # Clients keep connections open and do not answer the goodbye of TLS; waiting for them is in vain.
        for server in self._servers:
            for connection in list(server.server_state.connections):
                connection.transport.abort()
        await asyncio.gather(*serving)


async def _turns() -> None:
    for _ in range(_TURNS):
        await asyncio.sleep(0)


def _config(
    application: Callable[[Scope, Receive, Send], Awaitable[None]], files: Files | None
) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        ssl_certfile=str(files.certificate) if files else None,
        ssl_keyfile=str(files.key) if files else None,
        interface="asgi3",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        date_header=False,  # the service has a clock of its own
        proxy_headers=False,
        ws="none",
        loop="asyncio",
        # Longer than clients keep a connection, so that none sends into one that is just being closed.
        timeout_keep_alive=120,
        timeout_graceful_shutdown=1,
    )
