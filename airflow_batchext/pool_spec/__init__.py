"""Reads a pool document, says what is wrong with it before Azure must, and keeps its secrets out of sight.

A pool document is the body that ARM's "Pool - Create" takes. Azure notices many mistakes late, as nodes
that never come, so `check_document` names each one with its path and the fix, before any request.
Pure: text in, data out; no files, no network, no Airflow, no Azure SDK.

Source: https://learn.microsoft.com/rest/api/batchmanagement/pool/create
"""

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
from airflow_batchext.secrets.redact import find_secrets

__all__ = [
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
    "parse_document",
    "parse_pools",
    "pools_in",
    "request_body",
    "shown_values",
    "updates",
]
