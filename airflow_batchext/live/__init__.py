"""The live page: what everything of ours that waits knows, kept in Airflow as XComs, and shown."""
