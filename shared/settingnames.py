"""Names in the environment that are meant for us or for the Functions host, and those that nearly are.

Inside a section pydantic refuses unknown names (`STAGING__CONTANER`). At the top level the environment is full of other
people's names, so there a name is refused only when it is close to one of ours.
"""

import difflib
import os
from collections.abc import Iterable

SEPARATOR = "__"
CLOSE = 0.85
CLOSE_SECTION = 0.8  # `TARGTE__…`: with two underscores it is hardly anybody else's

# Written into the app's settings by `infra/`, read by the Functions host and its Python worker, never by our code.
HOST_SETTINGS = {
    "AzureWebJobsStorage__credential": "`managedidentity`: the host's own storage is reached without a key.",
    "AzureWebJobsStorage__clientId": "Client id of the identity for the host's storage.",
    "AzureWebJobsStorage__blobServiceUri": "Host storage: locks, function keys, durable leases.",
    "AzureWebJobsStorage__queueServiceUri": "Host storage: the durable queues.",
    "AzureWebJobsStorage__tableServiceUri": "Host storage: the durable histories.",
    "APPLICATIONINSIGHTS_CONNECTION_STRING": "Where telemetry goes.",
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING": "`ClientId=…;Authorization=AAD`: telemetry is sent by identity.",
    "DURABLE_TASK_SCHEDULER_CONNECTION_STRING": "With the back end Durable Task Scheduler only; holds no secret.",
    "AzureFunctionsJobHost__extensions__durableTask__storageProvider__type": "`azureManaged`, with that back end only.",
    "AzureFunctionsJobHost__extensions__durableTask__storageProvider__connectionStringName": "With that back end only.",
    "PYTHON_THREADPOOL_THREAD_COUNT": "Threads of the worker; above host.json's limit of activities at a time.",
    "AZURE_FUNCTIONS_DURABLE_STRICT_TYPING": "`1`: the durable library refuses values it cannot carry faithfully.",
}


def unresolved() -> list[str]:
    """Return a sentence for every setting whose Key Vault reference the platform could not resolve.

    It then hands the reference itself to the app (https://learn.microsoft.com/azure/app-service/app-service-key-vault-references).
    """
    return [
        f"{name}: a Key Vault reference that was not resolved (does the secret exist, may the identity read it?)"
        for name, value in sorted(os.environ.items())
        if value.startswith("@Microsoft.KeyVault(")
    ]


def misspelt(fields: Iterable[str]) -> list[str]:
    """Return a sentence for every name in the environment that looks like a top-level setting of ours but is none."""
    known = {field.upper() for field in fields}
    problems = []
    for name in sorted(os.environ):
        top, nested, _ = name.upper().partition(SEPARATOR)
        if top in known or name in HOST_SETTINGS:
            continue
        meant = difflib.get_close_matches(top, known, n=1, cutoff=CLOSE_SECTION if nested else CLOSE)
        if meant:
            rest = name[len(top) :] if nested else ""
            problems.append(f"{name}: unknown, did you mean {meant[0]}{rest}?")
    return problems
