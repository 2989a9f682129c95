"""Tells what a document is that is no pool: what people give by mistake, each named for what it is."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from airflow_batchext.pool_spec._finding import ARM_PAGE, Finding, error, object_at
from airflow_batchext.pool_spec._terraform import lacking_in_terraform
from airflow_batchext.secrets.names import squash

_ACCOUNT_TYPE = "microsoft.batch/batchaccounts"
_OF_ANY_RESOURCE = frozenset({"name", "type", "id", "etag", "identity", "tags", "systemdata", "location"})
_OF_A_POOL = (
    *("properties", "vmsize", "virtualmachineconfiguration", "deploymentconfiguration", "scalesettings"),
    *("starttask", "networkconfiguration", "targetdedicatednodes", "nodeagentskuid", "imagereference"),
    *("extensions", "useraccounts", "mountconfiguration", "taskslotspernode", "cloudserviceconfiguration"),
)
"""Members by which a pool is known, squashed: without any like these a document is something else."""
_POOL_OF_A_JOB = ("autoPoolIdPrefix", "poolLifetimeOption", "autoPoolSpecification")


def not_a_pool(document: Mapping[str, Any]) -> Finding | None:
    """What is to be told of a document that holds no pool as it is, None if it may be one."""
    if isinstance(document.get("properties"), Mapping) and not _is_account(document):
        return None
    found = _told(document)
    return None if found is None else error("", *found, ARM_PAGE)


def _told(document: Mapping[str, Any]) -> tuple[str, str] | None:
    schema = document.get("$schema")
    if isinstance(schema, str) and "deploymentparameters" in schema.casefold():
        what = "these are the parameters of an ARM template, not a pool"
        return what, "Give the template itself, or the pool after it was deployed (batchext export POOL)"
    if "resources" in document:
        what = "this is a template of Azure Resource Manager, and no pool is among its resources"
        return what, "Give a template with a resource of type Microsoft.Batch/batchAccounts/pools"
    if isinstance(document.get("responses"), Mapping) and "parameters" in document:
        what = "this is an example of a REST call, and no pool is among its parameters"
        return what, "Give the example of the call that creates a pool, or the body of an answer"
    if any(member in document for member in _POOL_OF_A_JOB):
        what = "this is the pool that a job brings along (autoPoolSpecification), not one of its own"
        return what, "Give what stands in its member pool, in ARM's shape"
    if "isAutoPool" in document:
        what = "this is an event of Batch's log, not a pool"
        return what, "Give the pool itself (batchext export POOL)"
    if isinstance(schema, str) and "json-schema.org" in schema:
        return "this is a JSON schema, not a pool", "Give the body of a pool"
    if isinstance(document.get("pool"), Mapping) or _is_cli_template(document):
        what = "this is a template of Batch Explorer or of the CLI's extension, not one pool"
        fix = "Give what stands in its member pool, with the values of its parameters, in ARM's shape"
        return what, fix
    return _told_of_terraform(document) or _told_of_others(document)


def _told_of_terraform(document: Mapping[str, Any]) -> tuple[str, str] | None:
    fix = (
        "Give one with an azurerm_batch_pool, or an azapi_resource of a pool; or deploy it, and give the "
        "pool that comes of it: batchext export POOL"
    )
    lacks = lacking_in_terraform(document)
    if lacks:
        what = f"this is Terraform's JSON, and its azurerm_batch_pool lacks {', '.join(lacks)}"
        return what, "Give what the provider requires"
    if isinstance(document.get("resource"), Mapping) or {"terraform", "provider"} & document.keys():
        return "this is Terraform's JSON, and no pool is among its resources", fix
    if "terraform_version" in document or isinstance(document.get("planned_values"), Mapping):
        return "this is what 'terraform show -json' prints, and no pool is in it", fix
    return None


def _told_of_others(document: Mapping[str, Any]) -> tuple[str, str] | None:
    if _is_account(document):
        return "this is a Batch account, not a pool", "Give the body of one of its pools"
    if "vmSize" in document or "virtualMachineConfiguration" in document:
        return None  # the data plane's shape: told elsewhere
    if "commandLine" in document:
        return "this is a task, not a pool", "Give the body of the pool that it runs in"
    if {"poolInfo", "jobManagerTask"} & document.keys() or isinstance(document.get("job"), Mapping):
        return "this is a job, not a pool", "Give the body of the pool that it runs in"
    if not _has_something_of_a_pool(document):
        return "nothing in this document is of a pool", "Give the body of a pool"
    return None


def _has_something_of_a_pool(document: Mapping[str, Any]) -> bool:
    names = [squash(key)[:64] for key in document if isinstance(key, str)]
    own = [name for name in names if name not in _OF_ANY_RESOURCE]
    return not own or any(get_close_matches(name, _OF_A_POOL, n=1, cutoff=0.75) for name in own[:50])


def _is_account(document: Mapping[str, Any]) -> bool:
    kind = document.get("type")
    if {"vmSize", "deploymentConfiguration"} & object_at(document, "properties").keys():
        return False
    return (isinstance(kind, str) and kind.casefold() == _ACCOUNT_TYPE) or (
        "accountEndpoint" in document or "accountEndpoint" in object_at(document, "properties")
    )


def _is_cli_template(document: Mapping[str, Any]) -> bool:
    return "templateMetadata" in document or (
        isinstance(document.get("job"), Mapping) and isinstance(document.get("parameters"), Mapping)
    )
