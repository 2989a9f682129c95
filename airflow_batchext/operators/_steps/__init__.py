"""What the operators on pools do on the worker, apart from the operators themselves: parsing a DAG is hot.

An operator is its parameters; a DAG file that has one loads nothing of this package.
"""
