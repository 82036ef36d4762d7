"""The engine itself: committed state in the store, what is ready and what is in flight in memory.

One lock guards everything. Whatever is in memory can be told from the state file, and is, when the engine starts; so
the process may be killed at any moment. A change is first committed, then shown to the queues.
"""

import functools
import itertools
import logging
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from durabletask.internal import orchestrator_service_pb2 as pb

from local.engine import events, instances, turns
from local.engine.alarms import Alarms
from local.engine.instances import Effects
from local.engine.store import Activity, Instance, Store
from local.engine.turns import Turn

log = logging.getLogger("mxferry.engine")

Accepts = Callable[[str, str | None], bool]  # (name, version) → may this worker have it

ABANDONED_PAUSE = 200_000  # microseconds before an abandoned work item is offered again
LONGEST_REST = 1_000_000  # microseconds
PING_EVERY = 20.0  # seconds; workers drop a stream that stays silent (durabletask: 120 s by default)


@dataclass(eq=False, slots=True)
class Worker:
    """One work item stream: what it takes, how much of it at once, and what it has in hands."""

    number: int
    orchestrations: Accepts
    activities: Accepts
    most_turns: int
    most_activities: int
    turns: set[int] = field(default_factory=set)  # keys
    running: set[int] = field(default_factory=set)  # activity numbers
    closed: bool = False


