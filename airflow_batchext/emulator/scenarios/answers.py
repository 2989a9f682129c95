"""The settings of the emulated account, and how it answers where nobody outside Microsoft knows."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from airflow_batchext.emulator.scenarios.rules import Model


class Answers(Model):
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
    reimage: Literal["refused", "works"] = "works"
    """Reimaging a node of a virtual machine pool: done, as recorded three times in 2025 and 2026, or
    409 OperationNotValidOnNode, as in 2023."""
    autoscale_while_resizing: Literal["refused", "held"] = "held"
    """Enabling autoscale on a pool that is being resized: accepted, and evaluated once the pool is steady, as
    recorded, or 409 PoolBeingResized, as documented."""
    empty_pool: Literal["changes but for extensions", "changes", "as any other"] = (
        "changes but for extensions"
    )
    """What the management plane lets be changed on a pool without nodes, from version 2024-07-01 on:
    everything but its extensions (two pages of the documentation, of which one excepts them), everything, or
    as little as on any other."""
    keys_not_allowed: Literal["InvalidRestAPIForAccountSetting", "AuthorizationFailure"] = (
        "InvalidRestAPIForAccountSetting"
    )
    """The code for asking for the keys of an account that does not allow them (409, or 403)."""
    missing_role: Literal["InsufficientAccountPermissions", "AuthorizationFailure"] = (
        "InsufficientAccountPermissions"
    )
    """The data plane's code for an identity without the action that a request needs (403 both ways)."""
    active_tasks_of_an_ended_job: Literal["stay", "complete"] = "stay"
    """Tasks that had no node yet when their job was ended: they stay ``active`` for ever, and are never
    scheduled (documented), or they are ended with it."""
    ends_by_itself: Literal["at once", "late", "never"] = "at once"
    """When a job with ``onAllTasksComplete`` ends after its last task: then, two minutes later, or, as users
    have seen it, not at all."""
    files_before_start: Literal["FileNotFound", "TaskFilesUnavailable"] = "TaskFilesUnavailable"
    """The code for files of a task that has not begun to run (404, or 409)."""
    files_without_node: Literal["NodeNotFound", "NodeNotReady"] = "NodeNotFound"
    """The code for files of a task whose node is not there any more (404, or 409)."""
    range_past_end: Literal["empty", "InvalidRange"] = "empty"
    """A part of a file behind its end: nothing, or 416."""
    task_beyond_its_time: Literal["FailureExitCode", "TaskEnded"] = "FailureExitCode"
    """Why a task failed that ran for longer than its ``maxWallClockTime``: with the exit code that the
    operating system gives what is killed (137), or as if a user had ended it. It is not tried again."""
    token_lifetime: int = Field(default=3600, ge=1, le=86400)
    """Seconds of the wall clock for which a token is good."""


class Permissions(Model):
    """What whoever signs in with a token may do, as a role definition lists it (``*`` is anything)."""

    actions: list[str] = Field(default_factory=list)
    data_actions: list[str] = Field(default_factory=list)


class SignInSettings(Model):
    """How the sign-in is set."""

    cloud: Literal["public", "usgovernment", "china"] = "public"
    """For which cloud's resources tokens are given and accepted."""
    secret_expired: bool = False
    """The application's secret has expired (AADSTS7000222)."""
    certificate_expired: bool = False
    """The application's certificate has expired (AADSTS700027)."""


class AccountSettings(Model):
    """How the account itself is set. The quotas are the ones a real account showed, or generous choices."""

    shared_key: bool = True
    """Whether keys are accepted (``allowedAuthenticationModes`` has ``SharedKey``)."""
    public_network_access: bool = True
    """Without it the data plane answers 403 AuthorizationFailure, while the management plane works."""
    account_quota: int = Field(default=3, ge=0)
    """How many accounts a subscription may have in a region. A choice."""
    pool_quota: int = Field(default=100, ge=0)
    """How many pools the account may have."""
    active_job_quota: int = Field(default=300, ge=0)
    """How many jobs may be active (or disabled, or about to end) at once; completed ones do not count."""
    dedicated_core_quota: int = Field(default=20_000, ge=0)
    """How many cores the dedicated nodes of all pools may have."""
    low_priority_core_quota: int = Field(default=20_000, ge=0)
    """The same of low-priority nodes."""
    permissions: Permissions | None = None
    """What tokens may do; without it, everything."""
    throttling: bool = False
    """The management plane's token buckets: 250 reads (25 a second), 200 writes and 200 deletes (10)."""
