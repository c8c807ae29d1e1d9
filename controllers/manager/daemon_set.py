"""DaemonSets: one pod on every node that fits.

Promises: exactly one pod on each fitting node, none elsewhere; failed pods are replaced with a back-off; rolling updates within
maxUnavailable or with maxSurge, or only on deletion; revisions are kept. The scheduler binds the pods, by node affinity. Read first:
`node_fit.py`. Source: upstream `pkg/controller/daemon`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from kube.labels import from_object as selector_from
from kube.objects import (
    Object,
    annotations_of,
    controller_of,
    controller_reference,
    is_deleting,
    key_of,
    labels_of,
    name_of,
    namespace_of,
    uid_of,
)
from kube.resources import CONTROLLER_REVISIONS, DAEMON_SETS, NODES, PODS
from kube.runtime.controller import Run
from kube.runtime.perform import Action, Create, Delete, Record, perform

from .claim import candidates, claim, plan_claims
from .controller_revision import POD_HASH, keep_revisions, old_revisions
from .deployment_size import scaled
from .index import CONTROLLER, with_controllers
from .node_fit import Fit, fit
from .own_writes import OwnWrites
from .pod import available_in_s, from_template, is_available, is_ready, phase_of
from .pod_control import PodControl
from .status import omit_zeros, same_status

BURST = 250
TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"
GENERATION_LABEL = "pod-template-generation"
FAILED_BACKOFF_S, FAILED_BACKOFF_MAX_S = 1.0, 900.0
_CHANGES_BATCHED_S = 0.02
_ALWAYS = ("currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady")


def tolerations_of(template: Mapping[str, Any]) -> list[Object]:
    """The template's tolerations and those that every daemon pod has: nodes in trouble are where daemons are needed most."""
    spec = template.get("spec") or {}
    execute = [("not-ready", "NoExecute"), ("unreachable", "NoExecute")]
    schedule = [(each, "NoSchedule") for each in ("disk-pressure", "memory-pressure", "pid-pressure", "unschedulable")]
    network = [("network-unavailable", "NoSchedule")] if spec.get("hostNetwork") else []
    added = [{"key": f"node.kubernetes.io/{key}", "operator": "Exists", "effect": effect} for key, effect in execute + schedule + network]
    own = list(spec.get("tolerations") or ())
    return own + [each for each in added if each not in own]


def node_of(pod: Mapping[str, Any]) -> str:
    """The node that a daemon pod runs on or is meant for; "" when neither can be told."""
    spec = pod["spec"]
    if spec.get("nodeName"):
        return str(spec["nodeName"])
    required = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    for term in required.get("nodeSelectorTerms") or ():
        for each in term.get("matchFields") or ():
            if each.get("key") == "metadata.name" and each.get("operator") == "In" and len(each.get("values") or ()) == 1:
                return str(each["values"][0])
    return ""


@dataclass(slots=True)
class World:
    """What is there: the fit of each node, its pods (oldest first), the hash of the present template."""

    fits: dict[str, Fit]
    pods: dict[str, list[Object]]
    hash_text: str
    now: datetime


def world(daemon_set: Object, nodes: Sequence[Object], pods: Sequence[Object], hash_text: str, now: datetime) -> World:
    template = daemon_set["spec"].get("template") or {}
    tolerations = tolerations_of(template)
    by_node: dict[str, list[Object]] = {}
    for pod in sorted(pods, key=lambda each: (each["metadata"].get("creationTimestamp") or "", name_of(each))):
        by_node.setdefault(node_of(pod), []).append(pod)
    return World({name_of(node): fit(template, tolerations, node) for node in nodes}, by_node, hash_text, now)


@dataclass(slots=True)
class Plan:
    """What to do. `failed` are the nodes whose pod failed: how often that happened lately decides when it is replaced."""

    actions: list[Action] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def plan(desired: Object, observed: World, *, blocked: frozenset[str] = frozenset()) -> Plan:
    """The pods to create and delete. On `blocked` nodes a failed pod is left alone for now."""
    out = Plan()
    doomed: list[Object] = []
    missing: list[str] = []
    surge, _ = bounds(desired, observed)
    for node, each in observed.fits.items():
        _judge_node(desired, node, each, observed, out, doomed, missing, blocked, surge)
    for node, pods in observed.pods.items():
        if node not in observed.fits:  # the node is gone; pods that ran there are the pod garbage collector's
            doomed += [pod for pod in pods if not pod["spec"].get("nodeName") and not is_deleting(pod)]
    if not doomed and not missing and (desired["spec"].get("updateStrategy") or {}).get("type", "RollingUpdate") == "RollingUpdate":
        doomed, missing = _roll(desired, observed)
    out.actions += [Create(PODS, new_pod(desired, node, observed.hash_text)) for node in missing[:BURST]]
    out.actions += [Delete(PODS, namespace_of(pod), name_of(pod), uid=uid_of(pod)) for pod in doomed[:BURST]]
    return out


