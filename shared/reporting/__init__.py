"""The report and the runbook: JSON, HTML, Markdown."""
