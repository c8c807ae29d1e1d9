"""Admission webhooks at work in a server: they are asked over TLS about writes from the moment that they are configured."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from kube.objects import Object
from tests.component.hooked import (
    DEFINITIONS,
    EVERYTHING,
    MUTATING,
    NAMESPACES,
    VALIDATING,
    add,
    allowing,
    definition,
    denying,
    hooked,
    patch,
    patching,
    rules,
    thing,
)
from tests.component.served import APPLY, CONFIG_MAPS, DEPLOYMENTS, MERGE, PODS, config_map, deployment, pod
from tests.virtual import virtual
from tests.webhook_server import Raw

TEMPLATES = "/api/v1/namespaces/default/podtemplates"


# --- what they are sent, and what they answer ---------------------------------------------------------------------------------


@virtual
async def test_a_webhook_is_sent_the_write_and_may_deny_it(tmp_path: Path) -> None:
    async with hooked(tmp_path) as found:
        await found.validating("/deny", rules("configmaps"), denying("not today", reason="Forbidden", code=403, details={"name": "x"}))
        reply = await found.api.call("POST", f"{CONFIG_MAPS}?fieldManager=me", config_map("a", {"k": "v"}))
        message = 'admission webhook "deny.hooks.test" denied the request: not today'
        assert reply.status == 403
        assert reply.body == {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": "Forbidden",
            "details": {"name": "x"},
            "code": 403,
        }
        document = found.server.documents("/deny")[0]
        request = document.pop("request")
        assert document == {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1"}
        obj, uid = request.pop("object"), request.pop("uid")
        assert (obj["apiVersion"], obj["kind"], obj["data"]) == ("v1", "ConfigMap", {"k": "v"})
        assert obj["metadata"]["managedFields"][0]["manager"] == "me"
        assert len(uid) == 36
        assert request == {
            "kind": {"group": "", "version": "v1", "kind": "ConfigMap"},
            "resource": {"group": "", "version": "v1", "resource": "configmaps"},
            "requestKind": {"group": "", "version": "v1", "kind": "ConfigMap"},
            "requestResource": {"group": "", "version": "v1", "resource": "configmaps"},
            "name": "a",
            "namespace": "default",
            "operation": "CREATE",
            "userInfo": {"username": "admin", "groups": ["system:masters", "system:authenticated"]},
            "oldObject": None,
            "dryRun": False,
            "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1", "fieldManager": "me", "fieldValidation": "Strict"}
            if request["options"].get("fieldValidation")
            else {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1", "fieldManager": "me"},
        }
        assert (await found.api.call("GET", f"{CONFIG_MAPS}/a")).status == 404


DENIALS: dict[str, tuple[Object, int, str, str]] = {
    "nothing said": ({}, 400, "", 'admission webhook "w.hooks.test" denied the request without explanation'),
    "a reason": ({"status": {"reason": "Gone"}}, 400, "Gone", 'admission webhook "w.hooks.test" denied the request: Gone'),
    "a success": ({"status": {"code": 200, "message": "m"}}, 400, "", 'admission webhook "w.hooks.test" denied the request: m'),
    "a code that is none": ({"status": {"code": 99999, "message": "m"}}, 500, "", 'admission webhook "w.hooks.test" denied the request: m'),
    "a code of its own": ({"status": {"code": 418, "message": "m"}}, 418, "", 'admission webhook "w.hooks.test" denied the request: m'),
}


@virtual
async def test_denials_are_never_successes(tmp_path: Path) -> None:
    async with hooked(tmp_path) as found:
        for decision, status, reason, message in DENIALS.values():
            found.answer("/w", lambda _, said=decision: {"allowed": False, **said})  # type: ignore[misc]
            await found.configure(VALIDATING, "w", found.webhook("/w", rules("configmaps")))
            reply = await found.api.call("POST", CONFIG_MAPS, config_map("a"))
            assert (reply.status, reply.body.get("reason", ""), reply.message) == (status, reason, message)
            await found.api.ok("DELETE", f"{VALIDATING}/w")


@virtual
async def test_updates_patches_and_deletes_show_what_was(tmp_path: Path) -> None:
    async with hooked(tmp_path) as found:
        api = found.api
        await found.validating("/w", rules("configmaps", "*"), allowing)
        await api.ok("POST", CONFIG_MAPS, config_map("a", {"k": "1"}))
        await api.ok("PUT", f"{CONFIG_MAPS}/a", config_map("a", {"k": "2"}))
        await api.ok("PATCH", f"{CONFIG_MAPS}/a", {"data": {"k": "3"}}, content_type=MERGE)
        await api.ok("PATCH", f"{CONFIG_MAPS}/b?fieldManager=m", config_map("b", {"k": "4"}), content_type=APPLY)
        await api.ok("DELETE", f"{CONFIG_MAPS}/a?gracePeriodSeconds=0")
        await api.ok("DELETE", CONFIG_MAPS)
        shown = [
            (
                each["operation"],
                each.get("name", ""),
                *((obj or {}).get("data", {}).get("k") for obj in (each["oldObject"], each["object"])),
            )
            for each in found.requests("/w")
        ]
        assert shown == [
            ("CREATE", "a", None, "1"),
            ("UPDATE", "a", "1", "2"),
            ("UPDATE", "a", "2", "3"),
            ("CREATE", "b", None, "4"),
            ("DELETE", "a", "3", None),
            ("DELETE", "", "4", None),
        ]
        assert [each["options"]["kind"] for each in found.requests("/w")] == [
            "CreateOptions",
            "UpdateOptions",
            "UpdateOptions",
            "CreateOptions",
            "DeleteOptions",
            "DeleteOptions",
        ]
        assert found.requests("/w")[4]["options"]["gracePeriodSeconds"] == 0
        assert found.requests("/w")[5]["oldObject"]["metadata"]["name"] == "b", "what a collection loses is told one by one"


@virtual
async def test_v1beta1_is_sent_to_those_that_name_it_first(tmp_path: Path) -> None:
    async with hooked(tmp_path) as found:
        await found.mutating("/w", rules("configmaps"), allowing, admissionReviewVersions=["v2", "v1beta1", "v1"])
        found.server.answers["/w"] = lambda review: {"response": patch(add("/data", {"k": "v"})) | {"patchType": None, "uid": "another"}}
        obj = await found.api.ok("POST", CONFIG_MAPS, config_map("a"))
        assert obj["data"] == {"k": "v"}, "of v1beta1 neither kind nor uid of the answer count, and patches need no type"
        assert found.server.documents("/w")[0]["apiVersion"] == "admission.k8s.io/v1beta1"


@virtual
async def test_warnings_reach_the_client_and_no_other_header_does(tmp_path: Path) -> None:
    async with hooked(tmp_path) as found:
        await found.validating("/w", rules("configmaps"), lambda _: {"allowed": True, "warnings": ["be careful", "a\r\nSet-Cookie: b"]})
        await found.mutating("/m", rules("configmaps"), lambda _: {"allowed": True, "warnings": ['it is "old"']})
        reply = await found.api.call("POST", CONFIG_MAPS, config_map("a"))
        assert reply.status == 201
        assert reply.headers["warning"] == '299 - "it is \\"old\\"", 299 - "be careful"'
        assert "set-cookie" not in reply.headers


# --- failing ------------------------------------------------------------------------------------------------------------------


@virtual
async def test_a_webhook_that_cannot_be_asked_refuses_or_is_passed_over(tmp_path: Path) -> None:
    async with hooked(tmp_path) as found:
        found.server.answers["/w"] = lambda _: Raw(b"oops", 500, "text/plain")
        await found.configure(VALIDATING, "w", found.webhook("/w", rules("configmaps")))
        reply = await found.api.call("POST", CONFIG_MAPS, config_map("a"))
        why = 'failed to call webhook: an error on the server ("oops") has prevented the request from succeeding'
        message = f'Internal error occurred: failed calling webhook "w.hooks.test": {why}'
        assert (reply.status, reply.body["reason"], reply.message) == (500, "InternalError", message)
        assert reply.body["details"] == {"causes": [{"message": message.removeprefix("Internal error occurred: ")}]}
        change = [{"op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Ignore"}]
        await found.api.ok("PATCH", f"{VALIDATING}/w", change, content_type="application/json-patch+json")
        await found.api.ok("POST", CONFIG_MAPS, config_map("a"))


INVALID: dict[str, tuple[Object, str]] = {
    "no response": ({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}, "webhook response was absent"),
    "another uid": (
        {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": {"uid": "x", "allowed": True}},
        'expected response.uid="',
    ),
}


@virtual
async def test_an_answer_that_does_not_fit_counts_as_none(tmp_path: Path) -> None:
    async with hooked(tmp_path) as found:
        await found.configure(VALIDATING, "w", found.webhook("/w", rules("configmaps")))
        for document, why in INVALID.values():
            found.server.answers["/w"] = lambda _, said=document: said  # type: ignore[misc]
            reply = await found.api.call("POST", CONFIG_MAPS, config_map("a"))
            begin = f'Internal error occurred: failed calling webhook "w.hooks.test": received invalid webhook response: {why}'
            assert (reply.status, reply.message[: len(begin)]) == (500, begin)


@virtual
async def test_a_webhook_has_as_long_as_the_request_has(tmp_path: Path) -> None:
    async with hooked(tmp_path) as found:
        found.server.answers["/slow"] = lambda _: asyncio.get_running_loop().create_future()
        await found.configure(VALIDATING, "slow", found.webhook("/slow", rules("configmaps"), timeoutSeconds=20))
        reply = await found.api.call("POST", f"{CONFIG_MAPS}?timeout=100ms", config_map("a"))
        assert found.server.posted[0].head.value("timeout") == "1s"
        assert (reply.status, reply.message) == (504, "Timeout: request did not complete within the allotted timeout")
        reply = await found.api.call("POST", f"{CONFIG_MAPS}?timeout=soon", config_map("a"))
        why = 'invalid timeout specified in the request URL - time: invalid duration "soon"'
        assert (reply.status, reply.message) == (400, why)


@virtual
async def test_a_dry_run_meets_only_webhooks_that_are_made_for_it(tmp_path: Path) -> None:
    async with hooked(tmp_path) as found:
        await found.validating("/w", rules("configmaps"), allowing, sideEffects="NoneOnDryRun")
        await found.api.ok("POST", f"{CONFIG_MAPS}?dryRun=All", config_map("a"))
        assert (found.requests("/w")[0]["dryRun"], found.requests("/w")[0]["options"]["dryRun"]) == (True, ["All"])
        versions: Any = {"sideEffects": "Some", "admissionReviewVersions": ["v1beta1"]}
        reply = await found.api.call(
            "POST", VALIDATING, {"metadata": {"name": "x"}, "webhooks": [found.webhook("/x", EVERYTHING, **versions)]}
        )
        assert reply.status == 422, "today's configurations say that they are safe"


# --- which writes -------------------------------------------------------------------------------------------------------------


@virtual
async def test_who_is_not_selected_is_not_asked_about(tmp_path: Path) -> None:
    async with hooked(tmp_path) as found:
        api = found.api
        for name in ("strict", "lax"):
            await api.ok("POST", NAMESPACES, {"metadata": {"name": name, "labels": {"is": name}}})
        await found.validating("/ns", rules("configmaps"), denying(), namespaceSelector={"matchLabels": {"is": "strict"}})
        assert (await api.call("POST", f"{NAMESPACES}/strict/configmaps", config_map("a"))).status == 400
        await api.ok("POST", f"{NAMESPACES}/lax/configmaps", config_map("a"))
        await found.validating(
            "/obj", rules("secrets"), denying(), objectSelector={"matchExpressions": [{"key": "x", "operator": "Exists"}]}
        )
        secrets = f"{NAMESPACES}/lax/secrets"
        await api.ok("POST", secrets, {"metadata": {"name": "a"}})
        assert (await api.call("POST", secrets, {"metadata": {"name": "b", "labels": {"x": ""}}})).status == 400
        await found.validating("/scope", rules("*", "CREATE", "*", scope="Cluster"), denying())
        assert (await api.call("POST", NAMESPACES, {"metadata": {"name": "new"}})).status == 400
        await api.ok("POST", f"{NAMESPACES}/lax/configmaps", config_map("b"))


@virtual
async def test_a_namespace_is_selected_by_the_labels_that_it_gets(tmp_path: Path) -> None:
    async with hooked(tmp_path) as found:
        await found.validating("/w", rules("namespaces"), denying(), namespaceSelector={"matchLabels": {"is": "strict"}})
        assert (await found.api.call("POST", NAMESPACES, {"metadata": {"name": "a", "labels": {"is": "strict"}}})).status == 400
        await found.api.ok("POST", NAMESPACES, {"metadata": {"name": "a"}})


@virtual
async def test_conditions_decide_and_fail_as_the_policy_says(tmp_path: Path) -> None:
    async with hooked(tmp_path) as found:
        conditions = [
            {"name": "named", "expression": "object.metadata.name != 'skip' && request.name != 'skip'"},
            {"name": "data", "expression": "object.data.k == 'v' || authorizer.path('/x').check('get').allowed() == false"},
        ]
        await found.validating("/w", rules("configmaps"), denying(), matchConditions=conditions)
        await found.api.ok("POST", CONFIG_MAPS, config_map("skip"))
        assert (await found.api.call("POST", CONFIG_MAPS, config_map("a", {"k": "v"}))).status == 400
        assert len(found.requests("/w")) == 1
        await found.validating("/e", rules("secrets"), denying(), matchConditions=[{"name": "e", "expression": "object.nothing.x == 1"}])
        reply = await found.api.call("POST", "/api/v1/namespaces/default/secrets", {"metadata": {"name": "s"}})
        why = "expression 'object.nothing.x == 1' resulted in error: no such key: nothing"
        assert (reply.status, reply.message) == (403, f'secrets "s" is forbidden: {why}')
        change = [{"op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Ignore"}]
        await found.api.ok("PATCH", f"{VALIDATING}/e", change, content_type="application/json-patch+json")
        await found.api.ok("POST", "/api/v1/namespaces/default/secrets", {"metadata": {"name": "s"}})


@virtual
async def test_a_webhook_gets_the_version_that_it_wants(tmp_path: Path) -> None:
    async with hooked(tmp_path) as found:
        v1 = [{"apiGroups": ["autoscaling"], "apiVersions": ["v1"], "operations": ["*"], "resources": ["horizontalpodautoscalers"]}]
        await found.mutating("/m", v1, patching(add("/spec/targetCPUUtilizationPercentage", 33)))
        await found.validating("/exact", v1, denying(), matchPolicy="Exact")
        spec = {"maxReplicas": 3, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}}
        path = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers"
        obj = await found.api.ok("POST", path, {"metadata": {"name": "h"}, "spec": spec})
        assert (obj["apiVersion"], obj["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"]) == ("autoscaling/v2", 33)
        request = found.requests("/m")[0]
        assert (request["kind"]["version"], request["requestKind"]["version"]) == ("v1", "v2")
        assert (request["resource"]["version"], request["requestResource"]["version"]) == ("v1", "v2")
        assert request["object"]["apiVersion"] == "autoscaling/v1"
        assert not found.requests("/exact")


@virtual
async def test_a_webhook_for_a_version_that_comes_later_is_asked_once_it_is_there(tmp_path: Path) -> None:
    async with hooked(tmp_path) as found:
        api, path = found.api, "/apis/e2e.test/v1/namespaces/default/things"
        await api.ok("POST", DEFINITIONS, definition())
        of_v2 = [{"apiGroups": ["e2e.test"], "apiVersions": ["v2"], "operations": ["*"], "resources": ["things"]}]
        await found.validating("/w", of_v2, denying())
        await api.ok("POST", path, thing("a", {}))
        await api.ok("PATCH", f"{DEFINITIONS}/things.e2e.test", {"spec": definition(versions="v1 v2")["spec"]}, content_type=MERGE)
        assert (await api.call("POST", path, thing("b", {}))).status == 400
        assert found.requests("/w")[0]["kind"]["version"] == "v2"


@virtual
async def test_subresources_are_told_apart(tmp_path: Path) -> None:
    async with hooked(tmp_path) as found:
        api = found.api
        await found.validating("/w", rules("deployments/scale pods/status pods/eviction pods/binding", "*", "*"), allowing)
        await api.ok("POST", DEPLOYMENTS, deployment("d"))
        await api.ok("POST", PODS, pod("p"))
        assert not found.requests("/w")
        await api.ok("PATCH", f"{DEPLOYMENTS}/d/scale", {"spec": {"replicas": 2}}, content_type=MERGE)
        await api.ok("PATCH", f"{PODS}/p/status", {"status": {"phase": "Pending"}}, content_type=MERGE)
        await api.ok("POST", f"{PODS}/p/binding", {"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n"}})
        await api.ok("POST", f"{PODS}/p/eviction", {"metadata": {"name": "p"}})
        shown = [(each["subResource"], each["kind"]["kind"], each["object"]["kind"], each["operation"]) for each in found.requests("/w")]
        assert shown == [
            ("scale", "Scale", "Scale", "UPDATE"),
            ("status", "Pod", "Pod", "UPDATE"),
            ("binding", "Binding", "Binding", "CREATE"),
            ("eviction", "Eviction", "Eviction", "CREATE"),
        ]


@virtual
async def test_a_scale_is_changed_by_webhooks_like_anything_else(tmp_path: Path) -> None:
    async with hooked(tmp_path) as found:
        await found.mutating("/m", rules("deployments/scale", "UPDATE", "apps"), patching(add("/spec/replicas", 7)))
        await found.api.ok("POST", DEPLOYMENTS, deployment("d"))
        await found.api.ok("PATCH", f"{DEPLOYMENTS}/d/scale", {"spec": {"replicas": 2}}, content_type=MERGE)
        assert (await found.api.ok("GET", f"{DEPLOYMENTS}/d"))["spec"]["replicas"] == 7


# --- all together -------------------------------------------------------------------------------------------------------------


@virtual
async def test_validating_webhooks_are_asked_all_at_once(tmp_path: Path) -> None:
    async with hooked(tmp_path) as found:
        everybody = asyncio.Barrier(3)
        for name in ("a", "b", "c"):
            decided: Object = {"allowed": name == "a", "status": {"message": f"{name} says no"}, "warnings": [f"from {name}"]}

            async def said(review: Object, decision: Object = decided) -> Object:
                await everybody.wait()
                return {**review, "response": {"uid": review["request"]["uid"], **decision}}

            found.server.answers[f"/{name}"] = said
            await found.configure(VALIDATING, name, found.webhook(f"/{name}", rules("configmaps")))
        reply = await found.api.call("POST", CONFIG_MAPS, config_map("x"))
        assert reply.message == 'admission webhook "b.hooks.test" denied the request: b says no'
        assert reply.headers["warning"] == ", ".join(f'299 - "from {each}"' for each in "abc")


@virtual
async def test_a_webhook_may_itself_write(tmp_path: Path) -> None:
    async with hooked(tmp_path) as found:

        async def said(review: Object) -> Object:
            request = review["request"]
            if request["name"] == "outer":
                await found.api.ok("POST", CONFIG_MAPS, config_map("inner"))
            return {**review, "response": {"uid": request["uid"], "allowed": True}}

        found.server.answers["/w"] = said
        await found.configure(VALIDATING, "v", found.webhook("/w", rules("configmaps")))
        await found.configure(MUTATING, "m", found.webhook("/w", rules("configmaps"), matchConditions=[_IS_INNER]))
        await found.api.ok("POST", CONFIG_MAPS, config_map("outer"))
        assert [each["name"] for each in found.requests("/w")] == ["outer", "inner", "inner"]


_IS_INNER = {"name": "inner", "expression": "request.name == 'inner'"}


@virtual
async def test_configurations_themselves_are_nobodys_business(tmp_path: Path) -> None:
    async with hooked(tmp_path) as found:
        await found.validating("/v", EVERYTHING, denying())
        await found.mutating("/m", EVERYTHING, patching(add("/metadata/labels", {"x": "y"})))
        for collection, name in ((VALIDATING, "v"), (MUTATING, "m")):
            obj = await found.api.ok("PATCH", f"{collection}/{name}", {"metadata": {"annotations": {"a": "b"}}}, content_type=MERGE)
            assert "labels" not in obj["metadata"]
            await found.api.ok("DELETE", f"{collection}/{name}")
        await found.api.ok("POST", CONFIG_MAPS, config_map("a"))


@virtual
async def test_webhooks_can_be_switched_off(tmp_path: Path) -> None:
    async with hooked(tmp_path, disable_admission_plugins=("ValidatingAdmissionWebhook", "MutatingAdmissionWebhook")) as found:
        await found.validating("/v", EVERYTHING, denying())
        await found.mutating("/m", EVERYTHING, denying())
        await found.api.ok("POST", CONFIG_MAPS, config_map("a"))


@virtual
async def test_what_webhooks_do_is_counted(tmp_path: Path) -> None:
    async with hooked(tmp_path) as found:
        await found.validating("/deny", rules("configmaps"), denying(code=403))
        await found.mutating("/gone", rules("configmaps"), allowing, failurePolicy="Ignore")
        del found.server.answers["/gone"]
        await found.api.call("POST", CONFIG_MAPS, config_map("a"))
        text = str((await found.api.call("GET", "/metrics")).body)
        prefix = "apiserver_admission_webhook_"
        for line in (
            'fail_open_count{name="gone.hooks.test",type="admit"} 1',
            'rejection_count{error_type="no_error",name="deny.hooks.test",operation="CREATE",rejection_code="403",type="validating"} 1',
            'request_total{code="404",name="gone.hooks.test",operation="CREATE",rejected="false",type="admit"} 1',
            'admission_duration_seconds_count{name="deny.hooks.test",operation="CREATE",rejected="true",type="validating"} 1',
            'admission_duration_seconds_bucket{name="deny.hooks.test",operation="CREATE",rejected="true",type="validating",le="+Inf"} 1',
        ):
            assert f"{prefix}{line}\n" in text
        assert text.count(f"# TYPE {prefix}request_total counter") == 1


@pytest.mark.parametrize("policy", ["Fail", "Ignore"])
async def test_a_server_that_hangs_up_is_one_that_cannot_be_asked(tmp_path: Path, policy: str) -> None:
    async with hooked(tmp_path) as found:
        found.server.answers["/w"] = lambda _: asyncio.sleep(0, Raw(b"", 204))
        await found.configure(VALIDATING, "w", found.webhook("/w", rules("configmaps"), failurePolicy=policy))
        reply = await found.api.call("POST", CONFIG_MAPS, config_map("a"))
        if policy == "Ignore":
            assert reply.status == 201
        else:
            assert "0-length response with status code: 204 and content type: application/json" in reply.message
