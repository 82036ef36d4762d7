"""Exactly-once copying of rows and files."""
