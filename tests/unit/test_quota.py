"""What objects cost a quota, who is refused, what the quota controller counts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from apiserver.admission.limit_ranger import ANNOTATION, claim_violations, pod_violations, set_defaults
from apiserver.admission.resource_quota import Quota, charged
from apiserver.registry.admission import Attributes
from apiserver.registry.kind import Context, Kind, User
from controllers.manager.resource_quota import frees, plan
from kube.amounts import written
from kube.errors import Forbidden
from kube.objects import Object
from kube.quota import evaluator_of
from kube.resources import PODS, SERVICES, Resource
from kube.runtime.perform import Update

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def container(name: str = "main", requests: Object | None = None, limits: Object | None = None, **rest: Any) -> Object:
    return {"name": name, "resources": {"requests": requests or {}, "limits": limits or {}}, **rest}


def pod(*containers: Object, status: Object | None = None, metadata: Object | None = None, **spec: Any) -> Object:
    return {"metadata": {"name": "p", **(metadata or {})}, "spec": {"containers": list(containers), **spec}, "status": status or {}}


def claim(storage: str, storage_class: str = "", **status: Any) -> Object:
    spec: Object = {"resources": {"requests": {"storage": storage}}}
    return {"metadata": {"name": "c"}, "spec": spec | ({"storageClassName": storage_class} if storage_class else {}), "status": status}


def service(kind: str, ports: int = 2) -> Object:
    return {"metadata": {"name": "s"}, "spec": {"type": kind, "ports": [{"port": each + 1} for each in range(ports)]}}


def cost(plural: str, obj: Object, group: str = "") -> dict[str, str]:
    evaluator = evaluator_of(group, plural)
    assert evaluator is not None
    return written(evaluator.usage(obj, NOW))


CPU = {"cpu": "1", "memory": "1Gi"}
COUNT = {"count/pods": "1"}
HELD = {"containerStatuses": [{"name": "main", "resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "3"}}}]}

COSTS: dict[str, tuple[str, Object, dict[str, str]]] = {
    "a pod that asks for nothing is a pod": ("pods", pod(container()), COUNT | {"pods": "1"}),
    "a pod costs its requests and limits": (
        "pods",
        pod(container(requests={"cpu": "1"}), container("b", limits={"memory": "1Gi"})),
        COUNT | {"pods": "1", "cpu": "1", "requests.cpu": "1", "limits.memory": "1Gi"},
    ),
    "initialization counts where it needs more": (
        "pods",
        pod(container(requests={"cpu": "1"}), initContainers=[container("i", requests={"cpu": "3"})]),
        COUNT | {"pods": "1", "cpu": "3", "requests.cpu": "3"},
    ),
    "what runs beside is added": (
        "pods",
        pod(container(requests={"cpu": "1"}), initContainers=[container("i", requests={"cpu": "3"}, restartPolicy="Always")]),
        COUNT | {"pods": "1", "cpu": "4", "requests.cpu": "4"},
    ),
    "a pod's own requests replace those of its containers": (
        "pods",
        pod(container(requests={"cpu": "1"}), resources={"requests": {"cpu": "5"}}),
        COUNT | {"pods": "1", "cpu": "5", "requests.cpu": "5"},
    ),
    "the overhead of its runtime is added": (
        "pods",
        pod(container(requests={"cpu": "1"}, limits={"cpu": "1"}), overhead={"cpu": "100m", "memory": "1Mi"}),
        COUNT | {"pods": "1", "cpu": "1100m", "requests.cpu": "1100m", "limits.cpu": "1100m", "memory": "1Mi", "requests.memory": "1Mi"},
    ),
    "what a resized container still has counts": (
        "pods",
        pod(container(requests={"cpu": "1"}, limits={"cpu": "1"}), status=HELD),
        COUNT | {"pods": "1", "cpu": "2", "requests.cpu": "2", "limits.cpu": "3"},
    ),
    "devices cost requests alone": (
        "pods",
        pod(container(requests={"example.com/gpu": "2"}, limits={"example.com/gpu": "2"})),
        COUNT | {"pods": "1", "requests.example.com/gpu": "2"},
    ),
    "huge pages have two names": (
        "pods",
        pod(container(requests={"hugepages-2Mi": "4Mi"}, limits={"hugepages-2Mi": "4Mi"})),
        COUNT | {"pods": "1", "hugepages-2Mi": "4Mi", "requests.hugepages-2Mi": "4Mi"},
    ),
    "a pod that has ended is only counted": ("pods", pod(container(requests=CPU), status={"phase": "Succeeded"}), COUNT),
    "so is one that should be gone": (
        "pods",
        pod(container(), metadata={"deletionTimestamp": "2025-12-31T23:59:00Z", "deletionGracePeriodSeconds": 30}),
        COUNT,
    ),
    "a claim costs its storage, and again in its class": (
        "persistentvolumeclaims",
        claim("1Gi", "fast"),
        {
            "count/persistentvolumeclaims": "1",
            "persistentvolumeclaims": "1",
            "requests.storage": "1Gi",
            "fast.storageclass.storage.k8s.io/persistentvolumeclaims": "1",
            "fast.storageclass.storage.k8s.io/requests.storage": "1Gi",
        },
    ),
    "a claim that was given more costs that": (
        "persistentvolumeclaims",
        claim("1Gi", allocatedResources={"storage": "2Gi"}),
        {"count/persistentvolumeclaims": "1", "persistentvolumeclaims": "1", "requests.storage": "2Gi"},
    ),
    "a load balancer has node ports": (
        "services",
        service("LoadBalancer"),
        {"count/services": "1", "services": "1", "services.nodeports": "2", "services.loadbalancers": "1"},
    ),
    "an inner service has none": (
        "services",
        service("ClusterIP"),
        {"count/services": "1", "services": "1", "services.nodeports": "0", "services.loadbalancers": "0"},
    ),
    "a config map is counted under two names": ("configmaps", {}, {"count/configmaps": "1", "configmaps": "1"}),
}


@pytest.mark.parametrize(("plural", "obj", "expected"), COSTS.values(), ids=COSTS.keys())
def test_what_an_object_costs(plural: str, obj: Object, expected: dict[str, str]) -> None:
    assert cost(plural, obj) == expected


def test_what_a_claim_for_devices_costs() -> None:
    requests = [
        {"name": "a", "exactly": {"deviceClassName": "gpu", "allocationMode": "ExactCount", "count": 2}},
        {"name": "b", "firstAvailable": [{"deviceClassName": "gpu", "allocationMode": "All"}, {"deviceClassName": "nic", "count": 1}]},
    ]
    found = cost("resourceclaims", {"spec": {"devices": {"requests": requests}}}, "resource.k8s.io")
    assert found == {
        "count/resourceclaims.resource.k8s.io": "1",
        "gpu.deviceclass.resource.k8s.io/devices": "34",
        "nic.deviceclass.resource.k8s.io/devices": "0",
    }


def test_everything_can_be_counted_but_events_and_reviews() -> None:
    assert cost("widgets", {}, "example.com") == {"count/widgets.example.com": "1"}
    assert evaluator_of("", "events") is evaluator_of("authorization.k8s.io", "subjectaccessreviews") is None


def scope(name: str, operator: str = "Exists", *values: str) -> Object:
    return {"scopeName": name, "operator": operator, "values": list(values)}


AFFINE = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"namespaces": ["b"]}]}}


@pytest.mark.parametrize(
    ("of", "obj", "fits"),
    [
        pytest.param(scope("Terminating"), pod(activeDeadlineSeconds=5), True, id="a pod with a deadline is one that ends"),
        pytest.param(scope("NotTerminating"), pod(activeDeadlineSeconds=5), False, id="and not one that goes on"),
        pytest.param(scope("BestEffort"), pod(container()), True, id="a pod that asks for nothing is best effort"),
        pytest.param(scope("NotBestEffort"), pod(container(requests=CPU)), True, id="a pod that asks is not"),
        pytest.param(scope("PriorityClass"), pod(priorityClassName="a"), True, id="a pod with a priority class has one"),
        pytest.param(scope("PriorityClass", "In", "a", "b"), pod(priorityClassName="b"), True, id="one of those named"),
        pytest.param(scope("PriorityClass", "NotIn", "a"), pod(), True, id="a pod without a class is not in one"),
        pytest.param(scope("PriorityClass", "DoesNotExist"), pod(priorityClassName="a"), False, id="a pod with a class"),
        pytest.param(scope("CrossNamespacePodAffinity"), pod(affinity=AFFINE), True, id="affinity to another namespace"),
        pytest.param(scope("CrossNamespacePodAffinity"), pod(), False, id="no affinity"),
    ],
)
def test_the_scopes_of_pods(of: Object, obj: Object, fits: bool) -> None:
    evaluator = evaluator_of("", "pods")
    assert evaluator is not None
    assert evaluator.fits(of, obj) is fits


# --- charging ---------------------------------------------------------------------------------------------------------


def attributes(obj: Object, old: Object | None = None, of: Resource = PODS, subresource: str = "") -> Attributes:
    ctx = Context(User("u"), NOW, "create", subresource)
    return Attributes(Kind(resource=of, definition="x", singular="x"), "UPDATE" if old else "CREATE", "ns", "p", obj, old, ctx, None)


def quota(hard: Object, used: Object | None = None, **spec: Any) -> Object:
    status = {"hard": hard, "used": dict.fromkeys(hard, "0") if used is None else used}
    return {"metadata": {"name": "q", "namespace": "ns"}, "spec": {"hard": hard, **spec}, "status": status}


def charge(of: Object, request: Attributes) -> dict[str, str]:
    evaluator = evaluator_of(request.kind.resource.group, request.kind.resource.plural)
    assert evaluator is not None
    return written(charged([Quota.of(of)], request, evaluator, NOW)[0])


CHARGES: dict[str, tuple[Object, Attributes, dict[str, str]]] = {
    "what is asked for is added": (
        quota({"requests.cpu": "2", "pods": "3"}, {"requests.cpu": "1", "pods": "1"}),
        attributes(pod(container(requests=CPU))),
        {"requests.cpu": "2", "pods": "2"},
    ),
    "a quota for other pods is not touched": (
        quota({"pods": "0"}, scopes=["BestEffort"]),
        attributes(pod(container(requests=CPU))),
        {"pods": "0"},
    ),
    "one for other resources neither": (quota({"secrets": "0"}), attributes(pod(container())), {"secrets": "0"}),
    "what grows is charged the difference": (
        quota({"services.nodeports": "5"}, {"services.nodeports": "1"}),
        attributes(service("NodePort", 3), service("NodePort", 1) | {"metadata": {"name": "s", "resourceVersion": "1"}}, SERVICES),
        {"services.nodeports": "3"},
    ),
    "what shrinks gives nothing back yet": (
        quota({"services.nodeports": "5"}, {"services.nodeports": "3"}),
        attributes(service("ClusterIP"), service("NodePort") | {"metadata": {"name": "s", "resourceVersion": "1"}}, SERVICES),
        {"services.nodeports": "3"},
    ),
    "a status is charged whatever is allowed": (
        quota({"services": "1"}, {"services": "1"}),
        attributes(service("ClusterIP"), service("ClusterIP"), SERVICES, "status"),
        {"services": "2"},
    ),
    "what came into a scope is charged in full": (
        quota({"pods": "5"}, scopes=["Terminating"]),
        attributes(pod(container(), activeDeadlineSeconds=5), pod(container(), metadata={"resourceVersion": "1"})),
        {"pods": "1"},
    ),
}


@pytest.mark.parametrize(("of", "request_", "used"), CHARGES.values(), ids=CHARGES.keys())
def test_what_is_charged(of: Object, request_: Attributes, used: dict[str, str]) -> None:
    assert charge(of, request_) == used


REFUSED: dict[str, tuple[Object, Object, str]] = {
    "more than is allowed": (
        quota({"pods": "5", "cpu": "1"}, {"pods": "1", "cpu": "500m"}),
        pod(container(requests=CPU)),
        "exceeded quota: q, requested: cpu=1, used: cpu=500m, limited: cpu=1",
    ),
    "not said what is needed": (
        quota({"requests.cpu": "1", "limits.memory": "1Gi"}),
        pod(container("b"), container("a", requests={"cpu": "1"})),
        "failed quota: q: must specify limits.memory for: a,b; requests.cpu for: b",
    ),
    "not counted yet": (quota({"pods": "1"}, {}), pod(container()), "status unknown for quota: q, resources: pods"),
    "less than nothing": (
        quota({"cpu": "1"}),
        pod(container(requests={"cpu": "-1"})),
        "quota usage is negative for resource(s): cpu,requests.cpu",
    ),
}


@pytest.mark.parametrize(("of", "obj", "why"), REFUSED.values(), ids=REFUSED.keys())
def test_who_is_refused(of: Object, obj: Object, why: str) -> None:
    with pytest.raises(Forbidden) as refused:
        charge(of, attributes(obj))
    assert refused.value.message == f'pods "p" is forbidden: {why}'


def test_pod_level_requests_need_nothing_from_containers() -> None:
    assert charge(quota({"requests.cpu": "1"}), attributes(pod(container(), resources={"requests": {"cpu": "1"}}))) == {"requests.cpu": "1"}


# --- counting ---------------------------------------------------------------------------------------------------------


def test_the_status_of_a_quota() -> None:
    pods, secrets = evaluator_of("", "pods"), evaluator_of("", "secrets")
    assert pods is not None
    assert secrets is not None
    new = quota({"pods": "2", "cpu": "4", "secrets": "1", "count/widgets.example.com": "1"}, {"pods": "9", "gone": "1"})
    observed = [(pods, [pod(container(requests=CPU)), pod(container(), status={"phase": "Failed"})]), (secrets, [])]
    [update] = plan(new, observed, NOW)
    assert isinstance(update, Update)
    assert update.subresource == "status"
    assert update.obj["status"] == {"hard": new["spec"]["hard"], "used": {"pods": "1", "cpu": "1", "secrets": "0"}}
    assert plan(update.obj, observed, NOW) == []


def test_only_what_is_in_its_scope_counts() -> None:
    pods = evaluator_of("", "pods")
    assert pods is not None
    observed = [(pods, [pod(container()), pod(container(requests=CPU))])]
    [update] = plan(quota({"pods": "2"}, scopes=["BestEffort"]), observed, NOW)
    assert isinstance(update, Update)
    assert update.obj["status"]["used"] == {"pods": "1"}


def test_which_changes_free_something() -> None:
    assert frees(PODS, pod(status={"phase": "Running"}), pod(status={"phase": "Succeeded"}), NOW)
    assert not frees(PODS, pod(status={"phase": "Pending"}), pod(status={"phase": "Running"}), NOW)
    assert frees(SERVICES, service("NodePort"), service("ClusterIP"), NOW)
    assert not frees(SERVICES, service("ClusterIP"), service("ExternalName"), NOW)


# --- limit ranges -----------------------------------------------------------------------------------------------------


def limits(kind: str = "Container", **item: Any) -> Object:
    return {"spec": {"limits": [{"type": kind, **item}]}}


def test_defaults_are_given_to_what_is_left_out() -> None:
    mine = pod(container("a", requests={"cpu": "1"}), {"name": "b"}, initContainers=[{"name": "i"}])
    set_defaults(mine, limits(default={"cpu": "2", "memory": "1Gi"}, defaultRequest={"cpu": "500m"}))
    assert mine["spec"]["containers"][0]["resources"] == {"requests": {"cpu": "1"}, "limits": {"cpu": "2", "memory": "1Gi"}}
    assert mine["spec"]["initContainers"][0]["resources"]["requests"] == {"cpu": "500m"}
    assert mine["metadata"]["annotations"][ANNOTATION] == (
        "LimitRanger plugin set: cpu, memory limit for container a; cpu request for container b; cpu, memory limit for container b; "
        "cpu request for init container i; cpu, memory limit for init container i"
    )


def test_nothing_is_said_where_nothing_is_given() -> None:
    mine = pod(container("a", requests={"cpu": "1"}))
    set_defaults(mine, limits(defaultRequest={"cpu": "2"}))
    set_defaults(mine, limits("Pod", max={"cpu": "2"}))
    assert "annotations" not in mine["metadata"]


LIMITS: dict[str, tuple[Object, Object, list[str]]] = {
    "too little": (
        limits(min={"cpu": "1"}),
        pod(container(requests={"cpu": "500m"})),
        ["minimum cpu usage per Container is 1, but request is 500m"],
    ),
    "a limit that is too low": (
        limits(min={"cpu": "1"}),
        pod(container(requests={"cpu": "1"}, limits={"cpu": "500m"})),
        ["minimum cpu usage per Container is 1, but limit is 500m"],
    ),
    "nothing requested": (limits(min={"cpu": "1"}), pod(container()), ["minimum cpu usage per Container is 1.  No request is specified"]),
    "nothing limited": (limits(max={"cpu": "1"}), pod(container()), ["maximum cpu usage per Container is 1.  No limit is specified"]),
    "too much": (limits(max={"cpu": "1"}), pod(container(limits={"cpu": "2"})), ["maximum cpu usage per Container is 1, but limit is 2"]),
    "all containers together": (
        limits("Pod", max={"cpu": "3"}),
        pod(container(limits={"cpu": "2"}), container("b", limits={"cpu": "2"})),
        ["maximum cpu usage per Pod is 3, but limit is 4"],
    ),
    "too far apart": (
        limits(maxLimitRequestRatio={"cpu": "2"}),
        pod(container(requests={"cpu": "1"}, limits={"cpu": "2500m"})),
        ["cpu max limit to request ratio per Container is 2, but provided ratio is 2.500000"],
    ),
    "no ratio without a request": (
        limits(maxLimitRequestRatio={"cpu": "2"}),
        pod(container(limits={"cpu": "2"})),
        ["cpu max limit to request ratio per Container is 2, but no request is specified or request is 0"],
    ),
    "just right": (limits(min={"cpu": "1"}, max={"cpu": "1"}), pod(container(requests=CPU, limits=CPU)), []),
}


@pytest.mark.parametrize(("by", "obj", "found"), LIMITS.values(), ids=LIMITS.keys())
def test_what_a_limit_range_forbids(by: Object, obj: Object, found: list[str]) -> None:
    assert list(pod_violations(obj, by)) == found


def test_what_a_limit_range_forbids_claims() -> None:
    by = limits("PersistentVolumeClaim", min={"storage": "2Gi"}, max={"storage": "4Gi"})
    assert list(claim_violations(claim("1Gi"), by)) == ["minimum storage usage per PersistentVolumeClaim is 2Gi, but request is 1Gi"]
    assert list(claim_violations(claim("5Gi"), by)) == ["maximum storage usage per PersistentVolumeClaim is 4Gi, but request is 5Gi"]
    assert list(claim_violations(claim("3Gi"), by)) == []
