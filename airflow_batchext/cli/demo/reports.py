"""The reports that an example writes, for a browser on this machine: a page may not lead to a file."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *words: object) -> None:
        """Say nothing of a request: the terminal is for what ``batchext up`` says."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder on the loopback address, and give its URL.

    :param folder: made, for nobody else to write to, if it is not there.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, name="reports", daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
