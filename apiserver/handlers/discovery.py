"""Discovery: which groups, versions and resources there are, as documents made once per set of kinds.

`/api`, `/apis`, `/apis/<group>`, `/api/v1`, `/apis/<group>/<version>`, and the aggregated form of the first two. Pure: kinds in, answers
out; when the kinds change (custom resources), make a new `Discovery`. Sources: apiserver `endpoints/installer.go`, `endpoints/discovery`,
kube-aggregator.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from apiserver.handlers.extension_documents import Extension
from apiserver.handlers.negotiation import OBJECTS, check_acceptable, clauses
from apiserver.handlers.request import JSON, YAML, Response
from apiserver.registry.kind import Custom, Kind, Subresource
from kube.errors import NotAcceptable
from kube.resources import Resource
from kube.schema import goyaml_dump

GROUPS = (
    "apiregistration.k8s.io",
    "apps",
    "events.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "storage.k8s.io",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "scheduling.k8s.io",
    "coordination.k8s.io",
    "node.k8s.io",
    "discovery.k8s.io",
    "resource.k8s.io",
    "flowcontrol.apiserver.k8s.io",
    "internal.apiserver.k8s.io",
    "storagemigration.k8s.io",
)
"""Upstream's groups by priority; all others (custom resources) follow by name."""

CUSTOM_PRIORITY, CUSTOM_VERSION_PRIORITY = 1000, 100
"""What the APIServices of custom resources say."""

_AGGREGATOR = "apiregistration.k8s.io"
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_KUBE_LIKE = re.compile(r"v([0-9]+)(?:(alpha|beta)([0-9]+))?")
_MATURITY = {"alpha": 0, "beta": 1, None: 2}
_RESOURCE_PATH = re.compile(r"/(?:api|apis/([^/]+))/([^/]+)/?")


def version_key(version: str) -> tuple[Any, ...]:
    """Sorts versions as discovery lists them: v2, v1, v1beta2, v1beta1, v1alpha1, then all others by name.

    Source: apimachinery `version/helpers.go`."""
    found = _KUBE_LIKE.fullmatch(version)
    if found is None:
        return (1, version)
    return (0, -_MATURITY[found[2]], -int(found[1]), -int(found[3] or 0))


def group_key(group: str) -> tuple[int, str]:
    """Sorts groups as discovery lists them."""
    return (GROUPS.index(group), "") if group in GROUPS else (len(GROUPS), group)


_STORED_AS = {("apiextensions.k8s.io", "CustomResourceDefinition"): "v1beta1"}
"""Versions that upstream stores besides the one that this server calls the hub."""


def storage_version_hash(resource: Resource) -> str:
    """Says which version of a kind is stored, to whoever migrates storage (apiserver `endpoints/discovery/storageversionhash.go`)."""
    version = _STORED_AS.get((resource.group, resource.kind), resource.version)
    text = f"{resource.group}/{version}/{resource.kind}"
    return base64.b64encode(hashlib.sha256(text.encode()).digest()[:8]).decode()


@dataclass(frozen=True, slots=True)
class _Served:
    """One resource in one of its versions."""

    resource: Resource
    kind: Kind


