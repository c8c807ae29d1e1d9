"""What can be done at which path: one `Operation` per method, from which both OpenAPI dialects are written.

Clients look here for three things: whether PATCH of a kind takes `dryRun` and `fieldValidation` (kubectl), which kind a path is about
(`kubectl explain`), and names for generated methods (operation ids). Pure: kinds in, operations out. Source: apiserver
`endpoints/installer.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from apiserver.registry.kind import Kind, Subresource
from kube.resources import Resource

_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
PATCH = f"{_META}Patch"
DELETE_OPTIONS = f"{_META}DeleteOptions"
STATUS = f"{_META}Status"

PATCH_TYPES = (
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
)

_WRITE = ("dryRun", "fieldManager", "fieldValidation")
_LIST = (
    "allowWatchBookmarks",
    "continue",
    "fieldSelector",
    "labelSelector",
    "limit",
    "resourceVersion",
    "resourceVersionMatch",
    "sendInitialEvents",
    "timeoutSeconds",
    "watch",
)
_DELETE = ("dryRun", "gracePeriodSeconds", "ignoreStoreReadErrorWithClusterBreakingPotential", "orphanDependents", "propagationPolicy")

PARAMETERS: dict[str, tuple[str, str]] = {
    "allowWatchBookmarks": ("boolean", "Send BOOKMARK events in a watch."),
    "continue": ("string", "Where to go on: metadata.continue of the previous page."),
    "dryRun": ("string", "All: do everything but store the result."),
    "fieldManager": ("string", "Who makes this change, for managedFields."),
    "fieldSelector": ("string", "Only objects whose fields match, e.g. metadata.name=x."),
    "fieldValidation": ("string", "What to do about unknown and duplicate fields: Ignore, Warn (the default) or Strict."),
    "force": ("boolean", "Take fields over from other managers (apply only)."),
    "gracePeriodSeconds": ("integer", "Seconds until the object is deleted; 0 is at once."),
    "ignoreStoreReadErrorWithClusterBreakingPotential": ("boolean", "Delete an object that cannot be read from storage."),
    "labelSelector": ("string", "Only objects whose labels match, e.g. app=web,tier in (a,b)."),
    "limit": ("integer", "How many objects at most; metadata.continue leads to the rest."),
    "orphanDependents": ("boolean", "Use propagationPolicy instead."),
    "pretty": ("string", "Print the answer with line breaks."),
    "propagationPolicy": ("string", "What becomes of dependents: Orphan, Background or Foreground."),
    "resourceVersion": ("string", "Which version of the data to read from."),
    "resourceVersionMatch": ("string", "How resourceVersion is meant: Exact or NotOlderThan."),
    "sendInitialEvents": ("boolean", "Begin a watch with the objects that there are."),
    "timeoutSeconds": ("integer", "End the request after this many seconds."),
    "watch": ("boolean", "Send changes as they happen instead of a list."),
}
"""Query parameters: type and meaning."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path. `path_parameters` are in the path; `body` and `answer` are definition names, "" for none."""

    path: str
    method: str
    action: str
    operation_id: str
    resource: Resource  # the group version that it is listed under
    gvk: tuple[str, str, str]
    query: tuple[str, ...] = ()
    body: str = ""
    answer: str = ""
    created: bool = False  # also answers 201
    body_types: tuple[str, ...] = ("*/*",)

    @property
    def path_parameters(self) -> tuple[str, ...]:
        return tuple(each for each in ("name", "namespace", "path") if f"{{{each}}}" in self.path)

    @property
    def description(self) -> str:
        return f"{self.action} {self.gvk[2]}"


@dataclass(frozen=True, slots=True)
class _Place:
    """A resource in one of its versions."""

    kind: Kind
    resource: Resource
    definition: str

    def id(self, verb: str, *, scope: str | None = None, suffix: str = "") -> str:
        """`readCoreV1NamespacedPodStatus`: verb, group, version, scope, kind, suffix. `scope` replaces `Namespaced` (or nothing)."""
        group = (self.resource.group or "core").removesuffix(".k8s.io")
        title = "".join(_title(each) for each in group.split(".")) + _title(self.resource.version)
        return f"{verb}{title}{self.scope if scope is None else scope}{self.resource.kind}{suffix}"

    @property
    def scope(self) -> str:
        return "Namespaced" if self.resource.namespaced else ""

    @property
    def gvk(self) -> tuple[str, str, str]:
        return (self.resource.group, self.resource.version, self.resource.kind)


