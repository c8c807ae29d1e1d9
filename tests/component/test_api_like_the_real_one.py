"""Answers found by asking a kube-apiserver v1.36.2 and this server the same: what was told otherwise."""

from __future__ import annotations

from tests.component.served import CONFIG_MAPS, JSON_PATCH, MERGE, STRATEGIC, config_map, served
from tests.virtual import virtual

SERVICES = "/api/v1/namespaces/default/services"
LIMITS = "/api/v1/namespaces/default/limitranges"
EVENTS = "/api/v1/namespaces/default/events"
REVISIONS = "/apis/apps/v1/namespaces/default/controllerrevisions"


@virtual
async def test_a_service_without_a_name_whose_address_cannot_be_had_is_refused() -> None:
    async with served() as api:
        reply = await api.call("POST", SERVICES, {"spec": {"clusterIP": "10.97.0.10", "ports": [{"port": 80}]}})
        assert reply.status == 422
        assert reply.message.startswith(
            'Service "" is invalid: spec.clusterIPs: Invalid value: ["10.97.0.10"]: failed to allocate IP 10.97.0.10'
        )


@virtual
async def test_a_limit_range_gets_a_name() -> None:
    async with served() as api:
        made = await api.ok("POST", LIMITS, {"spec": {"limits": [{"type": "Pod", "max": {"cpu": "1"}}]}})
        assert (await api.ok("GET", f"{LIMITS}/{made['metadata']['name']}"))["metadata"]["uid"] == made["metadata"]["uid"]


@virtual
async def test_a_patch_that_takes_the_version_away_loses_the_name_too() -> None:
    async with served() as api:
        await api.ok("POST", CONFIG_MAPS, config_map("c", {"a": "b"}))
        removed = [{"op": "remove", "path": "/apiVersion"}]
        for media, patch in ((MERGE, {"apiVersion": None}), (MERGE, {"apiVersion": ""}), (JSON_PATCH, removed)):
            reply = await api.call("PATCH", f"{CONFIG_MAPS}/c", patch, content_type=media)
            assert reply.status == 400
            assert reply.message == "the name of the object (c based on URL) was undeterminable: name must be provided"
        for media, patch in ((STRATEGIC, {"apiVersion": None}), (MERGE, {"kind": None})):
            assert (await api.ok("PATCH", f"{CONFIG_MAPS}/c", patch, content_type=media))["kind"] == "ConfigMap"


@virtual
async def test_the_data_of_a_revision_is_an_object() -> None:
    async with served() as api:
        for data, why in ((None, "data is mandatory"), ([], "data must be a valid JSON object"), ("x", "data must be a valid JSON object")):
            reply = await api.call("POST", REVISIONS, {"metadata": {"name": "r"}, "revision": 1, "data": data})
            assert reply.status == 422
            assert reply.message == f'ControllerRevision.apps "r" is invalid: data: Required value: {why}'
        await api.ok("POST", REVISIONS, {"metadata": {"name": "r"}, "revision": 1, "data": {}})


@virtual
async def test_the_name_of_an_event_is_looked_at_when_nothing_else_is_wrong() -> None:
    async with served() as api:
        elsewhere = {"metadata": {"name": "a/b"}, "involvedObject": {"namespace": "elsewhere"}}
        reply = await api.call("POST", EVENTS, elsewhere)
        assert [each["field"] for each in reply.body["details"]["causes"]] == ["involvedObject.namespace"]
        reply = await api.call("POST", EVENTS, {**elsewhere, "involvedObject": {"namespace": "default"}})
        assert [each["field"] for each in reply.body["details"]["causes"]] == ["metadata.name"]


@virtual
async def test_a_dry_run_answers_as_if_it_had_been_stored() -> None:
    async with served() as api:
        assert (await api.ok("POST", f"{LIMITS}?dryRun=All", {"metadata": {"name": "l"}, "spec": {"limits": []}}))["spec"] == {
            "limits": None
        }
