"""What a request is about, from its method and path."""

from __future__ import annotations

import pytest

from apiserver.pipeline.authorization import attributes_of
from apiserver.pipeline.request_info import RequestInfo, request_info

TABLE = {
    "a list in a namespace": ("GET", "/api/v1/namespaces/a/pods", False, ("list", "", "v1", "a", "pods", "", "")),
    "a list of all namespaces": ("GET", "/api/v1/pods", False, ("list", "", "v1", "", "pods", "", "")),
    "a watch of a collection": ("GET", "/api/v1/pods", True, ("watch", "", "v1", "", "pods", "", "")),
    "a get that asks for a watch is a get": ("GET", "/api/v1/namespaces/a/pods/p", True, ("get", "", "v1", "a", "pods", "p", "")),
    "the deprecated watch path": ("GET", "/api/v1/watch/namespaces/a/pods", False, ("watch", "", "v1", "a", "pods", "", "")),
    "the deprecated watch of one object": ("GET", "/api/v1/watch/namespaces/a/pods/p", False, ("watch", "", "v1", "a", "pods", "p", "")),
    "a group": ("POST", "/apis/apps/v1/namespaces/a/deployments", False, ("create", "apps", "v1", "a", "deployments", "", "")),
    "a subresource": ("PATCH", "/api/v1/namespaces/a/pods/p/status", False, ("patch", "", "v1", "a", "pods", "p", "status")),
    "a namespace itself": ("GET", "/api/v1/namespaces/a", False, ("get", "", "v1", "a", "namespaces", "a", "")),
    "finalizing a namespace": ("PUT", "/api/v1/namespaces/a/finalize", False, ("update", "", "v1", "a", "namespaces", "a", "finalize")),
    "all of a collection": ("DELETE", "/api/v1/namespaces/a/pods", False, ("deletecollection", "", "v1", "a", "pods", "", "")),
    "a deprecated watch, whatever the method": ("POST", "/api/v1/watch/pods", False, ("watch", "", "v1", "", "pods", "", "")),
    "the deprecated proxy has no subresources": ("GET", "/api/v1/proxy/nodes/n/x", False, ("proxy", "", "v1", "", "nodes", "n", "")),
    "another method has no verb": ("OPTIONS", "/api/v1/pods/p", False, ("", "", "v1", "", "pods", "p", "")),
    "namespaces of another group": ("GET", "/apis/x.io/v1/namespaces/a", False, ("get", "x.io", "v1", "a", "namespaces", "a", "")),
    "what follows a namespace's status": (
        "GET",
        "/api/v1/namespaces/a/status/x",
        False,
        ("get", "", "v1", "a", "namespaces", "a", "status"),
    ),
    "one of a collection": ("DELETE", "/api/v1/namespaces/a/pods/p", False, ("delete", "", "v1", "a", "pods", "p", "")),
}


@pytest.mark.parametrize(("method", "path", "watch", "expected"), TABLE.values(), ids=TABLE.keys())
def test_resource_paths(method: str, path: str, watch: bool, expected: tuple[str, ...]) -> None:
    info = request_info(method, path, watch=watch)
    assert (info.verb, info.group, info.version, info.namespace, info.resource, info.name, info.subresource) == expected
    assert info.is_resource


def test_what_follows_a_proxy() -> None:
    info = request_info("GET", "/api/v1/nodes/n/proxy/stats/summary")
    assert (info.resource, info.name, info.subresource, info.rest) == ("nodes", "n", "proxy", "stats/summary")


@pytest.mark.parametrize("path", ["/", "/healthz", "/api", "/api/v1", "/apis", "/apis/apps", "/apis/apps/v1", "/openapi/v3", "/version"])
def test_other_paths_have_no_resource(path: str) -> None:
    assert request_info("GET", path) == RequestInfo(path, "get")


NAMES = {
    "a list of one name": ("GET", "/api/v1/pods", "metadata.name=a", "a"),
    "a name that cannot be": ("GET", "/api/v1/pods", "metadata.name=a/b", ""),
    "nor can this": ("GET", "/api/v1/pods", "metadata.name=..", ""),
    "all of a collection that have a name": ("DELETE", "/api/v1/namespaces/x/pods", "metadata.name=a", ""),
    "a watch by path": ("GET", "/api/v1/watch/pods", "metadata.name=a", ""),
}


@pytest.mark.parametrize(("method", "path", "selector", "name"), NAMES.values(), ids=NAMES.keys())
def test_names_that_are_selected(method: str, path: str, selector: str, name: str) -> None:
    assert attributes_of(request_info(method, path), {"fieldSelector": [selector]}).name == name
