"""The example DAGs of the project, and those of the bed, as the DAG processor of the bed has read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.distributed.environment import ROOT

if TYPE_CHECKING:
    from tests.distributed.bed import Bed

pytestmark = [pytest.mark.distributed, pytest.mark.timeout(600)]


def test_every_file_is_read_and_none_has_an_import_error(bed: Bed):
    wanted = {
        path.name for path in (*(ROOT / "dags").glob("*.py"), *(ROOT / "tests/distributed/dags").glob("*.py"))
    }

    def read() -> bool:
        found = bed.get("dags", limit=100)["dags"]
        return {dag["relative_fileloc"] for dag in found} == wanted

    bed.wait_for("the DAGs to be read", read, 120)
    assert "No data found" in bed.run("dags", "list-import-errors")
