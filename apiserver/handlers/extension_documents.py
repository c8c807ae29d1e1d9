"""What extension API servers serve, as discovery and OpenAPI tell it: read from their answers, in aggregated discovery's form. Pure.

Source: kube-aggregator `pkg/apiserver/handler_discovery.go`, apiserver `endpoints/installer.go` (ConvertGroupVersionIntoToDiscovery).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

AGGREGATED_ACCEPT: Final = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


@dataclass(frozen=True, slots=True)
class Extension:
    """A group and version that somebody else serves. `is_fresh`: `resources` are what it said when it was last asked."""

    group: str
    version: str
    group_priority: int = 0
    version_priority: int = 0
    resources: tuple[Any, ...] = ()
    is_fresh: bool = False
    openapi: Mapping[str, Any] | None = None
    """Its entry in the index of OpenAPI v3; None where it has none."""

    @property
    def aggregated(self) -> dict[str, Any]:
        """Its version in an APIGroupDiscoveryList."""
        known = {"resources": list(self.resources)} if self.resources else {}
        return {"version": self.version, **known, "freshness": "Current" if self.is_fresh else "Stale"}


@dataclass(slots=True)
class Extensions:
    """All of them, by the APIService's name. `generation` goes up with each difference."""

    by_name: dict[str, Extension] = field(default_factory=dict)
    generation: int = 0

    def put(self, name: str, extension: Extension) -> None:
        if self.by_name.get(name) != extension:
            self.by_name[name] = extension
            self.generation += 1

    def remove(self, name: str) -> None:
        if self.by_name.pop(name, None) is not None:
            self.generation += 1


def is_aggregated(content_type: str) -> bool:
    """Whether an answer is aggregated discovery, v2."""
    _, *parts = (part.strip() for part in content_type.split(";"))
    given = dict(part.partition("=")[::2] for part in parts)
    return (given.get("g"), given.get("v"), given.get("as")) == ("apidiscovery.k8s.io", "v2", "APIGroupDiscoveryList")


def resources_in(document: Any, group: str, version: str) -> tuple[Any, ...]:
    """The resources of a group and version in an APIGroupDiscoveryList; none where it is not there."""
    for item in document.get("items") or ():
        if ((item.get("metadata") or {}).get("name") or "") == group:
            for each in item.get("versions") or ():
                if each.get("version") == version:
                    return tuple(_with_response_kinds(resource) for resource in each.get("resources") or ())
    return ()


def _with_response_kinds(resource: dict[str, Any]) -> dict[str, Any]:
    """Clients of old fall over a resource without one."""
    nothing = {"group": "", "version": "", "kind": ""}
    out = {**resource, "responseKind": resource.get("responseKind") or nothing}
    if resource.get("subresources"):
        out["subresources"] = [{**each, "responseKind": each.get("responseKind") or nothing} for each in resource["subresources"]]
    return out


def converted(entries: Iterable[Mapping[str, Any]]) -> tuple[Any, ...]:
    """The `resources` of an APIResourceList in aggregated form."""
    out: dict[str, dict[str, Any]] = {}
    for entry in entries:
        name, slash, part = str(entry.get("name", "")).partition("/")
        parent = out.get(name)
        if not slash:
            out[name] = {**_resource(name, entry), **({"subresources": parent["subresources"]} if parent else {})}
            continue
        if parent is None:  # a subresource whose resource is not served, or comes later
            parent = out[name] = {"resource": name, "scope": _scope(entry), "responseKind": _kind({}), "verbs": []}
        subresource = {"subresource": part, "responseKind": _kind(entry), "verbs": list(entry.get("verbs") or ())}
        parent.setdefault("subresources", []).append(subresource)
    return tuple(out.values())


def _resource(name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {
        "resource": name,
        "responseKind": _kind(entry),
        "scope": _scope(entry),
        "singularResource": entry.get("singularName", ""),
        "verbs": list(entry.get("verbs") or ()),
    }
    for key in ("shortNames", "categories"):
        if entry.get(key):
            out[key] = list(entry[key])
    return out


def _scope(entry: Mapping[str, Any]) -> str:
    return "Namespaced" if entry.get("namespaced") else "Cluster"


def _kind(entry: Mapping[str, Any]) -> dict[str, str]:
    return {"group": entry.get("group", ""), "version": entry.get("version", ""), "kind": entry.get("kind", "")}


def openapi_entry(index: Any, group: str, version: str) -> Mapping[str, Any] | None:
    """What an index of OpenAPI v3 says about a group and version: of others it says nothing that counts."""
    found = (index.get("paths") or {}).get(f"apis/{group}/{version}")
    return found if isinstance(found, dict) and isinstance(found.get("serverRelativeURL"), str) else None
