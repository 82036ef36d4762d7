"""The peak memory of this process, measured from a moment on."""

from pathlib import Path


def reset_peak() -> None:
    """Begin anew: the high-water mark becomes what is in memory now (proc(5), clear_refs)."""
    Path("/proc/self/clear_refs").write_text("5")


def peak_mib() -> float:
    """Return the highest resident set since then, in MiB."""
    marks = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return round(int(marks["VmHWM"].split()[0]) / 1024, 1)
