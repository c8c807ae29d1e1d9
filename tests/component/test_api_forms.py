"""What form an answer has, and who refuses it when it cannot have the form that was asked for."""

from __future__ import annotations

import asyncio

import pytest

from kube.objects import Object
from tests.component.served import CONFIG_MAPS, MERGE, TABLE, Api, config_map, served
from tests.component.test_custom_resources import DEFINITIONS, FOOS, LONG_S, SCALE, definition, foo, version
from tests.virtual import virtual

LIST = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
ACCEPTED = "only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf"
ROLES = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
PODS = "/api/v1/namespaces/default/pods"
FUTURE = "resourceVersion=99999999"
POD: Object = {"metadata": {"name": "p"}, "spec": {"automountServiceAccountToken": False, "containers": [{"name": "c", "image": "i"}]}}


async def defined(api: Api) -> None:
    await api.ok("POST", DEFINITIONS, definition(version(subresources={"status": {}, "scale": SCALE})))
    await asyncio.sleep(LONG_S)
    await api.ok("POST", FOOS, foo("a", {"replicas": 1}))


@pytest.mark.parametrize(
    ("path", "rows"),
    {
        "a kind without columns of its own": (ROLES, None),
        "ranges of limits": ("/api/v1/namespaces/default/limitranges", None),
        "definitions": (DEFINITIONS, None),
        "a kind with columns": (CONFIG_MAPS, []),
    }.values(),
)
@virtual
async def test_a_table_without_rows(path: str, rows: object) -> None:
    async with served() as api:
        assert (await api.ok("GET", f"{path}?labelSelector=nobody", accept=TABLE))["rows"] == rows


@virtual
async def test_a_table_of_what_a_dry_run_creates_has_no_version() -> None:
    async with served() as api:
        assert (await api.ok("POST", f"{CONFIG_MAPS}?dryRun=All", config_map("a"), accept=TABLE))["metadata"] == {}
        assert (await api.ok("POST", CONFIG_MAPS, config_map("a"), accept=TABLE))["metadata"].keys() == {"resourceVersion"}


@pytest.mark.parametrize("query", ["", "?dryRun=All"])
@virtual
async def test_empty_lists_come_back_as_they_are_stored_dry_run_or_not(query: str) -> None:
    async with served() as api:
        assert (await api.ok("POST", ROLES + query, {"metadata": {"name": "a"}, "rules": []}))["rules"] is None
        sent = {"metadata": {"name": "a"}, "addressType": "IPv4", "endpoints": [], "ports": []}
        made = await api.ok("POST", SLICES + query, sent)
        assert (made["endpoints"], made["ports"]) == (None, None)


@pytest.mark.parametrize(
    ("accept", "status"),
    {"any JSON": ("application/*", 200), "with a charset": ("application/json; charset=utf-8", 200), "HTML": ("text/html", 406)}.values(),
)
@pytest.mark.parametrize("path", ["", "/a", "/none", "/a/scale"])
@virtual
async def test_paths_of_custom_resources_have_no_router_that_looks_at_accept(path: str, accept: str, status: int) -> None:
    async with served() as api:
        await defined(api)
        found = await api.call("GET", FOOS + path, accept=accept)
        assert found.status == (404 if path == "/none" and status == 200 else status)
        assert status == 200 or found.message == ACCEPTED


@pytest.mark.parametrize(
    ("path", "accept", "status", "message"),
    {
        "one as a list": ("/a", LIST, 500, "content is not a list"),
        "a list as one": (
            "",
            LIST.replace("List;", ";"),
            406,
            "you requested PartialObjectMetadata, but the requested object is a list (*unstructured.UnstructuredList)",
        ),
        "a scale as a list": (
            "/a/scale",
            LIST,
            406,
            "you requested PartialObjectMetadataList, but the requested object is not a list (*v1.Scale)",
        ),
    }.values(),
)
@virtual
async def test_metadata_of_custom_resources_in_the_wrong_number(path: str, accept: str, status: int, message: str) -> None:
    async with served() as api:
        await defined(api)
        found = await api.call("GET", FOOS + path, accept=accept)
        assert (found.status, found.message) == (status, message)


