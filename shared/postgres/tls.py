"""TLS towards PostgreSQL, as libpq takes it: the server's certificate and its name are checked unless the settings say no.

`sslrootcert=system` is not handed to libpq as it is: it means the folder that its OpenSSL was built for, which in the wheel
of psycopg is one that no machine has (`/usr/lib/psycopg-openssl`). So the file is named, the same for psycopg and ADBC:
Python's own default, which is the distribution's where there is one, and else the roots of certifi.
"""

import ssl

import certifi

from shared.settings import Postgres

SYSTEM = "system"
REFUSED = ("certificate verify failed", "does not match host name", "root certificate file")
REMEDY = (
    "Check that the host name is the server's own, as its certificate has it. A certificate of an authority of your own: "
    "name its PEM file in …POSTGRES__SSLROOTCERT. To go on without the check: …POSTGRES__SSLMODE=require."
)


def tls(server: Postgres) -> dict[str, str]:
    """Return `sslmode` and, where the certificate is checked, `sslrootcert`."""
    if server.sslmode in ("disable", "require"):  # with a root certificate `require` would be `verify-ca`
        return {"sslmode": server.sslmode}
    return {"sslmode": server.sslmode, "sslrootcert": roots() if server.sslrootcert == SYSTEM else server.sslrootcert}


def roots() -> str:
    """Return the file of the authorities that this machine trusts."""
    return ssl.get_default_verify_paths().cafile or certifi.where()
