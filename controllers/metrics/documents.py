"""The objects of metrics.k8s.io/v1beta1, as lists, as Tables, and what discovery and OpenAPI say of them. Pure.

Source: k8s.io/metrics `pkg/apis/metrics/v1beta1`, metrics-server `pkg/api` (node.go, pod.go, table.go).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from controllers.metrics.summary import PodUsage, Summary
from kube.clock import rfc3339
from kube.objects import Object, labels_of, name_of, namespace_of
from kube.quantity import Quantity, parse
from kube.schema.gotime import format_duration

GROUP, VERSION = "metrics.k8s.io", "v1beta1"
API_VERSION = f"{GROUP}/{VERSION}"
KINDS = {"nodes": "NodeMetrics", "pods": "PodMetrics"}
_VERBS = ["get", "list"]
_NS = 10**9


def node_metrics(node: Object, summary: Summary, now: datetime, *, window_s: float) -> Object | None:
    """A NodeMetrics; None where the node has not been measured."""
    if summary.node is None or summary.timestamp is None:
        return None
    return _measured(node, summary.timestamp, now, window_s) | {"usage": summary.node.quantities}


def pod_metrics(pod: Object, usage: PodUsage, now: datetime, *, window_s: float) -> Object:
    """A PodMetrics."""
    containers = [{"name": name, "usage": each.quantities} for name, each in usage.containers.items()]
    return _measured(pod, usage.timestamp, now, window_s) | {"containers": containers}


def _measured(of: Object, at: datetime, now: datetime, window_s: float) -> Object:
    metadata: Object = {"name": name_of(of)}
    if namespace_of(of):
        metadata["namespace"] = namespace_of(of)
    metadata["creationTimestamp"] = rfc3339(now)
    if labels_of(of):
        metadata["labels"] = dict(labels_of(of))
    return {"metadata": metadata, "timestamp": rfc3339(at), "window": format_duration(int(window_s * _NS))}


def alone(plural: str, obj: Object) -> Object:
    return {"kind": KINDS[plural], "apiVersion": API_VERSION, **obj}


def listed(plural: str, items: Sequence[Object]) -> Object:
    return {"kind": f"{KINDS[plural]}List", "apiVersion": API_VERSION, "metadata": {}, "items": list(items)}


# --- tables -------------------------------------------------------------------------------------------------------------------------


def table(plural: str, items: Sequence[Object], *, include: str = "Metadata") -> Object:
    """The Table of some objects: a column for each resource, a pod's being the sum of its containers'. `include`: what of an object is in
    its row (None, Metadata, Object)."""
    usages = [_total(each) for each in items]
    names = sorted(usages[0]) if usages else []
    columns: list[Object] = [{"name": "Name", "type": "string", "format": "name", "description": "Name of the resource", "priority": 0}]
    columns += [{"name": name, "type": "string", "format": "quantity", "description": "", "priority": 0} for name in names]
    columns.append({"name": "Window", "type": "string", "format": "duration", "description": "", "priority": 0})
    rows = [
        {
            "cells": [name_of(each), *(str(usage.get(name, parse("0"))) for name in names), each["window"]],
            **_included(plural, each, include),
        }
        for each, usage in zip(items, usages, strict=True)
    ]
    head = {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {}}
    return {**head, "columnDefinitions": columns if items else [], "rows": rows}


def _included(plural: str, obj: Object, include: str) -> Object:
    if include == "None":
        return {}
    if include == "Object":
        return {"object": alone(plural, obj)}
    return {"object": {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}}


def _total(obj: Object) -> Mapping[str, Quantity]:
    usages: Iterable[Mapping[str, str]] = [each["usage"] for each in obj["containers"]] if "containers" in obj else [obj["usage"]]
    total: dict[str, Quantity] = {}
    for usage in usages:
        for name, amount in usage.items():
            total[name] = total.get(name, Quantity(0)) + parse(amount)
    return total


# --- discovery and OpenAPI ------------------------------------------------------------------------------------------------------------

_GROUP_VERSION = {"groupVersion": API_VERSION, "version": VERSION}
_ENTRY = {"name": GROUP, "versions": [_GROUP_VERSION], "preferredVersion": _GROUP_VERSION}
GROUPS: Object = {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_ENTRY]}
GROUP_DOCUMENT: Object = {"kind": "APIGroup", "apiVersion": "v1", **_ENTRY}
RESOURCES: Object = {
    "kind": "APIResourceList",
    "apiVersion": "v1",
    "groupVersion": API_VERSION,
    "resources": [
        {"name": plural, "singularName": "", "namespaced": plural == "pods", "kind": kind, "verbs": _VERBS}
        for plural, kind in KINDS.items()
    ],
}
AGGREGATED_TYPE = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
AGGREGATED: Object = {
    "kind": "APIGroupDiscoveryList",
    "apiVersion": "apidiscovery.k8s.io/v2",
    "metadata": {},
    "items": [
        {
            "metadata": {"name": GROUP},
            "versions": [
                {
                    "version": VERSION,
                    "resources": [
                        {
                            "resource": plural,
                            "responseKind": {"group": "", "version": "", "kind": kind},
                            "scope": "Namespaced" if plural == "pods" else "Cluster",
                            "singularResource": "",
                            "verbs": _VERBS,
                        }
                        for plural, kind in KINDS.items()
                    ],
                    "freshness": "Current",
                }
            ],
        }
    ],
}
OPENAPI_PATH = f"apis/{GROUP}/{VERSION}"
OPENAPI_INDEX: Object = {"paths": {OPENAPI_PATH: {"serverRelativeURL": f"/openapi/v3/{OPENAPI_PATH}"}}}


def openapi() -> Object:
    """The OpenAPI v3 document: the two kinds and how they are asked for."""
    prefix = "io.k8s.metrics.pkg.apis.metrics.v1beta1"
    text = {"type": "string", "default": ""}
    usage = {"type": "object", "description": "The amount of each resource that is used.", "additionalProperties": {"type": "string"}}
    common = {
        "apiVersion": {"type": "string", "description": "The version of this object's schema."},
        "kind": {"type": "string", "description": "The kind of this object."},
        "metadata": {"type": "object", "description": "The name of what was measured, and its labels."},
        "timestamp": {"type": "string", "format": "date-time", "description": "The end of the time over which was measured."},
        "window": {"type": "string", "description": "The length of the time over which was measured."},
    }
    container = {"type": "object", "required": ["name", "usage"], "properties": {"name": text, "usage": usage}}
    containers = {"type": "array", "items": {"$ref": f"#/components/schemas/{prefix}.ContainerMetrics"}}
    own: dict[str, tuple[str, Any]] = {"nodes": ("usage", usage), "pods": ("containers", containers)}
    schemas: Object = {f"{prefix}.ContainerMetrics": {**container, "description": "What one container uses."}}
    paths: Object = {}
    for plural, kind in KINDS.items():
        name, schema = own[plural]
        gvk = {"group": GROUP, "kind": kind, "version": VERSION}
        schemas[f"{prefix}.{kind}"] = {
            "type": "object",
            "description": f"What one of the {plural} uses.",
            "required": ["timestamp", "window", name],
            "properties": {**common, name: schema},
            "x-kubernetes-group-version-kind": [gvk],
        }
        ok = {"description": "OK", "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{prefix}.{kind}"}}}}
        place = f"/{OPENAPI_PATH}/namespaces/{{namespace}}/{plural}" if plural == "pods" else f"/{OPENAPI_PATH}/{plural}"
        paths[f"{place}/{{name}}"] = {
            "get": {
                "operationId": f"read{kind}",
                "x-kubernetes-action": "get",
                "x-kubernetes-group-version-kind": gvk,
                "responses": {"200": ok},
            }
        }
    info = {"title": "metrics-server", "version": VERSION}
    return {"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": schemas}}
