"""What is odd in a pod or a pod template, though valid: warnings for whoever writes it by hand.

Runs for every new pod, so that what is not there costs next to nothing. Source: kubernetes `pkg/api/pod/warnings.go`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from apiserver.validation.names import is_dns1123_label
from apiserver.validation.node_labels import DEPRECATED_LABELS, selector_warnings, term_warnings
from apiserver.validation.pod_annotations import APP_ARMOR, SECCOMP_CONTAINER, SECCOMP_POD, is_of_interest
from apiserver.validation.security_context import containers_with_paths
from apiserver.validation.volume_claim import claim_warnings
from kube.errors import quoted
from kube.memo import Memo, bytes_of
from kube.objects import Object
from kube.quantity import parse

_ANNOTATIONS = {
    "scheduler.alpha.kubernetes.io/critical-pod": 'non-functional in v1.16+; use the "priorityClassName" field instead',
    "security.alpha.kubernetes.io/sysctls": 'non-functional in v1.11+; use the "sysctls" field instead',
    "security.alpha.kubernetes.io/unsafe-sysctls": 'non-functional in v1.11+; use the "sysctls" field instead',
}
_VOLUMES = {
    "photonPersistentDisk": "deprecated in v1.11, non-functional in v1.16+",
    "gitRepo": "deprecated in v1.11",
    "scaleIO": "deprecated in v1.16, non-functional in v1.22+",
    "flocker": "deprecated in v1.22, non-functional in v1.25+",
    "storageos": "deprecated in v1.22, non-functional in v1.25+",
    "quobyte": "deprecated in v1.22, non-functional in v1.25+",
    "glusterfs": "deprecated in v1.25, non-functional in v1.26+",
    "cephfs": "deprecated in v1.28, non-functional in v1.31+",
    "rbd": "deprecated in v1.28, non-functional in v1.31+",
}
_SHOWN = {"storageos": "storageOS"}  # named by upstream after its Go field
_NO_SELECTOR = "a null labelSelector results in matching no pod"
_SECCOMP = 'non-functional in v1.27+; use the "seccompProfile" field instead'
APP_ARMOR_WARNING = 'deprecated since v1.30; use the "appArmorProfile" field instead'
_LABEL_ADVISED = "which can result in surprising behavior; a DNS label is recommended: [{}]"

Found = Iterator[str]


class Warned(Protocol):
    """Who can be warned: the context of a request."""

    warnings: list[str]


def name_warnings(name: str, used_in: str) -> list[str]:
    """A name that will be a hostname should be a DNS label."""
    problems = is_dns1123_label(name)
    return [f"metadata.name: this is used in {used_in}, {_LABEL_ADVISED.format(' '.join(problems))}"] if problems else []


def warn_of_template(ctx: Warned | None, new: Object, old: Object | None, *, named: bool = True) -> None:
    """Warnings about the pod template of a workload that is created, or whose spec changes; about its name on create, where pods
    are `named` after it."""
    if ctx is None:
        return
    if old is None and named:
        ctx.warnings += name_warnings(new["metadata"].get("name") or "", "Pod names and hostnames")
    if is_new_generation(new, old):
        ctx.warnings += template_warnings(new["spec"].get("template"), "spec.template")


def is_new_generation(new: Object, old: Object | None) -> bool:
    return old is None or new["metadata"].get("generation") != old["metadata"].get("generation")


def template_warnings(template: Object | None, path: str) -> list[str]:
    if template is None:
        return []
    return pod_warnings(template.get("spec") or {}, (template.get("metadata") or {}).get("annotations"), f"{path}.", is_template=True)


def pod_warnings(spec: Object, annotations: Mapping[str, str] | None, prefix: str = "", *, is_template: bool = False) -> list[str]:
    """All of them, in upstream's order. `prefix`: where the pod is, with a dot behind ("" for a Pod itself)."""
    text = bytes_of(spec) if not annotations or not is_of_interest(annotations) else None
    key = (text, prefix, is_template)
    known = _KNOWN.get(key) if text is not None else None
    if known is not None:
        return list(known)
    found = _pod_warnings(spec, annotations, prefix, is_template=is_template)
    if text is not None:
        _KNOWN.put(key, tuple(found))
    return found


