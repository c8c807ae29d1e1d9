"""The rules of pods: what is refused, where, and in upstream's words."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

import pytest

from apiserver.kinds.core.pod import POD
from apiserver.registry.kind import Context, User
from apiserver.validation import pod as validation
from apiserver.validation.pod_warnings import name_warnings, pod_warnings, template_warnings
from kube.errors import FieldError
from kube.objects import Object

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)


def made(spec: Object | None = None, container: Object | None = None, **metadata: Any) -> Object:
    """A new pod with one container, as it would be stored."""
    main = {"name": "main", "image": "a:1", **(container or {})}
    meta = {"name": "web", "namespace": "default", **metadata}
    pod: Object = {"metadata": meta, "spec": {"containers": [main], "serviceAccountName": "default", **(spec or {})}}
    POD.default(pod)
    POD.prepare(pod, None, Context(User("admin"), NOW, "create"))
    return pod


def said(errors: object) -> list[str]:
    assert isinstance(errors, list | tuple)
    assert all(isinstance(each, FieldError) for each in errors)
    return [str(each) for each in errors]


AT = "spec.containers[0]"
CREATED: list[tuple[str, Object, list[str]]] = [
    ("a minimal pod is fine", made(), []),
    ("a container needs an image", made(container={"image": ""}), [f"{AT}.image: Required value"]),
    ("a container needs a name", made(container={"name": ""}), [f"{AT}.name: Required value"]),
    (
        "two containers cannot share a name",
        made({"containers": [{"name": "a", "image": "a:1"}, {"name": "a", "image": "a:1"}]}),
        ['spec.containers[1].name: Duplicate value: "a"'],
    ),
    (
        "a request cannot be above its limit",
        made(container={"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}}),
        [f'{AT}.resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1'],
    ),
    (
        "a mount needs its volume",
        made(container={"volumeMounts": [{"name": "v", "mountPath": "/v"}]}),
        [f'{AT}.volumeMounts[0].name: Not found: "v"'],
    ),
    (
        "a probe has one handler",
        made(container={"livenessProbe": {}}),
        [f"{AT}.livenessProbe: Required value: must specify a handler type"],
    ),
    (
        "ports end at 65535",
        made(container={"ports": [{"containerPort": 65536}]}),
        [f"{AT}.ports[0].containerPort: Invalid value: 65536: must be between 1 and 65535, inclusive"],
    ),
    (
        "restart policies are three",
        made({"restartPolicy": "Sometimes"}),
        ['spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never"'],
    ),
    (
        "ephemeral containers come later",
        made({"ephemeralContainers": [{"name": "debug", "image": "a:1"}]}),
        ["spec.ephemeralContainers: Forbidden: cannot be set on create"],
    ),
    (
        "gates and a node exclude each other",
        made({"nodeName": "n", "schedulingGates": [{"name": "g"}]}),
        ["spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared"],
    ),
    (
        "all errors come at once, in order",
        made({"dnsPolicy": "X", "hostname": "A_b"}, {"image": ""}),
        [
            f"{AT}.image: Required value",
            'spec.dnsPolicy: Unsupported value: "X": supported values: "ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"',
            "spec.hostname: Invalid value: \"A_b\": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
            "and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', "
            "regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
        ],
    ),
]


@pytest.mark.parametrize(("pod", "expected"), [each[1:] for each in CREATED], ids=[each[0] for each in CREATED])
def test_new_pods(pod: Object, expected: list[str]) -> None:
    assert said(validation.validate(pod, None)) == expected


# --- updates ----------------------------------------------------------------------------------------------------------


def edited(pod: Object, **spec: Any) -> Object:
    new = copy.deepcopy(pod)
    new["spec"] |= copy.deepcopy(spec)
    POD.default(new)
    return new


OLD = made({"tolerations": [{"key": "a", "operator": "Exists"}], "activeDeadlineSeconds": 50})
UPDATED: list[tuple[str, Object, list[str]]] = [
    ("nothing changes", edited(OLD), []),
    ("the image may change", edited(OLD, containers=[{**OLD["spec"]["containers"][0], "image": "b:2"}]), []),
    ("the deadline may come nearer", edited(OLD, activeDeadlineSeconds=10), []),
    (
        "the deadline may not move away",
        edited(OLD, activeDeadlineSeconds=51),
        ["spec.activeDeadlineSeconds: Invalid value: 51: must be less than or equal to previous value"],
    ),
    ("tolerations may be added", edited(OLD, tolerations=[*OLD["spec"]["tolerations"], {"key": "b", "operator": "Exists"}]), []),
    (
        "tolerations may not go",
        edited(OLD, tolerations=[]),
        ["spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds"],
    ),
    (
        "containers may not be added",
        edited(OLD, containers=[*OLD["spec"]["containers"], {"name": "b", "image": "b:1"}]),
        ["spec.containers: Forbidden: pod updates may not add or remove containers"],
    ),
]


@pytest.mark.parametrize(("pod", "expected"), [each[1:] for each in UPDATED], ids=[each[0] for each in UPDATED])
def test_changed_pods(pod: Object, expected: list[str]) -> None:
    assert said(validation.validate(pod, OLD)) == expected


def test_that_anything_else_may_not_change() -> None:
    (error,) = said(validation.validate(edited(OLD, nodeName="n2"), OLD))
    assert error.startswith("spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`")


def test_that_a_gated_pods_node_selector_may_only_grow() -> None:
    old = made({"schedulingGates": [{"name": "g"}], "nodeSelector": {"a": "b"}})
    assert said(validation.validate(edited(old, nodeSelector={"a": "b", "c": "d"}), old)) == []
    (error,) = said(validation.validate(edited(old, nodeSelector={"a": "c"}), old))
    assert error.startswith("spec.nodeSelector: Invalid value: ")
    assert error.endswith("only additions to spec.nodeSelector are allowed (no mutations or deletions)")


# --- resize and status ------------------------------------------------------------------------------------------------


def sized(cpu: str, **more: str) -> Object:
    return made(container={"resources": {"requests": {"cpu": cpu, **more}}})


def test_that_a_resize_may_change_cpu_and_memory() -> None:
    assert said(validation.validate_resize(sized("2"), sized("1"))) == []


def test_that_a_resize_may_not_change_the_qos_class_or_remove_requests() -> None:
    errors = said(validation.validate_resize(made(), sized("1")))
    assert errors == [
        'spec: Invalid value: "BestEffort": Pod QOS Class may not change as a result of resizing',
        "spec.containers[0].resources.requests: Forbidden: resource requests cannot be removed",
    ]


def test_that_a_resize_may_not_change_other_resources() -> None:
    new, old = (sized("1", **{"ephemeral-storage": size}) for size in ("2Gi", "1Gi"))
    assert said(validation.validate_resize(new, old)) == ["spec: Forbidden: only cpu and memory resources are mutable"]


STATUSES: list[tuple[str, Object, list[str]]] = [
    ("addresses and conditions are fine", {"podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}]}, []),
    (
        "a generation is not negative",
        {"observedGeneration": -1},
        ["status.observedGeneration: Invalid value: -1: must be a non-negative integer"],
    ),
    ("the QoS class stays", {"qosClass": "Guaranteed"}, ['status.qosClass: Invalid value: "Guaranteed": field is immutable']),
]


@pytest.mark.parametrize(("status", "expected"), [each[1:] for each in STATUSES], ids=[each[0] for each in STATUSES])
def test_statuses(status: Object, expected: list[str]) -> None:
    old = made()
    new = {**old, "status": {**old["status"], **status}}
    assert said(validation.validate_status_update(new, old)) == expected


# --- warnings ---------------------------------------------------------------------------------------------------------

NO_SELECTOR = "a null labelSelector results in matching no pod"
WARNED: list[tuple[str, Object, list[str]]] = [
    ("a plain pod warns of nothing", made(), []),
    (
        "a port given twice",
        made(container={"ports": [{"containerPort": 80, "name": "http"}, {"containerPort": 80}]}),
        [f"{AT}.ports[1]: duplicate port definition with {AT}.ports[0]"],
    ),
    (
        "a host address without a host port",
        made(container={"ports": [{"containerPort": 80, "hostIP": "10.0.0.1"}]}),
        [f"{AT}.ports[0]: hostIP set without hostPort: {{Name: HostPort:0 ContainerPort:80 Protocol:TCP HostIP:10.0.0.1}}"],
    ),
    (
        "a hidden variable",
        made(container={"env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]}),
        [f'{AT}.env[1]: hides previous definition of "A", which may be dropped when using apply'],
    ),
    (
        "a variable that builds on itself is fine",
        made(container={"env": [{"name": "A", "value": "1"}, {"name": "A", "value": "$(A)2"}]}),
        [],
    ),
    (
        "half a byte",
        made(container={"resources": {"requests": {"memory": "500m"}}}),
        [f'{AT}.resources.requests[memory]: fractional byte value "500m" is invalid, must be an integer'],
    ),
    (
        "an old node label",
        made({"nodeSelector": {"beta.kubernetes.io/os": "linux"}}),
        ['spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use "kubernetes.io/os" instead'],
    ),
    (
        "a volume of the past",
        made({"volumes": [{"name": "v", "rbd": {"image": "i", "monitors": ["m"]}}]}),
        ["spec.volumes[0].rbd: deprecated in v1.28, non-functional in v1.31+"],
    ),
    (
        "files over each other",
        made({"volumes": [{"name": "v", "configMap": {"name": "c", "items": [{"key": "a", "path": "x"}, {"key": "b", "path": "x/y"}]}}]}),
        ['volume "v" (ConfigMap "c"): overlapping paths: "x/y" with "x"'],
    ),
    ("a source that says nothing more", made({"volumes": [{"name": "v", "projected": {"sources": [{"downwardAPI": {}}]}}]}), []),
    (
        "no source",
        made({"volumes": [{"name": "v", "projected": {"sources": [{}]}}]}),
        ['volume "v" (Projected) has no sources provided'],
    ),
    (
        "a spread that counts nothing",
        made({"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}]}),
        [f"spec.topologySpreadConstraints[0].labelSelector: {NO_SELECTOR}"],
    ),
    ("a pull secret without a name", made({"imagePullSecrets": [{}]}), ['spec.imagePullSecrets[0].name: invalid empty name ""']),
]


@pytest.mark.parametrize(("pod", "expected"), [each[1:] for each in WARNED], ids=[each[0] for each in WARNED])
def test_warnings(pod: Object, expected: list[str]) -> None:
    assert pod_warnings(pod["spec"], pod["metadata"].get("annotations")) == expected


def test_that_template_warnings_name_the_template() -> None:
    key = "scheduler.alpha.kubernetes.io/critical-pod"
    template = {"metadata": {"annotations": {key: ""}}, "spec": made({"imagePullSecrets": [{}]})["spec"]}
    assert template_warnings(template, "spec.template") == [
        f'spec.template.metadata.annotations[{key}]: non-functional in v1.16+; use the "priorityClassName" field instead',
        'spec.template.spec.imagePullSecrets[0].name: invalid empty name ""',
    ]


def test_that_a_name_with_dots_warns() -> None:
    (warning,) = name_warnings("a.b", "the Pod's hostname")
    assert warning.startswith("metadata.name: this is used in the Pod's hostname, which can result in surprising behavior;")
    assert warning.endswith("a DNS label is recommended: [must not contain dots]")
