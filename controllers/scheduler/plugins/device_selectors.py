"""Whether a device is what a CEL selector asks for. Source: `k8s.io/dynamic-resource-allocation/cel/compile.go`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from controllers.scheduler.devices import qualified
from controllers.scheduler.framework import PluginError
from kube.cel import types
from kube.cel.environment import CelError, CompileError, Program, compile_expression
from kube.cel.library.quantities import parse as quantity
from kube.cel.library.semver import parse as version


class _Domains(dict[str, Any]):
    """Attributes by domain: one that a device has nothing of is empty, not an error."""

    def __missing__(self, key: str) -> dict[str, Any]:
        return {}

    def get(self, key: str, default: Any = None) -> Any:
        return self[key]

    def __contains__(self, key: object) -> bool:
        return True


@lru_cache(maxsize=1024)
def _compiled(expression: str) -> Program:
    return compile_expression(expression, {"device": types.DYN})


def selected(selectors: Iterable[Mapping[str, Any]], device: Mapping[str, Any], driver: str) -> bool:
    """Whether the device meets all of them. Raises PluginError where one cannot be evaluated."""
    for each in selectors:
        expression = (each.get("cel") or {}).get("expression") or ""
        try:
            if _compiled(expression).evaluate({"device": seen(device, driver)}) is not True:
                return False
        except (CelError, CompileError) as error:
            raise PluginError(f"device {driver}/{device['name']}: selector {expression!r}: {error}") from error
    return True


def seen(device: Mapping[str, Any], driver: str) -> dict[str, Any]:
    """A device as expressions see it. Names without a domain are the driver's."""
    attributes: _Domains = _Domains()
    for name, told in (device.get("attributes") or {}).items():
        domain, _, short = qualified(name, driver).rpartition("/")
        attributes.setdefault(domain, {})[short] = value_of(told)
    capacity: _Domains = _Domains()
    for name, told in (device.get("capacity") or {}).items():
        domain, _, short = qualified(name, driver).rpartition("/")
        capacity.setdefault(domain, {})[short] = quantity(str(told.get("value")))
    multiple = bool(device.get("allowMultipleAllocations"))
    return {"driver": driver, "attributes": attributes, "capacity": capacity, "allowMultipleAllocations": multiple}


def value_of(attribute: Mapping[str, Any]) -> Any:
    if "version" in attribute:
        return version(attribute["version"])
    return next((attribute[kind] for kind in ("bool", "int", "string") if kind in attribute), None)
