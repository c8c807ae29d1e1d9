"""Patches in all their forms, field validation, apply and its conflicts, scale, and who owns what afterwards."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from kube.objects import Object
from tests.component.served import APPLY, CONFIG_MAPS, DEPLOYMENTS, JSON_PATCH, MERGE, STRATEGIC, config_map, deployment, served
from tests.virtual import virtual

A = f"{CONFIG_MAPS}/a"


def owners(obj: Object) -> list[tuple[str, str, str]]:
    entries = obj["metadata"].get("managedFields") or []
    return [(each["manager"], each["operation"], each.get("subresource", "")) for each in entries]


def applied(data: dict[str, str] | None = None, **metadata: Any) -> Object:
    return config_map("a", data or {}, **metadata)


FORMS = {
    "a JSON patch": (JSON_PATCH, [{"op": "add", "path": "/data/k", "value": "2"}]),
    "a merge patch": (MERGE, {"data": {"k": "2"}}),
    "a strategic merge patch": (STRATEGIC, {"data": {"k": "2"}}),
    "an apply": (APPLY, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "2"}}),
}


@pytest.mark.parametrize(("media", "patch"), FORMS.values(), ids=FORMS.keys())
@virtual
async def test_every_form_changes_an_object(media: str, patch: Any) -> None:
    async with served() as api:
        await api.ok("POST", CONFIG_MAPS, config_map("a", {"k": "1"}))
        done = await api.ok("PATCH", f"{A}?fieldManager=me&{'force=true' if media == APPLY else ''}", patch, content_type=media)
        assert done["data"] == {"k": "2"}
        assert await api.ok("GET", A) == done


REFUSED = {
    "what is not there, whatever the body says": ("none", MERGE, b"{", 404, 'configmaps "none" not found'),
    "a merge patch that is no JSON": ("a", MERGE, b"{", 400, "error decoding patch: unexpected end of JSON input"),
    "a strategic one says less": ("a", STRATEGIC, b"{", 400, "unexpected end of JSON input"),
    "a JSON patch that is no list": ("a", JSON_PATCH, b"{}", 400, "error decoding patch: json: cannot unmarshal object into"),
    "an operation that does not apply": (
        "a",
        JSON_PATCH,
        b'[{"op": "test", "path": "/data/k", "value": "9"}]',
        422,
        "the server rejected our request due to an error in our request",
    ),
    "YAML that is none": ("a", APPLY, b"a: b: c", 400, "error decoding YAML: error converting YAML to JSON: yaml: mapping values"),
    "an apply of a list": ("a", APPLY, b"[]", 400, "error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot"),
    "an apply of nothing": ("a", APPLY, b"", 400, "invalid object type: /, Kind="),
    "another name": ("a", MERGE, b'{"metadata": {"name": "b"}}', 400, "the name of the object (b) does not match the name on the URL (a)"),
    "no name": ("a", MERGE, b'{"metadata": {"name": null}}', 400, "the name of the object (a based on URL) was undeterminable"),
    "another kind": ("a", MERGE, b'{"kind": "Pod"}', 422, ""),
    "a field of a wrong type": ("a", STRATEGIC, b'{"data": 5}', 422, ' "" is invalid: patch: Invalid value: "map[data:5]": cannot restore'),
    "an older version of it": ("a", MERGE, b'{"metadata": {"resourceVersion": "1"}}', 409, "Operation cannot be fulfilled on configmaps"),
}


@pytest.mark.parametrize(("name", "media", "body", "status", "message"), REFUSED.values(), ids=REFUSED.keys())
@virtual
async def test_patches_that_are_refused(name: str, media: str, body: bytes, status: int, message: str) -> None:
    async with served() as api:
        await api.ok("POST", CONFIG_MAPS, config_map("a", {"k": "1"}))
        reply = await api.call("PATCH", f"{CONFIG_MAPS}/{name}?fieldManager=me", body, content_type=media)
        assert reply.status == status, reply.body
        assert reply.message.startswith(message)
        assert (await api.ok("GET", A))["data"] == {"k": "1"}


DEEP = {
    MERGE: b'{"data": ' + b'{"a":' * 400 + b"1" + b"}" * 400 + b"}",
    STRATEGIC: b'{"data": ' + b'{"a":' * 20_000 + b"1" + b"}" * 20_000 + b"}",
    JSON_PATCH: b'[{"op": "add", "path": "/x", "value": ' + b"[" * 900 + b"]" * 900 + b"}]",
    APPLY: b"{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, x: " + b"[" * 300 + b"]" * 300 + b"}",
}


@pytest.mark.parametrize("media", DEEP)
@virtual
async def test_deep_nesting_is_refused_clearly(media: str) -> None:
    async with served() as api:
        await api.ok("POST", CONFIG_MAPS, config_map("a"))
        reply = await api.call("PATCH", f"{A}?fieldManager=me", DEEP[media], content_type=media)
        assert (reply.status, reply.body["reason"]) == (400, "BadRequest")
        assert reply.message.endswith("exceeded max depth")


@virtual
async def test_a_document_that_a_patch_makes_too_deep_is_not_stored() -> None:
    async with served() as api:
        path = "/apis/apps/v1/namespaces/default/controllerrevisions"
        await api.ok("POST", path, {"metadata": {"name": "r"}, "revision": 1, "data": {"a": {}}})
        pointer = "/data" + "/a" * 200
        patch = [{"op": "add", "path": "/data" + "/a" * n, "value": {}} for n in range(1, 201)]
        patch += [{"op": "copy", "from": "/data", "path": f"{pointer}/a"}]
        reply = await api.call("PATCH", f"{path}/r", patch, content_type=JSON_PATCH)
        assert reply.status in (400, 422), reply.body


# --- field validation -------------------------------------------------------------------------------------------------

SLIPS = {
    "an unknown field": (MERGE, b'{"dta": {}}', ['unknown field "dta"']),
    "a repeated one": (MERGE, b'{"data": {"k": "1", "k": "2"}}', ['duplicate field "data.k"']),
    "in a strategic merge patch": (
        STRATEGIC,
        b'{"dta": 1, "data": {"k": "1", "k": "2"}}',
        ['duplicate field "data.k"', 'unknown field "dta"'],
    ),
    "in operations": (
        JSON_PATCH,
        b'[{"op": "add", "op": "add", "path": "/data/k", "value": "2", "more": 1}]',
        ['json patch duplicate field "[0].op"', 'json patch unknown field "[0].more"'],
    ),
}


@pytest.mark.parametrize(("media", "body", "told"), SLIPS.values(), ids=SLIPS.keys())
@virtual
async def test_slips_warn_or_fail_or_are_let_pass(media: str, body: bytes, told: list[str]) -> None:
    async with served() as api:
        await api.ok("POST", CONFIG_MAPS, config_map("a", {"k": "1"}))
        strict = await api.call("PATCH", f"{A}?fieldValidation=Strict", body, content_type=media)
        assert strict.status == 422
        assert strict.message.endswith(f"strict decoding error: {', '.join(told)}")
        ignored = await api.call("PATCH", f"{A}?fieldValidation=Ignore", body, content_type=media)
        assert (ignored.status, ignored.headers.get("warning")) == (200, None)
        warned = await api.call("PATCH", A, body, content_type=media)
        assert warned.status == 200
        assert told[-1].replace('"', '\\"') in warned.headers["warning"]  # of several headers, the mapping keeps the last


@virtual
async def test_repeated_keys_of_an_applied_yaml() -> None:
    async with served() as api:
        body = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {k: '1', k: '2'}\n"
        warned = await api.call("PATCH", f"{A}?fieldManager=me", body, content_type=APPLY)
        assert (warned.status, warned.body["data"]) == (201, {"k": "2"})
        assert warned.headers["warning"] == '299 - "line 4: key \\"k\\" already set in map"'
        strict = await api.call("PATCH", f"{A}?fieldManager=me&fieldValidation=Strict", body, content_type=APPLY)
        assert strict.status == 400
        assert strict.message.startswith("error strict decoding YAML: ")


# --- ownership --------------------------------------------------------------------------------------------------------


@virtual
async def test_appliers_conflict_over_a_field_unless_they_agree_or_force() -> None:
    async with served() as api:
        assert (await api.call("PATCH", f"{A}?fieldManager=one", applied({"k": "1"}), content_type=APPLY)).status == 201
        assert (await api.call("PATCH", f"{A}?fieldManager=two", applied({"k": "1"}), content_type=APPLY)).status == 200
        conflict = await api.call("PATCH", f"{A}?fieldManager=two", applied({"k": "2"}), content_type=APPLY)
        assert (conflict.status, conflict.message) == (409, 'Apply failed with 1 conflict: conflict with "one": .data.k')
        taken = await api.ok("PATCH", f"{A}?fieldManager=two&force=true", applied({"k": "2"}), content_type=APPLY)
        assert taken["data"] == {"k": "2"}
        assert owners(taken) == [("two", "Apply", "")]


@virtual
async def test_applying_again_changes_nothing_and_giving_up_a_field_removes_it() -> None:
    async with served() as api:
        first = await api.ok("PATCH", f"{A}?fieldManager=me", applied({"k": "1", "l": "1"}), content_type=APPLY)
        again = await api.ok("PATCH", f"{A}?fieldManager=me", applied({"k": "1", "l": "1"}), content_type=APPLY)
        assert again == first
        less = await api.ok("PATCH", f"{A}?fieldManager=me", applied({"k": "1"}), content_type=APPLY)
        assert less["data"] == {"k": "1"}


@virtual
async def test_an_apply_needs_a_manager_and_nothing_else_may_force() -> None:
    async with served() as api:
        reply = await api.call("PATCH", A, applied(), content_type=APPLY)
        assert (reply.status, reply.body["details"]["causes"][0]["field"]) == (422, "fieldManager")
        reply = await api.call("PATCH", f"{A}?force=true", {}, content_type=MERGE)
        assert (reply.status, reply.body["details"]["causes"][0]["field"]) == (422, "force")


@pytest.mark.parametrize("sent", [[], [{}]], ids=["an empty list", "one empty entry"])
@virtual
async def test_ownership_can_be_reset(sent: list[Any]) -> None:
    async with served() as api:
        made = await api.ok("POST", CONFIG_MAPS, config_map("a", {"k": "1"}))
        assert owners(made) == [("tester", "Update", "")]
        patched = await api.ok("PATCH", A, {"metadata": {"managedFields": sent}}, content_type=MERGE)
        assert "managedFields" not in patched["metadata"]
        assert "managedFields" not in (await api.ok("GET", A))["metadata"]
        await api.ok("PATCH", f"{A}?fieldManager=me&force=true", applied({"k": "2"}), content_type=APPLY)
        put = await api.ok("PUT", A, {**config_map("a", {"k": "2"}), "metadata": {"name": "a", "managedFields": sent}})
        assert "managedFields" not in put["metadata"]


@virtual
async def test_whoever_sends_an_empty_list_owns_it_though_it_is_stored_as_none() -> None:
    async with served() as api:
        path = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles"
        given = await api.ok("POST", path, {"metadata": {"name": "r"}, "rules": []})
        assert given["rules"] is None
        assert given["metadata"]["managedFields"][0]["fieldsV1"] == {"f:rules": {}}
        absent = await api.ok("POST", path, {"metadata": {"name": "s"}})
        assert (absent["rules"], owners(absent)) == (None, [])
        assert (await api.ok("POST", f"{path}?dryRun=All", {"metadata": {"name": "t"}, "rules": []}))["rules"] is None


@virtual
async def test_ownership_is_kept_in_the_version_of_each_writer() -> None:
    async with served() as api:
        base = "/apis/autoscaling/{}/namespaces/default/horizontalpodautoscalers"
        target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}
        spec = {"scaleTargetRef": target, "maxReplicas": 3, "targetCPUUtilizationPercentage": 50}
        old = await api.ok("POST", base.format("v1"), {"metadata": {"name": "h"}, "spec": spec})
        entry = old["metadata"]["managedFields"][0]
        assert entry["apiVersion"] == "autoscaling/v1"
        assert "f:targetCPUUtilizationPercentage" in entry["fieldsV1"]["f:spec"]
        new = await api.ok("PATCH", base.format("v2") + "/h?fieldManager=other", {"spec": {"maxReplicas": 5}}, content_type=MERGE)
        by = {each["manager"]: each for each in new["metadata"]["managedFields"]}
        assert by["other"]["apiVersion"] == "autoscaling/v2"
        assert by["other"]["fieldsV1"] == {"f:spec": {"f:maxReplicas": {}}}
        assert "f:maxReplicas" not in by["tester"]["fieldsV1"]["f:spec"]
        assert by["tester"]["apiVersion"] == "autoscaling/v1"


@virtual
async def test_a_status_write_leaves_the_spec_alone_and_owns_only_status() -> None:
    async with served() as api:
        await api.ok("POST", DEPLOYMENTS, deployment("d", 2))
        patch = {"spec": {"replicas": 9}, "status": {"replicas": 1}}
        done = await api.ok("PATCH", f"{DEPLOYMENTS}/d/status?fieldManager=loop", patch, content_type=MERGE)
        assert (done["spec"]["replicas"], done["status"]["replicas"]) == (2, 1)
        mine = next(each for each in done["metadata"]["managedFields"] if each["manager"] == "loop")
        assert (mine["fieldsV1"], mine["subresource"]) == ({"f:status": {"f:replicas": {}}}, "status")
        back = await api.ok("PATCH", f"{DEPLOYMENTS}/d", {"status": {"replicas": 7}}, content_type=MERGE)
        assert back["status"]["replicas"] == 1


# --- scale ------------------------------------------------------------------------------------------------------------


@virtual
async def test_scale_by_put_and_by_every_patch() -> None:
    async with served() as api:
        await api.ok("POST", DEPLOYMENTS, deployment("d", 2))
        path = f"{DEPLOYMENTS}/d/scale"
        scale = await api.ok("GET", path)
        assert (scale["kind"], scale["spec"], scale["status"]) == ("Scale", {"replicas": 2}, {"replicas": 0, "selector": "app=d"})
        scale["spec"]["replicas"] = 3
        assert (await api.ok("PUT", path, scale))["spec"]["replicas"] == 3
        assert (await api.call("PUT", path, scale)).status == 409, "its resourceVersion is old by now"
        assert (await api.ok("PATCH", path, {"spec": {"replicas": 4}}, content_type=MERGE))["spec"]["replicas"] == 4
        operations = [{"op": "replace", "path": "/spec/replicas", "value": 5}]
        assert (await api.ok("PATCH", path, operations, content_type=JSON_PATCH))["spec"]["replicas"] == 5
        wrong = await api.call("PATCH", path, {"spec": {"replicas": -1}}, content_type=MERGE)
        assert (wrong.status, wrong.body["details"]["kind"]) == (422, "Scale")
        other = await api.call("PATCH", path, {"metadata": {"uid": "other"}}, content_type=MERGE)
        assert other.status == 409
        assert (await api.ok("GET", f"{DEPLOYMENTS}/d"))["spec"]["replicas"] == 5


@virtual
async def test_scaling_takes_the_field_from_the_deployments_owner() -> None:
    async with served() as api:
        body = deployment("d", 2)
        path = f"{DEPLOYMENTS}/d"
        await api.ok("PATCH", f"{path}?fieldManager=app", body, content_type=APPLY)
        scale = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "d"}, "spec": {"replicas": 6}}
        conflict = await api.call("PATCH", f"{path}/scale?fieldManager=hpa", scale, content_type=APPLY)
        assert (conflict.status, conflict.message) == (409, 'Apply failed with 1 conflict: conflict with "app": .spec.replicas')
        await api.ok("PATCH", f"{path}/scale?fieldManager=hpa&force=true", scale, content_type=APPLY)
        now = await api.ok("GET", path)
        assert sorted(owners(now)) == [("app", "Apply", ""), ("hpa", "Apply", "scale")]
        mine = next(each for each in now["metadata"]["managedFields"] if each["manager"] == "hpa")
        assert mine["fieldsV1"] == {"f:spec": {"f:replicas": {}}}
        back = await api.call("PATCH", f"{path}?fieldManager=app", body, content_type=APPLY)
        assert back.message == 'Apply failed with 1 conflict: conflict with "hpa" with subresource "scale": .spec.replicas'
        wrong = await api.call("PATCH", f"{path}/scale?fieldManager=x", body, content_type=APPLY)
        assert (wrong.status, wrong.message) == (400, "invalid object type: apps/v1, Kind=Deployment")


@virtual
async def test_a_patch_that_changes_nothing_is_no_write() -> None:
    async with served() as api:
        made = await api.ok("POST", CONFIG_MAPS, config_map("a", {"k": "1"}))
        for media, patch in ((MERGE, {}), (STRATEGIC, {"data": {"k": "1"}}), (JSON_PATCH, [])):
            assert await api.ok("PATCH", A, orjson.dumps(patch), content_type=media) == made
