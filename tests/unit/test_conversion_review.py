"""ConversionReviews: what is asked, and what of an answer is refused in which words."""

from __future__ import annotations

import copy
from typing import Any

import orjson
import pytest

from apiserver.kinds.custom.conversion_review import ConversionFailed, answered, converted, restored, review, review_version
from apiserver.kinds.custom.converter import REVIEW_BYTES_MAX, REVIEW_OBJECTS_MAX, Converter
from apiserver.registry.webhooks import CallFailed
from kube.errors import ApiError
from kube.objects import Object

V1, V2 = "stable.example.com/v1", "stable.example.com/v2"
FIRST: Object = {"apiVersion": V1, "kind": "Host", "metadata": {"name": "a", "namespace": "n", "uid": "u"}}
START = f"conversion webhook for {V1}, Kind=Host"


@pytest.mark.parametrize(
    ("listed", "found"), [(("v1",), "v1"), (("v1beta1", "v1"), "v1beta1"), (("v2", "v1"), "v1"), (("v1alpha1", "v1beta1"), "v1beta1")]
)
def test_the_first_version_that_is_known_is_spoken(listed: tuple[str, ...], found: str) -> None:
    assert review_version(listed) == found


def test_no_version_that_is_known() -> None:
    with pytest.raises(ConversionFailed, match="no supported conversion review versions"):
        review_version(["v2"])


def test_a_review() -> None:
    assert review("v1", "u", [FIRST], V2) == {
        "kind": "ConversionReview",
        "apiVersion": "apiextensions.k8s.io/v1",
        "request": {"uid": "u", "desiredAPIVersion": V2, "objects": [FIRST]},
    }


def reply(version: str = "v1", **response: Any) -> Object:
    said = {"uid": "u", "result": {"status": "Success"}, "convertedObjects": [FIRST], **response}
    return {"apiVersion": f"apiextensions.k8s.io/{version}", "kind": "ConversionReview", "response": said}


WANTED = "expected webhook response of apiextensions.k8s.io/v1, Kind=ConversionReview, got"
REFUSED: dict[str, tuple[Any, str, str]] = {
    "no object": (
        [],
        "v1",
        "failed: couldn't get version/kind; json parse error: json: cannot unmarshal array into Go value of type struct",
    ),
    "another version": (reply("v1beta1"), "v1", f"failed: {WANTED} apiextensions.k8s.io/v1beta1, Kind=ConversionReview"),
    "no version": ({"response": {}}, "v1", f"failed: {WANTED} /, Kind="),
    "no response": ({**reply(), "response": None}, "v1", "failed: no response provided"),
    "no response, of old": ({}, "v1beta1", "failed: no response provided"),
    "another UID": (reply(uid="x"), "v1", 'failed: expected response.uid="u", got "x"'),
    "no UID": (reply(uid=""), "v1", 'failed: expected response.uid="u", got ""'),
    "a failure": (reply(result={"status": "Failure"}), "v1", "failed: response.result.status was 'Failure', not 'Success'"),
    "a failure with a message": (reply(result={"status": "Failure", "message": "m"}), "v1beta1", "failed: m"),
    "no result": (reply(result=None), "v1", "failed: response.result.status was '', not 'Success'"),
    "too few": (reply(convertedObjects=None), "v1", "returned 0 objects, expected 1"),
    "too many": (reply(convertedObjects=[FIRST] * 2), "v1beta1", "returned 2 objects, expected 1"),
}


@pytest.mark.parametrize(("answer", "version", "text"), REFUSED.values(), ids=REFUSED.keys())
def test_an_answer_that_is_refused(answer: Any, version: str, text: str) -> None:
    with pytest.raises(ConversionFailed) as caught:
        answered(answer, version=version, uid="u", first=FIRST, count=1)
    assert str(caught.value) == f"{START} {text}"


@pytest.mark.parametrize("answer", [reply("v1beta1", uid="x"), {"response": reply()["response"]}], ids=["of another UID", "of no version"])
def test_v1beta1_is_not_looked_at_so_closely(answer: Object) -> None:
    assert answered(answer, version="v1beta1", uid="u", first=FIRST, count=1) == [FIRST]


def made(**rest: Any) -> Object:
    return {**FIRST, "apiVersion": V2, **rest}


def meta(**rest: Any) -> Object:
    return made(metadata={**FIRST["metadata"], **rest})


UNUSABLE: dict[str, tuple[Any, str]] = {
    "null": (None, "unexpected end of JSON input"),
    "a text": ("x", "json: cannot unmarshal string into Go value of type map[string]interface {}"),
    "no kind": ({"apiVersion": V2}, "Object 'Kind' is missing in '{\"apiVersion\":\"stable.example.com/v2\"}'"),
    "no version": (
        made(apiVersion=None),
        f"{START} returned invalid object at index 3: invalid groupVersion (expected {V2}, received )",
    ),
    "another kind": (made(kind="Other"), f"{START} returned invalid object at index 3: invalid kind (expected Host, received Other)"),
    "another name": (meta(name="b"), f"{START} returned invalid object: must have the same name: a != b"),
    "no namespace": (meta(namespace=""), f"{START} returned invalid object: must have the same namespace: n != "),
    "another UID": (meta(uid="w"), f"{START} returned invalid object: must have the same UID: u != w"),
    "labels that are none": (
        meta(labels=["x"]),
        f"{START} returned invalid metadata: invalid metadata.labels of type []interface {{}} in converted object",
    ),
    "an annotation that is no text": (
        meta(annotations={"a": None}),
        f"{START} returned invalid metadata: metadata.annotations[a] must be a string, but is <nil> in converted object",
    ),
    "a label that may not be": (
        meta(labels={"a b": "c"}),
        f'{START} returned invalid metadata: metadata.labels: Invalid value: "a b": name part must consist of alphanumeric characters, '
        "'-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', "
        "regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
    ),
}


