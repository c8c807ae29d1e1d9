"""HorizontalPodAutoscalers: as many replicas as the load asks for.

Promises: every 15 s each autoscaler's metrics are read; the one that asks for most decides, but a metric that cannot be read keeps it from
scaling down; the result is stabilized, within limits and rates, and set by the target's scale subresource; conditions tell what happened.
Read first: `horizontal_pod_autoscaler_replicas.py` (what a metric asks for), `..._behavior.py` (what is made of it), `..._proposal.py` (one
metric), `..._metrics.py` (where they come from). Source: upstream `pkg/controller/podautoscaler/horizontal.go`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from kube import labels
from kube.clock import rfc3339
from kube.errors import ApiError, Conflict
from kube.labels import LabelSelectorError
from kube.objects import Object, is_deleting, key_of, labels_of, namespace_of, with_condition
from kube.quantity import parse
from kube.resources import PODS, Resource
from kube.runtime.controller import Run
from kube.runtime.perform import Action, Record, perform

from .discovery import Kinds
from .horizontal_pod_autoscaler_behavior import Bounds, History, decide
from .horizontal_pod_autoscaler_metrics import MetricsReader, Sample, no_kind
from .horizontal_pod_autoscaler_proposal import Proposal, Target, Unusable, propose
from .horizontal_pod_autoscaler_replicas import Tolerance
from .status import omit_zeros, same_status

AUTOSCALERS = Resource("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler")
SYNC_S = 15.0
TOLERANCE = 0.1
RESCALES_MAX = 5
RESCALE_PAUSE_S = 0.01
_DISABLED = ("ScalingActive", "False", "ScalingDisabled", "scaling is disabled since the replica count of the target is zero")
_GOT_SCALE = ("AbleToScale", "True", "SucceededGetScale", "the HPA controller was able to get the target's current scale")


class Ambiguous(Exception):
    """The pods cannot be found: `reason` is the event's, and the text; `message` the condition's."""

    def __init__(self, event: str, reason: str, text: str, message: str) -> None:
        super().__init__(text)
        self.event, self.reason, self.message = event, reason, message


@dataclass(frozen=True, slots=True)
class Observed:
    """The target's Scale, the pods that its selector selects, and the samples of the autoscaler's metrics, in their order. `problem`: why
    there are none."""

    scale: Object
    pods: Sequence[Object] = ()
    samples: Sequence[Sample] = ()
    problem: Ambiguous | None = None


@dataclass(slots=True)
class Plan:
    """What to tell and, where `replicas` is not None, to scale to, because of `reason`."""

    status: Object
    actions: list[Action] = field(default_factory=list)
    replicas: int | None = None
    reason: str = ""
    history: History = field(default_factory=History)


def plan(desired: Object, observed: Observed, now: datetime, *, history: History) -> Plan:
    """What to do about an autoscaler whose target has a scale. The status is that of success; see `rescaled` and `not_rescaled`."""
    current, spec = replicas_of(observed.scale), desired["spec"]
    out = Plan(dict(desired.get("status") or {}), history=history.begun(current, now))
    _say(out, *_GOT_SCALE, now)
    low, high = least(desired), int(spec["maxReplicas"])
    if current == 0:  # whoever may have none (minReplicas 0) gets there by its metrics, and does not come back by them in v1.36
        _say(out, *_DISABLED, now)
        out.status["conditions"] = [each for each in out.status["conditions"] if each["type"] != "ScaledToZero"]
        return _told(out, current, 0, [])
    if current > high:
        out.replicas, out.reason = high, "Current number of replicas above Spec.MaxReplicas"
        return _told(out, current, high, [])
    if current < low:
        out.replicas, out.reason = low, "Current number of replicas below Spec.MinReplicas"
        return _told(out, current, low, [])
    return _by_metrics(desired, observed, current, Bounds(low, high), now, out)


def _by_metrics(desired: Object, observed: Observed, current: int, bounds: Bounds, now: datetime, out: Plan) -> Plan:
    metrics = desired["spec"].get("metrics") or []
    if observed.problem is not None:
        problem = observed.problem
        out.actions.append(Record(desired, "Warning", problem.event, str(problem)))
        _say(out, "ScalingActive", "False", problem.reason, problem.message, now)
        return _failed(desired, out, current, str(problem), [])
    target = Target(namespace_of(desired), current, _status_replicas(observed.scale), observed.pods, tolerance_of(desired), now)
    results = [_proposed(desired, spec, sample, target, out) for spec, sample in zip(metrics, observed.samples, strict=True)]
    statuses = [each.status if isinstance(each, Proposal) else {"type": ""} for each in results]
    failures = [each for each in results if isinstance(each, Unusable)]
    best = highest([each for each in results if isinstance(each, Proposal)])
    wanted = best.replicas if best is not None else 0
    if failures and (best is None or wanted < current):
        first = failures[0]
        _say(out, "ScalingActive", "False", first.reason, f"the HPA was unable to compute the replica count: {first.text}", now)
        text = f"invalid metrics ({len(failures)} invalid out of {len(metrics)}), first error is: {first.summary}"
        return _failed(desired, out, current, text, statuses)
    name = best.name if best is not None else ""
    found = f"the HPA was able to successfully calculate a replica count from {name}"
    _say(out, "ScalingActive", "True", "ValidMetricFound", found, now)
    if wanted != current:
        out.reason = f"{name if wanted > 0 else ''} above target" if wanted > current else "All metrics below target"
    decision = decide(current, wanted, bounds, desired["spec"].get("behavior"), out.history, now)
    out.history = decision.history
    _say(out, "AbleToScale", "True", *decision.able, now)
    _say(out, "ScalingLimited", "True" if decision.is_limited else "False", *decision.limited, now)
    if decision.replicas != current:
        out.replicas = decision.replicas
    return _told(out, current, decision.replicas, statuses)


def _proposed(desired: Object, spec: Object, sample: Sample, target: Target, out: Plan) -> Proposal | Unusable:
    try:
        return propose(spec, sample, target)
    except Unusable as error:
        out.actions.append(Record(desired, "Warning", error.reason, error.text))
        return error


def highest(proposals: Iterable[Proposal]) -> Proposal | None:
    """The first of those that ask for most."""
    best: Proposal | None = None
    for each in proposals:
        if best is None or best.replicas == 0 or each.replicas > best.replicas:
            best = each
    return best


def _failed(desired: Object, out: Plan, current: int, text: str, statuses: list[Object]) -> Plan:
    """Nothing can be decided."""
    out.actions.append(Record(desired, "Warning", "FailedComputeMetricsReplicas", text))
    return _told(out, current, int(out.status.get("desiredReplicas") or 0), statuses)


def _told(out: Plan, current: int, wanted: int, statuses: list[Object]) -> Plan:
    out.status |= {"currentReplicas": current, "desiredReplicas": wanted, "currentMetrics": statuses or None}
    return out


def rescaled(desired: Object, out: Plan, current: int, now: datetime) -> list[Action]:
    """The scale was set: what to tell of it."""
    assert out.replicas is not None
    size = out.replicas
    _say(out, "AbleToScale", "True", "SucceededRescale", f"the HPA controller was able to update the target scale to {size}", now)
    out.status["lastScaleTime"] = rfc3339(now)
    out.history = out.history.scaled(desired["spec"].get("behavior"), current, size, now)
    return [Record(desired, "Normal", "SuccessfulRescale", f"New size: {size}; reason: {out.reason}")]


def not_rescaled(desired: Object, out: Plan, error: ApiError, now: datetime) -> list[Action]:
    """The scale could not be set: what to tell of it."""
    message = f"the HPA controller was unable to update the target scale: {error}"
    _say(out, "AbleToScale", "False", "FailedUpdateScale", message, now)
    out.status["desiredReplicas"] = (desired.get("status") or {}).get("desiredReplicas") or 0
    return [Record(desired, "Warning", "FailedRescale", f"New size: {out.replicas}; reason: {out.reason}; error: {error}")]


def no_scale(desired: Object, text: str, now: datetime) -> Plan:
    """The target has no scale that could be read."""
    out = Plan(dict(desired.get("status") or {}))
    out.actions.append(Record(desired, "Warning", "FailedGetScale", text))
    _say(out, "AbleToScale", "False", "FailedGetScale", f"the HPA controller was unable to get the target's current scale: {text}", now)
    return out


def _say(out: Plan, kind: str, status: str, reason: str, message: str, now: datetime) -> None:
    condition = {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": rfc3339(now)}
    out.status["conditions"] = with_condition(out.status.get("conditions"), condition)


# --- reading objects ----------------------------------------------------------------------------------------------------------------


def replicas_of(scale: Object) -> int:
    return int((scale.get("spec") or {}).get("replicas") or 0)


def _status_replicas(scale: Object) -> int:
    return int((scale.get("status") or {}).get("replicas") or 0)


def least(autoscaler: Object) -> int:
    """minReplicas."""
    found = autoscaler["spec"].get("minReplicas")
    return 1 if found is None else int(found)


def tolerance_of(autoscaler: Object) -> Tolerance:
    """The autoscaler's own tolerances, or the usual ones."""
    behavior = autoscaler["spec"].get("behavior") or {}
    given = [(behavior.get(each) or {}).get("tolerance") for each in ("scaleDown", "scaleUp")]
    down, up = (TOLERANCE if each is None else parse(each).nano / 1e9 for each in given)
    return Tolerance(down, up)


