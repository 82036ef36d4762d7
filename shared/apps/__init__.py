"""The target application: stop it before its database is written, start it after; one adapter a platform."""
