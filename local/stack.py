"""All parts of one local stack: Azurite, PostgreSQL, stand-ins for SQL Server, Mendix Cloud and the target app, the host.

A stack's data, logs, ports and secrets lie in `.local/<name>/`. Ports and secrets are made once and kept in
`stack.json` (mode 0600), so that a stack stopped and started again is the same stack to whoever talks to it.
"""

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import sys
from dataclasses import asdict, dataclass, field
from io import TextIOWrapper
from pathlib import Path
from types import TracebackType
from typing import Literal

import psycopg
from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import BlobServiceClient
from psycopg import sql

from local.appsettings import (
    FILES,
    HOST_SETTINGS,
    REPORTS,
    STAGING,
    blob_settings,
    postgres_settings,
    smoke_settings,
    source_settings,
    target_postgres_settings,
    target_settings,
)
from local.azurite import Azurite, new_account_key
from local.odbc import SqlTarget, parse
from local.postgres import PostgresServer
from local.processes import ROOT, Child, ProcessError, Program, ready_line, start
from local.targetapp import PASSWORD_VARIABLE, STORAGE_VARIABLE

BACKUPS = "backups"
DATABASE = "mxferry_target"
SQL_LOGIN = "mxferry"
APP_ROLE = "mxferry_app"

Target = SqlTarget | Literal["postgres"]
"""A SQL Server of the user's own, or a database on the stack's PostgreSQL."""


@dataclass
class Secrets:
    """Made at random for each stack; nothing outside its folder knows them."""

    account_key: str = field(default_factory=new_account_key)
    postgres_admin: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    postgres_app: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    store: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    sql_login: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    mendix_api_key: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    app_user: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    masks: str = field(default_factory=lambda: secrets.token_urlsafe(24))

    def all(self) -> list[str]:
        """Return every secret, for the test that looks for them where they must not be."""
        return list(asdict(self).values())


@dataclass
class State:
    """What `stack.json` holds."""

    secrets: Secrets = field(default_factory=Secrets)
    ports: dict[str, int] = field(default_factory=dict)
    pids: dict[str, int] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> "State":
        """Read it, or begin a new one."""
        if not path.exists():
            return cls()
        kept = json.loads(path.read_text())
        return cls(Secrets(**kept["secrets"]), kept["ports"], kept["pids"])

    def write(self, path: Path) -> None:
        """Write it, for its owner alone."""
        draft = path.with_suffix(".new")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(asdict(self), file, indent=1)
        draft.replace(path)


def chosen(target: str, connection_string: str | None) -> Target | None:
    """Return what a stack takes as its target; ValueError when two are asked for."""
    if target == "postgres" and connection_string:
        raise ValueError("Give either TARGET=postgres or SQL=…, not both.")
    if target == "postgres":
        return "postgres"
    return parse(connection_string) if connection_string else None


