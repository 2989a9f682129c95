"""What Airflow reads of this provider: connection form, options, where the classes are.

Airflow calls this while it loads its own configuration, so nothing heavier than the version is imported.
"""

from __future__ import annotations

from typing import Any

from airflow_batchext import __version__

_INTEGRATION = "Azure Batch VM extensions"


def get_provider_info() -> dict[str, Any]:
    """The provider's description, in the form of Airflow's ``provider_info.schema.json``."""
    return {
        "package-name": "airflow-batchext",
        "name": "Azure Batch with extensions",
        "description": "Azure Batch pools with VM extensions: create, gate on every node, read.",
        "versions": [__version__],
        "integrations": [
            {
                "integration-name": _INTEGRATION,
                "external-doc-url": "https://learn.microsoft.com/azure/batch/create-pool-extensions",
                "tags": ["service"],
            }
        ],
        "hooks": [_modules("hooks.pool", "hooks.node")],
        "operators": [_modules("operators.pool", "operators.extension")],
        "sensors": [_modules("sensors.extension")],
        "triggers": [_modules("triggers.extension", "triggers.pool")],
        "extra-links": ["airflow_batchext.links.AzureBatchPoolLink"],
        "connection-types": [
            {
                "connection-type": "azure_batchext",
                "hook-class-name": "airflow_batchext.hooks.node.AzureBatchNodeHook",
                "hook-name": "Azure Batch with extensions",
                "ui-field-behaviour": {
                    "hidden-fields": ["host", "port", "schema"],
                    "relabeling": {"login": "Client ID", "password": "Client secret"},
                    "placeholders": {
                        "login": "of a service principal; empty: DefaultAzureCredential",
                        "password": "of the service principal",
                    },
                },
                "conn-fields": {
                    "tenant_id": _text("Tenant ID", "Microsoft Entra tenant of the service principal."),
                    "subscription_id": _text("Subscription ID", "Subscription of the Batch account."),
                    "resource_group": _text("Resource group", "Resource group of the Batch account."),
                    "account_name": _text("Batch account", "Name of the Batch account."),
                    "account_url": _text(
                        "Batch account URL",
                        "Optional: https://<account>.<region>.batch.azure.com. Looked up if empty.",
                    ),
                    "account_key": {
                        "label": "Batch account key",
                        "description": "Optional: shared key for the data plane; needs no client secret.",
                        "schema": {"type": ["string", "null"], "format": "password"},
                    },
                    "arm_url": _text(
                        "Resource Manager URL", "Optional: for a cloud of your own, such as the emulator."
                    ),
                    "authority": _text(
                        "Sign-in authority", "Optional: for a cloud of your own, such as the emulator."
                    ),
                    "ca_bundle": _text(
                        "CA bundle", "Optional: PEM file with the certificates to trust, on every worker."
                    ),
                },
            }
        ],
        "config": {
            "batchext": {
                "description": "Options of the provider airflow-batchext.",
                "options": {
                    "poll_interval": {
                        "description": "Seconds between two looks at a pool, where a task says nothing else.",
                        "version_added": "0.1.0",
                        "type": "float",
                        "example": "60",
                        "default": "30",
                    }
                },
            }
        },
    }


def _modules(*names: str) -> dict[str, Any]:
    return {
        "integration-name": _INTEGRATION,
        "python-modules": [f"airflow_batchext.{name}" for name in names],
    }


def _text(label: str, description: str) -> dict[str, Any]:
    return {"label": label, "description": description, "schema": {"type": ["string", "null"]}}
