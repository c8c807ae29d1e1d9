"""What mutations of admission policies are written with: `Object{...}` and `JSONPatch{...}`, and keys in JSON pointers.

Source: apiserver `pkg/cel/mutation`, `pkg/cel/library/jsonpatch.go`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from kube.cel import types
from kube.cel.syntax import CelError
from kube.cel.types import Type
from kube.cel.values import Struct, no_overload

OBJECT: Final = "Object"


class _Fields(dict[str, Type]):
    """The fields of a type that has others, too: `rest` is their type."""

    def __init__(self, known: Mapping[str, Type], rest: Type) -> None:
        super().__init__(known)
        self.rest = rest

    def get(self, name: str, default: Any = None) -> Type:
        return super().get(name, self.rest)


_ANY_FIELD: Final = _Fields({}, types.DYN)
_OF_PATCH: Final = {"op": types.STRING, "path": types.STRING, "from": types.STRING, "value": types.DYN}
_NO_TYPE: Final = Type("")
JSON_PATCH: Final = Type("object", (), "JSONPatch", _Fields(_OF_PATCH, _NO_TYPE))


def struct(name: str) -> Type | None:
    """The type of that name: JSONPatch, Object, or what is below one (`Object.spec.template`)."""
    if name == JSON_PATCH.name:
        return JSON_PATCH
    if name == OBJECT or name.startswith(f"{OBJECT}."):
        return Type("object", (), name, _ANY_FIELD)
    return None


def made(name: str, fields: Mapping[str, Any]) -> Struct:
    """A value that was written as `Name{field: value}`. Raises CelError for what cannot be a JSONPatch."""
    if name == JSON_PATCH.name:
        for field, value in fields.items():
            if field not in _OF_PATCH:
                raise CelError(f"unexpected JSONPatchType field: {field}")
            if field != "value" and not isinstance(value, str):
                raise CelError(f"unexpected type {_GO_NAMES.get(type(value), 'structpb.NullValue')} for JSONPatchType '{field}' field")
    return Struct(name, fields)


_GO_NAMES: Final = {bool: "bool", int: "int64", float: "float64", dict: "map[string]interface {}", list: "[]interface {}"}


def _escaped(key: Any) -> str:
    if not isinstance(key, str):
        raise no_overload()
    return key.replace("~", "~0").replace("/", "~1")


FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {"jsonpatch.escapeKey": _escaped}
