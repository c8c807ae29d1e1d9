"""Objects within custom resources (x-kubernetes-embedded-resource): they need a kind, an apiVersion, and metadata that could be real.

Source: apiextensions-apiserver `schema/objectmeta/validation.go`.
"""

from __future__ import annotations

from typing import Any

from apiserver.validation.custom.schema import Node, additional, is_embedded, items, properties
from apiserver.validation.metadata import validate_object_meta
from apiserver.validation.names import is_dns1035_label
from kube.errors import FieldError, invalid, required

_ANY_NAME = "fakename"


def has_embedded(node: Node) -> bool:
    """Whether there is an embedded resource anywhere in the schema."""
    below = [*properties(node).values(), additional(node), items(node)]
    return is_embedded(node) or any(each is not None and has_embedded(each) for each in below)


def embedded_problems(node: Node | None, value: Any, path: str = "", *, root: bool = True) -> list[FieldError]:
    """Everything wrong with the embedded objects. The object itself (`root`) is not looked at."""
    if node is None:
        return []
    found: list[FieldError] = []
    if isinstance(value, list):
        for index, each in enumerate(value):
            found += embedded_problems(items(node), each, f"{path}[{index}]", root=False)
    elif isinstance(value, dict):
        if is_embedded(node) and not root:
            found += _object_problems(value, path)
        rest, known = additional(node), properties(node)
        for name, each in value.items():
            if name in known:
                found += embedded_problems(known[name], each, f"{path}.{name}" if path else name, root=False)
            elif rest is not None:
                found += embedded_problems(rest, each, f"{path}[{name}]", root=False)
    return found


def _object_problems(value: dict[str, Any], path: str) -> list[FieldError]:
    at = f"{path}." if path else ""
    found = [required(f"{at}{name}") for name in ("apiVersion", "kind") if name not in value]
    for name, look in (("apiVersion", _api_version_problem), ("kind", _kind_problem)):
        if name in value:
            given = value[name]
            why = look(given) if isinstance(given, str) else "must be a string"
            if why:
                found.append(invalid(f"{at}{name}", given, why))
    meta = value.get("metadata")
    if isinstance(meta, dict):
        named = {**meta, "name": meta.get("name") or _ANY_NAME}
        namespaced = bool(meta.get("namespace"))
        found += validate_object_meta(named, namespaced=namespaced, name_rule="path-segment", path=f"{at}metadata", legacy_finalizers=False)
    return found


def _api_version_problem(given: str) -> str:
    if not given:
        return "must not be empty"
    return f"unexpected GroupVersion string: {given}" if given.count("/") > 1 else ""


def _kind_problem(given: str) -> str:
    if not given:
        return "must not be empty"
    found = is_dns1035_label(given.lower())
    return "may have mixed case, but should otherwise match: " + ",".join(found) if found else ""
