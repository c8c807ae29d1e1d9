"""Defaults must obey the schema that they are in: nothing unknown, nothing invalid, sound metadata.

Source: apiextensions-apiserver `schema/defaulting/{validation,surroundingobject}.go`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Final

from apiserver.validation.custom.embedded import embedded_problems
from apiserver.validation.custom.problems import json_equal, problems
from apiserver.validation.custom.pruning import Pruner
from apiserver.validation.custom.schema import META_FIELDS, Node, additional, is_embedded, is_int_or_string, items, properties
from kube.errors import FieldError, invalid
from kube.schema import definitions

_OBJECT_META: Final = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_TYPE_META: Final = {"kind": "Validation", "apiVersion": "validation/v1"}

Around = Callable[[Any], dict[str, Any]]
"""From a value to an object that has it in its place."""

Rules = Callable[[Node, Any, str, bool], list[FieldError]]
"""(schema, default, path, whether it is the whole object's) -> which rules it breaks."""


def no_rules(_node: Node, _value: Any, _path: str, _is_root: bool) -> list[FieldError]:
    """For schemas without rules."""
    return []


def default_problems(node: Node, path: str, rules: Rules = no_rules) -> list[FieldError]:
    """What is wrong with the defaults of a whole object's structural schema."""
    return _Look(rules).below({**node, "x-kubernetes-embedded-resource": True}, path)


def _whole(value: Any) -> dict[str, Any]:
    return {**_TYPE_META, **value}


class _Look:
    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._meta = definitions.load().type(_OBJECT_META)

    def below(self, node: Node, path: str, *, root: Node | None = None, around: Around = _whole, in_meta: bool = False) -> list[FieldError]:
        """`root` is the schema of the object around (None: this is it), `around` makes that object, `in_meta` whether this is in its
        apiVersion, kind or metadata. Values of additionalProperties have no defaults that count."""
        if is_embedded(node) or root is None:
            in_meta, around, root = False, _whole, node
        found = self._own(node, f"{path}.default", root, around, in_meta=in_meta) if node.get("default") is not None else []
        inner = items(node)
        if inner is not None:
            found += self.below(inner, f"{path}.items", root=root, around=_in_list(around), in_meta=in_meta)
        for name, each in sorted(properties(node).items()):
            here = in_meta or (is_embedded(node) and name in META_FIELDS)
            found += self.below(each, f"{path}.properties[{name}]", root=root, around=_in_map(around, name), in_meta=here)
        return found

    def _own(self, node: Node, path: str, root: Node, around: Around, *, in_meta: bool) -> list[FieldError]:
        given = node["default"]
        found = [] if in_meta else self._unknown(node, given, path)
        found += (
            (self._meta_problems(root, around(copy.deepcopy(given)), given, path) if in_meta else self._embedded(node, given, path))
            or problems(_as_structural(node), given, path)
            or self._rules(node, given, path, node is root)
        )
        return found

    def _unknown(self, node: Node, given: Any, path: str) -> list[FieldError]:
        pruned = Pruner(self._meta).value(node, copy.deepcopy(given))
        return [] if json_equal(pruned, given) else [invalid(path, given, "must not have unknown fields")]

    def _embedded(self, node: Node, given: Any, path: str) -> list[FieldError]:
        error = Pruner(self._meta).coerced(node, copy.deepcopy(given), path)
        return [error] if error is not None else embedded_problems(node, given, path, root=False)

    def _meta_problems(self, root: Node, obj: dict[str, Any], given: Any, path: str) -> list[FieldError]:
        error = Pruner(self._meta).coerced(root, obj, "")
        found = [error] if error is not None else embedded_problems(root, obj, root=False)
        if not found:
            return []
        texts = list(dict.fromkeys(map(str, found)))
        why = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
        return [invalid(path, given, f"must result in valid metadata: {why}")]


def _in_list(around: Around) -> Around:
    return lambda value: around([value])


def _in_map(around: Around, name: str) -> Around:
    return lambda value: around({name: value})


def _as_structural(node: Node) -> Node:
    """As upstream checks defaults: values that may be numbers or strings are of any type."""
    out = dict(node)
    if is_int_or_string(node):
        del out["x-kubernetes-int-or-string"]
    if properties(node):
        out["properties"] = {name: _as_structural(each) for name, each in properties(node).items()}
    for name, below in (("items", items(node)), ("additionalProperties", additional(node))):
        if below is not None:
            out[name] = _as_structural(below)
    return out
