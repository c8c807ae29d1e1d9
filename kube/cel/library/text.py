"""Values as text. Source: cel-go `common/types` (ConvertToType)."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any, Final

from kube.cel.library.network import CIDR, IP
from kube.cel.syntax import CelError
from kube.cel.values import Duration, Timestamp, no_overload

_SECOND: Final = 1_000_000_000


def double_text(value: float) -> str:
    """As Go prints a float64 with %g."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    text = repr(value)
    if value == int(value) and abs(value) < 1e21:
        return str(int(value))
    mantissa, e, exponent = text.partition("e")
    return f"{mantissa.removesuffix('.0')}e{exponent[0]}{exponent[1:].zfill(2)}" if e else text


def to_string(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Timestamp):
        moment, nanos = value.moment(), int(value) % _SECOND
        fraction = f".{nanos:09d}".rstrip("0") if nanos else ""
        zone = f"{'-' if value.zone < 0 else '+'}{abs(value.zone) // 60:02}:{abs(value.zone) % 60:02}" if value.zone else "Z"
        local = moment + timedelta(minutes=value.zone)
        return f"{local.year:04}{local:-%m-%dT%H:%M:%S}{fraction}{zone}"
    if isinstance(value, Duration):
        return duration_text(value)
    if isinstance(value, float):
        return double_text(value)
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise CelError("invalid UTF-8 in bytes, cannot convert to string") from None
    if isinstance(value, IP | CIDR):
        return value.text()
    raise no_overload()


def duration_text(value: Duration) -> str:
    """In seconds, as CEL has it: 90s, 1.5s."""
    return f"{double_text(int(value) / _SECOND)}s"
