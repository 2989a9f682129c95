"""Who made a pool: the name of this Airflow, the mark of a run on its pools, and which are left over.

A pool that lives for one run of a DAG carries in its metadata which run that is. Who may write to the account
may write there, too: so it is read as any text from outside, and believed for one thing alone: that *this*
Airflow made the pool, whose own records then say whether the run has ended.
"""
