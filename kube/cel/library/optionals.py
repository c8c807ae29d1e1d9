"""Values that may not be there. Source: cel-go `cel/library.go`, `common/types/optional.go`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from kube.cel.syntax import CelError
from kube.cel.values import NONE, Optional, Timestamp

FIRST_MOMENT: Final = -62_135_596_800_000_000_000
"""0001-01-01T00:00:00Z, which is no time at all to Go."""


def _of_non_zero(value: Any) -> Optional:
    if isinstance(value, Timestamp):
        return Optional(value) if value != FIRST_MOMENT else NONE
    return Optional(value) if value not in (None, False, 0, "", b"", [], {}) else NONE


def value_of(optional: Optional) -> Any:
    if not optional.has:
        raise CelError("optional.none() dereference")
    return optional.value


def unwrapped(values: list[Optional]) -> list[Any]:
    return [each.value for each in values if each.has]


FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {
    "optional.of": Optional,
    "optional.ofNonZeroValue": _of_non_zero,
    "optional.none": lambda: NONE,
    "optional.unwrap": unwrapped,
    "unwrapOpt": unwrapped,
    "value": value_of,
    "hasValue": lambda optional: optional.has,
    "or": lambda optional, other: optional if optional.has else other,
    "orValue": lambda optional, other: optional.value if optional.has else other,
}
