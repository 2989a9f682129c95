"""A diagnosis as a report: JSON for programs, Markdown for tickets, one HTML file for people.

Everything that a machine or a person wrote elsewhere goes through ``data_plane.one_line``: on one line,
bounded, with control characters and right-to-left marks shown as escapes. In HTML it is escaped besides.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from airflow_batchext.batch.data_plane import one_line
from airflow_batchext.diagnosis._contents import MOST_FACTS, MOST_NODES, MOST_SAID, NodeLogs, not_ready
from airflow_batchext.diagnosis._ranking import to_json as diagnosis_json
from airflow_batchext.diagnosis._timeline import timeline
from airflow_batchext.health import to_json as health_json

if TYPE_CHECKING:
    from airflow_batchext.diagnosis._ranking import Diagnosis

#: Of the JSON report.
SCHEMA_VERSION: Final = 1
_MARKUP: Final = re.compile(r"([\\`*_{}\[\]()<>#+!|~])")


@dataclass(frozen=True, slots=True)
class Report:
    """A diagnosis with what belongs to it: ``to_json``, ``to_html`` and ``to_markdown`` write it.

    :param diagnosis: of a pool, as ``diagnose`` makes it.
    :param logs: what became of the logs of its nodes, where they were asked for.
    """

    diagnosis: Diagnosis
    logs: tuple[NodeLogs, ...] = ()

    @property
    def taken_at(self) -> str:
        """When the pool was read, by the service's clock."""
        at = datetime.fromtimestamp(self.diagnosis.health.taken_at, UTC)
        return at.strftime("%Y-%m-%d %H:%M:%S UTC")

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON, the snapshot included."""
        return {
            "schema_version": SCHEMA_VERSION,
            **diagnosis_json(self.diagnosis),
            "timeline": [{"time": e.time, "what": e.what} for e in timeline(self.diagnosis.health)],
            "node_logs": [log.to_json() for log in self.logs],
            "health": health_json(self.diagnosis.health),
        }

    def to_text(self) -> str:
        """``to_json`` as indented text, ASCII alone: nothing in it changes the direction of the rest."""
        return json.dumps(self.to_json(), indent=2) + "\n"

    def to_markdown(self) -> str:
        """The report for a ticket or a chat: what matters, without the picture."""
        return "\n".join(_markdown(self)) + "\n"

    def to_html(self) -> str:
        """The report as one HTML file: no scripts, nothing from elsewhere."""
        from airflow_batchext.diagnosis._page import page

        return page(self.diagnosis, self.logs, self.taken_at)


def _markdown(report: Report) -> list[str]:
    diagnosis, health = report.diagnosis, report.diagnosis.health
    lines = [
        f"# Pool {_md(health.id)}",
        "",
        f"**{_md(diagnosis.verdict)}**",
        "",
        f"{_md(health.summary)} (read {report.taken_at})",
    ]
    if diagnosis.found_causes:
        lines += ["", "## Likely causes", ""]
    for number, found in enumerate(diagnosis.found_causes, 1):
        cause = found.cause
        lines += [
            f"{number}. **{_md(cause.title)}** ({_md(found.where)}; `{cause.id}`, {cause.certainty})",
            f"   - What helps: {_md(cause.remedy)}. <{cause.link}>",
            *(f"   - Seen: {_md(hit.said)}" for hit in found.hits[:MOST_SAID]),
        ]
        if len(found.hits) > MOST_SAID:
            lines.append(f"   - and {len(found.hits) - MOST_SAID} more places")
    lines += _md_list("Not explained by any known cause", diagnosis.unexplained, MOST_FACTS)
    nodes = not_ready(diagnosis)
    if nodes:
        lines += [
            "",
            "## Nodes that are not ready",
            "",
            "| node | state | since | why |",
            "|---|---|---|---|",
        ]
        lines += [
            f"| `{_cell(node.id)}` | {_md(node.state)} | {_md(node.state_since)} "
            f"| {_md('; '.join((*node.failed, *node.missing)), 900)} |"
            for node in nodes[:MOST_NODES]
        ]
        if len(nodes) > MOST_NODES:
            lines.append(f"\nand {len(nodes) - MOST_NODES} more")
    events = [f"{event.time} {event.what}" for event in timeline(health)]
    lines += _md_list("Timeline", events, MOST_FACTS)
    return lines + _md_list("Logs of nodes", [*map(str, report.logs)], MOST_NODES)


def _md_list(title: str, items: Sequence[str], most: int) -> list[str]:
    if not items:
        return []
    more = [f"- and {len(items) - most} more"] if len(items) > most else []
    return ["", f"## {title}", "", *(f"- {_md(item)}" for item in items[:most]), *more]


def _md(text: str, limit: int = 600) -> str:
    """Text of others on one line of Markdown, in which none of it is markup."""
    return _MARKUP.sub(r"\\\1", one_line(text, limit))


def _cell(text: str) -> str:
    return one_line(text, 100).replace("`", "'").replace("|", "/")
