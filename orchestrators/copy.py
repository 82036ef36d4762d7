"""Copying rows: plan, groups of jobs one after another, the count at the end.

`copy_rows` hands each group to `copy_group`, which keeps a window of `copy_chunks` activities busy. The window follows
what the activities answer (`orchestrators.pace`); a job that was throttled or found its chunk being loaded is called
again after a pause, and finds what it had loaded in the ledger. One that searches for refused rows needs no pause.
"""

from collections import deque
from datetime import timedelta
from typing import Any

from durabletask import task

from orchestrators.calling import RETRY, Payload, StageRefused, Steps, call, call_sub, result_of
from orchestrators.pace import Pace
from orchestrators.stagestatus import StageStatus
from shared.contracts import Counts, RestoredWork
from shared.errors import Finding
from shared.rowcontracts import CopyGroup, CopyJob, CopyPlan, FinishCopy, GroupCopied, JobCopied, kept_rejects

PAUSE = timedelta(seconds=10)
GREEDY_CALLS = 3
"""How often one job may be ended for holding too much: its chunks stay as large as they are, only fewer run beside them."""
BUSY_CALLS = 3
"""From this call on, a job that finds its table locked is a sign that too many load at the same time."""
CALLS_PER_JOB = 60  # ten minutes of pauses for one job; the activity's own retries come on top


def copy_rows(ctx: task.OrchestrationContext, payload: Payload) -> Steps:
    """Copy every planned table. Input: `RestoredWork`; output: `Copied`."""
    plan = CopyPlan.model_validate((yield from call(ctx, "plan_copy", payload)))
    status = StageStatus(ctx, "copy", total=Counts(rows=plan.rows, bytes=plan.bytes))
    window, rejected = (plan.limit + 1) // 2, 0
    for number, group in enumerate(plan.groups):
        instance = f"{ctx.instance_id}:{number}"
        status.show(children=[instance])
        work = CopyGroup(
            **RestoredWork.model_validate(payload).model_dump(),
            group=group.model_dump(),
            limit=plan.limit,
            window=window,
            rejected=rejected,
            table_lock=plan.table_lock,
            log_stats=plan.log_stats,
        )
        answer = yield from call_sub(ctx, "copy_group", work.model_dump(mode="json"), instance)
        copied = GroupCopied.model_validate(answer)
        window, rejected = copied.window, rejected + copied.rejected
        status.show(done=status.done + Counts(rows=copied.rows, bytes=copied.bytes), children=[])
    finish = FinishCopy(
        **RestoredWork.model_validate(payload).model_dump(),
        chunks=plan.chunks,
    )
    return (yield from call(ctx, "finish_copy", finish.model_dump(mode="json")))


def copy_group(ctx: task.OrchestrationContext, payload: Payload) -> Steps:
    """Copy the jobs of one group. Input: `CopyGroup`; output: `GroupCopied`."""
    work = CopyGroup.model_validate(payload)
    window = _JobWindow(ctx, work)
    while window.busy:
        window.start_jobs()
        yield task.when_any(window.awaited)
        window.collect()
    return window.result()


