"""How the server's loops write a condition: by apply, or as an update of `/status`."""

from __future__ import annotations

from apiserver.bootstrap.ensure import server_context
from apiserver.registry.registry import Registries
from kube.objects import Object, condition_of, with_condition
from kube.patch.apply import apply
from kube.resources import Resource
from kube.schema import unstructured


def dated(condition: Object, present: Object | None, now: str) -> Object:
    """`condition` with the time of its last transition: that of `present`, unless the status is another."""
    same = present is not None and present.get("status") == condition["status"] and present.get("lastTransitionTime")
    return {**condition, "lastTransitionTime": present["lastTransitionTime"] if same and present is not None else now}


def says(present: Object | None, condition: Object) -> bool:
    """Whether a condition is there already, but for its times."""
    return present is not None and all(present.get(key) == value for key, value in condition.items() if key != "lastTransitionTime")


async def apply_condition(registries: Registries, resource: Resource, name: str, condition: Object, *, manager: str) -> None:
    """Server-side apply, by force, of one condition of a cluster-scoped object. Raises NotFound, Invalid, ..."""
    registry = registries.get(resource)
    ctx = server_context(registries, manager=manager, verb="patch", subresource="status")
    head: Object = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": name}}

    def change(current: Object | None) -> Object:
        if current is None:
            raise registry.not_found(name)
        whole = dated(condition, condition_of(current, condition["type"]), ctx.timestamp)
        merged = apply(
            registry.type,
            current,
            {**head, "status": {"conditions": [whole]}},
            manager=manager,
            api_version=resource.api_version,
            subresource="status",
            time=ctx.timestamp,
            force=True,
            reset_fields=registry.ownership.reset_fields("status"),
            convert=registry.ownership.converter(current),
        )
        new: Object = unstructured.convert(registry.type, merged).value
        new["apiVersion"], new["kind"] = resource.api_version, resource.kind
        return new

    await registry.write("", name, change, ctx, subresource="status", managed=False)


async def update_condition(registries: Registries, resource: Resource, name: str, condition: Object) -> None:
    """Update of `/status` with one condition of a cluster-scoped object. Raises NotFound, Invalid, ..."""
    ctx = server_context(registries, subresource="status")

    def change(current: Object) -> None:
        whole = dated(condition, condition_of(current, condition["type"]), ctx.timestamp)
        status = current.get("status") or {}
        current["status"] = {**status, "conditions": with_condition(status.get("conditions"), whole)}

    await registries.get(resource).update_with("", name, change, ctx, subresource="status")
