"""What mutating webhooks make of objects, in which order, and how often they are asked."""

from __future__ import annotations

from pathlib import Path

from kube.objects import Object
from tests.component.converting import GROUP as HOSTS
from tests.component.converting import V1, V2, converting, v1
from tests.component.hooked import GROUP, MUTATING, Hooked, add, allowing, denying, hooked, patch, patching, rules
from tests.component.served import CONFIG_MAPS, MERGE, PODS, config_map, pod
from tests.virtual import virtual


@virtual
async def test_webhooks_change_objects_in_the_order_of_their_names(tmp_path: Path) -> None:
    async with hooked(tmp_path) as found:
        for path in ("/b", "/a1", "/a2"):
            found.answer(path, lambda request, said=path: patch(add("/data/seen", request["object"]["data"]["seen"] + said)))  # type: ignore[misc]
        await found.configure(MUTATING, "b", found.webhook("/b", rules("configmaps")))
        await found.configure(MUTATING, "a", *(found.webhook(path, rules("configmaps")) for path in ("/a2", "/a1")))
        obj = await found.api.ok("POST", CONFIG_MAPS, config_map("a", {"seen": ""}))
        assert obj["data"] == {"seen": "/a2/a1/b"}
        assert (await found.api.ok("GET", f"{CONFIG_MAPS}/a"))["data"] == {"seen": "/a2/a1/b"}


@virtual
async def test_what_a_webhook_adds_is_defaulted_and_validated(tmp_path: Path) -> None:
    async with hooked(tmp_path) as found:
        container = {"name": "side", "image": "side:1"}
        await found.mutating("/m", rules("pods", "CREATE"), patching(add("/spec/containers/-", container)))
        obj = await found.api.ok("POST", PODS, pod("a"))
        assert obj["spec"]["containers"][1]["terminationMessagePolicy"] == "File"
        found.answer("/m", patching(add("/spec/containers/-", {"name": "No!", "image": "x"})))
        reply = await found.api.call("POST", PODS, pod("b"))
        assert (reply.status, reply.body["details"]["causes"][0]["field"]) == (422, "spec.containers[1].name")
        found.answer("/m", patching(add("/spec/containers/-", container), add("/unknown", 1)))
        assert "unknown" not in await found.api.ok("POST", PODS, pod("c"))


@virtual
async def test_a_webhook_runs_again_when_a_later_one_has_changed_something(tmp_path: Path) -> None:
    async with hooked(tmp_path) as found:
        await found.mutating("/a", rules("configmaps"), allowing, reinvocationPolicy="IfNeeded")
        await found.mutating("/b", rules("configmaps"), allowing)
        await found.api.ok("POST", CONFIG_MAPS, config_map("quiet"))
        assert [len(found.requests(path)) for path in ("/a", "/b")] == [1, 1]
        found.answer("/b", patching(add("/data", {"k": "v"})))
        await found.api.ok("POST", CONFIG_MAPS, config_map("changed"))
        assert [len(found.requests(path)) for path in ("/a", "/b")] == [3, 2], "only who asks for it, and only once"
        assert [each["object"].get("data") for each in found.requests("/a")[1:]] == [None, {"k": "v"}]
        await found.api.ok("POST", CONFIG_MAPS, config_map("same", {"k": "v"}))
        assert [len(found.requests(path)) for path in ("/a", "/b")] == [4, 3], "a patch that changes nothing is no change"


@virtual
async def test_plugins_run_again_and_so_do_webhooks_whose_object_they_have_changed(tmp_path: Path) -> None:
    async with hooked(tmp_path) as found:
        await found.mutating("/a", rules("pods", "CREATE"), allowing, reinvocationPolicy="IfNeeded")
        await found.mutating("/b", rules("pods", "CREATE"), lambda request: _with_container(request["object"]))
        obj = await found.api.ok("POST", PODS, pod("p"))
        mounts = [each["volumeMounts"][0]["mountPath"] for each in obj["spec"]["containers"]]
        assert mounts == ["/var/run/secrets/kubernetes.io/serviceaccount"] * 2, "the plugin ServiceAccount has looked at it again"
        assert len(found.requests("/a")) == 2


def _with_container(obj: Object) -> Object:
    has_it = len(obj["spec"]["containers"]) > 1
    return {"allowed": True} if has_it else patch(add("/spec/containers/-", {"name": "side", "image": "side:1"}))


REFUSED_PATCHES: dict[str, tuple[Object, str]] = {
    "a place that is not there": (
        add("/data/a/b", 1),
        'add operation does not apply: doc is missing path: "/data/a/b": missing value',
    ),
    "another kind": (add("/kind", "Secrets"), 'no kind "Secrets" is registered for version "v1" in scheme "pkg/runtime/scheme.go:111"'),
    "another version": (
        add("/apiVersion", "v2"),
        'no kind "ConfigMap" is registered for version "v2" in scheme "pkg/runtime/scheme.go:111"',
    ),
    "a test that fails": (
        {"op": "test", "path": "/kind", "value": "Pod"},
        "testing value /kind failed: test failed",
    ),
}


