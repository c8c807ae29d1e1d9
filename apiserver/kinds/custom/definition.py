"""From a CustomResourceDefinition to its kinds: one per version that is served, each a `Kind` like any built-in one.

Upstream keeps one storage per version, and so does this: versions differ in schema, columns, subresources and selectable fields, and share
the keys in the store (see `stored.py`). Source: apiextensions-apiserver `apiserver/customresource_handler.go` (getOrCreateServingInfoFor),
`registry/customresource`.

Between versions either nothing is converted but the apiVersion (`stored.py`), or a webhook converts (`converted.py`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from apiserver.handlers.discovery import version_key
from apiserver.kinds.custom.columns import columns_of
from apiserver.kinds.custom.converted import ConvertedView
from apiserver.kinds.custom.converter import TIMEOUT_S, Converter
from apiserver.kinds.custom.json_path import compile_path
from apiserver.kinds.custom.published import published_schema
from apiserver.kinds.custom.stored import StoredView
from apiserver.kinds.custom.version import Version, bodies_of
from apiserver.registry.kind import Begin, Context, Custom, Finish, Kind, Prepare, Scale, Subresource
from apiserver.registry.metadata import new_uid
from apiserver.registry.registry import Registries
from apiserver.validation.custom.validator import finalizer_warnings, nested, split_path
from kube import errors
from kube.errors import FieldError
from kube.objects import Object, is_deleting
from kube.patch.golang import plain
from kube.resources import Resource
from kube.schema.definitions import Definitions
from kube.schema.types import StructType

VERBS: Final = ("delete", "deletecollection", "get", "list", "patch", "create", "update", "watch")
ENDING_VERBS: Final = ("delete", "deletecollection", "get", "list", "watch")
"""What discovery tells while the definition is being removed."""

EDIT_VERBS: Final = ("get", "patch", "update")
OBJECT_META: Final = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
SCALE: Final = "io.k8s.api.autoscaling.v1.Scale"


def kinds_of(definition: Object, definitions: Definitions) -> list[Kind]:
    """The kinds of a definition whose names were accepted; the one that is stored comes first."""
    spec = definition["spec"]
    meta = definitions.type(OBJECT_META)
    storage = next(each["name"] for each in spec["versions"] if each.get("storage"))
    given = {each["name"]: each for each in spec["versions"] if each.get("served") or each["name"] == storage}
    names = definition["status"]["acceptedNames"]
    every = spec["versions"] if _is_converted(spec) else given.values()
    compiled = {each["name"]: Version(each, group=spec["group"], kind=names["kind"], meta=meta) for each in every}
    versions = {name: compiled[name] for name in given}
    bodies_of(versions, meta)
    answered = sorted((name for name in given if given[name].get("served")), key=lambda name: name != storage)
    maker = _Maker(definition, versions, storage, readable=compiled)
    return [maker.kind(given[name]) for name in answered]


def _is_converted(spec: Object) -> bool:
    """Whether a webhook converts."""
    return (spec.get("conversion") or {}).get("strategy") == "Webhook"


class _Maker:
    """The kinds of one definition. `versions` are those that are served or stored, `readable` also those that objects may be of that were
    stored long ago."""

    def __init__(self, definition: Object, versions: Mapping[str, Version], storage: str, *, readable: Mapping[str, Version]) -> None:
        self._spec, self._names = definition["spec"], definition["status"]["acceptedNames"]
        self._is_ending = is_deleting(definition)
        self._versions, self._storage = versions, versions[storage]
        self._readable = {each.api_version: each for each in readable.values()}
        self._storage_is_served = any(each.get("storage") and each.get("served") for each in self._spec["versions"])
        self._types: dict[str, StructType] = {each.api_version: each.type for each in versions.values()}
        self._replicas_paths = {f"{self._spec['group']}/{each['name']}": _replicas_path(each) for each in self._spec["versions"]}

    def _resource(self, version: str) -> Resource:
        names, namespaced = self._names, self._spec.get("scope") == "Namespaced"
        return Resource(self._spec["group"], version, names["plural"], names["kind"], namespaced=namespaced)

    def kind(self, given: Object) -> Kind:
        version, names, resource = self._versions[given["name"]], self._names, self._resource(given["name"])
        columns, row = columns_of(given)
        subresources = given.get("subresources") or {}
        has_status = subresources.get("status") is not None
        return Kind(
            resource=resource,
            definition=_definition_name(resource),
            singular=names.get("singular") or "",
            short_names=tuple(names.get("shortNames") or ()),
            categories=tuple(names.get("categories") or ()),
            verbs=ENDING_VERBS if self._is_ending else VERBS,
            storage=f"{resource.group}/{resource.plural}",
            subresources=tuple(_subresources(subresources, version)),
            scale=_scale(subresources["scale"]) if subresources.get("scale") is not None else None,
            columns=columns,
            row=row,
            selectable={path.removeprefix("."): _selectable(path) for path in _selectable_paths(given)},
            default=version.default,
            prepare=_prepare(has_status=has_status),
            validate=_validate(version),
            begin=_refuses_new(resource) if self._is_ending else None,
            status_reset_fields=(("status",),) if has_status else (),
            legacy_finalizers=False,
            deprecation=_deprecation(self._spec, given),
            unconditional_update=False,
            custom=self._custom(given, version, resource),
        )

    def _custom(self, given: Object, version: Version, resource: Resource) -> Custom:
        storage = self._resource(self._storage.name)
        is_converted = _is_converted(self._spec)
        list_kind = self._names.get("listKind") or f"{resource.kind}List"
        return Custom(
            type=version.type,
            list_kind=list_kind,
            storage_version=storage.version,
            storage_is_served=self._storage_is_served,
            types=self._types,
            schemas=published_schema(given, resource, _definition_name(resource), list_kind),
            replicas_paths=self._replicas_paths,
            view=self._view(resource, storage),
            is_converted=is_converted,
            as_stored=_as_stored(version, self._storage) if version is not self._storage and not is_converted else None,
        )

    def _view(self, resource: Resource, storage: Resource) -> Callable[[Registries], StoredView]:
        """How a version sees the store."""
        readable, spec = self._readable, self._spec
        if not _is_converted(spec):
            return lambda registries: StoredView(registries.store, resource, storage, readable)

        def converted(registries: Registries) -> StoredView:
            def post(config: Object, document: Object) -> Awaitable[Any]:
                return registries.webhooks.post(config, document, timeout_s=TIMEOUT_S)

            known = frozenset(f"{spec['group']}/{each['name']}" for each in spec["versions"])
            converter = Converter(spec["conversion"], known, post, lambda: new_uid(registries.rng))
            return ConvertedView(registries.store, resource, storage, readable, converter)

        return converted


def _definition_name(resource: Resource) -> str:
    return ".".join([*reversed(resource.group.split(".")), resource.version, resource.kind])


def _as_stored(own: Version, storage: Version) -> Callable[[Object], None]:
    """What is left of an object once it was stored in another version and read back."""

    def as_stored(obj: Object) -> None:
        storage.prune(obj)
        storage.default(obj)
        own.prune(obj)

    return as_stored


# --- what writes do -----------------------------------------------------------------------------------------------------


def _prepare(*, has_status: bool) -> Prepare:
    """With a status subresource, the status is no part of other writes. Any change but to metadata counts as a new generation."""

    def prepare(new: Object, old: Object | None, _ctx: Context) -> None:
        meta = new["metadata"]
        if old is None:
            if has_status:
                new.pop("status", None)
            meta["generation"] = 1
            return
        if has_status:
            new.pop("status", None)
            if "status" in old:
                new["status"] = old["status"]
        if any(new.get(name) != old.get(name) or (name in new) != (name in old) for name in new.keys() | old.keys() if name != "metadata"):
            meta["generation"] = old["metadata"].get("generation", 0) + 1

    return prepare


def _prepare_status(new: Object, old: Object | None, _ctx: Context) -> None:
    """Only the status, and who owns it."""
    assert old is not None
    managed = new["metadata"].get("managedFields")
    for name in (new.keys() | old.keys()) - {"status", "metadata", "kind", "apiVersion"}:
        if name in old:
            new[name] = old[name]
        else:
            del new[name]
    new["apiVersion"], new["metadata"] = old["apiVersion"], dict(old["metadata"])
    if managed:
        new["metadata"]["managedFields"] = managed
    else:
        new["metadata"].pop("managedFields", None)


def _validate(version: Version) -> Callable[[Object, Object | None, Context], Sequence[FieldError]]:
    def validate(new: Object, old: Object | None, ctx: Context) -> Sequence[FieldError]:
        ctx.warnings.extend(finalizer_warnings(new, old))
        return version.validator.whole(new, old, ctx.warnings)

    return validate


def _refuses_new(resource: Resource) -> Begin:
    """While the definition is being removed nothing is made any more."""

    async def begin(new: Object, old: Object | None, _ctx: Context, _registries: Any) -> Finish | None:
        if old is None:
            why = "create not allowed while custom resource definition is terminating"
            raise errors.forbidden(resource.plural, resource.group, new["metadata"]["name"], why)
        return None

    return begin


# --- subresources -------------------------------------------------------------------------------------------------------


def _subresources(given: Object, version: Version) -> list[Subresource]:
    found: list[Subresource] = []
    if given.get("status") is not None:
        found.append(
            Subresource(
                "status",
                verbs=EDIT_VERBS,
                prepare=_prepare_status,
                validate=lambda new, old, ctx: version.validator.status(new, old or {}, ctx.warnings),
                reset_fields=(("metadata",), ("spec",)),
            )
        )
    if given.get("scale") is not None:
        found.append(Subresource("scale", verbs=EDIT_VERBS, group="autoscaling", version="v1", kind="Scale", definition=SCALE))
    return found


def _scale(given: Object) -> Scale:
    selector = given.get("labelSelectorPath") or ""
    path = split_path(selector)
    return Scale(
        selector=(lambda obj: str(nested(obj, path, str)[0])) if selector else (lambda _obj: ""),
        replicas_path=split_path(given["specReplicasPath"]),
        status_path=split_path(given["statusReplicasPath"]),
    )


def _replicas_path(version: Object) -> tuple[str, ...] | None:
    scale = (version.get("subresources") or {}).get("scale")
    return tuple(f"f:{each}" for each in split_path(scale["specReplicasPath"])) if scale is not None else None


# --- fields, words ------------------------------------------------------------------------------------------------------


def _selectable_paths(version: Object) -> list[str]:
    return [each["jsonPath"] for each in version.get("selectableFields") or ()]


def _selectable(path: str) -> Callable[[Object], str]:
    find = compile_path(path)

    def read(obj: Object) -> str:
        found = find(obj)
        return plain(found[0]) if found and found[0] is not None else ""

    return read


def _deprecation(spec: Object, version: Object) -> str:
    """What requests to a deprecated version are warned of."""
    if not version.get("deprecated"):
        return ""
    if version.get("deprecationWarning") is not None:
        return str(version["deprecationWarning"])
    kind, group = spec["names"]["kind"], spec["group"]
    newer = [each["name"] for each in spec["versions"] if each.get("served") and not each.get("deprecated")]
    newer = sorted((each for each in newer if version_key(each) < version_key(version["name"])), key=version_key)
    text = f"{group}/{version['name']} {kind} is deprecated"
    return f"{text}; use {group}/{newer[0]} {kind}" if newer else text