class Core:
    """State changes and work items of one task hub."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._lock = threading.RLock()
        self._work = threading.Condition(self._lock)  # work came in, or room for it
        self._changed = threading.Condition(self._lock)  # the state of an instance changed
        self._alarms = Alarms()
        self._ready: deque[int] = deque()
        self._ready_set: set[int] = set()
        self._waiting: deque[tuple[int, str, str | None]] = deque()  # activities nobody has in hands
        self._turns: dict[int, Turn] = {}  # by execution
        self._rest_until: dict[int, int] = {}  # by execution: see `_released`
        self._resting: set[int] = set()
        self._workers: dict[int, Worker] = {}
        self._numbers = itertools.count(1)
        self._closed = False

    def open(self) -> None:
        """Take up what the state file says is unfinished."""
        with self._lock:
            self._waiting.extend(self.store.activities())
            for key in self.store.keys_with_mail():
                self._offer(key)
            for seq, fire_at in self.store.timers():
                self._alarms.at(fire_at, functools.partial(self._fire, seq))
        self._alarms.start()

    def close(self) -> None:
        """Let every stream and waiter go."""
        with self._lock:
            self._closed = True
            for worker in self._workers.values():
                worker.closed = True
            self._work.notify_all()
            self._changed.notify_all()
        self._alarms.stop()

    def close_state(self) -> None:
        """Close the state file, once nobody is in it: a call that outlived the grace may still be at work on a thread.

        SQLite's connection is not to be closed under a statement that runs on another thread (seen as a crash).
        """
        with self._lock:
            self.store.close()

    @contextmanager
    def change(self) -> Iterator[Effects]:
        """Run one atomic state change, then let the queues know."""
        with self._lock:
            effects = Effects()
            with self.store.transaction():
                yield effects
            self._show(effects)

    @contextmanager
    def reading(self) -> Iterator[Store]:
        """Read the state file between two changes."""
        with self._lock:
            yield self.store

    def _show(self, effects: Effects) -> None:
        for key in effects.gone:
            turn = self._turns.pop(key, None)
            if turn is not None:
                self._released(turn)
        self._waiting.extend(effects.activities)
        for key in effects.ready:
            self._offer(key)
        for seq, fire_at in effects.timers:
            self._alarms.at(fire_at, functools.partial(self._fire, seq))
        self._work.notify_all()
        self._changed.notify_all()

    def _offer(self, key: int) -> None:
        if key in self._ready_set or key in self._turns or key in self._resting:
            return
        rest_until = self._rest_until.pop(key, 0)
        if rest_until > events.now() and self.store.has_activities(key):
            self._resting.add(key)
            self._alarms.at(rest_until, lambda: self._rested(key))
            return
        self._ready_set.add(key)
        self._ready.append(key)

    def _rested(self, key: int) -> None:
        with self._lock:
            self._resting.discard(key)
            self._offer(key)
            self._work.notify_all()

    def _released(self, turn: Turn) -> None:
        """A turn is over, one way or another.

        Every turn replays the whole history, so a turn for every result of a wide fan-out costs its square. An
        execution with activities under way therefore rests as long as its last turn took, and the results that come
        in meanwhile share the next turn.
        """
        took = events.now() - turn.began
        self._rest_until[turn.key] = events.now() + min(took, LONGEST_REST)
        worker = self._workers.get(turn.stream)
        if worker is not None:
            worker.turns.discard(turn.key)

    def _fire(self, seq: int) -> None:
        """A timer is due."""
        with self.change() as effects:
            timer = self.store.timer(seq)
            if timer is None:
                return
            self.store.delete_timer(seq)
            instance = self.store.execution(timer.key)
            if instance is None:
                return
            if timer.task is None:
                instances.post_start(self.store, effects, timer.key)
                return
            fired = pb.TimerFiredEvent(fireAt=events.stamp(timer.fire_at), timerId=timer.task)
            instances.post(self.store, effects, instance, events.happened(timerFired=fired))

    # -- waiting

    def wait(
        self, instance_id: str, until: Callable[[Instance], bool], seconds: Callable[[], float | None]
    ) -> Instance | None:
        """Wait until an instance satisfies `until`; None when it does not exist or time is up.

        `seconds` tells the time left at each look, None without a limit, 0 to give up.
        """
        with self._lock:
            while not self._closed:
                instance = self.store.instance(instance_id)
                if instance is None or until(instance):
                    return instance
                left = seconds()
                if left is not None and left <= 0:
                    return None
                self._changed.wait(left)
            return None

    def wake(self) -> None:
        """Make every waiter look again."""
        with self._lock:
            self._changed.notify_all()

    # -- work items

    def join(self, orchestrations: Accepts, activities: Accepts, most_turns: int, most_activities: int) -> Worker:
        """Register a worker's stream; limits of 0 mean none."""
        with self._lock:
            worker = Worker(next(self._numbers), orchestrations, activities, most_turns, most_activities)
            worker.closed = self._closed
            self._workers[worker.number] = worker
            return worker

    def leave(self, worker: Worker) -> None:
        """A stream ended: what its worker had in hands goes back to the front of the queues."""
        with self._lock:
            if self._workers.pop(worker.number, None) is None:
                return
            worker.closed = True
            if self._closed:
                return
            for key in worker.turns:
                if self._turns.pop(key, None) is not None:
                    self._offer(key)
            for seq in sorted(worker.running, reverse=True):
                activity = self.store.activity(seq)
                if activity is not None:
                    self._waiting.appendleft((seq, activity.name, activity.version))
            if worker.turns or worker.running:
                log.info("worker %d left with %d activities in hands", worker.number, len(worker.running))
            self._work.notify_all()

    def next_item(self, worker: Worker) -> pb.WorkItem | None:
        """Return the next work item of a stream, a ping when nothing came for a while, None when it has ended."""
        with self._lock:
            ping_at = time.monotonic() + PING_EVERY
            while not worker.closed:
                item = self._take_turn(worker) or self._take_activity(worker)
                if item is not None:
                    return item
                if time.monotonic() >= ping_at:
                    return pb.WorkItem(healthPing=pb.HealthPing())
                self._work.wait(ping_at - time.monotonic())
            return None

    def _take_turn(self, worker: Worker) -> pb.WorkItem | None:
        if worker.most_turns and len(worker.turns) >= worker.most_turns:
            return None
        for _ in range(len(self._ready)):
            key = self._ready.popleft()
            instance = self.store.execution(key)
            if instance is not None and not worker.orchestrations(instance.name, instance.version):
                self._ready.append(key)
                continue
            self._ready_set.discard(key)
            item = self._start_turn(worker, instance) if instance is not None else None
            if item is not None:
                return item
        return None

    def _start_turn(self, worker: Worker, instance: Instance) -> pb.WorkItem | None:
        mail = self.store.inbox(instance.key)
        kinds = {kind for _, kind, _ in mail}
        if not mail or instance.is_terminal:
            return None
        if not instance.started and "executionStarted" not in kinds:
            return None  # a delayed start
        if instance.status == pb.ORCHESTRATION_STATUS_SUSPENDED and "executionResumed" not in kinds:
            return None
        mail.sort(key=lambda row: row[1] != "executionStarted")
        started = events.happened(orchestratorStarted=pb.OrchestratorStartedEvent())
        new_events = [started, *(pb.HistoryEvent.FromString(event) for _, _, event in mail)]
        turn = Turn(
            f"turn:{uuid.uuid4().hex}",
            instance.key,
            [seq for seq, _, _ in mail],
            new_events,
            worker.number,
            events.now(),
        )
        request = events.past(self.store.history(instance.key))
        request.instanceId = instance.id
        request.executionId.value = instance.execution
        request.newEvents.extend(new_events)
        self._turns[instance.key] = turn
        worker.turns.add(instance.key)
        return pb.WorkItem(orchestratorRequest=request, completionToken=turn.token)

    def _take_activity(self, worker: Worker) -> pb.WorkItem | None:
        if worker.most_activities and len(worker.running) >= worker.most_activities:
            return None
        for _ in range(len(self._waiting)):
            entry = self._waiting.popleft()
            seq, name, version = entry
            if not worker.activities(name, version):
                self._waiting.append(entry)
                continue
            activity = self.store.activity(seq)
            if activity is None:
                continue  # dropped by terminate or purge
            worker.running.add(seq)
            return pb.WorkItem(activityRequest=_request(activity), completionToken=f"activity:{seq}")
        return None

    def complete_turn(self, response: pb.OrchestratorResponse) -> bool:
        """Commit a worker's turn; False when the turn counts no longer (redelivered, terminated, replaced)."""
        with self._lock:
            turn = self._turn(response.completionToken)
            if turn is None:
                return False
            try:
                with self.change() as effects:
                    effects.gone.append(turn.key)  # the turn is over
                    turns.apply(self.store, effects, turn, response)
            except Exception:
                self.abandon(turn.token)
                raise
            instance = self.store.execution(turn.key)
            if instance is None or instance.is_terminal:
                self._rest_until.pop(turn.key, None)
            return True

    def complete_activity(self, response: pb.ActivityResponse) -> bool:
        """Take an activity's result; False when it was answered or dropped before.

        The token is the activity's own, so that a worker that lost its stream, or met a restarted engine, may still
        deliver what it finished: the first answer counts.
        """
        seq = _activity_number(response.completionToken)
        with self.change() as effects:
            for worker in self._workers.values():
                worker.running.discard(seq)
            activity = self.store.activity(seq)
            if activity is None:
                return False
            self.store.delete_activity(seq)
            instance = self.store.execution(activity.key)
            if instance is not None:
                instances.post(self.store, effects, instance, _outcome(activity, response))
            return True

    def abandon(self, token: str) -> None:
        """Offer a work item again after a pause, so that a worker that refuses all does not spin."""
        with self._lock:
            turn = self._turn(token)
            if turn is not None:
                self._alarms.at(events.now() + ABANDONED_PAUSE, lambda: self._again(turn))
                return
            seq = _activity_number(token)
            for worker in self._workers.values():
                if seq in worker.running:
                    self._alarms.at(events.now() + ABANDONED_PAUSE, lambda: self._again_activity(seq))

    def _again(self, turn: Turn) -> None:
        with self._lock:
            if self._turns.get(turn.key) is turn:
                del self._turns[turn.key]
                self._released(turn)
                self._offer(turn.key)
                self._work.notify_all()

    def _again_activity(self, seq: int) -> None:
        with self._lock:
            held = [worker for worker in self._workers.values() if seq in worker.running]
            activity = self.store.activity(seq)
            for worker in held:
                worker.running.discard(seq)
            if held and activity is not None:
                self._waiting.append((seq, activity.name, activity.version))
                self._work.notify_all()

    def _turn(self, token: str) -> Turn | None:
        return next((turn for turn in self._turns.values() if turn.token == token), None)


def _request(activity: Activity) -> pb.ActivityRequest:
    request = pb.ActivityRequest(
        name=activity.name,
        version=events.text(activity.version),
        input=events.text(activity.input),
        orchestrationInstance=pb.OrchestrationInstance(instanceId=activity.instance_id),
        taskId=activity.task,
    )
    if activity.trace:
        request.parentTraceContext.ParseFromString(activity.trace)
    return request


def _outcome(activity: Activity, response: pb.ActivityResponse) -> pb.HistoryEvent:
    if response.HasField("failureDetails"):
        failed = pb.TaskFailedEvent(taskScheduledId=activity.task, failureDetails=response.failureDetails)
        return events.happened(taskFailed=failed)
    result = response.result if response.HasField("result") else None
    return events.happened(taskCompleted=pb.TaskCompletedEvent(taskScheduledId=activity.task, result=result))


def _activity_number(token: str) -> int:
    kind, _, number = token.partition(":")
    return int(number) if kind == "activity" and number.isdigit() else -1
