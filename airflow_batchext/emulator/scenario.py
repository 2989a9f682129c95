"""What will happen: durations, which extensions fail or hang, which pools do not get their nodes.

A scenario is data, so that a test, a demo and a user's file say it in the same words. It is read when
something is decided (a pool is created or resized, a node boots); what has been decided stays decided, and
changing the scenario changes what comes after. To change a node that lives already, use the account's
``set_extension``, ``preempt_node``, ``mark_node`` and so on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False, le=10 * 365 * 86400)]
Outcome = Literal["succeed", "fail", "hang"]

SYSTEM_EXTENSION = "batchNodeExtension"
"""Batch's own extension, which every node lists beside the ones that the pool asks for."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", validate_assignment=True)


class Timings(_Model):
    """How long things take, in simulated seconds.

    Measured in recorded traffic of the real service, one node: ``allocation`` (124.2), ``settling`` (0.9),
    and ``creating`` + ``starting`` together (20 to 36; how the time divides between the two is a choice).
    ``empty_resize`` is a choice above a measured floor: a pool of no nodes was still resizing after 16 s.
    ``extension`` is 0 because the one recorded node had succeeded extensions when it was first seen; this is
    one observation. All the others are choices.
    """

    allocation: Seconds = 124.0
    """From the start of a resize until the new nodes are visible."""
    settling: Seconds = 1.0
    """From the moment the nodes are visible until the pool is steady."""
    empty_resize: Seconds = 20.0
    """A resize that brings or removes no node."""
    creating: Seconds = 20.0
    """From the moment a node is visible until it is ``starting``."""
    starting: Seconds = 8.0
    """From ``starting`` to ``idle``."""
    extension: Seconds = 0.0
    """From the start of an extension until it succeeds or fails, where no rule says otherwise."""
    rebooting: Seconds = 30.0
    """From a reboot until the node is ``starting`` again."""
    leaving: Seconds = 8.0
    """From ``leavingpool`` until the node is gone."""
    deletion: Seconds = 12.0
    """From the deletion of a pool until it is gone (at least as long as its nodes take to leave)."""


class ExtensionScenario(_Model):
    """What becomes of some extensions on some nodes of some pools. The first rule that matches wins."""

    pool: str = "*"
    """Pattern of pool names (``*`` and ``?``), case-insensitive."""
    node: str | int = "*"
    """The node's place in the order of allocation (0 is the first), or a pattern of node ids."""
    extension: str = "*"
    """Pattern of extension names. Batch's own extension is only matched when it is named in full."""
    outcome: Outcome = "succeed"
    """``hang`` stays in ``ProvisioningState/transitioning`` until the next boot, or for ever."""
    after: Seconds | None = None
    """Seconds from the start of the extension (the node's appearing, or the success of what it comes after)
    until the outcome; without it ``timings.extension``."""
    code: str | None = None
    """For ``fail``: a whole status code, or the part after ``ProvisioningState/failed/``."""
    message: str | None = None
    boots: Literal["all", "first", "later"] = "all"
    """``first``: only the first boot of a node, so that a reboot mends it. ``later``: only after that."""

    @model_validator(mode="after")
    def _code_is_for_failures(self) -> ExtensionScenario:
        if self.code is not None and self.outcome != "fail":
            raise ValueError("a code can be given only with the outcome 'fail'")
        return self

    def matches(self, pool: str, index: int, node_id: str, extension: str, boot: int) -> bool:
        """Say whether this rule is about that boot of that node."""
        if (self.boots == "first" and boot) or (self.boots == "later" and not boot):
            return False
        if extension == SYSTEM_EXTENSION and self.extension.casefold() != SYSTEM_EXTENSION.casefold():
            return False
        if not (_like(pool, self.pool) and _like(extension, self.extension)):
            return False
        node = str(self.node)
        return index == int(node) if node.isdecimal() else _like(node_id, node)


class ResizeError(_Model):
    """Why a resize did not bring the nodes that were asked for, as the service words it."""

    code: str = "AllocationFailed"
    message: str = "Desired number of dedicated nodes could not be allocated"
    values: dict[str, str] = Field(default_factory=dict)


class PoolScenario(_Model):
    """What becomes of the resizes of some pools. The first rule that matches wins."""

    pool: str = "*"
    """Pattern of pool names (``*`` and ``?``), case-insensitive."""
    resize_error: ResizeError | None = None
    """The pool becomes steady with this error."""
    nodes_allocated: int | None = Field(default=None, ge=0)
    """How many nodes it has then, dedicated ones first; without it none when the resize fails, else all."""
    steady_after: Seconds | None = None
    """Seconds from the start of the resize until the pool is steady; without it what ``timings`` say."""

    def covers(self, pool: str) -> bool:
        """Say whether this rule is about that pool."""
        return _like(pool, self.pool)


