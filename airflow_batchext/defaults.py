"""Default values that signatures of operators and sensors need.

Parsing a DAG is hot, so they stand apart from the modules that act on them. Pure: data only.
"""

DEFAULT_CONN_ID = "azure_batchext_default"
"""The Airflow connection to the Batch account."""

DEFAULT_REPAIR_TIMEOUT_SECONDS = 3 * 60 * 60
"""For how long nodes are repaired: each of three steps may take half an hour by default, and more."""

DEFAULT_NODE_GRACE_SECONDS = 15 * 60
"""For how long a node may be unusable before the gate counts it as failed.

Batch may recover a broken node by itself within 15 to 45 minutes, but never one that is set up wrongly.
"""

DEFAULT_MAX_AGE_SECONDS = 5 * 60
"""How old, at most, what a gate knows of a node's extensions may be when it opens.

The same five minutes in which a gate notices that an extension failed: nothing it says is older than that.
"""

WATCHER_MAX_AGE_SECONDS = 60 * 60
"""The same for a watcher, which goes on looking for ever at a pool that is ready."""

TRIGGER_FAILED = "__fail__"
"""What Airflow resumes a task with, in place of a method's name, where its trigger failed."""