@pytest.mark.parametrize(("answer", "text"), UNUSABLE.values(), ids=UNUSABLE.keys())
def test_an_object_that_is_refused(answer: Any, text: str) -> None:
    with pytest.raises(ConversionFailed) as caught:
        converted(FIRST, answer, V2, 3)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("before", "said", "after"),
    [
        ({}, {"labels": {"a": "b"}}, {"labels": {"a": "b"}}),
        ({"labels": {"a": "b"}}, {}, {}),
        ({"labels": {"a": "b"}, "annotations": {"c": "d"}}, {"labels": None, "annotations": {}}, {}),
        ({"generation": 2}, {"generation": 3, "finalizers": ["x"], "resourceVersion": "7"}, {"generation": 2}),
        ({"labels": {"bad key": "x"}}, {"labels": {"bad key": "x"}}, {"labels": {"bad key": "x"}}),
    ],
    ids=["a new label", "a label less", "nothing left", "what the server keeps", "what is wrong already"],
)
def test_of_the_metadata_labels_and_annotations_count(before: Object, said: Object, after: Object) -> None:
    given = copy.deepcopy(before)
    assert restored(before, {"metadata": said}) == after
    assert before == given


@pytest.mark.parametrize(
    ("answer", "text"),
    [({}, "missing metadata in converted object"), ({"metadata": 1.5}, "invalid metadata of type float64 in converted object")],
)
def test_metadata_that_is_none(answer: Object, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        restored({}, answer)


# --- calls --------------------------------------------------------------------------------------------------------------


class Asked:
    """A webhook that does nothing but to name the version."""

    def __init__(self) -> None:
        self.configs: list[Object] = []
        self.sizes: list[int] = []

    async def post(self, config: Object, document: Object) -> Any:
        request = orjson.loads(orjson.dumps(document))["request"]
        self.configs.append(config)
        self.sizes.append(len(request["objects"]))
        objects = [{**each, "apiVersion": request["desiredAPIVersion"]} for each in request["objects"]]
        return reply(uid=request["uid"], convertedObjects=objects)


def converter(asked: Asked, config: Object | None = None) -> Converter:
    webhook = {"clientConfig": config or {"url": "https://x.test"}, "conversionReviewVersions": ["v1"]}
    return Converter({"webhook": webhook}, frozenset({V1, V2}), asked.post, lambda: "u")


def hosts(count: int, **rest: Any) -> list[Object]:
    return [{**FIRST, "metadata": {"name": str(number)}, **rest} for number in range(count)]


async def test_many_objects_are_sent_in_pieces_and_come_back_in_order() -> None:
    asked = Asked()
    found = await converter(asked).convert(hosts(REVIEW_OBJECTS_MAX + 1), V2)
    assert asked.sizes == [REVIEW_OBJECTS_MAX, 1]
    assert [each["metadata"]["name"] for each in found] == [str(number) for number in range(REVIEW_OBJECTS_MAX + 1)]
    assert {each["apiVersion"] for each in found} == {V2}


async def test_long_objects_go_alone() -> None:
    asked = Asked()
    await converter(asked).convert(hosts(3, text="x" * (REVIEW_BYTES_MAX // 2)), V2)
    assert asked.sizes == [1, 1, 1]


async def test_nothing_is_asked_of_no_objects() -> None:
    asked = Asked()
    assert await converter(asked).convert([], V2) == []
    assert asked.sizes == []


@pytest.mark.parametrize(("bundle", "kept"), [("IAog", False), ("", False), ("Q0E=", True)], ids=["white space", "nothing", "one"])
async def test_a_bundle_of_white_space_is_none(bundle: str, kept: bool) -> None:
    asked = Asked()
    await converter(asked, {"url": "https://x.test", "caBundle": bundle}).convert(hosts(1), V2)
    assert [("caBundle" in each) for each in asked.configs] == [kept]


async def test_failures_are_what_upstream_answers_without_a_reason() -> None:
    async def post(_config: Object, _document: Object) -> Any:
        raise CallFailed('Post "https://x.test/": EOF')

    webhook = {"clientConfig": {"url": "https://x.test"}, "conversionReviewVersions": ["v1"]}
    with pytest.raises(ApiError) as caught:
        await Converter({"webhook": webhook}, frozenset({V1}), post, lambda: "u").convert(hosts(2), V2)
    assert (caught.value.http_code, caught.value.message) == (500, f'{START} failed: Post "https://x.test/": EOF')
    assert "reason" not in caught.value.status


async def test_an_object_of_a_version_that_the_definition_does_not_have() -> None:
    with pytest.raises(ApiError, match=r"request to convert CR from an invalid group/version: stable\.example\.com/v0"):
        await converter(Asked()).convert([{**FIRST, "apiVersion": "stable.example.com/v0"}], V2)
