"""Schema, data preflight, finish, and preflight of the target."""
