"""Handlers of `/api/migrations`: start, list, watch."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, Field

from api import caller
from api.http import Answer, Call, Engine, answer, parsed, problem, refusal, refused_as, with_etag
from api.standing import ELSEWHERE, LOST, OVER, standing
from shared import capacity, rehearsals, remains, runs
from shared.communication.memory import Messages, messages
from shared.contracts import Run
from shared.errors import Finding, Refusal
from shared.forecast import Forecast, forecast
from shared.progress import StageView, View
from shared.remains import Remains
from shared.request import MigrationRequest, UrlSource, Window
from shared.settings import settings
from shared.sources.url import checked_url, stow_source_url
from shared.targetmodes import resolved

ON_ITS_WAY = timedelta(minutes=2)
"""For so long a run that the engine does not know may be on its way to it: two POSTs at once are not one after the other."""
CONFLICTS = frozenset(("IDEMPOTENCY_KEY_REUSED", "RUN_LOST", "TARGET_BUSY"))


class Started(BaseModel):
    """Answer of `POST /api/migrations`."""

    id: str
    status: str
    links: dict[str, str]


class MigrationView(BaseModel):
    """A migration as the API shows it. Times are UTC, durations seconds."""

    id: str
    status: str = Field(
        description="pending, running, waiting, suspended, or the verdict: verified, failed, refused, aborted, planned; lost, "
        "where neither the engine nor a report knows how it ended; elsewhere, where it may go on in another task hub"
    )
    verdict: str | None = None
    reason: str = ""
    target: str
    purpose: str
    source: str
    created_at: datetime
    asked_by: str | None = None
    stage: str | None = None
    snapshot_at: datetime | None = None
    window: Window | None = None
    forecast: Forecast | None = Field(default=None, description="The expected end, while the migration runs.")
    progress: View
    findings: list[Finding] = Field(default_factory=list)
    remains: Remains | None = Field(
        default=None, description="What the clean-up, and later the sweep, deleted, and what is left; null before it."
    )
    messages: Messages | None = Field(
        default=None,
        description="What the channels were told of it; null where there was nothing to tell, or nobody to.",
    )
    links: dict[str, str] = Field(default_factory=dict)

    @property
    def stages(self) -> list[StageView]:
        """The stages, in order."""
        return self.progress.stages


class MigrationItem(BaseModel):
    """A migration in the list."""

    id: str
    status: str
    hub: str | None = Field(default=None, description="The task hub that it runs in, where the status is `elsewhere`.")
    target: str
    purpose: str
    created_at: datetime
    links: dict[str, str]


class MigrationPage(BaseModel):
    """Answer of `GET /api/migrations`, newest first."""

    items: list[MigrationItem]
    next: str | None = Field(default=None, description="Value of `before` for the next page; null on the last.")


async def start(call: Call) -> Answer:
    """Start a migration; 202 with its id, also when the same Idempotency-Key comes again."""
    request = parsed(MigrationRequest, call.body)
    key = call.headers.get("idempotency-key") or request.idempotency_key
    try:
        wanted, url = await asyncio.to_thread(_checked, request)
        run_id, new = await asyncio.to_thread(runs.reserve, request, key, datetime.now(UTC))
        if not new and await _came_to_the_engine(call.engine, run_id):
            return _started(run_id)  # whoever holds the target by now
        await _take_target(call.engine, request.target, run_id)
    except Refusal as error:
        return refusal(error, 409 if error.code in CONFLICTS else 400)
    await _launch(call, run_id, wanted, url)
    return _started(run_id)


async def _came_to_the_engine(engine: Engine, run_id: str) -> bool:
    """Say whether a run was started before: the engine knows it, or did, or another one does.

    Raises `Refusal` RUN_LOST where nobody can say so.
    """
    if await engine.get_orchestration_state(run_id, fetch_payloads=False) is not None:
        return True
    try:
        run = await asyncio.to_thread(runs.load, run_id)
    except Refusal:
        return False  # the POST that reserved the id came no further
    found = await standing(engine, run, live=False)
    if found.status == LOST:
        raise Refusal(
            "RUN_LOST", run_id, f"expected the run that first used this Idempotency-Key. {found.reason}",
            "Start the migration with a new key.",
        )  # fmt: skip
    return found.status != "pending"


def _started(run_id: str) -> Answer:
    links = _links(run_id)
    return answer(Started(id=run_id, status="pending", links=links), 202, {"Location": links["self"]})


async def index(call: Call) -> Answer:
    """List migrations, newest first, a page at a time."""
    wanted = call.query.get("limit", "20")
    limit = int(wanted) if wanted.isascii() and wanted.isdigit() and len(wanted) < 4 else 0
    if not 1 <= limit <= 100:
        return problem(400, "INVALID_REQUEST", "limit: expected a whole number from 1 to 100.")
    found = await asyncio.to_thread(runs.ids, limit + 1, call.query.get("before"))
    items = [one for one in await asyncio.gather(*(_item(call.engine, run_id) for run_id in found[:limit])) if one]
    return with_etag(call, answer(MigrationPage(items=items, next=found[limit - 1] if len(found) > limit else None)))


async def show(call: Call) -> Answer:
    """Show one migration: status, stages with numbers and ETA, findings."""
    with refused_as(404):
        return with_etag(call, answer(await look(call.engine, call.params["id"])))


async def look(engine: Engine, run_id: str) -> MigrationView:
    """Return a migration's view; `Refusal` UNKNOWN_RUN if there is none."""
    run = await asyncio.to_thread(runs.load, run_id)
    found = await standing(engine, run)
    seen, window = found.view, run.request.window
    goes_on = found.verdict is None and found.status != ELSEWHERE
    expected = await asyncio.to_thread(_forecast, run, seen) if goes_on else None
    return MigrationView(
        id=run_id, status=found.status, verdict=found.verdict, reason=found.reason, target=run.request.target,
        purpose=run.request.options.purpose, source=run.request.source.kind, created_at=run.created_at, asked_by=run.asked_by,
        stage=seen.stage, window=window, snapshot_at=run.request.snapshot_at, forecast=expected, progress=seen, findings=await asyncio.to_thread(runs.findings, run_id),
        remains=await asyncio.to_thread(remains.load, run_id), messages=await asyncio.to_thread(messages, run_id), links=_links(run_id),
    )  # fmt: skip


