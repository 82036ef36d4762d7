"""The data preflight: what the target could not hold or would refuse, found on the temporary database, read-only."""
