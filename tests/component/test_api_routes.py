"""What the router refuses before any handler looks, and in which media type."""

from __future__ import annotations

import pytest

from tests.component.served import CONFIG_MAPS, DEPLOYMENTS, MERGE, PODS, config_map, deployment, served
from tests.virtual import virtual

PATHS = {
    "a kind that there is not": ("GET", "/api/v1/nope", 404),
    "a group that there is not is a plain page": ("GET", "/apis/nope.example.com/v1/things", 404),
    "another version of a group": ("GET", "/apis/apps/v9/deployments", 404),
    "an object of a namespaced kind without its namespace": ("GET", "/api/v1/configmaps/a", 404),
    "a cluster's kind inside a namespace": ("GET", "/api/v1/namespaces/default/nodes", 404),
    "a subresource that the kind does not have": ("GET", f"{CONFIG_MAPS}/a/status", 404),
    "what follows a subresource": ("GET", f"{DEPLOYMENTS}/d/status/deeper", 404),
    "what follows a log": ("GET", f"{PODS}/p/log/deeper", 404),
    "what follows an exec": ("POST", f"{PODS}/p/exec/deeper", 404),
    "two slashes in a row": ("GET", "/api/v1//namespaces/default", 404),
    "one object of a kind that is only ever created": ("GET", "/apis/authentication.k8s.io/v1/tokenreviews/x", 404),
    "creating across namespaces": ("POST", "/api/v1/configmaps", 405),
    "replacing a collection": ("PUT", CONFIG_MAPS, 405),
    "posting to an object": ("POST", f"{CONFIG_MAPS}/a", 405),
    "listing what is only ever created": ("GET", "/apis/authorization.k8s.io/v1/subjectaccessreviews", 405),
    "posting to a status": ("POST", f"{DEPLOYMENTS}/d/status", 405),
    "reading what is only posted": ("GET", f"{PODS}/p/binding", 405),
    "all namespaces at once": ("DELETE", "/api/v1/namespaces", 405),
    "HEAD of an object": ("HEAD", f"{CONFIG_MAPS}/a", 405),
    "OPTIONS": ("OPTIONS", CONFIG_MAPS, 405),
    "a method for the version": ("PUT", "/version", 405),
    "a method for a list of resources": ("POST", "/api/v1", 405),
    "a group takes any method": ("DELETE", "/apis/apps", 200),
    "all groups take any method": ("POST", "/apis", 200),
    "the aggregator's own group does not": ("DELETE", "/apis/apiregistration.k8s.io", 405),
    "the core group does not": ("POST", "/api", 405),
    "a path that watches takes GET alone": ("POST", "/api/v1/watch/namespaces/default/configmaps", 405),
    "it deletes nothing": ("DELETE", "/api/v1/watch/namespaces/default/configmaps/a", 405),
    "it has no subresources": ("GET", "/api/v1/watch/namespaces/default/pods/p/status", 404),
    "nor kinds that cannot be watched": ("GET", "/api/v1/watch/componentstatuses", 404),
    "nor paths that there are not": ("GET", "/api/v1/watch/nothings", 404),
    "health takes any method": ("POST", "/healthz", 200),
    "health with a slash is no path": ("GET", "/healthz/", 404),
    "a slash at the end of a resource is nothing": ("GET", f"{CONFIG_MAPS}/", 200),
    "a name that leaves its directory": ("GET", f"{CONFIG_MAPS}/..", 400),
    "a name with a percent sign": ("GET", f"{CONFIG_MAPS}/a%25b", 400),
}


@pytest.mark.parametrize(("method", "path", "status"), PATHS.values(), ids=PATHS.keys())
@virtual
async def test_paths_and_methods(method: str, path: str, status: int) -> None:
    async with served() as api:
        body = b"{}" if method in ("POST", "PUT") else None
        reply = await api.call(method, path, body)
        assert reply.status == status, reply.body
        if status == 405 and method != "HEAD":
            assert reply.message == "the server does not allow this method on the requested resource"
            assert reply.body["details"] == {}


@virtual
async def test_the_index_names_every_path_and_all_of_them_answer() -> None:
    async with served() as api:
        paths = (await api.ok("GET", "/"))["paths"]
        assert paths == sorted(paths)
        assert {"/api", "/apis/apps/v1", "/healthz/ping", "/openapi/v3", "/readyz/shutdown", "/version"} <= set(paths)
        for each in paths:
            assert (await api.call("GET", each)).status == 200, each


@virtual
async def test_a_patch_in_no_known_form_is_refused_by_the_router() -> None:
    async with served() as api:
        await api.ok("POST", CONFIG_MAPS, config_map("a"))
        reply = await api.call("PATCH", f"{CONFIG_MAPS}/a", {}, content_type="application/json")
        assert (reply.status, reply.message) == (415, "415: Unsupported Media Type")
        reply = await api.call("PATCH", f"{CONFIG_MAPS}/a", {}, content_type=f"text/plain, {MERGE}")
        assert reply.status == 415
        assert reply.message.startswith("the body of the request was in an unknown format")


