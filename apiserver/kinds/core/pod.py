"""The Pod: data, and what its writes clear and fill in. Rows are in `kinds/pod_columns.py`, rules in `validation/pod.py`.

Source: kubernetes `pkg/registry/core/pod/strategy.go`.
"""

from __future__ import annotations

from collections.abc import Sequence

from apiserver.kinds import pod_columns
from apiserver.kinds.pod_app_armor import sync_app_armor
from apiserver.kinds.pod_binding import bind, bind_named
from apiserver.kinds.pod_eviction import evict
from apiserver.kinds.pod_features import drop_disabled_fields
from apiserver.kinds.pod_resources import default_pod_level, default_requests
from apiserver.kinds.podspec import default_pod_spec
from apiserver.registry.kind import Context, Kind, Subresource, all_fine, nothing
from apiserver.validation import pod as validation
from apiserver.validation.metadata import same
from kube.clock import rfc3339
from kube.memo import Memo, bytes_of
from kube.objects import Object
from kube.pod_amounts import qos_class
from kube.resources import PODS, Resource

_KEPT_BY_PARTS = ("deletionTimestamp", "deletionGracePeriodSeconds", "ownerReferences", "labels", "annotations", "finalizers")


# --- defaults ---------------------------------------------------------------------------------------------------------


def default(pod: Object) -> None:
    """Defaults of a Pod, in place."""
    spec = pod.setdefault("spec", {})
    if (spec.get("terminationGracePeriodSeconds") or 0) < 0:
        spec["terminationGracePeriodSeconds"] = 1  # upstream's conversion, for Pods and not for templates
    default_pod_spec(spec)
    default_requests(spec)
    default_pod_level(spec)
    if spec.get("enableServiceLinks") is None:
        spec["enableServiceLinks"] = True
    if spec.get("hostNetwork"):
        _default_host_ports(spec)
    default_status(pod)


def default_status(pod: Object) -> None:
    """Defaults of what is written to pods/status, in place."""
    if pod.get("status"):
        _sync_addresses(pod["status"])


def _default_host_ports(spec: Object) -> None:
    """On the host's network, a container's port is the host's port."""
    for name in ("containers", "initContainers"):
        for container in spec.get(name) or ():
            for port in container.get("ports") or ():
                if not port.get("hostPort") and port.get("containerPort"):
                    port["hostPort"] = port["containerPort"]


def _sync_addresses(status: Object) -> None:
    """podIP is the first of podIPs; where both are given and differ, podIP wins (older node agents know only that one)."""
    single, several = status.get("podIP"), status.get("podIPs")
    if single and (not several or several[0].get("ip") != single):
        status["podIPs"] = [{"ip": single}]
    elif several and several[0].get("ip"):
        status["podIP"] = several[0]["ip"]


# --- writes -----------------------------------------------------------------------------------------------------------


def prepare(pod: Object, old: Object | None, ctx: Context) -> None:
    """A write of the Pod itself: the status is the server's on create, and stays on update."""
    if old is None:
        sync_app_armor(pod, ctx)
        _prepare_new(pod, ctx)
        return
    _keep_status(pod, old)
    drop_disabled_fields(pod["spec"], old["spec"])
    _count_generation(pod, old)


_PLAIN: Memo[str] = Memo()
"""The QoS classes of specs that new pods take as they are: without disabled fields, scheduling gates and label keys."""


def _prepare_new(pod: Object, ctx: Context) -> None:
    spec = pod["spec"]
    pod["metadata"]["generation"] = 1
    text = bytes_of(spec)
    known = _PLAIN.get(text)
    pod["status"] = {"phase": "Pending", "qosClass": known or qos_class(spec)}
    if known is not None:
        return
    drop_disabled_fields(spec, None)
    if spec.get("schedulingGates"):
        pod["status"]["conditions"] = [_gated_condition(rfc3339(ctx.now))]
    elif text is not None and b"atchLabelKeys" not in text and bytes_of(spec) == text:
        _PLAIN.put(text, pod["status"]["qosClass"])
    _apply_label_keys(spec, pod["metadata"].get("labels") or {})


def _gated_condition(now: str) -> Object:
    return {
        "type": "PodScheduled",
        "status": "False",
        "lastProbeTime": None,
        "lastTransitionTime": now,
        "reason": "SchedulingGated",
        "message": "Scheduling is blocked due to non-empty scheduling gates",
    }


