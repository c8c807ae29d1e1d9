"""The managedFields of bodies that are answered and never stored: reviews and TokenRequests. Upstream fills them in there too."""

from __future__ import annotations

from typing import Any

from apiserver.registry.kind import Context
from kube.objects import Object
from kube.patch.managed import managed_after_update


def own(registries: Any, body: Object, definition: str, ctx: Context) -> None:
    """Say in the body's metadata that the client set what it set, where the request names a field manager."""
    if not ctx.field_manager:
        return
    entries = managed_after_update(
        registries.definitions.type(definition),
        None,
        body,
        manager=ctx.field_manager,
        api_version=body["apiVersion"],
        subresource=ctx.subresource,
        time=ctx.timestamp,
    )
    meta = body.setdefault("metadata", {})
    if entries:
        meta["managedFields"] = entries
    else:
        meta.pop("managedFields", None)