class Discovery:
    """The documents of one set of kinds. `server_address` (host:port) is what `/api` tells clients to use."""

    def __init__(self, kinds: Iterable[Kind], *, server_address: str = "", extensions: Iterable[Extension] = ()) -> None:
        self._server_address = server_address
        self._extensions = {(each.group, each.version): each for each in extensions}
        self._served: dict[tuple[str, str], list[_Served]] = {}
        for kind in kinds:
            for resource in (kind.resource, *(each.resource for each in kind.conversions)):
                self._served.setdefault((resource.group, resource.version), []).append(_Served(resource, kind))
        for each in self._served.values():
            each.sort(key=lambda served: served.resource.plural)

    def answer(self, path: str, accept: str = "", if_none_match: str = "") -> Response | None:
        """The answer to a GET; None for a path that is none of these documents. Raises NotAcceptable."""
        plain = path.rstrip("/")
        if self.is_routed(path):
            check_acceptable(accept)
        if plain in ("/api", "/apis"):
            if form := _wants_aggregated(accept):
                return _aggregated_answer(self.aggregated(plain), form, if_none_match)
            return _document(self._core_versions() if plain == "/api" else self._groups(), accept)
        if plain.startswith("/apis/") and plain.count("/") == 2:
            document = self._group(plain.removeprefix("/apis/"))
            return None if document is None else _document(document, accept)
        group_version = _group_version(path)
        return _document(self._resources(*group_version), accept) if group_version in self._served else None

    def is_routed(self, path: str) -> bool:
        """Whether upstream's router answers here: to GET alone, and in the media types of its routes. Others take any method: `/apis`, the
        groups below it (which the aggregator answers, but for its own), and everything of custom resources."""
        if path.rstrip("/") == "/api":
            return True
        if path.startswith("/apis/") and path.rstrip("/").count("/") == 2:
            return path.strip("/").endswith(f"/{_AGGREGATOR}") and _AGGREGATOR in self.groups
        group, version = _group_version(path)
        return (group, version) in self._served and (not group or group in GROUPS)

    # --- what there is

    @functools.cached_property
    def groups(self) -> Mapping[str, Sequence[str]]:
        """The versions of each group, both in discovery's order; the core group is not among them."""
        there = {*self._served, *self._extensions}
        names = sorted({group for group, _ in there if group}, key=self._group_order)
        return {
            name: [version for _, version in sorted((each for each in there if each[0] == name), key=self._version_order)] for name in names
        }

    def _group_order(self, group: str) -> tuple[int, int, str]:
        """What others serve is among the custom resources, or behind them, as its APIService says."""
        priorities = [each.group_priority for (name, _), each in self._extensions.items() if name == group]
        place, name = group_key(group)
        return place, -max(priorities, default=CUSTOM_PRIORITY), name

    def _version_order(self, group_version: tuple[str, str]) -> tuple[Any, ...]:
        extension = self._extensions.get(group_version)
        priority = extension.version_priority if extension is not None else CUSTOM_VERSION_PRIORITY
        return -priority, version_key(group_version[1])

    def paths(self) -> list[str]:
        """Every path that answers with one of these documents."""
        core = [f"/api/{version}" for group, version in self._served if not group]
        groups = [f"/apis/{group}" for group in self.groups]
        return ["/api", *core, "/apis", *groups, *(f"/apis/{group}/{each}" for group, found in self.groups.items() for each in found)]

    def _core_versions(self) -> Any:
        return {
            "kind": "APIVersions",
            "versions": sorted((version for group, version in self._served if not group), key=version_key),
            "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": self._server_address}],
        }

    def _groups(self) -> Any:
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [self._group_entry(each) for each in self.groups]}

    def _group(self, name: str) -> Any:
        return {"kind": "APIGroup", "apiVersion": "v1", **self._group_entry(name)} if name in self.groups else None

    def _group_entry(self, name: str) -> Any:
        versions = [{"groupVersion": f"{name}/{each}", "version": each} for each in self.groups[name]]
        return {"name": name, "versions": versions, "preferredVersion": versions[0]}

    def _resources(self, group: str, version: str) -> Any:
        """The core group's list has no apiVersion, as upstream's has not."""
        head: dict[str, Any] = {"kind": "APIResourceList", "apiVersion": "v1"} if group else {"kind": "APIResourceList"}
        entries = [entry for served in self._served[group, version] for entry in _entries(served)]
        return {**head, "groupVersion": f"{group}/{version}" if group else version, "resources": entries}

    def aggregated(self, root: str) -> bytes:
        """The whole of `/api` or `/apis` in one document (apidiscovery.k8s.io/v2), encoded once."""
        return self._aggregated_core if root == "/api" else self._aggregated_groups

    @functools.cached_property
    def _aggregated_core(self) -> bytes:
        return self._aggregated_list({"": self._core_versions()["versions"]})

    @functools.cached_property
    def _aggregated_groups(self) -> bytes:
        return self._aggregated_list(self.groups)

    def _aggregated_list(self, groups: Mapping[str, Sequence[str]]) -> bytes:
        items = [
            {
                "metadata": {"name": name} if name else {},
                "versions": [self._aggregated_version(name, each) for each in versions],
            }
            for name, versions in groups.items()
        ]
        return orjson.dumps({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items})

    def _aggregated_version(self, group: str, version: str) -> Any:
        if (group, version) not in self._served:
            return self._extensions[group, version].aggregated
        resources = [_aggregated_resource(each) for each in self._served[group, version]]
        return {"version": version, "resources": resources, "freshness": "Current"}


def _group_version(path: str) -> tuple[str, str]:
    """Of `/api/v1` and `/apis/apps/v1`; two empty words for any other path."""
    found = _RESOURCE_PATH.fullmatch(path)
    return (found[1] or "", found[2]) if found else ("", "")


# --- one resource