def _judge_node(
    desired: Object,
    node: str,
    fits: Fit,
    observed: World,
    out: Plan,
    doomed: list[Object],
    missing: list[str],
    blocked: frozenset[str],
    surge: int,
) -> None:
    pods = observed.pods.get(node, [])
    if fits.run and not pods:
        missing.append(node)
        return
    living = [pod for pod in pods if not is_deleting(pod)]
    if not fits.stay:
        doomed += living
        return
    running = []
    for pod in living:
        if phase_of(pod) not in ("Failed", "Succeeded"):
            running.append(pod)
        elif phase_of(pod) == "Succeeded" or node not in blocked:
            out.actions.append(_ended(desired, pod, node))
            doomed.append(pod)
            if phase_of(pod) == "Failed":
                out.failed.append(node)
    doomed += _surplus(running, observed, surge, desired)


def _ended(desired: Object, pod: Object, node: str) -> Record:
    where = f"{namespace_of(pod)}/{name_of(pod)} on node {node}"
    if phase_of(pod) == "Failed":
        return Record(desired, "Warning", "FailedDaemonPod", f"Found failed daemon pod {where}, will try to kill it")
    return Record(desired, "Normal", "SucceededDaemonPod", f"Found succeeded daemon pod {where}, will try to delete it")


def _surplus(running: Sequence[Object], observed: World, surge: int, desired: Object) -> list[Object]:
    """Of several pods on a node the oldest stays; while surging, the oldest of the new template and the oldest of an old one do."""
    if len(running) <= 1:
        return []
    if not surge:
        return list(running[1:])
    new = [pod for pod in running if _is_updated(pod, observed.hash_text)]
    old = [pod for pod in running if not _is_updated(pod, observed.hash_text)]
    return [*new[1:], *old[1:]]


def _is_updated(pod: Object, hash_text: str) -> bool:
    return labels_of(pod).get(POD_HASH) == hash_text


# --- rolling updates ----------------------------------------------------------------------------------------------------------


def bounds(daemon_set: Object, observed: World) -> tuple[int, int]:
    """(maxSurge, maxUnavailable) in pods. Both zero would stand still, so then one may be unavailable."""
    rolling = (daemon_set["spec"].get("updateStrategy") or {}).get("rollingUpdate") or {}
    desired = sum(1 for each in observed.fits.values() if each.run)
    surge = scaled(rolling.get("maxSurge", 0), desired, round_up=True)
    unavailable = scaled(rolling.get("maxUnavailable", 1), desired, round_up=True)
    return surge, 1 if surge == 0 and unavailable == 0 else unavailable


def _roll(daemon_set: Object, observed: World) -> tuple[list[Object], list[str]]:
    """The old pods to delete now, and the nodes that get a new pod beside the old one."""
    surge, unavailable = bounds(daemon_set, observed)
    return _roll_by_surge(daemon_set, observed, surge) if surge else (_roll_by_deletion(daemon_set, observed, unavailable), [])


def _up(daemon_set: Object, pod: Object, observed: World) -> bool:
    return is_available(pod, min_ready_s=daemon_set["spec"].get("minReadySeconds") or 0, now=observed.now)


def _pair(observed: World, node: str) -> tuple[Object | None, Object | None]:
    """(the pod of the present template, the pod of an old one) that live on a node."""
    living = [pod for pod in observed.pods.get(node, ()) if not is_deleting(pod)]
    new = next((pod for pod in living if _is_updated(pod, observed.hash_text)), None)
    return new, next((pod for pod in living if not _is_updated(pod, observed.hash_text)), None)


def _roll_by_deletion(daemon_set: Object, observed: World, unavailable: int) -> list[Object]:
    """Old pods that are down anyway go at once, others as far as may be unavailable."""
    down, broken, healthy = 0, [], []
    for node, each in observed.fits.items():
        if not each.run:
            continue
        new, old = _pair(observed, node)
        if old is None or new is not None:
            down += new is None or old is not None or not _up(daemon_set, new, observed)
        elif _up(daemon_set, old, observed):
            healthy.append(old)
        else:
            down += 1
            broken.append(old)
    return broken + healthy[: max(0, unavailable - down)]


