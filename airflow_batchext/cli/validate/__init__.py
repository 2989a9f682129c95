"""``batchext validate``: says what is wrong with pool documents before anything is created.

The same check as the operator's, with lines and columns, for people and for CI. The rules are in
`airflow_batchext.pool_spec`; here is what reads files, what looks at an account, and what is printed.
"""
