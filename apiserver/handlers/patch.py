"""PATCH of objects and of their update-like subresources, in its four forms. Scale has its own (`scale.py`).

Source: apiserver `endpoints/handlers/patch.go`. Read `patching.py` first.
"""

from __future__ import annotations

from apiserver.handlers.bodies import KindNames
from apiserver.handlers.negotiation import negotiate
from apiserver.handlers.patching import Patching, read_patch
from apiserver.handlers.read import object_response, shown
from apiserver.handlers.request import Request, Response
from apiserver.handlers.write import check_name, check_scope, settle, to_hub
from apiserver.registry.kind import Subresource
from apiserver.registry.registry import Change, Served
from kube.objects import Object


async def patch(request: Request, served: Served, part: Subresource | None, *, tables: bool = True) -> Response:
    """PATCH of an object or of one of its update-like subresources."""
    negotiate(request.header(b"accept"), tables=tables)
    registry, info, resource = served.registry, request.info, served.resource
    names = KindNames(resource.group, resource.version, resource.kind)
    api_version = resource.api_version if served.conversion is not None else ""
    patching = await read_patch(request, of=served.type, names=names, api_version=api_version, filled=registry.kind.fills_lists)
    written = await registry.write(
        info.namespace if registry.resource.namespaced else "",
        info.name,
        _change(request, served, part, patching),
        patching.ctx,
        subresource=info.subresource,
        may_create=patching.is_apply and part is None,
        managed=not patching.is_apply,
        shares=part is not None and part.name == "status" and not patching.is_apply and served.conversion is None,
        options=patching.options,
    )
    await settle(served, written)
    return object_response(request, served, written.obj, status=201 if written.created else 200, body=written.body, tables=tables)


def _change(request: Request, served: Served, part: Subresource | None, patching: Patching) -> Change:
    ownership, ctx = served.registry.ownership, patching.ctx
    already = len(request.warnings)

    def change(current: Object | None) -> Object:
        del request.warnings[already:]  # of a try that met a conflict
        if patching.is_apply:
            reset = ownership.reset_fields(ctx.subresource)
            convert = ownership.converter(current)
            new = patching.applied(shown(served, current) if current is not None else None, reset_fields=reset, convert=convert)
        else:
            assert current is not None
            new = patching.patched(shown(served, current))
        check_scope(request, served, new)
        check_name(request.info.name, new)
        to_hub(served, new, part)
        return new

    return change
