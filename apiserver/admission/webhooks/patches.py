"""What the patch of a webhook makes of an object. Pure. Source: `callAttrMutatingHook` of apiserver
`pkg/admission/plugin/webhook/mutating/dispatcher.go`.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from apiserver.admission.policies.facts import Form
from apiserver.admission.webhooks.asking import NotAsked
from apiserver.admission.webhooks.review import Response, unknown_kind
from kube.errors import InternalError, ServiceUnavailable, quoted
from kube.objects import Object
from kube.patch.json_patch import PatchFailed, json_kind, patched
from kube.schema import gojson
from kube.schema.decode import DecodeError, decode
from kube.schema.gojson import TooDeep
from kube.schema.types import StructType

_LIBRARY: Final = "jsonpatch"
_HEADER: Final = 'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }'


def operations_of(name: str, response: Response) -> list[Any]:
    """The operations of the patch that the webhook of that name answers with. Raises NotAsked for what is none."""
    if not response.patch:
        return []
    try:
        operations = orjson.loads(response.patch)
    except orjson.JSONDecodeError:
        why = gojson.syntax_error(response.patch)
        if why:
            raise _undecodable(why) from None
        operations = gojson.load(response.patch)
    if operations is not None and not isinstance(operations, list):
        raise _undecodable(f"json: cannot unmarshal {json_kind(operations)} into Go value of type {_LIBRARY}.Patch")
    for index, each in enumerate(operations or ()):
        if each is not None and not isinstance(each, dict):
            raise _undecodable(f"json: cannot unmarshal {json_kind(each)} into Patch.{index} of type {_LIBRARY}.Operation")
    if operations and response.patch_type != "JSONPatch":
        raise NotAsked(f"unsupported patch type {quoted(response.patch_type)}", 400)
    return operations or []


def _undecodable(why: str) -> NotAsked:
    return NotAsked(f"received undecodable patch in webhook response: {why}", ServiceUnavailable.code)


def mutated(name: str, form: Form, obj: Object | None, operations: list[Any]) -> Object:
    """The object, in the version of `form`, with the operations done to it; `obj` stays as it is, and nothing is defaulted yet. Raises
    InternalError where that is no such object."""
    if obj is None:
        raise internal(f"admission webhook {quoted(name)} attempted to modify the object, which is not supported for this operation")
    try:
        document = patched(obj, operations)
    except PatchFailed as error:
        raise internal(str(error)) from None
    except (TooDeep, RecursionError):
        raise internal("exceeded max depth") from None
    return _decoded(form, document)


def _decoded(form: Form, document: Any) -> Object:
    if not isinstance(document, dict):
        why = f"json: cannot unmarshal {json_kind(document)} into Go value of type {_HEADER}"
        raise internal(f"couldn't get version/kind; json parse error: {why}")
    api_version, kind = document.get("apiVersion") or form.kind.api_version, document.get("kind") or form.kind.kind
    if (api_version, kind) != (form.kind.api_version, form.kind.kind):
        raise internal(unknown_kind(api_version, kind))
    of = _type(form)
    if of is None:
        return {**document, "apiVersion": api_version, "kind": kind}
    try:
        found: Object = decode(of, document).value
    except DecodeError as error:
        raise internal(str(error)) from None
    return found | {"apiVersion": api_version, "kind": kind}


def _type(form: Form) -> StructType | None:
    """None for what no schema is published of: the options of connections."""
    try:
        return form.type()
    except KeyError:
        return None


def internal(why: str) -> InternalError:
    return InternalError(f"Internal error occurred: {why}", details={"causes": [{"message": why}]})