def _roll_by_surge(daemon_set: Object, observed: World, surge: int) -> tuple[list[Object], list[str]]:
    """New pods come beside old ones, as many as may surge; an old pod goes when the new one is up, or when it is itself down."""
    doomed: list[Object] = []
    free: list[str] = []
    waiting: list[str] = []
    surging = 0
    for node, each in observed.fits.items():
        if not each.run:
            continue
        new, old = _pair(observed, node)
        if old is None:
            continue
        if new is None:
            (waiting if _up(daemon_set, old, observed) else free).append(node)
        elif _up(daemon_set, new, observed):
            doomed.append(old)
        else:
            surging += 1
    return doomed, free + waiting[: max(0, surge - surging)]


# --- pods and status ----------------------------------------------------------------------------------------------------------


def new_pod(daemon_set: Object, node: str, hash_text: str) -> Object:
    """A pod for one node, which the scheduler will find by its affinity."""
    template = daemon_set["spec"].get("template") or {}
    reference = controller_reference(daemon_set, api_version=DAEMON_SETS.api_version, kind=DAEMON_SETS.kind)
    pod = from_template(template, daemon_set, reference)
    labels = {**(pod["metadata"].get("labels") or {}), POD_HASH: hash_text}
    generation = annotations_of(daemon_set).get(TEMPLATE_GENERATION)
    pod["metadata"]["labels"] = labels | ({GENERATION_LABEL: generation} if generation else {})
    term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
    affinity = pod["spec"].get("affinity") or {}
    node_affinity = {
        **(affinity.get("nodeAffinity") or {}),
        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]},
    }
    pod["spec"] = {**pod["spec"], "affinity": {**affinity, "nodeAffinity": node_affinity}, "tolerations": tolerations_of(template)}
    return pod


def status_of(daemon_set: Object, observed: World, collisions: int) -> Object:
    desired = current = misscheduled = ready = available = updated = 0
    for node, each in observed.fits.items():
        pods = observed.pods.get(node, [])
        if not each.run:
            misscheduled += bool(pods)
            continue
        desired += 1
        if pods:
            current += 1
            ready += is_ready(pods[0])
            available += _up(daemon_set, pods[0], observed)
            updated += _is_updated(pods[0], observed.hash_text)
    status = {
        "currentNumberScheduled": current,
        "numberMisscheduled": misscheduled,
        "desiredNumberScheduled": desired,
        "numberReady": ready,
        "observedGeneration": daemon_set["metadata"].get("generation", 0),
        "updatedNumberScheduled": updated,
        "numberAvailable": available,
        "numberUnavailable": desired - available,
        "collisionCount": collisions,
    }
    before = (daemon_set.get("status") or {}).get("conditions")
    return omit_zeros(status | ({"conditions": before} if before else {}), keep=_ALWAYS)