def _entries(served: _Served) -> list[dict[str, Any]]:
    """A resource and its subresources in an APIResourceList."""
    resource, kind = served.resource, served.kind
    entry: dict[str, Any] = {
        "name": resource.plural,
        "singularName": kind.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(kind.verbs),
        **_names(kind),
    }
    if kind.custom.storage_is_served if kind.custom is not None else {"get", "create"} <= set(kind.verbs):
        entry["storageVersionHash"] = storage_version_hash(kind.resource if kind.custom is None else _stored(kind, kind.custom))
    return [entry, *(_subresource_entry(served, each) for each in kind.subresources)]


def _stored(kind: Kind, custom: Custom) -> Resource:
    return replace(kind.resource, version=custom.storage_version)


def _names(kind: Kind) -> dict[str, Any]:
    names: dict[str, Any] = {}
    if kind.short_names:
        names["shortNames"] = list(kind.short_names)
    if kind.categories:
        names["categories"] = list(kind.categories)
    return names


def _subresource_entry(served: _Served, part: Subresource) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": f"{served.resource.plural}/{part.name}", "singularName": "", "namespaced": served.resource.namespaced}
    group, version, kind = _kind_of(served, part)
    if (group, version) != (served.resource.group, served.resource.version):
        entry |= {"group": group, "version": version}
    return {**entry, "kind": kind, "verbs": list(part.verbs)}


def _kind_of(served: _Served, part: Subresource) -> tuple[str, str, str]:
    """(group, version, kind) that a subresource answers with."""
    resource = served.resource
    if part.name == "scale" and not part.kind:
        return ("autoscaling", "v1", "Scale")
    return (part.group or (resource.group if not part.version else ""), part.version or resource.version, part.kind or resource.kind)


def _aggregated_resource(served: _Served) -> dict[str, Any]:
    resource, kind = served.resource, served.kind
    entry: dict[str, Any] = {
        "resource": resource.plural,
        "responseKind": _response_kind(served, (resource.group, resource.version, resource.kind)),
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": kind.singular,
        "verbs": list(kind.verbs),
        **_names(kind),
    }
    if kind.subresources:
        entry["subresources"] = [
            {"subresource": each.name, "responseKind": _response_kind(served, _kind_of(served, each)), "verbs": list(each.verbs)}
            for each in kind.subresources
        ]
    return entry


def _response_kind(served: _Served, names: tuple[str, str, str]) -> dict[str, str]:
    """Built-in kinds leave out the group and version that they are listed under; custom resources say them."""
    group, version, kind = names
    own = (group, version) == (served.resource.group, served.resource.version)
    if own and (not group or group in GROUPS):
        group = version = ""
    return {"group": group, "version": version, "kind": kind}


# --- negotiation

_AGGREGATED_NAMES = ("APIGroupDiscoveryList", "apidiscovery.k8s.io", "v2")
_CONVERTING = frozenset({"as", "g", "v"})


def _wants_aggregated(accept: str) -> str:
    """The media type in which the aggregated form is asked for, "" where it is not: anywhere in the header, whatever else is in it.
    v2beta1 is gone, as upstream since 1.33."""
    for each in clauses(accept):
        if (each.params.get("as"), each.params.get("g"), each.params.get("v")) == _AGGREGATED_NAMES and (form := _form(each.media)):
            return form
    return ""


def _form(media: str) -> str:
    return JSON if media in (JSON, "*/*", "application/*") else YAML if media == YAML else ""


def _document(document: Any, accept: str) -> Response:
    """A plain document in the first form that is accepted. Raises NotAcceptable."""
    form = JSON
    if accept:
        forms = [_form(each.media) for each in clauses(accept) if not each.params.keys() & _CONVERTING]
        form = next((each for each in forms if each), "")
        if not form:
            raise NotAcceptable(f"only the following media types are accepted: {', '.join(OBJECTS)}")
    if form == YAML:
        return Response(200, goyaml_dump.dump(document), YAML)
    return Response(200, orjson.dumps(document), JSON)


def _aggregated_answer(body: bytes, form: str, if_none_match: str) -> Response:
    etag = f'"{hashlib.sha512(body).hexdigest().upper()}"'
    headers = [("etag", etag), ("vary", "Accept"), ("cache-control", "public")]
    content_type = form + AGGREGATED.removeprefix(JSON)
    if if_none_match == etag:
        return Response(304, b"", content_type, headers)
    return Response(200, body if form == JSON else goyaml_dump.dump(orjson.loads(body)), content_type, headers)
