"""The Table columns of custom resources: name, and what the definition says under additionalPrinterColumns; without any: name and age.

Source: apiextensions-apiserver `registry/customresource/tableconvertor`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson

from apiserver.handlers.table import human_duration
from apiserver.kinds.custom.json_path import Find, JSONPathError, compile_path
from apiserver.registry.kind import Column, Row
from kube.objects import Object
from kube.patch.golang import plain
from kube.schema.gotime import GoTimeError, parse_time

NAME = Column(
    "Name", format="name", description="Name must be unique within a namespace. It is primarily intended for creation idempotence."
)
_AGE = {
    "name": "Age",
    "type": "date",
    "jsonPath": ".metadata.creationTimestamp",
    "description": "The time at which the object was created.",
}


def columns_of(version: Object) -> tuple[tuple[Column, ...], Row]:
    """The columns of a version of a definition, and what fills them: those before the first whose path cannot be read, as upstream does."""
    given: Sequence[Object] = version.get("additionalPrinterColumns") or [_AGE]
    paths: list[tuple[str, Find]] = []
    for each in given:
        try:
            paths.append((each.get("type") or "", compile_path(each.get("jsonPath") or "")))
        except JSONPathError:
            break
    columns = (NAME, *map(_column, given[: len(paths)]))

    def row(obj: Object, now: datetime) -> list[Any]:
        return [obj["metadata"].get("name", ""), *(_cell(kind, find, obj, now) for kind, find in paths)]

    return columns, row


def _column(given: Object) -> Column:
    return Column(
        given.get("name") or "",
        type=given.get("type") or "",
        format=given.get("format") or "",
        description=given.get("description") or f"Custom resource definition column (in JSONPath format): {given.get('jsonPath')}",
        priority=given.get("priority") or 0,
    )


def _cell(kind: str, find: Find, obj: Object, now: datetime) -> Any:
    found = find(obj)
    if not found:
        return None
    value = found[0]
    if kind == "string":
        return _text(value)
    return _SHOWN[kind](value, now) if kind in _SHOWN and value is not None else None


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, dict | list):
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    return "<no value>" if value is None else plain(value)


def _integer(value: Any, _now: datetime) -> Any:
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _number(value: Any, _now: datetime) -> Any:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _boolean(value: Any, _now: datetime) -> Any:
    return value if isinstance(value, bool) else None


def _date(value: Any, now: datetime) -> Any:
    if not isinstance(value, str):
        return None
    try:
        return human_duration((now - parse_time(value)).total_seconds()) if value else "<unknown>"
    except GoTimeError:
        return "<invalid>"


_SHOWN = {"integer": _integer, "number": _number, "boolean": _boolean, "date": _date}
