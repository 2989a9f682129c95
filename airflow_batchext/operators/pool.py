"""Create, update, resize and delete pools, on the management plane."""

from airflow_batchext.operators._create_pool import AzureBatchCreatePoolOperator
from airflow_batchext.operators._delete_pool import AzureBatchDeletePoolOperator
from airflow_batchext.operators._resize_pool import AzureBatchResizePoolOperator
from airflow_batchext.operators._update_pool import AzureBatchUpdatePoolOperator

__all__ = [
    "AzureBatchCreatePoolOperator",
    "AzureBatchDeletePoolOperator",
    "AzureBatchResizePoolOperator",
    "AzureBatchUpdatePoolOperator",
]
