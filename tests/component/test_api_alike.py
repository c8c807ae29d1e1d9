"""Objects that are alike but for their metadata: the second is answered from memory, and must be what the first was."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from kube.objects import Object
from tests.component.served import JSON_PATCH, STRATEGIC, served
from tests.virtual import virtual

PODS = "/api/v1/namespaces/default/pods"


def pod(name: str, **spec: Any) -> Object:
    container = {"name": "c", "image": "nginx", "env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}]}
    return {"metadata": {"name": name, "labels": {"app": name}}, "spec": {"containers": [container], **spec}}


def but_for_names(obj: Object, name: str) -> Object:
    """What two like objects share."""
    shared = {key: value for key, value in obj.items() if key != "metadata"}
    shared["fields"] = [each["fieldsV1"] for each in obj["metadata"]["managedFields"]]
    shared["metadata"] = sorted(obj["metadata"])
    text = orjson.dumps(shared).decode()
    return {"text": text.replace(f'"{name}"', '"NAME"')}


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({}, id="an ordinary pod"),
        pytest.param({"schedulingGates": [{"name": "example.com/wait"}]}, id="a gated pod"),
        pytest.param({"priority": 0, "terminationGracePeriodSeconds": -1}, id="values that defaults change"),
        pytest.param({"volumes": [{"name": "v", "emptyDir": {}}], "hostNetwork": True}, id="fields that are written when empty"),
        pytest.param(
            {
                "topologySpreadConstraints": [
                    {
                        "maxSkew": 1,
                        "topologyKey": "zone",
                        "whenUnsatisfiable": "DoNotSchedule",
                        "labelSelector": {"matchLabels": {"a": "b"}},
                        "matchLabelKeys": ["app"],
                    }
                ]
            },
            id="label keys, whose values are the pod's own",
        ),
    ],
)
@virtual
async def test_the_second_of_two_like_pods_is_like_the_first(spec: Object) -> None:
    async with served() as api:
        first, second, third = [await api.ok("POST", PODS, pod(name, **spec)) for name in ("one", "two", "three")]
        assert but_for_names(first, "one") == but_for_names(second, "two") == but_for_names(third, "three")
        assert await api.ok("GET", f"{PODS}/two") == second


@virtual
async def test_warnings_are_given_each_time() -> None:
    async with served() as api:
        for name in ("one", "two", "three"):
            reply = await api.call("POST", PODS, pod(name, nodeSelector={"beta.kubernetes.io/os": "linux"}))
            assert "deprecated" in reply.headers["warning"]


@virtual
async def test_unknown_fields_are_warned_of_each_time_and_refused_where_asked() -> None:
    async with served() as api:
        for name in ("one", "two"):
            reply = await api.call("POST", PODS, pod(name, colour="red"))
            assert reply.status == 201
            assert "spec.colour" in reply.headers["warning"]
            assert (await api.call("POST", f"{PODS}?fieldValidation=Strict", pod(name, colour="red"))).status == 400


@virtual
async def test_what_is_refused_is_refused_again() -> None:
    async with served() as api:
        for name in ("one", "two"):
            reply = await api.call("POST", PODS, pod(name, restartPolicy="Sometimes"))
            assert reply.status == 422


@virtual
async def test_a_change_of_one_leaves_its_likes_alone() -> None:
    async with served() as api:
        await api.ok("POST", PODS, pod("one"))
        two = await api.ok("POST", PODS, pod("two"))
        await api.ok("PATCH", f"{PODS}/one", {"spec": {"activeDeadlineSeconds": 5}}, content_type=STRATEGIC)
        await api.ok("PATCH", f"{PODS}/one/status", {"status": {"phase": "Running"}}, content_type=STRATEGIC)
        three = await api.ok("POST", PODS, pod("three"))
        assert but_for_names(two, "two") == but_for_names(three, "three")
        assert await api.ok("GET", f"{PODS}/two") == two


@virtual
async def test_metadata_is_each_objects_own() -> None:
    async with served() as api:
        await api.ok("POST", PODS, pod("one"))
        body = pod("two")
        body["metadata"] |= {"annotations": {"a": "b"}, "finalizers": ["example.com/f"], "labels": {"x": "y"}}
        two = await api.ok("POST", PODS, body)
        fields = two["metadata"]["managedFields"][0]["fieldsV1"]["f:metadata"]
        assert set(fields) == {"f:annotations", "f:finalizers", "f:labels"}
        assert set(fields["f:labels"]) == {".", "f:x"}
        body = pod("three")
        body["metadata"]["labels"] = {"-": "not a label"}
        assert (await api.call("POST", PODS, body)).status == 422


@virtual
async def test_a_patch_that_touches_only_the_status_leaves_all_else_as_it_is() -> None:
    async with served() as api:
        one = await api.ok("POST", PODS, pod("one"))
        patch = [{"op": "add", "path": "/status/phase", "value": "Running"}]
        after = await api.ok("PATCH", f"{PODS}/one/status", patch, content_type=JSON_PATCH)
        assert after["status"]["phase"] == "Running"
        assert {**after, "status": one["status"], "metadata": one["metadata"]} == one
        owners = {(each["manager"], each.get("subresource", "")) for each in after["metadata"]["managedFields"]}
        assert owners == {("tester", ""), ("tester", "status")}


SPEC = '"spec":{"containers":[{"name":"c","image":"nginx"}],"restartPolicy":"Never"}'


def text(name: str, spec: str = SPEC, *, metadata: str = "", before: str = "", after: str = "") -> str:
    return f'{{"apiVersion":"v1","kind":"Pod",{before}"metadata":{{"name":"{name}"{metadata}}},{spec}{after}}}'


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        pytest.param(text("two"), 201, "", id="to the letter the same"),
        pytest.param(text("two", metadata=',"labels":{"a":"b"}'), 201, "", id="other metadata"),
        pytest.param(text("two", metadata=',"colour":"red"'), 201, 'unknown field \\"metadata.colour\\"', id="unknown metadata"),
        pytest.param(text("two", metadata=',"name":"two"'), 201, 'duplicate field \\"metadata.name\\"', id="repeated metadata"),
        pytest.param(text("two", after=',"metadata":{"name":"three"}'), 201, 'duplicate field \\"metadata\\"', id="metadata on both sides"),
        pytest.param(text("two", before=f"{SPEC},"), 201, 'duplicate field \\"spec\\"', id="a spec on both sides"),
        pytest.param(text("two", before='"colour":"red",'), 201, 'unknown field \\"colour\\"', id="an unknown field before"),
        pytest.param(f'{{"metadata":{{"name":"two"}},{SPEC}}}', 201, "", id="a body that does not say what it is"),
        pytest.param(text("two").replace('"v1"', '"v2"'), 400, "", id="another version"),
        pytest.param(text("two").replace('"Pod"', '"Service"'), 400, "", id="another kind"),
        pytest.param(text("two").replace('{"name":"two"}', '{"name":"two"'), 400, "", id="a bracket missing before"),
        pytest.param(text("two").replace('{"name":"two"}', "[]"), 400, "", id="metadata of the wrong type"),
        pytest.param(text("no name"), 422, "", id="a name that is none"),
    ],
)
@virtual
async def test_a_body_whose_spec_is_known_by_its_text_is_looked_at_all_the_same(body: str, status: int, says: str) -> None:
    async with served() as api:
        for name in ("zero", "one"):
            assert (await api.call("POST", PODS, text(name))).status == 201
        reply = await api.call("POST", PODS, body)
        assert reply.status == status, reply.body
        assert says in reply.headers.get("warning", "")
        if status == 201:
            assert reply.body["spec"]["restartPolicy"] == "Never"