class Stack:
    """A context manager that starts all parts and stops them in the reverse order; or `start` and `stop`.

    Args:
        name: The folder under `.local/`.
        snapshot: The archive that the Mendix Cloud stand-in hands out as the environment's backup.
        target: A SQL Server to use instead of the stand-in, or `postgres`: a database on the stack's PostgreSQL.
        with_parent: Whether the parts die with this process; False for `make up`.
        host_options: More arguments of `local.host`.
    """

    def __init__(
        self,
        name: str,
        snapshot: Path | None = None,
        target: Target | None = None,
        with_parent: bool = True,
        host_options: tuple[str, ...] = (),
    ) -> None:
        self.folder = self.folder_of(name)
        self.snapshot = snapshot
        self.target = target
        self.with_parent = with_parent
        self.host_options = host_options
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder.chmod(0o700)
        self._lock = _locked(self.folder)
        self.state = State.read(self._file)
        self.children: dict[str, Child] = {}
        self.facts: dict[str, dict[str, object]] = {}

    @staticmethod
    def folder_of(name: str) -> Path:
        """Where a stack of that name keeps its data."""
        return ROOT / ".local" / name

    @property
    def _file(self) -> Path:
        return self.folder / "stack.json"

    @property
    def url(self) -> str:
        """Where the Functions host serves."""
        return f"http://127.0.0.1:{self.state.ports['host']}"

    @property
    def function_key(self) -> str:
        """The key that opens the app's functions."""
        return Path(str(self.facts["host"]["function_key_file"])).read_text().strip()

    @property
    def host(self) -> Child:
        """The Functions host's process."""
        return self.children["host"]

    def empty(self) -> None:
        """Delete all data of the stack, so that the next start is its first. Only while it is stopped."""
        PostgresServer(self.folder / "postgres").destroy()
        PostgresServer(self.folder / "store").destroy()
        for path in self.folder.iterdir():
            if path.name != "lock":
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        self.state = State()

    def start(self) -> "Stack":
        """Start every part and make the containers; `ProcessError` if one does not come up (then all are stopped)."""
        try:
            self._start_servers()
            self._make_containers()
            self.start_host()
        except BaseException:
            self.stop()
            raise
        self.state.write(self._file)
        return self

    def stop(self) -> None:
        """Stop what was started, last first. Data stays."""
        for name in reversed(list(self.children)):
            self.children.pop(name).stop(grace=20)
        self.forget_processes()
        self.release()

    def release(self) -> None:
        """Let another command use the folder."""
        self._lock.close()

    def forget_processes(self) -> None:
        """Drop the process ids of parts that were stopped from outside."""
        self.state.pids = {}
        self.state.write(self._file)

    def start_host(self) -> None:
        """Start the Functions host, on the port it had before if it had one."""
        command = ["local.host", "--app", str(ROOT), "--state", str(self.folder / "host"), *self.host_options]
        self._serve("host", command, self.app_settings(), timeout=120)

    def upload(self, container: str, path: Path) -> None:
        """Put a file into a container, under its own name."""
        with (
            BlobServiceClient.from_connection_string(self.azurite.connection_string) as service,
            path.open("rb") as file,
        ):
            # validate_content: Azurite computes a CRC64 in JavaScript for every block that brings no MD5.
            service.get_blob_client(container, path.name).upload_blob(file, overwrite=True, validate_content=True)

    def check(self) -> None:
        """Raise `ProcessError` if a part has died."""
        for name, child in self.children.items():
            if not child.running():
                raise ProcessError(f"The part {name} died; its log is {child.program.log}.")

    def _start_servers(self) -> None:
        kept = self.state.secrets
        self.azurite = Azurite(
            self.folder / "azurite",
            self.state.ports.get("azurite", 0),
            key=kept.account_key,
            with_parent=self.with_parent,
        ).launch()
        self._remember("azurite", self.azurite.child)
        self.postgres = self._postgres("postgres", kept.postgres_admin)
        _make_role(self.postgres, kept.postgres_app)
        if self.target == "postgres":
            _make_database(self.postgres)
        if self.target is None:
            self.store = self._postgres("store", kept.store)
            self._serve("sqlserver", self._sql_server_command(), self._sql_server_secrets())
        if self.snapshot:
            # Quick jobs: the app polls for the first time after two seconds.
            command = ["local.mendixcloud", "--snapshot", str(self.snapshot.resolve())]
            command += ["--folder", str(self.folder / "mendixcloud"), "--queued", "0.3", "--running", "1"]
            self._serve("mendixcloud", command, {"MXFERRY_MENDIX_API_KEY": kept.mendix_api_key})
        self.state.ports["azurite"] = self.azurite.wait().port
        password = {PASSWORD_VARIABLE: kept.app_user, STORAGE_VARIABLE: self.azurite.connection_string}
        self._serve("targetapp", ["local.targetapp", "--container", FILES], password)

    def _postgres(self, name: str, password: str) -> PostgresServer:
        server = PostgresServer(
            self.folder / name, self.state.ports.get(name, 0), password=password, with_parent=self.with_parent
        ).start()
        self._remember(name, server.child)
        self.state.ports[name] = server.port
        return server

    def _serve(self, name: str, command: list[str], environment: dict[str, str], timeout: float = 60) -> None:
        program = Program(
            name=name,
            command=[sys.executable, "-m", *command, "--port", str(self.state.ports.get(name, 0))],
            folder=self.folder,
            environment=environment,
            with_parent=self.with_parent,
        )
        child = start(program)
        self._remember(name, child)
        self.facts[name] = child.wait_until(ready_line, timeout)
        self.state.ports[name] = int(str(self.facts[name]["port"]))

    def _remember(self, name: str, child: Child | None) -> None:
        assert child
        self.children[name] = child
        self.state.pids[name] = child.pid
        self.state.write(self._file)

    def _sql_server_command(self) -> list[str]:
        certificates = self.folder / "sqlserver"
        return [
            *(
                "local.sqlserver",
                "--store-env",
                "MXFERRY_SQLSERVER_STORE",
                "--password-env",
                "MXFERRY_SQLSERVER_PASSWORD",
            ),
            *("--user", SQL_LOGIN, "--database", DATABASE, "--tls", str(certificates)),
        ]

    def _sql_server_secrets(self) -> dict[str, str]:
        return {
            "MXFERRY_SQLSERVER_STORE": self.store.dsn(),
            "MXFERRY_SQLSERVER_PASSWORD": self.state.secrets.sql_login,
        }

    def _make_containers(self) -> None:
        with BlobServiceClient.from_connection_string(self.azurite.connection_string) as service:
            for name in (STAGING, REPORTS, FILES, BACKUPS):
                with contextlib.suppress(ResourceExistsError):
                    service.create_container(name)

    def app_settings(self) -> dict[str, str]:
        """Return the app settings: what an environment in Azure would have, for these parts."""
        return (
            blob_settings(self.azurite.connection_string)
            | postgres_settings(self.postgres, APP_ROLE, self.state.secrets.postgres_app)
            | self._target_settings()
            | source_settings(self.facts.get("mendixcloud"), self.state.secrets.mendix_api_key)
            | smoke_settings(self.facts["targetapp"], self.state.secrets.app_user)
            | {"MASK_SECRET": self.state.secrets.masks}
            | HOST_SETTINGS
        )

    def _target_settings(self) -> dict[str, str]:
        if self.target == "postgres":
            return target_postgres_settings(self.postgres, DATABASE, APP_ROLE, self.state.secrets.postgres_app)
        if self.target is not None:
            return target_settings(self.target)
        target = SqlTarget(
            server=f"127.0.0.1,{self.state.ports['sqlserver']}",
            database=DATABASE,
            user=SQL_LOGIN,
            password=self.state.secrets.sql_login,
            trust=True,
        )
        return target_settings(target, throw_away=True)

    def __enter__(self) -> "Stack":
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _locked(folder: Path) -> TextIOWrapper:
    """Take the folder for this process; two stacks in one folder would spoil each other's data."""
    lock = (folder / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise ProcessError(f"Another command is using {folder}; wait for it to end.") from None
    return lock


def _make_role(server: PostgresServer, password: str) -> None:
    """Make the app's role: it may create databases and roles, and is no superuser, as in Azure."""
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (APP_ROLE,)).fetchone()
        statement = sql.SQL("{} ROLE {} LOGIN CREATEDB CREATEROLE PASSWORD {}").format(
            sql.SQL("ALTER" if known else "CREATE"), sql.Identifier(APP_ROLE), sql.Literal(password)
        )
        connection.execute(statement)


def _make_database(server: PostgresServer) -> None:
    """Make the target database, empty, and its app's: it owns it, as the app's login does in Azure."""
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        if connection.execute("SELECT FROM pg_database WHERE datname = %s", (DATABASE,)).rowcount == 0:
            names = {"database": sql.Identifier(DATABASE), "owner": sql.Identifier(APP_ROLE)}
            connection.execute(sql.SQL("CREATE DATABASE {database} OWNER {owner}").format(**names))