_KNOWN: Memo[tuple[str, ...]] = Memo()
"""The warnings of specs whose annotations say nothing; most pods share theirs with many others."""


def _pod_warnings(spec: Object, annotations: Mapping[str, str] | None, prefix: str, *, is_template: bool) -> list[str]:
    at = f"{prefix}spec"
    found = [*_node_labels(spec, at), *_spread(spec, at)]
    marked = annotations if annotations and is_of_interest(annotations) else {}
    found += [f"{prefix}metadata.annotations[{key}]: {why}" for key, why in _ANNOTATIONS.items() if key in marked]
    if spec.get("volumes"):
        found += [*_volumes(spec["volumes"], f"{at}.volumes"), *_overlapping_paths(spec["volumes"])]
    found += [*_duplicates(spec, at), *_overhead(spec.get("overhead") or {}, f"{at}.overhead")]
    if SECCOMP_POD in marked and not (spec.get("securityContext") or {}).get("seccompProfile"):
        found.append(f"{prefix}metadata.annotations[{SECCOMP_POD}]: {_SECCOMP}")
    for container, path in containers_with_paths(spec, at):
        if marked:
            found += _container_annotations(container, spec, marked, prefix, is_template=is_template)
        found += [*_fractions(container, path), *_environment(container, path)]
    found += _ports(spec, at)
    if (spec.get("terminationGracePeriodSeconds") or 0) < 0:
        found.append(f"{at}.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1")
    return [*found, *_pod_affinity(spec.get("affinity") or {}, f"{at}.affinity")]


# --- scheduling -------------------------------------------------------------------------------------------------------


def _node_labels(spec: Object, path: str) -> Found:
    for key in spec.get("nodeSelector") or ():
        if key in DEPRECATED_LABELS:
            yield f"{path}.nodeSelector[{key}]: {DEPRECATED_LABELS[key]}"
    nodes = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    at = f"{path}.affinity.nodeAffinity"
    required = nodes.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    yield from selector_warnings(required, f"{at}.requiredDuringSchedulingIgnoredDuringExecution")
    for index, weighted in enumerate(nodes.get("preferredDuringSchedulingIgnoredDuringExecution") or ()):
        yield from term_warnings(
            weighted.get("preference") or {}, f"{at}.preferredDuringSchedulingIgnoredDuringExecution[{index}].preference"
        )


def _spread(spec: Object, path: str) -> Found:
    for index, constraint in enumerate(spec.get("topologySpreadConstraints") or ()):
        at, key = f"{path}.topologySpreadConstraints[{index}]", constraint.get("topologyKey") or ""
        if key in DEPRECATED_LABELS:
            yield f"{at}.topologyKey: {key} is {DEPRECATED_LABELS[key]}"
        if constraint.get("labelSelector") is None:
            yield f"{at}.labelSelector: {_NO_SELECTOR}"


def _pod_affinity(affinity: Object, path: str) -> Found:
    for name in ("podAffinity", "podAntiAffinity"):
        terms = affinity.get(name) or {}
        for index, term in enumerate(terms.get("requiredDuringSchedulingIgnoredDuringExecution") or ()):
            if term.get("labelSelector") is None:
                yield f"{path}.{name}.requiredDuringSchedulingIgnoredDuringExecution[{index}].labelSelector: {_NO_SELECTOR}"
        for index, weighted in enumerate(terms.get("preferredDuringSchedulingIgnoredDuringExecution") or ()):
            if (weighted.get("podAffinityTerm") or {}).get("labelSelector") is None:
                at = f"{path}.{name}.preferredDuringSchedulingIgnoredDuringExecution[{index}]"
                yield f"{at}.podAffinityTerm.labelSelector: {_NO_SELECTOR}"


