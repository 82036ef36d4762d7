"""`python -m local.sqlserver --port N --store DSN …`: runs the SQL Server stand-in."""

import argparse
import ctypes
import json
import logging
import os
import signal
import socket
import ssl
import sys
from pathlib import Path

from local.sqlserver import store
from local.sqlserver.client import Client, Settings
from local.sqlserver.errors import SqlError
from local.sqlserver.server import Hub, Server

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Parses the arguments, prints the ready line, serves until SIGTERM."""
    arguments = _arguments()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(message)s")
    if arguments.with_parent:
        _die_with_parent()
    settings = Settings(
        address=arguments.store or os.environ[arguments.store_env],
        user=arguments.user or os.environ.get("MXFERRY_SQLSERVER_USER", "sa"),
        password=os.environ[arguments.password_env],
        accepts_tokens=arguments.accept_tokens,
        discard=arguments.discard_bulk,
    )
    store.prepare(settings.address)
    named = os.environ.get("MXFERRY_SQLSERVER_DATABASES", "").split(",")
    for name in ("master", *arguments.database, *filter(None, named)):
        _ensure_database(settings.address, name)
    listener, control = _listen(arguments.port), _listen(arguments.control_port)
    context = _tls(Path(arguments.tls)) if arguments.tls else None
    if settings.discard:
        logging.warning("THIS SERVER DISCARDS BULK ROWS: they are counted, none is stored (--discard-bulk)")
    _announce(listener, control, settings, tls=context is not None)

    def serve(client: socket.socket, hub: Hub, number: int, tls: ssl.SSLContext | None) -> None:
        Client(client, hub, number, settings).run(tls)

    Server(listener, control, context, serve, _die_with_parent).run()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local.sqlserver", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="TDS port on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--control-port", type=int, default=0, help="port of the control channel; 0 takes a free one")
    parser.add_argument("--store", default="", help="libpq address of a PostgreSQL 15+, as a superuser")
    parser.add_argument(
        "--store-env",
        default="MXFERRY_SQLSERVER_STORE",
        help="environment variable with that address, if it has a password",
    )
    parser.add_argument("--user", help="the one login (default: MXFERRY_SQLSERVER_USER, or sa)")
    parser.add_argument(
        "--password-env", default="MXFERRY_SQLSERVER_PASSWORD", help="environment variable that holds its password"
    )
    parser.add_argument("--database", action="append", default=[], help="database to create if it is not there")
    parser.add_argument(
        "--tls", metavar="FOLDER", help="offer TLS; the self-signed certificate is put into this folder"
    )
    parser.add_argument("--accept-tokens", action="store_true", help="accept any Microsoft Entra access token")
    parser.add_argument("--discard-bulk", action="store_true", help="benchmarks: count bulk rows and store none")
    parser.add_argument("--with-parent", action="store_true", help="end when the parent process ends")
    return parser.parse_args()


def _ensure_database(address: str, name: str) -> None:
    try:
        store.create_database(address, name)
    except SqlError as problem:
        if problem.number != 1801:
            raise


def _listen(port: int) -> socket.socket:
    sock = socket.create_server(("127.0.0.1", port), backlog=128)
    sock.set_inheritable(False)
    return sock


def _tls(folder: Path) -> ssl.SSLContext:
    """TLS stops at 1.2: the tickets that TLS 1.3 sends after the handshake come outside the PRELOGIN packets."""
    from local.certificates import self_signed

    certificate, key = folder / "sqlserver.pem", folder / "sqlserver.key"
    if not (certificate.exists() and key.exists()):
        self_signed(certificate, key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    return context


def _announce(listener: socket.socket, control: socket.socket, settings: Settings, *, tls: bool) -> None:
    ready = {
        "ready": True,
        "port": listener.getsockname()[1],
        "control_port": control.getsockname()[1],
        "tls": tls,
        "discards_bulk": settings.discard,
    }
    print(json.dumps(ready), flush=True)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    main()
