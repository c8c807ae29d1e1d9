"""Values that may not be there. Source: cel-go `cel/library.go`, `common/types/optional.go`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from kube.cel.syntax import CelError
from kube.cel.values import NONE, Optional


def _of_non_zero(value: Any) -> Optional:
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
