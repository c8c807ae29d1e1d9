"""What /metrics says of the process itself: processor, memory, files (Linux only), Python and its garbage collector.

Names and help: client_golang `prometheus/process_collector.go`, and Prometheus' client library for Python.
"""

from __future__ import annotations

import gc
import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from kube.runtime.instruments import head, labelled, sample

_PROC: Final = Path("/proc")
_UTIME, _STIME, _STARTTIME, _VSIZE, _RSS = 11, 12, 19, 20, 21
"""Places in /proc/self/stat after the command's name (proc(5))."""


def lines() -> Iterator[str]:
    yield from _python()
    if sys.platform == "linux":
        yield from _process()


def _process() -> Iterator[str]:
    fields = (_PROC / "self/stat").read_text().rpartition(")")[2].split()
    ticks_s = os.sysconf("SC_CLK_TCK")
    boot_s = next(int(line.split()[1]) for line in (_PROC / "stat").read_text().splitlines() if line.startswith("btime "))
    cpu_s = (int(fields[_UTIME]) + int(fields[_STIME])) / ticks_s
    yield from _one("process_cpu_seconds_total", "counter", "Total user and system CPU time spent in seconds.", cpu_s)
    yield from _one("process_virtual_memory_bytes", "gauge", "Virtual memory size in bytes.", int(fields[_VSIZE]))
    rss = int(fields[_RSS]) * os.sysconf("SC_PAGE_SIZE")
    yield from _one("process_resident_memory_bytes", "gauge", "Resident memory size in bytes.", rss)
    started_s = boot_s + int(fields[_STARTTIME]) / ticks_s
    yield from _one("process_start_time_seconds", "gauge", "Start time of the process since unix epoch in seconds.", started_s)
    yield from _one("process_open_fds", "gauge", "Number of open file descriptors.", len(os.listdir(_PROC / "self/fd")))
    yield from _one("process_max_fds", "gauge", "Maximum number of open file descriptors.", os.sysconf("SC_OPEN_MAX"))


def _python() -> Iterator[str]:
    for name, key, help in (
        ("python_gc_objects_collected_total", "collected", "Objects collected during gc"),
        ("python_gc_objects_uncollectable_total", "uncollectable", "Uncollectable objects found during GC"),
        ("python_gc_collections_total", "collections", "Number of times this generation was collected"),
    ):
        yield from head(name, "counter", help)
        for generation, stats in enumerate(gc.get_stats()):
            yield sample(name, labelled(iter([("generation", str(generation))])), stats[key])
    major, minor, patch = platform.python_version_tuple()
    told = {"version": platform.python_version(), "implementation": platform.python_implementation()}
    told |= {"major": major, "minor": minor, "patchlevel": patch}
    yield from head("python_info", "gauge", "Python platform information")
    yield sample("python_info", labelled(iter(told.items())), 1)


def _one(name: str, kind: str, help: str, value: float) -> Iterator[str]:
    yield from head(name, kind, help)
    yield sample(name, "", value)
