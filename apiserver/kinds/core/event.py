"""Events: one resource, served as core v1 (the hub, as it is stored) and events.k8s.io/v1. Rules are in `validation/event.py`.

Source: kubernetes `pkg/registry/core/event` and `pkg/apis/events/v1/conversion.go`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from apiserver.kinds.ages import since
from apiserver.kinds.cells import wide
from apiserver.kinds.strategy import field
from apiserver.registry.kind import Column, Conversion, Kind
from apiserver.validation import event as validation
from kube.objects import Object
from kube.resources import EVENTS, Resource

EVENT_TTL_S = 3600

_NAMES = {
    "involvedObject": "regarding",
    "message": "note",
    "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
    "reportingComponent": "reportingController",
}
"""Core v1 names and what events.k8s.io calls them; all other fields are called the same."""

_ALWAYS: dict[str, Any] = {
    "involvedObject": {},
    "source": {},
    "firstTimestamp": None,
    "lastTimestamp": None,
    "eventTime": None,
    "reportingComponent": "",
    "reportingInstance": "",
}
"""What core v1 writes even when empty."""


def to_hub(event: Object) -> None:
    """An events.k8s.io event as core v1's, in place."""
    for core, name in _NAMES.items():
        if name in event:
            event[core] = event.pop(name)
    for name, empty in _ALWAYS.items():
        event.setdefault(name, dict(empty) if isinstance(empty, dict) else empty)


def from_hub(event: Object) -> None:
    """A core v1 event as events.k8s.io's, in place."""
    for core, name in _NAMES.items():
        if core in event:
            event[name] = event.pop(core)
    for name in ("reportingController", "reportingInstance"):
        if not event.get(name):
            event.pop(name, None)


def _row(event: Object, now: datetime) -> list[Any]:
    regarding, series = event.get("involvedObject") or {}, event.get("series")
    first = since(event.get("firstTimestamp") or event.get("eventTime"), now)
    last = since(event["lastTimestamp"], now) if event.get("lastTimestamp") else first
    count = event.get("count") or 1
    if series is not None:
        last, count = since(series.get("lastObservedTime"), now), series.get("count") or 0
    kind, name = str(regarding.get("kind", "")).lower(), regarding.get("name")
    return [
        last,
        event.get("type", ""),
        event.get("reason", ""),
        f"{kind}/{name}" if name else kind,
        regarding.get("fieldPath", ""),
        _source(event),
        str(event.get("message", "")).strip(),
        first,
        count,
        event["metadata"].get("name", ""),
    ]


def _source(event: Object) -> str:
    source = event.get("source") or {}
    component = source.get("component") or event.get("reportingComponent") or ""
    instance = source.get("host") or event.get("reportingInstance") or ""
    return f"{component}, {instance}" if instance else component


def _source_component(event: Object) -> str:
    return str((event.get("source") or {}).get("component") or event.get("reportingComponent") or "")


_REFERENCE_FIELDS = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")

SELECTABLE = {
    **{f"involvedObject.{each}": field("involvedObject", each) for each in _REFERENCE_FIELDS},
    "reason": field("reason"),
    "reportingComponent": field("reportingComponent"),
    "source": _source_component,
    "type": field("type"),
}

SELECTORS = {
    **{f"regarding.{each}": f"involvedObject.{each}" for each in _REFERENCE_FIELDS},
    "reason": "reason",
    "reportingController": "reportingComponent",
    "type": "type",
}
"""What events.k8s.io calls them."""

EVENT = Kind(
    resource=EVENTS,
    definition="io.k8s.api.core.v1.Event",
    singular="event",
    metadata_last=True,
    short_names=("ev",),
    conversions=(
        Conversion(
            resource=Resource("events.k8s.io", "v1", "events", "Event"),
            definition="io.k8s.api.events.v1.Event",
            to_hub=to_hub,
            from_hub=from_hub,
            selectors=SELECTORS,
        ),
    ),
    columns=(
        Column("Last Seen"),
        Column("Type"),
        Column("Reason"),
        Column("Object"),
        wide("Subobject"),
        wide("Source"),
        Column("Message"),
        wide("First Seen"),
        wide("Count"),
        wide("Name", format="name"),
    ),
    row=_row,
    selectable=SELECTABLE,
    validate=validation.validate,
    name_rule="path-segment",
    metadata_passes=(),
    create_on_update=True,
    ttl_s=EVENT_TTL_S,
    has_dependents=False,
)

KINDS = [EVENT]
