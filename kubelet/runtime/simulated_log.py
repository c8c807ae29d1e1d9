"""Lines of a file as the beginning of a simulated container's log: plain ones, or as container runtimes write them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path

from kube.clock import parse_time
from kubelet.runtime.log import LINES_MAX, LogLine

_CRI = re.compile(r"(\d{4}-\d\d-\d\dT\S+) (stdout|stderr) [FP](?::\S+)? ?(.*)", re.DOTALL)


def lines_of(path: Path, now: datetime) -> Iterator[LogLine]:
    """The lines, up to as many as a log keeps; one without a time is of `now`. Raises OSError."""
    with path.open(encoding="utf-8", errors="replace") as file:
        for text in islice(file, LINES_MAX):
            yield read_line(text.rstrip("\n"), now)


def read_line(text: str, now: datetime) -> LogLine:
    found = _CRI.fullmatch(text)
    try:
        time = parse_time(found[1]) if found is not None else None
    except ValueError:
        time = None
    return LogLine(time, found[2], found[3]) if found is not None and time is not None else LogLine(now, "stdout", text)
