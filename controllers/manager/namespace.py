"""Namespaces that are being deleted: everything in them goes, then the namespace itself.

Promises: every kind that discovery knows is emptied, pods before all else (their containers may need what is deleted after them,
KEP-5080); conditions tell what is left and why; only an empty namespace loses the finalizer `kubernetes`.
Source: upstream `pkg/controller/namespace/deletion`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from kube.client.base import ConnectionFailed
from kube.clock import rfc3339
from kube.errors import ApiError, Conflict, MethodNotAllowed, NotFound
from kube.objects import Object, is_deleting, name_of, namespace_of, uid_of
from kube.resources import NAMESPACES, PODS, Resource
from kube.runtime.controller import Run
from kube.runtime.perform import Action, Update, perform

from .discovery import Discovered, Served, discover
from .pod import is_terminal

FINALIZER = "kubernetes"
FINALIZERS_WAIT_S = 15.0
"""How long things that wait for a finalizer are guessed to take."""
_PAGE = 500


@dataclass(slots=True)
class Content:
    """What is left in a namespace after everything was told to go. `wait_s` guesses how long the rest will take."""

    remaining: Counter[Resource] = field(default_factory=Counter)
    finalizers: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    discovery_failure: str = ""
    wait_s: float = 0.0

    @property
    def is_empty(self) -> bool:
        return not (self.remaining or self.failures or self.discovery_failure)


def plan(desired: Object, observed: Content, now: datetime) -> list[Action]:
    """Tell in the conditions what is left; where they say already that nothing is, give up the finalizer."""
    status = desired.get("status") or {}
    conditions = _merged(status.get("conditions") or [], _conditions(observed), now)
    if conditions != status.get("conditions") or status.get("phase") != "Terminating":
        told = {**status, "phase": "Terminating", "conditions": conditions}
        return [Update(NAMESPACES, {**desired, "status": told}, subresource="status")]
    if not observed.is_empty:
        return []
    kept = [each for each in desired["spec"].get("finalizers") or () if each != FINALIZER]
    return [Update(NAMESPACES, {**desired, "spec": {**desired["spec"], "finalizers": kept}}, subresource="finalize")]


def again_s(observed: Content) -> float:
    """When to look again: half-way to when the rest should be gone, and never sooner than in a second."""
    return observed.wait_s / 2 + 1


def _conditions(content: Content) -> list[tuple[str, str, str, str]]:
    """(type, status, reason, message) of each of the five conditions."""
    remaining = sorted(f"{each.plural}.{each.group} has {count} resource instances" for each, count in content.remaining.items())
    finalizers = sorted(f"{each} in {count} resource instances" for each, count in content.finalizers.items())
    failures = ", ".join(sorted(content.failures))
    count = len(content.failures)
    failed = f"Failed to delete all resource types, {count} remaining: {failures if count == 1 else f'[{failures}]'}"

    def said(kind: str, is_bad: object, bad: tuple[str, str], good: tuple[str, str]) -> tuple[str, str, str, str]:
        reason, message = bad if is_bad else good
        return kind, "True" if is_bad else "False", reason, message

    return [
        said(
            "NamespaceDeletionDiscoveryFailure",
            content.discovery_failure,
            ("DiscoveryFailed", content.discovery_failure),
            ("ResourcesDiscovered", "All resources successfully discovered"),
        ),
        said(
            "NamespaceDeletionGroupVersionParsingFailure",
            False,
            ("GroupVersionParsingFailed", ""),
            ("ParsedGroupVersions", "All legacy kube types successfully parsed"),
        ),
        said(
            "NamespaceDeletionContentFailure",
            content.failures,
            ("ContentDeletionFailed", failed),
            ("ContentDeleted", "All content successfully deleted, may be waiting on finalization"),
        ),
        said(
            "NamespaceContentRemaining",
            remaining,
            ("SomeResourcesRemain", f"Some resources are remaining: {', '.join(remaining)}"),
            ("ContentRemoved", "All content successfully removed"),
        ),
        said(
            "NamespaceFinalizersRemaining",
            finalizers,
            ("SomeFinalizersRemain", f"Some content in the namespace has finalizers remaining: {', '.join(finalizers)}"),
            ("ContentHasNoFinalizers", "All content-preserving finalizers finished"),
        ),
    ]


def _merged(current: list[Object], told: list[tuple[str, str, str, str]], now: datetime) -> list[Object]:
    """The conditions with these in their places; unchanged ones keep their time."""
    out = {each["type"]: each for each in current}
    for kind, status, reason, message in told:
        before = out.get(kind)
        if before is None or (before["status"], before.get("reason"), before.get("message")) != (status, reason, message):
            since = rfc3339(now) if before is None or before["status"] != status else before["lastTransitionTime"]
            out[kind] = {"type": kind, "status": status, "lastTransitionTime": since, "reason": reason, "message": message}
    return [*out.values()]


def pods_wait_s(pods: list[Object]) -> float:
    """How long these pods may take to end: the longest of their grace periods."""
    running = (pod for pod in pods if not is_terminal(pod))
    return float(max((pod["spec"].get("terminationGracePeriodSeconds") or 0 for pod in running), default=0))


class NamespaceController:
    """Empties namespaces. Keys are their names."""

    name = "namespace"

    def start(self, run: Run) -> None:
        self.run = run
        self.namespaces = run.informers.of(NAMESPACES)
        self.pods = run.informers.of(PODS)
        self.namespaces.add_handler(lambda old, new: run.queue.add(name_of(new)) if new is not None and is_deleting(new) else None)
        self.pods.add_handler(self._pod_changed)

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        """The last pod of a namespace is gone: go on at once, rather than when its grace period would have been over."""
        if new is not None or old is None or self.pods.list(namespace_of(old)):
            return
        namespace = self.namespaces.get(namespace_of(old))
        if namespace is not None and is_deleting(namespace):
            self.run.queue.add(name_of(namespace))

    async def reconcile(self, key: str) -> float | None:
        cached = self.namespaces.get(key)
        if cached is None or not is_deleting(cached):
            return None
        namespace = await self.run.client.get(NAMESPACES, key)
        if (
            uid_of(namespace) != uid_of(cached)
            or not is_deleting(namespace)
            or FINALIZER not in (namespace["spec"].get("finalizers") or ())
        ):
            return None
        content = await self._clear(key)
        if not content.is_empty:
            await self._do(namespace, content)
            return again_s(content)
        left: Object | None = namespace
        while left is not None and FINALIZER in (left["spec"].get("finalizers") or ()):
            left = await self._do(left, content)  # tell that nothing is left, then give up the finalizer
        return None

    async def _do(self, namespace: Object, content: Content) -> Object | None:
        """Carry out what is planned; the namespace afterwards."""
        answers = await perform(plan(namespace, content, self.run.clock.now()), client=self.run.client, events=self.run.events)
        return answers[-1] if answers else None

    async def _clear(self, namespace: str) -> Content:
        """Tell everything in the namespace to go; what is left."""
        content = Content()
        try:
            discovered = await discover(self.run.client)
        except (ApiError, ConnectionFailed) as error:
            content.discovery_failure = str(error)
            return content
        if discovered.stale:
            groups = ", ".join(f"{each}: stale GroupVersion discovery: {each}" for each in discovered.stale)
            content.discovery_failure = f"unable to retrieve the complete list of server APIs: {groups}"
        everything = clearable(discovered)
        for each in everything:
            if each.resource == PODS:
                await self._clear_kind(each, namespace, content)
        if content.remaining[PODS]:
            return content
        for each in everything:
            if each.resource != PODS:
                await self._clear_kind(each, namespace, content)
        return content

    async def _clear_kind(self, served: Served, namespace: str, content: Content) -> None:
        try:
            left = await self._left(served.resource, namespace)
            if left:
                await self._delete(served, namespace, left)
                left = await self._left(served.resource, namespace)
        except (ApiError, ConnectionFailed) as error:
            if not isinstance(error, NotFound | MethodNotAllowed):
                content.failures.append(str(error))
            return
        note_left(content, served.resource, namespace, left)

    async def _left(self, resource: Resource, namespace: str) -> list[Object]:
        page = await self.run.client.list(resource, namespace=namespace, limit=_PAGE)
        items: list[Object] = page.get("items") or []
        return items

    async def _delete(self, served: Served, namespace: str, left: list[Object]) -> None:
        resource = served.resource
        if served.can("deletecollection"):
            await self.run.client.delete_collection(resource, namespace=namespace, propagation_policy="Background")
            return
        for each in left:
            try:
                await self.run.client.delete(
                    resource, name_of(each), namespace=namespace, propagation_policy="Background", uid=uid_of(each)
                )
            except (NotFound, Conflict):
                pass  # gone already, or another one by now: the next look sees it


def clearable(discovered: Discovered) -> list[Served]:
    """The namespaced kinds that can be listed and deleted."""
    return [each for each in discovered.served if each.resource.namespaced and each.can("list", "delete")]


def note_left(content: Content, resource: Resource, namespace: str, left: list[Object]) -> None:
    """Enter what is left of one kind: pods within their grace period and what has finalizers may take a while, the rest is unexpected."""
    if not left:
        return
    finalizers: Mapping[str, int] = Counter(each for obj in left for each in obj["metadata"].get("finalizers") or ())
    content.remaining[resource] += len(left)
    content.finalizers.update(finalizers)
    wait_s = pods_wait_s(left) if resource == PODS else 0.0
    if not wait_s and finalizers:
        wait_s = FINALIZERS_WAIT_S
    if not wait_s:
        where = f"{resource.group}/{resource.version}, Resource={resource.plural}"
        content.failures.append(f"unexpected items still remain in namespace: {namespace} for gvr: {where}")
    content.wait_s = max(content.wait_s, wait_s)
