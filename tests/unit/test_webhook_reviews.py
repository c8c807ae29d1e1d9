"""Admission webhooks, in parts: what is sent, what answers say, what patches do, and what configurations are read as."""

from __future__ import annotations

from base64 import b64encode
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from apiserver.admission.policies.facts import Form, GroupKind
from apiserver.admission.webhooks.asking import NotAsked
from apiserver.admission.webhooks.hooks import Known, webhooks_of
from apiserver.admission.webhooks.measured import Measured, exposed
from apiserver.admission.webhooks.patches import mutated, operations_of
from apiserver.admission.webhooks.review import Response, Undecodable, Unfit, denial, read, review, version_for
from apiserver.handlers.request import warning_headers
from kube.errors import InternalError
from kube.objects import Object
from kube.resources import CONFIG_MAPS
from kube.schema import definitions

UID = "11111111-2222-3333-4444-555555555555"
V1 = {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1"}
V1BETA1 = {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1beta1"}
PATCH = b64encode(b"[]").decode()


def answer(**response: Any) -> Object:
    return {**V1, "response": {"uid": UID, "allowed": True, **response}}


@pytest.mark.parametrize(
    ("accepted", "expected"), [(["v1", "v1beta1"], "v1"), (["v2", "v1beta1", "v1"], "v1beta1"), (["v2"], ""), ([], "")], ids=str
)
def test_the_first_version_that_is_known_is_sent(accepted: list[str], expected: str) -> None:
    assert version_for(accepted) == expected


def test_a_review_has_a_uid_of_its_own() -> None:
    assert review("v1", UID, {"uid": "", "name": "a"}) == {**V1, "request": {"uid": UID, "name": "a"}}


SAID: dict[str, tuple[str, bool, Any, Response]] = {
    "yes": ("v1", False, answer(), Response(True)),
    "nothing about it": ("v1", False, {**V1, "response": {"uid": UID}}, Response(False)),
    "no, and why": (
        "v1",
        True,
        answer(allowed=False, status={"message": "m", "code": 403}),
        Response(False, result={"message": "m", "code": 403}),
    ),
    "a patch": ("v1", True, answer(patch=PATCH, patchType="JSONPatch"), Response(True, b"[]", "JSONPatch")),
    "warnings": ("v1", False, answer(warnings=["a"], auditAnnotations={"k": "v"}), Response(True, warnings=["a"])),
    "v1beta1 without kind and uid": ("v1beta1", False, {"response": {"allowed": True}}, Response(True)),
    "v1beta1 with a patch": (
        "v1beta1",
        True,
        {**V1BETA1, "response": {"allowed": True, "patch": PATCH}},
        Response(True, b"[]", "JSONPatch"),
    ),
    "v1beta1 with a patch that nobody asked for": (
        "v1beta1",
        False,
        {**V1BETA1, "response": {"allowed": True, "patch": PATCH}},
        Response(True, b"", "JSONPatch"),
    ),
}


@pytest.mark.parametrize(("version", "mutating", "document", "expected"), SAID.values(), ids=SAID.keys())
def test_what_an_answer_says(version: str, document: Any, expected: Response, *, mutating: bool) -> None:
    assert read(document, version=version, uid=UID, mutating=mutating) == expected


UNFIT: dict[str, tuple[bool, Any, str]] = {
    "no response": (False, V1, "webhook response was absent"),
    "no document": (False, None, "webhook response was absent"),
    "another uid": (False, {**V1, "response": {"uid": "x"}}, f'expected response.uid="{UID}", got "x"'),
    "no kind": (
        False,
        {"response": {"uid": UID}},
        "expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got /, Kind=",
    ),
    "a patch without its type": (True, answer(patch=PATCH), "webhook returned response.patch but not response.patchType"),
    "a type without a patch": (True, answer(patchType="JSONPatch"), "webhook returned response.patchType but not response.patch"),
    "an empty type": (True, answer(patch=PATCH, patchType=""), 'webhook returned invalid response.patchType of ""'),
    "a patch of who only validates": (
        False,
        answer(patch=PATCH, patchType="JSONPatch"),
        "validating webhook may not return response.patch",
    ),
    "a type of who only validates": (False, answer(patchType="JSONPatch"), "validating webhook may not return response.patchType"),
}


@pytest.mark.parametrize(("mutating", "document", "text"), UNFIT.values(), ids=UNFIT.keys())
def test_an_answer_that_does_not_fit(document: Any, text: str, *, mutating: bool) -> None:
    with pytest.raises(Unfit) as caught:
        read(document, version="v1", uid=UID, mutating=mutating)
    assert str(caught.value) == text


UNDECODABLE: dict[str, tuple[Any, str]] = {
    "the other version": (
        {**V1BETA1, "response": {}},
        "converting (v1beta1.AdmissionReview) to (v1.AdmissionReview): unknown conversion",
    ),
    "another kind": (
        {"kind": "Pod", "apiVersion": "v1"},
        'no kind "Pod" is registered for version "v1" in scheme "pkg/runtime/scheme.go:111"',
    ),
    "a Status": (
        {"kind": "Status", "apiVersion": "v1", "status": "Failure"},
        "converting (v1.Status) to (v1.AdmissionReview): unknown conversion",
    ),
    "a response that is a text": (
        {**V1, "response": "yes"},
        "json: cannot unmarshal string into Go struct field AdmissionReview.response of type v1.AdmissionResponse",
    ),
    "allowed as a text": (
        answer(allowed="true"),
        "json: cannot unmarshal string into Go struct field AdmissionResponse.response.allowed of type bool",
    ),
    "a code as a text": (
        answer(status={"code": "403"}),
        "json: cannot unmarshal string into Go struct field Status.response.status.code of type int32",
    ),
    "a code that is true": (
        answer(status={"code": True}),
        "json: cannot unmarshal bool into Go struct field Status.response.status.code of type int32",
    ),
    "warnings that are none": (
        answer(warnings=[1]),
        "json: cannot unmarshal number into Go struct field AdmissionResponse.response.warnings of type string",
    ),
    "a patch that is no base64": (answer(patch="[]"), "illegal base64 data at input byte 0"),
}


@pytest.mark.parametrize(("document", "text"), UNDECODABLE.values(), ids=UNDECODABLE.keys())
def test_an_answer_that_cannot_be_read(document: Any, text: str) -> None:
    with pytest.raises(Undecodable) as caught:
        read(document, version="v1", uid=UID, mutating=True)
    assert str(caught.value) == text


def test_a_denial_keeps_what_the_webhook_says_of_it() -> None:
    error = denial("w.x.y", {"status": "Failure", "message": "m", "reason": "NotFound", "code": 404, "details": {"kind": "things"}})
    message = 'admission webhook "w.x.y" denied the request: m'
    assert (error.message, error.http_code, error.http_reason, error.details) == (message, 404, "NotFound", {"kind": "things"})


# --- patches ------------------------------------------------------------------------------------------------------------------

TYPES = definitions.load()
FORM = Form(CONFIG_MAPS, GroupKind("", "v1", "ConfigMap"), lambda: TYPES.type("io.k8s.api.core.v1.ConfigMap"))
PRESENT: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "v"}}

