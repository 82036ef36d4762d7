"""SQL Server and Azure SQL: connections, statements, types, bulk copy."""
