"""Upstream's conformance tests of admission policies at work. (Those of their objects: `test_conformance_life_cycles.py`.)"""

from __future__ import annotations

from typing import Any

from kube.objects import Object
from tests.component.conformance import NAMESPACE
from tests.component.served import Api, served
from tests.virtual import virtual

GROUP = "/apis/admissionregistration.k8s.io/v1"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
ONLY_MARKED = {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["default"]}]}


def deployment(name: str, replicas: int, **metadata: Any) -> Object:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "pause:3"}]}}
    return {
        "metadata": {"name": name, **metadata},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
    }


def constraints(group: str, resource: str) -> Object:
    rule = {"apiGroups": [group], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": [resource]}
    return {"resourceRules": [rule], "namespaceSelector": ONLY_MARKED}


async def in_force(api: Api, kind: str, name: str, spec: Object, **binding: Any) -> None:
    """A policy of a kind (`validating`, `mutating`), and its binding."""
    await api.ok("POST", f"{GROUP}/{kind}admissionpolicies", {"metadata": {"name": name}, "spec": spec})
    bound = {"policyName": name, **binding}
    await api.ok("POST", f"{GROUP}/{kind}admissionpolicybindings", {"metadata": {"name": f"{name}-binding"}, "spec": bound})


@virtual
async def test_validations_let_some_through_and_say_what_is_wrong_with_others() -> None:
    async with served() as api:
        checks = [
            {"expression": "object.spec.replicas > 1", "messageExpression": "'wants replicas > 1, got ' + string(object.spec.replicas)"},
            {"expression": "namespaceObject.metadata.name == 'default'", "message": "not here"},
        ]
        await in_force(
            api,
            "validating",
            "p",
            {"matchConstraints": constraints("apps", "deployments"), "validations": checks},
            validationActions=["Deny"],
        )
        await api.ok("POST", DEPLOYMENTS, deployment("two", 2))
        reply = await api.call("POST", DEPLOYMENTS, deployment("one", 1))
        assert reply.status == 422
        assert reply.message.endswith("ValidatingAdmissionPolicy 'p' with binding 'p-binding' denied request: wants replicas > 1, got 1")
        await api.ok("POST", "/api/v1/namespaces", {"metadata": {"name": "other"}})
        await api.ok("POST", "/apis/apps/v1/namespaces/other/deployments", deployment("one", 1))


@virtual
async def test_validations_share_variables() -> None:
    async with served() as api:
        variables = [
            {"name": "replicas", "expression": "object.spec.replicas"},
            {"name": "oddReplicas", "expression": "variables.replicas % 2 == 1"},
        ]
        checks = [{"expression": "variables.replicas > 1"}, {"expression": "variables.oddReplicas"}]
        spec = {"matchConstraints": constraints("apps", "deployments"), "variables": variables, "validations": checks}
        await in_force(api, "validating", "p", spec, validationActions=["Deny"])
        for replicas, failed in ((1, "variables.replicas > 1"), (2, "variables.oddReplicas"), (3, "")):
            reply = await api.call("POST", DEPLOYMENTS, deployment(f"d{replicas}", replicas))
            assert reply.status == (422 if failed else 201)
            assert not failed or reply.message.endswith(f"denied request: failed expression: {failed}")


def mutations(expression: str) -> list[Object]:
    return [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}}]


@virtual
async def test_mutations_add_annotations() -> None:
    async with served() as api:
        text = "Object{metadata: Object.metadata{annotations: {'my-foo-annotation': 'my-foo-value'}}}"
        spec = {"matchConstraints": constraints("", "configmaps"), "mutations": mutations(text), "reinvocationPolicy": "Never"}
        await in_force(api, "mutating", "m", spec)
        made = await api.ok("POST", f"{NAMESPACE}/configmaps", {"metadata": {"name": "a", "annotations": {"own": "1"}}})
        assert made["metadata"]["annotations"] == {"own": "1", "my-foo-annotation": "my-foo-value"}


@virtual
async def test_mutations_change_the_spec() -> None:
    async with served() as api:
        text = "Object{spec: Object.spec{replicas: object.spec.replicas % 2 == 0 ? object.spec.replicas + 1 : object.spec.replicas}}"
        spec = {"matchConstraints": constraints("apps", "deployments"), "mutations": mutations(text), "reinvocationPolicy": "Never"}
        await in_force(api, "mutating", "m", spec)
        for asked, given in ((1, 1), (2, 3)):
            assert (await api.ok("POST", DEPLOYMENTS, deployment(f"d{asked}", asked)))["spec"]["replicas"] == given
