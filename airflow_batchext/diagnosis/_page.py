"""The HTML of a report, from ``report.html``: one file, no scripts, nothing from elsewhere."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

from airflow_batchext import __version__
from airflow_batchext.batch.data_plane import one_line
from airflow_batchext.diagnosis._contents import MOST_FACTS, MOST_NODES, MOST_SAID, NodeLogs, not_ready
from airflow_batchext.diagnosis._picture import fields
from airflow_batchext.diagnosis._timeline import timeline
from airflow_batchext.rules.cells import KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jinja2 import Template

    from airflow_batchext.diagnosis._ranking import Diagnosis
    from airflow_batchext.health import Totals

_OUTCOMES = {"open": ("ready", "Ready"), "wait": ("pending", "Not ready yet"), "fail": ("failed", "Failed")}
_FEW_NODES = 40
_FEW_HITS = 2
_FEW_FACTS = 6
_MOST_HITS = 50


def page(diagnosis: Diagnosis, logs: Sequence[NodeLogs], taken_at: str) -> str:
    """A report as one HTML file.

    :param taken_at: when the pool was read.
    """
    health = diagnosis.health
    nodes = not_ready(diagnosis)
    return template("airflow_batchext.diagnosis").render(
        logs=logs,
        taken_at=taken_at,
        diagnosis=diagnosis,
        health=health,
        outcome=_OUTCOMES[health.outcome],
        fields=fields(health),
        kinds=KINDS,
        bars=_bars(health.totals),
        nodes=nodes[:MOST_NODES],
        more_nodes=len(nodes) - MOST_NODES,
        matrix=health.failing_first() if len(health.nodes) <= _FEW_NODES else [],
        columns=list(dict.fromkeys(e.name for node in health.nodes for e in node.extensions)),
        events=timeline(health)[:MOST_FACTS],
        few=_FEW_HITS,
        most_hits=_MOST_HITS,
        most_said=MOST_SAID,
        few_facts=_FEW_FACTS,
        version=__version__,
    )


def _bars(totals: Totals) -> list[tuple[str, int, float]]:
    """The nodes by how far they are: a kind, how many, and their share in percent."""
    counts = [
        ("failed", totals.failed.nodes),
        ("pending", totals.pending.nodes),
        ("ready", totals.ready.nodes),
    ]
    there = sum(count for _, count in counts)
    missing = max(0, (totals.wanted or 0) - there)
    counts.append(("missing", missing))
    return [(kind, count, 100 * count / (there + missing)) for kind, count in counts if count]


@cache
def template(package: str, *, longest: int = 2000) -> Template:
    """The ``report.html`` of a package; whatever it shows is one safe line first, and escaped after that.

    :param longest: characters of such a line.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    def shown(value: Any) -> Any:
        return one_line(value, longest) if isinstance(value, str) and not isinstance(value, Markup) else value

    environment = Environment(
        loader=PackageLoader(package, ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=shown,
    )
    environment.filters["indented"] = _indented
    return environment.get_template("report.html")


def _indented(value: Any) -> Any:
    """Settings as JSON over several lines, in ASCII alone."""
    from markupsafe import escape

    return escape(json.dumps(value, indent=2)[:4000])