class _JobWindow:
    """The jobs of a group: waiting, running, done."""

    def __init__(self, ctx: task.OrchestrationContext, work: CopyGroup) -> None:
        self._ctx = ctx
        self._work = work
        self._waiting = deque(range(work.group.jobs))
        self._running: dict[int, task.Task[Any]] = {}
        self._calls = [0] * work.group.jobs  # that were stopped in vain
        self._greedy = [0] * work.group.jobs
        self._wave = 0  # counts how often throttling has halved the window
        self._waves = [0] * work.group.jobs  # in which wave a job was called
        self._pause: task.CancellableTask[Any] | None = None
        self._failure: Exception | None = None
        self._pace = Pace(work.limit, work.window, ctx.current_utc_datetime)
        self._rejected = 0
        total = Counts(rows=work.group.rows, bytes=work.group.bytes)
        self._status = StageStatus(ctx, "copy", total=total, note=self._words())

    @property
    def busy(self) -> bool:
        """Whether anything is running, or may still be started."""
        return bool(self._running) or (self._failure is None and bool(self._waiting))

    @property
    def awaited(self) -> list[task.Task[Any]]:
        """What the orchestration waits for next."""
        pause = [self._pause] if self._pause is not None else []
        return [*self._running.values(), *pause]

    def start_jobs(self) -> None:
        """Fill the window, unless the target asked for a pause."""
        while self._failure is None and self._pause is None and self._waiting:
            if len(self._running) >= self._pace.window:
                return
            number = self._waiting.popleft()
            self._waves[number] = self._wave
            job = CopyJob(
                run=self._work.run,
                restore=self._work.restore,
                blob=self._work.group.blob,
                job=number,
                table_lock=self._work.table_lock,
                log_stats=self._work.log_stats,
            )
            self._running[number] = self._ctx.call_activity(
                "copy_chunks", input=job.model_dump(mode="json"), retry_policy=RETRY
            )

    def collect(self) -> None:
        """Take the answers of finished jobs, and end a pause that is over."""
        if self._pause is not None and self._pause.is_complete:
            self._pause = None
        finished = [number for number, one in self._running.items() if one.is_complete]
        for number in finished:
            one = self._running.pop(number)
            try:
                self._take(number, JobCopied.model_validate(result_of(one.get_result())))
            except (task.TaskFailedError, StageRefused) as error:
                self._failure = self._failure or error
        if finished:
            self._status.show(note=self._words())

    def result(self) -> Payload:
        """Return the group's sums, or raise what made it fail."""
        if self._pause is not None:
            self._pause.cancel()  # an open timer keeps an orchestration from completing
        if self._failure is not None:
            raise self._failure
        done = self._status.done
        return GroupCopied(
            rows=done.rows, bytes=done.bytes, rejected=self._rejected, window=self._pace.window
        ).model_dump(mode="json")  # fmt: skip

    def _take(self, number: int, answer: JobCopied) -> None:
        now = self._ctx.current_utc_datetime
        if answer.stopped is None:
            self._pace.finished(now, answer.bytes, answer.log_write_percent)
            self._status.add(Counts(rows=answer.rows, bytes=answer.bytes))
            self._rejected += answer.rejected
            self._check_rejects()
            return
        if answer.stopped == "searching":  # it has loaded a chunk more at least, so its chunks bound these calls
            self._waiting.append(number)
            return
        self._calls[number] += 1
        crowded = answer.stopped != "busy" or self._calls[number] >= BUSY_CALLS
        if crowded and self._waves[number] == self._wave:
            # Jobs called before the window was halved were throttled by the same overload: they do not halve it again.
            self._wave += 1
            self._pace.throttled(now)
        self._greedy[number] += answer.stopped == "greedy"
        if self._greedy[number] >= GREEDY_CALLS:
            raise StageRefused(_too_greedy(self._work, number))
        if self._calls[number] >= CALLS_PER_JOB:
            raise StageRefused(_gave_up(self._work, number, answer.stopped))
        self._waiting.append(number)
        if self._pause is None:
            self._pause = self._ctx.create_timer(now + PAUSE)

    def _check_rejects(self) -> None:
        """Refuse as soon as more rows were left out than the request allows, in this group and those before."""
        allowed, found = self._work.run.request.options.max_rejects, self._work.rejected + self._rejected
        if found > allowed:
            raise StageRefused(_too_many_rejects(self._work.run.id, allowed, found))

    def _words(self) -> str:
        return f"{self._pace.window} at a time"


def _too_many_rejects(run: str, allowed: int, found: int) -> Finding:
    return Finding(
        code="TOO_MANY_REJECTS",
        severity="error",
        object="copy",
        message=f"expected at most {allowed:,} refused rows, found {found:,} before all rows were copied.",
        remedy="Mend the rows in the source app and take a new snapshot, or raise options.max_rejects. The report lists the "
        f"first hundred, and {kept_rejects(run)} in the reports container all of them.",
        count=found,
    )


def _too_greedy(work: CopyGroup, number: int) -> Finding:
    return Finding(
        code="TRANSACTION_TOO_LARGE",
        severity="error",
        object=f"{work.group.blob} job {number}",
        message=f"expected the target to hold the rows of one chunk until its COMMIT, found that it ended the session for "
        f"what it held (locks, log, tempdb, memory or time) {GREEDY_CALLS} times.",
        remedy="Lower COPY_CHUNK_BYTES, or scale the target up for the migration window; then start the migration again.",
    )


def _gave_up(work: CopyGroup, number: int, why: str) -> Finding:
    return Finding(
        code="TARGET_TOO_BUSY" if why == "throttled" else "CHUNK_NEVER_FREE",
        severity="error",
        object=f"{work.group.blob} job {number}",
        message=f"expected the job to end within {CALLS_PER_JOB} calls, found it {why} each time.",
        remedy="Scale the target up for the migration window, or lower the profile's MAX_PARALLEL_CHUNKS.",
    )
