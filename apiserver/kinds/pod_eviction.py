"""`pods/eviction`: a delete that asks the PodDisruptionBudget first. Source: kubernetes `pkg/registry/core/pod/storage/eviction.go`.

`judge` decides about one budget (pure); `evict` takes one disruption off the budget, marks the pod and deletes it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from apiserver.kinds.pod_binding import SUCCESS
from apiserver.registry.deletion import check_preconditions
from apiserver.registry.kind import Context
from kube import labels
from kube.clock import rfc3339
from kube.errors import ApiError, BadRequest, Conflict, TooManyRequests, forbidden
from kube.objects import Object, condition_of, is_condition_true, is_deleting, labels_of, name_of, with_condition
from kube.resources import POD_DISRUPTION_BUDGETS, PODS

DISRUPTED_PODS_MAX = 2000
RETRIES_MAX = 20
_REFUSAL = "Cannot evict pod as it would violate the pod's disruption budget."
_SEVERAL = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
_SERVER = "kube-apiserver"


def _refused(message: str, retry_after_s: int = 0) -> TooManyRequests:
    details: Object = {"causes": [{"reason": "DisruptionBudget", "message": message}]}
    if retry_after_s:
        details["retryAfterSeconds"] = retry_after_s
    headers = {"Retry-After": str(retry_after_s)} if retry_after_s else {}
    return TooManyRequests(_REFUSAL, details=details, headers=headers)


def _still_processing(name: str) -> TooManyRequests:
    return _refused(f"The disruption budget {name} is still being processed by the server.", 10)


def _why_none(budget: Object) -> str:
    """Why no disruption is allowed now. The counts are not to be trusted when the last sync failed."""
    name, status = name_of(budget), budget.get("status", {})
    condition = condition_of(budget, "DisruptionAllowed") or {}
    told = condition.get("message") if condition.get("status") == "False" else ""
    healthy, desired = status.get("currentHealthy") or 0, status.get("desiredHealthy") or 0
    unwilling = f"The disruption budget {name} does not allow evicting pods currently"
    if told and condition.get("reason") == "SyncFailed":
        return f"{unwilling} because it failed sync: {told}"
    if healthy <= desired:
        return f"The disruption budget {name} needs {desired} healthy pods and has {healthy} currently"
    return f"{unwilling} ({condition.get('reason', '')}): {told}" if told else unwilling


def judge(budget: Object) -> None:
    """Returns when the budget allows one more disruption; raises TooManyRequests or Forbidden when not."""
    name, status = name_of(budget), budget.get("status", {})
    allowed = status.get("disruptionsAllowed") or 0
    if (status.get("observedGeneration") or 0) < (budget["metadata"].get("generation") or 0):
        raise _still_processing(name)
    if allowed < 0:
        raise forbidden("poddisruptionbudget", "policy", name, "pdb disruptions allowed is negative")
    if len(status.get("disruptedPods") or {}) > DISRUPTED_PODS_MAX:
        why = "DisruptedPods map too big - too many evictions not confirmed by PDB controller"
        raise forbidden("poddisruptionbudget", "policy", name, why)
    if allowed == 0:
        raise _refused(_why_none(budget))


def take_one(budget: Object, pod_name: str, now: str) -> None:
    """Takes one disruption off the budget, in place, for `pod_name`. Raises as `judge` does."""
    judge(budget)
    status = budget["status"]
    status["disruptionsAllowed"] -= 1
    status["disruptedPods"] = {**(status.get("disruptedPods") or {}), pod_name: now}
    if status["disruptionsAllowed"] == 0:
        condition = {
            "type": "DisruptionAllowed",
            "status": "False",
            "observedGeneration": status.get("observedGeneration") or 0,
            "lastTransitionTime": now,
            "reason": "InsufficientPods",
            "message": "",
        }
        status["conditions"] = with_condition(status.get("conditions"), condition)


def ignores_budgets(pod: Object) -> bool:
    """Pods that are over, not yet started or going anyway disrupt nobody."""
    return pod.get("status", {}).get("phase") in ("Succeeded", "Failed", "Pending") or is_deleting(pod)


def _protects(budget: Object, pod: Object) -> bool:
    try:
        selector = labels.from_object(budget["spec"].get("selector"))
    except labels.LabelSelectorError:
        return False
    return not selector.is_empty and selector.matches(labels_of(pod))


def is_spare(pod: Object, budget: Object) -> bool:
    """An unready pod that may go without counting, by the budget's unhealthyPodEvictionPolicy."""
    if is_condition_true(pod, "Ready"):
        return False
    if budget["spec"].get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return True
    status = budget.get("status", {})
    desired = status.get("desiredHealthy") or 0
    return desired > 0 and (status.get("currentHealthy") or 0) >= desired