class Answers(_Model):
    """How the emulator answers where nobody outside Microsoft knows how the service does.

    Each default is a choice, not a fact.
    """

    existing_pool: Literal["ConditionNotMet", "PoolExists"] = "ConditionNotMet"
    """PUT with ``If-None-Match: *`` on a pool that exists: 412 ConditionNotMet, or 409 PoolExists."""
    missing_pool: Literal["PoolNotFound", "ResourceNotFound"] = "PoolNotFound"
    """The management plane's code for a pool that does not exist (404 both ways)."""
    missing_extension: Literal["ResourceNotFound", "NodeNotFound"] = "ResourceNotFound"
    """The data plane's code for an extension that a node does not have (404 both ways)."""
    refused_shared_key: Literal[401, 403] = 403
    """Status of a wrong shared key. The documented table says 403."""
    level: Literal["number", "word"] = "number"
    """``level`` of a status: 0, 1, 2 (0 was recorded) or ``Info``, ``Warning``, ``Error`` (documented)."""
    node_settings: Literal["string", "object"] = "string"
    """``settings`` of a node's extension: a JSON string (how-to) or an object."""
    pool_settings: Literal["string", "object"] = "object"
    """``settings`` in the data plane's answer for a pool: an object (examples) or a JSON string."""
    extensions_without_machine: Literal["refused", "last"] = "refused"
    """Extensions of a preempted or deallocated node: 409 OperationInvalidForCurrentState, or the last known.
    In every other state of a node they can be read; while it reboots they are the last known."""
    key_vault_without_identity: Literal["succeeds", "waits"] = "succeeds"
    """A Key Vault extension with ``requireInitialSync`` on a pool that has no identity: succeeds like any
    other (the documented request bodies have no identity), or waits in ``transitioning`` for ever."""
    token_lifetime: int = Field(default=3600, ge=1, le=86400)
    """Seconds of the wall clock for which a token is good."""


class Course(_Model):
    """What one extension does in one boot of one node, once it may start."""

    outcome: Outcome = "succeed"
    seconds: Seconds = 0.0
    code: str | None = None
    message: str | None = None


class Scenario(_Model):
    """Everything that will happen, in the order in which rules are tried."""

    timings: Timings = Field(default_factory=Timings)
    extensions: list[ExtensionScenario] = Field(default_factory=list)
    pools: list[PoolScenario] = Field(default_factory=list)
    answers: Answers = Field(default_factory=Answers)

    @classmethod
    def load(cls, source: str | Path | Mapping[str, Any]) -> Scenario:
        """Read a scenario from a JSON or YAML file or from a mapping; ValueError in one line if it is bad."""
        if isinstance(source, Mapping):
            data: Any = dict(source)
        else:
            path = Path(source)
            try:
                text = path.read_text(encoding="utf-8")
                data = json.loads(text) if path.suffix.lower() == ".json" else yaml.safe_load(text)
            except (OSError, ValueError, yaml.YAMLError) as problem:
                reason = " ".join(str(problem).split())
                raise ValueError(f"cannot read the scenario {path}: {reason}") from None
        try:
            return cls.model_validate({} if data is None else data)
        except ValidationError as problem:
            where = "" if isinstance(source, Mapping) else f" {source}"
            raise ValueError(f"the scenario{where} is not valid: {_in_one_line(problem)}") from None

    def course(self, pool: str, index: int, node_id: str, extension: str, boot: int) -> Course:
        """Say what an extension will do in one boot of a node."""
        for rule in self.extensions:
            if rule.matches(pool, index, node_id, extension, boot):
                seconds = self.timings.extension if rule.after is None else rule.after
                return Course(outcome=rule.outcome, seconds=seconds, code=rule.code, message=rule.message)
        if extension == SYSTEM_EXTENSION:
            return Course()
        return Course(seconds=self.timings.extension)

    def resize_rule(self, pool: str) -> PoolScenario | None:
        """Return the rule for the resizes of a pool, if there is one."""
        return next((rule for rule in self.pools if rule.covers(pool)), None)


def _like(name: str, pattern: str) -> bool:
    return pattern == "*" or fnmatchcase(name.casefold(), pattern.casefold())


def _in_one_line(problem: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(str(part) for part in error['loc']) or 'the file'}: {error['msg']}"
        for error in problem.errors()
    )


def seconds(value: float) -> timedelta:
    """Turn the seconds of a scenario into a duration."""
    return timedelta(seconds=value)
