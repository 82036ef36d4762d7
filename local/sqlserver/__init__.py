"""A SQL Server stand-in: TDS 7.4 in front of PostgreSQL. See README.md for what it is, and what it is not."""