def _forecast(run: Run, seen: View) -> Forecast | None:
    request = run.request
    return forecast(
        seen.stages, rehearsals.measured(run), datetime.now(UTC), request.window,
        snapshot_at=request.snapshot_at, capacity=capacity.remembered(run.id),
    )  # fmt: skip


SECRETS = re.compile(
    r"(?i)(?:^|[&;])(sig|signature|code|password|pwd|secret|(?:access[-_]?)?token|(?:api[-_]?|account)?key|sharedaccesssignature"
    r"|x-amz-(?:signature|credential|security-token))="
)
"""Parameters of an address that are secrets by their names, as `shared.redaction` knows them in texts."""


def _refuse_secrets(request: MigrationRequest) -> None:
    """`Refusal` SECRET_IN_ADDRESS where a smoke check's address holds one.

    Here and not in the model: the records of runs that were started before are read by the model too.
    """
    addresses = [(one.name, one.url) for one in request.smoke.http]
    addresses += [(one.name, one.url) for one in request.smoke.documents]
    for name, address in addresses:
        parts = urlsplit(address)
        found = SECRETS.search(unquote(parts.query)) or SECRETS.search(unquote(parts.fragment))
        if found:
            raise Refusal(
                "SECRET_IN_ADDRESS", f"smoke check {name}",
                f"expected an address without a secret in it, found `{found[1]}=`: a request is kept, and so would it be.",
                "Name an address without it; `signed_in` opens what is not for anybody.",
            )  # fmt: skip


def _checked(request: MigrationRequest) -> tuple[MigrationRequest, str | None]:
    """Check what the settings can say about a request; return it with its target mode, and the source URL, if any."""
    _refuse_secrets(request)
    request = resolved(request, settings().target_profile(request.target).kind)
    if request.options.purpose == "rehearsal":
        rehearsals.check_throw_away(request.target)
    if isinstance(request.source, UrlSource):
        return request, str(checked_url(request.source.url or ""))
    if request.source.kind == "mendix-cloud" or request.source.profile:
        settings().source_profile(str(request.source.profile))
    return request, None


