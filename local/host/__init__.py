"""A stand-in for the Azure Functions host: the app's triggers on one machine, run by Microsoft's own worker library."""
