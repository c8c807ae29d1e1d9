"""The scale subresource: an autoscaling/v1 Scale read from and written to the kind's own replicas field.

A write is a write of the Scale that GET shows: with its own managedFields (those entries of the parent that own replicas), which then
become the parent's again. Source: `ScaleREST` in upstream's `pkg/registry/apps/*/storage/storage.go`, `kube/patch/scale.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from apiserver.handlers.bodies import KindNames
from apiserver.handlers.negotiation import Form, negotiate
from apiserver.handlers.patching import read_patch
from apiserver.handlers.read import check_version, document
from apiserver.handlers.request import Request, Response
from apiserver.handlers.table import age, include_policy, partial, table, version_of
from apiserver.handlers.write import check_name, check_scope, read_object
from apiserver.handlers.write_options import decode_options
from apiserver.registry.kind import Column, Context, Kind, Subresource
from apiserver.registry.registry import Change, Served
from apiserver.registry.scale import DEFINITION, SCALE, number_at, scale_of, set_replicas
from kube import errors
from kube.errors import BadRequest, NotAcceptable
from kube.objects import Object
from kube.patch.managed import ManagedFieldsError, entries_of, managed_after_update
from kube.patch.scale import SCALE_VERSION, ReplicasPaths, parent_entries, scale_entries

NAMES: Final = KindNames("autoscaling", "v1", "Scale")
_UNSET: Final = -(2**31)
"""Stands for replicas that a custom resource does not have, while its Scale is changed (upstream's `invalidSpecReplicas`)."""


def _row(scale: Object, now: datetime) -> list[Any]:
    meta = scale["metadata"]
    return [
        meta["name"],
        number_at(scale, ("spec", "replicas")),
        number_at(scale, ("status", "replicas")),
        age(meta.get("creationTimestamp"), now),
    ]


_AS_KIND: Final = Kind(
    resource=SCALE,
    definition=DEFINITION,
    singular="scale",
    columns=(Column("Name"), Column("Desired", type="integer"), Column("Available", type="integer"), Column("Age")),
    row=_row,
)
"""How a Scale is shown."""


def _custom_row(scale: Object, now: datetime) -> list[Any]:
    """No replicas wanted are none at all."""
    name, desired, *rest = _row(scale, now)
    return [name, desired or None, *rest]


_AS_CUSTOM_KIND: Final = Kind(
    resource=SCALE,
    definition=DEFINITION,
    singular="scale",
    columns=(
        Column("Name", format="name"),
        Column("Desired", type="integer", description="Number of desired replicas"),
        Column("Available", type="integer", description="Number of actual replicas"),
        Column("Age", type="date"),
    ),
    row=_custom_row,
)
"""How the Scale of a custom resource is shown (apiextensions-apiserver `apiserver/helpers.go`)."""


async def get(request: Request, served: Served) -> Response:
    form = negotiate(request.header(b"accept"))
    kind = served.registry.kind
    await check_version(request, served)
    obj = await served.registry.get(request.info.namespace, request.info.name)
    if kind.custom is not None and not _has_replicas(kind, obj):
        why = f'the spec replicas field "{_replicas_field(kind)}" does not exist'
        raise errors.InternalError(f"Internal error occurred: {why}", details={"causes": [{"message": why}]})
    return _response(request, form, kind, scale_of(kind, obj))


def _has_replicas(kind: Kind, obj: Any) -> bool:
    """Custom resources may come without the field that their scale stands for."""
    assert kind.scale is not None
    for part in kind.scale.replicas_path:
        if not isinstance(obj, dict) or part not in obj:
            return False
        obj = obj[part]
    return True


def _replicas_field(kind: Kind) -> str:
    assert kind.scale is not None
    return "." + ".".join(kind.scale.replicas_path)


def _response(request: Request, form: Form, kind: Kind, scale: Object) -> Response:
    if form.as_ == "Table":
        metadata = version_of(scale)
        shown = _AS_KIND if kind.custom is None else _AS_CUSTOM_KIND
        include, now = include_policy(request.param("includeObject")), request.server.clock.now()
        return document(form, 200, table(shown, [scale], now, metadata=metadata, include=include, version=form.version))
    if form.as_ == "PartialObjectMetadataList":
        what = "autoscaling.Scale" if kind.custom is None else "v1.Scale"
        raise NotAcceptable(f"you requested PartialObjectMetadataList, but the requested object is not a list (*{what})")
    return document(form, 200, partial(scale, form) if form.as_ else scale)


async def update(request: Request, served: Served, part: Subresource) -> Response:
    """PUT of a Scale."""
    form = negotiate(request.header(b"accept"))
    options = decode_options(request.query, "UpdateOptions")
    scale = await read_object(request, served, part, options)
    check_scope(request, served, scale)
    check_name(request.info.name, scale)
    ctx = request.context(options, verb="update")

    def wanted(before: Object) -> Object:
        return _owned(served, {**scale, "metadata": dict(scale["metadata"])}, before, ctx)

    return await _write(request, served, form, wanted, ctx, options)


async def patch(request: Request, served: Served) -> Response:
    """PATCH of a Scale, in any form."""
    form = negotiate(request.header(b"accept"))
    patching = await read_patch(request, of=served.registry.registries.definitions.type(DEFINITION), names=NAMES)
    already = len(request.warnings)

    def wanted(before: Object) -> Object:
        del request.warnings[already:]  # of a try that met a conflict
        new = patching.applied(before) if patching.is_apply else _owned(served, patching.patched(before), before, patching.ctx)
        check_scope(request, served, new)
        check_name(request.info.name, new)
        return new

    return await _write(request, served, form, wanted, patching.ctx, patching.options)


def _owned(served: Served, new: Object, before: Object, ctx: Context) -> Object:
    """`new`, with the managedFields that it has after an update by this request."""
    of = served.registry.registries.definitions.type(DEFINITION)
    new["metadata"]["managedFields"] = managed_after_update(
        of,
        before,
        new,
        manager=ctx.field_manager,
        api_version=SCALE_VERSION,
        subresource=ctx.subresource,
        time=ctx.timestamp,
    )
    return new


async def _write(
    request: Request, served: Served, form: Form, wanted: Callable[[Object], Object], ctx: Context, options: Object
) -> Response:
    registry, info = served.registry, request.info
    change = _change(served, wanted)
    written = await registry.write(info.namespace, info.name, change, ctx, managed=False, replace=True, options=options)
    return _response(request, form, registry.kind, scale_of(registry.kind, written.obj))


def _change(served: Served, wanted: Callable[[Object], Object]) -> Change:
    """The change to the parent that turns its present Scale into the wanted one."""
    kind = served.registry.kind
    paths = _replicas_paths(kind)

    def change(current: Object | None) -> Object:
        assert current is not None
        meta, entries = current["metadata"], entries_of(current) or []
        before = scale_of(kind, current)
        if kind.custom is not None and not _has_replicas(kind, current):
            before["spec"]["replicas"] = _UNSET
        try:
            before["metadata"]["managedFields"] = scale_entries(entries, paths)
            scale = wanted(before)
            left = parent_entries(entries, entries_of(scale) or [], api_version=served.resource.api_version, paths=paths)
        except ManagedFieldsError as error:
            raise errors.InternalError(str(error), reason="") from error
        if kind.custom is not None and (scale.get("spec") or {}).get("replicas") == _UNSET:
            raise BadRequest(f'the spec replicas field "{_replicas_field(kind)}" cannot be empty')
        set_scale(kind, current, scale)
        meta["managedFields"] = left
        if not left:
            del meta["managedFields"]
        return current

    return change


def _replicas_paths(kind: Kind) -> ReplicasPaths:
    assert kind.scale is not None
    if kind.custom is not None:
        return kind.custom.replicas_paths
    path = tuple(f"f:{each}" for each in kind.scale.replicas_path)
    return {resource.api_version: path for resource in (kind.resource, *(each.resource for each in kind.conversions))}


def set_scale(kind: Kind, obj: Object, scale: Object) -> None:
    """Write a Scale's wish into the object, with the preconditions its metadata carries. Raises Invalid, Conflict."""
    assert kind.scale is not None
    meta, name = scale["metadata"], obj["metadata"]["name"]
    replicas = (scale.get("spec") or {}).get("replicas") or 0
    if replicas < 0 and kind.custom is None:
        problem = errors.invalid("spec.replicas", replicas, "must be greater than or equal to 0")
        raise errors.invalid_object("Scale", "autoscaling", name, [problem])
    if meta.get("uid") and meta["uid"] != obj["metadata"]["uid"]:
        why = f"Precondition failed: UID in precondition: {meta['uid']}, UID in object meta: {obj['metadata']['uid']}"
        raise errors.conflict(f"{kind.resource.plural}/scale", kind.resource.group, name, why)
    set_replicas(kind, obj, replicas)
    if kind.custom is None or meta.get("resourceVersion"):
        obj["metadata"]["resourceVersion"] = meta.get("resourceVersion", "")
