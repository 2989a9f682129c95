"""The reports of ``batchext up``: read by whom the link was shown, and by nobody else."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from airflow_batchext.cli.demo.reports import served


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "reports"
    (folder / "20261129").mkdir(parents=True)
    (folder / "20261129" / "p-diagnosis.html").write_text("<p>why</p>")
    (tmp_path / "secret.txt").write_text("not here")
    return folder


def test_a_report_is_read_by_its_link(folder: Path):
    with served(folder) as url:
        answer = httpx.get(f"{url}/20261129/p-diagnosis.html")
        assert (answer.status_code, answer.text) == (200, "<p>why</p>")
        assert url.startswith("http://127.0.0.1:")
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


@pytest.mark.parametrize(
    "path", ["", "/", *(f"{word}/20261129/p-diagnosis.html" for word in ("", "/", "/WORD", "/%00"))]
)
def test_who_does_not_know_the_link_reads_nothing(folder: Path, path: str):
    with served(folder) as url:
        assert httpx.get(url.rpartition("/")[0] + path).status_code == 404


BESIDE = ["/../secret.txt", "/%2e%2e/secret.txt", "//../secret.txt"]


@pytest.mark.parametrize("path", ["/", "", "/20261129/", "/20261129", "/nope", *BESIDE])
def test_no_folder_is_shown_and_nothing_beside_it(folder: Path, path: str):
    with served(folder) as url:
        answer = httpx.get(url + path, follow_redirects=True)
        assert answer.status_code == 404
        assert "not here" not in answer.text
