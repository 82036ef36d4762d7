"""Snapshot formats: archive, tar index, pg_dump custom format."""
