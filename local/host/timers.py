"""Timer triggers: due times by schedule, kept across restarts so that a missed one is run late and says so."""

import asyncio
import json
import logging
from datetime import UTC, datetime
from pathlib import Path

from local.host import ncrontab
from local.host.app import App, Function, FunctionFailed
from local.host.messages import TypedData
from local.host.ncrontab import Schedule
from local.host.settings import expand

log = logging.getLogger("mxferry.host.timers")

LONGEST_SLEEP = 60.0  # seconds; the wall clock may be set meanwhile


class Timer:
    """One timer function and its record on disk (`<state>/timers/<function>.json`: last and next due time)."""

    def __init__(self, app: App, function: Function, folder: Path) -> None:
        self._app = app
        self._function = function
        self._schedule: Schedule = ncrontab.parse(expand(str(function.trigger["schedule"])))
        self._record = folder / f"{function.name}.json"

    async def run(self) -> None:
        """Fire at every due time until cancelled; one firing at a time.

        The record follows the function, as in Azure: a host that dies in between runs it again, past due.
        """
        now = datetime.now(UTC)
        last, due = self._remembered()
        if due is not None and due <= now and self._function.trigger.get("useMonitor", True):
            await self._fire(last, due, past_due=True)
            last = due
        elif self._function.trigger.get("runOnStartup", False):
            await self._fire(last, now, past_due=False)
            last = now
        while True:
            due = self._schedule.after(datetime.now(UTC))
            self._remember(last, due)
            await _until(due)
            await self._fire(last, due, past_due=False)
            last = due

    async def _fire(self, last: datetime | None, due: datetime, *, past_due: bool) -> None:
        status = {
            "Last": (last or datetime.fromtimestamp(0, UTC)).isoformat(),
            "Next": self._schedule.after(due).isoformat(),
            "LastUpdated": (last or due).isoformat(),
        }
        value = {"Schedule": {"AdjustForDST": True}, "ScheduleStatus": status, "IsPastDue": past_due}
        try:
            await self._app.call(self._function, TypedData(json=json.dumps(value)))
        except FunctionFailed as failure:
            log.error(  # noqa: TRY400 - the stack is the function's own
                "timer %s failed: %s\n%s", self._function.name, failure, failure.stack
            )
        else:
            log.info("timer %s ran%s", self._function.name, ", past due" if past_due else "")

    def _remembered(self) -> tuple[datetime | None, datetime | None]:
        try:
            record = json.loads(self._record.read_text())
            last = datetime.fromisoformat(record["last"]) if record["last"] else None
            due = datetime.fromisoformat(record["next"])
        except (OSError, ValueError, KeyError):
            return None, None
        # A schedule that was changed while the host was down is not past due.
        return (last, due) if record.get("schedule") == repr(self._schedule) else (last, None)

    def _remember(self, last: datetime | None, due: datetime) -> None:
        self._record.parent.mkdir(parents=True, exist_ok=True)
        draft = self._record.with_suffix(".new")
        record = {
            "last": last.isoformat() if last else None,
            "next": due.isoformat(),
            "schedule": repr(self._schedule),
        }
        draft.write_text(json.dumps(record))
        draft.replace(self._record)


async def _until(due: datetime) -> None:
    while (left := (due - datetime.now(UTC)).total_seconds()) > 0:  # noqa: ASYNC110 - a clock has no event to wait for
        await asyncio.sleep(min(left, LONGEST_SLEEP))
