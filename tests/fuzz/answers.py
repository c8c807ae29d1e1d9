"""What a fuzzer was answered: which failures are upstream's own, which are ours. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

SLOW_S: Final = 10.0
"""Nothing that is asked of a server alone takes as long, watches being left out: it hung."""

DELIBERATE: Final = (
    (500, r"strconv\.ParseUint: parsing"),
    (500, r"resourceVersion should not be set on objects to be created"),
    (500, r"failed to create typed patch object"),
    (500, r"failed to create manager for existing fields"),
    (500, r"\"message\":\"target\.(name|kind): "),
    (500, r"failed to allocate a serviceIP: range is full"),
    (504, r"Timeout: Too large resource version"),
)
"""Upstream answers these with a 5xx, too: status, and how the message goes."""

_DELIBERATE: Final = [(status, re.compile(text)) for status, text in DELIBERATE]


@dataclass(frozen=True, slots=True)
class Answer:
    """One exchange. `status` 0: there was no answer."""

    method: str
    url: str
    sent: str
    status: int
    text: str
    took_s: float

    @property
    def is_bad(self) -> bool:
        """A failure of the server, or a hang."""
        if self.status == 0 or self.took_s >= SLOW_S:
            return True
        return self.status >= 500 and not any(self.status == status and text.search(self.text) for status, text in _DELIBERATE)

    def __str__(self) -> str:
        sent = f" {self.sent[:300]}" if self.sent else ""
        return f"{self.status} after {self.took_s:.1f} s: {self.method} {self.url[:300]}{sent}\n    {self.text[:400]}"


@dataclass(slots=True)
class Tally:
    """All answers of a run, counted."""

    by_status: Counter[int] = field(default_factory=Counter)
    bad: list[Answer] = field(default_factory=list)

    def add(self, answers: Iterable[Answer]) -> None:
        for each in answers:
            self.by_status[each.status] += 1
            if each.is_bad:
                self.bad.append(each)

    def __str__(self) -> str:
        statuses = ", ".join(f"{status}: {count}" for status, count in sorted(self.by_status.items()))
        return f"{self.by_status.total()} requests ({statuses}), {len(self.bad)} bad"


def of_har(har: Mapping[str, Any]) -> Iterable[Answer]:
    """The exchanges of an HTTP archive (HAR 1.2)."""
    for entry in har["log"]["entries"]:
        request, response = entry["request"], entry.get("response") or {}
        yield Answer(
            method=request["method"],
            url=request["url"],
            sent=(request.get("postData") or {}).get("text") or "",
            status=response.get("status") or 0,
            text=(response.get("content") or {}).get("text") or "",
            took_s=entry.get("time", 0) / 1000,
        )
