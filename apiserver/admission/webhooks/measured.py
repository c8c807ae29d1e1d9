"""How long webhooks take and what comes of it: metrics under upstream's names. Source: apiserver `pkg/admission/metrics`."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import Final

BUCKETS_S: Final = (0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 10, 25)
CODE_MAX: Final = 600
"""Codes above are counted as this one: webhooks choose them."""
_PREFIX: Final = "apiserver_admission_webhook"
Labels = tuple[tuple[str, str], ...]


class Measured:
    """What happened to the calls of the webhooks of one type (`admit`, `validating`)."""

    def __init__(self) -> None:
        self.counts: defaultdict[tuple[str, Labels], int] = defaultdict(int)
        self._sums: defaultdict[Labels, float] = defaultdict(float)
        self._buckets: dict[Labels, list[int]] = {}

    def now(self) -> float:
        """Seconds, for measuring: real time, whatever clock the server runs on."""
        return time.perf_counter()

    def called(self, name: str, operation: str, type_: str, code: int, seconds: float, *, rejected: bool) -> None:
        """A webhook was asked. `code` 0: something went wrong here."""
        common = (("name", name), ("operation", operation), ("rejected", str(rejected).lower()), ("type", type_))
        self.counts["request_total", (("code", str(min(code, CODE_MAX))), *common)] += 1
        self._sums[common] += seconds
        buckets = self._buckets.setdefault(common, [0] * (len(BUCKETS_S) + 1))
        buckets[next((index for index, limit in enumerate(BUCKETS_S) if seconds <= limit), len(BUCKETS_S))] += 1

    def rejected(self, name: str, operation: str, type_: str, error_type: str, code: int) -> None:
        """A write was refused. `error_type`: calling_webhook_error, apiserver_internal_error, or no_error where the webhook said so."""
        labels = (("error_type", error_type), ("name", name), ("operation", operation))
        self.counts["rejection_count", (*labels, ("rejection_code", str(min(code, CODE_MAX))), ("type", type_))] += 1

    def failed_open(self, name: str, type_: str) -> None:
        """A webhook could not be asked, which was ignored."""
        self.counts["fail_open_count", (("name", name), ("type", type_))] += 1

    def samples(self) -> dict[str, list[str]]:
        """By the metric's name and type (`x counter`), its lines in the Prometheus exposition format."""
        found: dict[str, list[str]] = {}
        for (metric, labels), count in sorted(self.counts.items()):
            found.setdefault(f"{_PREFIX}_{metric} counter", []).append(f"{_PREFIX}_{metric}{{{_text(labels)}}} {count}")
        name = f"{_PREFIX}_admission_duration_seconds"
        for labels, buckets in sorted(self._buckets.items()):
            lines, so_far = found.setdefault(f"{name} histogram", []), 0
            for limit, count in zip((*BUCKETS_S, "+Inf"), buckets, strict=True):
                so_far += count
                lines.append(f'{name}_bucket{{{_text(labels)},le="{limit}"}} {so_far}')
            lines += [f"{name}_sum{{{_text(labels)}}} {self._sums[labels]}", f"{name}_count{{{_text(labels)}}} {so_far}"]
        return found


def _text(labels: Labels) -> str:
    return ",".join(f'{name}="{value}"' for name, value in labels)


def exposed(all_measured: list[Measured]) -> str:
    """The metrics of several as one text: what has the same name stands together."""
    by_metric: dict[str, list[str]] = {}
    for each in all_measured:
        for metric, lines in each.samples().items():
            by_metric.setdefault(metric, []).extend(lines)
    return "".join("\n".join([f"# TYPE {metric}", *lines, ""]) for metric, lines in sorted(by_metric.items()))