NO_PATCHES: dict[str, tuple[bytes, str, str]] = {
    "no JSON": (b"[", "JSONPatch", "received undecodable patch in webhook response: unexpected end of JSON input"),
    "an object": (
        b"{}",
        "JSONPatch",
        "received undecodable patch in webhook response: json: cannot unmarshal object into Go value of type jsonpatch.Patch",
    ),
    "a list of texts": (
        b'["a"]',
        "JSONPatch",
        "received undecodable patch in webhook response: json: cannot unmarshal string into Patch.0 of type jsonpatch.Operation",
    ),
    "another type": (b"[{}]", "MergePatch", 'unsupported patch type "MergePatch"'),
}


@pytest.mark.parametrize(("patch", "patch_type", "text"), NO_PATCHES.values(), ids=NO_PATCHES.keys())
def test_what_is_no_patch_counts_as_no_answer(patch: bytes, patch_type: str, text: str) -> None:
    with pytest.raises(NotAsked) as caught:
        operations_of("w", Response(True, patch, patch_type))
    assert str(caught.value) == text


@pytest.mark.parametrize("patch", [b"", b"[]", b"null"], ids=["none", "an empty one", "null"])
def test_an_empty_patch_is_none(patch: bytes) -> None:
    assert operations_of("w", Response(True, patch, "MergePatch")) == []


def test_a_patch_leaves_the_object_as_it_was_and_makes_another() -> None:
    before = orjson.dumps(PRESENT)
    operations = [{"op": "add", "path": "/data/x", "value": "y"}, {"op": "add", "path": "/nonsense", "value": 1}]
    assert mutated("w", FORM, PRESENT, operations) == {**PRESENT, "data": {"k": "v", "x": "y"}}
    assert orjson.dumps(PRESENT) == before


NO_OBJECTS: dict[str, tuple[Object | None, Object, str]] = {
    "a number where a text must be": (
        PRESENT,
        {"op": "add", "path": "/data/k", "value": 1},
        "json: cannot unmarshal number into Go struct field ConfigMap.data of type string",
    ),
    "another kind": (
        PRESENT,
        {"op": "replace", "path": "/kind", "value": "Pod"},
        'no kind "Pod" is registered for version "v1" in scheme "pkg/runtime/scheme.go:111"',
    ),
    "no object any more": (PRESENT, {"op": "replace", "path": "", "value": []}, ""),
    "nothing to change": (
        None,
        {"op": "add", "path": "/data", "value": {}},
        'admission webhook "w" attempted to modify the object, which is not supported for this operation',
    ),
}


