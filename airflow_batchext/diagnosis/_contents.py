"""What a report tells in whichever form it is written, and how much of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from airflow_batchext.batch.data_plane import Phase

if TYPE_CHECKING:
    from airflow_batchext.diagnosis._ranking import Diagnosis
    from airflow_batchext.health import NodeHealth

#: Nodes that are not ready, and are listed one by one.
MOST_NODES: Final = 200
MOST_SAID: Final = 5
MOST_FACTS: Final = 50


@dataclass(frozen=True, slots=True)
class NodeLogs:
    """Where the Batch service logs of a node were uploaded to, or why they were not.

    :param node_id: the node.
    :param folder: in the container, without any signature.
    :param files: how many it uploads.
    :param problem: why not, "" where it does.
    """

    node_id: str
    folder: str = ""
    files: int = 0
    problem: str = ""

    def to_json(self) -> dict[str, Any]:
        """The same as plain JSON."""
        return {"node": self.node_id, "folder": self.folder, "files": self.files, "problem": self.problem}

    def __str__(self) -> str:
        return f"{self.node_id}: {self.problem or f'{self.files} files in {self.folder}'}"


def not_ready(diagnosis: Diagnosis) -> list[NodeHealth]:
    """The nodes that are not ready, the failed ones first.

    :param diagnosis: of their pool.
    """
    health = diagnosis.health
    return [*health.nodes_in(Phase.FAILED), *health.nodes_in(Phase.PENDING)]
