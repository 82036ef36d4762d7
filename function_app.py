"""Every trigger of the app."""
