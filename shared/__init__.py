"""The library: Mendix knowledge, snapshot formats, blobs, databases, verification, reports.

Knows nothing of Azure Functions or Durable Functions, and never asks on which host it runs.
"""
