"""The version of the app, as reports and the health check say it."""

VERSION = "0.2.0"
