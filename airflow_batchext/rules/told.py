"""What a gate tells of itself: at its start, and whom to ask when it has failed. Pure: texts alone."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_batchext.rules.gate import Rules

#: How the lines begin that follow the reasons of a failure.
LIKELIEST, ALSO, THE_REST = "\nLikeliest cause: ", "\nAlso possible: ", "\nFor the rest: "


def without_causes(text: str) -> str:
    """The reasons of a failure alone."""
    return text.partition(LIKELIEST)[0].partition(THE_REST)[0]


def causes_in(text: str) -> tuple[tuple[str, ...], str]:
    """The causes that follow the reasons of a failure, the likeliest first, and the command for the rest."""
    told, _, command = text.partition(THE_REST)
    causes = told.partition(LIKELIEST)[2]
    return tuple(causes.split(ALSO)) if causes else (), command


def wanted_text(pool_id: str, rules: Rules, *, repairs: bool = False) -> str:
    """For what a gate waits, in words.

    :param repairs: whether nodes are repaired before it fails.
    """
    names = rules.extension_names
    listed = "every extension" if names is None else f"extension {' and '.join(names) or '(none)'}"
    nodes = "every node" if rules.min_nodes is None else f"every node, {rules.min_nodes} at least,"
    more = [f"{rules.max_failed_nodes} nodes may fail"] if rules.max_failed_nodes else []
    more += [f"nodes have to be {' or '.join(sorted(rules.node_states))}"] if rules.node_states else []
    more += ["failures are waited through"] if rules.on_failure == "wait" else []
    more += ["nodes are repaired before it fails"] if repairs else []
    return "; ".join([f"{listed} on {nodes} of pool {pool_id} to succeed", *more])


def waiting_text(
    pool_id: str, rules: Rules, *, interval: float, until: float, how: str, repairs: bool = False
) -> str:
    """For what a gate waits, how often it looks, until when, and where it waits.

    :param interval: seconds between two looks.
    :param until: its deadline, in seconds since the epoch.
    :param how: where it waits, in words.
    :param repairs: whether nodes are repaired before it fails.
    """
    wanted = wanted_text(pool_id, rules, repairs=repairs)
    end = datetime.fromtimestamp(until, tz=UTC).isoformat(sep=" ", timespec="seconds").partition("+")[0]
    return f"Waiting for {wanted}. A look every {interval:g} seconds until {end} UTC, {how}."


def diagnose_command(pool_id: str, conn_id: str, extension_names: Sequence[str] | None = None) -> str:
    """The command that tells all that is known of a pool, as it is typed into a shell."""
    options = [f"--conn-id={conn_id}", *(f"--extension={name}" for name in extension_names or ())]
    # One that begins with a hyphen would be taken for an option.
    pool = ["--", pool_id] if pool_id.startswith("-") else [pool_id]
    return shlex.join(["batchext", "diagnose", *options, *pool])
