"""How a running migration is shown: a live table on a terminal, plain lines anywhere else."""

import time
from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from api.migrations import MigrationView
from shared.contracts import Counts
from shared.progress import StageView, percent
from shared.wording import count, duration, size, stage_words

MARKS = {"running": "…", "waiting": "?", "done": "✓", "failed": "✗", "skipped": "–"}
STYLES = {"running": "cyan", "waiting": "yellow", "done": "green", "failed": "bold red", "skipped": "dim"}
EVERY = 5.0  # seconds between two plain lines about the same stage


class ProgressView(Protocol):
    """Shows a migration's status; a context manager."""

    def show(self, seen: MigrationView) -> None:
        """Show this status."""

    def __enter__(self) -> "ProgressView": ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def view(console: Console) -> ProgressView:
    """Return the view that fits the console."""
    return LiveView(console) if console.is_terminal else PlainView(console)


def amounts(done: Counts, total: Counts | None = None) -> str:
    """Return rows, bytes and files in words, with the total where it is known and not yet reached."""
    parts = []
    for name, form in (("rows", count), ("files", count), ("bytes", size)):
        value, whole = getattr(done, name), getattr(total, name) if total else 0
        if value or whole:
            said = f"{form(value)} of {form(whole)}" if whole > value else form(value)
            parts.append(said if name == "bytes" else f"{said} {name}")
    return ", ".join(parts)


def rate(stage: StageView) -> str:
    """Return what a stage does in a second."""
    if stage.seconds < 0.5:
        return ""
    for name, form in (("rows", count), ("files", count), ("bytes", size)):
        if value := getattr(stage.done, name):
            return f"{form(value / stage.seconds)}{'' if name == 'bytes' else f' {name}'}/s"
    return ""


class LiveView:
    """A table that is drawn anew four times a second."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, refresh_per_second=4, transient=False)

    def show(self, seen: MigrationView) -> None:
        """Draw this status."""
        self._live.update(_table(seen))

    def __enter__(self) -> "LiveView":
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()


class PlainView:
    """A line when a stage begins or ends, and every few seconds while it runs."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said: dict[str, tuple[str, float]] = {}

    def show(self, seen: MigrationView) -> None:
        """Print what is new."""
        now = time.monotonic()
        for stage in seen.progress.stages:
            state, when = self._said.get(stage.name, ("", 0.0))
            if stage.state == state and (stage.state != "running" or now < when + EVERY):
                continue
            self._said[stage.name] = (stage.state, now)
            parts = [amounts(stage.done, stage.total), rate(stage) if stage.state == "running" else "", stage.note]
            if stage.eta_seconds is not None:
                parts.append(f"about {duration(stage.eta_seconds)} left")
            text = f"{MARKS.get(stage.state, ' ')} {stage_words(stage.name)}: {stage.state}"
            if stage.state != "skipped" and stage.seconds >= 0.01:
                parts.append(duration(stage.seconds))
            self._console.print(", ".join([text, *filter(None, parts)]), highlight=False, markup=False, soft_wrap=True)

    def __enter__(self) -> "PlainView":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


def _table(seen: MigrationView) -> Table:
    table = Table(title=f"migration {seen.id}: {seen.status}", title_justify="left", box=None, pad_edge=False)
    for name in ("", "stage", "", "done", "rate", "time", "left"):
        table.add_column(name, justify="right" if name in ("rate", "time", "left") else "left", no_wrap=True)
    for stage in seen.progress.stages:
        style = STYLES.get(stage.state, "")
        share = percent(stage.done, stage.total)
        bar = ProgressBar(total=1, completed=share, width=20) if stage.state == "running" and share is not None else ""
        table.add_row(
            Text(MARKS.get(stage.state, " "), style),
            Text(stage_words(stage.name), style),
            bar,
            amounts(stage.done, stage.total) or Text(stage.note[:60], "dim"),
            rate(stage),
            duration(stage.seconds) if stage.state != "skipped" else "",
            "" if stage.eta_seconds is None else duration(stage.eta_seconds),
        )
    return table