def _apply_label_keys(spec: Object, labels: Object) -> None:
    """matchLabelKeys and mismatchLabelKeys become requirements on the values that the pod's own labels have."""
    for name in ("podAffinity", "podAntiAffinity"):
        terms = (spec.get("affinity") or {}).get(name) or {}
        required = terms.get("requiredDuringSchedulingIgnoredDuringExecution") or ()
        preferred = terms.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
        for term in (*(each.get("podAffinityTerm") or {} for each in preferred), *required):
            _require_labels(term, "matchLabelKeys", "In", labels)
            _require_labels(term, "mismatchLabelKeys", "NotIn", labels)
    for constraint in spec.get("topologySpreadConstraints") or ():
        _require_labels(constraint, "matchLabelKeys", "In", labels)


def _require_labels(term: Object, keys: str, operator: str, labels: Object) -> None:
    selector = term.get("labelSelector")
    if selector is None:
        return
    found = [{"key": key, "operator": operator, "values": [labels[key]]} for key in term.get(keys) or () if key in labels]
    if found:
        selector["matchExpressions"] = [*(selector.get("matchExpressions") or ()), *found]


def _keep_status(pod: Object, old: Object) -> None:
    if "status" in old:
        pod["status"] = old["status"]
    else:
        pod.pop("status", None)


def _count_generation(pod: Object, old: Object) -> None:
    generation = old["metadata"].get("generation") or 0
    if not same(pod["spec"], old["spec"]):
        generation += 1
    if generation:
        pod["metadata"]["generation"] = generation


def prepare_status(pod: Object, old: Object | None, _ctx: Context) -> None:
    """A write of pods/status: labels and annotations may change too, spec and owners may not."""
    assert old is not None
    pod["spec"] = old["spec"]
    _keep_metadata(pod, old, ("deletionTimestamp", "deletionGracePeriodSeconds", "ownerReferences"))
    status, before = pod.setdefault("status", {}), old.get("status") or {}
    for field in ("qosClass", "observedGeneration"):
        if not status.get(field) and before.get(field):
            status[field] = before[field]
    _keep_observed_generations(status, before)
    if status.get("conditions"):
        for condition in status["conditions"]:
            condition.setdefault("lastProbeTime", None)
            condition.setdefault("lastTransitionTime", None)


def _keep_observed_generations(status: Object, before: Object) -> None:
    """A condition that comes without observedGeneration keeps the one it had, type by type in order."""
    had: dict[str, list[int]] = {}
    for condition in before.get("conditions") or ():
        had.setdefault(condition.get("type", ""), []).append(condition.get("observedGeneration") or 0)
    for condition in status.get("conditions") or ():
        generations = had.get(condition.get("type", ""))
        generation = generations.pop(0) if generations else 0
        if generation and not condition.get("observedGeneration"):
            condition["observedGeneration"] = generation


def _keep_metadata(new: Object, old: Object, fields: Sequence[str]) -> None:
    for field in fields:
        if field in old["metadata"]:
            new["metadata"][field] = old["metadata"][field]
        else:
            new["metadata"].pop(field, None)


def prepare_ephemeral_containers(pod: Object, old: Object | None, _ctx: Context) -> None:
    """A write of pods/ephemeralcontainers changes that list alone."""
    assert old is not None
    added = pod["spec"].get("ephemeralContainers")
    pod["spec"] = {key: value for key, value in old["spec"].items() if key != "ephemeralContainers"}
    if added:
        pod["spec"]["ephemeralContainers"] = added
    _keep_metadata(pod, old, _KEPT_BY_PARTS)
    _keep_status(pod, old)
    drop_disabled_fields(pod["spec"], old["spec"])
    _count_generation(pod, old)


def prepare_resize(pod: Object, old: Object | None, _ctx: Context) -> None:
    """A write of pods/resize changes resources and resize policies alone; renamed or reordered containers are left for validation."""
    assert old is not None
    new_spec, old_spec = pod["spec"], old["spec"]
    lists = ("containers", "initContainers")
    if all(len(new_spec.get(name) or ()) == len(old_spec.get(name) or ()) for name in lists):
        spec = dict(old_spec)
        for name in lists:
            if new_spec.get(name):
                spec[name] = _resized(new_spec[name], old_spec[name])
        if "resources" in new_spec:
            spec["resources"] = new_spec["resources"]
        else:
            spec.pop("resources", None)
        pod["spec"] = spec
        _keep_metadata(pod, old, _KEPT_BY_PARTS)
        _keep_status(pod, old)
    _count_generation(pod, old)


