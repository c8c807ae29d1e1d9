"""What is wrong with a number: its range, and minimum, maximum and multipleOf, which are floats to upstream whatever the type.

Source: kube-openapi `validate/validator.go` (numberValidator) and `values.go`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from apiserver.validation.custom.formats import format_of
from apiserver.validation.custom.schema import INT64, Node, is_int, types

_INT32 = (-(2**31), 2**31 - 1)
_FLOAT32_MAX = 3.4028234663852886e38

Problem = tuple[str | None, Any, str]
"""(path, or None for errors without a place; the value to show; the words)."""


def go_number(value: float) -> str:
    """Go's `%v` of a float64 or an int64."""
    if isinstance(value, int):
        return str(value)
    if value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    text = repr(value)
    return text if abs(value) >= 1e-4 or "e" in text else f"{value:e}"


def number_problems(node: Node, value: float, path: str) -> Iterator[Problem]:
    """The problems of one number, in upstream's order."""
    for path_of, shown, why in _problems(node, value, path):
        yield path_of, int(shown) if isinstance(shown, float) and shown.is_integer() and abs(shown) < 1e21 else shown, why


def _problems(node: Node, value: float, path: str) -> Iterator[Problem]:
    kind = types(node)[0] if len(types(node)) == 1 else ""
    form = format_of(node)
    whole = is_int(value)
    if not _in_range(value, kind, form):
        yield None, "", _range_text("Checked", kind, form, path)
    factor, least, most = node.get("multipleOf"), node.get("minimum"), node.get("maximum")
    if factor is not None:
        if not _in_range(factor, kind, form):
            yield None, "", _range_text("MultipleOf", kind, form, path)
        yield from _multiple(value, factor, path, whole=whole and _in_range(factor, kind, form))
    if least is not None:
        fits = _in_range(least, kind, form)
        if not fits:
            yield None, "", _range_text("Minimum boundary", kind, form, path)
        limit = int(least) if whole and fits else least
        if value < limit or (node.get("exclusiveMinimum") and value == limit):
            words = "greater than" if node.get("exclusiveMinimum") else "greater than or equal to"
            yield path, value, f"{path} in body should be {words} {go_number(limit)}"
    if most is not None:
        fits = _in_range(most, kind, form)
        if not fits:
            yield None, "", _range_text("Maximum boundary", kind, form, path)
        limit = int(most) if whole and fits else most
        if value > limit or (node.get("exclusiveMaximum") and value == limit):
            words = "less than" if node.get("exclusiveMaximum") else "less than or equal to"
            yield path, value, f"{path} in body should be {words} {go_number(limit)}"


def _range_text(what: str, kind: str, form: str, path: str) -> str:
    how = f"with format {form}" if form else "(default format)"
    return f"{what} value must be of type {kind} {how} in {path}"


def _in_range(value: float, kind: str, form: str) -> bool:
    """Whether a number can be one of the type and format."""
    if kind == "integer":
        low, high = _INT32 if form == "int32" else INT64
        return (isinstance(value, int) or value.is_integer()) and low <= value <= high
    return form != "float" or abs(value) <= _FLOAT32_MAX


def _multiple(value: float, factor: float, path: str, *, whole: bool) -> Iterator[Problem]:
    by = int(factor) if whole else factor
    if by <= 0:
        yield path, by, f"factor MultipleOf declared for {path} must be positive: {go_number(by)}"
    elif whole:
        if value % by:
            yield path, value, f"{path} in body should be a multiple of {by}"
    else:
        times = value / by if by >= 1 else 1 / by * value
        if abs(times) >= 2**53 or abs(times - round(times)) >= 1e-9:
            yield path, value, f"{path} in body should be a multiple of {go_number(by)}"