def _title(word: str) -> str:
    return word[:1].upper() + word[1:]


def operations(kinds: Iterable[Kind]) -> Iterator[Operation]:
    """Every operation of every resource in every version."""
    for kind in kinds:
        places = [_Place(kind, kind.resource, kind.definition)]
        places += [_Place(kind, each.resource, each.definition) for each in kind.conversions]
        for place in places:
            yield from _of_collection(place)
            yield from _of_object(place)
            for part in kind.subresources:
                yield from _of_subresource(place, part)


def _of_collection(place: _Place) -> Iterator[Operation]:
    resource, verbs = place.resource, place.kind.verbs
    path = resource.path(namespace="{namespace}")
    if "create" in verbs:
        yield Operation(
            path, "post", "post", place.id("create"), resource, place.gvk, _WRITE, place.definition, place.definition, created=True
        )
    if "list" in verbs:
        answer = f"{place.definition}List"
        yield Operation(path, "get", "list", place.id("list"), resource, place.gvk, _LIST, "", answer)
        if resource.namespaced:
            everywhere = place.id("list", scope="", suffix="ForAllNamespaces")
            yield Operation(resource.path(), "get", "list", everywhere, resource, place.gvk, _LIST, "", answer)
    if "deletecollection" in verbs:
        query = tuple(sorted({*_DELETE, *_LIST} - {"allowWatchBookmarks", "watch"}))
        name = place.id("delete", scope=f"Collection{place.scope}")
        yield Operation(path, "delete", "deletecollection", name, resource, place.gvk, query, DELETE_OPTIONS, STATUS)


def _of_object(place: _Place) -> Iterator[Operation]:
    resource, verbs, of = place.resource, place.kind.verbs, place.definition
    path = resource.path(namespace="{namespace}", name="{name}")
    if "get" in verbs:
        yield Operation(path, "get", "get", place.id("read"), resource, place.gvk, (), "", of)
    if "update" in verbs:
        yield Operation(path, "put", "put", place.id("replace"), resource, place.gvk, _WRITE, of, of, created=True)
    if "patch" in verbs:
        yield _patch(place, path, place.id("patch"), place.gvk, of)
    if "delete" in verbs:
        answer = of if place.kind.delete_answers_object else STATUS
        yield Operation(path, "delete", "delete", place.id("delete"), resource, place.gvk, _DELETE, DELETE_OPTIONS, answer)


def _of_subresource(place: _Place, part: Subresource) -> Iterator[Operation]:
    resource = place.resource
    path = resource.path(namespace="{namespace}", name="{name}", subresource=part.name)
    gvk, of = _part_names(place, part)
    suffix = "".join(_title(each) for each in part.name.split("/"))
    if part.connect:
        for method in sorted(part.verbs):
            verb = {"create": "post", "update": "put"}.get(method, method)
            yield Operation(path, verb, "connect", place.id("connect", scope=_title(verb) + place.scope, suffix=suffix), resource, gvk)
        return
    if "create" in part.verbs:
        yield Operation(path, "post", "post", place.id("create", suffix=suffix), resource, gvk, _WRITE, of, of, created=True)
    if "get" in part.verbs:
        yield Operation(path, "get", "get", place.id("read", suffix=suffix), resource, gvk, (), "", of)
    if "update" in part.verbs:
        yield Operation(path, "put", "put", place.id("replace", suffix=suffix), resource, gvk, _WRITE, of, of, created=True)
    if "patch" in part.verbs:
        yield _patch(place, path, place.id("patch", suffix=suffix), gvk, of)


def _patch(place: _Place, path: str, name: str, gvk: tuple[str, str, str], of: str) -> Operation:
    """Clients read here what they may send: custom resources take no strategic merge patches."""
    types = PATCH_TYPES if place.kind.custom is None else PATCH_TYPES[:-1]
    return Operation(path, "patch", "patch", name, place.resource, gvk, (*_WRITE, "force"), PATCH, of, created=True, body_types=types)


def _part_names(place: _Place, part: Subresource) -> tuple[tuple[str, str, str], str]:
    """The kind that a subresource is about, and its definition ("" where it is none, as for exec)."""
    if part.name == "scale" and not part.kind:
        return ("autoscaling", "v1", "Scale"), part.definition or "io.k8s.api.autoscaling.v1.Scale"
    if not part.kind or part.kind == place.resource.kind:
        return place.gvk, part.definition or place.definition
    group = part.group or ("" if part.version else place.resource.group)
    return (group, part.version or place.resource.version, part.kind), part.definition
