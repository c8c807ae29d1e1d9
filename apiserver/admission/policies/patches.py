"""What a mutation makes of an object: an apply configuration is merged in, a JSON Patch is done; then it is decoded and defaulted again.

Pure. Source: apiserver `pkg/admission/plugin/policy/mutating/patch`, `pkg/cel/mutation`.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any, Final

from apiserver.admission.policies.facts import Form, GroupKind
from kube.cel.library.text import to_string
from kube.cel.values import Duration, Struct, Timestamp, UInt
from kube.errors import InternalError
from kube.objects import Object
from kube.patch.elements import ElementError
from kube.patch.json_patch import PatchFailed, TestFailed, patched
from kube.patch.shapes import Shape, child_of, is_atomic, list_of, shape_of
from kube.patch.typed import SchemaError, check, merged
from kube.schema import unstructured
from kube.schema.decode import DecodeError, decode
from kube.schema.gojson import TooDeep
from kube.schema.types import Scalar, ScalarType, StructType, Type

_SAFE: Final = 2**53 - 1
_BUILT_IN: Final = "io.k8s."
"""How names of types that are not custom begin."""


class MutationError(Exception):
    """A mutation that does not fit the object; the text is upstream's."""


def mutated(form: Form, asked: GroupKind, obj: Object, value: Any, *, is_patch: bool) -> Object:
    """The object, in the version of `form`, with what a mutation evaluated to; `obj` stays as it is. `asked` is what the client writes.

    Raises MutationError; InternalError where a JSON Patch leaves no such object."""
    of = _type(form)
    if is_patch:
        new = _after_patch(of, form, obj, value)
    elif of is None or form.is_foreign:
        raise _not_applied(f"failed to convert patch object to typed object: no corresponding type for {form.kind}")
    else:
        new = _after_apply(of, form, obj, value)
    if form.kind != asked and (of is None or of.name.startswith(_BUILT_IN)):
        versions = f"({form.kind.version}.{form.kind.kind}) to ({asked.version}.{asked.kind})"
        raise MutationError(f"converting {versions}: unknown conversion")
    form.default(new)
    return new


def _type(form: Form) -> StructType | None:
    """None for what no schema is published of: the options of connections."""
    try:
        return form.type()
    except KeyError:
        return None


# --- apply configurations ---------------------------------------------------------------------------------------------


def _after_apply(of: StructType, form: Form, obj: Object, value: Struct) -> Object:
    wrong = list(_misnamed(value, value.type_name, "Object"))
    if wrong:
        raise MutationError("type mismatch: " + "\n".join(wrong))
    try:
        config = {**plain(value), "apiVersion": form.kind.api_version, "kind": form.kind.kind}
    except TypeError:
        raise MutationError("invalid return type: *dynamic.ObjectVal") from None
    try:
        unfit = list(_unfit(of, value, ""))
        if unfit:
            raise SchemaError(unfit)
        check(of, config)
    except SchemaError as error:
        raise _not_applied(f"failed to convert patch object to typed object: {error}") from None
    atomic = list(_atomic(of, config, ""))
    if atomic:
        raise _not_applied(f"invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: {', '.join(atomic)}")
    try:
        whole: Object = merged(of, obj, config)
    except ElementError as error:
        raise _not_applied(f"failed to convert original object to typed object: {error}") from None
    if not of.name.startswith(_BUILT_IN):
        return whole
    try:
        new: Object = unstructured.convert(of, whole).value
    except DecodeError as error:
        raise MutationError(f"unable to convert unstructured object to {form.kind}: {error}") from None
    return new | {"apiVersion": form.kind.api_version, "kind": form.kind.kind}


def _unfit(of: Type, value: Any, path: str) -> Iterator[tuple[str, str]]:
    """What the values of expressions are that JSON would have been, and upstream does not turn into it: nulls and bytes. (path, message)"""
    shape = shape_of(of, value)
    if value is None and shape is not Shape.SCALAR:
        yield path, f"expected {shape.value}, got &{{NULL_VALUE}}"
    elif isinstance(of, ScalarType) and of.scalar in (Scalar.STRING, Scalar.BYTES) and isinstance(value, bytes | None):
        shown = f"[]uint8{{{', '.join(map(hex, value))}}}" if value is not None else "0"
        yield path, f"expected string, got &value.valueUnstructured{{Value:{shown}}}"
    elif isinstance(value, Mapping):
        for name, each in value.items():
            child = child_of(of, str(name))
            if child is not None:
                yield from _unfit(child, each, f"{path}.{name}")
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _unfit(list_of(of).item, each, f"{path}[{index}]")