@virtual
async def test_patches_that_leave_no_such_object_refuse_the_write_whatever_the_policy(tmp_path: Path) -> None:
    async with hooked(tmp_path) as found:
        await found.mutating("/m", rules("configmaps"), allowing, failurePolicy="Ignore")
        for operation, why in REFUSED_PATCHES.values():
            found.answer("/m", patching(operation))
            reply = await found.api.call("POST", CONFIG_MAPS, config_map("a"))
            assert (reply.status, reply.body["reason"], reply.message) == (500, "InternalError", f"Internal error occurred: {why}")


@virtual
async def test_what_is_deleted_is_not_changed(tmp_path: Path) -> None:
    async with hooked(tmp_path) as found:
        await found.api.ok("POST", CONFIG_MAPS, config_map("a"))
        await found.mutating("/m", rules("configmaps", "DELETE"), patching(add("/data", {})))
        reply = await found.api.call("DELETE", f"{CONFIG_MAPS}/a")
        why = 'admission webhook "m.hooks.test" attempted to modify the object, which is not supported for this operation'
        assert (reply.status, reply.message) == (500, f"Internal error occurred: {why}")


@virtual
async def test_managed_fields_that_cannot_be_are_as_they_were(tmp_path: Path) -> None:
    async with hooked(tmp_path) as found:
        await found.mutating("/m", rules("configmaps"), patching(add("/metadata/managedFields/0/operation", "Guess")))
        reply = await found.api.call("POST", CONFIG_MAPS, config_map("a", {"k": "v"}))
        assert reply.body["metadata"]["managedFields"][0]["operation"] == "Update"
        assert reply.headers["warning"] == (
            '299 - ".metadata.managedFields was in an invalid state after admission; this could be caused by an outdated mutating '
            'admission controller; please fix your requests: operation must be `Apply` or `Update`"'
        )


@virtual
async def test_owners_are_named_once(tmp_path: Path) -> None:
    async with hooked(tmp_path) as found:
        owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": "1"}
        await found.mutating("/m", rules("configmaps"), patching(add("/metadata/ownerReferences", [owner, owner])))
        reply = await found.api.call("POST", CONFIG_MAPS, config_map("a"))
        assert reply.body["metadata"]["ownerReferences"] == [owner]
        assert ".metadata.ownerReferences contains duplicate entries after mutating admission happens" in reply.headers["warning"]


@virtual
async def test_what_is_the_servers_stays_as_it_is(tmp_path: Path) -> None:
    async with hooked(tmp_path) as found:
        created = await found.api.ok("POST", CONFIG_MAPS, config_map("a"))
        await found.mutating("/m", rules("configmaps"), patching(add("/metadata/creationTimestamp", "2020-01-01T00:00:00Z")))
        obj = await found.api.ok("PUT", f"{CONFIG_MAPS}/a", config_map("a", {"k": "v"}))
        assert obj["metadata"]["creationTimestamp"] == created["metadata"]["creationTimestamp"]
        found.answer("/m", patching(add("/metadata/resourceVersion", "1")))
        reply = await found.api.call("PUT", f"{CONFIG_MAPS}/a", config_map("a"))
        assert (reply.status, reply.body["reason"]) == (409, "Conflict")
        found.answer("/m", patching(add("/metadata/uid", "another")))
        reply = await found.api.call("PUT", f"{CONFIG_MAPS}/a", config_map("a"))
        assert (reply.status, reply.body["details"]["causes"][0]["field"]) == (422, "metadata.uid")


@virtual
async def test_a_custom_resource_is_converted_for_webhooks_of_another_version_and_back(tmp_path: Path) -> None:
    async with converting(tmp_path) as (api, hook):
        found = Hooked(api, hook.server)
        of_v2 = [{"apiGroups": [HOSTS], "apiVersions": ["v2"], "operations": ["*"], "resources": ["hosts"]}]
        await found.mutating("/m", of_v2, patching(add("/port", 7)), matchConditions=[{"name": "c", "expression": "object.host == 'h'"}])
        await found.validating("/v", of_v2, allowing)
        obj = await api.ok("POST", V1, v1("a"))
        assert (obj["apiVersion"], obj["hostPort"]) == (f"{HOSTS}/v1", "h:7")
        asked = found.requests("/m")[0]
        assert (asked["kind"]["version"], asked["requestKind"]["version"]) == ("v2", "v1")
        assert (asked["object"]["apiVersion"], asked["object"]["host"], asked["object"]["port"]) == (f"{HOSTS}/v2", "h", 1)
        assert found.requests("/v")[0]["object"]["port"] == 7
        await api.ok("PATCH", f"{V1}/a", {"metadata": {"labels": {"x": "y"}}}, content_type=MERGE)
        seen = found.requests("/v")[1]
        assert (seen["oldObject"]["port"], seen["object"]["metadata"]["labels"]) == (7, {"x": "y"})
        await api.ok("POST", V1, v1("b", "other:1"))
        assert (await api.ok("GET", f"{V2}/b"))["port"] == 1, "the condition is asked about the version that the webhook wants"


