"""Admission policies at work in a server: they count from the moment that they are written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from kube.objects import Object
from tests.component.served import APPLY, CONFIG_MAPS, JSON_PATCH, MERGE, PODS, Api, config_map, pod, served
from tests.virtual import virtual

GROUP = "/apis/admissionregistration.k8s.io/v1"
VALIDATING, MUTATING = "validatingadmissionpolic", "mutatingadmissionpolic"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
EVERYTHING = [{"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*/*"]}]


def rules(resources: str, operations: str = "CREATE UPDATE", group: str = "") -> list[Object]:
    return [{"apiGroups": [group], "apiVersions": ["*"], "operations": operations.split(), "resources": resources.split()}]


async def validating(
    api: Api, name: str, of: Sequence[Object], *checks: Object, actions: str = "Deny", bound: Object | None = None, **spec: Any
) -> None:
    """A policy with its binding."""
    await api.ok("POST", f"{GROUP}/{VALIDATING}ies", _policy(name, of, validations=list(checks), **spec))
    binding = {"policyName": name, "validationActions": actions.split(), **(bound or {})}
    await api.ok("POST", f"{GROUP}/{VALIDATING}ybindings", {"metadata": {"name": name}, "spec": binding})


async def mutating(api: Api, name: str, of: Sequence[Object], *expressions: str, reinvoked: bool = False, **spec: Any) -> None:
    """Likewise; a mutation that begins with a bracket is a JSON Patch."""
    mutations = [
        {"patchType": "JSONPatch", "jsonPatch": {"expression": each}}
        if each.startswith("[")
        else {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": each}}
        for each in expressions
    ]
    policy = _policy(name, of, mutations=mutations, reinvocationPolicy="IfNeeded" if reinvoked else "Never", **spec)
    await api.ok("POST", f"{GROUP}/{MUTATING}ies", policy)
    await api.ok("POST", f"{GROUP}/{MUTATING}ybindings", {"metadata": {"name": name}, "spec": {"policyName": name}})


def _policy(name: str, of: Sequence[Object], *, match: Object | None = None, **spec: Any) -> Object:
    return {"metadata": {"name": name}, "spec": {"matchConstraints": {"resourceRules": list(of), **(match or {})}, **spec}}


def deployment(replicas: int) -> Object:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    return {"metadata": {"name": "d"}, "spec": {"replicas": replicas, "selector": {"matchLabels": {"a": "b"}}, "template": template}}


# --- validating -------------------------------------------------------------------------------------------------------


@virtual
async def test_a_write_is_denied_as_long_as_the_policy_is_bound() -> None:
    async with served() as api:
        check = {"expression": "has(object.data) && 'owner' in object.data", "message": "an owner is needed"}
        await validating(api, "owned", rules("configmaps"), check)
        reply = await api.call("POST", CONFIG_MAPS, config_map("a"))
        why = "ValidatingAdmissionPolicy 'owned' with binding 'owned' denied request: an owner is needed"
        assert (reply.status, reply.body["reason"], reply.message) == (422, "Invalid", f'configmaps "a" is forbidden: {why}')
        assert reply.body["details"] == {"name": "a", "kind": "configmaps", "causes": [{"message": why}]}
        await api.ok("POST", CONFIG_MAPS, {**config_map("a"), "data": {"owner": "me"}})
        reply = await api.call("PATCH", f"{CONFIG_MAPS}/a", {"data": {"owner": None}}, content_type=MERGE)
        assert reply.status == 422
        await api.ok("DELETE", f"{GROUP}/{VALIDATING}ybindings/owned")
        await api.ok("PATCH", f"{CONFIG_MAPS}/a", {"data": {"owner": None}}, content_type=MERGE)


@virtual
async def test_a_policy_that_is_changed_counts_as_it_is_now() -> None:
    async with served() as api:
        await validating(api, "p", rules("configmaps"), {"expression": "true"})
        await api.ok("POST", CONFIG_MAPS, config_map("a"))
        change = [{"op": "replace", "path": "/spec/validations/0", "value": {"expression": "false", "reason": "Forbidden"}}]
        await api.ok("PATCH", f"{GROUP}/{VALIDATING}ies/p", change, content_type=JSON_PATCH)
        reply = await api.call("POST", CONFIG_MAPS, config_map("b"))
        assert (reply.status, reply.body["reason"]) == (403, "Forbidden")


@virtual
async def test_who_is_only_warned_is_let_through() -> None:
    async with served() as api:
        await validating(api, "w", rules("configmaps"), {"expression": "false", "message": "beware"}, actions="Warn Audit")
        reply = await api.call("POST", CONFIG_MAPS, config_map("a"))
        told = "Validation failed for ValidatingAdmissionPolicy 'w' with binding 'w': beware"
        assert (reply.status, reply.headers["warning"]) == (201, f'299 - "{told}"')


@virtual
async def test_parameters_are_read_when_they_are_needed() -> None:
    async with served() as api:
        check = {"expression": "int(object.data.n) <= int(params.data.max)", "messageExpression": "'more than ' + params.data.max"}
        kind = {"apiVersion": "v1", "kind": "ConfigMap"}
        reference = {"name": "limit", "parameterNotFoundAction": "Deny"}
        conditions = [{"name": "numbered", "expression": "'n' in object.data"}]
        await validating(
            api, "p", rules("configmaps"), check, paramKind=kind, bound={"paramRef": reference},
            match={"objectSelector": {"matchLabels": {"n": ""}}}, matchConditions=conditions,
        )  # fmt: skip
        numbered: Object = {"metadata": {"name": "a", "labels": {"n": ""}}, "data": {"n": "6"}}
        reply = await api.call("POST", CONFIG_MAPS, numbered)
        assert "failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction" in reply.message
        await api.ok("POST", CONFIG_MAPS, {**config_map("limit"), "data": {"max": "5"}})
        assert (await api.call("POST", CONFIG_MAPS, numbered)).message.endswith("denied request: more than 5")
        await api.ok("PATCH", f"{CONFIG_MAPS}/limit", {"data": {"max": "6"}}, content_type=MERGE)
        await api.ok("POST", CONFIG_MAPS, numbered)


def definition(**schema: Any) -> Object:
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object", "properties": schema}}}
    names = {"plural": "limits", "singular": "limit", "kind": "Limit", "listKind": "LimitList"}
    return {"metadata": {"name": "limits.ex.com"}, "spec": {"group": "ex.com", "scope": "Cluster", "names": names, "versions": [version]}}


@virtual
async def test_custom_resources_are_parameters_and_are_judged_themselves() -> None:
    async with served() as api:
        check = {"expression": "object.spec.replicas <= params.max", "messageExpression": "params.metadata.name + ' says no'"}
        kind = {"apiVersion": "ex.com/v1", "kind": "Limit"}
        reference = {"selector": {}, "parameterNotFoundAction": "Allow"}
        await validating(api, "p", rules("deployments", group="apps"), check, paramKind=kind, bound={"paramRef": reference})
        reply = await api.call("POST", DEPLOYMENTS, deployment(3))
        why = "failed to configure policy: failed to find resource referenced by paramKind: 'ex.com/v1, Kind=Limit'"
        assert reply.message.endswith(f"ValidatingAdmissionPolicy 'p' denied request: {why}")
        await api.ok("POST", DEFINITIONS, definition(max={"type": "integer"}))
        await validating(api, "q", rules("limits", group="ex.com"), {"expression": "object.max < 10"})
        limits = "/apis/ex.com/v1/limits"
        for name, most, status in (("high", 9, 201), ("low", 2, 201), ("none", 10, 422)):
            limit = {"apiVersion": "ex.com/v1", "kind": "Limit", "metadata": {"name": name}, "max": most}
            assert (await api.call("POST", limits, limit)).status == status
        assert (await api.call("POST", DEPLOYMENTS, deployment(3))).message.endswith("denied request: low says no")
        await api.ok("POST", DEPLOYMENTS, deployment(2))


@virtual
async def test_deletes_show_what_goes_and_policies_are_left_alone() -> None:
    async with served() as api:
        await api.ok("POST", CONFIG_MAPS, {**config_map("kept"), "data": {"keep": "1"}})
        await api.ok("POST", CONFIG_MAPS, config_map("a"))
        check = {"expression": "object != null || !has(oldObject.data)", "messageExpression": "oldObject.metadata.name + ' is kept'"}
        await validating(api, "p", EVERYTHING, check)
        assert (await api.call("DELETE", f"{CONFIG_MAPS}/kept")).message.endswith("kept is kept")
        await api.ok("DELETE", f"{CONFIG_MAPS}/a")
        many = await api.call("DELETE", CONFIG_MAPS)
        assert (many.status, many.body["details"]["name"]) == (422, "Unknown")
        await api.ok("DELETE", f"{GROUP}/{VALIDATING}ies/p")


@virtual
async def test_subresources_are_asked_about_in_their_own_form() -> None:
    async with served() as api:
        await api.ok("POST", DEPLOYMENTS, deployment(1))
        await validating(
            api, "s", rules("deployments/scale", group="apps"), {"expression": "object.kind == 'Scale' && object.spec.replicas < 5"}
        )
        await api.ok("PATCH", f"{DEPLOYMENTS}/d/scale", {"spec": {"replicas": 4}}, content_type=MERGE)
        reply = await api.call("PATCH", f"{DEPLOYMENTS}/d/scale", {"spec": {"replicas": 5}}, content_type=MERGE)
        assert (reply.status, reply.body["details"]["group"]) == (422, "apps")
        await api.ok("PATCH", f"{DEPLOYMENTS}/d", {"spec": {"replicas": 6}}, content_type=MERGE)


@virtual
async def test_an_eviction_is_asked_about_once_and_a_connection_by_what_it_asks_for() -> None:
    async with served() as api:
        await api.ok("POST", PODS, pod("p"))
        seen = "request.operation + ' ' + request.resource.resource + ' ' + (has(request.subResource) ? request.subResource : '')"
        await validating(api, "all", EVERYTHING, {"expression": "false", "messageExpression": seen}, actions="Warn")
        reply = await api.call("POST", f"{PODS}/p/eviction", {"metadata": {"name": "p"}})
        assert reply.status == 201, reply.body
        told = "Validation failed for ValidatingAdmissionPolicy 'all' with binding 'all': CREATE pods eviction"
        assert reply.headers["warning"] == f'299 - "{told}"', "and not about the pod's end"
        await api.ok("DELETE", f"{GROUP}/{VALIDATING}ybindings/all")
        await api.ok("POST", PODS, pod("q"))
        await validating(api, "exec", rules("pods/exec", "CONNECT"), {"expression": "object.command[0] != 'sh'", "message": "no shells"})
        denied = await api.call("POST", f"{PODS}/q/exec?command=sh&stdout=1")
        assert denied.message.endswith("denied request: no shells")
        assert "does not have a host assigned" in (await api.call("POST", f"{PODS}/q/exec?command=ls&stdout=1")).message


@virtual
async def test_expressions_ask_what_users_may_do() -> None:
    async with served(authorization_mode=("RBAC",)) as api:
        may = "authorizer.serviceAccount('default', 'robot').group('').resource('secrets').namespace('default').check('get').allowed()"
        await validating(api, "p", rules("configmaps"), {"expression": may, "message": "the robot may not"})
        assert (await api.call("POST", CONFIG_MAPS, config_map("a"))).message.endswith("the robot may not")
        roles = "/apis/rbac.authorization.k8s.io/v1/namespaces/default"
        rule = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}
        await api.ok("POST", f"{roles}/roles", {"metadata": {"name": "r"}, "rules": [rule]})
        subject = {"kind": "ServiceAccount", "name": "robot", "namespace": "default"}
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"}
        await api.ok("POST", f"{roles}/rolebindings", {"metadata": {"name": "r"}, "subjects": [subject], "roleRef": reference})
        await api.ok("POST", CONFIG_MAPS, config_map("a"))


# --- mutating ---------------------------------------------------------------------------------------------------------


@virtual
async def test_what_is_written_is_changed_on_its_way() -> None:
    async with served() as api:
        await mutating(api, "m", rules("configmaps"), "Object{metadata: Object.metadata{labels: {'by': request.userInfo.username}}}")
        made = await api.ok("POST", CONFIG_MAPS, config_map("a", {"k": "v"}))
        assert made["metadata"]["labels"] == {"by": "admin"}
        assert "f:labels" not in str(made["metadata"]["managedFields"]), "what admission adds, nobody owns"
        applied = await api.ok(
            "PATCH", f"{CONFIG_MAPS}/b?fieldManager=me", {"apiVersion": "v1", "kind": "ConfigMap", **config_map("b")}, content_type=APPLY
        )
        assert applied["metadata"]["labels"] == made["metadata"]["labels"]
        assert (await api.ok("GET", f"{CONFIG_MAPS}/b"))["metadata"]["labels"] == made["metadata"]["labels"]


@virtual
async def test_the_result_is_validated_as_if_it_had_been_sent() -> None:
    async with served() as api:
        await mutating(api, "m", rules("configmaps"), "[JSONPatch{op: 'add', path: '/metadata/labels', value: {'a': 'no label!'}}]")
        reply = await api.call("POST", CONFIG_MAPS, config_map("a"))
        assert (reply.status, reply.body["details"]["causes"][0]["field"]) == (422, "metadata.labels")


@virtual
async def test_what_is_added_is_seen_by_the_other_plugins() -> None:
    async with served() as api:
        limits = {"type": "Container", "default": {"memory": "64Mi"}}
        await api.ok("POST", "/api/v1/namespaces/default/limitranges", {"metadata": {"name": "l"}, "spec": {"limits": [limits]}})
        side = "[JSONPatch{op: 'add', path: '/spec/containers/-', value: Object.spec.containers{name: 'side', image: 'side'}}]"
        unless = [{"name": "once", "expression": "!object.spec.containers.exists(c, c.name == 'side')"}]
        await mutating(api, "m", rules("pods", "CREATE"), side, matchConditions=unless)
        made = await api.ok("POST", PODS, pod("p"))
        added = made["spec"]["containers"][-1]
        assert (added["name"], added["resources"]["limits"]) == ("side", {"memory": "64Mi"})
        assert added["volumeMounts"][0]["mountPath"] == "/var/run/secrets/kubernetes.io/serviceaccount"


@pytest.mark.parametrize(("reinvoked", "told"), [(True, "b"), (False, "none")], ids=["a policy that asks for it", "a policy that does not"])
@virtual
async def test_a_policy_runs_again_after_the_next_one(reinvoked: bool, told: str) -> None:
    async with served() as api:
        first = "Object{data: {'seen': has(object.data.b) ? 'b' : 'none'}}"
        await mutating(api, "a", rules("configmaps"), first, reinvoked=reinvoked)
        await mutating(api, "b", rules("configmaps"), "Object{data: {'b': 'x'}}")
        assert (await api.ok("POST", CONFIG_MAPS, config_map("c", {"k": "v"})))["data"]["seen"] == told


@virtual
async def test_mutations_run_in_order_and_what_fails_refuses_the_write() -> None:
    async with served() as api:
        twice = ("Object{data: {'n': '1'}}", "Object{data: {'n': object.data.n + '2'}}")
        await mutating(api, "m", rules("configmaps"), *twice)
        assert (await api.ok("POST", CONFIG_MAPS, config_map("a")))["data"]["n"] == "12"
        bad = "Object{data: {'x': object.data.gone}}"
        await mutating(api, "worse", rules("configmaps"), bad)
        reply = await api.call("POST", CONFIG_MAPS, config_map("b"))
        why = f"policy 'worse' with binding 'worse' denied request: expression '{bad}' resulted in error: no such key: gone"
        assert (reply.status, reply.body["reason"], reply.message) == (403, "Invalid", why)
        await api.ok("PATCH", f"{GROUP}/{MUTATING}ies/worse", {"spec": {"failurePolicy": "Ignore"}}, content_type=MERGE)
        await api.ok("POST", CONFIG_MAPS, config_map("b"))


@virtual
async def test_custom_resources_are_changed_pruned_and_defaulted() -> None:
    async with served() as api:
        await api.ok(
            "POST",
            DEFINITIONS,
            definition(max={"type": "integer"}, of={"type": "object", "properties": {"n": {"type": "integer", "default": 3}}}),
        )
        patch = "[JSONPatch{op: 'add', path: '/of', value: {}}, JSONPatch{op: 'add', path: '/unknown', value: 'x'}]"
        await mutating(api, "m", rules("limits", group="ex.com"), "Object{max: object.max + 1}", patch)
        limit = {"apiVersion": "ex.com/v1", "kind": "Limit", "metadata": {"name": "a"}, "max": 1}
        made = await api.ok("POST", "/apis/ex.com/v1/limits", limit)
        assert {name: each for name, each in made.items() if name not in ("metadata", "kind", "apiVersion")} == {"max": 2, "of": {"n": 3}}


@virtual
async def test_a_policy_changes_what_the_other_policies_judge() -> None:
    async with served() as api:
        await validating(api, "v", rules("configmaps"), {"expression": "object.data.owner == 'team'"})
        assert (await api.call("POST", CONFIG_MAPS, config_map("a"))).status == 422
        await mutating(api, "m", rules("configmaps"), "Object{data: {'owner': 'team'}}")
        await api.ok("POST", CONFIG_MAPS, config_map("a"))