ACCEPT = {
    "nothing that the path has": ("text/html", 406, "406: Not Acceptable\n\nAvailable representations: application/json"),
    "a wildcard of one type is taken literally": ("application/*", 406, "406: Not Acceptable\n\nAvailable representations:"),
    "a form that there is not": ("application/json;as=Tree;v=v1;g=meta.k8s.io", 406, "only the following media types are accepted: "),
    "protobuf alone": ("application/vnd.kubernetes.protobuf", 406, "only the following media types are accepted: application/json"),
    "the second best": ("text/html, application/json;q=0.1", 200, ""),
    "anything": ("*/*", 200, ""),
}


@pytest.mark.parametrize(("accept", "status", "message"), ACCEPT.values(), ids=ACCEPT.keys())
@virtual
async def test_what_a_client_accepts(accept: str, status: int, message: str) -> None:
    async with served() as api:
        await api.ok("POST", CONFIG_MAPS, config_map("a"))
        reply = await api.call("GET", f"{CONFIG_MAPS}/a", accept=accept)
        assert reply.status == status
        assert status == 200 or reply.message.startswith(message)


@virtual
async def test_a_failure_comes_in_the_media_type_that_was_asked_for() -> None:
    async with served() as api:
        reply = await api.call("GET", f"{CONFIG_MAPS}/none", accept="application/yaml")
        assert reply.headers["content-type"] == "application/yaml"
        assert reply.body.startswith("apiVersion: v1\ncode: 404\n")
        reply = await api.call("GET", "/version", accept="application/yaml")
        assert (reply.status, reply.headers["content-type"]) == (406, "application/yaml")


READERS: dict[str, tuple[str, dict[str, str], bool]] = {
    "a program": ("", {}, False),
    "one that asks for it": ("?pretty=true", {}, True),
    "one that asks for it in another place": ("", {"accept": "application/json;pretty=1"}, True),
    "curl": ("", {"user_agent": "curl/8.5.0"}, True),
    "a browser": ("", {"user_agent": "Mozilla/5.0 (X11)"}, True),
    "curl that does not want it": ("?pretty=0", {"user_agent": "curl/8.5.0"}, False),
    "an empty wish is none": ("?pretty=", {}, False),
}


@pytest.mark.parametrize(("query", "headers", "indented"), READERS.values(), ids=READERS.keys())
@virtual
async def test_who_reads_answers_gets_them_with_line_breaks(query: str, headers: dict[str, str], indented: bool) -> None:
    async with served() as api:
        for path in (f"{CONFIG_MAPS}/none", "/api/v1"):
            sent = {"authorization": "Bearer of-the-test", **{name.replace("_", "-"): value for name, value in headers.items()}}
            answer = await api.transport.request("GET", path + query, headers=sent, body=None)
            assert (b'\n  "kind": ' in answer.body) is indented


@virtual
async def test_an_object_as_yaml() -> None:
    async with served() as api:
        await api.ok("POST", CONFIG_MAPS, config_map("a", {"yes": "no", "text": "one\ntwo\n"}))
        reply = await api.call("GET", f"{CONFIG_MAPS}/a", accept="application/yaml")
        assert 'data:\n  text: |\n    one\n    two\n  "yes": "no"\n' in reply.body


@virtual
async def test_subresources_without_a_table_give_the_next_form() -> None:
    async with served() as api:
        await api.ok("POST", DEPLOYMENTS, deployment("d"))
        await api.ok("POST", PODS, {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "c"}]}})
        accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
        assert (await api.ok("GET", f"{DEPLOYMENTS}/d/status", accept=accept))["kind"] == "Table"
        scale = await api.ok("GET", f"{DEPLOYMENTS}/d/scale", accept=accept)
        assert [each["name"] for each in scale["columnDefinitions"]] == ["Name", "Desired", "Available", "Age"]
        assert scale["rows"][0]["cells"][:3] == ["d", 1, 0]
        assert (await api.ok("GET", f"{PODS}/p/resize", accept=accept))["kind"] == "Pod"


@virtual
async def test_a_deprecated_version_warns_whatever_is_asked_of_it() -> None:
    async with served() as api:
        reply = await api.call("GET", "/api/v1/componentstatuses?watch=1")
        assert reply.status == 405
        assert reply.headers["warning"] == '299 - "v1 ComponentStatus is deprecated in v1.19+"'


@virtual
async def test_another_groups_version_names_its_own_group_in_failures() -> None:
    async with served() as api:
        reply = await api.call("GET", "/apis/events.k8s.io/v1/namespaces/default/events/none")
        assert reply.message == 'events.events.k8s.io "none" not found'
        assert reply.body["details"] == {"name": "none", "group": "events.k8s.io", "kind": "events"}
        assert (await api.call("GET", "/api/v1/namespaces/default/events/none")).message == 'events "none" not found'


@pytest.mark.parametrize("path", ["/api/v1/namespaces/default", "/api/v1/namespaces/nothing", "/version", "/api", "/nothing"])
@virtual
async def test_every_answer_has_an_audit_id_and_is_not_to_be_cached(path: str) -> None:
    async with served() as api:
        first, second = await api.call("GET", path), await api.call("GET", path)
        assert first.headers["cache-control"] == "no-cache, private"
        assert len(first.headers["audit-id"]) == 36
        assert first.headers["audit-id"] != second.headers["audit-id"]
        assert (await api.call("GET", path, audit_id="mine")).headers["audit-id"] == "mine"
