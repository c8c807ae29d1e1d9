"""What is said between the server and a conversion webhook: the ConversionReview, and everything that an answer must be. Pure.

A webhook may change anything about an object but its name, its namespace and its UID; of the metadata, what it says of labels and
annotations counts, and the rest stays as it was. Source: apiextensions-apiserver `pkg/apiserver/conversion/webhook_converter.go`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import orjson

from apiserver.validation.metadata import validate_annotations, validate_labels
from kube.errors import FieldError
from kube.objects import Object
from kube.schema.goquote import quote

GROUP: Final = "apiextensions.k8s.io"
KIND: Final = "ConversionReview"
VERSIONS: Final = ("v1", "v1beta1")
"""Those of ConversionReview that this server speaks."""

_GO_TYPES: Final[Mapping[type, str]] = {
    dict: "map[string]interface {}",
    list: "[]interface {}",
    str: "string",
    bool: "bool",
    int: "int64",
    float: "float64",
    type(None): "<nil>",
}
_JSON_TYPES: Final[Mapping[type, str]] = {list: "array", str: "string", bool: "bool", int: "number", float: "number"}
_CHANGEABLE: Final[tuple[tuple[str, str, Callable[[Mapping[str, str], str], list[FieldError]]], ...]] = (
    ("labels", "metadata.labels", validate_labels),
    ("annotations", "metadata.annotation", validate_annotations),  # the path is upstream's slip
)


class ConversionFailed(Exception):
    """An object could not be converted; the text is upstream's."""


# --- asking -----------------------------------------------------------------------------------------------------------


def review_version(listed: Sequence[str]) -> str:
    """The first of the versions that a definition lists which this server speaks. Raises ConversionFailed where there is none."""
    for each in listed:
        if each in VERSIONS:
            return each
    raise ConversionFailed("no supported conversion review versions")


def review(version: str, uid: str, objects: Sequence[Any], desired: str) -> Object:
    """The document to send: `objects` (JSON, in whatever form it has) are to be of the apiVersion `desired`."""
    request = {"uid": uid, "desiredAPIVersion": desired, "objects": list(objects)}
    return {"kind": KIND, "apiVersion": f"{GROUP}/{version}", "request": request}


def failed(obj: Object, why: str) -> ConversionFailed:
    """How a call for an object has failed."""
    return ConversionFailed(f"conversion webhook for {described(obj)} failed: {why}")


def described(obj: Object) -> str:
    """`stable.example.com/v1, Kind=CronTab`."""
    group, version = group_version(obj)
    return f"{group}/{version}, Kind={_text(obj, 'kind')}"


def group_version(obj: Object) -> tuple[str, str]:
    """What the apiVersion says; empty for one that cannot be read."""
    text = _text(obj, "apiVersion")
    group, _, version = text.rpartition("/")
    return ("", "") if "/" in group else (group, version)


# --- the answer -------------------------------------------------------------------------------------------------------


def answered(answer: Any, *, version: str, uid: str, first: Object, count: int) -> list[Any]:
    """The objects in the answer to a review of `version` of `count` objects (`first` is the first), not yet looked at.
    Raises ConversionFailed."""
    if not isinstance(answer, dict):
        raise failed(first, f"couldn't get version/kind; json parse error: {_not_into(answer, 'struct')}")
    response = answer.get("response")
    if version == "v1":
        expected = f"{GROUP}/v1, Kind={KIND}"
        if described(answer) != expected:
            raise failed(first, f"expected webhook response of {expected}, got {described(answer)}")
    if not isinstance(response, dict):
        raise failed(first, "no response provided")
    if version == "v1" and response.get("uid", "") != uid:
        raise failed(first, f"expected response.uid={quote(uid)}, got {quote(_text(response, 'uid'))}")
    result = response.get("result")
    result = result if isinstance(result, dict) else {}
    if result.get("status") != "Success":
        raise failed(first, _text(result, "message") or f"response.result.status was '{_text(result, 'status')}', not 'Success'")
    objects = response.get("convertedObjects")
    objects = objects if isinstance(objects, list) else []
    if len(objects) != count:
        raise ConversionFailed(f"conversion webhook for {described(first)} returned {len(objects)} objects, expected {count}")
    return objects


def converted(original: Object, answer: Any, desired: str, index: int = 0) -> Object:
    """What a webhook has made of `original`, the object number `index` of a review: a fresh object, its metadata restored.
    Raises ConversionFailed."""
    start = f"conversion webhook for {described(original)} returned invalid"
    if not isinstance(answer, dict):
        raise ConversionFailed("unexpected end of JSON input" if answer is None else _not_into(answer, "map[string]interface {}"))
    if not _text(answer, "kind"):
        raise ConversionFailed(f"Object 'Kind' is missing in '{orjson.dumps(answer).decode()}'")
    group, version = group_version(answer)
    found = f"{group}/{version}" if group else version
    if found != desired:
        raise ConversionFailed(f"{start} object at index {index}: invalid groupVersion (expected {desired}, received {found})")
    if answer["kind"] != original.get("kind"):
        wrong = f"(expected {_text(original, 'kind')}, received {answer['kind']})"
        raise ConversionFailed(f"{start} object at index {index}: invalid kind {wrong}")
    for name, what in (("name", "name"), ("namespace", "namespace"), ("uid", "UID")):
        before, after = _text(original.get("metadata"), name), _text(answer.get("metadata"), name)
        if before != after:
            raise ConversionFailed(f"{start} object: must have the same {what}: {before} != {after}")
    try:
        metadata = restored(original.get("metadata") or {}, answer)
    except ValueError as error:
        raise ConversionFailed(f"{start} metadata: {error}") from None
    return {**answer, "metadata": metadata}


def restored(original: Mapping[str, Any], answer: Mapping[str, Any]) -> Object:
    """The metadata `original`, with the labels and annotations that the answer has. Raises ValueError, with upstream's words."""
    if "metadata" not in answer:
        raise ValueError("missing metadata in converted object")
    said = answer["metadata"]
    if not isinstance(said, dict):
        raise ValueError(f"invalid metadata of type {_go_type(said)} in converted object")
    metadata: Object = copy.deepcopy(dict(original))
    for name, path, validate in _CHANGEABLE:
        values = said.get(name)
        if values is None:
            metadata.pop(name, None)
            continue
        _check_strings(name, values)
        if values != (original.get(name) or {}) and (problems := validate(values, path)):
            texts = list(dict.fromkeys(map(str, problems)))
            raise ValueError(texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]")
        metadata[name] = dict(values)
        if not values:
            del metadata[name]
    return metadata


def _check_strings(name: str, values: Any) -> None:
    if not isinstance(values, dict):
        raise ValueError(f"invalid metadata.{name} of type {_go_type(values)} in converted object")
    for key, value in values.items():
        if not isinstance(value, str):
            raise ValueError(f"metadata.{name}[{key}] must be a string, but is {_go_type(value)} in converted object")


def _text(value: Any, name: str) -> str:
    """A member of an object that is a string; "" for anything else."""
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, str) else ""


def _go_type(value: Any) -> str:
    return _GO_TYPES.get(type(value), type(value).__name__)


def _not_into(value: Any, what: str) -> str:
    return f"json: cannot unmarshal {_JSON_TYPES.get(type(value), 'null')} into Go value of type {what}"
