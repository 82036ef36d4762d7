"""Which installation of the app we are, among those that share a server with us."""

import secrets

from azure.core.exceptions import ResourceExistsError

from shared.blobs import clients

NAME = "environment/installation"


def installation() -> str:
    """Return our id: made once at random, and kept in the reports container, beside the records of our runs."""
    blob = clients.reports().get_blob_client(NAME)
    try:
        proposed = secrets.token_hex(4)
        blob.upload_blob(proposed.encode(), overwrite=False)
    except ResourceExistsError:
        return bytes(blob.download_blob().readall()).decode()
    return proposed
