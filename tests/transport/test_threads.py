"""What the environment says of the way to Azure: proxies, and whom to believe. A ``.netrc`` says nothing."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest
from azure.core.exceptions import AzureError
from azure.core.rest import HttpRequest

from airflow_batchext.connection import origin_of
from airflow_batchext.transport.threads import GuardedTransport

HERE = "http://batch.example"


class Recorder(HTTPServer):
    """A proxy that answers by itself, and keeps what it was asked for."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[tuple[str, str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Recorder

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers["Authorization"]))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    with Recorder() as server:
        thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "http_proxy",
        "https_proxy",
        "all_proxy",
        "no_proxy",
        "requests_ca_bundle",
        "curl_ca_bundle",
    ):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def ask(url: str, **options: Any) -> None:
    request = HttpRequest("GET", f"{url}/pools", headers={"Authorization": "SharedKey a:b"})
    with GuardedTransport([origin_of(url)], connection_timeout=5, read_timeout=5) as transport:
        transport.send(request, **options)


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_the_proxy_of_the_environment_is_taken(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, recorder.url)
    ask(HERE)
    assert recorder.asked == [(f"{HERE}/pools", "SharedKey a:b")]


@pytest.mark.parametrize("exempt", ["127.0.0.1", "localhost,127.0.0.0/8", "*"])
def test_but_not_for_hosts_that_are_exempt(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch, exempt: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with pytest.raises(AzureError):
        ask(recorder.url)
    monkeypatch.setenv("NO_PROXY", exempt)
    ask(recorder.url)
    assert [path for path, _ in recorder.asked] == ["/pools"]


def test_the_proxy_that_is_given_comes_first(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    ask(HERE, proxies={"http": recorder.url})
    assert [path for path, _ in recorder.asked] == [f"{HERE}/pools"]


def test_each_host_has_its_own(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", recorder.url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    origins = [origin_of(HERE), origin_of(recorder.url)]
    with GuardedTransport(origins, connection_timeout=5, read_timeout=5) as transport:
        for url in (HERE, recorder.url, HERE):
            transport.send(HttpRequest("GET", f"{url}/pools"))
    assert [path for path, _ in recorder.asked] == [f"{HERE}/pools", "/pools", f"{HERE}/pools"]


def test_no_netrc_takes_the_place_of_our_signature(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    (tmp_path / "netrc").write_text("default login somebody password else\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    ask(recorder.url)
    assert recorder.asked == [("/pools", "SharedKey a:b")]


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_the_authorities_of_the_environment_are_believed(
    azure: Any, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    info = azure.emulator.info
    with pytest.raises(AzureError, match="certificate"):
        ask(info.batch_endpoint)
    monkeypatch.setenv(name, info.ca_bundle)
    ask(info.batch_endpoint)
    assert len(azure.reads("/pools")) == 1
