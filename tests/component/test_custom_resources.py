"""Custom resources in a whole API server: from definition to removal, on the same path as built-in kinds."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kube.objects import Object
from tests.component.served import APPLY, MERGE, STRATEGIC, TABLE, Api, served

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
FOOS = "/apis/x.example.com/v1/namespaces/default/foos"
LONG_S = 5
"""Of virtual time: all that the server does by itself is done by then."""

SPEC: Object = {
    "type": "object",
    "properties": {
        "mode": {"type": "string", "enum": ["a", "b"], "default": "a"},
        "replicas": {"type": "integer"},
        "ports": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
            "items": {
                "type": "object",
                "required": ["name"],
                "properties": {"name": {"type": "string"}, "port": {"type": "integer", "maximum": 9}},
            },
        },
    },
}
SCHEMA: Object = {
    "type": "object",
    "properties": {"spec": SPEC, "status": {"type": "object", "properties": {"replicas": {"type": "integer"}}}},
}
SCALE = {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}


def version(name: str = "v1", *, schema: Object = SCHEMA, served: bool = True, storage: bool = True, **rest: Any) -> Object:
    return {"name": name, "served": served, "storage": storage, "schema": {"openAPIV3Schema": schema}, **rest}


def definition(*versions: Object, plural: str = "foos", kind: str = "Foo", **spec: Any) -> Object:
    names = {"plural": plural, "kind": kind, "shortNames": [plural[:2]], "categories": ["all"]}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.x.example.com"},
        "spec": {"group": "x.example.com", "scope": "Namespaced", "names": names, "versions": list(versions or (version(),)), **spec},
    }


def foo(name: str, spec: Object | None = None, **rest: Any) -> Object:
    return {"apiVersion": "x.example.com/v1", "kind": "Foo", "metadata": {"name": name}, "spec": spec or {}, **rest}


async def conditions(api: Api, name: str) -> dict[str, tuple[str, str]]:
    found = await api.ok("GET", f"{DEFINITIONS}/{name}")
    return {each["type"]: (each["status"], each["reason"]) for each in found["status"]["conditions"]}


async def test_from_definition_to_removal() -> None:
    async with served() as api:
        await api.ok("POST", DEFINITIONS, definition())
        assert await conditions(api, "foos.x.example.com") == {
            "NamesAccepted": ("True", "NoConflicts"),
            "Established": ("True", "InitialNamesAccepted"),
        }
        made = await api.call("POST", FOOS, foo("a", {"replicas": 1, "extra": 1}))
        assert made.body["spec"] == {"replicas": 1, "mode": "a"}
        assert made.headers["warning"] == '299 - "unknown field \\"spec.extra\\""'
        await api.ok("DELETE", f"{DEFINITIONS}/foos.x.example.com")
        await asyncio.sleep(LONG_S)
        assert (await api.call("GET", FOOS)).status == 404
        assert (await api.call("GET", f"{DEFINITIONS}/foos.x.example.com")).status == 404


async def test_a_definition_waits_for_objects_that_are_held() -> None:
    async with served() as api:
        await api.ok("POST", DEFINITIONS, definition())
        await api.ok("POST", FOOS, {**foo("a"), "metadata": {"name": "a", "finalizers": ["example.com/held"]}})
        deleted = await api.ok("DELETE", f"{DEFINITIONS}/foos.x.example.com?propagationPolicy=Foreground")
        assert deleted["metadata"]["finalizers"] == ["customresourcecleanup.apiextensions.k8s.io"], "the policy does not count"
        await asyncio.sleep(LONG_S)
        assert (await conditions(api, "foos.x.example.com"))["Terminating"] == ("True", "InstanceDeletionInProgress")
        refused = await api.call("POST", FOOS, foo("b"))
        assert (refused.status, refused.message) == (
            403,
            'foos.x.example.com "b" is forbidden: create not allowed while custom resource definition is terminating',
        )
        (entry,) = (await api.ok("GET", "/apis/x.example.com/v1"))["resources"]
        assert entry["verbs"] == ["delete", "deletecollection", "get", "list", "watch"]
        await api.ok("PATCH", f"{FOOS}/a", {"metadata": {"finalizers": None}}, content_type=MERGE)
        await asyncio.sleep(LONG_S)
        assert (await api.call("GET", f"{DEFINITIONS}/foos.x.example.com")).status == 404


async def test_what_is_refused_is_not_warned_of() -> None:
    async with served() as api:
        await api.ok("POST", DEFINITIONS, definition())
        fine = {**foo("a"), "metadata": {"name": "a", "finalizers": ["odd"]}}
        assert "prefer a domain-qualified finalizer name" in (await api.call("POST", FOOS, fine)).headers["warning"]
        bad = {**foo("b"), "metadata": {"name": "b", "finalizers": ["odd"], "labels": {"a b": "c"}}}
        assert "warning" not in (await api.call("POST", FOOS, bad)).headers


async def test_another_version_in_the_body_is_pruned_before_it_is_refused() -> None:
    async with served() as api:
        await api.ok("POST", DEFINITIONS, definition())
        reply = await api.call("POST", FOOS, {**foo("a", {"mode": "a"}), "apiVersion": "x.example.com/v9"})
        assert (reply.status, reply.headers["warning"]) == (400, '299 - "unknown field \\"spec\\""')


async def test_bodies_and_patches_that_are_another_kind() -> None:
    async with served() as api:
        await api.ok("POST", DEFINITIONS, definition())
        await api.ok("POST", FOOS, foo("a"))
        for reply in (
            await api.call("POST", FOOS, {**foo("b"), "kind": "Bar"}),
            await api.call("PATCH", f"{FOOS}/a", {"kind": "Bar"}, content_type=MERGE),
        ):
            assert reply.status == 422
            assert reply.body["details"]["causes"] == [
                {"reason": "FieldValueInvalid", "message": 'Invalid value: "Bar": must be Foo', "field": "kind"}
            ]


@pytest.mark.parametrize(
    ("said", "subject", "wrong"),
    [
        pytest.param({"apiVersion": "x.example.com/v2"}, "Foo.x.example.com", ["apiVersion"], id="another version"),
        pytest.param({"apiVersion": "other/v1"}, "Foo.other", ["apiVersion"], id="another group"),
        pytest.param({"apiVersion": "v1"}, "Foo", ["apiVersion"], id="no group"),
        pytest.param({"apiVersion": "x.example.com/v9", "kind": "Bar"}, "Bar.x.example.com", ["kind", "apiVersion"], id="and another kind"),
        pytest.param(
            {"apiVersion": "x.example.com/v9", "spec": {"mode": "z"}}, "Foo.x.example.com", ["apiVersion"], id="nothing else is told"
        ),
    ],
)
async def test_a_patch_that_makes_another_version_of_an_object(said: Object, subject: str, wrong: list[str]) -> None:
    async with served() as api:
        await api.ok("POST", DEFINITIONS, definition())
        made = await api.ok("POST", FOOS, foo("a"))
        reply = await api.call("PATCH", f"{FOOS}/a", said, content_type=MERGE)
        assert (reply.status, [each["field"] for each in reply.body["details"]["causes"]]) == (422, wrong)
        assert reply.message.startswith(f'{subject} "a" is invalid: ')
        assert (await api.call("PATCH", f"{FOOS}/a", {**said, "metadata": {"resourceVersion": "1"}}, content_type=MERGE)).status == 409
        assert await api.ok("GET", f"{FOOS}/a") == made


async def test_numbers_that_no_integer_holds_are_taken_next_to_what_is_unknown() -> None:
    async with served() as api:
        loose = {**SCHEMA, "properties": {"spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}}
        await api.ok("POST", DEFINITIONS, definition(version(schema=loose)))
        text = '"spec":{"n":-9223372036854775809},"other":36893488147419103232'
        body = '{"apiVersion":"x.example.com/v1","kind":"Foo","metadata":{"name":"a"},' + text + "}"
        made = await api.ok("POST", FOOS, body)
        assert made["spec"] == {"n": -(2.0**63)}
        assert "other" not in made


async def test_what_was_wrong_before_may_stay() -> None:
    async with served() as api:
        loose = {**SCHEMA, "properties": {"spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}}
        made = await api.ok("POST", DEFINITIONS, definition(version(schema=loose)))
        await api.ok("POST", FOOS, foo("a", {"mode": "z", "ports": [{"name": "p", "port": 99}]}))
        current = await api.ok("GET", f"{DEFINITIONS}/{made['metadata']['name']}")
        current["spec"]["versions"] = [version()]
        await api.ok("PUT", f"{DEFINITIONS}/{made['metadata']['name']}", current)
        patched = await api.ok("PATCH", f"{FOOS}/a", {"spec": {"replicas": 2}}, content_type=MERGE)
        assert patched["spec"] == {"mode": "z", "ports": [{"name": "p", "port": 99}], "replicas": 2}
        refused = await api.call("PATCH", f"{FOOS}/a", {"spec": {"mode": "y"}}, content_type=MERGE)
        assert [each["field"] for each in refused.body["details"]["causes"]] == ["spec.mode"]


async def test_versions_share_what_is_stored() -> None:
    newer = {
        "type": "object",
        "properties": {"spec": {"type": "object", "properties": {"mode": {"type": "string"}, "new": {"default": 1, "type": "integer"}}}},
    }
    async with served() as api:
        await api.ok("POST", DEFINITIONS, definition(version(deprecated=True), version("v2", schema=newer, storage=False)))
        made = await api.call("POST", FOOS, foo("a", {"replicas": 1}))
        assert made.headers["warning"] == '299 - "x.example.com/v1 Foo is deprecated; use x.example.com/v2 Foo"'
        seen = await api.ok("GET", FOOS.replace("/v1/", "/v2/") + "/a")
        assert (seen["apiVersion"], seen["spec"]) == ("x.example.com/v2", {"mode": "a"}), "read by the schema, but not defaulted by it"
        current = await api.ok("GET", f"{DEFINITIONS}/foos.x.example.com")
        for each in current["spec"]["versions"]:
            each["storage"] = each["name"] == "v2"
        switched = await api.ok("PUT", f"{DEFINITIONS}/foos.x.example.com", current)
        assert switched["status"]["storedVersions"] == ["v1", "v2"]
        del switched["spec"]["versions"][0]
        switched["metadata"].pop("resourceVersion")
        switched["metadata"]["resourceVersion"] = (await api.ok("GET", f"{DEFINITIONS}/foos.x.example.com"))["metadata"]["resourceVersion"]
        refused = await api.call("PUT", f"{DEFINITIONS}/foos.x.example.com", switched)
        assert [each["field"] for each in refused.body["details"]["causes"]] == ["status.storedVersions[0]"]


async def test_names_that_are_taken() -> None:
    async with served() as api:
        await api.ok("POST", DEFINITIONS, definition())
        await api.ok("POST", DEFINITIONS, definition(plural="bars", kind="Foo"))
        assert await conditions(api, "bars.x.example.com") == {
            "NamesAccepted": ("False", "ListKindConflict"),
            "Established": ("False", "NotAccepted"),
        }
        assert (await api.call("GET", FOOS.replace("foos", "bars"))).status == 404
        await api.ok("DELETE", f"{DEFINITIONS}/foos.x.example.com")
        await asyncio.sleep(LONG_S)
        assert (await conditions(api, "bars.x.example.com"))["NamesAccepted"] == ("True", "NoConflicts")


async def test_scale_and_status() -> None:
    async with served() as api:
        await api.ok("POST", DEFINITIONS, definition(version(subresources={"status": {}, "scale": SCALE})))
        made = await api.ok("POST", FOOS, foo("a", {"replicas": 2}, status={"replicas": 9}))
        assert "status" not in made
        table = await api.ok("GET", f"{FOOS}/a/scale", accept=TABLE)
        assert [(each["name"], each["type"]) for each in table["columnDefinitions"]] == [
            ("Name", "string"),
            ("Desired", "integer"),
            ("Available", "integer"),
            ("Age", "date"),
        ]
        scaled = await api.ok("PATCH", f"{FOOS}/a/scale", {"spec": {"replicas": 5}}, content_type=MERGE)
        assert scaled["spec"] == {"replicas": 5}
        written = await api.ok("PATCH", f"{FOOS}/a/status", {"spec": {"mode": "b"}, "status": {"replicas": 3}}, content_type=MERGE)
        assert (written["spec"]["mode"], written["status"], written["metadata"]["generation"]) == ("a", {"replicas": 3}, 2)
        await api.ok("POST", FOOS, foo("none"))
        assert (await api.call("GET", f"{FOOS}/none/scale")).status == 500


async def test_printed_and_selected() -> None:
    columns = [
        {"name": "Mode", "type": "string", "jsonPath": ".spec.mode"},
        {"name": "Port", "type": "integer", "jsonPath": '.spec.ports[?(@.name=="b")].port', "priority": 1},
        {"name": "Names", "type": "string", "jsonPath": ".spec.ports[*].name"},
        {"name": "Bad", "type": "string", "jsonPath": ".spec["},
    ]
    async with served() as api:
        await api.ok(
            "POST", DEFINITIONS, definition(version(additionalPrinterColumns=columns, selectableFields=[{"jsonPath": ".spec.mode"}]))
        )
        await api.ok("POST", FOOS, foo("a", {"ports": [{"name": "a", "port": 1}, {"name": "b", "port": 2}]}))
        await api.ok("POST", FOOS, foo("b", {"mode": "b"}))
        table = await api.ok("GET", FOOS, accept=TABLE)
        assert [each["name"] for each in table["columnDefinitions"]] == ["Name", "Mode", "Port", "Names"], "up to the one that is wrong"
        assert [each["cells"] for each in table["rows"]] == [["a", "a", 2, "a"], ["b", "b", None, None]]
        found = await api.ok("GET", f"{FOOS}?fieldSelector=spec.mode%3Db")
        assert [each["metadata"]["name"] for each in found["items"]] == ["b"]
        refused = await api.call("GET", f"{FOOS}?fieldSelector=spec.replicas%3D1")
        assert (refused.status, refused.message) == (400, "field label not supported: spec.replicas")


async def test_applied_by_two() -> None:
    async with served() as api:
        await api.ok("POST", DEFINITIONS, definition())
        for manager in ("one", "two"):
            body = {**foo("a", {"ports": [{"name": manager, "port": 1}]})}
            applied = await api.ok("PATCH", f"{FOOS}/a?fieldManager={manager}", body, content_type=APPLY)
        assert applied["spec"]["ports"] == [{"name": "one", "port": 1}, {"name": "two", "port": 1}]
        clash = await api.call("PATCH", f"{FOOS}/a?fieldManager=two", foo("a", {"ports": [{"name": "one", "port": 2}]}), content_type=APPLY)
        assert clash.status == 409


async def test_published_as_it_may_be_patched() -> None:
    """kubectl reads in the OpenAPI document which patches it may send."""
    async with served() as api:
        await api.ok("POST", DEFINITIONS, definition())
        document = await api.ok("GET", "/openapi/v3/apis/x.example.com/v1")
        patch = document["paths"]["/apis/x.example.com/v1/namespaces/{namespace}/foos/{name}"]["patch"]
        assert STRATEGIC not in patch["requestBody"]["content"]
        assert MERGE in patch["requestBody"]["content"]
        schema = document["components"]["schemas"]["com.example.x.v1.Foo"]
        assert schema["x-kubernetes-group-version-kind"] == [{"group": "x.example.com", "version": "v1", "kind": "Foo"}]
        before = (await api.ok("GET", "/openapi/v3"))["paths"]
        await api.ok("POST", DEFINITIONS, definition(plural="bars", kind="Bar"))
        after = (await api.ok("GET", "/openapi/v3"))["paths"]
        assert {name for name in after if before.get(name) != after[name]} == {"apis/x.example.com/v1"}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        pytest.param({"scope": "Cluster"}, "spec.scope", id="where its objects are"),
        pytest.param({"group": "y.example.com"}, "spec.group", id="its group"),
    ],
)
async def test_what_never_changes(change: Object, field: str) -> None:
    async with served() as api:
        await api.ok("POST", DEFINITIONS, definition())
        refused = await api.call("PATCH", f"{DEFINITIONS}/foos.x.example.com", {"spec": change}, content_type=MERGE)
        assert field in [each["field"] for each in refused.body["details"]["causes"]]


async def test_rules() -> None:
    rules = [
        {
            "rule": "self.replicas <= self.most",
            "messageExpression": "'%d is more than %d'.format([self.replicas, self.most])",
            "fieldPath": ".replicas",
        },
        {"rule": "self.most >= oldSelf.most", "reason": "FieldValueForbidden", "message": "never less"},
    ]
    spec = {"type": "object", "required": ["replicas", "most"], "x-kubernetes-validations": rules}
    schema = {
        "type": "object",
        "properties": {"spec": {**spec, "properties": {"replicas": {"type": "integer"}, "most": {"type": "integer"}}}},
    }
    async with served() as api:
        wrong = {**schema, "x-kubernetes-validations": [{"rule": "self.spec.replicas == 'x'"}]}
        refused = await api.call("POST", DEFINITIONS, definition(version(schema=wrong)))
        (cause,) = refused.body["details"]["causes"]
        assert cause["field"] == "spec.validation.openAPIV3Schema.x-kubernetes-validations[0].rule"
        assert "found no matching overload for '_==_' applied to '(int, string)'" in cause["message"]
        await api.ok("POST", DEFINITIONS, definition(version(schema=schema)))
        refused = await api.call("POST", FOOS, foo("a", {"replicas": 3, "most": 2}))
        assert refused.body["details"]["causes"] == [
            {"reason": "FieldValueInvalid", "message": "Invalid value: 3 is more than 2", "field": "spec.replicas"}
        ]
        await api.ok("POST", FOOS, foo("a", {"replicas": 1, "most": 2}))
        refused = await api.call("PATCH", f"{FOOS}/a", {"spec": {"most": 1}}, content_type=MERGE)
        assert refused.body["details"]["causes"] == [{"reason": "FieldValueForbidden", "message": "Forbidden: never less", "field": "spec"}]
