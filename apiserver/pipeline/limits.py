"""How many requests are served at once. Source: `--max-requests-inflight`, `--max-mutating-requests-inflight` of kube-apiserver."""

from __future__ import annotations

from kube.errors import TooManyRequests

_READS = frozenset({"GET", "HEAD", "OPTIONS"})


class InFlight:
    """Counts requests that are neither watches nor streams; past the limit a request is told to come again in a second."""

    def __init__(self, reads_max: int = 400, mutating_max: int = 200) -> None:
        self._limits = {True: reads_max, False: mutating_max}
        self.now = {True: 0, False: 0}

    def enter(self, method: str) -> bool:
        """Which counter was raised; hand it to `leave`. Raises TooManyRequests. A limit of 0 is none."""
        reads = method in _READS
        limit = self._limits[reads]
        if limit and self.now[reads] >= limit:
            raise TooManyRequests(
                "Too many requests, please try again later.", details={"retryAfterSeconds": 1}, headers={"Retry-After": "1"}
            )
        self.now[reads] += 1
        return reads

    def leave(self, reads: bool) -> None:
        self.now[reads] -= 1
