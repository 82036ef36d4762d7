"""Smoke checks: is what was copied an app that works? Each has its own verdict and evidence."""
