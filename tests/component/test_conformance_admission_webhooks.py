"""Upstream's conformance behaviours of admission webhooks, gone through step by step."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from kube.objects import Object
from tests.component.hooked import (
    DEFINITIONS,
    MUTATING,
    NAMESPACES,
    VALIDATING,
    Decide,
    Hooked,
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
from tests.component.served import CONFIG_MAPS, JSON_PATCH, MERGE, PODS, STRATEGIC, config_map, pod
from tests.virtual import virtual

UNWANTED = {"webhook-e2e-test": "webhook-disallow"}
STAGES = {"mutation-stage-1": "mutation-start", "mutation-stage-2": "mutation-stage-1"}
THINGS = "/apis/e2e.test/v1/namespaces/default/things"


def unwanted(message: str) -> Decide:
    """Denies what carries the data that nobody wants."""

    def decide(request: Object) -> Object:
        found = ((request["object"] or {}).get("data") or {}).items() >= UNWANTED.items()
        return denying(message)(request) if found else allowing(request)

    return decide


def staged(key: str) -> Decide:
    """Adds a key where the one of the stage before is there."""

    def decide(request: Object) -> Object:
        return patch(add(f"/data/{key}", "yes")) if request["object"]["data"].get(STAGES[key]) == "yes" else allowing(request)

    return decide


async def register_stages(found: Hooked, *of: Object) -> None:
    for key in STAGES:
        found.answer(f"/{key}", staged(key))
    await found.configure(MUTATING, "stages", *(found.webhook(f"/{key}", of) for key in STAGES))


# --- validating -------------------------------------------------------------------------------------------------------


@virtual
async def test_pods_and_config_maps_are_denied(tmp_path: Path) -> None:
    async with hooked(tmp_path) as found:
        api = found.api

        async def judged(review: Object) -> Object:
            request = review["request"]
            if request["name"] == "hangs":
                await asyncio.get_running_loop().create_future()
            message = "the pod contains unwanted container name; the pod contains unwanted label;"
            return {**review, "response": {"uid": request["uid"], "allowed": False, "status": {"message": message}}}

        found.server.answers["/pods"] = judged
        found.answer("/configmaps", unwanted("the configmap contains unwanted key and value"))
        selector = {"matchExpressions": [{"key": "skip-webhook-admission", "operator": "NotIn", "values": ["yes"]}]}
        webhooks = [
            found.webhook("/pods", rules("pods", "CREATE"), timeoutSeconds=1),
            found.webhook("/configmaps", rules("configmaps", "CREATE UPDATE DELETE"), namespaceSelector=selector),
        ]
        await found.configure(VALIDATING, "deny", *webhooks)
        reply = await api.call("POST", PODS, pod("a"))
        assert reply.status == 400
        assert "the pod contains unwanted container name; the pod contains unwanted label" in reply.message
        reply = await api.call("POST", PODS, pod("hangs"))
        assert reply.status == 500
        assert 'failed calling webhook "pods.hooks.test"' in reply.message
        assert "context deadline exceeded" in reply.message
        assert (await api.call("GET", f"{PODS}/hangs")).status == 404

        denied = 'admission webhook "configmaps.hooks.test" denied the request: the configmap contains unwanted key and value'
        assert (await api.call("POST", CONFIG_MAPS, config_map("a", UNWANTED))).message == denied
        await api.ok("POST", CONFIG_MAPS, config_map("a", {"admit": "this"}))
        assert (await api.call("PUT", f"{CONFIG_MAPS}/a", config_map("a", UNWANTED))).message == denied
        for media in (STRATEGIC, MERGE):
            assert (await api.call("PATCH", f"{CONFIG_MAPS}/a", {"data": UNWANTED}, content_type=media)).message == denied
        await api.ok("POST", NAMESPACES, {"metadata": {"name": "exempt", "labels": {"skip-webhook-admission": "yes"}}})
        await api.ok("POST", f"{NAMESPACES}/exempt/configmaps", config_map("a", UNWANTED))


@virtual
async def test_attaching_is_denied(tmp_path: Path) -> None:
    async with hooked(tmp_path) as found:
        await found.validating("/attach", rules("pods/attach", "CONNECT"), denying("attaching to pod 'p' is not allowed"))
        await found.api.ok("POST", PODS, pod("p"))
        reply = await found.api.call("POST", f"{PODS}/p/attach?container=c&stdin=true")
        assert (reply.status, reply.message) == (
            400,
            "admission webhook \"attach.hooks.test\" denied the request: attaching to pod 'p' is not allowed",
        )
        request = found.requests("/attach")[0]
        assert (request["operation"], request["subResource"], request["name"]) == ("CONNECT", "attach", "p")
        assert request["kind"] == {"group": "", "version": "v1", "kind": "PodAttachOptions"}
        assert request["object"] == {"kind": "PodAttachOptions", "apiVersion": "v1", "container": "c", "stdin": True}
        assert (request["oldObject"], request["options"]) == (None, None)
        reply = await found.api.call("POST", f"{PODS}/p/exec?command=ls&stdout=true")
        assert "denied the request" not in reply.message, "only attaching is"
        assert len(found.requests("/attach")) == 1


@virtual
async def test_custom_resources_are_denied(tmp_path: Path) -> None:
    async with hooked(tmp_path) as found:
        api = found.api
        await api.ok("POST", DEFINITIONS, definition())

        def decide(request: Object) -> Object:
            if request["operation"] == "DELETE":
                is_kept = request["oldObject"]["data"].get("webhook-e2e-test") == "webhook-nondeletable"
                return denying("the custom resource cannot be deleted")(request) if is_kept else allowing(request)
            return unwanted("the custom resource contains unwanted data")(request)

        await found.validating("/things", rules("things", "CREATE UPDATE DELETE", "e2e.test"), decide)
        reply = await api.call("POST", THINGS, thing("a", UNWANTED))
        assert reply.message == 'admission webhook "things.hooks.test" denied the request: the custom resource contains unwanted data'
        await api.ok("POST", THINGS, thing("a", {"webhook-e2e-test": "webhook-nondeletable"}))
        reply = await api.call("PATCH", f"{THINGS}/a", {"data": UNWANTED}, content_type=MERGE)
        assert reply.message.endswith("the custom resource contains unwanted data")
        reply = await api.call("DELETE", f"{THINGS}/a")
        assert reply.message.endswith("the custom resource cannot be deleted")
        await api.ok("PATCH", f"{THINGS}/a", {"data": {"webhook-e2e-test": "webhook-allow"}}, content_type=MERGE)
        await api.ok("DELETE", f"{THINGS}/a")


@virtual
async def test_definitions_are_denied(tmp_path: Path) -> None:
    async with hooked(tmp_path) as found:
        await found.validating(
            "/crd",
            rules("customresourcedefinitions", "CREATE", "apiextensions.k8s.io"),
            denying("the custom resource definition cannot be created"),
            objectSelector={"matchLabels": UNWANTED},
        )
        labelled = definition()
        labelled["metadata"]["labels"] = UNWANTED
        reply = await found.api.call("POST", DEFINITIONS, labelled)
        assert reply.message.endswith("the custom resource definition cannot be created")
        assert (await found.api.call("GET", f"{DEFINITIONS}/things.e2e.test")).status == 404
        await found.api.ok("POST", DEFINITIONS, definition())


@virtual
async def test_a_webhook_that_cannot_be_called_fails_closed(tmp_path: Path) -> None:
    async with hooked(tmp_path) as found:
        await found.api.ok("POST", NAMESPACES, {"metadata": {"name": "fails", "labels": {"fail-closed": "yes"}}})
        service = {"namespace": "default", "name": "hook", "path": "/configmaps", "port": found.server.port}
        selector = {"matchLabels": {"fail-closed": "yes"}}
        webhook = found.webhook("/configmaps", rules("configmaps", "CREATE"), clientConfig={"service": service}, namespaceSelector=selector)
        await found.configure(VALIDATING, "closed", webhook)
        configmaps = f"{NAMESPACES}/fails/configmaps"
        url = f"https://hook.default.svc:{found.server.port}/configmaps?timeout=30s"
        reply = await found.api.call("POST", configmaps, config_map("a"))
        assert (reply.status, reply.body["reason"]) == (500, "InternalError")
        assert reply.message.endswith(f'failed to call webhook: Post "{url}": service "hook" not found')
        leading = {"type": "ExternalName", "externalName": "127.0.0.1"}
        await found.api.ok("POST", f"{NAMESPACES}/default/services", {"metadata": {"name": "hook"}, "spec": leading})
        reply = await found.api.call("POST", configmaps, config_map("a"))
        why = "tls: failed to verify certificate: x509: certificate signed by unknown authority"
        assert reply.message.endswith(f'failed to call webhook: Post "{url}": {why}')
        await found.api.ok("POST", CONFIG_MAPS, config_map("a"))
        trusted = [{"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": found.server.bundle}]
        await found.api.ok("PATCH", f"{VALIDATING}/closed", trusted, content_type=JSON_PATCH)
        found.answer("/configmaps", allowing)
        await found.api.ok("POST", configmaps, config_map("a"))


@pytest.mark.parametrize(
    ("timeout_s", "policy", "goes_through"), [(1, "Fail", False), (1, "Ignore", True), (10, "Fail", True), (None, "Fail", True)]
)
def test_time_outs_are_kept(tmp_path: Path, timeout_s: int | None, policy: str, *, goes_through: bool) -> None:
    @virtual
    async def run() -> None:
        async with hooked(tmp_path) as found:
            hurry = asyncio.Event()

            async def slow(review: Object) -> Object:
                if timeout_s == 1:
                    await hurry.wait()
                return {**review, "response": {"uid": review["request"]["uid"], "allowed": True}}

            found.server.answers["/slow"] = slow
            webhook = found.webhook("/slow", rules("configmaps", "CREATE"), failurePolicy=policy)
            webhook.pop("timeoutSeconds")
            await found.configure(VALIDATING, "slow", webhook | ({"timeoutSeconds": timeout_s} if timeout_s else {}))
            reply = await found.api.call("POST", CONFIG_MAPS, config_map("a"))
            told = found.server.posted[0].head.value("timeout")
            hurry.set()
            assert told == f"{timeout_s or 10}s"
            assert reply.status == (201 if goes_through else 500)
            assert goes_through or reply.message.endswith("context deadline exceeded")

    run()


# --- mutating ---------------------------------------------------------------------------------------------------------


@virtual
async def test_config_maps_are_changed_in_order(tmp_path: Path) -> None:
    async with hooked(tmp_path) as found:
        await register_stages(found, *rules("configmaps", "CREATE"))
        obj = await found.api.ok("POST", CONFIG_MAPS, config_map("a", {"mutation-start": "yes"}))
        assert obj["data"] == {"mutation-start": "yes", "mutation-stage-1": "yes", "mutation-stage-2": "yes"}


@virtual
async def test_pods_are_changed_and_defaulted(tmp_path: Path) -> None:
    async with hooked(tmp_path) as found:
        init = [{"name": "webhook-added-init-container", "image": "webhook-added-image", "resources": {}}]
        await found.mutating("/pods", rules("pods", "CREATE"), patching(add("/spec/initContainers", init)))
        obj = await found.api.ok("POST", PODS, pod("a"))
        found_init = obj["spec"]["initContainers"]
        assert [each["name"] for each in found_init] == ["webhook-added-init-container"]
        assert found_init[0]["terminationMessagePolicy"] == "File"


@virtual
async def test_configurations_are_neither_changed_nor_kept_from_being_deleted(tmp_path: Path) -> None:
    async with hooked(tmp_path) as found:
        configurations = "validatingwebhookconfigurations mutatingwebhookconfigurations"
        group = "admissionregistration.k8s.io"
        await found.validating("/never", rules(configurations, "DELETE", group), denying())
        await found.mutating("/always", rules(configurations, "CREATE", group), patching(add("/metadata/labels", {"added": "yes"})))
        dummy = found.webhook("/dummy", rules("invalid"), failurePolicy="Ignore")
        for collection in (VALIDATING, MUTATING):
            obj = await found.api.ok("POST", collection, {"metadata": {"name": "dummy"}, "webhooks": [dummy]})
            assert "labels" not in obj["metadata"]
            await found.api.ok("DELETE", f"{collection}/dummy")
        assert not found.server.posted


@virtual
async def test_custom_resources_are_changed(tmp_path: Path) -> None:
    async with hooked(tmp_path) as found:
        await found.api.ok("POST", DEFINITIONS, definition())
        await register_stages(found, *rules("things", "CREATE", "e2e.test"))
        obj = await found.api.ok("POST", THINGS, thing("a", {"mutation-start": "yes"}))
        assert obj["data"] == {"mutation-start": "yes", "mutation-stage-1": "yes", "mutation-stage-2": "yes"}


@virtual
async def test_custom_resources_are_changed_and_pruned(tmp_path: Path) -> None:
    async with hooked(tmp_path) as found:
        known = {name: {"type": "string"} for name in ("mutation-start", "mutation-stage-1")}
        schema = {"type": "object", "properties": {"data": {"type": "object", "properties": known}}}
        await found.api.ok("POST", DEFINITIONS, definition(schema))
        await register_stages(found, *rules("things", "CREATE", "e2e.test"))
        obj = await found.api.ok("POST", THINGS, thing("a", {"mutation-start": "yes"}))
        assert obj["data"] == {"mutation-start": "yes", "mutation-stage-1": "yes"}
        assert (await found.api.ok("GET", f"{THINGS}/a"))["data"] == obj["data"]
        assert found.requests("/mutation-stage-2"), "it was asked, and what it added has no place"


@virtual
async def test_custom_resources_are_changed_whatever_version_is_stored(tmp_path: Path) -> None:
    async with hooked(tmp_path) as found:
        api = found.api
        await api.ok("POST", DEFINITIONS, definition(versions="v1 v2"))
        await found.mutating("/v2", rules("things", "CREATE UPDATE", "e2e.test"), patching(add("/seen", "yes")))
        await api.ok("POST", THINGS, thing("a", {"mutation-start": "yes"}))
        changed = definition(versions="v1 v2", storage="v2")["spec"]["versions"]
        await api.ok("PATCH", f"{DEFINITIONS}/things.e2e.test", {"spec": {"versions": changed}}, content_type=MERGE)
        path = f"{THINGS.replace('/v1/', '/v2/')}/a"
        obj = await api.ok("PATCH", path, [add("/dummy", "test")], content_type=JSON_PATCH)
        assert (obj["apiVersion"], obj["data"], obj["dummy"], obj["seen"]) == ("e2e.test/v2", {"mutation-start": "yes"}, "test", "yes")
        assert (await api.ok("GET", f"{THINGS}/a"))["dummy"] == "test"
        assert [each["kind"]["version"] for each in found.requests("/v2")] == ["v1", "v2"]
        assert found.requests("/v2")[1]["object"]["apiVersion"] == "e2e.test/v2"


@virtual
async def test_conditions_leave_an_object_alone(tmp_path: Path) -> None:
    async with hooked(tmp_path) as found:
        condition = {"name": "skip-me", "expression": "object.metadata.name != 'skip-me'"}
        await found.mutating("/m", rules("configmaps", "CREATE"), patching(add("/data/changed", "yes")), matchConditions=[condition])
        assert (await found.api.ok("POST", CONFIG_MAPS, config_map("skip-me", {"a": "b"})))["data"] == {"a": "b"}
        assert (await found.api.ok("POST", CONFIG_MAPS, config_map("not-me", {"a": "b"})))["data"] == {"a": "b", "changed": "yes"}


# --- configurations ---------------------------------------------------------------------------------------------------

EFFECTS: dict[str, tuple[str, Decide, Any]] = {
    "validating": (VALIDATING, unwanted("unwanted"), lambda reply: reply.status == 400),
    "mutating": (MUTATING, patching(add("/data/changed", "yes")), lambda reply: "changed" in reply.body.get("data", {})),
}


@pytest.mark.parametrize(("collection", "decide", "shows"), EFFECTS.values(), ids=EFFECTS.keys())
def test_configurations_are_listed_and_deleted_together(tmp_path: Path, collection: str, decide: Decide, shows: Any) -> None:
    @virtual
    async def run() -> None:
        async with hooked(tmp_path) as found:
            found.answer("/w", decide)
            for number in range(10):
                await found.configure(collection, f"w{number}", found.webhook("/w", rules("configmaps")), labels={"of": "this-test"})
            listed = await found.api.ok("GET", f"{collection}?labelSelector=of%3Dthis-test")
            assert [each["metadata"]["name"] for each in listed["items"]] == [f"w{number}" for number in range(10)]
            assert shows(await found.api.call("POST", CONFIG_MAPS, config_map("a", UNWANTED)))
            await found.api.ok("DELETE", f"{collection}?labelSelector=of%3Dthis-test")
            reply = await found.api.call("POST", CONFIG_MAPS, config_map("b", UNWANTED))
            assert reply.status == 201
            assert not shows(reply)

    run()


@pytest.mark.parametrize(("collection", "decide", "shows"), EFFECTS.values(), ids=EFFECTS.keys())
def test_configurations_are_updated_and_patched(tmp_path: Path, collection: str, decide: Decide, shows: Any) -> None:
    @virtual
    async def run() -> None:
        async with hooked(tmp_path) as found:
            found.answer("/w", decide)
            await found.configure(collection, "w", found.webhook("/w", rules("configmaps", "CREATE")))
            present = await found.api.ok("GET", f"{collection}/w")
            present["webhooks"][0]["rules"][0]["operations"] = ["UPDATE"]
            await found.api.ok("PUT", f"{collection}/w", present)
            reply = await found.api.call("POST", CONFIG_MAPS, config_map("a", UNWANTED))
            assert reply.status == 201
            assert not shows(reply)
            change = [{"op": "replace", "path": "/webhooks/0/rules/0/operations", "value": ["CREATE"]}]
            await found.api.ok("PATCH", f"{collection}/w", change, content_type=JSON_PATCH)
            assert shows(await found.api.call("POST", CONFIG_MAPS, config_map("b", UNWANTED)))

    run()