@pytest.mark.parametrize(
    ("method", "path"),
    {
        "of a definition": ("GET", f"{DEFINITIONS}/foos.x.example.com/status"),
        "of an API service": ("GET", "/apis/apiregistration.k8s.io/v1/apiservices/v1./status"),
        "of a claim": ("GET", "/apis/resource.k8s.io/v1/namespaces/default/resourceclaims/none/status"),
        "of an eviction": ("POST", f"{PODS}/none/eviction"),
        "of a token": ("POST", "/api/v1/namespaces/default/serviceaccounts/none/token"),
    }.values(),
)
@virtual
async def test_there_are_no_tables(method: str, path: str) -> None:
    async with served() as api:
        found = await api.call(method, path, {} if method == "POST" else None, accept=TABLE)
        assert (found.status, found.message) == (406, ACCEPTED)


@pytest.mark.parametrize(
    ("query", "waits"),
    {
        "a list": (f"?{FUTURE}", True),
        "a page at least as new": (f"?limit=1&resourceVersionMatch=NotOlderThan&{FUTURE}", True),
        "one": (f"/a?{FUTURE}", True),
        "a page": (f"?limit=1&{FUTURE}", False),
        "an exact list": (f"?resourceVersionMatch=Exact&{FUTURE}", False),
    }.values(),
)
@virtual
async def test_only_the_watch_cache_says_when_to_come_back_for_a_version_of_the_future(query: str, waits: bool) -> None:
    async with served() as api:
        found = await api.call("GET", CONFIG_MAPS + query)
        assert found.status == 504
        assert ("retryAfterSeconds" in found.body["details"]) is waits
        of_events = await api.call("GET", CONFIG_MAPS.replace("configmaps", "events") + query)
        assert of_events.status == 504
        assert "retryAfterSeconds" not in of_events.body["details"]


@virtual
async def test_a_scale_is_read_at_a_version_too() -> None:
    path = "/apis/apps/v1/namespaces/default/deployments"
    template: Object = {"metadata": {"labels": {"a": "b"}}, "spec": POD["spec"]}
    async with served() as api:
        await api.ok("POST", path, {"metadata": {"name": "d"}, "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template}})
        assert (await api.call("GET", f"{path}/d/scale?resourceVersion=1")).status == 200
        assert (await api.call("GET", f"{path}/d/scale?{FUTURE}")).status == 504
        broken = await api.call("GET", f"{path}/d/scale?resourceVersion=-1")
        assert broken.status == 500
        assert broken.message.endswith('parsing "-1": invalid syntax')
        least = await api.call("PATCH", f"{path}/d/scale", {"spec": {"replicas": -(2**31)}}, content_type=MERGE)
        assert (least.status, least.body["details"]["causes"][0]["field"]) == (422, "spec.replicas")


@pytest.mark.parametrize("path", ["exec?command=ls&", "attach?", "portforward?", "proxy?", "proxy/index.html?"])
@virtual
async def test_connections_have_no_dry_run(path: str) -> None:
    async with served() as api:
        await api.ok("POST", PODS, POD)
        found = await api.call("GET", f"{PODS}/p/{path}dryRun=All")
        assert (found.status, found.message) == (400, "dryRun is not supported")


@virtual
async def test_conditions_of_pods_are_named_and_numbered() -> None:
    async with served() as api:
        await api.ok("POST", PODS, POD)
        conditions = [{"type": "a b"}, {"type": "Ready", "observedGeneration": -2}]
        found = await api.call("PATCH", f"{PODS}/p/status", {"status": {"conditions": conditions}}, content_type=MERGE)
        fields = [each["field"] for each in found.body["details"]["causes"]]
        assert fields == ["status.conditions[0].Type", "status.conditions[1].observedGeneration"]


@virtual
async def test_a_node_shows_its_architecture_though_its_kernel_is_unknown() -> None:
    async with served() as api:
        await api.ok("POST", "/api/v1/nodes", {"metadata": {"name": "n"}, "status": {"nodeInfo": {"architecture": "arm64"}}})
        rows = (await api.ok("GET", "/api/v1/nodes/n", accept=TABLE))["rows"]
        assert rows[0]["cells"][7:] == ["<unknown>", "<unknown> (arm64)", "<unknown>"]


@virtual
async def test_nobody_owns_anything_once_an_item_has_no_key() -> None:
    path = "/api/v1/namespaces/default/serviceaccounts"
    async with served() as api:
        await api.ok("POST", path, {"metadata": {"name": "s"}, "secrets": [{"name": "a"}]})
        broken = await api.ok("PATCH", f"{path}/s", {"secrets": [{}]}, content_type=MERGE)
        assert "managedFields" not in broken["metadata"]
        mended = await api.ok("PATCH", f"{path}/s", {"secrets": [{"name": "z"}]}, content_type=MERGE)
        assert "managedFields" not in mended["metadata"]
