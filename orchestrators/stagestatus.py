"""The custom status of an orchestration that does a stage: what is being done, and how much of it is."""

from typing import Literal

from durabletask import task

from shared.contracts import Counts, StageProgress


class StageStatus:
    """Published when it is made, and after every change."""

    def __init__(
        self,
        ctx: task.OrchestrationContext,
        stage: str,
        *,
        state: Literal["running", "waiting"] = "running",
        note: str = "",
        total: Counts | None = None,
    ) -> None:
        self._ctx = ctx
        self._held = ""
        self._progress = StageProgress(
            stage=stage, state=state, started_at=ctx.current_utc_datetime, note=note, total=total or Counts()
        )
        self.show()

    @property
    def done(self) -> Counts:
        """What is done so far."""
        return self._progress.done

    def show(
        self,
        *,
        note: str | None = None,
        done: Counts | None = None,
        total: Counts | None = None,
        children: list[str] | None = None,
    ) -> None:
        """Publish what is given, and the rest as it was."""
        given = {"note": note, "done": done, "total": total, "children": children}
        update = {name: value for name, value in given.items() if value is not None}
        self._progress = self._progress.model_copy(update=update)
        shown = self._progress
        if self._held:
            shown = shown.model_copy(update={"note": f"{shown.note}; {self._held}"})
        self._ctx.set_custom_status(shown.model_dump(mode="json"))

    def held(self, words: str) -> None:
        """Publish beside the note which lock is waited for, or by "" that none is."""
        self._held = words
        self.show()

    def add(self, more: Counts) -> None:
        """Publish that more is done."""
        self.show(done=self.done + more)
