"""Blob storage: clients, ranged reads, staging, conditional writes."""
