"""The catalogue: finds, checks and runs the queries of queries/*.sql, with bound parameters only."""
