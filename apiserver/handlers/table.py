"""Server-side Tables and PartialObjectMetadata: the other forms of an object. Pure. Source: apiserver `handlers/response.go`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from apiserver.handlers.negotiation import Form
from apiserver.registry.kind import Column, Kind
from kube.clock import parse_time
from kube.errors import BadRequest
from kube.objects import Object

_INCLUDE = ("", "Metadata", "Object", "None")


def include_policy(value: str) -> str:
    """The includeObject parameter, checked. Raises BadRequest."""
    if value not in _INCLUDE:
        why = f"includeObject: Invalid value: \"{value}\": must be 'Metadata', 'Object', 'None', or empty"
        raise BadRequest(f"Unable to convert to Table as requested: {why}")
    return value or "Metadata"


def age(moment: str | None, now: datetime) -> str:
    """`5m12s`, `3d`: a duration since `moment` as kubectl prints it; `<unknown>` where there is none."""
    start = parse_time(moment)
    return "<unknown>" if start is None else human_duration((now - start).total_seconds())


def human_duration(seconds: float) -> str:
    """Source: apimachinery `util/duration/duration.go` HumanDuration."""
    s = int(seconds)
    if s < -1:
        return "<invalid>"
    if s < 0:
        return "0s"
    if s < 120:
        return f"{s}s"
    minutes = s // 60
    if minutes < 10:
        return f"{minutes}m{s % 60}s" if s % 60 else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    hours = s // 3600
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    days = hours // 24
    if hours < 192:
        return f"{days}d{hours % 24}h" if hours % 24 else f"{days}d"
    if hours < 24 * 365 * 2:
        return f"{days}d"
    years = hours // 24 // 365
    if hours < 24 * 365 * 8:
        rest = days % 365
        return f"{years}y{rest}d" if rest else f"{years}y"
    return f"{years}y"


def partial(obj: Object, form: Form, kind: Kind | None = None) -> Object:
    """The metadata alone of an object of the hub version, as PartialObjectMetadata."""
    return _partial(kind, obj, form.version)


def _partial(kind: Kind | None, obj: Object, version: str) -> Object:
    metadata = obj["metadata"]
    hidden = kind.hidden_annotations if kind is not None else ()
    if hidden and any(each in hidden for each in metadata.get("annotations") or ()):
        annotations = {key: value for key, value in metadata["annotations"].items() if key not in hidden}
        metadata = {key: annotations if key == "annotations" else value for key, value in metadata.items()}
        if not annotations:
            del metadata["annotations"]
    return {"kind": "PartialObjectMetadata", "apiVersion": f"meta.k8s.io/{version}", "metadata": metadata}


def version_of(obj: Object) -> Object:
    """The metadata of a Table of one object: its resourceVersion, where it has one (what a dry run creates has none)."""
    version = obj["metadata"].get("resourceVersion")
    return {"resourceVersion": version} if version else {}


def _as_it_is(obj: Object) -> Object:
    return obj


def row(kind: Kind, obj: Object, now: datetime, include: str, version: str, shown: Callable[[Object], Object] = _as_it_is) -> Object:
    """One TableRow of an object of the hub version; `shown` turns it into the version to be embedded, where it is."""
    cells = (kind.row or _name_and_age)(obj, now)
    out: Object = {"cells": cells}
    if kind.row_conditions is not None and (conditions := kind.row_conditions(obj)):
        out["conditions"] = conditions
    if include == "None":
        out["object"] = None
    elif include == "Object":
        out["object"] = shown(obj)
    else:
        out["object"] = _partial(kind, obj, version)
    return out


def _name_and_age(obj: Object, now: datetime) -> list[Any]:
    return [obj["metadata"].get("name", ""), age(obj["metadata"].get("creationTimestamp"), now)]


def _definition(column: Column) -> Object:
    return {
        "name": column.name,
        "type": column.type,
        "format": column.format,
        "description": column.description or f"{column.name} of the object.",
        "priority": column.priority,
    }


def table(
    kind: Kind,
    objects: Iterable[Object],
    now: datetime,
    *,
    metadata: Object,
    include: str,
    version: str = "v1",
    columns: bool = True,
    shown: Callable[[Object], Object] = _as_it_is,
) -> dict[str, Any]:
    """A Table of objects (of the hub version); `metadata` is that of the list (resourceVersion, continue). `columns` False: a later
    event of a watch. `shown`: see `row`."""
    if kind.row_order is not None:
        objects = sorted(objects, key=kind.row_order)
    rows = [row(kind, obj, now, include, version, shown) for obj in objects]
    return {
        "kind": "Table",
        "apiVersion": f"meta.k8s.io/{version}",
        "metadata": metadata,
        "columnDefinitions": [_definition(each) for each in kind.columns] if columns else None,
        "rows": None if kind.default_table and not rows else rows,
    }
