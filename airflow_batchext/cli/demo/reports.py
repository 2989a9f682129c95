"""The reports that an example writes, for a browser on this machine: a page may not lead to a file."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, Any


class _Files(SimpleHTTPRequestHandler):
    """The files of a folder, for who knows the word that stands first in their paths."""

    def __init__(self, *request: Any, word: str, **more: Any) -> None:
        self._word = word
        super().__init__(*request, **more)

    def send_head(self) -> Any:
        """Begin an answer; other users, and pages of elsewhere in this browser, do not know the word."""
        _, word, rest = [*self.path.split("/", 2), "", ""][:3]
        if not secrets.compare_digest(word.encode(), self._word.encode()):
            self.send_error(HTTPStatus.NOT_FOUND)
            return None
        self.path = f"/{rest}"
        return super().send_head()

    def list_directory(self, path: Any) -> IO[bytes] | None:  # type: ignore[override]
        """Show no folder, only files."""
        self.send_error(HTTPStatus.NOT_FOUND)
        return None

    def log_message(self, *words: object) -> None:
        """Say nothing of a request: the terminal is for what ``batchext up`` says."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder on the loopback address, and give its URL.

    :param folder: made, for nobody else to read, if it is not there.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    word = secrets.token_urlsafe(16)
    files = partial(_Files, word=word, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), files) as server:
        thread = threading.Thread(target=server.serve_forever, name="reports", daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/{word}"
        finally:
            server.shutdown()
            thread.join()
