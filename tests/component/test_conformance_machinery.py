"""Upstream's conformance tests of API machinery: discovery, lists in pieces, watches, validation of fields, tables, versions."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kube.objects import Object
from tests.component.conformance import ALL, names
from tests.component.served import CONFIG_MAPS, DEPLOYMENTS, MERGE, Api, config_map, deployment, served
from tests.virtual import virtual

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
TEMPLATES = "/api/v1/namespaces/default/podtemplates"
GROUPS = {
    f"{name}.k8s.io"
    for name in [
        "admissionregistration",
        "apiextensions",
        "apiregistration",
        "authentication",
        "authorization",
        "coordination",
        "discovery",
        "events",
        "networking",
    ]
} | {"apps", "autoscaling", "batch", "certificates.k8s.io", "flowcontrol.apiserver.k8s.io", "node.k8s.io", "policy"}
GROUPS |= {"rbac.authorization.k8s.io", "resource.k8s.io", "scheduling.k8s.io", "storage.k8s.io"}


# --- discovery ---------------------------------------------------------------------------------------------------------------


async def test_aggregated_discovery_has_every_built_in_resource() -> None:
    async with served() as api:
        reply = await api.call("GET", "/apis", accept=AGGREGATED)
        assert reply.headers["content-type"].startswith("application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")
        found = {
            (group["metadata"]["name"], version["version"], resource["resource"])
            for group in reply.body["items"]
            for version in group["versions"]
            for resource in version["resources"]
        }
        assert {group for group, _, _ in found} >= GROUPS - {"apiregistration.k8s.io"}
        assert found >= {("apps", "v1", "deployments"), ("batch", "v1", "cronjobs"), ("networking.k8s.io", "v1", "ingresses")}
        core = await api.ok("GET", "/api", accept=AGGREGATED)
        (version,) = core["items"][0]["versions"]
        assert {each["resource"] for each in version["resources"]} >= {"pods", "services", "namespaces", "nodes", "configmaps", "secrets"}
        plain = {
            (group["name"], each["version"], resource["name"])
            for group in (await api.ok("GET", "/apis"))["groups"]
            for each in group["versions"]
            for resource in (await api.ok("GET", f"/apis/{each['groupVersion']}"))["resources"]
            if "/" not in resource["name"]
        }
        assert {each for each in found if each[2]} == plain, "both kinds of discovery tell the same"


async def test_each_group_has_resources_and_a_preferred_version() -> None:
    async with served() as api:
        groups = (await api.ok("GET", "/apis"))["groups"]
        assert {each["name"] for each in groups} >= GROUPS
        for group in groups:
            preferred = group["preferredVersion"]
            assert preferred in group["versions"]
            assert preferred["groupVersion"] == f"{group['name']}/{preferred['version']}"
            listed = await api.ok("GET", f"/apis/{preferred['groupVersion']}")
            assert (listed["groupVersion"], bool(listed["resources"])) == (preferred["groupVersion"], True)
            assert all(each["name"] and each["kind"] for each in listed["resources"])
        webhooks = await api.ok("GET", "/apis/admissionregistration.k8s.io/v1")
        assert {each["name"] for each in webhooks["resources"]} >= {"mutatingwebhookconfigurations", "validatingwebhookconfigurations"}
        definitions = await api.ok("GET", "/apis/apiextensions.k8s.io/v1")
        assert "customresourcedefinitions" in {each["name"] for each in definitions["resources"]}


async def test_the_version_is_of_integers() -> None:
    async with served() as api:
        version = await api.ok("GET", "/version")
        assert (version["major"].isdigit(), version["minor"].rstrip("+").isdigit()) == (True, True)


async def test_a_table_of_what_has_none_is_not_acceptable() -> None:
    async with served() as api:
        review = {"spec": {"nonResourceAttributes": {"path": "/", "verb": "get"}}}
        wanted = "application/json;as=Table;v=v1;g=meta.k8s.io"
        reply = await api.call("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review, accept=wanted)
        assert (reply.status, reply.body["reason"]) == (406, "NotAcceptable")


# --- lists in pieces -----------------------------------------------------------------------------------------------------------


async def fill(api: Api, count: int) -> list[str]:
    for each in range(count):
        body = {"metadata": {"name": f"template-{each:04}"}, "template": {"spec": {"containers": [{"name": "c", "image": "c"}]}}}
        await api.ok("POST", TEMPLATES, body)
    return [f"template-{each:04}" for each in range(count)]


async def pages(api: Api, limit: int, token: str = "") -> list[Object]:
    """Every page from the token on."""
    found: list[Object] = []
    while not found or token:
        page = await api.ok("GET", f"{TEMPLATES}?limit={limit}" + (f"&continue={token}" if token else ""))
        found.append(page)
        token = page["metadata"].get("continue", "")
    return found


async def test_a_list_comes_in_pieces_of_one_version() -> None:
    async with served() as api:
        wanted = await fill(api, 40)
        found = await pages(api, 17)
        assert [len(page["items"]) for page in found] == [17, 17, 6]
        assert [page["metadata"].get("remainingItemCount") for page in found] == [23, 6, None]
        assert len({page["metadata"]["resourceVersion"] for page in found}) == 1
        assert [name for page in found for name in names(page["items"])] == wanted
        whole = await api.ok("GET", f"{TEMPLATES}?limit=0")
        assert (names(whole["items"]), whole["metadata"].get("continue")) == (wanted, None)


@virtual
async def test_a_list_goes_on_after_its_version_was_compacted_away() -> None:
    async with served() as api:
        wanted = await fill(api, 40)
        first = await api.ok("GET", f"{TEMPLATES}?limit=10")
        async with asyncio.timeout(3600):
            while (reply := await api.call("GET", f"{TEMPLATES}?limit=10&continue={first['metadata']['continue']}")).status == 200:
                await api.ok("POST", CONFIG_MAPS, config_map(f"x{asyncio.get_running_loop().time():.0f}"))
                await asyncio.sleep(100)
        assert (reply.status, reply.body["reason"]) == (410, "Expired")
        rest = await pages(api, 10, reply.body["metadata"]["continue"])
        assert [page["metadata"].get("remainingItemCount") for page in rest] == [20, 10, None]
        assert [name for page in [first, *rest] for name in names(page["items"])] == wanted
        assert {page["metadata"]["resourceVersion"] for page in rest} != {first["metadata"]["resourceVersion"]}
        assert len({page["metadata"]["resourceVersion"] for page in rest}) == 1


# --- watches -------------------------------------------------------------------------------------------------------------------


async def change(api: Api, name: str, value: str, **labels: str) -> Object:
    body = {"data": {"mutation": value}, "metadata": {"labels": labels}}
    return dict(await api.ok("PATCH", f"{CONFIG_MAPS}/{name}", body, content_type=MERGE))


def told(events: list[Object]) -> list[tuple[str, str, str]]:
    return [(each["type"], each["object"]["metadata"]["name"], (each["object"].get("data") or {}).get("mutation", "")) for each in events]


@virtual
async def test_many_watchers_see_what_their_selectors_say() -> None:
    async with served() as api:
        selectors = {"a": "w%3Da", "b": "w%3Db", "ab": "w%20in%20(a,b)"}
        watching = {
            key: asyncio.create_task(api.events(f"{CONFIG_MAPS}?watch=1&labelSelector={each}", ALL)) for key, each in selectors.items()
        }
        await asyncio.sleep(1)
        await api.ok("POST", CONFIG_MAPS, config_map("one", labels={"w": "a"}))
        await change(api, "one", "1")
        await api.ok("DELETE", f"{CONFIG_MAPS}/one")
        await api.ok("POST", CONFIG_MAPS, config_map("other", labels={"w": "b"}))
        await api.ok("DELETE", f"{CONFIG_MAPS}/other")
        seen = {key: told(await task) for key, task in watching.items()}
        assert seen["a"] == [("ADDED", "one", ""), ("MODIFIED", "one", "1"), ("DELETED", "one", "1")]
        assert seen["b"] == [("ADDED", "other", ""), ("DELETED", "other", "")]
        assert seen["ab"] == [*seen["a"], *seen["b"]]


@virtual
async def test_a_watch_begins_where_it_is_told_to() -> None:
    async with served() as api:
        await api.ok("POST", CONFIG_MAPS, config_map("one"))
        first = await change(api, "one", "1")
        await change(api, "one", "2")
        await api.ok("DELETE", f"{CONFIG_MAPS}/one")
        path = f"{CONFIG_MAPS}?watch=1&fieldSelector=metadata.name%3Done&resourceVersion={first['metadata']['resourceVersion']}"
        assert told(await api.events(path, ALL)) == [("MODIFIED", "one", "2"), ("DELETED", "one", "2")]


@virtual
async def test_a_watch_that_was_closed_goes_on_where_it_ended() -> None:
    async with served() as api:
        path = f"{CONFIG_MAPS}?watch=1&fieldSelector=metadata.name%3Done&resourceVersion="
        made = await api.ok("POST", CONFIG_MAPS, config_map("one"))
        await change(api, "one", "1")
        (last,) = await api.events(path + made["metadata"]["resourceVersion"], 1)
        await change(api, "one", "2")
        await api.ok("DELETE", f"{CONFIG_MAPS}/one")
        rest = await api.events(path + last["object"]["metadata"]["resourceVersion"], ALL)
        assert told(rest) == [("MODIFIED", "one", "2"), ("DELETED", "one", "2")]


@virtual
async def test_a_watch_sees_objects_come_into_and_leave_its_selection() -> None:
    async with served() as api:
        made = await api.ok("POST", CONFIG_MAPS, config_map("one", labels={"w": "in"}))
        await change(api, "one", "1", w="in")
        await change(api, "one", "1", w="out")
        await change(api, "one", "2", w="out")
        await change(api, "one", "2", w="in")
        await change(api, "one", "3", w="in")
        await api.ok("DELETE", f"{CONFIG_MAPS}/one")
        path = f"{CONFIG_MAPS}?watch=1&labelSelector=w%3Din&resourceVersion={int(made['metadata']['resourceVersion']) - 1}"
        assert [(kind, value) for kind, _, value in told(await api.events(path, ALL))] == [
            ("ADDED", ""), ("MODIFIED", "1"), ("DELETED", "1"), ("ADDED", "2"), ("MODIFIED", "3"), ("DELETED", "3"),
        ]  # fmt: skip


@virtual
async def test_watches_from_each_version_tell_the_same_in_the_same_order() -> None:
    async with served() as api:

        async def write() -> None:
            for each in range(60):
                await api.ok("POST", CONFIG_MAPS, config_map(f"c{each}"))
                await asyncio.sleep(0.01)

        start = (await api.ok("GET", CONFIG_MAPS))["metadata"]["resourceVersion"]
        writing = asyncio.create_task(write())
        path = f"{CONFIG_MAPS}?watch=1&resourceVersion="
        first = [each["object"]["metadata"]["resourceVersion"] for each in await api.events(path + start, 20)]
        later = await asyncio.gather(*(api.events(path + version, 60 - at) for at, version in enumerate(first, 1)))
        await writing
        everything = [each["object"]["metadata"]["resourceVersion"] for each in await api.events(path + start, 60)]
        assert everything[:20] == first
        for at, events in enumerate(later, 1):
            assert [each["object"]["metadata"]["resourceVersion"] for each in events] == everything[at:]


# --- fields of built-in kinds ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "complaints"),
    [
        pytest.param(
            '"replicas": 1, "unknownNested": 1, "paused": true, "paused": false,',
            {'unknown field "spec.unknownNested"', 'duplicate field "spec.paused"'},
            id="unknown and duplicate fields",
        ),
        pytest.param(
            '"template": {"metadata": {"labels": {"app": "x"}, "unknownSubMeta": {}}, "spec": {"containers": []}},',
            {'unknown field "spec.template.metadata.unknownSubMeta"', 'unknown field "metadata.unknownMeta"'},
            id="unknown metadata",
        ),
    ],
)
async def test_a_typed_object_with_unknown_or_duplicate_fields_is_rejected(text: str, complaints: set[str]) -> None:
    metadata = '{"name": "d", "unknownMeta": 1}' if "unknownSubMeta" in text else '{"name": "d"}'
    async with served() as api:
        body = f'{{"metadata": {metadata}, "spec": {{{text} "selector": {{"matchLabels": {{"app": "x"}}}}}}}}'
        reply = await api.call("POST", f"{DEPLOYMENTS}?fieldValidation=Strict", body)
        assert (reply.status, reply.body["reason"]) == (400, "BadRequest")
        assert set(reply.message.partition("strict decoding error: ")[2].split(", ")) == complaints


# --- objects with rules of their own ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("plural", ["configmaps", "secrets"])
async def test_data_has_no_empty_keys(plural: str) -> None:
    async with served() as api:
        reply = await api.call("POST", f"/api/v1/namespaces/default/{plural}", {"metadata": {"name": "x"}, "data": {"": "dmFsdWU="}})
        assert (reply.status, reply.body["details"]["causes"][0]["field"]) == (422, "data[]")


@pytest.mark.parametrize("plural", ["configmaps", "secrets"])
async def test_what_is_immutable_keeps_its_data_and_nothing_else(plural: str) -> None:
    async with served() as api:
        path = f"/api/v1/namespaces/default/{plural}"
        await api.ok("POST", path, {"metadata": {"name": "x"}, "data": {"a": "MQ=="}})
        changed: Any = {"data": {"a": "Mg=="}}
        await api.ok("PATCH", f"{path}/x", changed, content_type=MERGE)
        await api.ok("PATCH", f"{path}/x", {"immutable": True}, content_type=MERGE)
        for refused in ({"data": {"a": "Mw=="}}, {"immutable": False}, {"immutable": None}):
            assert (await api.call("PATCH", f"{path}/x", refused, content_type=MERGE)).status == 422
        labelled = await api.ok("PATCH", f"{path}/x", {"metadata": {"labels": {"l": "1"}}}, content_type=MERGE)
        assert (labelled["metadata"]["labels"], labelled["data"]) == ({"l": "1"}, {"a": "Mg=="})
        await api.ok("DELETE", f"{path}/x")


async def test_a_priority_class_keeps_its_value() -> None:
    path = "/apis/scheduling.k8s.io/v1/priorityclasses"
    async with served() as api:
        await api.ok("POST", path, {"metadata": {"name": "p"}, "value": 100})
        assert (await api.ok("PATCH", f"{path}/p", {"description": "d"}, content_type=MERGE))["description"] == "d"
        current = await api.ok("GET", f"{path}/p")
        updated = await api.ok("PUT", f"{path}/p", {**current, "description": "e"})
        assert updated["description"] == "e"
        assert (await api.call("PATCH", f"{path}/p", {"value": 10}, content_type=MERGE)).status == 422
        assert (await api.call("PUT", f"{path}/p", {**updated, "value": 1})).status == 422
        assert "p" in names((await api.ok("GET", path))["items"])


async def test_a_deployment_scales_through_its_subresource() -> None:
    async with served() as api:
        await api.ok("POST", DEPLOYMENTS, deployment("web"))
        scale = await api.ok("GET", f"{DEPLOYMENTS}/web/scale")
        assert scale["spec"]["replicas"] == 1
        scaled = await api.ok("PUT", f"{DEPLOYMENTS}/web/scale", {**scale, "spec": {"replicas": 2}})
        assert scaled["spec"]["replicas"] == 2
        await api.ok("PATCH", f"{DEPLOYMENTS}/web/scale", {"spec": {"replicas": 4}}, content_type=MERGE)
        assert (await api.ok("GET", f"{DEPLOYMENTS}/web"))["spec"]["replicas"] == 4


@pytest.mark.parametrize("kind", ["Mutating", "Validating"])
async def test_match_conditions_of_webhooks_are_kept_and_compiled(kind: str) -> None:
    path = f"/apis/admissionregistration.k8s.io/v1/{kind.lower()}webhookconfigurations"
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    webhook: Object = {
        "name": "e2e.example.com",
        "clientConfig": {"url": "https://192.0.2.7/hook"},
        "rules": [rule],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }

    def conditions(expression: str) -> Object:
        return {"webhooks": [{**webhook, "matchConditions": [{"name": "expression", "expression": expression}]}]}

    async with served() as api:
        first = "object.metadata.namespace == 'default'"
        made = await api.ok("POST", path, {"metadata": {"name": "w"}, **conditions(first)})
        assert made["webhooks"][0]["matchConditions"] == [{"name": "expression", "expression": first}]
        second = "object.metadata.name != 'skip-me'"
        await api.ok("PUT", f"{path}/w", {**made, **conditions(second)})
        assert (await api.ok("GET", f"{path}/w"))["webhooks"][0]["matchConditions"] == [{"name": "expression", "expression": second}]
        refused = await api.call("POST", path, {"metadata": {"name": "bad"}, **conditions("... [] bad expression")})
        assert (refused.status, "compilation failed" in refused.message) == (422, True)
