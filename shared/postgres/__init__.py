"""PostgreSQL: connections, the temporary database of a run, its catalogue."""
