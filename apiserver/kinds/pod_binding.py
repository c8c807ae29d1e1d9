"""`pods/binding`: how a scheduler puts a pod on a node. Source: kubernetes `pkg/registry/core/pod/storage/storage.go` (BindingREST).

It is not an update of the pod as clients make them: managedFields and generation stay, only the node, metadata of the binding and
the PodScheduled condition come in.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from apiserver.registry.kind import Context
from kube.clock import rfc3339
from kube.errors import ApiError, Conflict
from kube.objects import Object, name_of, with_condition
from kube.resources import PODS

SUCCESS: Object = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


def _refused(binding: Object) -> str:
    """Why this is no binding to a node; "" when it is one. Upstream answers these as plain 500s."""
    target = binding.get("target") or {}
    problems = []
    if target.get("kind", "") not in ("", "Node"):
        problems.append(f'target.kind: Unsupported value: "{target["kind"]}": supported values: "Node", "<empty>"')
    if not target.get("name"):
        problems.append("target.name: Required value")
    return problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]" if problems else ""


def _conflict(pod: Object, why: str) -> Conflict:
    name = name_of(pod)
    message = f'Operation cannot be fulfilled on pods/binding "{name}": {why}'
    return Conflict(message, details={"name": name, "kind": "pods/binding"})


def _check_free(pod: Object) -> None:
    name, spec = name_of(pod), pod["spec"]
    if pod["metadata"].get("deletionTimestamp"):
        raise _conflict(pod, f"pod {name} is being deleted, cannot be assigned to a host")
    if spec.get("nodeName"):
        raise _conflict(pod, f'pod {name} is already assigned to node "{spec["nodeName"]}"')
    if spec.get("schedulingGates"):
        raise _conflict(pod, f"pod {name} has non-empty .spec.schedulingGates")


def assign(pod: Object, binding: Object, now: str) -> None:
    """Puts `pod` on the binding's node, in place. Raises Conflict when it cannot be put anywhere (any more)."""
    meta, wanted = pod["metadata"], binding.get("metadata") or {}
    for field in ("uid", "resourceVersion"):
        if wanted.get(field):
            meta[field] = wanted[field]  # a precondition: the registry refuses what is not the present one
    if meta.get("uid") == wanted.get("uid", meta.get("uid")):
        _check_free(pod)
    pod["spec"]["nodeName"] = binding["target"]["name"]
    if wanted.get("annotations"):
        meta["annotations"] = {**(meta.get("annotations") or {}), **wanted["annotations"]}
    if wanted.get("labels"):
        meta["labels"] = {**wanted["labels"], **(meta.get("labels") or {})}
    status = pod.setdefault("status", {})
    condition = {"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": now}
    generation = next(
        (each.get("observedGeneration") for each in status.get("conditions") or () if each.get("type") == "PodScheduled"), None
    )
    if generation:
        condition["observedGeneration"] = generation
    status["conditions"] = with_condition(status.get("conditions"), condition)
    status.pop("nominatedNodeName", None)


async def bind(registries: Any, _parent: Object | None, namespace: str, name: str, body: Object, ctx: Context) -> Object:
    """POST of a Binding. Answers a Status; raises NotFound, Conflict, or an ApiError with code 500 for a bad target."""
    refused = _refused(body)
    if refused:
        raise ApiError(refused)
    pods = registries.get(PODS)

    def change(pod: Object) -> Object:
        assign(pod, body, rfc3339(ctx.now))
        return pod

    silent = replace(ctx, field_manager="", subresource="binding", is_part=True)
    await pods.write(namespace, name, change, silent, subresource="binding", replace=True)  # the uid is a precondition
    return dict(SUCCESS)


async def bind_named(registries: Any, namespace: str, body: Object, ctx: Context) -> Object:
    """POST of a Binding to the namespace's bindings: its own name is the pod's."""
    return await bind(registries, None, namespace, (body.get("metadata") or {}).get("name", ""), body, ctx)