# --- volumes ----------------------------------------------------------------------------------------------------------


def _volumes(volumes: list[Object], path: str) -> Found:
    for index, volume in enumerate(volumes):
        for name, why in _VOLUMES.items():
            if volume.get(name) is not None:
                yield f"{path}[{index}].{_SHOWN.get(name, name)}: {why}"
        template = (volume.get("ephemeral") or {}).get("volumeClaimTemplate")
        if template is not None:
            yield from claim_warnings(template.get("spec") or {}, f"{path}[{index}].ephemeral.volumeClaimTemplate.spec")


def _overlapping_paths(volumes: list[Object]) -> Found:
    """Files of a volume that would be written over each other."""
    for volume in volumes:
        name = volume.get("name") or ""
        for kind, field, key in (
            ("ConfigMap", "configMap", "name"),
            ("Secret", "secret", "secretName"),
            ("DownwardAPI", "downwardAPI", ""),
        ):
            source = volume.get(field) or {}
            if source.get("items"):
                of = f" {quoted(source.get(key) or '')}" if key else ""
                yield from _overlaps(_paths(source), f"volume {quoted(name)} ({kind}{of})")
        if volume.get("projected") is not None:
            yield from _projected(volume["projected"].get("sources") or (), f"volume {quoted(name)} (Projected")


def _projected(sources: Iterable[Object], what: str) -> Found:
    seen: set[str] = set()
    for source in sources:
        if all(value is None for value in source.values()):
            yield f"{what}) has no sources provided"
            continue
        paths, of = _projected_paths(source)
        if not paths:
            continue
        yield from _overlaps(paths, f"{what} {of})")
        yield from _overlaps(sorted([*set(paths), *seen]), f"{what} {of})")
        seen |= set(paths)


def _projected_paths(source: Object) -> tuple[list[str], str]:
    for kind, field in (("ConfigMap", "configMap"), ("Secret", "secret")):
        if (source.get(field) or {}).get("items"):
            return _paths(source[field]), f"{kind} {quoted(source[field].get('name') or '')}"
    if (source.get("downwardAPI") or {}).get("items"):
        return _paths(source["downwardAPI"]), "DownwardAPI"
    if source.get("serviceAccountToken") is not None:
        return [source["serviceAccountToken"].get("path") or ""], "ServiceAccountToken"
    if source.get("clusterTrustBundle") is not None:
        bundle = source["clusterTrustBundle"]
        return [bundle.get("path") or ""], f"ClusterTrustBundle {quoted(bundle.get('name') or bundle.get('signerName') or '')}"
    return [], ""


def _paths(source: Object) -> list[str]:
    return [item.get("path") or "" for item in source["items"]]


def _overlaps(paths: Iterable[str], what: str) -> Found:
    seen: list[str] = []
    for path in paths:
        plain = path.rstrip("/")
        for other in seen:
            if other and plain and (f"{other}/".startswith(plain) or f"{plain}/".startswith(other)):
                yield f"{what}: overlapping paths: {quoted(plain)} with {quoted(other)}"
                break
        if plain not in seen:
            seen.append(plain)


# --- lists and amounts ------------------------------------------------------------------------------------------------


def _duplicates(spec: Object, path: str) -> Found:
    for name, key in (("hostAliases", "ip"), ("imagePullSecrets", "name")):
        seen: set[str] = set()
        for index, item in enumerate(spec.get(name) or ()):
            value = item.get(key) or ""
            if value in seen:
                yield f"{path}.{name}[{index}].{key}: duplicate {key} {quoted(value)}"
            seen.add(value)
    for index, secret in enumerate(spec.get("imagePullSecrets") or ()):
        if not secret.get("name"):
            yield f'{path}.imagePullSecrets[{index}].name: invalid empty name ""'


