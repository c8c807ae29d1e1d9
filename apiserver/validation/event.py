"""Events: lenient rules for what old clients write through core v1, strict ones for everything else.

Source: kubernetes `pkg/apis/core/validation/events.go`. Paths are core v1's whatever the client speaks, but for what the strict rules call
reportingController.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from apiserver.validation.metadata import IMMUTABLE, complaints, same, validate_object_meta, validate_object_meta_update
from apiserver.validation.names import byte_length, is_dns1123_label, is_qualified_name
from kube.errors import FieldError, invalid, required
from kube.objects import Object

if TYPE_CHECKING:
    from apiserver.registry.kind import Context

INSTANCE_MAX = ACTION_MAX = REASON_MAX = 128
NOTE_MAX = 1024
STRICT_VERSION = "events.k8s.io/v1"


def validate(new: Object, old: Object | None, ctx: Context) -> list[FieldError]:
    """Only the strict rules look at the metadata (besides what every kind's generic path does)."""
    if ctx.api_version != STRICT_VERSION:
        return _lenient_errors(new, "reportingComponent")
    meta, lenient = new["metadata"], _lenient_errors(new, "reportingController")
    if old is not None:
        return validate_object_meta_update(meta, old["metadata"], legacy_finalizers=True) + lenient + _strict_update_errors(new, old)
    return validate_object_meta(meta, namespaced=True, name_rule="subdomain", legacy_finalizers=True) + lenient + _strict_errors(new)


def _too_long(path: str, limit: int) -> FieldError:
    return invalid(path, "", f"can have at most {limit} characters")


def _lenient_errors(event: Object, component: str) -> list[FieldError]:
    """Events of cluster-scoped objects live in `default`; with an eventTime in kube-system too, and then the reporter must be told."""
    namespace, involved = event["metadata"].get("namespace") or "", (event.get("involvedObject") or {}).get("namespace") or ""
    is_new_style = bool(event.get("eventTime"))
    homes = ("default", "kube-system") if is_new_style else ("", "default")
    is_wrong = (namespace not in homes) if not involved else (involved != namespace and not is_new_style)
    errors = [invalid("involvedObject.namespace", involved, "does not match event.namespace")] if is_wrong else []
    if is_new_style:
        errors += _reporter_errors(event, component)
    return errors + complaints("namespace", namespace, is_dns1123_label(namespace))


def _reporter_errors(event: Object, component: str) -> list[FieldError]:
    controller, instance = event.get("reportingComponent") or "", event.get("reportingInstance") or ""
    action, reason, message = (event.get(each) or "" for each in ("action", "reason", "message"))
    errors = [] if controller else [required(component)]
    errors += complaints(component, controller, is_qualified_name(controller))
    for path, value, limit in (
        ("reportingInstance", instance, INSTANCE_MAX),
        ("action", action, ACTION_MAX),
        ("reason", reason, REASON_MAX),
    ):
        if not value:
            errors.append(required(path))
        elif byte_length(value) > limit:
            errors.append(_too_long(path, limit))
    if byte_length(message) > NOTE_MAX:
        errors.append(_too_long("message", NOTE_MAX))
    return errors


def _strict_errors(event: Object) -> list[FieldError]:
    errors = _series_errors(event)
    if not event.get("eventTime"):
        errors.append(required("eventTime"))
    kind = event.get("type") or ""
    if kind not in ("Normal", "Warning"):
        errors.append(invalid("type", "", f"has invalid value: {kind}"))
    for path in ("firstTimestamp", "lastTimestamp", "count", "source"):
        if event.get(path):
            errors.append(invalid(path, "", "needs to be unset"))
    return errors


def _series_errors(event: Object) -> list[FieldError]:
    series = event.get("series")
    if series is None:
        return []
    errors = [invalid("series.count", "", "should be at least 2")] if (series.get("count") or 0) < 2 else []
    if not series.get("lastObservedTime"):
        errors.append(required("series.lastObservedTime"))
    return errors


_FIXED = (
    ("involvedObject", "involvedObject"),
    ("reason", "reason"),
    ("message", "message"),
    ("source", "source"),
    ("firstTimestamp", "firstTimestamp"),
    ("lastTimestamp", "lastTimestamp"),
    ("count", "count"),
    ("reason", "reason"),
    ("type", "type"),
    ("eventTime", "eventTime"),
    ("action", "action"),
    ("related", "related"),
    ("reportingComponent", "reportingController"),
    ("reportingInstance", "reportingInstance"),
)
"""What events.k8s.io never changes (field, path), in upstream's order; the reason is looked at twice."""


def _strict_update_errors(new: Object, old: Object) -> list[FieldError]:
    errors = _series_errors(new)
    for name, path in _FIXED:
        if not same(new.get(name), old.get(name)):
            value = new.get(name)
            errors.append(invalid(path, value if value is not None else "", IMMUTABLE))
    return errors
