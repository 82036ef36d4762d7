"""Where the data of a run lies: every place, what lies there, and until when. For the report, however the run ended.

Names come from the settings, and never a secret. Days of retention are those that the deployment wrote beside the names;
what somebody else made and configured is said to be theirs.
"""

from dataclasses import dataclass
from urllib.parse import urlsplit

from shared.contracts import Run, StageState
from shared.postgres.connection import database_name
from shared.remains import Remains
from shared.reporting.model import Place
from shared.request import MendixCloudSource
from shared.settings import BlobAccount, Postgres, Settings, SqlServer, TargetProfile
from shared.wording import moment, plural, source_words

NOT_TOLD = "as the team that runs it has configured it"


@dataclass(frozen=True)
class Moved:
    """What a run has done, as far as it decides what lies where; `remains` is None before the clean-up."""

    run: Run
    stages: list[StageState]
    target_written: bool
    remains: Remains | None

    def began(self, *stages: str) -> bool:
        """Say whether one of the stages was started."""
        return any(one.name in stages and one.state != "skipped" for one in self.stages)


def places(moved: Moved, settings: Settings) -> list[Place]:
    """Return the places in the order in which the data goes through them."""
    profile = settings.target_profile(moved.run.request.target)
    return [
        _source(moved),
        _staging(moved, settings),
        *([] if profile.kind == "postgres" else [_temporary(moved, settings), _backups(moved, settings)]),
        _target_database(moved, profile),
        _target_files(moved, profile),
        _reports(moved, settings),
        _histories(settings),
        _logs(settings),
    ]


def _source(moved: Moved) -> Place:
    source = moved.run.request.source
    new = isinstance(source, MendixCloudSource) and source.snapshot == "new" and moved.began("snapshot")
    return Place(
        name="source", where=source_words(moved.run), holds="the app's data: a run only reads it",
        until="stays as it was" + ("; the backup that this run asked for stays among those of the environment" if new else ""),
    )  # fmt: skip


def _staging(moved: Moved, settings: Settings) -> Place:
    days = settings.retention.staging_days
    net = f"; a rule of the account deletes what is older than {plural(days, 'day')}" if days else ""
    if not moved.began("snapshot"):
        return Place(
            name="staging", where=_account(settings.staging, settings.staging.container),
            holds="nothing of the app: no snapshot was taken", until=f"–{net}",
        )  # fmt: skip
    return Place(
        name="staging", where=f"{_account(settings.staging, settings.staging.container)}, runs/{moved.run.id}/",
        holds="the backup as it came and unpacked, with plans and lists", until=_ends(moved, "staging") + net,
    )  # fmt: skip


def _temporary(moved: Moved, settings: Settings) -> Place:
    where = f"{_server(settings.postgres)}, database {database_name(moved.run.id)}"
    if not moved.began("restore"):
        return Place(name="temporary database", where=where, holds="nothing: it was not made", until="–")
    return Place(
        name="temporary database", where=where, holds="the app's whole database", until=_ends(moved, "database")
    )


def _backups(moved: Moved, settings: Settings) -> Place:
    days = settings.retention.postgres_backup_days
    kept = f"{plural(days, 'day')} after the database is dropped" if days else NOT_TOLD
    return Place(
        name="back-ups of the temporary server", where=_server(settings.postgres),
        holds="what the temporary database held" if moved.began("restore") else "nothing of this run",
        until=f"{kept}, or until the server is deleted" if moved.began("restore") else "–",
    )  # fmt: skip


def _target_database(moved: Moved, profile: TargetProfile) -> Place:
    database = profile.postgres if profile.kind == "postgres" else profile.sql
    days = database.backup_days if isinstance(database, SqlServer) else None
    server = f"{database.host}:{database.port}" if isinstance(database, Postgres) else database and database.server
    return Place(
        name="target database", where=f"{server}, database {database and database.database}",
        holds=_written(moved, "the app's database"),
        until="stays: it is the destination. Its back-ups, also of what a run dropped there: "
        + (plural(days, "day") if days else NOT_TOLD),
    )  # fmt: skip


def _target_files(moved: Moved, profile: TargetProfile) -> Place:
    prefix = moved.run.request.options.blob_prefix
    days = profile.blob.soft_delete_days
    kept = plural(days, "day") if days else NOT_TOLD
    return Place(
        name="target files", where=_account(profile.blob, profile.blob.container) + (f", {prefix}" if prefix else ""),
        holds=_written(moved, "the app's files, one blob each"),
        until=f"stays: it is the destination. What is deleted there can be brought back: {kept}",
    )  # fmt: skip


def _reports(moved: Moved, settings: Settings) -> Place:
    shown = moved.run.request.options.show_values
    values = "also values of such rows, because the request says show_values" if shown else "no other value"
    return Place(
        name="reports", where=f"{_account(settings.staging, settings.staging.reports_container)}, runs/{moved.run.id}/",
        holds=f"names, counts, findings, this report; keys of rows that were refused or differ, {values}",
        until="kept until you delete it",
    )  # fmt: skip


def _histories(settings: Settings) -> Place:
    hub = f"task hub {settings.taskhub_name}" if settings.taskhub_name else "the app's task hub"
    return Place(
        name="durable history", where=hub, holds="names, counts, names of blobs; no row and no secret",
        until="kept until it is purged",
    )  # fmt: skip


def _logs(settings: Settings) -> Place:
    days = settings.retention.log_days
    return Place(
        name="logs", where="the app's Log Analytics workspace", holds="run, stage, durations, counts, codes; no row",
        until=plural(days, "day") if days else NOT_TOLD,
    )  # fmt: skip


def _written(moved: Moved, what: str) -> str:
    return what if moved.target_written else "nothing of this run: it never wrote there"


def _ends(moved: Moved, part: str) -> str:
    """Say when it was or will be deleted, and why not where it could not be."""
    known = moved.remains
    if known is None:
        return "until the clean-up of this run, which follows this report"
    if known.kept_until is not None:
        return f"kept until {moment(known.kept_until)}, then deleted within the hour by the sweep"
    words = {str(name): why for name, why in known.left.items()}.get(part)
    return f"still there, the sweep tries every hour. {words}" if words else "deleted at the clean-up"


def _account(account: BlobAccount, container: str) -> str:
    """Return host and container; of a connection string, which only one machine has, the account's name alone."""
    if account.connection_string is None:
        return f"{urlsplit(account.account_url or '').netloc}, container {container}"
    parts = (part.partition("=") for part in account.connection_string.get_secret_value().split(";"))
    named = {name: value for name, _, value in parts}
    return f"storage account {named.get('AccountName', 'of one machine')}, container {container}"


def _server(server: Postgres) -> str:
    return f"{server.host}:{server.port}"