@virtual
async def test_policies_see_the_version_that_they_are_for_too(tmp_path: Path) -> None:
    async with converting(tmp_path) as (api, _hook):
        of_v2 = [{"apiGroups": [HOSTS], "apiVersions": ["v2"], "operations": ["CREATE"], "resources": ["hosts"]}]
        match = {"matchConstraints": {"resourceRules": of_v2}}
        mutation = {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": "Object{port: object.port + 1}"}}
        mutating = {"metadata": {"name": "p"}, "spec": {**match, "mutations": [mutation], "reinvocationPolicy": "Never"}}
        validating = {"metadata": {"name": "p"}, "spec": {**match, "validations": [{"expression": "object.port != 10"}]}}
        for kind, policy, more in (("mutating", mutating, {}), ("validating", validating, {"validationActions": ["Deny"]})):
            await api.ok("POST", f"{GROUP}/{kind}admissionpolicies", policy)
            await api.ok("POST", f"{GROUP}/{kind}admissionpolicybindings", {"metadata": {"name": "p"}, "spec": {"policyName": "p", **more}})
        assert (await api.ok("POST", V1, v1("a")))["hostPort"] == "h:2"
        reply = await api.call("POST", V1, v1("b", "h:9"))
        assert reply.message.endswith("failed expression: object.port != 10")


@virtual
async def test_webhooks_are_asked_before_the_version_is_compared(tmp_path: Path) -> None:
    async with hooked(tmp_path) as found:
        old = await found.api.ok("POST", CONFIG_MAPS, config_map("a"))
        await found.api.ok("PUT", f"{CONFIG_MAPS}/a", config_map("a", {"k": "v"}))
        await found.mutating("/m", rules("configmaps", "UPDATE"), denying("not now"))
        reply = await found.api.call("PUT", f"{CONFIG_MAPS}/a", old)
        assert "not now" in reply.message
        found.answer("/m", allowing)
        assert (await found.api.call("PUT", f"{CONFIG_MAPS}/a", old)).body["reason"] == "Conflict"


@virtual
async def test_what_the_server_keeps_of_an_object_comes_in_behind_those_who_mutate(tmp_path: Path) -> None:
    async with hooked(tmp_path) as found:
        kept = await found.api.ok("POST", CONFIG_MAPS, config_map("a"))
        await found.mutating("/m", rules("configmaps", "UPDATE"), allowing)
        await found.validating("/v", rules("configmaps", "UPDATE"), allowing)
        await found.api.ok("PUT", f"{CONFIG_MAPS}/a", config_map("a", {"k": "v"}))
        mutating, validating = (found.requests(path)[0]["object"]["metadata"] for path in ("/m", "/v"))
        system = ("uid", "creationTimestamp", "resourceVersion")
        assert [each in mutating for each in system] == [False] * 3
        assert [validating[each] for each in system] == [kept["metadata"][each] for each in system]


@virtual
async def test_what_is_never_stored_is_shown_with_its_defaults_and_owners(tmp_path: Path) -> None:
    async with hooked(tmp_path) as found:
        await found.mutating("/m", rules("pods/binding serviceaccounts/token", "CREATE"), denying())
        await found.api.ok("POST", PODS, pod("p"))
        binding = {"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n"}}
        await found.api.call("POST", f"{PODS}/p/binding", binding)
        token = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": ["x"]}}
        await found.api.call("POST", "/api/v1/namespaces/default/serviceaccounts/default/token", token)
        bound, asked = (each["object"] for each in found.requests("/m"))
        owned = [each["metadata"]["managedFields"][0] for each in (bound, asked)]
        assert [(each["subresource"], each["fieldsV1"]) for each in owned] == [
            ("binding", {"f:target": {}}),
            ("token", {"f:spec": {"f:audiences": {}, "f:expirationSeconds": {}}}),
        ]
        assert asked["spec"]["expirationSeconds"] == 3600


@virtual
async def test_another_namespace_is_refused_when_all_have_been_asked(tmp_path: Path) -> None:
    async with hooked(tmp_path) as found:
        found.answer("/a", patching(add("/metadata/namespace", "other")))
        found.answer("/b", allowing)
        await found.configure(MUTATING, "m", *(found.webhook(path, rules("configmaps")) for path in ("/a", "/b")))
        reply = await found.api.call("POST", CONFIG_MAPS, config_map("a"))
        why = "the namespace of the provided object does not match the namespace sent on the request"
        assert (reply.status, reply.message) == (400, why)
        assert [each["object"]["metadata"]["namespace"] for each in found.requests("/b")] == ["other"]