def _not_applied(why: str) -> MutationError:
    return MutationError(f"error applying patch: {why}")


def _misnamed(value: Any, name: str, expected: str) -> Iterator[str]:
    """Types that are not named after the fields that they are in. Lists and maps on the way have no names."""
    if isinstance(value, Struct):
        if name != expected:
            why = "which matches field name path from root Object type"
            yield f'unexpected type name "{name}", expected "{expected}", {why}'
        for field, each in value.items():
            yield from _misnamed(each, getattr(each, "type_name", ""), f"{expected}.{field}")
        return
    for each in value if isinstance(value, list) else value.values() if isinstance(value, Mapping) else ():
        yield from _misnamed(each, getattr(each, "type_name", ""), expected)


def _atomic(of: Type, value: Any, path: str) -> Iterator[str]:
    """What a configuration has of lists and maps that can only be set as a whole."""
    shape = shape_of(of, value)
    if shape is Shape.MAP and isinstance(value, dict):
        if is_atomic(of):
            yield path
        for name, each in value.items():
            child = child_of(of, name)
            if child is not None:
                yield from _atomic(child, each, f"{path}.{name}")
    elif shape is Shape.LIST and isinstance(value, list):
        items = list_of(of)
        if is_atomic(items):
            yield path
        for index, each in enumerate(value):
            yield from _atomic(items.item, each, f"{path}[{index}]")


# --- JSON patches -----------------------------------------------------------------------------------------------------


def _after_patch(of: StructType | None, form: Form, obj: Object, value: list[Struct]) -> Object:
    operations = [_operation(each) for each in value]
    try:
        document = patched(obj, operations)
    except TestFailed:
        return dict(obj)  # what does not pass the test is left as it is
    except PatchFailed as error:
        raise MutationError(f"JSON Patch: {error}") from None
    except (TooDeep, RecursionError):
        raise MutationError("JSON Patch: exceeded max depth") from None
    return _decoded(of, form, document)


def _operation(given: Struct) -> dict[str, Any]:
    operation = {"op": given.get("op", ""), "path": given.get("path", "")}
    if given.get("from"):
        operation["from"] = given["from"]
    if "value" in given:
        value = given["value"]
        if isinstance(value, Struct):
            wrong = list(_misnamed(value, value.type_name, value.type_name))
            if wrong:
                raise MutationError("type mismatch: " + "\n".join(wrong))
        try:
            operation["value"] = plain(value)
        except TypeError as error:
            why = "JSONPath valueExpression evaluated to a type that could not marshal to JSON"
            raise MutationError(f"{why}: {error}") from None
    return operation


def _decoded(of: StructType | None, form: Form, document: Any) -> Object:
    if of is None:
        return {**document}
    try:
        found = decode(of, document)
        if found.strict_errors and of.name.startswith(_BUILT_IN):  # of a custom resource, what has no schema is dropped
            raise DecodeError(f"strict decoding error: {', '.join(found.strict_errors)}")
    except DecodeError as error:
        raise InternalError(f"Internal error occurred: {error}", details={"causes": [{"message": str(error)}]}) from None
    new: Object = found.value
    return new | {"apiVersion": form.kind.api_version, "kind": form.kind.kind}


# --- values -----------------------------------------------------------------------------------------------------------


def plain(value: Any) -> Any:
    """A value as JSON. Raises TypeError for what JSON has not."""
    if isinstance(value, bool | str | float) or value is None:
        return value
    if isinstance(value, Timestamp | Duration):
        return to_string(value)
    if isinstance(value, int):
        return int(value) if isinstance(value, UInt) or abs(value) <= _SAFE else str(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Mapping):
        if not all(isinstance(each, str) for each in value):
            raise TypeError("unsupported type conversion from 'int' to string")
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    raise TypeError(
        f"type conversion error from '{getattr(value, 'type_name', type(value).__name__).rpartition('.')[2]}' to '*structpb.Value'"
    )