def _overhead(overhead: Object, path: str) -> Found:
    for name in ("memory", "ephemeral-storage"):
        yield from _fraction(overhead.get(name), f"{path}[{name}]")


def _fraction(text: Any, path: str) -> Found:
    if text is not None and parse(text).milli_value() % 1000:
        yield f"{path}: fractional byte value {quoted(text)} is invalid, must be an integer"


def _fractions(container: Object, path: str) -> Found:
    resources = container.get("resources")
    if resources:
        for name in ("memory", "ephemeral-storage"):
            for part in ("limits", "requests"):
                yield from _fraction((resources.get(part) or {}).get(name), f"{path}.resources.{part}[{name}]")


# --- containers -------------------------------------------------------------------------------------------------------


def _container_annotations(container: Object, spec: Object, annotations: Mapping[str, str], prefix: str, *, is_template: bool) -> Found:
    """The old annotations without their fields. For Pods, AppArmor's has become the field already, with its own warning."""
    name, security = container.get("name") or "", container.get("securityContext") or {}
    if not security.get("seccompProfile") and SECCOMP_CONTAINER + name in annotations:
        yield f"{prefix}metadata.annotations[{SECCOMP_CONTAINER}{name}]: {_SECCOMP}"
    profile = security.get("appArmorProfile") or (spec.get("securityContext") or {}).get("appArmorProfile")
    if is_template and not profile and APP_ARMOR + name in annotations:
        yield f"{prefix}metadata.annotations[{APP_ARMOR}{name}]: {APP_ARMOR_WARNING}"


def _environment(container: Object, path: str) -> Found:
    """A variable set again hides the first one, unless it builds on it."""
    seen: set[str] = set()
    for index, variable in enumerate(container.get("env") or ()):
        name, value = variable.get("name") or "", variable.get("value") or ""
        reference = f"$({name})"
        if name in seen and (variable.get("valueFrom") is not None or value == reference or reference not in value):
            yield f"{path}.env[{index}]: hides previous definition of {quoted(name)}, which may be dropped when using apply"
        seen.add(name)


def _ports(spec: Object, path: str) -> Found:
    seen: dict[tuple[int, str], list[tuple[str, Object]]] = defaultdict(list)
    names: dict[str, str] = {}
    for container, at in containers_with_paths(spec, path):
        for index, port in enumerate(container.get("ports") or ()):
            here = f"{at}.ports[{index}]"
            if port.get("hostIP") and not port.get("hostPort"):
                yield f"{here}: hostIP set without hostPort: {_go_port(port)}"
            others = seen[port.get("containerPort") or 0, port.get("protocol") or ""]
            for there, other in others:
                if clash := _clash(port, other):
                    yield f"{here}: {clash} port definition with {there}"
            others.append((here, port))
            name = port.get("name")
            if name and name in names:
                effect = f"services and probes that select ports by name will use {names[name]}"
                yield f"{here}: duplicate port name {quoted(name)} with {names[name]}, {effect}"
            elif name:
                names[name] = here


def _clash(port: Object, other: Object) -> str:
    """How two equal container ports are in each other's way; "" when they are not."""
    mine, theirs = port.get("hostPort") or 0, other.get("hostPort") or 0
    my_ip, their_ip = port.get("hostIP") or "", other.get("hostIP") or ""
    if mine == theirs and my_ip == their_ip:
        return "duplicate"
    if not mine or not theirs:
        return "overlapping"
    return "dangerously ambiguous" if mine == theirs and bool(my_ip) != bool(their_ip) else ""


def _go_port(port: Object) -> str:
    """As Go prints upstream's struct."""
    fields = (("Name", ""), ("HostPort", 0), ("ContainerPort", 0), ("Protocol", ""), ("HostIP", ""))
    shown = [f"{name}:{port.get('hostIP' if name == 'HostIP' else name[0].lower() + name[1:]) or empty}" for name, empty in fields]
    return "{" + " ".join(shown) + "}"