class DaemonSetController:
    """Keys are namespace/name of DaemonSets."""

    name = "daemonset"

    def start(self, run: Run) -> None:
        self.run = run
        self.sets = run.informers.of(DAEMON_SETS)
        self.nodes = run.informers.of(NODES)
        self.pods = with_controllers(run.informers.of(PODS))
        self.revisions = with_controllers(run.informers.of(CONTROLLER_REVISIONS))
        self.writes = OwnWrites(self.pods)
        self.revision_writes = OwnWrites(self.revisions)
        self.control = PodControl(run, self.writes)
        self._failures: dict[tuple[str, str], tuple[int, float]] = {}
        self.sets.add_handler(self._set_changed)
        self.nodes.add_handler(self._node_changed)
        self.pods.add_handler(self._pod_changed)

    async def reconcile(self, key: str) -> float | None:
        daemon_set = self.sets.get(key)
        if daemon_set is None or is_deleting(daemon_set):
            return None
        await self.control.settle(daemon_set, selector_from(daemon_set["spec"].get("selector")))
        pods = await self._claimed(daemon_set, PODS)
        revisions = await self._claimed(daemon_set, CONTROLLER_REVISIONS)
        wanted = await keep_revisions(self.run, self.revisions, daemon_set, DAEMON_SETS, revisions, hash_label=POD_HASH)
        hash_text = labels_of(wanted.revision).get(POD_HASH, "")
        now, (blocked, again_s) = self.run.clock.now(), self._blocked(uid_of(daemon_set))
        todo = plan(daemon_set, world(daemon_set, self.nodes.list(), pods, hash_text, now), blocked=blocked)
        self._note_failures(uid_of(daemon_set), todo.failed)
        failure: Exception | None = None
        try:
            await self._manage(daemon_set, pods, todo.actions)
        except Exception as error:  # what is there is told all the same
            failure = error
        pods = self.writes.without_gone(self.pods.by_index(CONTROLLER, uid_of(daemon_set)))
        await self._tell(daemon_set, world(daemon_set, self.nodes.list(), pods, hash_text, now), wanted.collisions)
        if failure is not None:
            raise failure
        used = {hash_text, *(labels_of(pod).get(POD_HASH) for pod in pods)}
        old = old_revisions(daemon_set, revisions, lambda each: labels_of(each).get(POD_HASH) in used)
        await perform(old, client=self.run.client, events=self.run.events)
        waits = (again_s, available_in_s(pods, min_ready_s=daemon_set["spec"].get("minReadySeconds") or 0, now=now))
        return min((each for each in waits if each is not None), default=None)

    async def _claimed(self, daemon_set: Object, resource: Any) -> list[Object]:
        informer, writes = (self.pods, self.writes) if resource is PODS else (self.revisions, self.revision_writes)
        return await claim(
            plan_claims(daemon_set, selector_from(daemon_set["spec"].get("selector")), candidates(informer, writes, daemon_set)),
            client=self.run.client,
            owner=daemon_set,
            owner_resource=DAEMON_SETS,
            resource=resource,
            writes=writes,
        )

    async def _manage(self, daemon_set: Object, pods: Sequence[Object], actions: Sequence[Action]) -> None:
        for each in actions:
            if isinstance(each, Record):
                self.run.events.record(each.obj, each.type, each.reason, each.message)
        await self.control.create(daemon_set, [each.obj for each in actions if isinstance(each, Create)])
        doomed = {each.uid for each in actions if isinstance(each, Delete)}
        await self.control.delete(daemon_set, [pod for pod in pods if uid_of(pod) in doomed])

    async def _tell(self, daemon_set: Object, observed: World, collisions: int) -> None:
        status = status_of(daemon_set, observed, collisions)
        current = daemon_set.get("status") or {}
        if not same_status(status, current):
            self.sets.put(await self.run.client.update(DAEMON_SETS, {**daemon_set, "status": status}, subresource="status"))

    # --- failed pods are replaced ever more slowly

    def _blocked(self, uid: str) -> tuple[frozenset[str], float | None]:
        """The nodes whose failed pod must wait, and when the first of them may be replaced."""
        now = self.run.clock.monotonic()
        waits = {node: until - now for (owner, node), (_, until) in self._failures.items() if owner == uid and until > now}
        return frozenset(waits), min(waits.values(), default=None)

    def _note_failures(self, uid: str, nodes: Sequence[str]) -> None:
        now = self.run.clock.monotonic()
        for node in nodes:
            count, until = self._failures.get((uid, node), (0, 0.0))
            if now - until > 2 * FAILED_BACKOFF_MAX_S:
                count = 0
            wait = min(FAILED_BACKOFF_S * 2 ** min(count, 20), FAILED_BACKOFF_MAX_S)
            self._failures[(uid, node)] = (count + 1, now + wait)

    def _set_changed(self, old: Object | None, new: Object | None) -> None:
        if new is None and old is not None:
            self._failures = {key: each for key, each in self._failures.items() if key[0] != uid_of(old)}
        self.run.queue.add(key_of(new or old or {}))

    def _node_changed(self, old: Object | None, new: Object | None) -> None:
        if old is not None and new is not None and _placing(old) == _placing(new):
            return
        for each in self.sets.list():
            self.run.queue.add_after(key_of(each), _CHANGES_BATCHED_S)

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        for pod in (old, new):
            owner = controller_of(pod) if pod is not None else None
            if pod is not None and owner is not None and owner.get("kind") == DAEMON_SETS.kind:
                self.run.queue.add_after(f"{namespace_of(pod)}/{owner['name']}", _CHANGES_BATCHED_S)
        if new is not None and controller_of(new) is None and labels_of(new):
            for each in self.sets.list(namespace_of(new)):
                if selector_from(each["spec"].get("selector")).matches(labels_of(new)):
                    self.run.queue.add_after(key_of(each), _CHANGES_BATCHED_S)


def _placing(node: Object) -> object:
    """What of a node decides whether daemon pods fit."""
    return labels_of(node), node["spec"].get("taints"), node["spec"].get("unschedulable")
