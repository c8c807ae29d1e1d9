"""Logging of components: klog's single line or JSON, to standard error, with no secrets in it."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import time

_LETTERS = {logging.DEBUG: "I", logging.INFO: "I", logging.WARNING: "W", logging.ERROR: "E", logging.CRITICAL: "F"}
_SECRET = re.compile(r"(?i)(bearer\s+|(?:password|token|secret|client-key-data)[\"']?\s*[:=]\s*[\"']?)([A-Za-z0-9._~+/=-]{8,})")


def set_up_logging(*, verbosity: int = 0, format: str = "text") -> None:
    """Send everything to standard error. `verbosity` as klog's -v: 4 and above shows debug messages. `format` is text or json.

    Raises ValueError for another format."""
    if format not in ("text", "json"):
        raise ValueError(f"--logging-format: {format!r} is neither text nor json")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if format == "json" else KlogFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.DEBUG if verbosity >= 4 else logging.INFO)
    for noisy in ("asyncio", "aiosqlite", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def redacted(text: str) -> str:
    """The text without what looks like a token, a password or a key."""
    return _SECRET.sub(r"\1<redacted>", text)


class KlogFormatter(logging.Formatter):
    """`I0102 15:04:05.000000    1234 informer.py:42] "message"`."""

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%m%d %H:%M:%S", time.localtime(record.created))
        micros = int(record.created % 1 * 1_000_000)
        letter = _LETTERS.get(record.levelno, "I")
        head = f"{letter}{moment}.{micros:06d} {os.getpid():7d} {record.filename}:{record.lineno}] "
        return redacted(head + _one_line(record.getMessage()) + _traceback(self, record))


class JsonFormatter(logging.Formatter):
    """One JSON object a line, with the field names of component-base's JSON logs."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, object] = {
            "ts": round(record.created * 1000, 3),
            "caller": f"{record.filename}:{record.lineno}",
            "logger": record.name,
            "level": record.levelname.lower(),
            "msg": redacted(record.getMessage()),
        }
        if record.exc_info:
            entry["err"] = redacted(self.formatException(record.exc_info))
        return json.dumps(entry, ensure_ascii=False)


def _one_line(text: str) -> str:
    return text.replace("\n", "\\n")


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    return "\n" + formatter.formatException(record.exc_info) if record.exc_info and record.exc_info[0] else ""