async def _take_target(engine: Engine, target: str, run_id: str) -> None:
    """Take the target for the run; `Refusal` TARGET_BUSY while the run that holds it may go on."""
    for _ in range(5):
        holder = await asyncio.to_thread(runs.take_target, target, run_id)
        if holder is None:
            return
        await _refuse_busy(engine, target, holder.run)
        if await asyncio.to_thread(runs.take_over_target, target, run_id, holder):
            return
    raise _busy(target, f"{holder.run if holder else 'others'} faster", "Ask again in a moment.")


async def _refuse_busy(engine: Engine, target: str, holder: str) -> None:
    state = await engine.get_orchestration_state(holder, fetch_payloads=False)
    if state is not None:
        if state.runtime_status.name not in OVER:
            raise _busy(
                target, f"{holder} running",
                f"Wait for it (GET /api/migrations/{holder}), or abort it (POST /api/migrations/{holder}/abort).",
            )  # fmt: skip
        # One that was ended from outside never came to its clean-up: what is late of it must not touch the target.
        await asyncio.to_thread(remains.close_over, holder)
        return
    if datetime.now(UTC) - runs.asked_at(holder) < ON_ITS_WAY:
        raise _busy(target, f"{holder} just asked for", f"Wait for it (GET /api/migrations/{holder}).")
    try:
        run = await asyncio.to_thread(runs.load, holder)
    except Refusal:
        return  # the POST that took the target came no further
    if (await standing(engine, run, live=False)).status == ELSEWHERE:
        raise _busy(
            target, f"{holder}, which may go on in task hub {run.hub or 'of an unknown name'}",
            "Abort it there, or deploy an app with that hub's name and abort it. If that hub is gone for good: see what the "
            f"target holds, then delete blob {runs.lock_name(target)} of the reports container; the run then never "
            "makes room on this target again.",
        )  # fmt: skip


def _busy(target: str, found: str, remedy: str) -> Refusal:
    return Refusal("TARGET_BUSY", target, f"expected no other migration on this target, found {found}.", remedy)


async def _launch(call: Call, run_id: str, request: MigrationRequest, url: str | None) -> None:
    """Store the run and start its orchestration; doing it again changes nothing.

    The record comes first: the sweep knows by it whose the URL in staging is, and how old.
    """
    if url is not None:
        request = request.model_copy(update={"source": UrlSource(kind="url")})
    now, hub = datetime.now(UTC), settings().taskhub_name
    await asyncio.to_thread(
        runs.save,
        Run(id=run_id, request=request, created_at=now, asked_by=caller.name(call), hub=hub, late_midway=True),
    )
    if url is not None:
        await asyncio.to_thread(stow_source_url, run_id, url)
    run = await asyncio.to_thread(runs.load, run_id)
    if await call.engine.get_orchestration_state(run_id, fetch_payloads=False) is None:
        await call.engine.schedule_new_orchestration("migrate", input=run.model_dump(mode="json"), instance_id=run_id)


async def _item(engine: Engine, run_id: str) -> MigrationItem | None:
    try:
        run = await asyncio.to_thread(runs.load, run_id)
    except Refusal:
        return None
    found = await standing(engine, run, live=False)
    return MigrationItem(
        id=run_id, status=found.status, hub=run.hub if found.status == ELSEWHERE else None, target=run.request.target,
        purpose=run.request.options.purpose, created_at=run.created_at, links=_links(run_id),
    )  # fmt: skip


def _links(run_id: str) -> dict[str, str]:
    base = f"/api/migrations/{run_id}"
    return {
        "self": base,
        "report": f"{base}/report",
        "runbook": f"{base}/runbook",
        "schema": f"{base}/schema",
        "request": f"{base}/request",
        "approve": f"{base}/approve",
        "abort": f"{base}/abort",
    }
