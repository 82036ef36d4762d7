"""The Backups API v2."""

import contextlib
import json
from collections.abc import Callable
from typing import Any

from aiohttp import web

from local.mendixcloud.environment import DAY, Archive, Environment, Snapshot
from local.mendixcloud.faults import error

DATA_TYPES = ("files_and_database", "database_only")
SNAPSHOTS = "/api/v2/apps/{project}/environments/{environment}/snapshots"
RESTORES = "/api/v2/apps/{project}/environments/{environment}/restores"


class Backups:
    """Handlers; `url_of` signs an archive's download URL."""

    def __init__(self, environment: Environment, url_of: Callable[[Archive], str]) -> None:
        self.environment = environment
        self.url_of = url_of

    def routes(self) -> list[web.RouteDef]:
        """Return the route table."""
        one, archives = f"{SNAPSHOTS}/{{snapshot}}", f"{SNAPSHOTS}/{{snapshot}}/archives"
        return [
            web.get(SNAPSHOTS, self.list),
            web.post(SNAPSHOTS, self.create),
            web.get(one, self.show),
            web.put(one, self.comment),
            web.delete(one, self.delete),
            web.post(archives, self.request_archive),
            web.get(f"{archives}/{{archive}}", self.show_archive),
            web.post(RESTORES, self.restore),
            web.get(f"{RESTORES}/{{restore}}", self.show_restore),
        ]

    async def list(self, request: web.Request) -> web.Response:
        """List snapshots, newest first, a page at a time."""
        self._check(request)
        try:
            offset, limit = int(request.query.get("offset", "0")), int(request.query.get("limit", "100"))
        except ValueError:
            return error(400, "INVALID_PARAMETERS", "offset and limit must be numbers.")
        found = self.environment.newest_first()
        page = [one.described(self.environment.now()) for one in found[offset : offset + limit]]
        return web.json_response({"snapshots": page, "total": len(found), "offset": offset, "limit": limit})

    async def create(self, request: web.Request) -> web.Response:
        """Begin a snapshot; one at a time."""
        self._check(request)
        if self.environment.busy():
            return error(400, "ENVIRONMENT_BUSY", "Environment is busy, please try again later.")
        comment = (await _body(request)).get("comment")
        job = self.environment.job("Completed backup creation")
        made = Snapshot(job, comment, self.environment.model_version, 90 * DAY)
        self.environment.snapshots[job.id] = made
        return web.json_response(made.described(self.environment.now()))

    async def show(self, request: web.Request) -> web.Response:
        """Show a snapshot."""
        return web.json_response(self._snapshot(request).described(self.environment.now()))

    async def comment(self, request: web.Request) -> web.Response:
        """Change a snapshot's comment."""
        found = self._snapshot(request)
        found.comment = (await _body(request)).get("comment")
        return web.json_response(found.described(self.environment.now()))

    async def delete(self, request: web.Request) -> web.Response:
        """Delete a snapshot."""
        del self.environment.snapshots[self._snapshot(request).job.id]
        return web.Response(status=204)

    async def request_archive(self, request: web.Request) -> web.Response:
        """Begin an archive of a completed snapshot."""
        found = self._snapshot(request)
        data_type = request.query.get("data_type", DATA_TYPES[0])
        if data_type not in DATA_TYPES:
            return error(400, "UNSUPPORTED", "Unsupported data_type")
        if found.job.state(self.environment.now()) != "completed":
            return error(400, "ERROR_NOT_ALLOWED", "The snapshot is not completed.")
        archive = Archive(self.environment.job("Done preparing download archive"), found.job.id, data_type)
        archive.job.failure = self.environment.archive_failure
        found.archives[archive.job.id] = archive
        return web.json_response(archive.described(self.environment.now(), self.url_of(archive)))

    async def show_archive(self, request: web.Request) -> web.Response:
        """Show an archive, with its URL once it is completed."""
        archive = self._snapshot(request).archives.get(request.match_info["archive"])
        if archive is None:
            return error(404, "NOT_FOUND", "Archive not found.")
        return web.json_response(archive.described(self.environment.now(), self.url_of(archive)))

    async def restore(self, request: web.Request) -> web.Response:
        """Begin a restore. Nothing is restored; that one was asked for can be seen."""
        self._check(request)
        if self.environment.status != "Stopped":
            return error(400, "INVALID_STATE", "The app must be stopped before a restore.")
        job = self.environment.job("Completed restore")
        self.environment.restores[job.id] = job
        return web.json_response(self._restore(job.id, request.query.get("source_snapshot_id", "")))

    async def show_restore(self, request: web.Request) -> web.Response:
        """Show a restore."""
        self._check(request)
        if request.match_info["restore"] not in self.environment.restores:
            return error(404, "NOT_FOUND", "Restore not found.")
        return web.json_response(self._restore(request.match_info["restore"], ""))

    def _restore(self, restore: str, snapshot: str) -> dict[str, Any]:
        environment = self.environment
        return {
            "restore_id": restore,
            "source_snapshot_id": snapshot,
            "source_environment_id": environment.environment_id,
            "target_environment_id": environment.environment_id,
            **environment.restores[restore].described(environment.now()),
        }

    def _check(self, request: web.Request) -> None:
        info = request.match_info
        if (info["project"], info["environment"]) != (self.environment.project_id, self.environment.environment_id):
            raise Stop(error(404, "ENVIRONMENT_NOT_FOUND", "Environment not found."))

    def _snapshot(self, request: web.Request) -> Snapshot:
        self._check(request)
        found = self.environment.snapshots.get(request.match_info["snapshot"])
        if found is None:
            raise Stop(error(404, "NOT_FOUND", "Snapshot not found."))
        return found


class Stop(Exception):  # noqa: N818 - an answer, not an error of the program
    """Ends a handler with an answer."""

    def __init__(self, response: web.Response) -> None:
        self.response = response
        super().__init__(response.status)


async def _body(request: web.Request) -> dict[str, Any]:
    with contextlib.suppress(json.JSONDecodeError):
        found = await request.json()
        if isinstance(found, dict):
            return found
    return {}
