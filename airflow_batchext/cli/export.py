"""``batchext export``: writes the document of a pool that exists, ready to be kept in a repository.

Exit status: 0 written, 1 something has to be added by hand, 2 it could not be done: no such pool, no access.
"""

from __future__ import annotations

import argparse
import sys

from airflow_batchext.cli.convert import json_text, write, yaml_text
from airflow_batchext.defaults import DEFAULT_CONN_ID

_FORMS = ("yaml", "json")
_USAGE_ERROR = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command and its options."""
    parser.description = (
        "Write the document that asks for a pool like one that exists. What the service alone says is left "
        "out; secrets, which it never gives back, become references to Airflow variables."
    )
    parser.add_argument("pool", metavar="POOL", help="the pool's id")
    parser.add_argument(
        "--conn-id",
        metavar="ID",
        default=DEFAULT_CONN_ID,
        help=f"Airflow connection to the Batch account (default: {DEFAULT_CONN_ID})",
    )
    parser.add_argument("--to", choices=_FORMS, default="yaml", help="the form to write (default: yaml)")
    parser.add_argument("-o", "--output", metavar="FILE", help="where to write it; by default it is printed")


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    from airflow.providers.common.compat.sdk import AirflowException

    from airflow_batchext.cli._pool import logs_aside, told
    from airflow_batchext.hooks.pool import AzureBatchPoolHook
    from airflow_batchext.parameters import check_pool_id
    from airflow_batchext.pool_spec._planes import as_asked_for
    from airflow_batchext.pool_spec._sdk_schema import pool_schema

    management = pool_schema()
    try:
        if management is None:
            raise AirflowException("the installed SDK is built in a way that is not known here")
        with logs_aside(), AzureBatchPoolHook(arguments.conn_id) as hook:
            pool = hook.get_pool(check_pool_id(arguments.pool, "POOL"))
    except (AirflowException, ImportError) as error:
        sys.stderr.write(f"batchext export: {told(error, arguments.conn_id)}\n")
        return _USAGE_ERROR
    found = as_asked_for(pool, management)
    text = json_text(found.body) if arguments.to == "json" else yaml_text([found.body])
    return write(text, found.lost, arguments.output)
