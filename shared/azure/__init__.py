"""Azure Resource Manager: what the app does to Azure itself (start, stop, scale), by its own identity."""
