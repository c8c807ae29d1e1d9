"""The server's own metrics, under upstream's names. Counters are plain dicts on the request path and become text when asked for."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import Final

BUCKETS_S: Final = (0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60)

Key = tuple[str, str, str, str, str]
"""verb, group, version, resource, subresource."""


class RequestMetrics:
    """apiserver_request_total and apiserver_request_duration_seconds."""

    def __init__(self) -> None:
        self._total: dict[tuple[Key, int], int] = defaultdict(int)
        self._sum: dict[Key, float] = defaultdict(float)
        self._buckets: dict[Key, list[int]] = {}

    def now(self) -> float:
        """Seconds for measuring how long a request takes: real time, whatever clock the server runs on."""
        return time.perf_counter()

    def observe(self, key: Key, code: int, seconds: float) -> None:
        self._total[key, code] += 1
        self._sum[key] += seconds
        buckets = self._buckets.get(key)
        if buckets is None:
            buckets = self._buckets[key] = [0] * (len(BUCKETS_S) + 1)
        for index, limit in enumerate(BUCKETS_S):
            if seconds <= limit:
                buckets[index] += 1
                return
        buckets[-1] += 1

    def text(self) -> str:
        """The Prometheus exposition format."""
        lines = ["# TYPE apiserver_request_total counter"]
        for (key, code), count in sorted(self._total.items()):
            lines.append(f'apiserver_request_total{{code="{code}",{_labels(key)}}} {count}')
        lines.append("# TYPE apiserver_request_duration_seconds histogram")
        for key, buckets in sorted(self._buckets.items()):
            so_far = 0
            for limit, count in zip((*BUCKETS_S, "+Inf"), buckets, strict=True):
                so_far += count
                lines.append(f'apiserver_request_duration_seconds_bucket{{{_labels(key)},le="{limit}"}} {so_far}')
            lines.append(f"apiserver_request_duration_seconds_sum{{{_labels(key)}}} {self._sum[key]}")
            lines.append(f"apiserver_request_duration_seconds_count{{{_labels(key)}}} {so_far}")
        return "\n".join(lines) + "\n"


def _labels(key: Key) -> str:
    verb, group, version, resource, subresource = key
    return f'group="{group}",resource="{resource}",subresource="{subresource}",verb="{verb.upper()}",version="{version}"'
