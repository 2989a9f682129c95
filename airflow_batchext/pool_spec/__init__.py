"""Reads a pool document, says what is wrong with it before Azure must, and keeps its secrets out of sight.

A pool document is the body that ARM's "Pool - Create" takes. Azure notices many mistakes late, as nodes
that never come, so `check_document` names each one with its path and the fix, before any request.
Pure: text in, data out; no files, no network, no Airflow, no Azure SDK.

Source: https://learn.microsoft.com/rest/api/batchmanagement/pool/create
"""

from airflow_batchext.loose_json.sdk_models import plain
from airflow_batchext.pool_spec._check import check_document
from airflow_batchext.pool_spec._differences import Difference, Remedy, find_differences, updates
from airflow_batchext.pool_spec._finding import Finding
from airflow_batchext.pool_spec._forms import (
    DocumentChoiceError,
    PoolDocument,
    choose_pool,
    parse_pools,
    pools_in,
)
from airflow_batchext.pool_spec._positions import Positions
from airflow_batchext.pool_spec._request import expected_extensions, request_body
from airflow_batchext.pool_spec._schema import Member, Schema, Shape
from airflow_batchext.pool_spec._secret_places import check_references, check_reserved, shown_values
from airflow_batchext.pool_spec._text import DocumentSyntaxError, parse_document
from airflow_batchext.secrets.names import SECRET_MEMBERS, is_secret_member
from airflow_batchext.secrets.redact import find_secrets
from airflow_batchext.secrets.references import (
    REFERENCE_MEMBER,
    is_reference,
    literal_leaves,
    only_references,
    with_stand_ins,
)

__all__ = [
    "REFERENCE_MEMBER",
    "SECRET_MEMBERS",
    "Difference",
    "DocumentChoiceError",
    "DocumentSyntaxError",
    "Finding",
    "Member",
    "PoolDocument",
    "Positions",
    "Remedy",
    "Schema",
    "Shape",
    "check_document",
    "check_references",
    "check_reserved",
    "choose_pool",
    "expected_extensions",
    "find_differences",
    "find_secrets",
    "is_reference",
    "is_secret_member",
    "literal_leaves",
    "only_references",
    "parse_document",
    "parse_pools",
    "plain",
    "pools_in",
    "request_body",
    "shown_values",
    "updates",
    "with_stand_ins",
]
