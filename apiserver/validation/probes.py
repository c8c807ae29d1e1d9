"""Probes and lifecycle handlers of containers. Source: kubernetes `pkg/apis/core/validation/validation.go`."""

from __future__ import annotations

from collections.abc import Callable

from apiserver.validation.metadata import complaints, not_negative
from apiserver.validation.names import is_http_header_name, is_valid_port_name, is_valid_port_num
from kube.errors import FieldError, invalid, not_allowed, not_supported, required
from kube.objects import Object

_COUNTS = ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold")
PROBES = ("livenessProbe", "readinessProbe", "startupProbe")

GracePeriod = int | None
"""The pod's terminationGracePeriodSeconds, which sleeps must fit into."""


def port_number_or_name(port: int | str | None, path: str) -> list[FieldError]:
    """An IntOrString that names a port."""
    if isinstance(port, str):
        return complaints(path, port, is_valid_port_name(port))
    return complaints(path, port or 0, is_valid_port_num(port or 0))


def _exec(action: Object, path: str, _grace_s: GracePeriod) -> list[FieldError]:
    return [] if action.get("command") else [required(f"{path}.command")]


def _http_get(action: Object, path: str, _grace_s: GracePeriod) -> list[FieldError]:
    errors = [] if action.get("path") else [required(f"{path}.path")]
    errors += port_number_or_name(action.get("port"), f"{path}.port")
    if action.get("scheme") not in ("HTTP", "HTTPS"):
        errors.append(not_supported(f"{path}.scheme", action.get("scheme") or "", ["HTTP", "HTTPS"]))
    for header in action.get("httpHeaders") or ():
        name = header.get("name") or ""
        errors += complaints(f"{path}.httpHeaders", name, is_http_header_name(name))
    return errors


def _port(action: Object, path: str, _grace_s: GracePeriod) -> list[FieldError]:
    return port_number_or_name(action.get("port"), f"{path}.port")


def _sleep(action: Object, path: str, grace_s: GracePeriod) -> list[FieldError]:
    seconds = action.get("seconds") or 0
    if grace_s is None or 0 <= seconds <= grace_s:
        return []
    return [invalid(path, seconds, f"must be non-negative and less than terminationGracePeriodSeconds ({grace_s})")]


_HANDLERS: dict[str, Callable[[Object, str, GracePeriod], list[FieldError]]] = {
    "exec": _exec,
    "httpGet": _http_get,
    "tcpSocket": _port,
    "grpc": _port,
    "sleep": _sleep,
}


def _handler(handler: Object, path: str, grace_s: GracePeriod) -> list[FieldError]:
    """Exactly one way to ask."""
    errors: list[FieldError] = []
    found = False
    for name, validate in _HANDLERS.items():
        if handler.get(name) is None:
            continue
        if found:
            errors.append(not_allowed(f"{path}.{name}", "may not specify more than 1 handler type"))
        else:
            found = True
            errors += validate(handler[name], f"{path}.{name}", grace_s)
    if not found:
        errors.append(required(path, "must specify a handler type"))
    return errors


def _probe(probe: Object, path: str, grace_s: GracePeriod) -> list[FieldError]:
    errors = _handler(probe, path, grace_s)
    for name in _COUNTS:
        errors += not_negative(probe.get(name), f"{path}.{name}")
    own_grace_s = probe.get("terminationGracePeriodSeconds")
    if own_grace_s is not None and own_grace_s <= 0:
        errors.append(invalid(f"{path}.terminationGracePeriodSeconds", own_grace_s, "must be greater than 0"))
    return errors


def validate_handlers(container: Object, path: str, grace_s: GracePeriod) -> list[FieldError]:
    """The lifecycle and the probes of a container."""
    errors: list[FieldError] = []
    lifecycle = container.get("lifecycle")
    if lifecycle is not None:
        for name in ("postStart", "preStop"):
            if lifecycle.get(name) is not None:
                errors += _handler(lifecycle[name], f"{path}.lifecycle.{name}", grace_s)
    for name in PROBES:
        probe = container.get(name)
        if probe is None:
            continue
        errors += _probe(probe, f"{path}.{name}", grace_s)
        if name != "readinessProbe":
            if probe.get("successThreshold", 0) != 1:
                errors.append(invalid(f"{path}.{name}.successThreshold", probe.get("successThreshold", 0), "must be 1"))
        elif probe.get("terminationGracePeriodSeconds") is not None:
            at = f"{path}.{name}.terminationGracePeriodSeconds"
            errors.append(invalid(at, probe["terminationGracePeriodSeconds"], "must not be set for readinessProbes"))
    return errors


def forbid_handlers(container: Object, path: str) -> list[FieldError]:
    """Init containers that run to completion have neither."""
    why = "may not be set for init containers without restartPolicy=Always"
    return [not_allowed(f"{path}.{name}", why) for name in ("lifecycle", *PROBES) if container.get(name) is not None]
