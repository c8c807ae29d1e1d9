"""PodSecurity: pods are refused, and pods and what makes pods are warned of, as their namespace's labels say.

There is no audit log, so what the labels ask to be audited is not evaluated. Pods that are there already when a namespace becomes
stricter stay; who makes it stricter is warned of them. A namespace whose labels were bad already may be changed in other ways.
Source: `k8s.io/pod-security-admission` (admission/admission.go), kubernetes `plugin/pkg/admission/security/podsecurity/admission.go`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from apiserver.admission.pod_security import existing
from apiserver.admission.pod_security.labels import FREE, PREFIX, PRIVILEGED, LevelVersion, Policy, policy_of, strictness
from apiserver.admission.pod_security.subject import Subject
from apiserver.admission.pod_security.table import told, violations
from apiserver.registry.admission import Attributes
from kube import errors
from kube.objects import Object, labels_of
from kube.resources import NAMESPACES, PODS
from kube.schema.goquote import quote

_PREFIX: Final = PREFIX.encode()
_TEMPLATES: Final = {
    ("", "podtemplates"): ("template",),
    ("", "replicationcontrollers"): ("spec", "template"),
    ("apps", "daemonsets"): ("spec", "template"),
    ("apps", "deployments"): ("spec", "template"),
    ("apps", "replicasets"): ("spec", "template"),
    ("apps", "statefulsets"): ("spec", "template"),
    ("batch", "cronjobs"): ("spec", "jobTemplate", "spec", "template"),
    ("batch", "jobs"): ("spec", "template"),
}
"""What makes pods, and where it says which."""
_TURN_PODS: Final = 50
"""After so many pods, others get their turn."""


@dataclass(frozen=True, slots=True)
class Exempt:
    """Whom nothing of this concerns: users, namespaces, and runtime classes of pods, by name."""

    usernames: frozenset[str] = frozenset()
    namespaces: frozenset[str] = frozenset()
    runtime_classes: frozenset[str] = frozenset()


NOBODY: Final = Exempt()


class PodSecurity:
    """See the module. `defaults` is the policy where labels say nothing."""

    resources = frozenset({("", "namespaces"), ("", "pods"), *_TEMPLATES})
    operations = frozenset({"CREATE", "UPDATE"})
    subresources = frozenset({"", "ephemeralcontainers", "resize"})

    def __init__(self, defaults: Policy = FREE, exempt: Exempt = NOBODY) -> None:
        self._defaults, self._exempt = defaults, exempt

    async def validate(self, attributes: Attributes) -> None:
        resource = attributes.kind.resource
        if resource.plural == "namespaces":
            await self._check_namespace(attributes)
            return
        cache = attributes.registries.get(NAMESPACES).cache
        await cache.catch_up()
        entry = cache.get("", attributes.namespace)
        if entry is None:
            self._no_namespace(attributes)
        elif _PREFIX in entry.value or self._defaults is not FREE:
            policy, _ = policy_of(entry.labels, self._defaults)
            self._check(attributes, policy)

    def _no_namespace(self, attributes: Attributes) -> None:
        """What makes pods is only warned of, and so let pass."""
        if attributes.kind.resource.plural == "pods" and not self._is_exempt(attributes):
            why = f"failed to lookup namespace {quote(attributes.namespace)}"
            raise errors.InternalError(f"Internal error occurred: {why}", details={"causes": [{"message": why}]})

    def _is_exempt(self, attributes: Attributes) -> bool:
        return attributes.namespace in self._exempt.namespaces or attributes.ctx.user.name in self._exempt.usernames

    # --- pods and what makes them -------------------------------------------------------------------------------------

    def _check(self, attributes: Attributes, policy: Policy) -> None:
        """Refuse what the policy forbids, warn of what it has warned of. Raises Forbidden."""
        resource, obj, old = attributes.kind.resource, attributes.obj, attributes.old
        is_pod = resource.plural == "pods"
        enforce = policy.enforce if is_pod else LevelVersion()
        if obj is None or enforce.level == policy.warn.level == PRIVILEGED or self._is_exempt(attributes):
            return
        if is_pod and old is not None and not is_significant(obj, old):
            return
        pod = obj if is_pod else _template(obj, _TEMPLATES[resource.group, resource.plural])
        if pod is None or (pod.get("spec") or {}).get("runtimeClassName") in self._exempt.runtime_classes:
            return
        subject, newest = Subject(pod), _newest(attributes.registries)
        found = violations(enforce, subject, newest=newest)
        if found:
            why = f"violates PodSecurity {quote(str(enforce))}: {told(found)}"
            raise errors.forbidden(resource.plural, resource.group, attributes.name, why)
        if policy.warn != enforce and (found := violations(policy.warn, subject, newest=newest)):
            attributes.ctx.warnings.append(f"would violate PodSecurity {quote(str(policy.warn))}: {told(found)}")

    # --- namespaces ---------------------------------------------------------------------------------------------------

    async def _check_namespace(self, attributes: Attributes) -> None:
        """Refuse new bad labels, and warn of pods that would be refused now. Raises Invalid."""
        obj, old = attributes.obj, attributes.old
        if obj is None:
            return
        policy, wrong = policy_of(labels_of(obj), self._defaults)
        before, wrong_before = policy_of(labels_of(old), self._defaults) if old is not None else (None, [])
        if wrong and wrong != wrong_before:
            raise errors.invalid_object("Namespace", "", attributes.name, wrong)
        if before is not None and not is_stricter(policy.enforce, before.enforce):
            return
        if attributes.name in self._exempt.namespaces:
            attributes.ctx.warnings += ignored(attributes.name, policy, self._defaults, labels_of(obj))
        elif before is not None:
            attributes.ctx.warnings += await self._existing(attributes, policy.enforce)

    async def _existing(self, attributes: Attributes, enforce: LevelVersion) -> list[str]:
        """What to warn of among the pods that are there. Takes no longer than upstream: what has not been looked at by then is not."""
        registries, namespace = attributes.registries, attributes.name
        end_s = registries.clock.monotonic() + existing.TIMEOUT_S
        cache, newest, tally = registries.get(PODS).cache, _newest(registries), existing.Tally()
        await cache.catch_up()
        entries = list(cache.entries(namespace))
        pods = []
        for index, entry in enumerate(entries):
            pod = cache.object_of(entry)
            if (pod.get("spec") or {}).get("runtimeClassName") not in self._exempt.runtime_classes:
                pods.append((entry, existing.controller_uid(pod)))
            if index % _TURN_PODS == 0:
                await asyncio.sleep(0)
        for entry in existing.prioritized(pods):
            pod = cache.object_of(entry)
            tally.add(entry.name, violations(enforce, Subject(pod), newest=newest))
            if tally.looked_at == existing.PODS_MAX or registries.clock.monotonic() >= end_s:
                break
            if tally.looked_at % _TURN_PODS == 0:
                await asyncio.sleep(0)
        return tally.warnings(namespace, enforce, len(pods))


def _newest(registries: Any) -> int:
    """The minor version of the Kubernetes that is played."""
    return int(registries.definitions.version.partition(".")[2])


def _template(obj: Object, path: tuple[str, ...]) -> Object | None:
    found: Any = obj
    for name in path:
        found = (found or {}).get(name)
    return found if isinstance(found, dict) else None


def is_significant(new: Object, old: Object) -> bool:
    """Whether an update of a pod changes anything that a level could care about: images, and which containers there are. Pure."""
    images = [[_images(pod, name) for name in ("containers", "initContainers")] for pod in (new, old)]
    if images[0] != images[1]:
        return True
    named = dict(_named_images(old))
    return any(name not in named or named[name] != image for name, image in _named_images(new))


def _images(pod: Object, name: str) -> list[str]:
    return [each.get("image") or "" for each in (pod.get("spec") or {}).get(name) or ()]


def _named_images(pod: Object) -> Iterator[tuple[str, str]]:
    for each in (pod.get("spec") or {}).get("ephemeralContainers") or ():
        yield each.get("name") or "", each.get("image") or ""


def is_stricter(new: LevelVersion, old: LevelVersion) -> bool:
    """Whether the new level may refuse pods that the old one allows: in another version, any but the freest may. Pure."""
    if new == old or new.level == PRIVILEGED:
        return False
    return new.minor != old.minor or strictness(new.level) > strictness(old.level)


def ignored(namespace: str, policy: Policy, defaults: Policy, labels: dict[str, str]) -> list[str]:
    """The warning that labels of an exempt namespace have no effect, where they would have one. Pure."""
    if all(mode.level == PRIVILEGED for mode in policy) or _are_equivalent(policy, defaults):
        return []
    modes = [
        f"{name}={mode}"
        for name, mode in policy._asdict().items()
        if mode.level != PRIVILEGED and (f"{PREFIX}{name}" in labels or f"{PREFIX}{name}-version" in labels)
    ]
    return [f"namespace {quote(namespace)} is exempt from Pod Security, and the policy ({', '.join(modes)}) will be ignored"]


def _are_equivalent(one: Policy, other: Policy) -> bool:
    return all(a == b or a.level == b.level == PRIVILEGED for a, b in zip(one, other, strict=True))