def selected(pods: Iterable[Object], selector: str) -> list[Object]:
    """The pods of a selector's text. Raises Ambiguous."""
    if not selector:
        raise Ambiguous("SelectorRequired", "InvalidSelector", "selector is required", "the HPA target's scale is missing a selector")
    try:
        parsed = labels.parse(selector)
    except LabelSelectorError as error:
        text = f"couldn't convert selector into a corresponding internal selector object: {error}"
        raise Ambiguous("InvalidSelector", "InvalidSelector", text, text) from error
    return [pod for pod in pods if parsed.matches(labels_of(pod))]


def check_alone(key: str, selector: str, pods: Iterable[Object], others: dict[str, str]) -> None:
    """Raises Ambiguous when another autoscaler's selector (`others`: by key) selects one of the pods, too."""
    parsed = {other: labels.parse(text) for other, text in others.items() if other != key}
    rivals = {other for other, each in parsed.items() for pod in pods if each.matches(labels_of(pod))}
    if rivals:
        text = f"pods by selector {selector} are controlled by multiple HPAs: [{' '.join(sorted({key, *rivals}))}]"
        raise Ambiguous("AmbiguousSelector", "AmbiguousSelector", text, text)


# --- the controller -----------------------------------------------------------------------------------------------------------------


class HorizontalPodAutoscalerController:
    """Keys are namespace/name of HorizontalPodAutoscalers."""

    name = "horizontalpodautoscaler"

    def start(self, run: Run) -> None:
        self.run = run
        self.autoscalers = run.informers.of(AUTOSCALERS)
        self.pods = run.informers.of(PODS)
        self.reader = MetricsReader(run.client)
        self.histories: dict[str, History] = {}
        self.selectors: dict[str, str] = {}
        self._kinds = Kinds(run.client, run.clock)
        self.autoscalers.add_handler(self._changed)

    def _changed(self, old: Object | None, new: Object | None) -> None:
        """A new autoscaler has its first look after one period, as with upstream; from then on it looks by itself."""
        if new is None and old is not None:
            self.histories.pop(key_of(old), None)
            self.selectors.pop(key_of(old), None)
        elif old is None and new is not None:
            self.run.queue.add_after(key_of(new), SYNC_S)

    async def reconcile(self, key: str) -> float | None:
        autoscaler = self.autoscalers.get(key)
        if autoscaler is None or is_deleting(autoscaler):
            return None
        found = await self._scale_of(autoscaler)
        if isinstance(found, str):
            await self._tell(autoscaler, no_scale(autoscaler, found, self.run.clock.now()))
            return SYNC_S
        resource, scale = found
        observed = await self._observed(key, autoscaler, scale)
        todo = plan(autoscaler, observed, self.run.clock.now(), history=self.histories.get(key, History()))
        if todo.replicas is not None:
            todo.actions += await self._rescale(autoscaler, resource, scale, todo)
        self.histories[key] = todo.history
        await self._tell(autoscaler, todo)
        return SYNC_S

    async def _scale_of(self, autoscaler: Object) -> tuple[Resource, Object] | str:
        """The target's resource and its Scale, or why there is none."""
        reference = autoscaler["spec"]["scaleTargetRef"]
        api_version, kind = reference.get("apiVersion") or "", reference.get("kind", "")
        if api_version.count("/") > 1:
            return f"unexpected GroupVersion string: {api_version}"
        resource = await self._known(api_version, kind)
        if resource is None:
            return no_kind(api_version.rpartition("/")[0], kind)
        try:
            name = reference.get("name", "")
            return resource, await self.run.client.get(resource, name, namespace=namespace_of(autoscaler), subresource="scale")
        except (ApiError, ValueError) as error:
            return str(error)

    async def _observed(self, key: str, autoscaler: Object, scale: Object) -> Observed:
        selector = str((scale.get("status") or {}).get("selector") or "")
        namespace = namespace_of(autoscaler)
        try:
            pods = selected(self.pods.list(namespace), selector)
            self.selectors[key] = selector
            rivals = {other: text for other, text in self.selectors.items() if other.startswith(f"{namespace}/")}
            check_alone(key, selector, pods, rivals)
        except Ambiguous as error:
            return Observed(scale, problem=error)
        samples = [
            await self.reader.read(spec, namespace=namespace, selector=selector, resource_of=self._resource_of)
            for spec in autoscaler["spec"].get("metrics") or ()
        ]
        return Observed(scale, pods, samples)

    async def _rescale(self, autoscaler: Object, resource: Resource, scale: Object, todo: Plan) -> list[Action]:
        before = replicas_of(scale)
        for attempt in range(RESCALES_MAX):
            changed = {**scale, "spec": {**(scale.get("spec") or {}), "replicas": todo.replicas}}
            try:
                await self.run.client.update(resource, changed, subresource="scale")
            except Conflict as error:  # somebody else has written the target; what it should have is as true as before
                if attempt == RESCALES_MAX - 1:
                    return not_rescaled(autoscaler, todo, error, self.run.clock.now())
                await asyncio.sleep(RESCALE_PAUSE_S)
                with suppress(ApiError):
                    name, namespace = autoscaler["spec"]["scaleTargetRef"].get("name", ""), namespace_of(autoscaler)
                    scale = await self.run.client.get(resource, name, namespace=namespace, subresource="scale")
            except ApiError as error:
                return not_rescaled(autoscaler, todo, error, self.run.clock.now())
            else:
                break
        return rescaled(autoscaler, todo, before, self.run.clock.now())

    async def _tell(self, autoscaler: Object, todo: Plan) -> None:
        await perform(todo.actions, client=self.run.client, events=self.run.events)
        status = omit_zeros(todo.status, keep=("desiredReplicas", "currentMetrics"))
        if not same_status(status, autoscaler.get("status")):
            self.autoscalers.put(await self.run.client.update(AUTOSCALERS, {**autoscaler, "status": status}, subresource="status"))

    async def _known(self, api_version: str, kind: str) -> Resource | None:
        """The resource of a kind; for one that is not known the server is asked anew."""
        return await self._kinds.resource(api_version.rpartition("/")[0], kind)

    def _resource_of(self, api_version: str, kind: str) -> Resource | None:
        """The resource of a kind: of its group, in the version that the group prefers."""
        return self._kinds.known(api_version.rpartition("/")[0], kind)