@pytest.mark.parametrize(("obj", "operation", "text"), NO_OBJECTS.values(), ids=NO_OBJECTS.keys())
def test_what_a_patch_must_leave(obj: Object | None, operation: Object, text: str) -> None:
    with pytest.raises(InternalError) as caught:
        mutated("w", FORM, obj, [operation])
    assert caught.value.message.startswith(f"Internal error occurred: {text}")


# --- configurations -----------------------------------------------------------------------------------------------------------

RULES = [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"], "scope": "*"}]


def configuration(*names: str, **changes: Any) -> Object:
    webhooks = [{"name": name, "rules": RULES, "sideEffects": "None", "timeoutSeconds": 3, **changes} for name in names]
    return {"metadata": {"name": "c"}, "webhooks": webhooks}


def test_webhooks_of_the_same_name_are_told_apart() -> None:
    assert [each.uid for each in webhooks_of(configuration("a", "b", "a"))] == ["c/a/0", "c/b/0", "c/a/1"]


def test_a_webhook_is_read_with_its_policies() -> None:
    (found,) = webhooks_of(configuration("a", failurePolicy="Ignore", reinvocationPolicy="IfNeeded", sideEffects="Some"))
    assert (found.ignores_failure, found.reinvoked, found.is_safe_in_dry_runs, found.timeout_s) == (True, True, False, 3.0)


def test_a_webhook_without_rules_is_for_nothing() -> None:
    assert list(webhooks_of(configuration("a", rules=[]))) == []


class Cache:
    """Configurations by name and revision, and how often they were decoded."""

    def __init__(self, **revisions: int) -> None:
        self.revisions, self.decoded = revisions, 0

    def entries(self) -> list[Any]:
        return [SimpleNamespace(name=name, revision=revision) for name, revision in self.revisions.items()]

    def object_of(self, entry: Any) -> Object:
        self.decoded += 1
        return {**configuration("w"), "metadata": {"name": entry.name}}


def test_configurations_are_in_order_and_read_again_only_when_they_change() -> None:
    known, cache = Known(), Cache(b=1, a=1)
    assert [each.uid for each in known.all(cache)] == ["a/w/0", "b/w/0"]
    cache.revisions["a"] = 2
    cache.revisions["c"] = 3
    before = known.all(cache)
    assert [each.uid for each in before] == ["a/w/0", "b/w/0", "c/w/0"]
    assert cache.decoded == 4
    del cache.revisions["b"]
    assert known.all(cache) == [before[0], before[2]]
    assert cache.decoded == 4


# --- metrics and warnings -----------------------------------------------------------------------------------------------------


def test_metrics_of_both_types_stand_together() -> None:
    admit, validating = Measured(), Measured()
    admit.called("a", "CREATE", "admit", 200, 0.02, rejected=False)
    admit.called("a", "CREATE", "admit", 200, 30, rejected=False)
    validating.called("b", "UPDATE", "validating", 999, 0.5, rejected=True)
    lines = exposed([admit, validating]).splitlines()
    name = "apiserver_admission_webhook_admission_duration_seconds"
    of_a = 'name="a",operation="CREATE",rejected="false",type="admit"'
    assert lines[0] == f"# TYPE {name} histogram"
    assert f'{name}_bucket{{{of_a},le="0.005"}} 0' in lines
    assert f'{name}_bucket{{{of_a},le="0.025"}} 1' in lines
    assert f'{name}_bucket{{{of_a},le="25"}} 1' in lines
    assert f'{name}_bucket{{{of_a},le="+Inf"}} 2' in lines
    assert f"{name}_sum{{{of_a}}} 30.02" in lines
    total = "apiserver_admission_webhook_request_total"
    assert lines[-3:] == [
        f"# TYPE {total} counter",
        f'{total}{{code="200",{of_a}}} 2',
        f'{total}{{code="600",name="b",operation="UPDATE",rejected="true",type="validating"}} 1',
    ]


WARNINGS: dict[str, tuple[list[str], list[str]]] = {
    "each once": (["a", "b", "a", ""], ["a", "b"]),
    "not what would be another header": (["a\r\nb: c", "d\x7f", "e\x85", "f"], ["f"]),
    "no more than fit, each cut": (["x" * 3000, "y" * 3000], ["x" * 256, "y" * 256]),
    "not too many": ([f"{number:04}" + "z" * 400 for number in range(30)], [f"{number:04}" + "z" * 252 for number in range(16)]),
}


@pytest.mark.parametrize(("warnings", "expected"), WARNINGS.values(), ids=WARNINGS.keys())
def test_warnings_are_fit_to_be_headers(warnings: list[str], expected: list[str]) -> None:
    assert warning_headers(warnings) == [("warning", f'299 - "{each}"') for each in expected]
