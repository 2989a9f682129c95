"""Who made a pool: the name of the Airflow that did."""
