"""Requests of every kind at a whole server: any method, query and body, well-formed or mangled. It never says that it has failed itself,
and what it has stored can be read, listed and watched afterwards."""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import orjson
from hypothesis import given
from hypothesis import strategies as st

from kube.schema import definitions
from tests.component.served import APPLY, JSON_PATCH, MERGE, STRATEGIC, Api, config_map, deployment, pod, served
from tests.fuzz.budget import examples
from tests.fuzz.bytes import as_flow_yaml, as_json, mangled
from tests.fuzz.test_decoders import DELETE_OPTIONS, SELECTORS, TOKENS
from tests.fuzz.test_patches import merges, operations
from tests.unit.typed_values import values_of
from tests.virtual import run_virtual

FAILED = "an error on the server prevented the request from succeeding"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
WIDGETS = "/apis/fuzz.example.com/v1/namespaces/default/widgets"
SCHEMA = {
    "type": "object",
    "x-kubernetes-preserve-unknown-fields": True,
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "size": {"type": "integer", "default": 1},
                "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
                "parts": {
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["name"],
                    "items": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}},
                },
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True, "nullable": True},
            },
        },
        "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    },
}
WIDGET_CRD = {
    "metadata": {"name": "widgets.fuzz.example.com"},
    "spec": {
        "group": "fuzz.example.com",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
        "versions": [
            {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": SCHEMA}, "subresources": {"status": {}}}
        ],
    },
}
WIDGET = {
    "apiVersion": "fuzz.example.com/v1",
    "kind": "Widget",
    "metadata": {"name": "a"},
    "spec": {"tags": ["x"], "parts": [{"name": "p"}]},
}


LIKELY = ("data", "spec", "status", "revision", "immutable", "labels")
"""Members of a patch that do not make it hopeless."""


class Target(NamedTuple):
    """A collection, the type of its objects, and one to start with."""

    path: str
    definition: str
    first: Any

    @property
    def kind(self) -> str:
        return "Widget" if self.path == WIDGETS else self.definition.rpartition(".")[2]

    @property
    def api_version(self) -> str:
        return self.path.removeprefix("/apis/").removeprefix("/api/").partition("/namespaces")[0]


CORE, APPS = "/api/v1/namespaces/default", "/apis/apps/v1/namespaces/default"
TARGETS = (
    Target(f"{CORE}/configmaps", "io.k8s.api.core.v1.ConfigMap", config_map("a", {"k": "v"})),
    Target(f"{CORE}/pods", "io.k8s.api.core.v1.Pod", pod("a")),
    Target(f"{APPS}/deployments", "io.k8s.api.apps.v1.Deployment", deployment("a")),
    Target(f"{CORE}/services", "io.k8s.api.core.v1.Service", {"metadata": {"name": "a"}, "spec": {"ports": [{"port": 80}]}}),
    Target(f"{APPS}/controllerrevisions", "io.k8s.api.apps.v1.ControllerRevision", {"metadata": {"name": "a"}, "revision": 1, "data": {}}),
    Target(WIDGETS, "io.k8s.api.apps.v1.Deployment", WIDGET),
)
QUERY = st.dictionaries(
    st.sampled_from(("fieldManager", "fieldValidation", "force", "dryRun", "pretty")),
    st.sampled_from(("m", "Ignore", "Strict", "true", "All", "")),
    max_size=3,
)
LISTS = st.fixed_dictionaries(
    {},
    optional={
        "labelSelector": SELECTORS,
        "fieldSelector": SELECTORS | st.sampled_from(("metadata.name=a", "metadata.name!=a,metadata.namespace=default")),
        "continue": TOKENS,
        "limit": st.sampled_from(("1", "0", "-1", "x", "9" * 30)),
        "resourceVersion": st.sampled_from(("", "0", "1", "abc", "9" * 30, "-1")),
        "resourceVersionMatch": st.sampled_from(("Exact", "NotOlderThan", "x")),
    },
)


class Sent(NamedTuple):
    method: str
    path: str
    body: bytes | None
    media: str


@st.composite
def requests(draw: st.DrawFn) -> Sent:
    target = draw(st.sampled_from(TARGETS))
    of = definitions.load().type(target.definition)
    method = draw(st.sampled_from(("GET", "POST", "PUT", "DELETE", *["PATCH"] * 6)))
    path = target.path if method == "POST" else f"{target.path}/{draw(st.sampled_from('aaaaab'))}"
    if method in ("PUT", "PATCH", "GET"):
        path += draw(st.sampled_from(("", "", "", "/status", "/scale")))
    if method == "GET":
        return Sent(method, f"{target.path}?{urlencode(draw(LISTS), quote_via=quote)}", None, "")
    query = urlencode(draw(QUERY))
    if method == "DELETE":
        return Sent(method, f"{path}?{query}", draw(mangled(DELETE_OPTIONS.map(as_json))), "application/json")
    if method == "PATCH":
        media = draw(st.sampled_from((JSON_PATCH, MERGE, STRATEGIC, APPLY, APPLY)))
        bodies = operations(target.first) if media == JSON_PATCH else merges(of, 4)
        value = draw(bodies)
        if isinstance(value, dict) and draw(st.integers(0, 4)):
            value = {name: each for name, each in value.items() if name in LIKELY}
        if media == APPLY and isinstance(value, dict):
            value |= {"apiVersion": target.api_version, "kind": target.kind, "metadata": {"name": "a"}}
            query = f"fieldManager={draw(st.sampled_from('mn'))}&{query}&force={draw(st.booleans())}"
        written = as_flow_yaml if media == APPLY and draw(st.booleans()) else as_json
        return Sent(method, f"{path}?{query}", draw(mangled(st.just(written(value)))), media)
    value = {**target.first, **draw(values_of(of)), "metadata": {"name": draw(st.sampled_from(("a", "b")))}}
    return Sent(method, f"{path}?{query}", draw(mangled(st.just(as_json(value)))), "application/json")


@examples(12)
@given(st.lists(requests(), min_size=8, max_size=24))
def test_no_request_makes_the_server_fail(sent: list[Sent]) -> None:
    run_virtual(lambda: _answered(sent))


async def _answered(sent: list[Sent]) -> None:
    async with served() as api:
        await api.ok("POST", CRDS, WIDGET_CRD)
        for target in TARGETS:
            await api.ok("POST", target.path, target.first)
        for each in sent:
            headers = {"content_type": each.media} if each.media else {}
            reply = await api.call(each.method, each.path, each.body, **headers)
            text = reply.body if isinstance(reply.body, str) else orjson.dumps(reply.body).decode()
            assert FAILED not in text, (each, text)
        await _is_readable(api)


async def _is_readable(api: Api) -> None:
    for target in TARGETS:
        for obj in (await api.ok("GET", target.path))["items"]:
            assert await api.ok("GET", f"{target.path}/{obj['metadata']['name']}")
        await api.ok("GET", target.path, accept="application/json;as=Table;v=v1;g=meta.k8s.io")
        await api.events(f"{target.path}?watch=true&resourceVersion=0", 1)
