"""The HTTP API: one route table, handlers that know HTTP and the engine's client, no business rules."""
