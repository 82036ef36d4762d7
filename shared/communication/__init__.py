"""Telling people and machines what happens: texts for each audience, events, and their delivery."""
