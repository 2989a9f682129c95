"""What Airflow reads of this provider: connection form, options, where the classes are.

Airflow calls this while it loads its own configuration, so nothing heavier than the version is imported.
"""

from __future__ import annotations

from typing import Any

from airflow_batchext import __version__

_INTEGRATION = "Azure Batch VM extensions"


def _text(label: str, description: str, kind: str = "string", **more: Any) -> dict[str, Any]:
    return {"label": label, "description": description, "schema": {"type": [kind, "null"], **more}}


def _secret(label: str, description: str) -> dict[str, Any]:
    return _text(label, description, format="password")


def _choice(label: str, description: str, *values: str) -> dict[str, Any]:
    return _text(label, description, enum=list(values))


def _number(label: str, description: str, least: float, most: float) -> dict[str, Any]:
    return _text(label, description, "number", minimum=least, maximum=most)


# Beside login and password; read by airflow_batchext.connection. Airflow hides a secret by its name, and
# shows the fields of a section together, under its title.
_SECTIONS: dict[str, dict[str, Any]] = {
    "Account": {
        "subscription_id": _text("Subscription ID", "Subscription of the Batch account."),
        "resource_group": _text("Resource group", "Resource group of the Batch account."),
        "account_name": _text("Batch account", "Name of the Batch account."),
        "account_url": _text(
            "Batch account URL", "Optional: https://<account>.<region>.batch.azure.com. Looked up if empty."
        ),
    },
    "Sign-in": {
        "auth": _choice(
            "Sign-in",
            "How to sign in. Empty: by what is given (certificate, token file, client secret), else default.",
            "client_secret",
            "certificate",
            "workload_identity",
            "managed_identity",
            "azure_cli",
            "default",
            "account_key",
        ),
        "tenant_id": _text("Tenant ID", "Microsoft Entra tenant of the application."),
        "certificate_secret": _secret(
            "Certificate",
            "For auth certificate: PEM text with its key, or the path of a PEM or PKCS12 file on workers.",
        ),
        "certificate_password": _secret(
            "Certificate password", "Optional: of the certificate's private key."
        ),
        "token_file": _text(
            "Federated token file", "For auth workload_identity: optional; else AZURE_FEDERATED_TOKEN_FILE."
        ),
        "managed_identity_client_id": _text(
            "Managed identity",
            "Optional: client id of a user-assigned identity; empty: the system-assigned one.",
        ),
        "workload_identity_tenant_id": _text(
            "Workload identity tenant", "Optional, for auth default: tenant of the workload identity."
        ),
        "exclude": _text(
            "Leave out",
            "Optional, for auth default: what not to try, such as environment,managed_identity,cli.",
        ),
        "account_key_secret": _secret(
            "Batch account key", "Optional: shared key for the data plane; needs no client secret."
        ),
        "list_keys": _text(
            "Look up the account key",
            "Optional: ask the management plane for the key, and sign the data plane with it.",
            "boolean",
        ),
    },
    "Cloud": {
        "cloud": _choice("Cloud", "Optional: empty is the public cloud.", "public", "usgovernment", "china"),
        "arm_url": _text("Resource Manager URL", "Optional: for a cloud of your own, such as the emulator."),
        "authority": _text("Sign-in authority", "Optional: for a cloud of your own, such as the emulator."),
        "arm_scope": _text("Resource Manager scope", "Optional: for a cloud of your own."),
        "batch_scope": _text("Batch scope", "Optional: for a cloud of your own."),
        "batch_suffix": _text(
            "Batch host suffix", "Optional: how the accounts' hosts end in your own cloud."
        ),
        "ca_bundle": _text(
            "CA bundle", "Optional: PEM file with the certificates to trust, on every worker."
        ),
    },
    "Network": {
        "proxy": _text("Proxy", "Optional: http://user@proxy.example:8080; for https."),
        "proxy_password": _secret("Proxy password", "Optional: of the proxy's user."),
        "connect_timeout": _number("Connect timeout", "Optional: seconds; 20 if empty.", 0.1, 600),
        "read_timeout": _number("Read timeout", "Optional: seconds; 60 if empty.", 0.1, 600),
        "retries": _number("Retries", "Optional: how often a call is repeated; 3 if empty.", 0, 100),
    },
}
_FORM: dict[str, Any] = {
    name: {**field, "schema": {**field["schema"], "section": section}}
    for section, fields in _SECTIONS.items()
    for name, field in fields.items()
}


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
        "hooks": [_modules("hooks.pool", "hooks.node", "hooks.job")],
        "operators": [
            _modules(
                "operators.pool",
                "operators.extension",
                "operators.diagnose",
                "operators.job",
                "operators.node",
                "operators.orphans",
                "operators.task",
            )
        ],
        "sensors": [_modules("sensors.extension")],
        "triggers": [
            _modules(
                *("triggers.extension", "triggers.pool", "triggers.repair", "triggers.events"),
                "triggers.task",
                "triggers.tasks",
            )
        ],
        "asset-uris": [
            {
                "schemes": ["azbatch"],
                "handler": "airflow_batchext.assets.sanitize_uri",
                "factory": "airflow_batchext.assets.batch_pool_asset",
                "to_openlineage_converter": "airflow_batchext.assets.convert_asset_to_openlineage",
            }
        ],
        "extra-links": [
            "airflow_batchext.links.AzureBatchLiveLink",
            "airflow_batchext.links.AzureBatchPoolLink",
            "airflow_batchext.links.AzureBatchReportLink",
        ],
        "notifications": ["airflow_batchext.notifications.diagnosis.AzureBatchDiagnosisNotifier"],
        "connection-types": [
            {
                "connection-type": "azure_batchext",
                "hook-class-name": "airflow_batchext.hooks.node.AzureBatchNodeHook",
                "hook-name": "Azure Batch with extensions",
                "ui-field-behaviour": {
                    "hidden-fields": ["host", "port", "schema"],
                    "relabeling": {"login": "Client ID", "password": "Client secret"},
                    "placeholders": {
                        "login": "of an application, or of a user-assigned managed identity",
                        "password": "of the application, for auth client_secret",
                    },
                },
                "conn-fields": _FORM,
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
                    },
                    "deployment": {
                        "description": "What tells this Airflow from others that use the same Batch account: "
                        "a name, the same on all of its machines, that never changes. Where it is empty, the "
                        "address in [api] base_url is taken, else what stands for [core] fernet_key.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "production",
                        "default": "",
                    },
                    "test_hosts": {
                        "description": "Hosts (or host:port) outside of Azure, separated by commas, that the "
                        "Test button of a connection may use: of a cloud of your own, or a proxy.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "proxy.example,arm.corp.example:8443",
                        "default": "",
                    },
                    "status_page": {
                        "description": "Whether tasks that wait keep what they see, each as an XCom of its "
                        "own, and Airflow's web page shows it live under Browse, Batch pools.",
                        "version_added": "0.1.0",
                        "type": "boolean",
                        "example": "False",
                        "default": "True",
                    },
                    "status_tabs": {
                        "description": "Where that page is a tab, too, separated by commas: of dag, dag_run, "
                        "task and task_instance. Airflow shows such a tab with every DAG, run or task.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "dag,task_instance",
                        "default": "",
                    },
                    "metrics_pool_id": {
                        "description": "Whether the package's metrics carry the pool's id as a tag. Only for "
                        "a backend that knows tags, and pools whose ids are few: each is a time series.",
                        "version_added": "0.1.0",
                        "type": "boolean",
                        "example": "True",
                        "default": "False",
                    },
                },
            }
        },
    }


def _modules(*names: str) -> dict[str, Any]:
    return {
        "integration-name": _INTEGRATION,
        "python-modules": [f"airflow_batchext.{name}" for name in names],
    }