def _delete_options(body: Object, ctx: Context) -> Object:
    """The DeleteOptions of the eviction; a dry run of the request is one of the delete. Raises BadRequest when they differ."""
    options: Object = dict(body.get("deleteOptions") or {})
    if ctx.dry_run:
        options.setdefault("dryRun", ["All"])
    return options


def _with_version(options: Object, pod: Object) -> Object:
    preconditions = {**(options.get("preconditions") or {}), "resourceVersion": pod["metadata"]["resourceVersion"]}
    return {**options, "preconditions": preconditions}


def _asks_version(options: Object) -> bool:
    return (options.get("preconditions") or {}).get("resourceVersion") is not None


def _must_match_version(pod: Object) -> bool:
    return pod.get("status", {}).get("phase") == "Pending" and not is_deleting(pod)


class _Eviction:
    """One eviction under way."""

    def __init__(self, registries: Any, namespace: str, name: str, options: Object, ctx: Context) -> None:
        self.pods, self.budgets = registries.get(PODS), registries.get(POD_DISRUPTION_BUDGETS)
        self.namespace, self.name, self.options = namespace, name, options
        self.dry_run = ctx.dry_run or bool(options.get("dryRun"))
        self.ctx = replace(ctx, dry_run=self.dry_run, verb="delete", subresource="", is_part=True)
        self.now = rfc3339(ctx.now)

    async def run(self) -> None:
        pod = await self._delete_unprotected()
        if pod is None:
            return
        budget = await self._budget_of(pod)
        spare = budget is not None and is_spare(pod, budget)
        if budget is not None and not spare:
            await self._take_one(budget)
        options = _with_version(self.options, pod) if spare and not _asks_version(self.options) else self.options
        try:
            await self._mark_and_delete(pod, options)
        except Conflict:
            if spare and budget is not None and not _asks_version(self.options):
                raise _still_processing(name_of(budget)) from None
            raise

    async def _delete_unprotected(self) -> Object | None:
        """Deletes a pod that no budget can protect; else gives the pod back. Looks again when the pod changes meanwhile."""
        for attempt in range(RETRIES_MAX):
            pod: Object = await self.pods.get(self.namespace, self.name)
            if not ignores_budgets(pod):
                return pod
            guarded = _must_match_version(pod) and not _asks_version(self.options)
            try:
                await self._mark_and_delete(pod, _with_version(self.options, pod) if guarded else self.options)
                return None
            except Conflict:
                if _asks_version(self.options) or not guarded or attempt == RETRIES_MAX - 1:
                    raise
        raise AssertionError("unreachable")

    async def _budget_of(self, pod: Object) -> Object | None:
        found = [each for each in await self.budgets.list_objects(self.namespace) if _protects(each, pod)]
        if len(found) > 1:
            raise ApiError(_SEVERAL)
        return found[0] if found else None

    async def _take_one(self, budget: Object) -> None:
        if self.dry_run:
            judge(budget)
            return
        ctx = replace(self.ctx, field_manager=_SERVER, subresource="status", verb="update", api_version=POD_DISRUPTION_BUDGETS.api_version)
        await self.budgets.update_with(
            self.namespace, name_of(budget), lambda fresh: take_one(fresh, self.name, self.now), ctx, subresource="status"
        )

    async def _mark_and_delete(self, pod: Object, options: Object) -> None:
        """Says in the status that the pod was evicted (for who looks while it ends), then deletes it."""
        if not self.dry_run and not is_deleting(pod):
            options = await self._mark(pod, options)
        await self.pods.delete(self.namespace, self.name, options, self.ctx)

    async def _mark(self, pod: Object, options: Object) -> Object:
        check_preconditions(self.pods.kind, pod, options)
        ctx = replace(self.ctx, field_manager="", subresource="status", verb="update")
        marked = await self.pods.update_with(self.namespace, self.name, self._add_condition, ctx, subresource="status")
        return _with_version(options, marked) if _asks_version(options) else options

    def _add_condition(self, pod: Object) -> None:
        condition = {
            "type": "DisruptionTarget",
            "status": "True",
            "lastProbeTime": None,
            "lastTransitionTime": self.now,
            "reason": "EvictionByEvictionAPI",
            "message": "Eviction API: evicting",
        }
        status = pod.setdefault("status", {})
        status["conditions"] = with_condition(status.get("conditions"), condition)


async def evict(registries: Any, _parent: Object | None, namespace: str, name: str, body: Object, ctx: Context) -> Object:
    """POST of an Eviction. Answers a Status; raises TooManyRequests when the budget forbids it, NotFound, Conflict, ..."""
    if (body.get("metadata") or {}).get("name", "") != name:
        raise BadRequest("name in URL does not match name in Eviction object")
    await _Eviction(registries, namespace, name, _delete_options(body, ctx), ctx).run()
    return dict(SUCCESS)