def _resized(new: list[Object], old: list[Object]) -> list[Object]:
    if [each.get("name") for each in new] != [each.get("name") for each in old]:
        return new
    merged = []
    for container, before in zip(new, old, strict=True):
        kept = {key: value for key, value in before.items() if key not in ("resources", "resizePolicy")}
        taken = {key: container[key] for key in ("resources", "resizePolicy") if key in container}
        merged.append(kept | taken)
    return merged


def grace_period(pod: Object, asked_s: int | None) -> int:
    """Seconds between the delete and the end: asked for, else the pod's own; none for what does not run on a node."""
    seconds = asked_s if asked_s is not None else pod["spec"].get("terminationGracePeriodSeconds") or 0
    if not pod["spec"].get("nodeName") or pod.get("status", {}).get("phase") in ("Succeeded", "Failed"):
        return 0
    return 1 if seconds < 0 else seconds


# --- data -------------------------------------------------------------------------------------------------------------


def _first_address(pod: Object) -> str:
    return str(((pod.get("status") or {}).get("podIPs") or [{}])[0].get("ip") or "")


def _node_name(pod: Object) -> str:
    return pod["spec"].get("nodeName") or ""


def _host_network(pod: Object) -> str:
    return "true" if pod["spec"].get("hostNetwork") else "false"


def _connect(name: str, kind: str, verbs: tuple[str, ...] = ("create", "get")) -> Subresource:
    return Subresource(name, verbs, kind=kind, definition=f"io.k8s.api.core.v1.{kind}" if kind == "Pod" else "", connect=True)


SUBRESOURCES = (
    _connect("attach", "PodAttachOptions"),
    Subresource(
        "binding",
        ("create",),
        kind="Binding",
        definition="io.k8s.api.core.v1.Binding",
        prepare=nothing,
        validate=all_fine,
        create=bind,
    ),
    Subresource(
        "ephemeralcontainers",
        prepare=prepare_ephemeral_containers,
        validate=validation.validate_ephemeral_containers_update,
        metadata_passes=("update", "create"),
    ),
    Subresource(
        "eviction", ("create",), group="policy", version="v1", kind="Eviction", definition="io.k8s.api.policy.v1.Eviction", create=evict
    ),
    _connect("exec", "PodExecOptions"),
    _connect("log", "Pod", ("get",)),
    _connect("portforward", "PodPortForwardOptions"),
    _connect("proxy", "PodProxyOptions", ("create", "delete", "get", "patch", "update")),
    Subresource("resize", prepare=prepare_resize, validate=validation.validate_resize, metadata_passes=("update", "create")),
    Subresource(
        "status",
        default=default_status,
        prepare=prepare_status,
        validate=validation.validate_status_update,
        reset_fields=(("spec",), ("metadata", "deletionTimestamp"), ("metadata", "ownerReferences")),
    ),
)

POD = Kind(
    resource=PODS,
    definition="io.k8s.api.core.v1.Pod",
    singular="pod",
    short_names=("po",),
    categories=("all",),
    subresources=SUBRESOURCES,
    columns=pod_columns.COLUMNS,
    row=pod_columns.row,
    row_conditions=pod_columns.row_conditions,
    selectable={
        "spec.nodeName": _node_name,
        "spec.host": _node_name,  # what it was called once
        "spec.restartPolicy": lambda pod: pod["spec"].get("restartPolicy") or "",
        "spec.schedulerName": lambda pod: pod["spec"].get("schedulerName") or "",
        "spec.serviceAccountName": lambda pod: pod["spec"].get("serviceAccountName") or "",
        "spec.hostNetwork": _host_network,
        "status.phase": lambda pod: (pod.get("status") or {}).get("phase") or "",
        "status.podIP": _first_address,
        "status.podIPs": lambda pod: "",  # upstream knows the name, but never fills it in
        "status.nominatedNodeName": lambda pod: (pod.get("status") or {}).get("nominatedNodeName") or "",
    },
    default=default,
    alike=True,
    prepare=prepare,
    validate=validation.validate,
    grace_period=grace_period,
    delete_answers_object=True,
)

BINDING = Kind(
    resource=Resource("", "v1", "bindings", "Binding"),
    definition="io.k8s.api.core.v1.Binding",
    singular="binding",
    verbs=("create",),
    create=bind_named,
)
"""The older way to bind a pod, a POST to the namespace's bindings."""

KINDS = [POD, BINDING]
